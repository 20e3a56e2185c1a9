//! The mean that goes on when its sum overflows, and quantiles.

use crate::base::kahan::Compensated;

/// A mean: of the sum as long as that is finite, then moved by each value.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mean {
    count: f64,
    /// The sum, or the mean once that is moved.
    sum: Compensated,
    is_moved: bool,
}

impl Mean {
    pub(crate) fn add(&mut self, value: f64) {
        self.add_sum(value, 1.0);
    }

    /// Adds as many values as `count`, which have that sum.
    pub(crate) fn add_sum(&mut self, sum: f64, count: f64) {
        let before = self.count;
        self.count += count;
        if before == 0.0 {
            self.sum = Compensated::new(sum);
            return;
        }
        if !self.is_moved {
            let mut larger = self.sum;
            larger.add(sum);
            if !larger.value.is_infinite() {
                self.sum = larger;
                return;
            }
            self.is_moved = true;
            self.sum.divide(before);
        }
        self.sum.scale(before / self.count);
        self.sum.add(sum / self.count);
    }

    pub(crate) fn value(&self) -> f64 {
        let mut mean = self.sum;
        if !self.is_moved {
            mean.divide(self.count);
        }
        mean.total()
    }
}

/// The quantile of values, which are left sorted. NaN is smaller than every number.
pub(crate) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan())));
    let count = values.len() as f64;
    let rank = q * (count - 1.0);
    let lower = rank.floor().max(0.0);
    let upper = (lower + 1.0).min(count - 1.0);
    let weight = rank - rank.floor();
    values[lower as usize] * (1.0 - weight) + values[upper as usize] * weight
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_outlives_its_sum() {
        let mut mean = Mean::default();
        [f64::MAX, f64::MAX, f64::MAX]
            .into_iter()
            .for_each(|value| mean.add(value));
        assert!((mean.value() / f64::MAX - 1.0).abs() < 1e-15);
        let mut mean = Mean::default();
        [1.0, 2.0, 6.0].into_iter().for_each(|value| mean.add(value));
        assert_eq!(mean.value(), 3.0);
        let mut of_sums = Mean::default();
        of_sums.add_sum(f64::MAX, 2.0);
        of_sums.add_sum(f64::MAX, 1.0);
        of_sums.add_sum(f64::MAX, 1.0);
        assert!((of_sums.value() / f64::MAX - 0.75).abs() < 1e-15);
        let mut infinite = Mean::default();
        [f64::INFINITY, f64::INFINITY]
            .into_iter()
            .for_each(|value| infinite.add(value));
        assert_eq!(infinite.value(), f64::INFINITY);
    }

    #[test]
    fn quantiles_are_interpolated() {
        let cases = [(0.0, 1.0), (0.5, 2.5), (1.0, 4.0), (0.25, 1.75)];
        for (q, wanted) in cases {
            assert_eq!(quantile(q, &mut [4.0, 1.0, 3.0, 2.0]), wanted);
        }
        assert_eq!(quantile(-1.0, &mut [1.0]), f64::NEG_INFINITY);
        assert_eq!(quantile(2.0, &mut [1.0]), f64::INFINITY);
        assert!(quantile(f64::NAN, &mut [1.0]).is_nan());
        assert!(quantile(0.0, &mut [1.0, f64::NAN]).is_nan());
        assert_eq!(quantile(1.0, &mut [1.0, f64::NAN]), 1.0);
    }
}
