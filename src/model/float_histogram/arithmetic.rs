//! Arithmetic of histograms. What differs in shape goes by [`HistogramSum`]; the usual case does not.

use super::FloatHistogram;
use super::bounds::exponential_bound;
use super::sum::{HistogramSum, Reconciled, Rounding, Unmixable, joint_hint};
use crate::model::histogram::ResetHint;

impl FloatHistogram {
    /// Adds a histogram. Buckets may be empty afterwards.
    pub(crate) fn add(&mut self, other: &Self) -> Result<Reconciled, Unmixable> {
        self.add_scaled(other, 1.0)
    }

    /// Subtracts a histogram. The hint is that of a sum; a difference that is shown is a gauge, which the caller says.
    pub(crate) fn sub(&mut self, other: &Self) -> Result<Reconciled, Unmixable> {
        self.add_scaled(other, -1.0)
    }

    fn add_scaled(&mut self, other: &Self, sign: f64) -> Result<Reconciled, Unmixable> {
        if !self.has_shape_of(other) {
            let mut sum = HistogramSum::from(&*self);
            let reconciled = sum.add_scaled(other, sign, Rounding::Forget)?;
            *self = sum.rounded();
            return Ok(reconciled);
        }
        let (hint, reset_hints) = joint_hint(self.reset_hint, other.reset_hint);
        self.reset_hint = hint;
        self.zero_count += sign * other.zero_count;
        self.count += sign * other.count;
        self.sum += sign * other.sum;
        let (schema, threshold, is_custom) = (self.schema, self.zero_threshold, self.has_custom_buckets());
        for (mine, theirs) in [
            (&mut self.positive, &other.positive),
            (&mut self.negative, &other.negative),
        ] {
            let is_within_zero =
                |bucket: &(i64, f64)| !is_custom && exponential_bound(bucket.0, schema) <= threshold;
            if mine.spans() == theirs.spans()
                && !theirs.iter().next().is_some_and(|first| is_within_zero(&first))
            {
                for (sum, count) in mine.counts_mut().iter_mut().zip(theirs.counts()) {
                    *sum += sign * count;
                }
            } else {
                let outside = theirs.iter().skip_while(is_within_zero);
                mine.merge(outside, |sum, count| *sum += sign * count, |count| sign * count);
            }
        }
        Ok(Reconciled {
            reset_hints,
            custom_bounds: false,
        })
    }

    /// Whether buckets with the same index have the same boundaries.
    fn has_shape_of(&self, other: &Self) -> bool {
        self.schema == other.schema
            && self.zero_threshold == other.zero_threshold
            && self.custom_values == other.custom_values
    }

    /// Multiplies all counts and the sum.
    pub(crate) fn mul(&mut self, factor: f64) {
        self.for_each_number(|number| *number *= factor);
        if factor < 0.0 {
            self.reset_hint = ResetHint::Gauge;
        }
    }

    /// Divides all counts and the sum. Division by zero leaves no buckets.
    pub(crate) fn div(&mut self, divisor: f64) {
        if divisor == 0.0 {
            self.positive.clear();
            self.negative.clear();
        }
        self.for_each_number(|number| *number /= divisor);
        if divisor < 0.0 {
            self.reset_hint = ResetHint::Gauge;
        }
    }

