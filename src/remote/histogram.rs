//! A native histogram of remote write; 1.0 and 2.0 number its fields alike, and 2.0 has one more.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::proto::{Field, Message, repeated_double, repeated_varint};
use crate::base::bytes::Corrupt;
use crate::base::varint::unzigzag;
use crate::model::histogram::{Counts, Histogram, ResetHint, Span};
use std::ops::Range;

/// A histogram sample as it was sent.
#[derive(Debug)]
pub(crate) struct SentHistogram {
    pub(crate) timestamp: i64,
    /// 0 = not known.
    pub(crate) start_timestamp: i64,
    pub(crate) histogram: Histogram,
}

/// Fields while they are read; integer and float counts stand apart, and the count tells which of them are meant.
#[derive(Default)]
struct Fields {
    is_float: bool,
    count: u64,
    zero_count: u64,
    positive_deltas: Vec<i64>,
    negative_deltas: Vec<i64>,
    positive_counts: Vec<f64>,
    negative_counts: Vec<f64>,
}

/// Reads the histogram at a range of the body.
pub(crate) fn decode(body: &[u8], range: Range<usize>) -> Result<SentHistogram, Corrupt> {
    let mut message = Message::within(body, range);
    let mut fields = Fields::default();
    let mut sent = SentHistogram {
        timestamp: 0,
        start_timestamp: 0,
        histogram: Histogram {
            reset_hint: ResetHint::Unknown,
            schema: 0,
            zero_threshold: 0.0,
            sum: 0.0,
            positive_spans: Vec::new(),
            negative_spans: Vec::new(),
            custom_values: Vec::new(),
            counts: Counts::Int {
                count: 0,
                zero_count: 0,
                positive: Vec::new(),
                negative: Vec::new(),
            },
        },
    };
    loop {
        let at = message.clone();
        let Some((number, field)) = message.next("field of a histogram")? else {
            break;
        };
        if !read(body, number, field, &mut sent, &mut fields)? {
            return Err(at.corrupt("field of a histogram"));
        }
    }
    sent.histogram.counts = fields.counts();
    Ok(sent)
}

/// Takes one field; `false` when it is not of the type that its number has.
fn read(
    body: &[u8],
    number: u32,
    field: Field,
    sent: &mut SentHistogram,
    fields: &mut Fields,
) -> Result<bool, Corrupt> {
    let histogram = &mut sent.histogram;
    match (number, field) {
        (1, Field::Varint(count)) => (fields.is_float, fields.count) = (false, count),
        (2, Field::Fixed64(bits)) => (fields.is_float, fields.count) = (true, bits),
        (3, Field::Fixed64(bits)) => histogram.sum = f64::from_bits(bits),
        (4, Field::Varint(value)) => histogram.schema = unzigzag(value) as i32,
        (5, Field::Fixed64(bits)) => histogram.zero_threshold = f64::from_bits(bits),
        (6, Field::Varint(value)) | (7, Field::Fixed64(value)) => fields.zero_count = value,
        (8, Field::Range(range)) => histogram.negative_spans.push(span(body, range)?),
        (9, field) => repeated_varint(body, field, "bucket of a histogram", |value| {
            fields.negative_deltas.push(unzigzag(value));
        })?,
        (10, field) => repeated_double(body, field, "bucket of a histogram", &mut fields.negative_counts)?,
        (11, Field::Range(range)) => histogram.positive_spans.push(span(body, range)?),
        (12, field) => repeated_varint(body, field, "bucket of a histogram", |value| {
            fields.positive_deltas.push(unzigzag(value));
        })?,
        (13, field) => repeated_double(body, field, "bucket of a histogram", &mut fields.positive_counts)?,
        (14, Field::Varint(value)) => {
            let hint = u8::try_from(value).ok().and_then(ResetHint::from_u8);
            histogram.reset_hint = hint.unwrap_or_default();
        }
        (15, Field::Varint(value)) => sent.timestamp = value as i64,
        (16, field) => repeated_double(body, field, "custom bucket", &mut histogram.custom_values)?,
        (17, Field::Varint(value)) => sent.start_timestamp = value as i64,
        (1..=17, _) => return Ok(false),
        _ => {}
    }
    Ok(true)
}

fn span(body: &[u8], range: Range<usize>) -> Result<Span, Corrupt> {
    let mut message = Message::within(body, range);
    let mut span = Span { offset: 0, length: 0 };
    while let Some((number, field)) = message.next("span of a histogram")? {
        match (number, field) {
            (1, Field::Varint(value)) => span.offset = unzigzag(value) as i32,
            (2, Field::Varint(value)) => span.length = value as u32,
            (1 | 2, _) => return Err(message.corrupt("span of a histogram")),
            _ => {}
        }
    }
    Ok(span)
}

impl Fields {
    fn counts(self) -> Counts {
        if self.is_float {
            Counts::Float {
                count: f64::from_bits(self.count),
                zero_count: f64::from_bits(self.zero_count),
                positive: self.positive_counts,
                negative: self.negative_counts,
            }
        } else {
            Counts::Int {
                count: self.count,
                zero_count: self.zero_count,
                positive: self.positive_deltas,
                negative: self.negative_deltas,
            }
        }
    }
}
