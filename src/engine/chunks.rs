//! The same series as `select`, as raw Prometheus chunks.
//!
//! Samples are decoded, merged, and encoded anew in chunks of 120 from the first of the range on, which costs 5 to 7 ns
//! per sample and makes the answer independent of where the samples stand. Start timestamps are not part of chunks.

use super::error::Error;
use super::select::SeriesCursor;
use super::series::Series;
use crate::chunk::{Appended, Encoding, HistogramAppender, XorAppender, first_header};
use crate::head::series::CHUNK_SAMPLES_MAX;
use crate::model::histogram::Histogram;
use crate::model::labels::Labels;
use std::convert::Infallible;
use std::sync::Arc;

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
    encoder: ChunkEncoder,
}

impl ChunkCursor {
    pub(crate) fn new(cursor: SeriesCursor) -> Self {
        Self {
            cursor,
            series: Series::default(),
            encoder: ChunkEncoder::default(),
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
                chunks: self.encoder.collect(&self.series),
            })),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

/// A chunk that lies in its encoder until the next one is made.
#[derive(Debug)]
pub(crate) struct ChunkView<'a> {
    pub(crate) min_time: i64,
    pub(crate) max_time: i64,
    pub(crate) encoding: Encoding,
    pub(crate) bytes: &'a [u8],
}

/// Encodes series in chunks, cut where Prometheus would have to cut and after 120 samples. Float chunks are made in the
/// memory of the one before.
#[derive(Debug, Default)]
pub(crate) struct ChunkEncoder {
    floats: XorAppender,
}

impl ChunkEncoder {
    fn collect(&mut self, series: &Series) -> Vec<RawChunk> {
        let mut chunks = Vec::new();
        let Ok(()) = self.encode(series, |chunk| {
            chunks.push(RawChunk {
                min_time: chunk.min_time,
                max_time: chunk.max_time,
                encoding: chunk.encoding,
                bytes: chunk.bytes.to_vec(),
            });
            Ok::<_, Infallible>(())
        });
        chunks
    }

    /// Gives the chunks of a series to `emit`, until that fails: runs of floats and of histograms in turn.
    pub(crate) fn encode<E>(
        &mut self,
        series: &Series,
        mut emit: impl FnMut(ChunkView<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut times = series.float_timestamps();
        let mut bits = series.float_bits();
        let mut histograms = series.histograms();
        while !(times.is_empty() && histograms.is_empty()) {
            let floats = histograms.first().map_or(times.len(), |histogram| {
                times.partition_point(|timestamp| *timestamp < histogram.0)
            });
            let (run_times, run_bits);
            (run_times, times) = times.split_at(floats);
            (run_bits, bits) = bits.split_at(floats);
            self.encode_floats(run_times, run_bits, &mut emit)?;
            let others = times.first().map_or(histograms.len(), |timestamp| {
                histograms.partition_point(|histogram| histogram.0 < *timestamp)
            });
            let run;
            (run, histograms) = histograms.split_at(others);
            encode_histograms(run, &mut emit)?;
        }
        Ok(())
    }

    fn encode_floats<E>(
        &mut self,
        times: &[i64],
        bits: &[u64],
        emit: &mut impl FnMut(ChunkView<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let most = usize::from(CHUNK_SAMPLES_MAX);
        for (times, bits) in times.chunks(most).zip(bits.chunks(most)) {
            self.floats.clear();
            for (timestamp, bits) in times.iter().zip(bits) {
                self.floats.append(*timestamp, *bits);
            }
            emit(ChunkView {
                min_time: times[0],
                max_time: times[times.len() - 1],
                encoding: Encoding::Xor,
                bytes: self.floats.complete(),
            })?;
        }
        Ok(())
    }
}

/// Chunks of histograms that follow each other.
fn encode_histograms<E>(
    run: &[(i64, Arc<Histogram>)],
    emit: &mut impl FnMut(ChunkView<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut emit = |min_time: i64, chunk: &HistogramAppender| {
        emit(ChunkView {
            min_time,
            max_time: chunk.last_timestamp(),
            encoding: Encoding::of(chunk.kind()),
            bytes: chunk.bytes(),
        })
    };
    let mut open: Option<(i64, HistogramAppender)> = None;
    for (timestamp, histogram) in run {
        let header = match &mut open {
            None => first_header(histogram),
            Some((_, open)) if open.count() >= CHUNK_SAMPLES_MAX => open.next_header(histogram),
            Some((_, open)) => match open.append(*timestamp, histogram) {
                Appended::Done => continue,
                Appended::NewChunk(header) => header,
            },
        };
        let next = HistogramAppender::new(*timestamp, histogram, header);
        if let Some((min_time, full)) = open.replace((*timestamp, next)) {
            emit(min_time, &full)?;
        }
    }
    open.map_or(Ok(()), |(min_time, last)| emit(min_time, &last))
}
