//! What a series holds of one generation, apart from the series itself.

use super::decode::decode_chunk;
use super::late::LateSamples;
use super::rare::Rare;
use super::series::SealedChunk;
use crate::base::bytes::Corrupt;
use crate::model::exemplar::Exemplar;
use crate::model::samples::Samples;
use crate::model::starts::StartRuns;

/// The data of a series in one generation, taken out of the head.
#[derive(Debug, Default, Clone)]
pub(crate) struct SeriesData {
    pub(crate) chunks: Vec<SealedChunk>,
    pub(crate) late: LateSamples,
    pub(crate) starts: StartRuns,
    pub(crate) exemplars: Vec<Exemplar>,
    pub(crate) rare: Option<Box<Rare>>,
}

impl SeriesData {
    /// Whether a sample lies within `from..=to`, those that a deletion or undelete cut off included; chunks are decoded
    /// only where their bounds do not tell.
    pub(crate) fn has_samples_within(&self, from: i64, to: i64) -> bool {
        if self.late.has_within(from, to) {
            return true;
        }
        if let Some(rare) = &self.rare
            && (rare.corrections.range(from..=to).next().is_some()
                || rare
                    .hidden
                    .iter()
                    .any(|part| part.data.has_samples_within(from, to)))
        {
            return true;
        }
        self.chunks_within(from, to).iter().any(|chunk| {
            let ends = |timestamp: i64| (from..=to).contains(&timestamp);
            ends(chunk.first_timestamp) || ends(chunk.last_timestamp) || {
                let mut samples = Samples::default();
                let decoded = decode_chunk(chunk.encoding, &chunk.bytes, &mut samples);
                samples.trim(from, to);
                // Whoever reads one that does not decode is told so.
                decoded.is_err() || !samples.is_empty()
            }
        })
    }

    /// The chunks that overlap `from..=to`; chunks are in order of time.
    pub(crate) fn chunks_within(&self, from: i64, to: i64) -> &[SealedChunk] {
        SealedChunk::within(&self.chunks, from, to)
    }

    /// First and last timestamp of all there is.
    pub(crate) fn bounds(&self) -> Option<(i64, i64)> {
        let chunks = self.chunks.first().zip(self.chunks.last());
        let chunks = chunks.map(|(first, last)| (first.first_timestamp, last.last_timestamp));
        let at = |time: i64| (time, time);
        let exemplars = self.exemplars.iter().map(|one| at(one.timestamp));
        let corrections = self.rare.iter().flat_map(|rare| rare.corrections.keys());
        let all = chunks.into_iter().chain(self.late.bounds()).chain(exemplars);
        all.chain(corrections.map(|time| at(*time)))
            .reduce(|all, one| (all.0.min(one.0), all.1.max(one.1)))
    }

    /// The numbers of the stretches of `span` that have something, ascending, in place of what `out` holds. Chunks are
    /// decoded only where their bounds do not tell.
    pub(crate) fn partitions(&self, span: i64, out: &mut Vec<i64>) -> Result<(), Corrupt> {
        out.clear();
        let of = |time: i64| time.div_euclid(span.max(1));
        let Some((first, last)) = self.bounds() else {
            return Ok(());
        };
        if of(first) == of(last) {
            out.push(of(first));
            return Ok(());
        }
        let mut note = |partition: i64| {
            if out.last() != Some(&partition) {
                out.push(partition);
            }
        };
        let mut samples = Samples::default();
        for chunk in &self.chunks {
            let (first, last) = (of(chunk.first_timestamp), of(chunk.last_timestamp));
            note(first);
            if last.saturating_sub(first) > 1 {
                samples.clear();
                decode_chunk(chunk.encoding, &chunk.bytes, &mut samples)?;
                samples.iter().for_each(|sample| note(of(sample.timestamp)));
            }
            note(last);
        }
        for (first_timestamp, last_timestamp, _) in self.late.runs(i64::MIN, i64::MAX) {
            let (first, last) = (of(first_timestamp), of(last_timestamp));
            note(first);
            if last.saturating_sub(first) > 1 {
                let between = self.late.samples(first_timestamp, last_timestamp);
                between.iter().for_each(|sample| note(of(sample.timestamp)));
            }
            note(last);
        }
        self.exemplars.iter().for_each(|one| note(of(one.timestamp)));
        let corrections = self.rare.iter().flat_map(|rare| rare.corrections.keys());
        corrections.for_each(|timestamp| note(of(*timestamp)));
        out.sort_unstable();
        out.dedup();
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.late.is_empty() && self.exemplars.is_empty() && self.rare.is_none()
    }
}
