//! Writing histogram chunks, of integers and of floats.
//!
//! All samples of a chunk share one layout. A sample with new buckets makes the whole chunk be written again with
//! them; a sample that lacks buckets of the chunk gets empty ones. A counter chunk ends at a reset, so that within a
//! chunk no count ever falls; a gauge chunk ends only when schema, zero threshold or custom bounds change. Behind a
//! stale marker only stale markers follow. The layout of the bytes is in `histogram_iter`.

use super::buckets::{Union, any_falls};
use super::cell::Kind;
use super::histogram_iter::{HEADER_LEN, HistogramIter, header_byte};
use super::layout::Layout;
use super::track::{Row, Track};
use crate::base::bits::BitWriter;
use crate::base::bytes::Corrupt;
use crate::model::histogram::{CUSTOM_BUCKETS_SCHEMA, Histogram, ResetHint};

/// What became of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Appended {
    /// It is in the chunk.
    Done,
    /// It must start a new chunk with this header.
    NewChunk(ResetHint),
}

/// An open chunk with at least one sample.
#[derive(Debug, Clone)]
pub(crate) struct HistogramAppender {
    stream: BitWriter,
    header: ResetHint,
    track: Track,
}

/// The buckets of chunk and sample together.
#[derive(Debug)]
struct Recoding {
    positive: Union,
    negative: Union,
}

impl Recoding {
    fn chunk_grows(&self) -> bool {
        self.positive.chunk_grows || self.negative.chunk_grows
    }

    fn sample_grows(&self) -> bool {
        self.positive.sample_grows || self.negative.sample_grows
    }
}

/// The header of a chunk that `first` starts when the series had no chunk of the same kind before.
pub(crate) fn first_header(first: &Histogram) -> ResetHint {
    match first.reset_hint {
        ResetHint::Gauge => ResetHint::Gauge,
        ResetHint::Reset => ResetHint::Reset,
        ResetHint::Unknown | ResetHint::NotReset => ResetHint::Unknown,
    }
}

fn kind_of(histogram: &Histogram) -> Kind {
    if histogram.is_float() {
        Kind::Float
    } else {
        Kind::Int
    }
}

impl HistogramAppender {
    /// A chunk with its first sample. The header comes from [`first_header`], from [`Appended::NewChunk`] or, where
    /// the caller cuts because the chunk is full, from [`HistogramAppender::next_header`].
    pub(crate) fn new(timestamp: i64, first: &Histogram, header: ResetHint) -> Self {
        Self::start(
            kind_of(first),
            Layout::of(first),
            timestamp,
            &Row::of(first),
            header,
        )
    }

    fn start(kind: Kind, layout: Layout, timestamp: i64, row: &Row, header: ResetHint) -> Self {
        let mut stream = BitWriter {
            bytes: vec![0, 1, header_byte(header)],
            free: 0,
        };
        let track = Track::start(&mut stream, kind, layout, timestamp, row);
        Self {
            stream,
            header,
            track,
        }
    }

    /// Continues a chunk as if it had never been put away.
    pub(crate) fn resume(bytes: &[u8], kind: Kind) -> Result<Self, Corrupt> {
        let mut iter = HistogramIter::new(bytes, kind)?;
        while let Some(sample) = iter.step() {
            sample?;
        }
        let used_bits = HEADER_LEN * 8 + iter.input.bit_position();
        let header = iter.header();
        let track = iter.track.ok_or(Corrupt::new("empty histogram chunk", 0))?;
        let stream = BitWriter::resume(bytes, used_bits);
        Ok(Self {
            stream: stream.ok_or(Corrupt::new("histogram chunk", bytes.len()))?,
            header,
            track,
        })
    }

