//! Chunks made by a real Prometheus: the same samples must give the same bytes here.
//!
//! One difference to
//! Prometheus 3.5 is on purpose and not among the files: when a counter brings a new bucket and omits two empty ones
//! in a row, it puts counts into wrong buckets (its issue 16894, mended in 3.6).

use super::Encoding;
use super::cell::Kind;
use super::histogram::{Appended, HistogramAppender, first_header};
use super::histogram_iter::HistogramIter;
use super::xor::{XorAppender, XorIter};
use crate::model::golden::{Chunk, Input, cases};
use crate::model::histogram::{Counts, Histogram, ResetHint, Span};
use std::collections::BTreeMap;

const XOR: u8 = Encoding::Xor as u8;
const HISTOGRAM: u8 = Encoding::Histogram as u8;
const FLOAT_HISTOGRAM: u8 = Encoding::FloatHistogram as u8;

/// A chunk being written, of any encoding.
#[derive(Clone)]
enum Open {
    Xor(XorAppender),
    Histogram(HistogramAppender),
}

impl Open {
    fn count(&self) -> u16 {
        match self {
            Self::Xor(appender) => appender.count(),
            Self::Histogram(appender) => appender.count(),
        }
    }

    fn start(input: &Input, header: ResetHint) -> Self {
        match input {
            Input::Float(timestamp, value) => {
                let mut appender = XorAppender::new();
                appender.append(*timestamp, *value);
                Self::Xor(appender)
            }
            Input::Histogram(timestamp, histogram) => {
                Self::Histogram(HistogramAppender::new(*timestamp, histogram, header))
            }
        }
    }

    fn append(&mut self, input: &Input) -> Appended {
        match (self, input) {
            (Self::Xor(appender), Input::Float(timestamp, value)) => {
                appender.append(*timestamp, *value);
                Appended::Done
            }
            (Self::Histogram(appender), Input::Histogram(timestamp, histogram)) => {
                appender.append(*timestamp, histogram)
            }
            (_, input) => Appended::NewChunk(header_alone(input)),
        }
    }

    /// The header of the next chunk when this one is full.
    fn next_header(&self, input: &Input) -> ResetHint {
        match (self, input) {
            (Self::Histogram(appender), Input::Histogram(_, histogram)) => appender.next_header(histogram),
            (_, input) => header_alone(input),
        }
    }

    /// The same chunk after it was put away and taken up again.
    fn resumed(self) -> Self {
        match self {
            Self::Xor(appender) => Self::Xor(
                XorAppender::resume(&appender.to_bytes(), appender.last(), appender.seam()).unwrap(),
            ),
            Self::Histogram(appender) => {
                Self::Histogram(HistogramAppender::resume(appender.bytes(), appender.kind()).unwrap())
            }
        }
    }

    fn finish(self) -> Chunk {
        match self {
            Self::Xor(appender) => Chunk {
                encoding: XOR,
                bytes: appender.to_bytes(),
            },
            Self::Histogram(appender) => Chunk {
                encoding: match appender.kind() {
                    Kind::Int => HISTOGRAM,
                    Kind::Float => FLOAT_HISTOGRAM,
                },
                bytes: appender.into_bytes().into_vec(),
            },
        }
    }
}

fn header_alone(input: &Input) -> ResetHint {
    match input {
        Input::Float(..) => ResetHint::Unknown,
        Input::Histogram(_, histogram) => first_header(histogram),
    }
}

/// Writes the inputs; a chunk is full when it has as many samples as the golden one.
fn write(inputs: &[Input], golden: &[Chunk], resume: bool) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let mut open: Option<Open> = None;
    for input in inputs {
        let Some(mut current) = open.take() else {
            open = Some(Open::start(input, header_alone(input)));
            continue;
        };
        let unchanged = current.clone();
        let full = golden
            .get(chunks.len())
            .is_some_and(|chunk| chunk.bytes[..2] == current.count().to_be_bytes());
        open = Some(match current.append(input) {
            Appended::Done if full => {
                let header = unchanged.next_header(input);
                chunks.push(unchanged.finish());
                Open::start(input, header)
            }
            Appended::Done if resume => current.resumed(),
            Appended::Done => current,
            Appended::NewChunk(header) => {
                chunks.push(current.finish());
                Open::start(input, header)
            }
        });
    }
    chunks.extend(open.map(Open::finish));
    chunks
}

