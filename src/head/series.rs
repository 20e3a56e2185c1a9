//! One series in the head: the open chunk, the sealed chunks, and what came late.
//!
//! A series takes 2 cache lines and two small allocations (its pair ids, its open chunk); everything that most series
//! do not have stands behind one pointer. Ordered floats go to the open chunk, which is a valid Prometheus chunk at
//! every moment; a sample older than the newest goes beside them and is merged when it is read or flushed.

use super::decode::{decode_chunk, join_corrections, join_late};
use super::late::LateSamples;
use super::overwrite::Overwrite;
use super::rare::Rare;
use super::series_data::SeriesData;
use super::taken::{TakenData, sealed_floats};
use crate::base::bytes::Corrupt;
use crate::chunk::{Appended, Encoding, HistogramAppender, XorAppender, first_header};
use crate::index::PairId;
use crate::model::exemplar::Exemplar;
use crate::model::histogram::Histogram;
use crate::model::sample::{STALE_NAN_BITS, Value};
use crate::model::samples::Samples;
use crate::model::starts::StartRuns;
use std::sync::Arc;

/// Samples in a chunk before it is sealed, as in Prometheus.
pub(crate) const CHUNK_SAMPLES_MAX: u16 = 120;

/// Most samples of the first chunk of a generation.
pub(super) const FIRST_CHUNK_SAMPLES_MAX: u16 = 180;

/// How many of a series' newest exemplars are looked at for a duplicate.
const EXEMPLARS_COMPARED: usize = 64;

/// A chunk that gets no more samples.
#[derive(Debug, Clone)]
pub(crate) struct SealedChunk {
    pub(crate) first_timestamp: i64,
    pub(crate) last_timestamp: i64,
    pub(crate) encoding: Encoding,
    pub(crate) count: u16,
    pub(crate) bytes: Arc<[u8]>,
}

impl SealedChunk {
    /// Those of `chunks`, which are in order of time, that overlap `from..=to`.
    pub(super) fn within(chunks: &[Self], from: i64, to: i64) -> &[Self] {
        let start = chunks.partition_point(|chunk| chunk.last_timestamp < from);
        let rest = chunks.get(start..).unwrap_or(&[]);
        let count = rest.partition_point(|chunk| chunk.first_timestamp <= to);
        rest.get(..count).unwrap_or(&[])
    }
}

/// What a sample is to a series that may have it already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Newer than everything: goes to the open chunk.
    Ordered,
    /// Older than the newest and not there yet.
    Late,
    /// The very same bits are there, or a correction that the sample loses against.
    Same,
    /// Another value is there.
    Conflict,
}

/// Parts of a series that most series do not have.
#[derive(Debug, Default)]
pub(crate) struct Extra {
    pub(crate) sealed: Vec<SealedChunk>,
    pub(crate) late: LateSamples,
    pub(crate) starts: StartRuns,
    pub(crate) histogram: Option<Box<OpenHistogram>>,
    pub(crate) exemplars: Vec<Exemplar>,
    /// The newest sample when it is a histogram.
    pub(crate) last_histogram: Option<Arc<Histogram>>,
    pub(crate) rare: Option<Box<Rare>>,
}

/// An open histogram chunk.
#[derive(Debug)]
pub(crate) struct OpenHistogram {
    pub(crate) appender: HistogramAppender,
    pub(crate) first_timestamp: i64,
}

#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Series {
    pub(crate) pairs: Box<[PairId]>,
    /// Sequence number of the WAL file that defines this series, 0 = none.
    pub(crate) wal_file: u32,
    /// Chain restart after which the value of this series is in the log.
    pub(crate) chain: u32,
    /// The slot is in use.
    pub(crate) alive: bool,
    /// There are start timestamps, histograms or corrections, so that an append must look at `extra`.
    pub(super) special: bool,
    pub(super) overwrite: Overwrite,
    /// There has been a sample since the series is in memory; `last_timestamp` means something.
    pub(crate) has_last: bool,
    pub(crate) last_timestamp: i64,
    /// Bits of the newest ordered float; the base of the log's chain.
    pub(crate) last_bits: u64,
    /// The open float chunk is sealed at this many samples.
    open_samples_max: u16,
    pub(crate) open_first: i64,
    pub(crate) open: XorAppender,
    pub(crate) extra: Option<Box<Extra>>,
}

/// At how many samples the first chunk of a generation is sealed. Series begin together, at a start or a freeze; so that
/// they do not all seal their chunks in the same batches, neighbours begin with chunks of different lengths.
fn first_chunk_samples(place: usize) -> u16 {
    let lengths = usize::from(FIRST_CHUNK_SAMPLES_MAX - CHUNK_SAMPLES_MAX);
    CHUNK_SAMPLES_MAX + 1 + (place % lengths) as u16
}

