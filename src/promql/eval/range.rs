//! Windows: for each series and step the samples of a range, from a selector or from a subquery.

use super::error::EvalError;
use super::plan::References;
use super::read::drop_stale;
use super::{Evaluator, mistyped};
use crate::model::histogram::ResetHint;
use crate::promql::ast::{Expr, MatrixSelector, SubqueryExpr};
use crate::promql::functions::sweep::Shape;
use crate::promql::signature::ValueType;
use crate::promql::source::SeriesSamples;
use crate::promql::value::{Cell, Row, Steps};
use crate::promql::window::{Floats, Histograms, Window, WindowKind};
use std::sync::Arc;

/// Where the windows of an expression lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    references: References,
    range_ms: i64,
    kind: WindowKind,
    lookback_ms: i64,
    /// The series is of a subquery that drops its name at the end of the query.
    drop_name: bool,
}

/// The windows of one series, for steps in order.
pub(super) struct Windows<'s> {
    series: &'s SeriesSamples,
    frame: Frame,
    floats: Reach,
    histograms: Reach,
}

/// Which samples are in the window: from the first up to, not including, the last index.
#[derive(Debug, Clone, Copy, Default)]
struct Reach {
    from: usize,
    to: usize,
}

impl Reach {
    /// Moves on to the samples behind `open_start_ms`, up to `end_ms`.
    fn advance(&mut self, timestamps_ms: &[i64], open_start_ms: i64, end_ms: i64) {
        while timestamps_ms
            .get(self.to)
            .is_some_and(|timestamp| *timestamp <= end_ms)
        {
            self.to += 1;
        }
        while self.from < self.to && timestamps_ms[self.from] <= open_start_ms {
            self.from += 1;
        }
    }

    fn of<'s, T>(&self, column: &'s [T]) -> &'s [T] {
        column.get(self.from..self.to).unwrap_or_default()
    }
}

impl Frame {
    /// Whether the name of the series goes at the end of the query.
    pub(super) fn drops_name(&self) -> bool {
        self.drop_name
    }

    /// Its windows, to be laid over series that have nothing but floats.
    pub(super) fn shape(&self, steps: Steps) -> Option<Shape> {
        let ends_ms = (0..steps.count).map(|step| self.references.at(step));
        (self.kind == WindowKind::Plain).then(|| Shape::new(ends_ms.collect(), self.range_ms))
    }
}

/// So many samples are worked on before the query is asked whether it may go on.
pub(super) const UNASKED_MAX: usize = 1 << 22;

impl<'s> Windows<'s> {
    pub(super) fn new(series: &'s SeriesSamples, frame: Frame) -> Self {
        Self {
            series,
            frame,
            floats: Reach::default(),
            histograms: Reach::default(),
        }
    }

    /// The window of a step, or `None` when it is empty. Steps come in order.
    pub(super) fn at(&mut self, step: usize) -> Option<Window<'_>> {
        let frame = self.frame;
        let end_ms = frame.references.at(step);
        let start_ms = end_ms.saturating_sub(frame.range_ms);
        let (open_start_ms, last_ms) = match frame.kind {
            WindowKind::Plain => (start_ms, end_ms),
            WindowKind::Anchored => (start_ms.saturating_sub(frame.lookback_ms), end_ms),
            WindowKind::Smoothed => (
                start_ms.saturating_sub(frame.lookback_ms),
                end_ms.saturating_add(frame.lookback_ms),
            ),
        };
        let (floats, histograms) = (&self.series.floats, &self.series.histograms);
        self.floats.advance(&floats.timestamps_ms, open_start_ms, last_ms);
        self.histograms
            .advance(&histograms.timestamps_ms, open_start_ms, last_ms);
        let window = Window {
            labels: &self.series.labels,
            floats: Floats {
                timestamps_ms: self.floats.of(&floats.timestamps_ms),
                values: self.floats.of(&floats.values),
                starts_ms: self.floats.of(&floats.starts_ms),
            },
            histograms: Histograms {
                timestamps_ms: self.histograms.of(&histograms.timestamps_ms),
                values: self.histograms.of(&histograms.values),
                starts_ms: self.histograms.of(&histograms.starts_ms),
            },
            start_ms,
            end_ms,
            kind: frame.kind,
        };
        let is_empty = window.floats.values.is_empty() && window.histograms.values.is_empty();
        (!is_empty).then_some(window)
    }
}

