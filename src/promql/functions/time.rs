//! Time, dates, and the steps between vectors and scalars.

use super::{ArgumentValue, Call, Implementation};
use crate::base::civil::DateTime;
use crate::base::math::NAN;
use crate::promql::eval::error::EvalError;
use crate::promql::value::{Cell, Row};

macro_rules! date_function {
    ($of_date:expr) => {
        Implementation::Cell(|_, _, _, cell| of_date(cell, $of_date))
    };
}

pub(super) fn implementation(name: &str) -> Option<Implementation> {
    Some(match name {
        "day_of_month" => date_function!(|date| date.day),
        "day_of_week" => date_function!(|date| date.weekday()),
        "day_of_year" => date_function!(|date| date.day_of_year()),
        "days_in_month" => date_function!(|date| date.days_in_month()),
        "hour" => date_function!(|date| date.hour),
        "minute" => date_function!(|date| date.minute),
        "month" => date_function!(|date| date.month),
        "scalar" => Implementation::Collapse(scalar),
        "time" => Implementation::Scalar(|call, step| call.steps.at(step) as f64 / 1000.0),
        "vector" => Implementation::Rows(vector),
        "year" => date_function!(|date| date.year),
        _ => return None,
    })
}

fn of_date(cell: &Cell, part: impl FnOnce(DateTime) -> i64) -> Cell {
    let Some(seconds) = cell.as_float() else {
        return Cell::Empty;
    };
    Cell::Float(part(DateTime::of_seconds(whole_seconds(seconds))) as f64)
}

/// Towards zero. What does not fit is the smallest number, as on the processors that Prometheus runs on.
fn whole_seconds(seconds: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&seconds) {
        seconds as i64
    } else {
        i64::MIN
    }
}

/// The one float that there is at a step.
fn scalar(call: &Call<'_>, rows: Vec<Row>) -> Vec<f64> {
    let of_step = |step: usize| {
        let mut floats = rows.iter().filter_map(|row| row.cells.get(step)?.as_float());
        match (floats.next(), floats.next()) {
            (Some(only), None) => only,
            _ => NAN,
        }
    };
    (0..call.steps.count).map(of_step).collect()
}

fn vector(call: &Call<'_>, _: Vec<Row>) -> Result<Vec<Row>, EvalError> {
    let cells = match call.arguments.first().map(|argument| &argument.value) {
        Some(ArgumentValue::Scalar(values)) => values.iter().map(|value| Cell::Float(*value)).collect(),
        _ => Vec::new(),
    };
    Ok(vec![Row {
        cells,
        ..Row::default()
    }])
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scalars, float_of};
    use super::*;

    #[test]
    fn parts_of_dates() {
        let table = [
            ("year", 0.0, 1970.0),
            ("year", 1_709_251_199.9, 2024.0),
            ("month", 1_709_251_199.9, 2.0),
            ("day_of_month", -1.0, 31.0),
            ("day_of_week", 0.0, 4.0),
            ("day_of_year", 1_709_251_199.0, 60.0),
            ("days_in_month", 1_709_251_199.0, 29.0),
            ("hour", 86_399.0, 23.0),
            ("minute", 86_399.0, 59.0),
        ];
        for (name, seconds, expected) in table {
            let Some(Implementation::Cell(function)) = implementation(name) else {
                panic!("{name} is no function")
            };
            let scalars = Scalars::behind_a_vector(&[]);
            let cell = scalars.with(|call| function(call, 0, &Default::default(), &Cell::Float(seconds)));
            assert_eq!(float_of(&cell), Some(expected), "{name}({seconds})");
        }
        assert_eq!(
            [f64::NAN, 1e300, -1e300, -1.9].map(whole_seconds),
            [i64::MIN, i64::MIN, i64::MIN, -1]
        );
    }

    #[test]
    fn one_float_is_a_scalar() {
        let row = |value: f64| Row {
            cells: vec![Cell::Float(value)],
            ..Row::default()
        };
        let scalars = Scalars::behind_a_vector(&[]);
        assert_eq!(scalars.with(|call| scalar(call, vec![row(3.0)])), [3.0]);
        assert!(scalars.with(|call| scalar(call, vec![row(3.0), row(4.0)]))[0].is_nan());
        assert!(scalars.with(|call| scalar(call, Vec::new()))[0].is_nan());
    }
}