impl Series {
    /// A series at that place of its slab.
    pub(crate) fn new(pairs: Box<[PairId]>, place: usize) -> Self {
        Self {
            pairs,
            alive: true,
            open_samples_max: first_chunk_samples(place),
            ..Self::default()
        }
    }

    pub(crate) fn extra_mut(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    /// Takes over restored parts.
    pub(super) fn adopt(&mut self, extra: Extra) {
        self.special = !extra.starts.is_unknown()
            || extra.histogram.is_some()
            || extra.last_histogram.is_some()
            || extra.rare.is_some();
        let empty = extra.sealed.is_empty() && extra.late.is_empty() && extra.exemplars.is_empty();
        self.extra = (self.special || !empty).then(|| Box::new(extra));
    }

    fn last_histogram(&self) -> Option<&Arc<Histogram>> {
        self.extra.as_ref()?.last_histogram.as_ref()
    }

    /// Reads a little of everything that a sample at `timestamp` needs; the result means nothing.
    #[inline]
    pub(crate) fn touch_at(&self, timestamp: i64) -> u64 {
        match &self.extra {
            Some(extra) if timestamp < self.last_timestamp => extra.late.touch(timestamp),
            _ => self.touch(),
        }
    }

    /// Reads a little of everything that an append needs; the result means nothing.
    #[inline]
    pub(crate) fn touch(&self) -> u64 {
        self.open.touch() ^ self.last_bits ^ u64::from(self.chain) ^ u64::from(self.has_last)
    }

    /// What a float at `timestamp` would be.
    #[inline]
    pub(crate) fn admit_float(&self, timestamp: i64, bits: u64) -> Admission {
        if self.special
            && let Some(admission) = self.admit_beside_rare(timestamp, &Value::Float(f64::from_bits(bits)))
        {
            return admission;
        }
        if !self.has_last || timestamp > self.last_timestamp {
            return Admission::Ordered;
        }
        if timestamp == self.last_timestamp {
            return if bits == self.last_bits && self.last_histogram().is_none() {
                Admission::Same
            } else {
                Admission::Conflict
            };
        }
        self.admit_late(timestamp, &Value::Float(f64::from_bits(bits)))
    }

    /// What a histogram at `timestamp` would be.
    pub(crate) fn admit_histogram(&self, timestamp: i64, histogram: &Arc<Histogram>) -> Admission {
        if self.special
            && let Some(admission) = self.admit_beside_rare(timestamp, &Value::Histogram(histogram.clone()))
        {
            return admission;
        }
        if !self.has_last || timestamp > self.last_timestamp {
            return Admission::Ordered;
        }
        if timestamp == self.last_timestamp {
            let same = self.last_histogram().is_some_and(|last| last.is_same(histogram));
            return if same {
                Admission::Same
            } else {
                Admission::Conflict
            };
        }
        self.admit_late(timestamp, &Value::Histogram(histogram.clone()))
    }

    fn admit_late(&self, timestamp: i64, value: &Value) -> Admission {
        match self.find(timestamp) {
            None => Admission::Late,
            Some(found) if is_same(&found, value) => Admission::Same,
            Some(_) => Admission::Conflict,
        }
    }

    /// The value at `timestamp` in this generation. After a replay both a chunk and the late samples may have one; the
    /// one in the chunk was first.
    pub(super) fn find(&self, timestamp: i64) -> Option<Value> {
        let late = || self.extra.as_ref()?.late.get(timestamp);
        self.find_in_chunks(timestamp).or_else(late)
    }

    fn find_in_chunks(&self, timestamp: i64) -> Option<Value> {
        if self.open.count() > 0 && timestamp >= self.open_first {
            return super::decode::find_in_chunk(Encoding::Xor, &self.open.to_bytes(), timestamp);
        }
        let extra = self.extra.as_ref()?;
        if let Some(open) = &extra.histogram
            && timestamp >= open.first_timestamp
        {
            let appender = &open.appender;
            return super::decode::find_in_chunk(Encoding::of(appender.kind()), appender.bytes(), timestamp);
        }
        let chunk = extra
            .sealed
            .iter()
            .rfind(|chunk| chunk.first_timestamp <= timestamp)?;
        if timestamp > chunk.last_timestamp {
            return None;
        }
        super::decode::find_in_chunk(chunk.encoding, &chunk.bytes, timestamp)
    }

    /// Appends a float that is newer than everything.
    #[inline]
    pub(crate) fn append_float(&mut self, timestamp: i64, bits: u64, start_timestamp: i64) {
        if self.open.count() >= self.open_samples_max {
            self.seal_float();
            self.open_samples_max = CHUNK_SAMPLES_MAX;
        }
        if self.open.count() == 0 {
            self.open_first = timestamp;
        }
        if self.special || start_timestamp != 0 {
            self.leave_histograms(timestamp, start_timestamp);
        }
        self.open.append(timestamp, bits);
        self.last_timestamp = timestamp;
        self.last_bits = bits;
        self.has_last = true;
    }

    /// The rare part of an append: the series has, or had, more than plain floats.
    fn leave_histograms(&mut self, timestamp: i64, start_timestamp: i64) {
        self.special = true;
        let extra = self.extra_mut();
        extra.starts.push(timestamp, start_timestamp);
        extra.last_histogram = None;
        extra.seal_histogram();
    }

    fn seal_float(&mut self) {
        if self.open.count() == 0 {
            return;
        }
        let open = std::mem::take(&mut self.open);
        let chunk = sealed_floats(self.open_first, &open);
        let sealed = &mut self.extra_mut().sealed;
        // Most series have few chunks, and there are many series.
        sealed.reserve_exact(1 + sealed.len() / 4);
        sealed.push(chunk);
    }

    /// Appends a histogram that is newer than everything.
    pub(crate) fn append_histogram(
        &mut self,
        timestamp: i64,
        histogram: Arc<Histogram>,
        start_timestamp: i64,
    ) {
        self.seal_float();
        self.special = true;
        let extra = self.extra_mut();
        extra.starts.push(timestamp, start_timestamp);
        extra.append_histogram(timestamp, &histogram);
        extra.last_histogram = Some(histogram);
        self.last_timestamp = timestamp;
        self.has_last = true;
    }

    /// Keeps a sample older than the newest. Returns by how many bytes the series grew.
    pub(crate) fn insert_late(&mut self, timestamp: i64, value: Value, start_timestamp: i64) -> i64 {
        self.extra_mut().late.insert(timestamp, value, start_timestamp)
    }

    /// What its late samples take.
    pub(super) fn late_bytes(&self) -> i64 {
        self.extra
            .as_ref()
            .map_or(0, |extra| extra.late.heap_bytes() as i64)
    }

    /// Keeps an exemplar unless the same is there. Returns whether it was new.
    pub(crate) fn add_exemplar(&mut self, exemplar: &Exemplar) -> bool {
        let exemplars = &mut self.extra_mut().exemplars;
        let same = |other: &Exemplar| {
            other.timestamp == exemplar.timestamp
                && other.value.to_bits() == exemplar.value.to_bits()
                && other.labels == exemplar.labels
        };
        if exemplars.iter().rev().take(EXEMPLARS_COMPARED).any(same) {
            return false;
        }
        exemplars.push(exemplar.clone());
        true
    }

    /// Whether there is any data of the current generation.
    pub(crate) fn has_data(&self) -> bool {
        self.open.count() > 0
            || self.extra.as_ref().is_some_and(|extra| {
                extra.histogram.is_some()
                    || !extra.sealed.is_empty()
                    || !extra.late.is_empty()
                    || !extra.exemplars.is_empty()
                    || extra.rare.is_some()
            })
    }

    /// Whether the newest sample says that the series has ended.
    pub(crate) fn is_stale(&self) -> bool {
        match self.last_histogram() {
            Some(histogram) => histogram.is_stale(),
            None => self.has_last && self.last_bits == STALE_NAN_BITS,
        }
    }

    /// Takes the data of the generation out; the series stays, with what it needs to judge the next sample. `place` is
    /// that in its slab. A commit may wait for this, so it only moves.
    pub(crate) fn take_data(&mut self, place: usize) -> TakenData {
        let taken = TakenData {
            open_first: self.open_first,
            open: std::mem::take(&mut self.open),
            extra: self.extra.take(),
        };
        self.open_samples_max = first_chunk_samples(place);
        let last_histogram = taken
            .extra
            .as_ref()
            .and_then(|extra| extra.last_histogram.clone());
        self.special = last_histogram.is_some();
        if self.special {
            self.extra_mut().last_histogram = last_histogram;
        }
        taken
    }

    /// Whether a sample of the generation lies within `from..=to`.
    pub(crate) fn has_samples_within(&self, from: i64, to: i64) -> bool {
        let is_within = |timestamp: i64| (from..=to).contains(&timestamp);
        // Mostly the ends of the open chunk tell, without a copy of anything.
        self.open.count() > 0 && (is_within(self.open_first) || is_within(self.open.last().0))
            || self.has_data() && self.copy_data(from, to).has_samples_within(from, to)
    }

    /// The samples of the generation within `from..=to`, in place of what `out` holds.
    pub(crate) fn decode(&self, from: i64, to: i64, out: &mut Samples) -> Result<(), Corrupt> {
        out.clear();
        let wanted = |first: i64, last: i64| last >= from && first <= to;
        let sealed = self.extra.as_ref().map_or(&[][..], |extra| &extra.sealed);
        let sealed = SealedChunk::within(sealed, from, to);
        let most: usize = sealed.iter().map(|chunk| usize::from(chunk.count)).sum();
        out.timestamps.reserve(most + usize::from(self.open.count()));
        out.bits.reserve(most + usize::from(self.open.count()));
        if let Some(extra) = &self.extra {
            for chunk in sealed {
                decode_chunk(chunk.encoding, &chunk.bytes, out)?;
            }
            if let Some(open) = &extra.histogram
                && wanted(open.first_timestamp, open.appender.last_timestamp())
            {
                decode_chunk(Encoding::of(open.appender.kind()), open.appender.bytes(), out)?;
            }
            out.starts.clone_from(&extra.starts);
        }
        if self.open.count() > 0 && wanted(self.open_first, self.open.last().0) {
            self.open.decode_into(&mut out.timestamps, &mut out.bits)?;
        }
        out.trim(from, to);
        if let Some(extra) = &self.extra {
            join_late(&extra.late, from, to, out);
            join_corrections(extra.rare.as_deref(), from, to, out);
        }
        Ok(())
    }

    /// A copy of the data of the generation, for a reader; chunks that end before `from` or begin after `to` are left
    /// out.
    pub(crate) fn copy_data(&self, from: i64, to: i64) -> SeriesData {
        let mut data = SeriesData::default();
        if let Some(extra) = &self.extra {
            let wanted = |chunk: &&SealedChunk| chunk.last_timestamp >= from && chunk.first_timestamp <= to;
            data.chunks
                .extend_from_slice(SealedChunk::within(&extra.sealed, from, to));
            data.late = extra.late.copy(from, to);
            data.starts = extra.starts.clone();
            data.exemplars.clone_from(&extra.exemplars);
            data.rare.clone_from(&extra.rare);
            data.chunks
                .extend(extra.open_histogram_chunk().filter(|chunk| wanted(&chunk)));
        }
        if self.open.count() > 0 && self.open_first <= to && self.last_timestamp >= from {
            data.chunks.push(sealed_floats(self.open_first, &self.open));
        }
        data
    }
}

/// Histograms come out of a chunk with the same observations, not always in the same form.
pub(super) fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Histogram(one), Value::Histogram(other)) => one.is_same(other),
        _ => one == other,
    }
}

