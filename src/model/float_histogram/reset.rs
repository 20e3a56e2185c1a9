//! Whether a counter was reset between two histograms.

use super::FloatHistogram;
use super::bounds::exponential_bound;
use super::sum::{shared_bounds, within_bounds};
use crate::base::kahan::Compensated;
use crate::model::histogram::ResetHint;

impl FloatHistogram {
    /// Whether there was a reset between `previous` and this histogram: the hint says so, or a count is smaller, or what
    /// a counter never does has happened: a finer resolution, a narrower zero bucket, a filled bucket gone.
    pub(crate) fn is_reset_from(&self, previous: &Self) -> bool {
        match self.reset_hint {
            ResetHint::Reset => return true,
            ResetHint::NotReset => return false,
            // Functions for counters may be applied to gauges.
            ResetHint::Unknown | ResetHint::Gauge => {}
        }
        if self.count < previous.count {
            return true;
        }
        if self.has_custom_buckets() {
            if !previous.has_custom_buckets() {
                return true;
            }
            if self.custom_values != previous.custom_values {
                return self.has_fewer_within_shared_bounds(previous);
            }
        }
        if self.schema > previous.schema || self.zero_threshold < previous.zero_threshold {
            return true;
        }
        let Some(zero_count) = previous.zero_count_within(self.zero_threshold) else {
            return true;
        };
        self.zero_count < zero_count
            || [true, false]
                .into_iter()
                .any(|sign| self.has_fewer(previous, sign))
    }

    /// What the zero bucket would hold if it were this wide, or `None` when it would end inside of a filled bucket.
    fn zero_count_within(&self, threshold: f64) -> Option<f64> {
        let mut count = self.zero_count;
        if threshold == self.zero_threshold {
            return Some(count);
        }
        for side in [&self.positive, &self.negative] {
            for (index, in_bucket) in side.iter() {
                if exponential_bound(index - 1, self.schema) >= threshold {
                    break;
                }
                count += in_bucket;
                if exponential_bound(index, self.schema) > threshold {
                    if in_bucket != 0.0 {
                        return None;
                    }
                    break;
                }
            }
        }
        Some(count)
    }

    /// Whether a bucket outside of the zero bucket has less than before.
    fn has_fewer(&self, previous: &Self, is_positive: bool) -> bool {
        let (schema, threshold, is_custom) = (self.schema, self.zero_threshold, self.has_custom_buckets());
        let is_within_zero =
            move |bucket: &(i64, f64)| !is_custom && exponential_bound(bucket.0, schema) <= threshold;
        let coarse;
        let mut before = previous.side(is_positive);
        if previous.schema != schema {
            coarse = before.coarser(previous.schema.abs_diff(schema), |sum, count| *sum += count);
            before = &coarse;
        }
        let mut now = self
            .side(is_positive)
            .iter()
            .skip_while(is_within_zero)
            .peekable();
        before.iter().skip_while(is_within_zero).any(|(index, count)| {
            while now.next_if(|bucket| bucket.0 < index).is_some() {}
            match now.peek() {
                Some(bucket) if bucket.0 == index => bucket.1 < count,
                _ => count != 0.0,
            }
        })
    }