    /// Appends a sample whose buckets match its spans, or says that it needs a new chunk.
    pub(crate) fn append(&mut self, timestamp: i64, histogram: &Histogram) -> Appended {
        if kind_of(histogram) != self.track.kind {
            return Appended::NewChunk(first_header(histogram));
        }
        let mut row = Row::of(histogram);
        match self.place(histogram, &row) {
            Ok(None) => {}
            Ok(Some(recoding)) => self.recode(histogram, &recoding, &mut row),
            Err(header) => return Appended::NewChunk(self.cut_header(histogram, header)),
        }
        self.push(timestamp, &row);
        Appended::Done
    }

    fn push(&mut self, timestamp: i64, row: &Row) {
        let count = self.count().checked_add(1);
        self.track.write(&mut self.stream, timestamp, row);
        if let Some(header) = self.stream.bytes.first_chunk_mut::<2>() {
            *header = count
                .expect("BUG: more than 65,535 samples in a chunk")
                .to_be_bytes();
        }
    }

    /// The header of the next chunk when a sample could not be appended. Float chunks tell less.
    fn cut_header(&self, histogram: &Histogram, found: ResetHint) -> ResetHint {
        match (self.track.kind, histogram.reset_hint, found) {
            (_, ResetHint::Gauge, _) => ResetHint::Gauge,
            (Kind::Int, _, found) => found,
            (Kind::Float, _, ResetHint::Reset) => ResetHint::Reset,
            (Kind::Float, _, _) => ResetHint::Unknown,
        }
    }

    /// The header of the next chunk when the caller cuts before `histogram`, which would otherwise fit.
    pub(crate) fn next_header(&self, histogram: &Histogram) -> ResetHint {
        if kind_of(histogram) != self.track.kind || first_header(histogram) != ResetHint::Unknown {
            return first_header(histogram);
        }
        match (self.track.kind, self.place(histogram, &Row::of(histogram))) {
            (_, Ok(_)) => ResetHint::NotReset,
            (Kind::Int, Err(found)) => found,
            (Kind::Float, Err(ResetHint::Reset)) => ResetHint::Reset,
            (Kind::Float, Err(_)) => ResetHint::NotReset,
        }
    }

    /// Whether the sample fits into the chunk, and with which changes; else what that says about a reset.
    fn place(&self, histogram: &Histogram, row: &Row) -> Result<Option<Recoding>, ResetHint> {
        let gauge = histogram.reset_hint == ResetHint::Gauge;
        if gauge != (self.header == ResetHint::Gauge) {
            return Err(ResetHint::NotReset);
        }
        if histogram.reset_hint == ResetHint::Reset {
            return Err(ResetHint::Reset);
        }
        if row.is_stale() {
            return Ok(None);
        }
        if self.track.is_stale() {
            return Err(ResetHint::Unknown);
        }
        if !gauge {
            self.check_counts(histogram, row)?;
        }
        if !self.same_scale(histogram) || !self.same_bounds(histogram) {
            return Err(ResetHint::Unknown);
        }
        let (track, layout) = (&self.track, &self.track.layout);
        let kind = track.kind;
        if layout.positive_spans == histogram.positive_spans
            && layout.negative_spans == histogram.negative_spans
        {
            let reset = any_falls(kind, &track.positive, &row.positive)
                || any_falls(kind, &track.negative, &row.negative);
            return if reset && !gauge {
                Err(ResetHint::Reset)
            } else {
                Ok(None)
            };
        }
        let recoding = Recoding {
            positive: Union::of(&layout.positive_spans, &histogram.positive_spans),
            negative: Union::of(&layout.negative_spans, &histogram.negative_spans),
        };
        let reset = recoding.positive.is_reset(kind, &track.positive, &row.positive)
            || recoding.negative.is_reset(kind, &track.negative, &row.negative);
        if reset && !gauge {
            return Err(ResetHint::Reset);
        }
        Ok((recoding.chunk_grows() || recoding.sample_grows()).then_some(recoding))
    }

