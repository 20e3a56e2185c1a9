//! What is left of a histogram when observations above or below a number are taken away. Within a bucket they are assumed
//! to lie as queries assume it for quantiles; the sum is made anew of the middles of the buckets.

use super::iterate::Bucket;
use super::{Buckets, FloatHistogram};
use crate::base::math::log2;

/// Which observations stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Those up to the number: `</`.
    Below,
    /// Those from the number on: `>/`.
    Above,
}

/// How observations lie within a bucket.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spread {
    /// Evenly: custom buckets and the zero bucket.
    Linear,
    /// Evenly on a logarithmic scale.
    Positive,
    Negative,
}

/// Count and sum of what stays.
#[derive(Default)]
struct Kept {
    count: f64,
    sum: f64,
}

impl FloatHistogram {
    /// The observations below or above `limit`. The same histogram when that are all.
    pub(crate) fn trimmed(&self, keep: Keep, limit: f64) -> Self {
        let mut kept = Kept::default();
        let spread = |exponential| {
            if self.has_custom_buckets() {
                Spread::Linear
            } else {
                exponential
            }
        };
        let positive = self.trimmed_side(true, spread(Spread::Positive), (keep, limit), &mut kept);
        let negative = self.trimmed_side(false, spread(Spread::Negative), (keep, limit), &mut kept);
        let mut zero_count = self.zero_count;
        if zero_count > 0.0 {
            let (count, middle) = self.trimmed_zero_bucket(keep, limit);
            zero_count = count;
            kept.sum += middle * count;
            kept.count += count;
        }
        if positive.is_none() && negative.is_none() && zero_count == self.zero_count {
            return self.clone();
        }
        let mut trimmed = Self {
            zero_count,
            count: kept.count,
            sum: kept.sum,
            positive: positive.unwrap_or_else(|| self.positive.clone()),
            negative: negative.unwrap_or_else(|| self.negative.clone()),
            ..self.clone()
        };
        trimmed.compact();
        trimmed
    }

    /// The buckets of one sign, or `None` when all of them stay as they are.
    fn trimmed_side(
        &self,
        is_positive: bool,
        spread: Spread,
        (keep, limit): (Keep, f64),
        kept: &mut Kept,
    ) -> Option<Buckets> {
        let mut is_changed = false;
        let counts: Vec<f64> = self
            .buckets_outwards(is_positive)
            .map(|bucket| {
                if bucket.count == 0.0 {
                    return bucket.count;
                }
                let (stays, is_cut) = match keep {
                    Keep::Below => (bucket.upper <= limit, bucket.lower < limit),
                    Keep::Above => (bucket.lower >= limit, bucket.upper > limit),
                };
                let (count, middle) = match (stays, is_cut) {
                    (true, _) => (bucket.count, middle_of(bucket.lower, bucket.upper, spread)),
                    (false, true) => cut(&bucket, keep, limit, spread),
                    (false, false) => {
                        is_changed = true;
                        return 0.0;
                    }
                };
                kept.count += count;
                kept.sum += middle * count;
                is_changed |= count != bucket.count;
                count
            })
            .collect();
        is_changed.then(|| Buckets::new(self.side(is_positive).spans(), counts))
    }

    /// Count and middle of what stays of the zero bucket. Next to buckets of one sign only it lies on their side.
    fn trimmed_zero_bucket(&self, keep: Keep, limit: f64) -> (f64, f64) {
        let is_filled = |buckets: &Buckets| buckets.counts().iter().any(|count| *count != 0.0);
        let (has_positive, has_negative) = (is_filled(&self.positive), is_filled(&self.negative));
        let zero = self.zero_bucket();
        let lower = if has_positive && !has_negative {
            0.0
        } else {
            zero.lower
        };
        let upper = if has_negative && !has_positive {
            0.0
        } else {
            zero.upper
        };
        match keep {
            Keep::Below if limit <= lower => (0.0, 0.0),
            Keep::Above if limit <= lower => (zero.count, (lower + upper) / 2.0),
            Keep::Below if limit >= upper => (zero.count, (lower + upper) / 2.0),
            Keep::Above if limit >= upper => (0.0, 0.0),
            Keep::Below => (
                zero.count * ((limit - lower) / (upper - lower)),
                (lower + limit) / 2.0,
            ),
            Keep::Above => (
                zero.count * ((upper - limit) / (upper - lower)),
                (limit + upper) / 2.0,
            ),
        }
    }
}

/// Count and middle of what stays of a bucket that contains the limit.
fn cut(bucket: &Bucket, keep: Keep, limit: f64, spread: Spread) -> (f64, f64) {
    if bucket.lower == f64::NEG_INFINITY {
        return cut_without_start(bucket, keep, limit);
    }
    if bucket.upper == f64::INFINITY {
        return match keep {
            // How much lies below is not known.
            Keep::Below => (
                0.0,
                if bucket.lower.is_infinite() {
                    0.0
                } else {
                    bucket.lower
                },
            ),
            Keep::Above if limit >= bucket.lower => (bucket.count, limit),
            Keep::Above => (0.0, bucket.lower),
        };
    }
    let below = bucket.count * fraction_below(bucket, limit, spread);
    match keep {
        Keep::Below => (below, middle_of(bucket.lower, limit, spread)),
        Keep::Above => (bucket.count - below, middle_of(limit, bucket.upper, spread)),
    }
}

