//! Compensated summation (Neumaier's form of Kahan's): what rounding takes from a sum is kept beside it.

/// A sum and what it has lost to rounding. The better sum is [`Compensated::total`].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Compensated {
    pub(crate) value: f64,
    pub(crate) lost: f64,
}

impl Compensated {
    pub(crate) fn new(value: f64) -> Self {
        Self { value, lost: 0.0 }
    }

    /// Adds a number. An infinite sum has lost nothing, it would be NaN otherwise.
    #[inline]
    pub(crate) fn add(&mut self, number: f64) {
        let sum = self.value + number;
        if sum.is_infinite() {
            self.lost = 0.0;
        } else if self.value.abs() >= number.abs() {
            self.lost += (self.value - sum) + number;
        } else {
            self.lost += (number - sum) + self.value;
        }
        self.value = sum;
    }

    pub(crate) fn total(self) -> f64 {
        self.value + self.lost
    }

    pub(crate) fn scale(&mut self, factor: f64) {
        self.value *= factor;
        self.lost *= factor;
    }

    pub(crate) fn divide(&mut self, divisor: f64) {
        self.value /= divisor;
        self.lost /= divisor;
    }

    pub(crate) fn is_zero(self) -> bool {
        self.value == 0.0 && self.lost == 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::Compensated;

    fn sum(numbers: &[f64]) -> f64 {
        let mut sum = Compensated::default();
        for &number in numbers {
            sum.add(number);
        }
        sum.total()
    }

    #[test]
    fn small_numbers_survive_large_ones() {
        assert_eq!(sum(&[1.0, 1e100, 1.0, -1e100]), 2.0);
        assert_eq!(sum(&[0.1; 10]), 1.0);
        assert_eq!(sum(&[f64::INFINITY, 1.0]), f64::INFINITY);
        assert_eq!(sum(&[f64::MAX, f64::MAX]), f64::INFINITY);
        assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
    }
}
