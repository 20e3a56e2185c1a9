//! Functions that order a vector. Over a range they only drop histograms: its answer is in order of labels.

use super::{Call, Implementation};
use crate::promql::annotations::Annotation;
use crate::promql::eval::error::EvalError;
use crate::promql::value::{Cell, Row};
use std::cmp::Ordering;

pub(super) fn implementation(name: &str) -> Option<Implementation> {
    Some(match name {
        "sort" => Implementation::Rows(|call, rows| Ok(by_value(call, rows, |a, b| a.total_cmp(&b)))),
        "sort_desc" => Implementation::Rows(|call, rows| Ok(by_value(call, rows, |a, b| b.total_cmp(&a)))),
        "sort_by_label" => Implementation::Rows(|call, rows| by_labels(call, rows, |order| order)),
        "sort_by_label_desc" => Implementation::Rows(|call, rows| by_labels(call, rows, Ordering::reverse)),
        _ => return None,
    })
}

/// Says that the order of a vector means nothing over a range.
fn note_range(call: &Call<'_>) {
    if call.steps.count > 1 {
        call.annotate(Annotation::SortInRangeQuery, call.own_span);
    }
}

/// NaN comes last in both orders.
fn by_value(call: &Call<'_>, mut rows: Vec<Row>, compare: impl Fn(f64, f64) -> Ordering) -> Vec<Row> {
    note_range(call);
    for cell in rows.iter_mut().flat_map(|row| &mut row.cells) {
        if cell.as_histogram().is_some() {
            *cell = Cell::Empty;
        }
    }
    rows.retain(|row| !row.is_empty());
    if let Some(first) = rows.first()
        && first.cells.len() == 1
    {
        let value = |row: &Row| row.cells.first().and_then(Cell::as_float).unwrap_or(f64::NAN);
        // Equal zeros keep their order: adding zero makes -0 one of them.
        rows.sort_by(|a, b| {
            let (a, b) = (value(a) + 0.0, value(b) + 0.0);
            a.is_nan().cmp(&b.is_nan()).then_with(|| compare(a, b))
        });
    }
    rows
}

fn by_labels(
    call: &Call<'_>,
    mut rows: Vec<Row>,
    direction: impl Fn(Ordering) -> Ordering,
) -> Result<Vec<Row>, EvalError> {
    note_range(call);
    rows.sort_by(|a, b| {
        let of_labels = (1..call.arguments.len()).map(|argument| {
            let label = call.string(argument);
            let [a, b] = [a, b].map(|row| row.labels.get(label).unwrap_or(""));
            natural_order(a, b)
        });
        let decided = of_labels.into_iter().find(|order| order.is_ne());
        direction(decided.unwrap_or_else(|| a.labels.cmp(&b.labels)))
    });
    Ok(rows)
}

/// The order in which 2 comes before 10: runs of digits are compared as numbers, what lies between as text.
fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (run_of_a, rest_of_a) = split_run(a);
        let (run_of_b, rest_of_b) = split_run(b);
        let order = match (run_of_a.is_empty(), run_of_b.is_empty()) {
            (true, true) => return Ordering::Equal,
            (false, false) if starts_with_digit(run_of_a) && starts_with_digit(run_of_b) => {
                let [a, b] = [run_of_a, run_of_b].map(|run| run.trim_start_matches('0'));
                a.len().cmp(&b.len()).then_with(|| a.cmp(b))
            }
            _ => run_of_a.cmp(run_of_b),
        };
        if order.is_ne() {
            return order;
        }
        (a, b) = (rest_of_a, rest_of_b);
    }
}

fn starts_with_digit(text: &str) -> bool {
    text.starts_with(|character: char| character.is_ascii_digit())
}

/// The digits, or what is none, at the start of a text.
fn split_run(text: &str) -> (&str, &str) {
    let is_digits = starts_with_digit(text);
    let end = text.find(|character: char| character.is_ascii_digit() != is_digits);
    text.split_at(end.unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Scalars;
    use super::*;
    use crate::labels;

    #[test]
    fn numbers_in_texts() {
        let ordered = [
            "", "-1", "2", "02x", "10", "10a2", "10a10", "a", "a1", "a2", "a10", "a10b", "b",
        ];
        for (index, a) in ordered.iter().enumerate() {
            for (other, b) in ordered.iter().enumerate() {
                assert_eq!(natural_order(a, b), index.cmp(&other), "{a:?} and {b:?}");
            }
        }
    }

    #[test]
    fn nan_comes_last() {
        let row = |value: f64| Row {
            labels: labels! { "v" => &value.to_string() },
            cells: vec![Cell::Float(value)],
            ..Row::default()
        };
        let values = |rows: Vec<Row>| -> Vec<String> {
            rows.iter()
                .map(|row| row.labels.get("v").unwrap_or("").to_owned())
                .collect()
        };
        let mixed = || vec![row(2.0), row(f64::NAN), row(-1.0), row(f64::INFINITY)];
        let scalars = Scalars::behind_a_vector(&[]);
        let ascending = scalars.with(|call| by_value(call, mixed(), |a, b| a.total_cmp(&b)));
        let descending = scalars.with(|call| by_value(call, mixed(), |a, b| b.total_cmp(&a)));
        assert_eq!(values(ascending), ["-1", "2", "inf", "NaN"]);
        assert_eq!(values(descending), ["inf", "2", "-1", "NaN"]);
    }
}
