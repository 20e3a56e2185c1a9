//! Histograms of OTLP as native ones: exponential buckets as they are, explicit bounds as custom buckets.

use super::message::{Buckets, ExponentialValue, HistogramValue};
use crate::model::histogram::{CUSTOM_BUCKETS_SCHEMA, Counts, Histogram, ResetHint, Span};
use crate::model::sample::STALE_NAN_BITS;

/// Width of the zero bucket where none is said, as Prometheus takes it.
const ZERO_THRESHOLD: f64 = 1e-128;
/// The coarsest and the finest resolution there is.
const SCALES: std::ops::RangeInclusive<i32> = -4..=20;
/// Empty buckets between two others that are written, rather than a span begun.
const GAP_MAX: i64 = 2;

/// An exponential histogram as a native one, or why it is none.
pub(super) fn exponential(value: &ExponentialValue) -> Result<Histogram, String> {
    if !SCALES.contains(&value.scale) {
        return Err(format!(
            "a scale of {}, only {SCALES:?} can be stored",
            value.scale
        ));
    }
    // The bucket with index 0 ends at the base there, and at 1 here.
    let (positive_spans, positive) = layout(&value.positive, 1)?;
    let (negative_spans, negative) = layout(&value.negative, 1)?;
    let zero_threshold = match value.zero_threshold {
        width if width > 0.0 && width.is_finite() => width,
        _ => ZERO_THRESHOLD,
    };
    Ok(Histogram {
        reset_hint: ResetHint::Unknown,
        schema: value.scale,
        zero_threshold,
        sum: value.sum.unwrap_or(0.0),
        positive_spans,
        negative_spans,
        custom_values: Vec::new(),
        counts: Counts::Int {
            count: value.count,
            zero_count: value.zero_count,
            positive,
            negative,
        },
    })
}

/// A histogram with bounds as a native one with custom buckets, or why it is none.
pub(super) fn explicit(value: &HistogramValue) -> Result<Histogram, String> {
    let buckets = Buckets {
        offset: 0,
        counts: value.bucket_counts.clone(),
    };
    let (positive_spans, positive) = layout(&buckets, 0)?;
    Ok(Histogram {
        reset_hint: ResetHint::Unknown,
        schema: CUSTOM_BUCKETS_SCHEMA,
        zero_threshold: 0.0,
        sum: value.sum.unwrap_or(0.0),
        positive_spans,
        negative_spans: Vec::new(),
        custom_values: value.bounds.clone(),
        counts: Counts::Int {
            count: value.count,
            zero_count: 0,
            positive,
            negative: Vec::new(),
        },
    })
}

/// A histogram that says that its series has ended.
pub(super) fn stale() -> Histogram {
    Histogram {
        reset_hint: ResetHint::Unknown,
        schema: 0,
        zero_threshold: 0.0,
        sum: f64::from_bits(STALE_NAN_BITS),
        positive_spans: Vec::new(),
        negative_spans: Vec::new(),
        custom_values: Vec::new(),
        counts: Counts::Int {
            count: 0,
            zero_count: 0,
            positive: Vec::new(),
            negative: Vec::new(),
        },
    }
}

/// Spans, and the difference of each bucket to the one before. Empty buckets are left out where many follow each other.
fn layout(buckets: &Buckets, shift: i64) -> Result<(Vec<Span>, Vec<i64>), String> {
    let (mut spans, mut deltas): (Vec<Span>, Vec<i64>) = (Vec::new(), Vec::new());
    // One past the last bucket that was written.
    let (mut end, mut before) = (0i64, 0i64);
    let first = i64::from(buckets.offset) + shift;
    for (index, count) in (first..).zip(&buckets.counts).filter(|one| *one.1 > 0) {
        let count = i64::try_from(*count).map_err(|_| "a bucket has more than 2^63 observations")?;
        let gap = index - end;
        match spans.last_mut() {
            Some(last) if gap <= GAP_MAX => {
                for _ in 0..gap {
                    deltas.push(-before);
                    before = 0;
                }
                last.length += gap as u32 + 1;
            }
            _ => spans.push(Span {
                offset: i32::try_from(gap).map_err(|_| "a bucket's index has more than 32 bits")?,
                length: 1,
            }),
        }
        deltas.push(count - before);
        (before, end) = (count, index + 1);
    }
    Ok((spans, deltas))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::float_histogram::FloatHistogram;

    fn buckets(offset: i32, counts: &[u64]) -> Buckets {
        Buckets {
            offset,
            counts: counts.to_vec(),
        }
    }

    #[test]
    fn buckets_keep_their_places() {
        let value = ExponentialValue {
            count: 21,
            sum: Some(3.5),
            scale: 3,
            zero_count: 1,
            positive: buckets(-2, &[0, 1, 0, 0, 2, 0, 0, 0, 3]),
            negative: buckets(5, &[4, 10]),
            ..ExponentialValue::default()
        };
        let histogram = exponential(&value).unwrap();
        histogram.validate().unwrap();
        let span = |offset, length| Span { offset, length };
        assert_eq!(histogram.positive_spans, [span(0, 4), span(3, 1)]);
        assert_eq!(histogram.negative_spans, [span(6, 2)]);
        let floats = FloatHistogram::from(&histogram);
        assert_eq!(floats.positive.counts(), [1.0, 0.0, 0.0, 2.0, 3.0]);
        assert_eq!(
            (floats.zero_threshold, floats.sum, floats.count),
            (1e-128, 3.5, 21.0)
        );
    }

    #[test]
    fn bounds_become_custom_buckets() {
        let value = HistogramValue {
            count: 6,
            sum: None,
            bucket_counts: vec![0, 2, 0, 4],
            bounds: vec![1.0, 2.0, 3.0],
        };
        let histogram = explicit(&value).unwrap();
        histogram.validate().unwrap();
        assert_eq!(histogram.positive_spans, [Span { offset: 1, length: 3 }]);
    }

    #[test]
    fn what_cannot_be_stored_is_said() {
        let with = |scale, offset, count| ExponentialValue {
            scale,
            positive: buckets(offset, &[count]),
            ..ExponentialValue::default()
        };
        assert!(exponential(&with(-5, 0, 1)).unwrap_err().contains("-5"));
        assert!(exponential(&with(21, 0, 1)).is_err());
        assert!(exponential(&with(0, i32::MAX, 1)).is_err());
        assert!(exponential(&with(0, 0, u64::MAX)).is_err());
        assert!(exponential(&with(0, i32::MIN, 1)).is_ok());
    }
}
