//! Histograms as records of Prometheus' log have them.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use crate::base::bytes::{Corrupt, Cursor};
use crate::model::histogram::{CUSTOM_BUCKETS_SCHEMA, Counts, Histogram, ResetHint, Span};

const WHAT: &str = "a histogram of the log";

/// A histogram with counts that are integers, or floats.
pub(super) fn decode(cursor: &mut Cursor<'_>, is_float: bool) -> Result<Histogram, Corrupt> {
    let hint = cursor.u8(WHAT)?;
    let reset_hint = ResetHint::from_u8(hint).ok_or_else(|| cursor.corrupt("reset hint of a histogram"))?;
    let schema = i32::try_from(cursor.ivarint(WHAT)?).map_err(|_| cursor.corrupt("schema of a histogram"))?;
    let zero_threshold = float(cursor)?;
    let (zero_count, count) = if is_float {
        (cursor.u64_be(WHAT)?, cursor.u64_be(WHAT)?)
    } else {
        (cursor.uvarint(WHAT)?, cursor.uvarint(WHAT)?)
    };
    let sum = float(cursor)?;
    let positive_spans = list(cursor, span)?;
    let negative_spans = list(cursor, span)?;
    let counts = if is_float {
        Counts::Float {
            count: f64::from_bits(count),
            zero_count: f64::from_bits(zero_count),
            positive: list(cursor, float)?,
            negative: list(cursor, float)?,
        }
    } else {
        Counts::Int {
            count,
            zero_count,
            positive: list(cursor, |cursor| cursor.ivarint(WHAT))?,
            negative: list(cursor, |cursor| cursor.ivarint(WHAT))?,
        }
    };
    let custom_values = match schema {
        CUSTOM_BUCKETS_SCHEMA => list(cursor, float)?,
        _ => Vec::new(),
    };
    let histogram = Histogram {
        reset_hint,
        schema,
        zero_threshold,
        sum,
        positive_spans,
        negative_spans,
        custom_values,
        counts,
    };
    Ok(histogram)
}

fn float(cursor: &mut Cursor<'_>) -> Result<f64, Corrupt> {
    cursor.u64_be(WHAT).map(f64::from_bits)
}

fn span(cursor: &mut Cursor<'_>) -> Result<Span, Corrupt> {
    let (offset, length) = (cursor.ivarint(WHAT)?, cursor.uvarint(WHAT)?);
    let span = i32::try_from(offset).ok().zip(u32::try_from(length).ok());
    let (offset, length) = span.ok_or_else(|| cursor.corrupt("span of a histogram"))?;
    Ok(Span { offset, length })
}

fn list<T>(
    cursor: &mut Cursor<'_>,
    item: impl Fn(&mut Cursor<'_>) -> Result<T, Corrupt>,
) -> Result<Vec<T>, Corrupt> {
    let count = cursor.length(cursor.remaining(), WHAT)?;
    (0..count).map(|_| item(cursor)).collect()
}