    /// What a counter's count, scale, bounds and zero count say, asked in this order.
    fn check_counts(&self, histogram: &Histogram, row: &Row) -> Result<(), ResetHint> {
        let kind = self.track.kind;
        if kind.count_falls(self.track.count.word, row.count) {
            return Err(ResetHint::Reset);
        }
        if !self.same_scale(histogram) {
            return Err(ResetHint::Unknown);
        }
        if !self.same_bounds(histogram) || kind.count_falls(self.track.zero_count.word, row.zero_count) {
            return Err(ResetHint::Reset);
        }
        Ok(())
    }

    fn same_scale(&self, histogram: &Histogram) -> bool {
        let layout = &self.track.layout;
        histogram.schema == layout.schema && histogram.zero_threshold == layout.zero_threshold
    }

    fn same_bounds(&self, histogram: &Histogram) -> bool {
        histogram.schema != CUSTOM_BUCKETS_SCHEMA
            || histogram.custom_values == self.track.layout.custom_values
    }

    /// Gives chunk and sample the same buckets.
    fn recode(&mut self, histogram: &Histogram, recoding: &Recoding, row: &mut Row) {
        let kind = self.track.kind;
        if recoding.sample_grows() {
            row.positive = recoding.positive.spread_sample(kind, &row.positive);
            row.negative = recoding.negative.spread_sample(kind, &row.negative);
        }
        if recoding.chunk_grows() {
            self.rewrite(self.grown_layout(histogram, recoding), recoding);
        }
    }

    /// The layout of the chunk with the sample's buckets added. Where the sample itself stays as it is, the chunk
    /// takes over its spans even if they are not canonical.
    fn grown_layout(&self, histogram: &Histogram, recoding: &Recoding) -> Layout {
        let gauge = self.header == ResetHint::Gauge;
        let spans = |union: &Union, sample: &Vec<_>| {
            if union.sample_grows || gauge && recoding.sample_grows() {
                union.spans.clone()
            } else {
                sample.clone()
            }
        };
        Layout {
            positive_spans: spans(&recoding.positive, &histogram.positive_spans),
            negative_spans: spans(&recoding.negative, &histogram.negative_spans),
            ..self.track.layout.clone()
        }
    }

    /// Writes the chunk again with more buckets.
    fn rewrite(&mut self, layout: Layout, recoding: &Recoding) {
        let kind = self.track.kind;
        let old = std::mem::take(&mut self.stream.bytes);
        let mut iter = HistogramIter::new(&old, kind).expect("BUG: an open chunk has a header");
        let mut layout = Some(layout);
        while let Some(sample) = iter.step() {
            let track = sample.expect("BUG: an open chunk reads back");
            let mut row = track.row();
            row.positive = recoding.positive.spread_chunk(kind, &row.positive);
            row.negative = recoding.negative.spread_chunk(kind, &row.negative);
            match layout.take() {
                Some(layout) => *self = Self::start(kind, layout, track.timestamp, &row, self.header),
                None => self.push(track.timestamp, &row),
            }
        }
    }

    /// Number of samples.
    pub(crate) fn count(&self) -> u16 {
        self.stream
            .bytes
            .first_chunk::<2>()
            .map_or(0, |header| u16::from_be_bytes(*header))
    }

    /// Whether the counts are integers or floats.
    pub(crate) fn kind(&self) -> Kind {
        self.track.kind
    }

    /// The last sample. Its reset hint is gauge or unknown.
    #[cfg(test)]
    pub(crate) fn last(&self) -> (i64, Histogram) {
        let gauge = self.header == ResetHint::Gauge;
        let hint = if gauge {
            ResetHint::Gauge
        } else {
            ResetHint::Unknown
        };
        (self.track.timestamp, self.track.histogram(hint))
    }

    /// Timestamp of the last sample.
    pub(crate) fn last_timestamp(&self) -> i64 {
        self.track.timestamp
    }

    /// The chunk; complete after every append.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.stream.bytes
    }

    /// The finished chunk.
    #[cfg(test)]
    pub(crate) fn into_bytes(self) -> Box<[u8]> {
        self.stream.bytes.into_boxed_slice()
    }
}
