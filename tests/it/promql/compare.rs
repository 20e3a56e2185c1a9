//! Whether a result is the expected one, to a relative error of a millionth.

use super::script::{Eval, Expected, Notes};
use narthex::testing::promql::SequenceValue;
use narthex::{Buckets, FloatHistogram, Labels, QueryPoint, QuerySample, QuerySeries, QueryValue, Span};
use std::collections::BTreeMap;

const EPSILON: f64 = 0.000_001;

/// What is wrong with a result.
pub(super) type Verdict = Result<(), String>;

type ExpectedSeries = [(Labels, Vec<SequenceValue>)];

/// Whether two numbers differ by less than their sum times epsilon.
pub(super) fn almost_equal(a: f64, b: f64) -> bool {
    if (a.is_nan() && b.is_nan()) || a == b {
        return true;
    }
    let sum = a.abs() + b.abs();
    let difference = (a - b).abs();
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < EPSILON * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < EPSILON
}

/// Compares a result with what is expected of the query.
pub(super) fn compare(eval: &Eval, value: &QueryValue) -> Verdict {
    match (value, &eval.expected) {
        (QueryValue::Scalar { value, .. }, Expected::Scalar(expected)) => same_float(*expected, *value),
        (QueryValue::String { value, .. }, Expected::String(expected)) if value == expected => Ok(()),
        (QueryValue::Vector(found), Expected::Series(expected)) => {
            compare_vector(eval.ordered, expected, found)
        }
        (QueryValue::Matrix(found), Expected::Series(expected) | Expected::RangeVector(expected)) => {
            if eval.ordered {
                return Err("expected an ordered result, found a matrix".to_owned());
            }
            check_sorted(found)?;
            compare_matrix(eval, expected, found)
        }
        (found, expected) => Err(format!("expected {expected:?}, found {found:?}")),
    }
}

fn same_float(expected: f64, found: f64) -> Verdict {
    if almost_equal(expected, found) {
        return Ok(());
    }
    Err(format!("expected {expected}, found {found}"))
}

fn by_labels(expected: &ExpectedSeries) -> BTreeMap<&Labels, (usize, &[SequenceValue])> {
    let places = expected.iter().enumerate();
    places
        .map(|(place, (labels, values))| (labels, (place, &values[..])))
        .collect()
}

fn compare_vector(ordered: bool, expected: &ExpectedSeries, found: &[QuerySample]) -> Verdict {
    let mut missing = by_labels(expected);
    for (place, sample) in found.iter().enumerate() {
        let labels = &sample.labels;
        let Some((expected_place, values)) = missing.remove(labels) else {
            return Err(format!("unexpected series {labels} with {:?}", sample.value));
        };
        if ordered && place != expected_place {
            return Err(format!(
                "expected {labels} at place {expected_place}, found it at {place}"
            ));
        }
        let value = values
            .first()
            .ok_or_else(|| format!("no value is expected for {labels}"))?;
        compare_value(value, &sample.value).map_err(|error| format!("{labels}: {error}"))?;
    }
    nothing_missing(&missing)
}

fn nothing_missing(missing: &BTreeMap<&Labels, (usize, &[SequenceValue])>) -> Verdict {
    match missing.first_key_value() {
        Some((labels, _)) => Err(format!("expected series {labels} is missing")),
        None => Ok(()),
    }
}

fn compare_value(expected: &SequenceValue, found: &QueryPoint) -> Verdict {
    match (expected, found) {
        (SequenceValue::Float(expected), QueryPoint::Float(found)) => same_float(*expected, *found),
        (SequenceValue::Histogram { histogram, has_hint }, QueryPoint::Histogram(found)) => {
            same_histogram(histogram, found, *has_hint)
        }
        (expected, found) => Err(format!("expected {expected:?}, found {found:?}")),
    }
}

/// The result of a range query, and inside of others, is sorted by labels.
pub(super) fn check_sorted(found: &[QuerySeries]) -> Verdict {
    let unsorted = found.windows(2).find(|pair| pair[0].labels > pair[1].labels);
    match unsorted {
        Some(pair) => Err(format!("{} stands before {}", pair[0].labels, pair[1].labels)),
        None => Ok(()),
    }
}

fn compare_matrix(eval: &Eval, expected: &ExpectedSeries, found: &[QuerySeries]) -> Verdict {
    let mut missing = by_labels(expected);
    for series in found {
        let labels = &series.labels;
        let Some((_, values)) = missing.remove(labels) else {
            return Err(format!("unexpected series {labels} with {series:?}"));
        };
        compare_series(eval, values, series).map_err(|error| format!("{labels}: {error}"))?;
    }
    nothing_missing(&missing)
}

