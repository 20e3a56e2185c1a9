//! The layout at the start of a histogram chunk: what all its samples have in common.
//!
//! | bits | meaning |
//! |---|---|
//! | 8 | zero threshold: 0 for zero, n from 1 to 254 for 2^(n - 244), 255 when its 64 bits follow |
//! | signed varbit | schema |
//! | varbit count, then per span varbit length and signed varbit offset | positive spans, then negative spans |
//! | varbit count, then the bounds | only for schema -53: custom bucket bounds |
//!
//! A bound that is a multiple of 0.001 from 0 to 33554.43 is one more than that multiple as varbit; any other bound
//! is a 0 bit and its 64 bits. The form keeps neither the sign of a zero threshold nor that of a zero bound.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::varbit;
use crate::base::bits::{BitReader, BitWriter};
use crate::model::histogram::{CUSTOM_BUCKETS_SCHEMA, Histogram, Span};

/// Threshold byte of a power of two, less its biased exponent in an `f64`.
const THRESHOLD_BIAS: u64 = 1023 - 244;
/// Threshold byte in front of a full `f64`.
const THRESHOLD_RAW: u64 = 255;
/// Largest multiple of 0.001 that is written as a varbit.
const BOUND_THOUSANDTHS_MAX: f64 = 33_554_430.0;
/// Schemas that Prometheus knows, the custom one aside.
const KNOWN_SCHEMAS: std::ops::RangeInclusive<i64> = -9..=52;

/// What all samples of a chunk have in common.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Layout {
    pub(super) schema: i32,
    pub(super) zero_threshold: f64,
    pub(super) positive_spans: Vec<Span>,
    pub(super) negative_spans: Vec<Span>,
    pub(super) custom_values: Vec<f64>,
}

impl Layout {
    /// The layout of a histogram; a stale marker has an empty one.
    pub(super) fn of(histogram: &Histogram) -> Self {
        if histogram.is_stale() {
            return Self::default();
        }
        Self {
            schema: histogram.schema,
            zero_threshold: histogram.zero_threshold,
            positive_spans: histogram.positive_spans.clone(),
            negative_spans: histogram.negative_spans.clone(),
            custom_values: histogram.custom_values.clone(),
        }
    }

    pub(super) fn write(&self, out: &mut BitWriter) {
        write_threshold(out, self.zero_threshold);
        varbit::write_i64(out, i64::from(self.schema));
        write_spans(out, &self.positive_spans);
        write_spans(out, &self.negative_spans);
        if self.schema == CUSTOM_BUCKETS_SCHEMA {
            varbit::write_u64(out, self.custom_values.len() as u64);
            for &bound in &self.custom_values {
                write_bound(out, bound);
            }
        }
    }

    /// `None` when the bits are not a layout; every bucket is sure to have a bit left in the stream.
    pub(super) fn read(input: &mut BitReader<'_>) -> Option<Self> {
        let zero_threshold = read_threshold(input);
        let schema = varbit::read_i64(input);
        if schema != i64::from(CUSTOM_BUCKETS_SCHEMA) && !KNOWN_SCHEMAS.contains(&schema) {
            return None;
        }
        let mut layout = Self {
            schema: schema as i32,
            zero_threshold,
            positive_spans: read_spans(input)?,
            negative_spans: read_spans(input)?,
            custom_values: Vec::new(),
        };
        if layout.schema == CUSTOM_BUCKETS_SCHEMA {
            let count = read_count(input)?;
            layout.custom_values = (0..count).map(|_| read_bound(input)).collect();
        }
        let buckets = bucket_count(&layout.positive_spans) + bucket_count(&layout.negative_spans);
        (buckets <= input.remaining() as u64).then_some(layout)
    }
}

/// Number of buckets of the spans.
pub(super) fn bucket_count(spans: &[Span]) -> u64 {
    spans.iter().map(|span| u64::from(span.length)).sum()
}

/// A number of things of at least one bit each.
fn read_count(input: &mut BitReader<'_>) -> Option<u64> {
    let count = varbit::read_u64(input);
    (count <= input.remaining() as u64).then_some(count)
}