    /// The same histogram at a resolution that is not finer. At a coarser one the reset hint is not known any more.
    pub(crate) fn at_schema(&self, schema: i32) -> Self {
        if schema >= self.schema || self.has_custom_buckets() {
            return self.clone();
        }
        let shift = self.schema.abs_diff(schema);
        let add = |sum: &mut f64, count| *sum += count;
        Self {
            reset_hint: ResetHint::Unknown,
            schema,
            positive: self.positive.coarser(shift, add),
            negative: self.negative.coarser(shift, add),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{HistogramMean, HistogramSum};
    use super::*;
    use crate::model::histogram::CUSTOM_BUCKETS_SCHEMA;

    /// Count and sum are made of the buckets.
    fn of(schema: i32, zero: (f64, f64), positive: &[(i64, f64)], negative: &[(i64, f64)]) -> FloatHistogram {
        let count = zero.1
            + positive
                .iter()
                .chain(negative)
                .map(|bucket| bucket.1)
                .sum::<f64>();
        FloatHistogram {
            schema,
            zero_threshold: zero.0,
            zero_count: zero.1,
            count,
            sum: 2.0 * count,
            positive: positive.iter().copied().collect(),
            negative: negative.iter().copied().collect(),
            ..FloatHistogram::default()
        }
    }

    fn custom(bounds: &[f64], buckets: &[(i64, f64)]) -> FloatHistogram {
        let mut histogram = of(CUSTOM_BUCKETS_SCHEMA, (0.0, 0.0), buckets, &[]);
        histogram.custom_values = bounds.into();
        histogram
    }

    #[test]
    fn sums() {
        let table = [
            // Same shape, other buckets.
            (
                of(1, (0.01, 1.0), &[(0, 1.0), (2, 3.0)], &[]),
                of(1, (0.01, 2.0), &[(1, 5.0), (2, 1.0)], &[(4, 1.0)]),
                of(1, (0.01, 3.0), &[(0, 1.0), (1, 5.0), (2, 4.0)], &[(4, 1.0)]),
            ),
            // The coarser resolution wins, whichever side has it.
            (
                of(1, (0.0, 0.0), &[(1, 1.0), (2, 2.0), (3, 4.0)], &[]),
                of(0, (0.0, 0.0), &[(1, 1.0)], &[]),
                of(0, (0.0, 0.0), &[(1, 4.0), (2, 4.0)], &[]),
            ),
            (
                of(0, (0.0, 0.0), &[(1, 1.0)], &[]),
                of(1, (0.0, 0.0), &[(1, 1.0), (2, 2.0), (3, 4.0)], &[]),
                of(0, (0.0, 0.0), &[(1, 4.0), (2, 4.0)], &[]),
            ),
            // The wider zero bucket wins, and swallows what lies within.
            (
                of(0, (0.5, 1.0), &[(1, 1.0)], &[]),
                of(0, (0.25, 2.0), &[(-1, 3.0), (0, 4.0)], &[(-1, 1.0)]),
                of(0, (0.5, 7.0), &[(0, 4.0), (1, 1.0)], &[]),
            ),
            // It ends at no filled bucket's inside.
            (
                of(0, (0.6, 1.0), &[(2, 1.0)], &[]),
                of(0, (0.25, 2.0), &[(0, 4.0), (2, 1.0)], &[]),
                of(0, (1.0, 7.0), &[(2, 2.0)], &[]),
            ),
            (
                custom(&[1.0, 2.0], &[(0, 1.0), (2, 2.0)]),
                custom(&[1.0, 2.0], &[(1, 5.0)]),
                custom(&[1.0, 2.0], &[(0, 1.0), (1, 5.0), (2, 2.0)]),
            ),
        ];
        for (a, b, sum) in table {
            let mut plain = a.clone();
            assert_eq!(plain.add(&b), Ok(Reconciled::default()));
            assert_eq!(plain, sum, "{a} + {b}");
            let mut compensated = HistogramSum::from(&a);
            assert_eq!(compensated.add(&b), Ok(Reconciled::default()));
            assert_eq!(compensated.total(), sum, "{a} + {b}");
            let mut difference = sum.clone();
            assert_eq!(difference.sub(&b), Ok(Reconciled::default()));
            assert_eq!((difference.count, difference.sum), (a.count, a.sum));
        }
    }

    #[test]
    fn different_custom_bounds_become_those_of_both() {
        let mut sum = custom(&[1.0, 2.0, 4.0], &[(0, 1.0), (1, 2.0), (2, 4.0), (3, 8.0)]);
        let other = custom(&[2.0, 3.0, 4.0], &[(0, 16.0), (1, 32.0)]);
        let mut compensated = HistogramSum::from(&sum);
        let reconciled = Reconciled {
            custom_bounds: true,
            ..Reconciled::default()
        };
        assert_eq!(sum.add(&other), Ok(reconciled));
        assert_eq!(sum, custom(&[2.0, 4.0], &[(0, 19.0), (1, 36.0), (2, 8.0)]));
        assert_eq!(compensated.add(&other), Ok(reconciled));
        assert_eq!(compensated.total(), sum);
    }

    #[test]
    fn exponential_and_custom_buckets_do_not_mix() {
        let (one, two) = (custom(&[1.0], &[]), of(0, (0.0, 0.0), &[], &[]));
        assert_eq!(one.clone().add(&two), Err(Unmixable));
        assert_eq!(two.clone().sub(&one), Err(Unmixable));
        let mut mean = HistogramMean::default();
        assert!(mean.mean().is_none());
        assert!(mean.add(&one).is_ok());
        assert_eq!(mean.add(&two), Err(Unmixable));
    }

    #[test]
    fn reset_hints_of_sums() {
        use ResetHint::{Gauge, NotReset, Reset, Unknown};
        let table = [
            (Unknown, Unknown, Unknown, false),
            (Reset, Reset, Reset, false),
            (Gauge, Reset, Gauge, false),
            (NotReset, Gauge, Gauge, false),
            (Unknown, Reset, Unknown, false),
            (NotReset, Unknown, Unknown, false),
            (Reset, NotReset, Unknown, true),
        ];
        for (a, b, hint, collide) in table {
            assert_eq!(joint_hint(a, b), (hint, collide));
            assert_eq!(joint_hint(b, a), (hint, collide));
        }
    }

    #[test]
    fn scaling() {
        let mut histogram = of(0, (0.5, 1.0), &[(1, 2.0)], &[(1, 3.0)]);
        histogram.mul(2.0);
        assert_eq!(histogram, of(0, (0.5, 2.0), &[(1, 4.0)], &[(1, 6.0)]));
        assert_eq!(histogram.reset_hint, ResetHint::Unknown);
        histogram.div(-2.0);
        assert_eq!(histogram.reset_hint, ResetHint::Gauge);
        histogram.div(0.0);
        assert!(histogram.positive.is_empty() && histogram.negative.is_empty());
        assert_eq!(
            (histogram.count, histogram.zero_count),
            (f64::NEG_INFINITY, f64::NEG_INFINITY)
        );
    }

    #[test]
    fn means_do_not_overflow() {
        let large = of(0, (0.0, 0.0), &[(1, 1e308)], &[]);
        let mut mean = HistogramMean::default();
        for _ in 0..4 {
            assert!(mean.add(&large).is_ok());
        }
        let mean = mean.mean().expect("four histograms");
        assert_eq!((mean.count, mean.positive.counts()), (1e308, &[1e308][..]));
    }

    #[test]
    fn sums_are_compensated() {
        let small = of(0, (0.0, 0.0), &[(1, 1.0)], &[]);
        let mut sum = HistogramSum::from(&small);
        for number in [1e100, 1.0, -1e100] {
            let mut summand = small.clone();
            summand.mul(number);
            assert!(sum.add(&summand).is_ok());
        }
        assert_eq!(sum.total().positive.counts(), [2.0]);
    }
}