fn compare_series(eval: &Eval, values: &[SequenceValue], found: &QuerySeries) -> Verdict {
    let mut floats = found.floats.iter();
    let mut histograms = found.histograms.iter();
    for (step, expected) in (0..).zip(values) {
        let timestamp_ms = eval.start_ms + step * eval.step_ms;
        if timestamp_ms > eval.end_ms {
            return Err(format!(
                "{} values are expected, which is more than there are steps",
                values.len()
            ));
        }
        let (at_ms, point) = match expected {
            SequenceValue::Omitted => continue,
            SequenceValue::Float(_) => match floats.next() {
                Some((at_ms, value)) => (*at_ms, QueryPoint::Float(*value)),
                None => return Err(format!("expected a float at {timestamp_ms}, found {found:?}")),
            },
            SequenceValue::Histogram { .. } => match histograms.next() {
                Some((at_ms, value)) => (*at_ms, QueryPoint::Histogram(value.clone())),
                None => return Err(format!("expected a histogram at {timestamp_ms}, found {found:?}")),
            },
        };
        if at_ms != timestamp_ms {
            return Err(format!(
                "expected {expected:?} at {timestamp_ms}, found {point:?} at {at_ms} in {found:?}"
            ));
        }
        compare_value(expected, &point).map_err(|error| format!("at {timestamp_ms}: {error}"))?;
    }
    if floats.next().is_some() || histograms.next().is_some() {
        return Err(format!("expected {} values, found {found:?}", values.len()));
    }
    Ok(())
}

fn same_histogram(expected: &FloatHistogram, found: &FloatHistogram, has_hint: bool) -> Verdict {
    let numbers = |histogram: &FloatHistogram| [histogram.count, histogram.sum, histogram.zero_count];
    let same_numbers = all_almost_equal(&numbers(expected), &numbers(found));
    let same_bounds = expected.schema != -53 || expected.custom_values == found.custom_values;
    let is_same = expected.schema == found.schema
        && same_numbers
        && same_bounds
        && expected.zero_threshold == found.zero_threshold
        && same_buckets(&expected.positive, &found.positive)
        && same_buckets(&expected.negative, &found.negative)
        && (!has_hint || expected.reset_hint == found.reset_hint);
    if is_same {
        return Ok(());
    }
    Err(format!("expected {expected:?}, found {found:?}"))
}

fn all_almost_equal(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| almost_equal(*a, *b))
}

/// The buckets that are not empty, with their indexes.
pub(super) fn filled(buckets: &Buckets) -> impl Iterator<Item = (i64, f64)> {
    indexes(buckets.spans())
        .zip(buckets.counts().iter().copied())
        .filter(|(_, count)| *count != 0.0)
}

fn same_buckets(expected: &Buckets, found: &Buckets) -> bool {
    let (expected_at, expected_counts): (Vec<i64>, Vec<f64>) = filled(expected).unzip();
    let (found_at, found_counts): (Vec<i64>, Vec<f64>) = filled(found).unzip();
    expected_at == found_at && all_almost_equal(&expected_counts, &found_counts)
}

fn indexes(spans: &[Span]) -> impl Iterator<Item = i64> {
    let mut next = 0;
    spans.iter().flat_map(move |span| {
        let first = next + i64::from(span.offset);
        next = first + i64::from(span.length);
        first..next
    })
}

/// Compares warnings or infos with what is expected.
pub(super) fn compare_notes(kind: &str, expected: &Notes, found: &[String]) -> Verdict {
    match expected {
        Notes::Any => Ok(()),
        Notes::None if found.is_empty() => Ok(()),
        Notes::None => Err(format!("unexpected {kind} annotations: {found:?}")),
        Notes::Some if found.is_empty() => Err(format!("expected {kind} annotations, found none")),
        Notes::Some => Ok(()),
        Notes::All(_) if found.is_empty() => Err(format!("expected {kind} annotations, found none")),
        Notes::All(texts) => {
            let missing = texts
                .iter()
                .find(|text| !found.iter().any(|found| text.matches(found)));
            let unexpected = found
                .iter()
                .find(|found| !texts.iter().any(|text| text.matches(found)));
            match (missing, unexpected) {
                (None, None) => Ok(()),
                (Some(text), _) => Err(format!(
                    "expected the {kind} annotation {text:?}, found {found:?}"
                )),
                (None, Some(text)) => Err(format!("unexpected {kind} annotation {text:?}")),
            }
        }
    }
}
