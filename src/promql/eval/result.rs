//! From a checked expression to the result of the query.

use super::error::EvalError;
use super::labels::{merge_rows, same_labelset, without_metadata};
use super::range::Windows;
use super::tally::Counts;
use super::{EvalOptions, Evaluator};
use crate::promql::annotations::Annotations;
use crate::promql::ast::Expr;
use crate::promql::eval::Set;
use crate::promql::functions::extended::edge_samples;
use crate::promql::signature::ValueType;
use crate::promql::source::{SeriesSamples, Source};
use crate::promql::value::{Cell, QueryPoint, QuerySample, QuerySeries, QueryValue, Row, Steps};

/// What a query came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) value: Result<QueryValue, EvalError>,
    pub(crate) annotations: Annotations,
    /// How many samples were read from the source.
    pub(crate) samples_read: u64,
    /// How many samples the steps were computed from, all together, and each, if that was asked for.
    pub(crate) samples_counted: u64,
    pub(crate) samples_by_step: Vec<u64>,
    /// The most samples that were in memory at once.
    pub(crate) samples_peak: usize,
}

/// Evaluates an expression whose `@`, durations and invariant parts are resolved. An instant query has one step and is
/// not `is_range`.
pub(crate) fn evaluate(
    source: &dyn Source,
    options: &EvalOptions,
    expr: &Expr,
    steps: Steps,
    is_range: bool,
) -> Outcome {
    let evaluator = Evaluator::new(source, options, steps);
    evaluator.share_reads(expr, steps);
    let value = if is_range {
        evaluator.range_query(expr, steps)
    } else {
        evaluator.instant_query(expr, steps)
    };
    Outcome {
        value,
        samples_read: evaluator.budget.samples_read(),
        samples_peak: evaluator.budget.samples_peak(),
        samples_counted: evaluator.tally.total(),
        samples_by_step: evaluator.tally.by_step(),
        annotations: evaluator.annotations.into_inner(),
    }
}

impl Evaluator<'_> {
    fn range_query(&self, expr: &Expr, steps: Steps) -> Result<QueryValue, EvalError> {
        if expr.value_type() == ValueType::Scalar {
            let values = self.scalar(expr, steps)?;
            let floats = steps.timestamps().zip(values).collect();
            return Ok(QueryValue::Matrix(vec![QuerySeries {
                floats,
                ..QuerySeries::default()
            }]));
        }
        let rows = self.collect(expr, steps)?;
        let rows = merge_rows(rows.rows.into_iter().map(finished).collect())?;
        Ok(QueryValue::Matrix(sorted(
            rows.into_iter().map(|row| series_of(row, steps)).collect(),
        )))
    }

    fn instant_query(&self, expr: &Expr, steps: Steps) -> Result<QueryValue, EvalError> {
        let timestamp_ms = steps.start_ms;
        match expr.value_type() {
            ValueType::Scalar => {
                let values = self.scalar(expr, steps)?;
                let value = values.first().copied().unwrap_or(f64::NAN);
                Ok(QueryValue::Scalar { timestamp_ms, value })
            }
            ValueType::String => Ok(QueryValue::String {
                timestamp_ms,
                value: self.string(expr)?.to_owned(),
            }),
            ValueType::Vector => {
                let rows = self.collect(expr, steps)?;
                let rows: Vec<Row> = rows.rows.into_iter().map(finished).collect();
                check_distinct(rows.iter().map(|row| row.labels.hash().0))?;
                Ok(QueryValue::Vector(
                    rows.into_iter()
                        .filter_map(|row| sample_of(row, timestamp_ms))
                        .collect(),
                ))
            }
            ValueType::Matrix => self.samples_of_windows(expr, steps),
        }
    }

    /// A range vector is its samples as they are.
    fn samples_of_windows(&self, expr: &Expr, steps: Steps) -> Result<QueryValue, EvalError> {
        let mut all = Vec::new();
        let mut held = self.budget.hold();
        let counts = if is_subquery(expr) {
            Counts::Below
        } else {
            Counts::AtStep
        };
        let mut add = |series: &SeriesSamples, frame| {
            let mut windows = Windows::new(series, frame);
            let Some(window) = windows.at(0) else {
                return Ok(());
            };
            self.tally.add_window(0, &window);
            let (floats, histograms) = (window.floats, window.histograms);
            held.add(floats.values.len() + histograms.values.len())?;
            let drops_name = frame.drops_name();
            let labels = if drops_name {
                without_metadata(&series.labels)
            } else {
                series.labels.clone()
            };
            let mut result = QuerySeries {
                labels,
                ..QuerySeries::default()
            };
            (result.floats, result.histograms) = edge_samples(&window)?;
            if !(result.floats.is_empty() && result.histograms.is_empty()) {
                all.push(result);
            }
            Ok(())
        };
        self.tally.with(counts, || self.windows(expr, steps, &mut add))?;
        check_distinct(all.iter().map(|series| series.labels.hash().0))?;
        Ok(QueryValue::Matrix(sorted(all)))
    }
}

fn is_subquery(expr: &Expr) -> bool {
    match expr.unwrap_parens() {
        Expr::StepInvariant(inner) => is_subquery(inner),
        Expr::Subquery(_) => true,
        _ => false,
    }
}

/// The row with the labels that it has in the result.
fn finished(mut row: Row) -> Row {
    if row.drop_name {
        row.labels = without_metadata(&row.labels);
        row.drop_name = false;
    }
    row
}

fn check_distinct(hashes: impl Iterator<Item = u128>) -> Result<(), EvalError> {
    let mut seen = Set::default();
    for hash in hashes {
        if !seen.insert(hash) {
            return Err(same_labelset());
        }
    }
    Ok(())
}

fn sorted(mut series: Vec<QuerySeries>) -> Vec<QuerySeries> {
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    series
}

fn sample_of(row: Row, timestamp_ms: i64) -> Option<QuerySample> {
    let value = match row.cells.into_iter().next()? {
        Cell::Empty => return None,
        Cell::Float(value) => QueryPoint::Float(value),
        Cell::Histogram(histogram) => QueryPoint::Histogram(histogram),
    };
    Some(QuerySample {
        labels: row.labels,
        timestamp_ms,
        value,
    })
}

fn series_of(row: Row, steps: Steps) -> QuerySeries {
    let mut series = QuerySeries {
        labels: row.labels,
        ..QuerySeries::default()
    };
    for (cell, timestamp_ms) in row.cells.into_iter().zip(steps.timestamps()) {
        match cell {
            Cell::Empty => {}
            Cell::Float(value) => series.floats.push((timestamp_ms, value)),
            Cell::Histogram(histogram) => series.histograms.push((timestamp_ms, histogram)),
        }
    }
    series
}