fn write_spans(out: &mut BitWriter, spans: &[Span]) {
    varbit::write_u64(out, spans.len() as u64);
    for span in spans {
        varbit::write_u64(out, u64::from(span.length));
        varbit::write_i64(out, i64::from(span.offset));
    }
}

fn read_spans(input: &mut BitReader<'_>) -> Option<Vec<Span>> {
    let count = read_count(input)?;
    let mut spans = Vec::new();
    for _ in 0..count {
        let length = u32::try_from(varbit::read_u64(input)).ok()?;
        let offset = i32::try_from(varbit::read_i64(input)).ok()?;
        spans.push(Span { offset, length });
    }
    Some(spans)
}

fn write_threshold(out: &mut BitWriter, threshold: f64) {
    let bits = threshold.to_bits();
    let exponent = bits >> 52;
    if threshold == 0.0 {
        out.short(0, 8);
    } else if bits << 12 == 0 && (THRESHOLD_BIAS + 1..THRESHOLD_BIAS + THRESHOLD_RAW).contains(&exponent) {
        out.short(exponent - THRESHOLD_BIAS, 8);
    } else {
        out.short(THRESHOLD_RAW, 8);
        out.bits(bits, 64);
    }
}

fn read_threshold(input: &mut BitReader<'_>) -> f64 {
    match input.take(8) {
        0 => 0.0,
        THRESHOLD_RAW => f64::from_bits(input.take(64)),
        byte => f64::from_bits((byte + THRESHOLD_BIAS) << 52),
    }
}

fn write_bound(out: &mut BitWriter, bound: f64) {
    let thousandths = (bound * 1000.0).round();
    let small = (0.0..=BOUND_THOUSANDTHS_MAX).contains(&(bound * 1000.0));
    if small && thousandths / 1000.0 == bound {
        varbit::write_u64(out, thousandths as u64 + 1);
    } else {
        out.short(0, 1);
        out.bits(bound.to_bits(), 64);
    }
}

fn read_bound(input: &mut BitReader<'_>) -> f64 {
    match varbit::read_u64(input) {
        0 => f64::from_bits(input.take(64)),
        code => (code - 1) as f64 / 1000.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn thresholds_round_trip(threshold: f64, exponent in -1074i32..1023) {
            for threshold in [threshold, 2f64.powi(exponent), -(2f64.powi(exponent))] {
                let mut out = BitWriter::default();
                write_threshold(&mut out, threshold);
                let read = read_threshold(&mut BitReader::new(&out.bytes));
                prop_assert!(read.to_bits() == threshold.to_bits() || read == 0.0 && threshold == 0.0);
            }
        }

        #[test]
        fn bounds_round_trip(bound: f64, decimal in -50_000_000i64..50_000_000) {
            for bound in [bound, decimal as f64 / 1000.0] {
                let mut out = BitWriter::default();
                write_bound(&mut out, bound);
                let read = read_bound(&mut BitReader::new(&out.bytes));
                prop_assert!(read.to_bits() == bound.to_bits() || read == 0.0 && bound == 0.0);
            }
        }
    }

    #[test]
    fn common_thresholds_take_a_byte() {
        let byte = |threshold| {
            let mut out = BitWriter::default();
            write_threshold(&mut out, threshold);
            (out.bytes.first().copied(), out.bytes.len())
        };
        assert_eq!(byte(2f64.powi(-128)), (Some(116), 1));
        assert_eq!(byte(2f64.powi(-243)), (Some(1), 1));
        assert_eq!(byte(2f64.powi(10)), (Some(254), 1));
        assert_eq!(byte(2f64.powi(11)), (Some(255), 9));
        assert_eq!(byte(2f64.powi(-244)), (Some(255), 9));
        assert_eq!(byte(-1.0), (Some(255), 9));
    }

    #[test]
    fn a_layout_of_more_buckets_than_bits_is_refused() {
        let mut out = BitWriter::default();
        let spans = vec![
            Span {
                offset: 0,
                length: u32::MAX
            };
            3
        ];
        Layout {
            positive_spans: spans,
            ..Layout::default()
        }
        .write(&mut out);
        assert_eq!(Layout::read(&mut BitReader::new(&out.bytes)), None);
    }
}
