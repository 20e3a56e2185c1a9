//! Remote read: the answer as SAMPLES, and what both forms share.

use super::outcome::RequestError;
use super::proto_write as write;
use super::read_request::{Query, ReadRequest};
use crate::base::varint::zigzag;
use crate::db::Db;
use crate::engine::error::Error;
use crate::engine::select::{SeriesCursor, Warning};
use crate::engine::series::Series;
use crate::model::histogram::{Counts, Histogram, Span};
use crate::model::labels::Labels;
use std::ops::RangeInclusive;

/// What is answered, and how much at most. The defaults are those of Prometheus.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReadOptions {
    /// Labels that every series of an answer gets, unless it has a label of that name.
    pub external_labels: Labels,
    /// Samples that a query may find when it is answered as one message.
    pub samples_max: usize,
    /// Bytes of a frame's message; a frame with a single chunk may be larger.
    pub frame_bytes_max: usize,
    /// Bytes of a request once it is decompressed.
    pub request_bytes_max: usize,
    /// Whether STREAMED_XOR_CHUNKS is among the forms of an answer.
    pub is_streaming: bool,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            external_labels: Labels::default(),
            samples_max: 50_000_000,
            frame_bytes_max: 1 << 20,
            request_bytes_max: 32 << 20,
            is_streaming: true,
        }
    }
}

/// Why there is no answer, or only the beginning of one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The request cannot be understood.
    #[error("{0}")]
    BadRequest(String),
    /// A query finds more samples than one message may have.
    #[error("exceeded sample limit ({0})")]
    SampleLimit(usize),
    /// The answer would be larger than a snappy block can be.
    #[error("the answer is larger than the {0} bytes of one message, ask for STREAMED_XOR_CHUNKS")]
    TooLarge(u64),
    /// The one who takes the frames asked to stop.
    #[error("the stream was stopped")]
    Stopped,
    /// The database failed.
    #[error(transparent)]
    Engine(#[from] Error),
}

impl ReadError {
    /// Whether the request is to blame, so that it is of no use to repeat it.
    pub fn is_clients(&self) -> bool {
        matches!(
            self,
            Self::BadRequest(_) | Self::SampleLimit(_) | Self::TooLarge(_)
        )
    }
}

impl From<RequestError> for ReadError {
    fn from(error: RequestError) -> Self {
        Self::BadRequest(error.to_string())
    }
}

/// What was answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadSummary {
    /// Series of all queries.
    pub series: usize,
    /// Samples of all queries.
    pub samples: usize,
    /// What the answer lacks.
    pub warnings: Vec<Warning>,
}

/// A snappy block knows its length in 32 bits.
const MESSAGE_BYTES_MAX: u64 = u32::MAX as u64;

impl ReadRequest {
    /// Answers as SAMPLES: the body, a message in one snappy block.
    pub fn samples(&self, db: &Db, options: &ReadOptions) -> Result<(Vec<u8>, ReadSummary), ReadError> {
        let (mut message, mut summary) = (Vec::new(), ReadSummary::default());
        for query in &self.queries {
            let result = write::begin(&mut message, 1);
            query.write_samples(db, options, &mut message, &mut summary)?;
            write::end(&mut message, result);
            check_length(&message)?;
        }
        let body = snap::raw::Encoder::new()
            .compress_vec(&message)
            .map_err(|_| ReadError::TooLarge(MESSAGE_BYTES_MAX))?;
        Ok((body, summary))
    }
}

fn check_length(message: &[u8]) -> Result<(), ReadError> {
    match message.len() as u64 > MESSAGE_BYTES_MAX {
        true => Err(ReadError::TooLarge(MESSAGE_BYTES_MAX)),
        false => Ok(()),
    }
}

impl Query {
    pub(super) fn select(&self, db: &Db) -> Result<SeriesCursor, ReadError> {
        db.check_milliseconds()?;
        Ok(db.select(&self.matchers, self.range())?)
    }

    fn range(&self) -> RangeInclusive<i64> {
        self.from..=self.to
    }

    /// Goes to the next series, with its samples if they are wanted.
    pub(super) fn next(&self, cursor: &mut SeriesCursor, series: &mut Series) -> Result<bool, ReadError> {
        if self.wants_samples {
            return Ok(cursor.next_into(series)?);
        }
        let Some(labels) = cursor.next_listed() else {
            return Ok(false);
        };
        series.set_unread(Labels::from_canonical(labels.as_bytes()));
        Ok(true)
    }

