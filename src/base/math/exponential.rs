//! Exponentials and powers: `exp` is SLEEF's, `exp2` fdlibm's, powers are made by squaring.

use super::logarithm::{LN_2_HIGH, LN_2_LOW, ln};
use super::{NAN, frexp, ldexp, polynomial};
use std::f64::consts::LOG2_E;

/// `e^x`
pub(crate) fn exp(x: f64) -> f64 {
    const OVERFLOW: f64 = 709.782712893384;
    const UNDERFLOW: f64 = -746.0;
    const LN_2_UPPER: f64 = 0.693147180559663;
    const LN_2_LOWER: f64 = 2.8235290563031577e-13;
    // 1/8!, 1/7!, ... 1/2!, 1
    const TAYLOR: [f64; 8] = [
        2.48015873015873e-05,
        0.0001984126984126984,
        0.001388888888888889,
        0.008333333333333333,
        0.041666666666666664,
        0.16666666666666666,
        0.5,
        1.0,
    ];
    if x.is_nan() {
        return x;
    }
    if x > OVERFLOW {
        return f64::INFINITY;
    }
    if x < UNDERFLOW {
        return 0.0;
    }
    let k = (x * LOG2_E).round_ties_even();
    let reduced = (-k).mul_add(LN_2_LOWER, (-k).mul_add(LN_2_UPPER, x)) * 0.0625;
    let series = TAYLOR
        .into_iter()
        .reduce(|sum, next| reduced.mul_add(sum, next))
        .unwrap_or(1.0);
    // e^y - 1 for a sixteenth of the reduced number, squared four times: (y + 1)^2 - 1 = y (y + 2).
    let mut y = reduced * series;
    for _ in 0..3 {
        y *= y + 2.0;
    }
    if k >= 1024.0 {
        // Above some 709.44 Go gives up, though the number would still fit.
        return f64::INFINITY;
    }
    ldexp(y.mul_add(y + 2.0, 1.0), k as i32)
}

/// `2^x`
pub(crate) fn exp2(x: f64) -> f64 {
    const OVERFLOW: f64 = 1023.9999999999999;
    const UNDERFLOW: f64 = -1074.0;
    if x.is_nan() {
        return x;
    }
    if x > OVERFLOW {
        return f64::INFINITY;
    }
    if x < UNDERFLOW {
        return 0.0;
    }
    let k = if x > 0.0 {
        (x + 0.5) as i32
    } else {
        (x - 0.5) as i32
    };
    let rest = x - f64::from(k);
    exp_of_parts(rest * LN_2_HIGH, -rest * LN_2_LOW, k)
}

/// `e^(high - low) * 2^k`
fn exp_of_parts(high: f64, low: f64, k: i32) -> f64 {
    const SERIES: [f64; 5] = [
        f64::from_bits(0x3E66_3769_72BE_A4D0),
        f64::from_bits(0xBEBB_BD41_C5D2_6BF1),
        f64::from_bits(0x3F11_566A_AF25_DE2C),
        f64::from_bits(0xBF66_C16C_16BE_BD93),
        f64::from_bits(0x3FC5_5555_5555_5555),
    ];
    let r = high - low;
    let t = r * r;
    let c = r - t * polynomial(t, &SERIES);
    let y = 1.0 - ((low - (r * c) / (2.0 - c)) - high);
    ldexp(y, k)
}

fn is_odd_integer(x: f64) -> bool {
    x.abs() < 2.0 * super::TWO_52 && x.fract() == 0.0 && (x as i64) & 1 == 1
}

/// `x^y`
pub(crate) fn pow(x: f64, y: f64) -> f64 {
    if let Some(known) = special_power(x, y) {
        return known;
    }
    let mut whole = y.abs().trunc();
    let mut part = y.abs() - whole;
    if part != 0.0 && x < 0.0 {
        return NAN;
    }
    if whole >= 9.223372036854776e+18 {
        return match (x.abs() < 1.0) == (y > 0.0) {
            _ if x == -1.0 => 1.0,
            true => 0.0,
            false => f64::INFINITY,
        };
    }
    let mut result = 1.0;
    let mut result_exponent = 0i64;
    if part != 0.0 {
        if part > 0.5 {
            part -= 1.0;
            whole += 1.0;
        }
        result = exp(part * ln(x));
    }
    // By squaring, powers of two apart.
    let (mut fraction, exponent) = frexp(x);
    let mut exponent = i64::from(exponent);
    let mut bits = whole as i64;
    while bits != 0 {
        if !(-4096..=4096).contains(&exponent) {
            result_exponent += exponent;
            break;
        }
        if bits & 1 == 1 {
            result *= fraction;
            result_exponent += exponent;
        }
        fraction *= fraction;
        exponent <<= 1;
        if fraction < 0.5 {
            fraction += fraction;
            exponent -= 1;
        }
        bits >>= 1;
    }
    if y < 0.0 {
        result = 1.0 / result;
        result_exponent = -result_exponent;
    }
    ldexp(result, result_exponent.clamp(-10_000, 10_000) as i32)
}

fn special_power(x: f64, y: f64) -> Option<f64> {
    Some(match (x, y) {
        _ if y == 0.0 || x == 1.0 => 1.0,
        _ if y == 1.0 => x,
        _ if x.is_nan() || y.is_nan() => NAN,
        _ if x == 0.0 => match (y < 0.0, is_odd_integer(y)) {
            (true, true) => f64::INFINITY.copysign(x),
            (true, false) => f64::INFINITY,
            (false, true) => x,
            (false, false) => 0.0,
        },
        _ if y.is_infinite() => match (x.abs() < 1.0) == (y > 0.0) {
            _ if x == -1.0 => 1.0,
            true => 0.0,
            false => f64::INFINITY,
        },
        _ if x == f64::NEG_INFINITY => pow(-0.0, -y),
        _ if x == f64::INFINITY => {
            if y < 0.0 {
                0.0
            } else {
                f64::INFINITY
            }
        }
        _ if y == 0.5 => x.sqrt(),
        _ if y == -0.5 => 1.0 / x.sqrt(),
        _ => return None,
    })
}