/// Absolute counts of the buckets that are not empty.
pub(super) fn filled(spans: &[Span], counts: &Counts, positive_side: bool) -> BTreeMap<i64, u64> {
    let absolute: Vec<f64> = match counts {
        Counts::Int {
            positive, negative, ..
        } => {
            let deltas = if positive_side { positive } else { negative };
            let sums = deltas.iter().scan(0i64, |sum, delta| {
                *sum += delta;
                Some(*sum as f64)
            });
            sums.collect()
        }
        Counts::Float {
            positive, negative, ..
        } => if positive_side { positive } else { negative }.clone(),
    };
    let mut buckets = BTreeMap::new();
    let (mut index, mut counts) = (0i64, absolute.into_iter());
    for span in spans {
        index += i64::from(span.offset);
        for count in counts.by_ref().take(span.length as usize) {
            if count != 0.0 {
                buckets.insert(index, count.to_bits());
            }
            index += 1;
        }
    }
    buckets
}

/// The same sample, empty buckets and what is lost in a stale marker aside.
pub(super) fn assert_same(read: &Histogram, input: &Histogram) {
    assert_eq!(read.sum.to_bits(), input.sum.to_bits());
    assert_eq!(read.is_float(), input.is_float());
    if input.is_stale() {
        return;
    }
    let bits = |histogram: &Histogram| {
        let counts = match &histogram.counts {
            Counts::Int {
                count, zero_count, ..
            } => (*count, *zero_count),
            Counts::Float {
                count, zero_count, ..
            } => (count.to_bits(), zero_count.to_bits()),
        };
        let gauge = histogram.reset_hint == ResetHint::Gauge;
        (
            (
                counts,
                gauge,
                histogram.schema,
                histogram.zero_threshold.to_bits(),
            ),
            filled(&histogram.positive_spans, &histogram.counts, true),
            filled(&histogram.negative_spans, &histogram.counts, false),
        )
    };
    assert_eq!(bits(read), bits(input));
    assert_eq!(read.custom_values, input.custom_values);
}

fn assert_reads_back(inputs: &[Input], chunks: &[Chunk]) {
    let mut inputs = inputs.iter();
    for chunk in chunks {
        if chunk.encoding == XOR {
            for sample in XorIter::new(&chunk.bytes).unwrap() {
                let Some(Input::Float(timestamp, value)) = inputs.next() else {
                    panic!("a float too many");
                };
                assert_eq!(sample.unwrap(), (*timestamp, *value));
            }
            continue;
        }
        let kind = if chunk.encoding == HISTOGRAM {
            Kind::Int
        } else {
            Kind::Float
        };
        for (index, sample) in HistogramIter::new(&chunk.bytes, kind).unwrap().enumerate() {
            let Some(Input::Histogram(timestamp, histogram)) = inputs.next() else {
                panic!("a histogram too many");
            };
            let (read_timestamp, read) = sample.unwrap();
            assert_eq!(read_timestamp, *timestamp);
            assert_same(&read, histogram);
            let expected = match histogram.reset_hint {
                ResetHint::Gauge => ResetHint::Gauge,
                _ if index > 0 => ResetHint::NotReset,
                _ => ResetHint::Unknown,
            };
            assert_eq!(read.reset_hint, expected);
        }
    }
    assert!(inputs.next().is_none());
}

#[test]
fn chunks_equal_those_of_prometheus() {
    for case in cases() {
        for resume in [false, true] {
            let written = write(&case.inputs, &case.chunks, resume);
            for (index, (ours, theirs)) in written.iter().zip(&case.chunks).enumerate() {
                assert_eq!(ours, theirs, "chunk {index} of {}", case.name);
            }
            assert_eq!(written.len(), case.chunks.len(), "{}", case.name);
        }
        assert_reads_back(&case.inputs, &case.chunks);
    }
}
