//! A native histogram as it stands in the log: everything it holds, bit for bit.
//!
//! flags (bit 0 float counts, bits 1-2 reset hint), schema, zero threshold, sum, positive spans, negative spans,
//! custom boundaries, count, zero count, positive buckets, negative buckets.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use crate::base::bytes::{Corrupt, Cursor};
use crate::base::varint;
use crate::model::histogram::{Counts, Histogram, ResetHint, Span};

/// Most spans, buckets or boundaries that a stored histogram can have.
const BUCKETS_MAX: usize = 1 << 20;

pub(crate) fn write(out: &mut Vec<u8>, histogram: &Histogram) {
    out.push(u8::from(histogram.is_float()) | (histogram.reset_hint as u8) << 1);
    varint::write_i64(out, i64::from(histogram.schema));
    write_f64(out, histogram.zero_threshold);
    write_f64(out, histogram.sum);
    write_spans(out, &histogram.positive_spans);
    write_spans(out, &histogram.negative_spans);
    write_f64s(out, &histogram.custom_values);
    match &histogram.counts {
        Counts::Int {
            count,
            zero_count,
            positive,
            negative,
        } => {
            varint::write_u64(out, *count);
            varint::write_u64(out, *zero_count);
            write_deltas(out, positive);
            write_deltas(out, negative);
        }
        Counts::Float {
            count,
            zero_count,
            positive,
            negative,
        } => {
            write_f64(out, *count);
            write_f64(out, *zero_count);
            write_f64s(out, positive);
            write_f64s(out, negative);
        }
    }
}

pub(crate) fn read(cursor: &mut Cursor<'_>) -> Result<Histogram, Corrupt> {
    let flags = cursor.u8("histogram flags")?;
    let reset_hint = ResetHint::from_u8(flags >> 1).ok_or_else(|| cursor.corrupt("histogram reset hint"))?;
    let schema =
        i32::try_from(cursor.ivarint("histogram schema")?).map_err(|_| cursor.corrupt("histogram schema"))?;
    let zero_threshold = read_f64(cursor)?;
    let sum = read_f64(cursor)?;
    let positive_spans = read_spans(cursor)?;
    let negative_spans = read_spans(cursor)?;
    let custom_values = read_list(cursor, read_f64)?;
    let counts = if flags & 1 == 0 {
        Counts::Int {
            count: cursor.uvarint("histogram count")?,
            zero_count: cursor.uvarint("histogram zero count")?,
            positive: read_list(cursor, |cursor| cursor.ivarint("histogram bucket"))?,
            negative: read_list(cursor, |cursor| cursor.ivarint("histogram bucket"))?,
        }
    } else {
        Counts::Float {
            count: read_f64(cursor)?,
            zero_count: read_f64(cursor)?,
            positive: read_list(cursor, read_f64)?,
            negative: read_list(cursor, read_f64)?,
        }
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
    // The chunks of the head rely on spans and buckets that fit each other.
    match histogram.validate() {
        Ok(()) => Ok(histogram),
        Err(_) => Err(cursor.corrupt("histogram")),
    }
}

fn write_f64(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

fn write_f64s(out: &mut Vec<u8>, values: &[f64]) {
    varint::write_u64(out, values.len() as u64);
    values.iter().for_each(|value| write_f64(out, *value));
}

fn write_deltas(out: &mut Vec<u8>, deltas: &[i64]) {
    varint::write_u64(out, deltas.len() as u64);
    deltas.iter().for_each(|delta| varint::write_i64(out, *delta));
}

fn write_spans(out: &mut Vec<u8>, spans: &[Span]) {
    varint::write_u64(out, spans.len() as u64);
    for span in spans {
        varint::write_i64(out, i64::from(span.offset));
        varint::write_u64(out, u64::from(span.length));
    }
}

fn read_f64(cursor: &mut Cursor<'_>) -> Result<f64, Corrupt> {
    Ok(f64::from_bits(cursor.u64("histogram float")?))
}

fn read_spans(cursor: &mut Cursor<'_>) -> Result<Vec<Span>, Corrupt> {
    read_list(cursor, |cursor| {
        let offset = i32::try_from(cursor.ivarint("histogram span offset")?);
        let length = u32::try_from(cursor.uvarint("histogram span length")?);
        match (offset, length) {
            (Ok(offset), Ok(length)) => Ok(Span { offset, length }),
            _ => Err(cursor.corrupt("histogram span")),
        }
    })
}

fn read_list<'a, T>(
    cursor: &mut Cursor<'a>,
    mut item: impl FnMut(&mut Cursor<'a>) -> Result<T, Corrupt>,
) -> Result<Vec<T>, Corrupt> {
    // Every item takes at least one byte, so the length is bounded by what is left to read.
    let length = cursor.length(cursor.remaining().min(BUCKETS_MAX), "histogram list length")?;
    let mut items = Vec::with_capacity(length.min(1024));
    for _ in 0..length {
        items.push(item(cursor)?);
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(positive: Vec<i64>) -> Histogram {
        Histogram {
            reset_hint: ResetHint::Unknown,
            schema: 0,
            zero_threshold: 0.001,
            sum: 1.0,
            positive_spans: vec![Span { offset: 0, length: 2 }],
            negative_spans: vec![],
            custom_values: vec![],
            counts: Counts::Int {
                count: 2,
                zero_count: 0,
                positive,
                negative: vec![],
            },
        }
    }

    #[test]
    fn a_histogram_that_contradicts_itself_is_not_taken() {
        for (positive, is_taken) in [(vec![1, 0], true), (vec![1], false), (vec![1, 0, 0], false)] {
            let mut bytes = Vec::new();
            write(&mut bytes, &histogram(positive));
            assert_eq!(read(&mut Cursor::new(&bytes)).is_ok(), is_taken);
        }
    }
}