/// The first of the custom buckets. With a positive end it is taken to start at zero, otherwise nothing is known of it.
fn cut_without_start(bucket: &Bucket, keep: Keep, limit: f64) -> (f64, f64) {
    let Bucket {
        lower, upper, count, ..
    } = *bucket;
    let nothing = (0.0, if upper.is_infinite() { 0.0 } else { upper });
    match keep {
        Keep::Below if limit >= upper => (count, 0.0),
        Keep::Below if limit > 0.0 && upper > 0.0 && upper != f64::INFINITY => {
            (count * limit / upper, limit / 2.0)
        }
        Keep::Below if upper <= 0.0 => (count, limit),
        Keep::Above if limit <= lower => (count, 0.0),
        Keep::Above if limit >= 0.0 && upper > limit && upper != f64::INFINITY => {
            (count * (1.0 - limit / upper), (limit + upper) / 2.0)
        }
        _ => nothing,
    }
}

fn fraction_below(bucket: &Bucket, limit: f64, spread: Spread) -> f64 {
    if spread == Spread::Linear {
        return (limit - bucket.lower) / (bucket.upper - bucket.lower);
    }
    let [lower, upper, at] = [bucket.lower, bucket.upper, limit].map(|number| log2(number.abs()));
    if spread == Spread::Positive {
        (at - lower) / (upper - lower)
    } else {
        1.0 - (at - upper) / (lower - upper)
    }
}

fn middle_of(lower: f64, upper: f64, spread: Spread) -> f64 {
    match (lower.is_infinite(), upper.is_infinite()) {
        (true, true) => 0.0,
        (true, false) => {
            if upper > 0.0 {
                upper / 2.0
            } else {
                upper
            }
        }
        (false, true) => lower,
        (false, false) => match spread {
            Spread::Linear => (lower + upper) / 2.0,
            Spread::Positive => (lower * upper).abs().sqrt(),
            Spread::Negative => -(lower * upper).abs().sqrt(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::histogram::CUSTOM_BUCKETS_SCHEMA;

    fn mixed() -> FloatHistogram {
        FloatHistogram {
            zero_threshold: 0.5,
            zero_count: 2.0,
            count: 18.0,
            sum: 99.0,
            positive: [(1, 4.0), (2, 8.0)].into_iter().collect(),
            negative: [(1, 4.0)].into_iter().collect(),
            ..FloatHistogram::default()
        }
    }

    #[test]
    fn what_takes_nothing_away_changes_nothing() {
        let infinity = f64::INFINITY;
        for (keep, limit) in [
            (Keep::Below, infinity),
            (Keep::Below, 4.0),
            (Keep::Above, -infinity),
            (Keep::Above, -2.0),
        ] {
            assert_eq!(mixed().trimmed(keep, limit), mixed());
        }
    }

    #[test]
    fn exponential_buckets() {
        let table = [
            (
                Keep::Below,
                2.0,
                "{count:10, sum:0, [-2,-1):4, [-0.5,0.5]:2, (1,2]:4}",
            ),
            (Keep::Above, 2.0, "{count:8, sum:22.627416997969522, (2,4]:8}"),
            (
                Keep::Below,
                0.0,
                "{count:5, sum:-5.906854249492381, [-2,-1):4, [-0.5,0.5]:1}",
            ),
            (Keep::Below, f64::NEG_INFINITY, "{count:0, sum:0}"),
            (Keep::Above, 4.0, "{count:0, sum:0}"),
        ];
        for (keep, limit, text) in table {
            assert_eq!(mixed().trimmed(keep, limit).to_string(), text, "{keep:?} {limit}");
        }
        // Half of (2,4] on a logarithmic scale.
        let half = mixed().trimmed(Keep::Above, 8.0_f64.sqrt());
        assert!((half.count - 4.0).abs() < 1e-12);
    }

    #[test]
    fn custom_buckets() {
        let custom = FloatHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count: 15.0,
            sum: 172.5,
            positive: [(0, 2.0), (1, 6.0), (2, 7.0)].into_iter().collect(),
            custom_values: [5.0, 10.0].into(),
            ..FloatHistogram::default()
        };
        let table = [
            (Keep::Below, 7.5, "{count:5, sum:23.75, [-Inf,5]:2, (5,10]:3}"),
            (Keep::Above, 7.5, "{count:10, sum:96.25, (5,10]:3, (10,+Inf]:7}"),
            (Keep::Below, 2.5, "{count:1, sum:1.25, [-Inf,5]:1}"),
            (
                Keep::Above,
                2.5,
                "{count:14, sum:118.75, [-Inf,5]:1, (5,10]:6, (10,+Inf]:7}",
            ),
            (Keep::Below, 100.0, "{count:8, sum:50, [-Inf,5]:2, (5,10]:6}"),
        ];
        for (keep, limit, text) in table {
            assert_eq!(custom.trimmed(keep, limit).to_string(), text, "{keep:?} {limit}");
        }
    }
}
