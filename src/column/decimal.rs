//! Floats as decimal integers: value = mantissa / 10^exponent, exact to the bit.
//!
//! Division is correctly rounded and both operands are exact, so the quotient is the float nearest to the decimal
//! number, which is how the number was parsed or printed in the first place. Every value is checked by dividing and
//! comparing bits. What no mantissa gives back (-0.0, NaN, infinities, stale markers, an odd full-precision value) is
//! *special*: its row gets a mantissa that fits in, which costs little, and its bits are stored beside the column.

/// Largest exponent; 10^22 is the largest power of ten a float holds exactly.
pub(super) const EXPONENT_MAX: u8 = 22;

/// Powers of ten that are exact floats.
pub(super) const POWERS: [f64; EXPONENT_MAX as usize + 1] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// Every integer up to here is an exact float.
const MANTISSA_LIMIT: f64 = 9_007_199_254_740_992.0;

/// With this many digits a random float is rarely a decimal number by accident.
const FRACTION_LIMIT: f64 = 1e15;

/// A row that the decimal column does not give back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Special {
    pub(super) row: u32,
    pub(super) bits: u64,
}

/// The mantissa that gives back `bits` with `exponent`.
#[inline]
pub(super) fn mantissa(bits: u64, exponent: u8) -> Option<i64> {
    let value = f64::from_bits(bits);
    let power = POWERS[exponent as usize];
    let scaled = value * power;
    if is_beyond(scaled, MANTISSA_LIMIT) {
        return None;
    }
    let mantissa = if exponent == 0 {
        scaled as i64
    } else {
        (scaled + 0.5f64.copysign(scaled)) as i64
    };
    (quotient(mantissa, power) == bits).then_some(mantissa)
}

/// Whether the magnitude reaches `limit`, or the value is no number.
#[inline]
fn is_beyond(value: f64, limit: f64) -> bool {
    value.is_nan() || value.abs() >= limit
}

/// Bits of `mantissa / power`.
#[inline]
pub(super) fn quotient(mantissa: i64, power: f64) -> u64 {
    (mantissa as f64 / power).to_bits()
}

/// The smallest exponent at which `bits` is a decimal number of at most 15 digits, or a whole number.
fn exponent_of(bits: u64, from: u8) -> Option<u8> {
    for exponent in from..=EXPONENT_MAX {
        if let Some(mantissa) = mantissa(bits, exponent) {
            let digits_left = exponent == 0 || mantissa.unsigned_abs() as f64 <= FRACTION_LIMIT;
            return digits_left.then_some(exponent);
        }
        if is_beyond(f64::from_bits(bits) * POWERS[exponent as usize], FRACTION_LIMIT) {
            return None;
        }
    }
    None
}

/// Fills `mantissas` and `specials` and answers the exponent, or `None` when too many values are no decimals.
pub(super) fn scan(values: &[u64], mantissas: &mut Vec<i64>, specials: &mut Vec<Special>) -> Option<u8> {
    let samples = [values.first(), values.get(values.len() / 2), values.last()];
    let exponents = samples
        .into_iter()
        .flatten()
        .filter_map(|&bits| exponent_of(bits, 0));
    let mut exponent = exponents.max().unwrap_or(0);
    loop {
        match fill(values, exponent, mantissas, specials) {
            Fill::Done => return Some(exponent),
            Fill::Needs(larger) => exponent = larger,
            Fill::Hopeless => return None,
        }
    }
}

/// What came of filling a column with one exponent.
enum Fill {
    Done,
    /// A value needs this larger exponent.
    Needs(u8),
    /// Too many odd values.
    Hopeless,
}

/// NaN, infinities and -0.0: special at any exponent.
fn is_never_decimal(bits: u64) -> bool {
    !f64::from_bits(bits).is_finite() || bits == (-0.0f64).to_bits()
}

