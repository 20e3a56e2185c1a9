//! Hyperbolic functions and their inverses.

use super::exponential::exp;
use super::logarithm::{ln, log1p};
use super::{NAN, polynomial, power_of_two};
use std::f64::consts::LN_2;

/// Above this the smaller of two summands is lost.
const LARGE: f64 = 268_435_456.0;

/// The hyperbolic sine; a rational function of Hart and Cheney near zero.
pub(crate) fn sinh(x: f64) -> f64 {
    const UPPER: [f64; 4] = [
        -26.30563213397497,
        -2894.211355989564,
        -89912.72022039509,
        -630767.3640497717,
    ];
    const LOWER: [f64; 4] = [1.0, -173.6789535582337, 15215.17378790019, -630767.3640497717];
    let size = x.abs();
    let result = if size > 21.0 {
        exp(size) / 2.0
    } else if size > 0.5 {
        let power = exp(size);
        (power - 1.0 / power) * 0.5
    } else {
        let square = size * size;
        polynomial(square, &UPPER) * size / polynomial(square, &LOWER)
    };
    if x < 0.0 { -result } else { result.copysign(x) }
}

/// The hyperbolic cosine.
pub(crate) fn cosh(x: f64) -> f64 {
    let size = x.abs();
    if size > 21.0 {
        return exp(size) / 2.0;
    }
    let power = exp(size);
    (power + 1.0 / power) * 0.5
}

/// The hyperbolic tangent; a rational function of Cody and Waite near zero.
pub(crate) fn tanh(x: f64) -> f64 {
    const UPPER: [f64; 3] = [-0.9643991794250523, -99.28772310019185, -1614.6876844170845];
    const LOWER: [f64; 4] = [1.0, 112.81167849163293, 2235.4883906010045, 4844.063053251255];
    const LN_2_127: f64 = 88.02969193111305;
    let size = x.abs();
    if size > 0.5 * LN_2_127 {
        return 1.0_f64.copysign(x);
    }
    if size >= 0.625 {
        let result = 1.0 - 2.0 / (exp(2.0 * size) + 1.0);
        return if x < 0.0 { -result } else { result };
    }
    if x == 0.0 {
        return x;
    }
    let square = x * x;
    x + x * square * polynomial(square, &UPPER) / polynomial(square, &LOWER)
}

/// The inverse of the hyperbolic sine.
pub(crate) fn asinh(x: f64) -> f64 {
    if !x.is_finite() {
        return x;
    }
    let size = x.abs();
    let result = if size > LARGE {
        ln(size) + LN_2
    } else if size > 2.0 {
        ln(2.0 * size + 1.0 / ((size * size + 1.0).sqrt() + size))
    } else if size < power_of_two(-28) {
        size
    } else {
        log1p(size + size * size / (1.0 + (1.0 + size * size).sqrt()))
    };
    if x < 0.0 { -result } else { result.copysign(x) }
}

/// The inverse of the hyperbolic cosine.
pub(crate) fn acosh(x: f64) -> f64 {
    if x < 1.0 || x.is_nan() {
        return NAN;
    }
    if x == 1.0 {
        return 0.0;
    }
    if x >= LARGE {
        return ln(x) + LN_2;
    }
    if x > 2.0 {
        return ln(2.0 * x - 1.0 / (x + (x * x - 1.0).sqrt()));
    }
    let t = x - 1.0;
    log1p(t + (2.0 * t + t * t).sqrt())
}

/// The inverse of the hyperbolic tangent.
pub(crate) fn atanh(x: f64) -> f64 {
    let size = x.abs();
    if size > 1.0 || x.is_nan() {
        return NAN;
    }
    if size == 1.0 {
        return f64::INFINITY.copysign(x);
    }
    let result = if size < power_of_two(-28) {
        size
    } else if size < 0.5 {
        let twice = size + size;
        0.5 * log1p(twice + twice * size / (1.0 - size))
    } else {
        0.5 * log1p((size + size) / (1.0 - size))
    };
    if x < 0.0 { -result } else { result.copysign(x) }
}
