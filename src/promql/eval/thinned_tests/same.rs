//! Whether the answer from thinned series is the answer from samples.

use super::cases::{Case, Numbers};
use crate::promql::eval::error::EvalError;
use crate::promql::eval::{EvalOptions, Outcome};
use crate::promql::testing::{Table, notes, options, run_with};
use crate::promql::testing_thinned::{INFO, ThinnedTable};
use crate::promql::value::{QueryPoint, QueryValue};

/// How far numbers may be from each other.
enum Rule {
    /// Not at all.
    Bits,
    /// Not at all, but NaN is NaN.
    Exact,
    /// As rounding explains it, of sums of numbers with these magnitudes. Sums may also overflow where others do not.
    Rounded {
        magnitudes: Vec<Point>,
        of_magnitude: f64,
        may_overflow: bool,
    },
}

/// The bits of rounding between two compensated sums of the same samples.
const OF_SUMS: f64 = 1.0 / (1_u64 << 51) as f64;
/// Each mean is rounded once more, when it is divided.
const OF_MEANS: f64 = 2.0 * OF_SUMS;
/// A mean that is moved by each value rounds each time.
const OF_MOVED_MEANS: f64 = 1e-13;

type Point = (String, i64, QueryPoint);

/// Evaluates a case both ways.
pub(super) fn check(
    table: &Table,
    source: &ThinnedTable<'_>,
    case: &Case,
    numbers: Numbers,
) -> Result<(), String> {
    let options = EvalOptions {
        lookback_ms: case.lookback_ms,
        delayed_name_removal: case.delayed_name_removal,
        ..options()
    };
    let asked = source.asked.get();
    let thinned = run_with(source, &options, &case.query, case.steps);
    let raw = run_with(table, &options, &case.query, case.steps);
    let is_asked = source.asked.get() > asked;
    let rule = if !case.has_sums {
        Rule::Bits
    } else if numbers == Numbers::Whole {
        Rule::Exact
    } else {
        let of_magnitudes = table.mapped(f64::abs);
        Rule::Rounded {
            // A query that fails has none, and need have none.
            magnitudes: points(run_with(&of_magnitudes, &options, &case.query, case.steps).value)
                .unwrap_or_default(),
            of_magnitude: match (numbers, case.query.contains("avg_over_time")) {
                (Numbers::Huge, _) => OF_MOVED_MEANS,
                (_, true) => OF_MEANS,
                (_, false) => OF_SUMS,
            },
            may_overflow: numbers == Numbers::Huge,
        }
    };
    same_notes(&raw, &thinned, &case.query, is_asked)?;
    match (raw.value, thinned.value) {
        (Err(raw), Err(thinned)) if raw == thinned => Ok(()),
        (raw, thinned) => same_points(&points(raw)?, &points(thinned)?, &rule),
    }
}

fn same_notes(raw: &Outcome, thinned: &Outcome, query: &str, is_asked: bool) -> Result<(), String> {
    let info = format!("PromQL info: {INFO}");
    let mut of_thinned = notes(&thinned.annotations, query);
    let is_said = of_thinned.contains(&info);
    of_thinned.retain(|note| *note != info && note != "a warning");
    let of_raw = notes(&raw.annotations, query);
    if of_raw != of_thinned {
        return Err(format!("{of_raw:?} is not {of_thinned:?}"));
    }
    if thinned.value.is_ok() && is_said != is_asked {
        return Err("not said what was read".to_owned());
    }
    Ok(())
}

/// The points of an answer, each with its labels.
fn points(value: Result<QueryValue, EvalError>) -> Result<Vec<Point>, String> {
    let float = |labels: String, (at_ms, value)| (labels, at_ms, QueryPoint::Float(value));
    Ok(match value.map_err(|error| error.to_string())? {
        QueryValue::Scalar { timestamp_ms, value } => vec![float(String::new(), (timestamp_ms, value))],
        QueryValue::String { value, .. } => return Err(value),
        QueryValue::Vector(samples) => {
            let samples = samples.into_iter();
            samples
                .map(|one| (one.labels.to_string(), one.timestamp_ms, one.value))
                .collect()
        }
        QueryValue::Matrix(all) => {
            let mut points = Vec::new();
            for one in all {
                let labels = one.labels.to_string();
                points.extend(one.floats.into_iter().map(|point| float(labels.clone(), point)));
                let histograms = one.histograms.into_iter();
                points.extend(
                    histograms.map(|(at_ms, value)| (labels.clone(), at_ms, QueryPoint::Histogram(value))),
                );
            }
            points
        }
    })
}

fn same_points(raw: &[Point], thinned: &[Point], rule: &Rule) -> Result<(), String> {
    if raw.len() != thinned.len() {
        return Err(format!("{raw:?} is not {thinned:?}"));
    }
    for (at, (raw, thinned)) in raw.iter().zip(thinned).enumerate() {
        let is_same = (&raw.0, raw.1) == (&thinned.0, thinned.1)
            && match (&raw.2, &thinned.2) {
                (QueryPoint::Float(raw), QueryPoint::Float(thinned)) => {
                    raw.to_bits() == thinned.to_bits() || are_near(*raw, *thinned, rule, at)
                }
                (raw, thinned) => raw == thinned,
            };
        if !is_same {
            return Err(format!("{raw:?} is not {thinned:?}"));
        }
    }
    Ok(())
}

fn are_near(raw: f64, thinned: f64, rule: &Rule, at: usize) -> bool {
    if let Rule::Bits = rule {
        return false;
    }
    if raw.is_nan() && thinned.is_nan() {
        return true;
    }
    let Rule::Rounded {
        magnitudes,
        of_magnitude,
        may_overflow,
    } = rule
    else {
        return false;
    };
    let Some((_, _, QueryPoint::Float(magnitude))) = magnitudes.get(at) else {
        return false;
    };
    if !magnitude.is_finite() {
        return *may_overflow;
    }
    (thinned - raw).abs() <= magnitude * of_magnitude
}