fn fill(values: &[u64], exponent: u8, mantissas: &mut Vec<i64>, specials: &mut Vec<Special>) -> Fill {
    mantissas.clear();
    specials.clear();
    let mut odd_left = values.len() / 16 + 1;
    let mut filler = Filler::new(
        values
            .iter()
            .find_map(|&bits| mantissa(bits, exponent))
            .unwrap_or(0),
    );
    for (row, &bits) in values.iter().enumerate() {
        if let Some(mantissa) = mantissa(bits, exponent) {
            filler.see(mantissa);
            mantissas.push(mantissa);
            continue;
        }
        if !is_never_decimal(bits) {
            if let Some(larger) = exponent_of(bits, exponent + 1) {
                return Fill::Needs(larger);
            }
            if odd_left == 0 {
                return Fill::Hopeless;
            }
            odd_left -= 1;
        }
        specials.push(Special {
            row: row as u32,
            bits,
        });
        mantissas.push(filler.fill());
    }
    Fill::Done
}

/// Makes up mantissas for special rows that do not stand out among their neighbours.
struct Filler {
    last: i64,
    step: i64,
    /// No mantissa was below the one before: then the first special of a run keeps up the last step.
    rising: bool,
}

impl Filler {
    /// Leading specials get the first mantissa there is.
    fn new(first: i64) -> Self {
        Self {
            last: first,
            step: 0,
            rising: true,
        }
    }

    #[inline]
    fn see(&mut self, mantissa: i64) {
        self.step = mantissa.wrapping_sub(self.last);
        self.rising &= self.step >= 0;
        self.last = mantissa;
    }

    fn fill(&mut self) -> i64 {
        if self.rising {
            self.last = self.last.wrapping_add(self.step);
        }
        self.step = 0;
        self.last
    }
}

/// Mantissas nearest to the values, and how many units in the last place each value lies above mantissa / 10^exponent.
///
/// False when a value is out of range.
pub(super) fn nearest(
    values: &[u64],
    exponent: u8,
    mantissas: &mut Vec<i64>,
    distances: &mut Vec<i64>,
) -> bool {
    mantissas.clear();
    distances.clear();
    let power = POWERS[exponent as usize];
    for &bits in values {
        let scaled = f64::from_bits(bits) * power;
        if is_beyond(scaled, MANTISSA_LIMIT) {
            return false;
        }
        let mantissa = (scaled + 0.5f64.copysign(scaled)) as i64;
        mantissas.push(mantissa);
        distances.push(bits.wrapping_sub(quotient(mantissa, power)) as i64);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bits(values: &[f64]) -> Vec<u64> {
        values.iter().map(|value| value.to_bits()).collect()
    }

    #[test]
    fn the_smallest_common_exponent_is_found() {
        let (mut mantissas, mut specials) = (Vec::new(), Vec::new());
        let mut exponent = |values: &[f64]| scan(&bits(values), &mut mantissas, &mut specials);
        assert_eq!(exponent(&[1.0, 2.0, -3.0]), Some(0));
        assert_eq!(exponent(&[1.0, 2.5, -3.125]), Some(3));
        assert_eq!(exponent(&[0.1, 0.000_001]), Some(6));
        assert_eq!(exponent(&[1e300, 1.0]), Some(0));
        assert_eq!(
            exponent(&[1234.567890123456, std::f64::consts::PI, 2.0f64.sqrt()]),
            None
        );
    }

    #[test]
    fn specials_get_a_mantissa_that_fits_in() {
        let (mut mantissas, mut specials) = (Vec::new(), Vec::new());
        let values = bits(&[f64::NAN, 1.5, 2.5, -0.0, f64::INFINITY, 4.0]);
        assert_eq!(scan(&values, &mut mantissas, &mut specials), Some(1));
        assert_eq!(mantissas, [15, 15, 25, 35, 35, 40]);
        let rows: Vec<u32> = specials.iter().map(|special| special.row).collect();
        assert_eq!(rows, [0, 3, 4]);
    }

    proptest! {
        #[test]
        fn decimals_and_distances_give_back_the_bits(raw in any::<u64>(), exponent in 0u8..=EXPONENT_MAX) {
            if let Some(mantissa) = mantissa(raw, exponent) {
                prop_assert_eq!(quotient(mantissa, POWERS[exponent as usize]), raw);
            }
            let (mut mantissas, mut distances) = (Vec::new(), Vec::new());
            if nearest(&[raw], exponent, &mut mantissas, &mut distances) {
                let base = quotient(mantissas[0], POWERS[exponent as usize]);
                prop_assert_eq!(base.wrapping_add(distances[0] as u64), raw);
            }
        }
    }
}
