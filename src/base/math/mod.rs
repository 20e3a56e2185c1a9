//! The elementary functions bit for bit as Go computes them on amd64, so that answers equal those of Prometheus.
//!
//! The system's library rounds better but differently, and differs between systems. The algorithms are those of Cephes
//! (circular functions), of Sun's fdlibm (logarithms, inverse hyperbolic functions) and of SLEEF (`exp`, with fused
//! multiplication and addition), with their published coefficients. The order of operations is part of the result.

mod circular;
mod exponential;
mod hyperbolic;
mod logarithm;

pub(crate) use circular::{acos, asin, atan, atan2, cos, sin, tan};
pub(crate) use exponential::{exp, exp2, pow};
pub(crate) use hyperbolic::{acosh, asinh, atanh, cosh, sinh, tanh};
pub(crate) use logarithm::{ln, log2, log10};

/// Go's `math.NaN()`. Rust's NaN has other bits.
pub(crate) const NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0001);

/// `math.Max`: NaN if one of both is, unless the other is +Inf; 0 is more than -0.
pub(crate) fn max(a: f64, b: f64) -> f64 {
    match (a, b) {
        _ if a == f64::INFINITY || b == f64::INFINITY => f64::INFINITY,
        _ if a.is_nan() || b.is_nan() => NAN,
        _ if a == 0.0 && a == b => {
            if a.is_sign_negative() {
                b
            } else {
                a
            }
        }
        _ => {
            if a > b {
                a
            } else {
                b
            }
        }
    }
}

/// `math.Min`: NaN if one of both is, unless the other is -Inf; -0 is less than 0.
pub(crate) fn min(a: f64, b: f64) -> f64 {
    match (a, b) {
        _ if a == f64::NEG_INFINITY || b == f64::NEG_INFINITY => f64::NEG_INFINITY,
        _ if a.is_nan() || b.is_nan() => NAN,
        _ if a == 0.0 && a == b => {
            if a.is_sign_negative() {
                a
            } else {
                b
            }
        }
        _ => {
            if a < b {
                a
            } else {
                b
            }
        }
    }
}

/// A fraction from 0.5 up to 1 and an exponent with `x = fraction * 2^exponent`; zero and what is not finite as it is.
fn frexp(x: f64) -> (f64, i32) {
    if x == 0.0 || !x.is_finite() {
        return (x, 0);
    }
    let (normal, shift) = if x.abs() < f64::MIN_POSITIVE {
        (x * TWO_52, -52)
    } else {
        (x, 0)
    };
    let bits = normal.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32 - 1022 + shift;
    (f64::from_bits(bits & !(0x7ff << 52) | 1022 << 52), exponent)
}

const TWO_52: f64 = 4_503_599_627_370_496.0;

/// `fraction * 2^exponent`, rounded once.
pub(crate) fn ldexp(fraction: f64, exponent: i32) -> f64 {
    if fraction == 0.0 || !fraction.is_finite() {
        return fraction;
    }
    let (fraction, own) = frexp(fraction);
    // The fraction lies below 1, so that 1024 is the largest exponent and -1073 the smallest but for rounding.
    match own.saturating_add(exponent) {
        total if total > 1024 => f64::INFINITY.copysign(fraction),
        total if total < -1074 => 0.0_f64.copysign(fraction),
        total if total > -1022 => 2.0 * fraction * power_of_two(total - 1),
        total => fraction * power_of_two(total + 60) * power_of_two(-60),
    }
}

/// `2^exponent` for a normal number.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

/// `c[0] * x^n + c[1] * x^(n-1) + ... + c[n]` by Horner's rule.
fn polynomial(x: f64, coefficients: &[f64]) -> f64 {
    coefficients
        .iter()
        .copied()
        .reduce(|sum, next| sum * x + next)
        .unwrap_or(0.0)
}

#[cfg(test)]
mod tests;
