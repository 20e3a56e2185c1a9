//! Functions of one number, of floats only: histograms go.

use super::{Call, Implementation};
use crate::base::math;
use crate::promql::value::Cell;
use std::f64::consts::PI;

fn on_float(cell: &Cell, function: impl FnOnce(f64) -> f64) -> Cell {
    cell.as_float().map_or(Cell::Empty, |x| Cell::Float(function(x)))
}

macro_rules! float_function {
    ($function:expr) => {
        Implementation::Cell(|_, _, _, cell| on_float(cell, $function))
    };
}

pub(super) fn implementation(name: &str) -> Option<Implementation> {
    Some(match name {
        "abs" => float_function!(f64::abs),
        "acos" => float_function!(math::acos),
        "acosh" => float_function!(math::acosh),
        "asin" => float_function!(math::asin),
        "asinh" => float_function!(math::asinh),
        "atan" => float_function!(math::atan),
        "atanh" => float_function!(math::atanh),
        "ceil" => float_function!(f64::ceil),
        "clamp" => Implementation::Cell(|call, step, _, cell| {
            clamp(cell, call.scalar(1, step), call.scalar(2, step))
        }),
        "clamp_max" => Implementation::Cell(|call, step, _, cell| clamp(cell, None, call.scalar(1, step))),
        "clamp_min" => Implementation::Cell(|call, step, _, cell| clamp(cell, call.scalar(1, step), None)),
        "cos" => float_function!(math::cos),
        "cosh" => float_function!(math::cosh),
        "deg" => float_function!(|x| x * 180.0 / PI),
        "exp" => float_function!(math::exp),
        "floor" => float_function!(f64::floor),
        "ln" => float_function!(math::ln),
        "log10" => float_function!(math::log10),
        "log2" => float_function!(math::log2),
        "max_of" => Implementation::Scalar(|call, step| of_two(call, step, math::max)),
        "min_of" => Implementation::Scalar(|call, step| of_two(call, step, math::min)),
        "pi" => Implementation::Scalar(|_, _| PI),
        "rad" => float_function!(|x| x * PI / 180.0),
        "round" => Implementation::Cell(|call, step, _, cell| round(call, step, cell)),
        "sgn" => float_function!(sgn),
        "sin" => float_function!(math::sin),
        "sinh" => float_function!(math::sinh),
        "sqrt" => float_function!(f64::sqrt),
        "tan" => float_function!(math::tan),
        "tanh" => float_function!(math::tanh),
        _ => return None,
    })
}

fn of_two(call: &Call<'_>, step: usize, function: fn(f64, f64) -> f64) -> f64 {
    let [a, b] = [0, 1].map(|argument| call.scalar(argument, step).unwrap_or(math::NAN));
    function(a, b)
}

/// Nothing at all when the limits leave nothing.
fn clamp(cell: &Cell, lower: Option<f64>, upper: Option<f64>) -> Cell {
    let (lower, upper) = (lower.unwrap_or(f64::NEG_INFINITY), upper.unwrap_or(f64::INFINITY));
    if upper < lower {
        return Cell::Empty;
    }
    on_float(cell, |x| math::max(lower, math::min(upper, x)))
}

/// To the nearest multiple; halves go up. Inverted, since most multiples that are asked for have an exact inverse.
fn round(call: &Call<'_>, step: usize, cell: &Cell) -> Cell {
    let inverse = 1.0 / call.scalar(1, step).unwrap_or(1.0);
    on_float(cell, |x| (x * inverse + 0.5).floor() / inverse)
}

fn sgn(x: f64) -> f64 {
    match x {
        _ if x < 0.0 => -1.0,
        _ if x > 0.0 => 1.0,
        _ => x,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scalars, float_of};
    use super::*;

    fn answer(name: &str, x: f64, others: &[f64]) -> Option<f64> {
        let Some(Implementation::Cell(function)) = implementation(name) else {
            panic!("{name} is no function")
        };
        let scalars = Scalars::behind_a_vector(others);
        float_of(&scalars.with(|call| function(call, 0, &Default::default(), &Cell::Float(x))))
    }

    #[test]
    fn numbers() {
        let table: &[(&str, f64, &[f64], Option<f64>)] = &[
            ("abs", -2.5, &[], Some(2.5)),
            ("ceil", -0.5, &[], Some(-0.0)),
            ("floor", -0.5, &[], Some(-1.0)),
            ("sqrt", 9.0, &[], Some(3.0)),
            ("sgn", -3.0, &[], Some(-1.0)),
            ("sgn", 0.0, &[], Some(0.0)),
            ("deg", PI, &[], Some(180.0)),
            ("rad", 180.0, &[], Some(PI)),
            ("round", 2.5, &[], Some(3.0)),
            ("round", -2.5, &[], Some(-2.0)),
            ("round", 12.34, &[0.1], Some(12.3)),
            ("round", 17.0, &[5.0], Some(15.0)),
            ("clamp", 7.0, &[0.0, 5.0], Some(5.0)),
            ("clamp", -7.0, &[0.0, 5.0], Some(0.0)),
            ("clamp", 1.0, &[5.0, 0.0], None),
            ("clamp_min", 1.0, &[2.0], Some(2.0)),
            ("clamp_max", 3.0, &[2.0], Some(2.0)),
        ];
        for (name, x, others, expected) in table {
            assert_eq!(answer(name, *x, others), *expected, "{name}({x}, {others:?})");
        }
        assert!(answer("clamp", f64::NAN, &[0.0, 1.0]).is_some_and(f64::is_nan));
        assert!(answer("clamp_min", 1.0, &[f64::NAN]).is_some_and(f64::is_nan));
    }

    #[test]
    fn histograms_go() {
        let Some(Implementation::Cell(function)) = implementation("abs") else {
            panic!("abs is no function")
        };
        let histogram = Cell::from(crate::model::float_histogram::FloatHistogram::default());
        let scalars = Scalars::behind_a_vector(&[]);
        assert!(
            scalars
                .with(|call| function(call, 0, &Default::default(), &histogram))
                .is_empty()
        );
    }
}