impl Extra {
    fn append_histogram(&mut self, timestamp: i64, histogram: &Histogram) {
        let header = match &mut self.histogram {
            None => first_header(histogram),
            Some(open) if open.appender.count() >= CHUNK_SAMPLES_MAX => open.appender.next_header(histogram),
            Some(open) => match open.appender.append(timestamp, histogram) {
                Appended::Done => return,
                Appended::NewChunk(header) => header,
            },
        };
        self.seal_histogram();
        let appender = HistogramAppender::new(timestamp, histogram, header);
        self.histogram = Some(Box::new(OpenHistogram {
            appender,
            first_timestamp: timestamp,
        }));
    }

    fn open_histogram_chunk(&self) -> Option<SealedChunk> {
        let open = self.histogram.as_ref()?;
        Some(SealedChunk {
            first_timestamp: open.first_timestamp,
            last_timestamp: open.appender.last_timestamp(),
            encoding: Encoding::of(open.appender.kind()),
            count: open.appender.count(),
            bytes: open.appender.bytes().into(),
        })
    }

    pub(super) fn seal_histogram(&mut self) {
        self.sealed.extend(self.open_histogram_chunk());
        self.histogram = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_that_begin_together_do_not_seal_their_chunks_together() {
        let mut sealed_at = [0; 400];
        for place in 0..60 {
            let mut series = Series::new(Box::default(), place);
            let mut sealed = 0;
            for (timestamp, count) in sealed_at.iter_mut().enumerate() {
                series.append_float(timestamp as i64, timestamp as u64, 0);
                let now = series.extra.as_ref().map_or(0, |extra| extra.sealed.len());
                *count += now - sealed;
                sealed = now;
            }
            let data = series.take_data(place).seal();
            assert_eq!(data.chunks.iter().map(|chunk| chunk.count).sum::<u16>(), 400);
            assert!(
                data.chunks
                    .iter()
                    .all(|chunk| chunk.count <= FIRST_CHUNK_SAMPLES_MAX)
            );
        }
        assert!(sealed_at.iter().all(|count| *count <= 1));
    }
}
