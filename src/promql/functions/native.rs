//! Quantiles, fractions and the variance of native histograms. Observations of an exponential bucket are taken to lie
//! evenly on a logarithmic scale, those of a custom bucket and of the zero bucket evenly.

use crate::base::kahan::Compensated;
use crate::base::math::{NAN, exp2, log2};
use crate::model::float_histogram::{Bucket, FloatHistogram};
use crate::promql::annotations::Annotation;

/// An answer, and what makes it doubtful; it takes the metric's name.
pub(super) type Judged = (f64, Option<fn(String) -> Annotation>);

/// Next to buckets of one sign only, the zero bucket lies on their side.
fn on_one_side(histogram: &FloatHistogram, mut bucket: Bucket) -> Bucket {
    if histogram.negative.is_empty() && !histogram.positive.is_empty() {
        bucket.lower = 0.0;
    } else if histogram.positive.is_empty() && !histogram.negative.is_empty() {
        bucket.upper = 0.0;
    }
    bucket
}

pub(super) fn quantile(q: f64, histogram: &FloatHistogram) -> Judged {
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    if histogram.count == 0.0 || q.is_nan() {
        return (NAN, None);
    }
    // NaN observations are counted, but in no bucket: then only the way upwards leads to the right one.
    let has_nan_sum = histogram.sum.is_nan();
    if has_nan_sum || q < 0.5 {
        let mut buckets = histogram.buckets_ascending();
        let found = find(&mut buckets, q * histogram.count);
        let Some(found) = found else { return (NAN, None) };
        let rest: f64 = if has_nan_sum {
            buckets.fold(found.count, |sum, bucket| sum + bucket.count)
        } else {
            0.0
        };
        quantile_within(histogram, &found, Walk::Upwards, rest)
    } else {
        let found = find(&mut histogram.buckets_descending(), (1.0 - q) * histogram.count);
        let Some(found) = found else { return (NAN, None) };
        quantile_within(histogram, &found, Walk::Downwards, 0.0)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Walk {
    Upwards,
    Downwards,
}

/// Where a walk over buckets ended.
struct Found {
    bucket: Bucket,
    /// The observations up to and with this bucket.
    count: f64,
    rank: f64,
}

/// The bucket with the observation of this rank, or the last bucket.
fn find(buckets: &mut impl Iterator<Item = Bucket>, rank: f64) -> Option<Found> {
    let mut count = 0.0;
    let mut last = None;
    for bucket in buckets {
        last = Some(bucket);
        if bucket.count == 0.0 {
            continue;
        }
        count += bucket.count;
        if count >= rank {
            break;
        }
    }
    let nothing = Bucket {
        lower: 0.0,
        upper: 0.0,
        lower_inclusive: false,
        upper_inclusive: false,
        count: 0.0,
    };
    Some(Found {
        bucket: last.unwrap_or(nothing),
        count,
        rank,
    })
}

/// `in_buckets` is the number of observations in all buckets, needed only when the sum is NaN.
fn quantile_within(histogram: &FloatHistogram, found: &Found, walk: Walk, in_buckets: f64) -> Judged {
    let mut bucket = found.bucket;
    let is_custom = histogram.has_custom_buckets();
    if !is_custom && bucket.lower < 0.0 && bucket.upper > 0.0 {
        bucket = on_one_side(histogram, bucket);
    } else if is_custom && bucket.lower == f64::NEG_INFINITY {
        if bucket.upper <= 0.0 {
            return (bucket.upper, None);
        }
        bucket.lower = 0.0;
    } else if is_custom && bucket.upper == f64::INFINITY {
        return (bucket.lower, None);
    }
    // Rounding may have counted more than there are.
    let count = if found.count > histogram.count {
        histogram.count
    } else {
        found.count
    };
    let has_nan_sum = histogram.sum.is_nan();
    if count < found.rank {
        if has_nan_sum {
            return (NAN, Some(|metric| Annotation::QuantileOfNan { metric }));
        }
        return (bucket.upper, None);
    }
    let rank = match walk {
        Walk::Upwards => found.rank - (count - bucket.count),
        Walk::Downwards => count - found.rank,
    };
    let mut doubt: Option<fn(String) -> Annotation> = None;
    if has_nan_sum && in_buckets < histogram.count {
        doubt = Some(|metric| Annotation::QuantileSkewedByNan { metric });
    }
    (interpolate(&bucket, rank / bucket.count, is_custom), doubt)
}

/// The number with this fraction of the bucket's observations below it.
fn interpolate(bucket: &Bucket, fraction: f64, is_custom: bool) -> f64 {
    if is_custom || (bucket.lower <= 0.0 && bucket.upper >= 0.0) {
        return bucket.lower + (bucket.upper - bucket.lower) * fraction;
    }
    let (lower, upper) = (log2(bucket.lower.abs()), log2(bucket.upper.abs()));
    if bucket.lower > 0.0 {
        exp2(lower + (upper - lower) * fraction)
    } else {
        -exp2(upper + (lower - upper) * (1.0 - fraction))
    }
}

pub(super) fn fraction(lower: f64, upper: f64, histogram: &FloatHistogram) -> Judged {
    if histogram.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return (NAN, None);
    }
    if lower >= upper {
        return (0.0, None);
    }
    let mut limits = [(lower, None), (upper, None)];
    let mut below = 0.0;
    let mut count = 0.0;
    let mut buckets = histogram.buckets_ascending();
    for mut bucket in buckets.by_ref() {
        count += bucket.count;
        let is_zero = bucket.lower <= 0.0 && bucket.upper >= 0.0;
        if is_zero {
            bucket = on_one_side(histogram, bucket);
        }
        let is_linear = is_zero || histogram.has_custom_buckets();
        for (limit, rank) in &mut limits {
            if rank.is_none() {
                *rank = rank_within(&bucket, *limit, below, is_linear);
            }
        }
        if limits.iter().all(|limit| limit.1.is_some()) {
            break;
        }
        below += bucket.count;
    }
    let mut doubt: Option<fn(String) -> Annotation> = None;
    if histogram.sum.is_nan() {
        count = buckets.fold(count, |sum, bucket| sum + bucket.count);
        if count < histogram.count {
            doubt = Some(|metric| Annotation::FractionWithNan { metric });
        }
    } else {
        count = histogram.count;
    }
    let [lower, upper] = limits.map(|(_, rank)| match rank {
        Some(rank) if rank <= count || rank.is_nan() => rank,
        _ => count,
    });
    ((upper - lower) / histogram.count, doubt)
}

/// How many observations lie below a limit that is not above this bucket; `below` are those of the buckets before.
fn rank_within(bucket: &Bucket, limit: f64, below: f64, is_linear: bool) -> Option<f64> {
    if bucket.lower >= limit {
        return Some(below);
    }
    if bucket.upper <= limit {
        return None;
    }
    if is_linear {
        if bucket.lower == f64::NEG_INFINITY {
            return Some(bucket.count);
        }
        return Some(below + bucket.count * (limit - bucket.lower) / (bucket.upper - bucket.lower));
    }
    let [lower, upper, at] = [bucket.lower, bucket.upper, limit].map(|number| log2(number.abs()));
    let fraction = if limit > 0.0 {
        (at - lower) / (upper - lower)
    } else {
        1.0 - (at - upper) / (lower - upper)
    };
    Some(below + bucket.count * fraction)
}

/// The variance, with all observations of a bucket in its middle.
pub(super) fn variance(histogram: &FloatHistogram) -> f64 {
    let mean = histogram.sum / histogram.count;
    let mut variance = Compensated::default();
    for bucket in histogram.buckets_ascending().filter(|bucket| bucket.count != 0.0) {
        let middle = if histogram.has_custom_buckets() {
            (bucket.upper + bucket.lower) / 2.0
        } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
            0.0
        } else {
            (bucket.upper * bucket.lower).sqrt().copysign(bucket.upper)
        };
        let delta = middle - mean;
        variance.add(bucket.count * delta * delta);
    }
    variance.total() / histogram.count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::histogram::CUSTOM_BUCKETS_SCHEMA;

    /// -2 to -1: 4, zero to 0.5: 2, 1 to 2: 4, 2 to 4: 6
    fn mixed() -> FloatHistogram {
        FloatHistogram {
            zero_threshold: 0.5,
            zero_count: 2.0,
            count: 16.0,
            sum: 20.0,
            positive: [(1, 4.0), (2, 6.0)].into_iter().collect(),
            negative: [(1, 4.0)].into_iter().collect(),
            ..FloatHistogram::default()
        }
    }

    fn custom() -> FloatHistogram {
        FloatHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count: 8.0,
            sum: 20.0,
            positive: [(0, 2.0), (1, 4.0), (2, 2.0)].into_iter().collect(),
            custom_values: [5.0, 10.0].into(),
            ..FloatHistogram::default()
        }
    }

    #[test]
    fn quantiles() {
        let root = std::f64::consts::SQRT_2;
        let table = [
            (mixed(), 0.125, -root),
            (mixed(), 0.3125, 0.0),
            (mixed(), 0.5, root),
            (mixed(), 0.8125, 2.0 * root),
            (mixed(), 1.0, 4.0),
            (mixed(), 0.0, -2.0),
            (mixed(), -1.0, f64::NEG_INFINITY),
            (mixed(), 2.0, f64::INFINITY),
            (custom(), 0.125, 2.5),
            (custom(), 0.5, 7.5),
            (custom(), 0.9, 10.0),
        ];
        for (histogram, q, expected) in table {
            let (answer, doubt) = quantile(q, &histogram);
            assert!(
                (answer - expected).abs() < 1e-15 || answer == expected,
                "{q} is {answer}, not {expected}"
            );
            assert!(doubt.is_none());
        }
        assert!(quantile(f64::NAN, &mixed()).0.is_nan());
        assert!(quantile(0.5, &FloatHistogram::default()).0.is_nan());
    }

    #[test]
    fn nan_observations_make_answers_doubtful() {
        let mut histogram = mixed();
        histogram.sum = f64::NAN;
        assert!(quantile(0.9, &histogram).1.is_none());
        histogram.count = 20.0;
        let named = |judged: Judged| judged.1.map(|doubt| doubt("h".into()));
        assert_eq!(
            named(quantile(0.5, &histogram)),
            Some(Annotation::QuantileSkewedByNan { metric: "h".into() })
        );
        assert!(quantile(0.9, &histogram).0.is_nan());
        assert_eq!(
            named(quantile(0.9, &histogram)),
            Some(Annotation::QuantileOfNan { metric: "h".into() })
        );
        assert_eq!(fraction(-10.0, 10.0, &histogram).0, 0.8);
        assert_eq!(
            named(fraction(-10.0, 1.0, &histogram)),
            Some(Annotation::FractionWithNan { metric: "h".into() })
        );
    }

    #[test]
    fn fractions() {
        let infinity = f64::INFINITY;
        let table = [
            (mixed(), (-infinity, infinity), 1.0),
            (mixed(), (0.0, infinity), 11.0 / 16.0),
            (mixed(), (1.0, 2.0), 0.25),
            (mixed(), (-2.0, 0.25), 5.5 / 16.0),
            (mixed(), (3.0, 1.0), 0.0),
            (custom(), (0.0, 2.5), 0.125),
            (custom(), (5.0, 7.5), 0.25),
            (custom(), (10.0, infinity), 0.25),
        ];
        for (histogram, (lower, upper), expected) in table {
            assert_eq!(
                fraction(lower, upper, &histogram).0,
                expected,
                "{lower} to {upper} of {histogram}"
            );
        }
        let (half, _) = fraction(1.0, std::f64::consts::SQRT_2, &mixed());
        assert!((half - 0.125).abs() < 1e-15);
        assert!(fraction(f64::NAN, 1.0, &mixed()).0.is_nan());
    }

    #[test]
    fn variances() {
        let histogram = FloatHistogram {
            count: 4.0,
            sum: 0.0,
            positive: [(2, 2.0)].into_iter().collect(),
            negative: [(2, 2.0)].into_iter().collect(),
            ..FloatHistogram::default()
        };
        assert!((variance(&histogram) - 8.0).abs() < 1e-14);
        assert_eq!(
            variance(&FloatHistogram {
                custom_values: [2.0, 4.0].into(),
                positive: [(1, 3.0)].into_iter().collect(),
                count: 3.0,
                sum: 6.0,
                ..custom()
            }),
            1.0
        );
    }
}