impl Evaluator<'_> {
    /// Gives the series of a range vector to `each`, without stale markers, and where their windows lie.
    pub(super) fn windows(
        &self,
        expr: &Expr,
        steps: Steps,
        each: &mut dyn FnMut(&SeriesSamples, Frame) -> Result<(), EvalError>,
    ) -> Result<(), EvalError> {
        match expr {
            Expr::Paren(inner) => self.windows(&inner.expr, steps, each),
            // The windows are the same at every step, the step's own time is not.
            Expr::StepInvariant(inner) => self.windows(inner, steps, each),
            Expr::Matrix(selector) => {
                let select = self.range_select(selector, steps, self.hints());
                let frame = self.frame(selector, steps);
                self.read(&select, &mut |series| {
                    self.prepare(series);
                    if series.is_empty() {
                        Ok(())
                    } else {
                        each(series, frame)
                    }
                })
            }
            Expr::Subquery(subquery) => {
                let frame = Frame {
                    references: subquery.references(steps),
                    range_ms: subquery.range_ms,
                    kind: WindowKind::Plain,
                    lookback_ms: self.options.lookback_ms,
                    drop_name: false,
                };
                let counts = self.tally.counts();
                let mut window = |row: Row, inner| {
                    let frame = Frame {
                        drop_name: row.drop_name,
                        ..frame
                    };
                    self.tally.with(counts, || each(&series_of(row, inner), frame))
                };
                self.tally.with(counts.below(), || {
                    self.subquery_rows(subquery, steps, &mut window)
                })
            }
            _ => Err(mistyped("a range vector")),
        }
    }

    /// Where the windows of a selector lie.
    pub(super) fn frame(&self, selector: &MatrixSelector, steps: Steps) -> Frame {
        Frame {
            references: selector.vector.references(steps),
            range_ms: selector.range_ms,
            kind: selector.vector.window_kind(),
            lookback_ms: self.options.lookback_ms,
            drop_name: false,
        }
    }

    /// Leaves of a series what windows are about.
    pub(super) fn prepare(&self, series: &mut SeriesSamples) {
        drop_stale(series);
        if !self.options.start_timestamps {
            series.floats.starts_ms.clear();
            series.histograms.starts_ms.clear();
        }
    }

    fn subquery_rows(
        &self,
        subquery: &SubqueryExpr,
        steps: Steps,
        each: &mut dyn FnMut(Row, Steps) -> Result<(), EvalError>,
    ) -> Result<(), EvalError> {
        let inner = self.subquery_steps(subquery, steps);
        if inner.count == 0 {
            return Ok(());
        }
        // A row of so many steps is made at least.
        let mut held = self.budget.hold();
        held.add(inner.count)?;
        if subquery.expr.value_type() == ValueType::Scalar {
            let values = self.scalar(&subquery.expr, inner)?;
            let cells = values.into_iter().map(Cell::Float).collect();
            return each(
                Row {
                    cells,
                    ..Row::default()
                },
                inner,
            );
        }
        if may_split_series(&subquery.expr) {
            let rows = self.collect(&subquery.expr, inner)?;
            return rows.rows.into_iter().try_for_each(|row| each(row, inner));
        }
        self.vector(&subquery.expr, inner, &mut |row| each(row, inner))
    }
}

/// Whether the rows of an expression may be parts of one series, which take turns.
fn may_split_series(expr: &Expr) -> bool {
    match expr {
        Expr::Paren(inner) => may_split_series(&inner.expr),
        Expr::StepInvariant(inner) => may_split_series(inner),
        Expr::Vector(_) | Expr::Aggregate(_) => false,
        Expr::Call(call) => !call
            .args
            .iter()
            .any(|argument| matches!(argument.unwrap_parens(), Expr::Matrix(_) | Expr::Subquery(_))),
        _ => true,
    }
}

/// A row as samples at its steps. What hints say of resets between samples is not true of the samples of a subquery.
fn series_of(row: Row, steps: Steps) -> SeriesSamples {
    let mut series = SeriesSamples {
        labels: row.labels,
        ..SeriesSamples::default()
    };
    for (cell, timestamp_ms) in row.cells.into_iter().zip(steps.timestamps()) {
        match cell {
            Cell::Empty => {}
            Cell::Float(value) => {
                series.floats.timestamps_ms.push(timestamp_ms);
                series.floats.values.push(value);
            }
            Cell::Histogram(mut histogram) => {
                if matches!(histogram.reset_hint, ResetHint::Reset | ResetHint::NotReset) {
                    Arc::make_mut(&mut histogram).reset_hint = ResetHint::Unknown;
                }
                series.histograms.timestamps_ms.push(timestamp_ms);
                series.histograms.values.push(histogram);
            }
        }
    }
    series
}
