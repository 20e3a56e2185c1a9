//! What a series holds of one generation, apart from the series itself.

use super::decode::decode_chunk;
use super::rare::Rare;
use super::series::{LateSamples, SealedChunk};
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
    /// Whether a sample lies within `from..=to`; chunks are decoded only where their bounds do not tell.
    pub(crate) fn has_samples_within(&self, from: i64, to: i64) -> bool {
        if self.late.range(from..=to).next().is_some() {
            return true;
        }
        if let Some(rare) = &self.rare
            && rare.corrections.range(from..=to).next().is_some()
        {
            return true;
        }
        let mut overlapping = self
            .chunks
            .iter()
            .filter(|one| one.first_timestamp <= to && one.last_timestamp >= from);
        overlapping.any(|chunk| {
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

    /// First and last timestamp of all there is.
    pub(crate) fn bounds(&self) -> Option<(i64, i64)> {
        let chunks = self
            .chunks
            .iter()
            .flat_map(|chunk| [chunk.first_timestamp, chunk.last_timestamp]);
        let late = self.late.keys().copied();
        let exemplars = self.exemplars.iter().map(|one| one.timestamp);
        let corrections = self.rare.iter().flat_map(|rare| rare.corrections.keys().copied());
        let all = chunks.chain(late).chain(exemplars).chain(corrections);
        all.fold(None, |bounds: Option<(i64, i64)>, time| {
            Some(bounds.map_or((time, time), |all| (all.0.min(time), all.1.max(time))))
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.late.is_empty() && self.exemplars.is_empty() && self.rare.is_none()
    }
}