    fn has_fewer_within_shared_bounds(&self, previous: &Self) -> bool {
        let shared = shared_bounds(&self.custom_values, &previous.custom_values);
        let sums = |histogram: &Self| {
            let mut sums = vec![Compensated::default(); shared.len() + 1];
            for (position, count) in
                within_bounds(histogram.positive.iter(), &histogram.custom_values, &shared)
            {
                sums[position].add(count);
            }
            sums
        };
        sums(self)
            .iter()
            .zip(sums(previous))
            .any(|(now, before)| now.value < before.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::histogram::CUSTOM_BUCKETS_SCHEMA;

    fn of(schema: i32, zero: (f64, f64), positive: &[(i64, f64)]) -> FloatHistogram {
        FloatHistogram {
            schema,
            zero_threshold: zero.0,
            zero_count: zero.1,
            count: zero.1 + positive.iter().map(|bucket| bucket.1).sum::<f64>(),
            positive: positive.iter().copied().collect(),
            ..FloatHistogram::default()
        }
    }

    fn custom(bounds: &[f64], positive: &[(i64, f64)]) -> FloatHistogram {
        let histogram = of(CUSTOM_BUCKETS_SCHEMA, (0.0, 0.0), positive);
        FloatHistogram {
            custom_values: bounds.into(),
            ..histogram
        }
    }

    #[test]
    fn resets() {
        let before = of(1, (0.25, 2.0), &[(-3, 1.0), (0, 0.0), (1, 3.0), (2, 4.0)]);
        let table = [
            (before.clone(), false, "nothing changed"),
            (
                of(1, (0.25, 2.0), &[(-3, 1.0), (1, 3.0), (2, 3.0), (5, 9.0)]),
                true,
                "a bucket has less",
            ),
            (
                of(1, (0.25, 2.0), &[(-3, 1.0), (1, 3.0), (5, 9.0)]),
                true,
                "a filled bucket is gone",
            ),
            (
                of(1, (0.25, 2.0), &[(-3, 1.0), (1, 3.0), (2, 4.0), (3, 1.0)]),
                false,
                "an empty bucket is gone",
            ),
            (
                of(1, (0.25, 1.0), &[(-3, 1.0), (1, 3.0), (2, 9.0)]),
                true,
                "fewer around zero",
            ),
            (
                of(2, (0.25, 9.0), &[(-3, 1.0), (1, 3.0), (2, 9.0)]),
                true,
                "a finer resolution",
            ),
            (
                of(0, (0.25, 2.0), &[(-1, 1.0), (1, 7.0)]),
                false,
                "a coarser resolution",
            ),
            (
                of(0, (0.25, 2.0), &[(-1, 1.0), (1, 6.0), (2, 9.0)]),
                true,
                "less at a coarser resolution",
            ),
            (
                of(1, (0.125, 9.0), &[(-3, 1.0), (1, 3.0), (2, 4.0)]),
                true,
                "a narrower zero bucket",
            ),
            (
                of(1, (0.5, 3.0), &[(1, 3.0), (2, 4.0)]),
                false,
                "a wider zero bucket",
            ),
            (
                of(1, (0.5, 2.0), &[(1, 3.0), (2, 9.0)]),
                true,
                "less in a wider zero bucket",
            ),
            (
                of(1, (1.2, 9.0), &[(1, 3.0), (2, 4.0)]),
                true,
                "a zero bucket that ends inside of a filled one",
            ),
            (of(1, (0.25, 1.0), &[]), true, "fewer observations"),
            (custom(&[1.0], &[(0, 99.0)]), true, "other buckets"),
        ];
        for (now, is_reset, name) in table {
            assert_eq!(now.is_reset_from(&before), is_reset, "{name}");
        }
    }

    #[test]
    fn resets_of_custom_buckets() {
        let before = custom(&[1.0, 2.0, 4.0], &[(0, 1.0), (1, 2.0), (2, 3.0), (3, 4.0)]);
        let table = [
            (before.clone(), false),
            (
                custom(&[1.0, 2.0, 4.0], &[(0, 1.0), (1, 1.0), (2, 9.0), (3, 4.0)]),
                true,
            ),
            (
                custom(&[1.0, 3.0, 4.0], &[(0, 1.0), (1, 1.0), (2, 4.0), (3, 4.0)]),
                false,
            ),
            (
                custom(&[1.0, 3.0, 4.0], &[(0, 2.0), (1, 1.0), (2, 3.0), (3, 9.0)]),
                true,
            ),
            (custom(&[], &[(0, 10.0)]), false),
        ];
        for (now, is_reset) in table {
            assert_eq!(now.is_reset_from(&before), is_reset, "{now}");
        }
        assert!(before.is_reset_from(&of(0, (0.0, 0.0), &[])));
    }

    #[test]
    fn hints_decide() {
        let full = of(0, (0.0, 0.0), &[(1, 5.0)]);
        let empty = FloatHistogram::default();
        let hinted = |histogram: &FloatHistogram, reset_hint| FloatHistogram {
            reset_hint,
            ..histogram.clone()
        };
        assert!(hinted(&full, ResetHint::Reset).is_reset_from(&empty));
        assert!(!hinted(&empty, ResetHint::NotReset).is_reset_from(&full));
        assert!(hinted(&empty, ResetHint::Gauge).is_reset_from(&full));
        assert!(!hinted(&full, ResetHint::Gauge).is_reset_from(&empty));
    }
}
