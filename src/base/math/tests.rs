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
    assert_eq!([1.0, 10.0, 100.0].map(log10), [0.0, 1.0, 2.0]);
    assert_eq!([0.0, 1.0, 10.0, -1.0].map(exp2), [1.0, 2.0, 1024.0, 0.5]);
    assert_eq!([exp(0.0), exp(-1000.0), exp(1000.0)], [1.0, 0.0, f64::INFINITY]);
    assert_eq!([ln(0.0), ln(1.0)], [f64::NEG_INFINITY, 0.0]);
    assert!(ln(-1.0).is_nan() && log2(-1.0).is_nan() && asin(1.5).is_nan() && acosh(0.5).is_nan());
    assert_eq!([atanh(1.0), atanh(-1.0)], [f64::INFINITY, f64::NEG_INFINITY]);
}

/// Answers of Prometheus where those of the system's library differ.
#[test]
fn as_prometheus_answers() {
    type Function = fn(f64) -> f64;
    let table: &[(Function, f64, f64)] = &[
        (acos, 0.8405, 0.5725909337981518),
        (acos, -0.12949999999999995, 1.700661043828996),
        (acosh, 735.6800000000001, 7.293941960219396),
        (acosh, 5737036989.477, 23.16335589063485),
        (asin, 0.9941, 1.462115042187388),
        (asin, 0.7417, 0.8356013643602098),
        (asinh, 176.32000000000005, 5.8654557479235745),
        (asinh, 34.39200000000001, 4.231182453915942),
        (atan, -133.55100000000002, -1.563308690523376),
        (atan, 413580243.485, 1.570796324376986),
        (atanh, -0.22870000000000001, -0.23281728796678602),
        (atanh, -0.5159, -0.5707365520101619),
        (cos, 2054320970.624, 0.46987261962171456),
        (cos, 6451851798.366, 0.3463135737296004),
        (cosh, 82.88, 4.935108037032993e+35),
        (cosh, -0.19469999999999998, 1.0190139966810037),
        (exp, 207.60399999999993, 1.4496782431542426e+90),
        (exp, 550.56, 1.2740015508068163e+239),
        (ln, 686.238, 6.531224506332055),
        (ln, 5.324999999999989, 1.6724127115954865),
        (log10, 2876543186.03, 9.458870898547067),
        (log10, 86.178, 1.9353964108588382),
        (log2, 262.3449999999999, 8.035321483876107),
        (log2, 0.31130000000000013, -1.683622518080269),
        (sin, 0.05830000000000002, 0.058266979730946036),
        (sin, 642.72, 0.9652749893852535),
        (sinh, 0.1645000000000001, 0.16524290630363395),
        (sinh, -0.7037, -0.7632330302680842),
        (tan, 887.2170000000001, 3.4396947702472107),
        (tan, 0.8051000000000001, 1.0402009065243174),
        (tanh, 0.6367, 0.5626484325159808),
        (tanh, -0.5872999999999999, -0.5279509612705089),
    ];
    for (index, (function, x, answer)) in table.iter().enumerate() {
        assert_eq!(function(*x), *answer, "row {index}");
    }
    assert_eq!(pow(99.8442, 12.571428571428571), 1.3625244171973805e+25);
    assert_eq!(pow(10.8901, 13.428571428571429), 84305616729123.5);
    assert_eq!(atan2(-10.2613, 7.0), -0.9721340460475683);
    assert_eq!(atan2(15.860000000000001, -39.382000000000005), 2.758741881524823);
    assert_eq!((exp(709.45), log10(1000.0)), (f64::INFINITY, 3.0));
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
            (asin(y), y.asin()),
            // Near 1 it is the difference of two angles, of which few digits are left.
            (1.0 + acos(y), 1.0 + y.acos()), (atan(x), x.atan()), (atan2(x, y), x.atan2(y)),
            (atanh(y.abs()), y.abs().atanh()), (acosh(1.5 + y.abs()), (1.5 + y.abs()).acosh()), (pow(x.abs(), y), x.abs().powf(y)),
        ];
        for (index, (ours, system)) in pairs.into_iter().enumerate() {
            prop_assert!(is_close(ours, system), "{index}: {ours} and {system} of {x}, {y}, {large}");
        }
        // The system's has fewer right digits near -1.
        prop_assert_eq!(atanh(-y), -atanh(y));
        for angle in [x, large] {
            prop_assert!((sin(angle) - angle.sin()).abs() < 1e-15);
            prop_assert!((cos(angle) - angle.cos()).abs() < 1e-15);
        }
    }
}
