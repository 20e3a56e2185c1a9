//! Values that Prometheus answers for these functions, and properties that hold for all arguments.

use super::*;
use proptest::prelude::*;

#[test]
fn parts_and_powers() {
    for x in [1.0, -3.75, 1e300, 5e-324, 2.2e-308, f64::MAX, f64::MIN_POSITIVE] {
        let (fraction, exponent) = frexp(x);
        assert!((0.5..1.0).contains(&fraction.abs()), "{x}");
        assert_eq!(ldexp(fraction, exponent), x);
    }
    assert_eq!(ldexp(0.5, 1025), f64::INFINITY);
    assert_eq!(ldexp(0.75, -1074), 5e-324);
    assert_eq!(ldexp(0.5, -1074).to_bits(), 0);
    assert_eq!(ldexp(-0.5, -5000).to_bits(), (-0.0_f64).to_bits());
}

#[test]
fn larger_and_smaller() {
    let inf = f64::INFINITY;
    assert_eq!((max(1.0, 2.0), min(1.0, 2.0)), (2.0, 1.0));
    assert_eq!((max(f64::NAN, inf), min(-inf, f64::NAN)), (inf, -inf));
    assert!(max(f64::NAN, 1.0).is_nan() && min(1.0, f64::NAN).is_nan());
    assert!(max(-0.0, 0.0).is_sign_positive() && max(0.0, -0.0).is_sign_positive());
    assert!(min(-0.0, 0.0).is_sign_negative() && min(0.0, -0.0).is_sign_negative());
}

#[test]
fn special_powers() {
    let inf = f64::INFINITY;
    let table = [
        (0.0, -3.0, inf),
        (-0.0, -3.0, -inf),
        (-0.0, -2.0, inf),
        (-0.0, 3.0, -0.0),
        (-1.0, inf, 1.0),
        (0.5, inf, 0.0),
        (0.5, -inf, inf),
        (2.0, inf, inf),
        (-inf, 3.0, -inf),
        (-inf, -3.0, -0.0),
        (-inf, 2.0, inf),
        (2.0, 1023.0, 8.98846567431158e307),
        (2.0, 1024.0, inf),
        (2.0, -1074.0, 5e-324),
        (2.0, 0.5, std::f64::consts::SQRT_2),
        (f64::NAN, 0.0, 1.0),
        (1.0, f64::NAN, 1.0),
        (-2.0, 1e300, inf),
        (-8.0, 3.0, -512.0),
    ];
    for (x, y, power) in table {
        assert_eq!(
            pow(x, y).to_bits(),
            f64::to_bits(power),
            "{x}^{y} is {}",
            pow(x, y)
        );
    }
    assert!(pow(-8.0, 1.0 / 3.0).is_nan());
}

#[test]
fn exact_values() {
    assert_eq!([0.25, 1.0, 8.0, 1024.0].map(log2), [-2.0, 0.0, 3.0, 10.0]);
    assert_eq!([1.0, 10.0, 1000.0].map(log10), [0.0, 1.0, 3.0]);
    assert_eq!([0.0, 1.0, 10.0, -1.0].map(exp2), [1.0, 2.0, 1024.0, 0.5]);
    assert_eq!([exp(0.0), exp(-1000.0), exp(1000.0)], [1.0, 0.0, f64::INFINITY]);
    assert_eq!([ln(0.0), ln(1.0)], [f64::NEG_INFINITY, 0.0]);
    assert!(ln(-1.0).is_nan() && log2(-1.0).is_nan() && asin(1.5).is_nan() && acosh(0.5).is_nan());
    assert_eq!([atanh(1.0), atanh(-1.0)], [f64::INFINITY, f64::NEG_INFINITY]);
}

/// Whether two numbers are nearly one.
fn is_close(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= 4e-15 * a.abs().max(b.abs()).max(1e-300) || (a.is_nan() && b.is_nan())
}

proptest! {
    /// The system's functions are as good, only different in the last digits.
    #[test]
    fn near_the_systems_functions(x in -700.0..700.0_f64, y in -1.0..1.0_f64, large in 1e9..1e300_f64) {
        let pairs = [
            (exp(x), x.exp()), (exp2(x), x.exp2()), (ln(x), x.ln()), (log2(large), large.log2()),
            (log10(large), large.log10()), (tanh(y), y.tanh()), (sinh(y), y.sinh()), (cosh(x), x.cosh()),
            (asin(y), y.asin()), (acos(y), y.acos()), (atan(x), x.atan()), (atan2(x, y), x.atan2(y)),
            (atanh(y), y.atanh()), (acosh(1.0 + y.abs()), (1.0 + y.abs()).acosh()), (pow(x.abs(), y), x.abs().powf(y)),
        ];
        for (index, (ours, system)) in pairs.into_iter().enumerate() {
            prop_assert!(is_close(ours, system), "{index}: {ours} and {system} of {x}, {y}, {large}");
        }
        for angle in [x, large] {
            prop_assert!((sin(angle) - angle.sin()).abs() < 1e-15);
            prop_assert!((cos(angle) - angle.cos()).abs() < 1e-15);
        }
    }
}
