//! Logarithms: `ln` and `log1p` are fdlibm's, the other bases are multiples of them.

use super::{NAN, frexp, polynomial};
use std::f64::consts::{FRAC_1_SQRT_2, LOG2_E, LOG10_E};

pub(super) const LN_2_HIGH: f64 = 0.6931471803691238;
pub(super) const LN_2_LOW: f64 = 1.9082149292705877e-10;
/// Coefficients of `ln((1 + s) / (1 - s))`, for the powers 14, 12, ... 2 of s.
const SERIES: [f64; 7] = [
    f64::from_bits(0x3FC2_F112_DF3E_5244),
    f64::from_bits(0x3FC3_9A09_D078_C69F),
    f64::from_bits(0x3FC7_4664_96CB_03DE),
    f64::from_bits(0x3FCC_71C5_1D8E_78AF),
    f64::from_bits(0x3FD2_4924_9422_9359),
    f64::from_bits(0x3FD9_9999_9997_FA04),
    f64::from_bits(0x3FE5_5555_5555_5593),
];

/// The natural logarithm.
pub(crate) fn ln(x: f64) -> f64 {
    if x.is_nan() || x == f64::INFINITY {
        return x;
    }
    if x < 0.0 {
        return NAN;
    }
    if x == 0.0 {
        return f64::NEG_INFINITY;
    }
    let (mut fraction, mut exponent) = assembled_frexp(x);
    if fraction <= FRAC_1_SQRT_2 {
        fraction *= 2.0;
        exponent -= 1;
    }
    let f = fraction - 1.0;
    let k = f64::from(exponent);
    let s = f / (2.0 + f);
    let s2 = s * s;
    let s4 = s2 * s2;
    let [c7, c6, c5, c4, c3, c2, c1] = SERIES;
    let odd = s2 * polynomial(s4, &[c7, c5, c3, c1]);
    let even = s4 * polynomial(s4, &[c6, c4, c2]);
    let rest = odd + even;
    let half_square = 0.5 * f * f;
    k * LN_2_HIGH - ((half_square - (s * (half_square + rest) + k * LN_2_LOW)) - f)
}

/// As [`frexp`], but wrong for subnormal numbers, in the way Go's assembler is.
fn assembled_frexp(x: f64) -> (f64, i32) {
    let bits = x.to_bits();
    let fraction = f64::from_bits(bits & 0x000f_ffff_ffff_ffff | 1022 << 52);
    (fraction, ((bits >> 52) & 0x7ff) as i32 - 1022)
}

/// The binary logarithm; exact for powers of two.
pub(crate) fn log2(x: f64) -> f64 {
    let (fraction, exponent) = frexp(x);
    if fraction == 0.5 {
        return f64::from(exponent - 1);
    }
    ln(fraction) * LOG2_E + f64::from(exponent)
}

/// The decimal logarithm.
pub(crate) fn log10(x: f64) -> f64 {
    ln(x) * LOG10_E
}

/// `ln(1 + x)`
pub(super) fn log1p(x: f64) -> f64 {
    const SQRT_2_LESS_1: f64 = f64::from_bits(0x3fda_8279_99fc_ef34);
    const SQRT_HALF_LESS_1: f64 = f64::from_bits(0xbfd2_bec3_3301_8866);
    if x.is_nan() || x < -1.0 {
        return NAN;
    }
    if x == -1.0 {
        return f64::NEG_INFINITY;
    }
    if x == f64::INFINITY {
        return x;
    }
    let size = x.abs();
    if size < SQRT_2_LESS_1 {
        if size < super::power_of_two(-54) {
            return x;
        }
        if size < super::power_of_two(-29) {
            return x - x * x * 0.5;
        }
        if x > SQRT_HALF_LESS_1 {
            return log1p_of_parts(x, 0, 0.0, false);
        }
    }
    let (u, k, correction) = if size < 2.0 * super::TWO_52 {
        let u = 1.0 + x;
        let k = exponent_of(u);
        let correction = if k > 0 { 1.0 - (u - x) } else { x - (u - 1.0) };
        (u, k, correction / u)
    } else {
        (x, exponent_of(x), 0.0)
    };
    let mantissa = u.to_bits() & 0x000f_ffff_ffff_ffff;
    let (normal, k, is_tiny) = if mantissa < 0x0006_a09e_667f_3bcd {
        (f64::from_bits(mantissa | 1023 << 52), k, mantissa == 0)
    } else {
        let left = (0x0010_0000_0000_0000 - mantissa) >> 2;
        (f64::from_bits(mantissa | 1022 << 52), k + 1, left == 0)
    };
    log1p_of_parts(normal - 1.0, k, correction, is_tiny)
}

fn exponent_of(x: f64) -> i32 {
    (x.to_bits() >> 52) as i32 - 1023
}

/// `ln(1 + f) + k ln 2`, with what rounding has taken from f.
fn log1p_of_parts(f: f64, k: i32, correction: f64, is_tiny: bool) -> f64 {
    let half_square = 0.5 * f * f;
    let exponent = f64::from(k);
    if is_tiny {
        if f == 0.0 {
            if k == 0 {
                return 0.0;
            }
            return exponent * LN_2_HIGH + (correction + exponent * LN_2_LOW);
        }
        let rest = half_square * (1.0 - 0.6666666666666666 * f);
        if k == 0 {
            return f - rest;
        }
        return exponent * LN_2_HIGH - ((rest - (exponent * LN_2_LOW + correction)) - f);
    }
    let s = f / (2.0 + f);
    let z = s * s;
    let rest = z * polynomial(z, &SERIES);
    if k == 0 {
        return f - (half_square - s * (half_square + rest));
    }
    let low = exponent * LN_2_LOW + correction;
    exponent * LN_2_HIGH - ((half_square - (s * (half_square + rest) + low)) - f)
}
