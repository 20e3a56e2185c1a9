//! Quantiles and fractions of classic histograms: buckets with upper bounds and cumulative counts.

use crate::base::math::NAN;
use crate::promql::annotations::ForcedExtent;

/// A bucket of a classic histogram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ClassicBucket {
    pub(super) upper: f64,
    /// The observations in this and all lower buckets.
    pub(super) count: f64,
}

/// Differences of counts, relative to them, that are put down to rounding.
const TOLERANCE: f64 = 1e-12;

/// Sorts buckets, joins those with one bound, and says whether the last one takes all observations.
fn order(buckets: &mut Vec<ClassicBucket>) -> bool {
    buckets.sort_by(|a, b| a.upper.total_cmp(&b.upper));
    buckets.dedup_by(|next, before| {
        let is_same = next.upper == before.upper;
        if is_same {
            before.count += next.count;
        }
        is_same
    });
    buckets.last().is_some_and(|last| last.upper == f64::INFINITY)
}

/// The quantile, and what had to be done to make the counts grow, as in [`make_monotonic`].
pub(super) fn quantile(
    q: f64,
    time_ms: i64,
    buckets: &mut Vec<ClassicBucket>,
) -> (f64, Option<ForcedExtent>) {
    if q.is_nan() {
        return (NAN, None);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    if !order(buckets) {
        return (NAN, None);
    }
    let forced = make_monotonic(buckets, time_ms);
    (quantile_of_ordered(q, buckets), forced)
}

#[expect(
    clippy::neg_cmp_op_on_partial_ord,
    reason = "a rank that is NaN is above all counts"
)]
fn quantile_of_ordered(q: f64, buckets: &[ClassicBucket]) -> f64 {
    let [below @ .., all] = buckets else { return NAN };
    let Some(highest) = below.last() else { return NAN };
    if all.count == 0.0 {
        return NAN;
    }
    let rank = q * all.count;
    let position = below.partition_point(|bucket| !(bucket.count >= rank));
    let Some(bucket) = below.get(position) else {
        return highest.upper;
    };
    let Some(before) = position.checked_sub(1).and_then(|before| below.get(before)) else {
        // A first bucket that ends above zero starts there.
        let is_negative = bucket.upper <= 0.0;
        return if is_negative {
            bucket.upper
        } else {
            // A rank of -0 is the quantile 0.
            0.0 + bucket.upper * (rank / bucket.count)
        };
    };
    let share = (rank - before.count) / (bucket.count - before.count);
    before.upper + (bucket.upper - before.upper) * share
}

/// Makes counts grow with the bounds, as quantiles need them: small differences are levelled in silence, a fall is
/// levelled and reported. Buckets scraped at different moments can look so.
fn make_monotonic(buckets: &mut [ClassicBucket], time_ms: i64) -> Option<ForcedExtent> {
    let mut forced: Option<ForcedExtent> = None;
    let (first, rest) = buckets.split_first_mut()?;
    let mut before = first.count;
    for bucket in rest {
        if bucket.count == before {
            continue;
        }
        let is_fall = bucket.count < before;
        if is_almost(before, bucket.count) {
            bucket.count = before;
        } else if is_fall {
            let extent = ForcedExtent {
                first_ms: time_ms,
                last_ms: time_ms,
                bucket_min: bucket.upper,
                bucket_max: bucket.upper,
                difference_max: before - bucket.count,
                samples: 1,
            };
            match &mut forced {
                None => forced = Some(extent),
                Some(forced) => {
                    forced.bucket_max = bucket.upper;
                    forced.difference_max = forced.difference_max.max(extent.difference_max);
                }
            }
            bucket.count = before;
        } else {
            before = bucket.count;
        }
    }
    forced
}

