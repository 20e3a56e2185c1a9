//! Walking over the buckets of a histogram with their boundaries.

use super::bounds::upper_bound;
use super::{Buckets, FloatHistogram};

/// A bucket with its boundaries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bucket {
    pub(crate) lower: f64,
    pub(crate) upper: f64,
    pub(crate) lower_inclusive: bool,
    pub(crate) upper_inclusive: bool,
    pub(crate) count: f64,
}

impl FloatHistogram {
    /// The bucket with this index among the positive or the negative ones.
    fn bucket(&self, is_positive: bool, (index, count): (i64, f64)) -> Bucket {
        let far = upper_bound(index, self.schema, &self.custom_values);
        let near = upper_bound(index - 1, self.schema, &self.custom_values);
        let (lower, upper) = if is_positive { (near, far) } else { (-far, -near) };
        let is_custom = self.has_custom_buckets();
        Bucket {
            lower,
            upper,
            lower_inclusive: if is_custom { index == 0 } else { lower < 0.0 },
            upper_inclusive: is_custom || upper > 0.0,
            count,
        }
    }

    /// The zero bucket.
    pub(super) fn zero_bucket(&self) -> Bucket {
        Bucket {
            lower: -self.zero_threshold,
            upper: self.zero_threshold,
            lower_inclusive: true,
            upper_inclusive: true,
            count: self.zero_count,
        }
    }

    /// The positive or the negative buckets, from zero outwards.
    pub(super) fn buckets_outwards(&self, is_positive: bool) -> impl Iterator<Item = Bucket> {
        self.side(is_positive)
            .iter()
            .map(move |bucket| self.bucket(is_positive, bucket))
    }

    /// The positive or the negative buckets, towards zero.
    pub(super) fn buckets_inwards(&self, is_positive: bool) -> impl Iterator<Item = Bucket> {
        self.side(is_positive)
            .iter_reverse()
            .map(move |bucket| self.bucket(is_positive, bucket))
    }

    pub(super) fn side(&self, is_positive: bool) -> &Buckets {
        if is_positive {
            &self.positive
        } else {
            &self.negative
        }
    }

    /// All buckets in ascending order, that of zero only if it is not empty. What overlaps with it ends where it begins.
    pub(crate) fn buckets_ascending(&self) -> impl Iterator<Item = Bucket> {
        self.around_zero(self.buckets_inwards(false), self.buckets_outwards(true))
    }

    /// All buckets in descending order, as [`FloatHistogram::buckets_ascending`].
    pub(crate) fn buckets_descending(&self) -> impl Iterator<Item = Bucket> {
        self.around_zero(self.buckets_inwards(true), self.buckets_outwards(false))
    }

    fn around_zero(
        &self,
        before: impl Iterator<Item = Bucket>,
        behind: impl Iterator<Item = Bucket>,
    ) -> impl Iterator<Item = Bucket> {
        let zero = (self.zero_count > 0.0).then(|| self.zero_bucket());
        let threshold = self.zero_threshold;
        let cut = move |mut bucket: Bucket| {
            if bucket.upper < 0.0 && bucket.upper > -threshold {
                bucket.upper = -threshold;
            } else if bucket.lower > 0.0 && bucket.lower < threshold {
                bucket.lower = threshold;
            }
            bucket
        };
        before.map(cut).chain(zero).chain(behind.map(cut))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::histogram::CUSTOM_BUCKETS_SCHEMA;

    fn limits(buckets: impl Iterator<Item = Bucket>) -> Vec<(f64, f64, f64)> {
        buckets
            .map(|bucket| (bucket.lower, bucket.upper, bucket.count))
            .collect()
    }

    #[test]
    fn all_buckets_in_both_directions() {
        let histogram = FloatHistogram {
            zero_threshold: 0.75,
            zero_count: 3.0,
            positive: [(0, 1.0), (2, 2.0)].into_iter().collect(),
            negative: [(0, 4.0), (1, 5.0)].into_iter().collect(),
            ..FloatHistogram::default()
        };
        let ascending = limits(histogram.buckets_ascending());
        let expected = [
            (-2.0, -1.0, 5.0),
            (-1.0, -0.75, 4.0),
            (-0.75, 0.75, 3.0),
            (0.75, 1.0, 1.0),
            (2.0, 4.0, 2.0),
        ];
        assert_eq!(ascending, expected);
        let mut descending = limits(histogram.buckets_descending());
        descending.reverse();
        assert_eq!(descending, expected);
        let edges = |bucket: Bucket| (bucket.lower_inclusive, bucket.upper_inclusive);
        let edges: Vec<_> = histogram.buckets_ascending().map(edges).collect();
        assert_eq!(
            edges,
            [
                (true, false),
                (true, false),
                (true, true),
                (false, true),
                (false, true)
            ]
        );
    }

    #[test]
    fn custom_buckets_reach_to_infinity() {
        let histogram = FloatHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            positive: [(0, 1.0), (1, 2.0), (2, 3.0)].into_iter().collect(),
            custom_values: [1.0, 5.0].into(),
            ..FloatHistogram::default()
        };
        let infinity = f64::INFINITY;
        let expected = [(-infinity, 1.0, 1.0), (1.0, 5.0, 2.0), (5.0, infinity, 3.0)];
        assert_eq!(limits(histogram.buckets_ascending()), expected);
        assert!(histogram.buckets_ascending().all(|bucket| bucket.upper_inclusive));
    }
}