    fn write_samples(
        &self,
        db: &Db,
        options: &ReadOptions,
        out: &mut Vec<u8>,
        summary: &mut ReadSummary,
    ) -> Result<(), ReadError> {
        let mut cursor = self.select(db)?;
        let mut series = Series::default();
        let mut samples = 0;
        while self.next(&mut cursor, &mut series)? {
            samples += series.len();
            if samples > options.samples_max {
                return Err(ReadError::SampleLimit(options.samples_max));
            }
            write::nested(out, 1, |out| time_series(out, &series, &options.external_labels));
            check_length(out)?;
            summary.series += 1;
        }
        summary.samples += samples;
        summary.add_warnings(cursor.warnings());
        Ok(())
    }
}

impl ReadSummary {
    pub(super) fn add_warnings(&mut self, warnings: &[Warning]) {
        for warning in warnings {
            if !self.warnings.contains(warning) {
                self.warnings.push(warning.clone());
            }
        }
    }
}

fn time_series(out: &mut Vec<u8>, series: &Series, external: &Labels) {
    write_labels(out, series.labels(), external);
    let floats = series.float_timestamps().iter().zip(series.float_bits());
    for (timestamp, bits) in floats {
        write::nested(out, 2, |out| {
            write::double(out, 1, *bits);
            write::uint(out, 2, *timestamp as u64);
        });
    }
    for (timestamp, histogram) in series.histograms() {
        write::nested(out, 4, |out| write_histogram(out, *timestamp, histogram));
    }
}

/// Field 1 of a series: its labels and the external ones that it lacks, in order of name.
pub(super) fn write_labels(out: &mut Vec<u8>, own: &Labels, external: &Labels) {
    let mut pair = |(name, value): (&str, &str)| {
        write::nested(out, 1, |out| {
            write::bytes(out, 1, name.as_bytes());
            write::bytes(out, 2, value.as_bytes());
        });
    };
    let mut rest = external.iter().peekable();
    for one in own {
        while let Some(before) = rest.next_if(|other| other.0 < one.0) {
            pair(before);
        }
        rest.next_if(|other| other.0 == one.0);
        pair(one);
    }
    rest.for_each(pair);
}

fn write_histogram(out: &mut Vec<u8>, timestamp: i64, histogram: &Histogram) {
    match &histogram.counts {
        Counts::Int { count, .. } => write::uint_always(out, 1, *count),
        Counts::Float { count, .. } => write::double_always(out, 2, count.to_bits()),
    }
    write::double(out, 3, histogram.sum.to_bits());
    write::uint(out, 4, zigzag(i64::from(histogram.schema)));
    write::double(out, 5, histogram.zero_threshold.to_bits());
    match &histogram.counts {
        Counts::Int { zero_count, .. } => write::uint_always(out, 6, *zero_count),
        Counts::Float { zero_count, .. } => write::double_always(out, 7, zero_count.to_bits()),
    }
    write_spans(out, 8, &histogram.negative_spans);
    match &histogram.counts {
        Counts::Int { negative, .. } => write_deltas(out, 9, negative),
        Counts::Float { negative, .. } => write_doubles(out, 10, negative),
    }
    write_spans(out, 11, &histogram.positive_spans);
    match &histogram.counts {
        Counts::Int { positive, .. } => write_deltas(out, 12, positive),
        Counts::Float { positive, .. } => write_doubles(out, 13, positive),
    }
    write::uint(out, 14, histogram.reset_hint as u64);
    write::uint(out, 15, timestamp as u64);
    write_doubles(out, 16, &histogram.custom_values);
}

fn write_spans(out: &mut Vec<u8>, number: u32, spans: &[Span]) {
    for span in spans {
        write::nested(out, number, |out| {
            write::uint(out, 1, zigzag(i64::from(span.offset)));
            write::uint(out, 2, u64::from(span.length));
        });
    }
}

fn write_deltas(out: &mut Vec<u8>, number: u32, deltas: &[i64]) {
    if !deltas.is_empty() {
        write::nested(out, number, |out| {
            deltas
                .iter()
                .for_each(|delta| crate::base::varint::write_i64(out, *delta));
        });
    }
}

fn write_doubles(out: &mut Vec<u8>, number: u32, values: &[f64]) {
    if !values.is_empty() {
        write::nested(out, number, |out| {
            values
                .iter()
                .for_each(|value| out.extend_from_slice(&value.to_bits().to_le_bytes()));
        });
    }
}

#[cfg(test)]
mod tests;