fn is_almost(a: f64, b: f64) -> bool {
    if a.is_nan() && b.is_nan() {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

/// The fraction of the observations between two numbers.
pub(super) fn fraction(lower: f64, upper: f64, buckets: &mut Vec<ClassicBucket>) -> f64 {
    if !order(buckets) {
        return NAN;
    }
    let count = buckets.last().map_or(0.0, |last| last.count);
    if count == 0.0 || lower.is_nan() || upper.is_nan() {
        return NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let [lower, upper] = [lower, upper].map(|limit| count_below(limit, buckets).min(count));
    (upper - lower) / count
}

/// How many observations lie below a number; those of its bucket lie evenly.
fn count_below(limit: f64, buckets: &[ClassicBucket]) -> f64 {
    let starts_at_zero = buckets.first().is_some_and(|first| first.upper > 0.0);
    let mut start = if starts_at_zero { 0.0 } else { f64::NEG_INFINITY };
    let mut below = 0.0;
    for bucket in buckets {
        if start >= limit {
            return below;
        }
        if bucket.upper > limit {
            if start == f64::NEG_INFINITY {
                return bucket.count;
            }
            return below + (bucket.count - below) * (limit - start) / (bucket.upper - start);
        }
        below = bucket.count;
        start = bucket.upper;
    }
    f64::INFINITY
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(buckets: &[(f64, f64)]) -> Vec<ClassicBucket> {
        buckets
            .iter()
            .map(|(upper, count)| ClassicBucket {
                upper: *upper,
                count: *count,
            })
            .collect()
    }

    const INFINITY: f64 = f64::INFINITY;

    /// A quantile, bounds with counts, and what it is.
    type Case<'a> = (f64, &'a [(f64, f64)], f64);

    #[test]
    fn quantiles() {
        let table: &[Case<'_>] = &[
            (0.5, &[(1.0, 2.0), (2.0, 4.0), (INFINITY, 4.0)], 1.0),
            (0.75, &[(INFINITY, 4.0), (2.0, 4.0), (1.0, 2.0)], 1.5),
            (0.25, &[(1.0, 2.0), (INFINITY, 4.0)], 0.5),
            (0.25, &[(-1.0, 2.0), (INFINITY, 4.0)], -1.0),
            (0.9, &[(1.0, 2.0), (INFINITY, 4.0)], 1.0),
            (0.0, &[(1.0, 1.0), (2.0, 4.0), (INFINITY, 4.0)], 0.0),
            (-0.1, &[], -INFINITY),
            (1.1, &[], INFINITY),
            // Two series with one bound add up.
            (0.5, &[(1.0, 1.0), (1.0, 1.0), (2.0, 4.0), (INFINITY, 4.0)], 1.0),
        ];
        for (q, buckets, expected) in table {
            assert_eq!(
                quantile(*q, 0, &mut of(buckets)),
                (*expected, None),
                "{q} of {buckets:?}"
            );
        }
        let (least, _) = quantile(-0.0, 0, &mut of(&[(1.0, 1.0), (INFINITY, 1.0)]));
        assert_eq!(least.to_bits(), 0.0f64.to_bits());
        let nothing: &[&[(f64, f64)]] = &[
            &[],
            &[(1.0, 2.0)],
            &[(INFINITY, 2.0)],
            &[(1.0, 0.0), (INFINITY, 0.0)],
        ];
        for buckets in nothing {
            assert!(quantile(0.5, 0, &mut of(buckets)).0.is_nan(), "{buckets:?}");
        }
    }

    #[test]
    fn falling_counts_are_levelled() {
        let mut buckets = of(&[
            (1.0, 4.0),
            (2.0, 3.0),
            (5.0, 2.0),
            (8.0, 4.0 + 1e-13),
            (INFINITY, 6.0),
        ]);
        let (_, forced) = quantile(0.5, 7, &mut buckets);
        let counts: Vec<f64> = buckets.iter().map(|bucket| bucket.count).collect();
        assert_eq!(counts, [4.0, 4.0, 4.0, 4.0, 6.0]);
        let forced = forced.expect("counts fell");
        assert_eq!(
            (forced.bucket_min, forced.bucket_max, forced.difference_max),
            (2.0, 5.0, 2.0)
        );
        assert_eq!((forced.first_ms, forced.last_ms, forced.samples), (7, 7, 1));
    }

    #[test]
    fn fractions() {
        let buckets = [(1.0, 2.0), (2.0, 4.0), (INFINITY, 8.0)];
        let table = [
            (0.0, 1.0, 0.25),
            (0.0, 0.5, 0.125),
            (0.5, 1.5, 0.25),
            (1.0, INFINITY, 0.75),
            (-INFINITY, 2.0, 0.5),
            (3.0, INFINITY, 0.5),
            (3.0, 4.0, 0.0),
            (2.0, 1.0, 0.0),
        ];
        for (lower, upper, expected) in table {
            assert_eq!(
                fraction(lower, upper, &mut of(&buckets)),
                expected,
                "{lower} to {upper}"
            );
        }
        assert!(fraction(f64::NAN, 1.0, &mut of(&buckets)).is_nan());
        assert!(fraction(0.0, 1.0, &mut of(&[(1.0, 2.0)])).is_nan());
        let negative = [(-1.0, 2.0), (INFINITY, 4.0)];
        assert_eq!(fraction(-INFINITY, -2.0, &mut of(&negative)), 0.5);
    }
}
