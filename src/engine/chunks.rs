//! The same series as `select`, as raw Prometheus chunks.
//!
//! Samples are decoded, merged, and encoded anew in chunks of 120 from the first of the range on, which costs 5 to 7 ns
//! per sample and makes the answer independent of where the samples stand. Start timestamps are not part of chunks.

use super::error::Error;
use super::select::{Series, SeriesCursor};
use crate::chunk::{Appended, Encoding, HistogramAppender, XorAppender, first_header};
use crate::head::series::CHUNK_SAMPLES_MAX;
use crate::model::histogram::Histogram;
use crate::model::labels::Labels;
use crate::model::sample::{Sample, Value};

/// A Prometheus chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RawChunk {
    /// Timestamp of the first sample.
    pub min_time: i64,
    /// Timestamp of the last sample.
    pub max_time: i64,
    /// XOR (1), histogram (2) or float histogram (3).
    pub encoding: Encoding,
    /// The bytes, as Prometheus writes them.
    pub bytes: Vec<u8>,
}

/// A series as chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeriesChunks {
    /// The series' labels.
    pub labels: Labels,
    /// In order of time, without overlap.
    pub chunks: Vec<RawChunk>,
}

/// The matching series in label order, as chunks.
#[derive(Debug)]
pub struct ChunkCursor {
    cursor: SeriesCursor,
    series: Series,
}

impl ChunkCursor {
    pub(crate) fn new(cursor: SeriesCursor) -> Self {
        Self {
            cursor,
            series: Series::default(),
        }
    }

    /// What the answer lacks so far.
    pub fn warnings(&self) -> &[super::select::Warning] {
        self.cursor.warnings()
    }
}

impl Iterator for ChunkCursor {
    type Item = Result<SeriesChunks, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.cursor.next_into(&mut self.series) {
            Ok(true) => Some(Ok(SeriesChunks {
                labels: self.series.labels().clone(),
                chunks: encode(&self.series),
            })),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

/// Encodes samples in chunks, cut where Prometheus would have to cut and after 120 samples.
fn encode(series: &Series) -> Vec<RawChunk> {
    let mut encoder = Encoder::default();
    for sample in series.samples() {
        encoder.push(&sample);
    }
    encoder.cut();
    encoder.chunks
}

#[derive(Default)]
struct Encoder {
    chunks: Vec<RawChunk>,
    open: Open,
    min_time: i64,
    max_time: i64,
}

#[derive(Default)]
enum Open {
    #[default]
    None,
    Floats(XorAppender),
    Histograms(HistogramAppender),
}

impl Encoder {
    fn push(&mut self, sample: &Sample) {
        match &sample.value {
            Value::Float(value) => self.float(sample.timestamp, value.to_bits()),
            Value::Histogram(histogram) => self.histogram(sample.timestamp, histogram),
        }
        self.max_time = sample.timestamp;
    }

    fn float(&mut self, timestamp: i64, bits: u64) {
        if let Open::Floats(open) = &mut self.open
            && open.count() < CHUNK_SAMPLES_MAX
        {
            return open.append(timestamp, bits);
        }
        self.cut();
        self.min_time = timestamp;
        let mut open = XorAppender::default();
        open.append(timestamp, bits);
        self.open = Open::Floats(open);
    }

    fn histogram(&mut self, timestamp: i64, histogram: &Histogram) {
        let header = match &mut self.open {
            Open::Histograms(open) if open.count() >= CHUNK_SAMPLES_MAX => open.next_header(histogram),
            Open::Histograms(open) => match open.append(timestamp, histogram) {
                Appended::Done => return,
                Appended::NewChunk(header) => header,
            },
            _ => first_header(histogram),
        };
        self.cut();
        self.min_time = timestamp;
        self.open = Open::Histograms(HistogramAppender::new(timestamp, histogram, header));
    }

    fn cut(&mut self) {
        let (encoding, bytes) = match std::mem::take(&mut self.open) {
            Open::None => return,
            Open::Floats(open) => (Encoding::Xor, open.to_bytes()),
            Open::Histograms(open) => (Encoding::of(open.kind()), open.bytes().to_vec()),
        };
        self.chunks.push(RawChunk {
            min_time: self.min_time,
            max_time: self.max_time,
            encoding,
            bytes,
        });
    }
}
