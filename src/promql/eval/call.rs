//! Calls of functions: arguments first, then the implementation over cells, rows, windows or all rows.

use super::error::EvalError;
use super::labels::{Distinct, without_metadata};
use super::range::{Frame, UNASKED_MAX, Windows};
use super::{Evaluator, NameRemoval, Sink, mistyped};
use crate::model::labels::Labels;
use crate::promql::annotations::Annotation;
use crate::promql::ast::{self, Expr, StringLiteral, VectorSelector};
use crate::promql::functions::absent::absent_labels;
use crate::promql::functions::sweep::{OfSweep, Shape, Sweep, of_sweep};
use crate::promql::functions::thinned::of_thinned;
use crate::promql::functions::{self, Argument, ArgumentValue, Call, Implementation};
use crate::promql::quote::quote_bytes;
use crate::promql::signature::{NameEffect, ValueType};
use crate::promql::source::SeriesSamples;
use crate::promql::value::{Cell, Row, Steps};
use crate::promql::window::{Window, WindowKind};

/// Functions that know what to do with samples outside the window.
const ANCHORED: &[&str] = &["changes", "delta", "increase", "rate", "resets"];
const SMOOTHED: &[&str] = &["delta", "increase", "rate"];

/// Endings of names that counters have.
const COUNTER_ENDINGS: &[&str] = &["_total", "_sum", "_count", "_bucket"];

/// A cell from the cell of a vector.
type OfCell = fn(&Call<'_>, usize, &Labels, &Cell) -> Cell;
/// A cell from a window.
type OfWindow = fn(&Call<'_>, usize, &Window<'_>) -> Cell;

impl Evaluator<'_> {
    pub(super) fn call(&self, call: &ast::Call, steps: Steps, sink: Sink<'_>) -> Result<(), EvalError> {
        let name = call.function.name;
        match name {
            "absent" => return self.absent(call, steps, sink),
            "absent_over_time" => return self.absent_over_time(call, steps, sink),
            "info" => return self.info(call, steps, sink),
            "timestamp" => return self.timestamp(call, steps, sink),
            "start_timestamp" => return self.start_timestamp(call, steps, sink),
            _ => {}
        }
        let implementation = functions::implementation(name)
            .ok_or_else(|| EvalError::execution(format!("BUG: no implementation of {name}")))?;
        let arguments = self.arguments(call, steps)?;
        let context = self.context(call, &arguments, steps);
        self.set_hints(name, &[], false);
        match implementation {
            Implementation::Cell(of_cell) => self.call_of_cells(call, &context, of_cell, sink),
            Implementation::Row(of_row) => {
                let mut distinct = Distinct::default();
                // Arguments are judged even when there is no row.
                of_row(&context, &mut Row::default())?;
                self.vector(series_argument(call, &context)?, steps, &mut |mut row| {
                    of_row(&context, &mut row)?;
                    distinct.check(&row)?;
                    sink(row)
                })
            }
            Implementation::Window(of_window) => self.call_of_windows(call, &context, of_window, sink),
            Implementation::Rows(of_rows) => {
                let rows = match series_argument(call, &context) {
                    Ok(argument) => self.collect(argument, steps)?,
                    Err(_) => self.no_rows(),
                };
                let mut names = NameRemoval::new(self.options.delayed_name_removal);
                for mut row in of_rows(&context, rows.rows)? {
                    if call.function.names == NameEffect::Drops {
                        names.apply(&mut row)?;
                    }
                    sink(row)?;
                }
                context.check()
            }
            Implementation::Scalar(_) | Implementation::Collapse(_) => Err(mistyped("a vector")),
        }
    }

    pub(super) fn scalar_call(&self, call: &ast::Call, steps: Steps) -> Result<Vec<f64>, EvalError> {
        let name = call.function.name;
        let implementation = functions::implementation(name)
            .ok_or_else(|| EvalError::execution(format!("BUG: no implementation of {name}")))?;
        let arguments = self.arguments(call, steps)?;
        let context = self.context(call, &arguments, steps);
        self.set_hints(name, &[], false);
        let values = match implementation {
            Implementation::Scalar(of_step) => (0..steps.count).map(|step| of_step(&context, step)).collect(),
            Implementation::Collapse(of_rows) => {
                let rows = self.collect(series_argument(call, &context)?, steps)?;
                of_rows(&context, rows.rows)
            }
            _ => return Err(mistyped("a scalar")),
        };
        context.check()?;
        Ok(values)
    }

    fn context<'c>(&'c self, call: &ast::Call, arguments: &'c [Argument], steps: Steps) -> Call<'c> {
        let delayed = self.options.delayed_name_removal;
        let mut context = Call::new(arguments, steps, delayed, &self.annotations);
        context.own_span = call.span;
        context
    }

    fn arguments(&self, call: &ast::Call, steps: Steps) -> Result<Vec<Argument>, EvalError> {
        let evaluate = |argument: &Expr| {
            let value = match argument.value_type() {
                ValueType::Scalar => ArgumentValue::Scalar(self.scalar(argument, steps)?),
                ValueType::String => {
                    refuse_bytes(call.function.name, argument)?;
                    ArgumentValue::String(self.string(argument)?.to_owned())
                }
                ValueType::Vector | ValueType::Matrix => ArgumentValue::Series,
            };
            let is_broken_text =
                matches!(argument.unwrap_parens(), Expr::String(text) if text.bytes.is_some());
            Ok(Argument {
                span: argument.span(),
                value,
                is_broken_text,
            })
        };
        call.args.iter().map(evaluate).collect()
    }

    fn call_of_cells(
        &self,
        call: &ast::Call,
        context: &Call<'_>,
        of_cell: OfCell,
        sink: Sink<'_>,
    ) -> Result<(), EvalError> {
        let mut names = NameRemoval::new(self.options.delayed_name_removal);
        let mut apply = |mut row: Row| {
            for (step, cell) in row.cells.iter_mut().enumerate() {
                if !cell.is_empty() {
                    *cell = of_cell(context, step, &row.labels, cell);
                }
            }
            context.check()?;
            if row.is_empty() {
                return Ok(());
            }
            if call.function.names == NameEffect::Drops {
                names.apply(&mut row)?;
            }
            sink(row)
        };
        if call.args.is_empty() {
            // The functions of dates are about the time of the step then.
            let seconds = |timestamp_ms: i64| Cell::Float(timestamp_ms.div_euclid(1000) as f64);
            let cells = context.steps.timestamps().map(seconds).collect();
            return apply(Row {
                cells,
                ..Row::default()
            });
        }
        self.vector(series_argument(call, context)?, context.steps, &mut apply)
    }

    fn call_of_windows(
        &self,
        call: &ast::Call,
        context: &Call<'_>,
        of_window: OfWindow,
        sink: Sink<'_>,
    ) -> Result<(), EvalError> {
        let name = call.function.name;
        let argument = series_argument(call, context)?;
        check_window_kind(name, argument)?;
        let drops_name = call.function.names == NameEffect::Drops;
        let mut names = NameRemoval::new(self.options.delayed_name_removal);
        let steps = context.steps;
        let is_counted = matches!(name, "rate" | "increase");
        let mut noted = String::new();
        let of_sweep = of_sweep(name);
        let mut shape = None;
        let mut each = |series: &SeriesSamples, frame: Frame, counts: Option<&[u32]>| {
            let mut cells = self.cells(steps);
            let of_sweep = match counts {
                Some(_) => of_thinned(name),
                None => of_sweep.filter(|_| has_floats_only(series)),
            };
            let shape = shape.get_or_insert_with(|| frame.shape(steps)).as_mut();
            match of_sweep.zip(shape) {
                Some((of_sweep, shape)) => {
                    shape.lay(&series.floats.timestamps_ms, counts.unwrap_or_default());
                    self.sweep(context, of_sweep, (&series.floats.values, shape), &mut cells)?;
                }
                None => self.each_window(context, of_window, Windows::new(series, frame), &mut cells)?,
            }
            let mut row = Row {
                labels: series.labels.clone(),
                drop_name: false,
                cells,
            };
            context.check()?;
            if row.is_empty() {
                return Ok(());
            }
            if is_counted {
                self.note_no_counter(&row, context, &mut noted);
            }
            if drops_name {
                names.apply_strictly(&mut row)?;
            } else {
                row.drop_name = frame.drops_name();
            }
            sink(row)
        };
        if self.thinned_windows(name, argument, steps, &mut each)? {
            return Ok(());
        }
        self.windows(argument, steps, &mut |series, frame| each(series, frame, None))
    }

    /// The cells of all windows of a series of floats, in pieces between which the query is asked whether it may go on.
    fn sweep(
        &self,
        context: &Call<'_>,
        of_sweep: OfSweep,
        (values, shape): (&[f64], &mut Shape),
        cells: &mut Vec<Cell>,
    ) -> Result<(), EvalError> {
        self.tally.add(shape.samples(), |step| shape.samples_at(step));
        let mut step = 0;
        while step < context.steps.count {
            if step > 0 {
                self.budget.check()?;
            }
            let steps = shape.piece(step, UNASKED_MAX);
            step = steps.end;
            of_sweep(context, &mut Sweep { values, shape, steps }, cells);
        }
        Ok(())
    }

    /// The cells of windows, one after the other.
    fn each_window(
        &self,
        context: &Call<'_>,
        of_window: OfWindow,
        mut windows: Windows<'_>,
        cells: &mut Vec<Cell>,
    ) -> Result<(), EvalError> {
        let mut unasked = 0;
        for step in 0..context.steps.count {
            let Some(window) = windows.at(step) else {
                cells.push(Cell::Empty);
                continue;
            };
            unasked += window.floats.values.len() + window.histograms.values.len();
            self.tally.add_window(step, &window);
            cells.push(of_window(context, step, &window));
            if unasked > UNASKED_MAX {
                unasked = 0;
                self.budget.check()?;
            }
        }
        Ok(())
    }

    /// Says so when the rate is taken of what does not look like a counter. `noted` is the metric of which it was said.
    fn note_no_counter(&self, row: &Row, context: &Call<'_>, noted: &mut String) {
        let metric = row.labels.metric_name();
        let has_floats = || row.cells.iter().any(|cell| cell.as_float().is_some());
        if metric.is_empty() || metric == noted || !has_floats() {
            return;
        }
        let span = context.span(0);
        if self.options.type_and_unit_labels {
            let kind = row.labels.get("__type__").unwrap_or("");
            if !matches!(kind, "counter" | "histogram") {
                let (metric, type_label) = (metric.to_owned(), kind.to_owned());
                context.annotate(Annotation::PossibleNonCounterLabel { metric, type_label }, span);
            }
        } else if !COUNTER_ENDINGS.iter().any(|ending| metric.ends_with(ending)) {
            context.annotate(
                Annotation::PossibleNonCounter {
                    metric: metric.to_owned(),
                },
                span,
            );
            metric.clone_into(noted);
        }
    }

    /// The times of samples: of the samples themselves for a selector, of the steps for anything else.
    fn timestamp(&self, call: &ast::Call, steps: Steps, sink: Sink<'_>) -> Result<(), EvalError> {
        let argument = call.args.first().ok_or_else(|| mistyped("a call"))?;
        self.set_hints(call.function.name, &[], false);
        let mut names = NameRemoval::new(self.options.delayed_name_removal);
        let mut emit = |mut row: Row| {
            names.apply(&mut row)?;
            sink(row)
        };
        if let Some(selector) = selector_of(argument) {
            return self.select_timestamps(selector, steps, &mut emit);
        }
        self.vector(argument, steps, &mut |mut row| {
            for (cell, timestamp_ms) in row.cells.iter_mut().zip(steps.timestamps()) {
                if !cell.is_empty() {
                    *cell = Cell::Float(timestamp_ms as f64 / 1000.0);
                }
            }
            emit(row)
        })
    }

    /// The start timestamps of samples. An expression has none.
    fn start_timestamp(&self, call: &ast::Call, steps: Steps, sink: Sink<'_>) -> Result<(), EvalError> {
        let argument = call.args.first().ok_or_else(|| mistyped("a call"))?;
        self.set_hints(call.function.name, &[], false);
        let mut names = NameRemoval::new(self.options.delayed_name_removal);
        match selector_of(argument) {
            Some(selector) if self.options.start_timestamps => {
                self.select_starts(selector, steps, &mut |mut row| {
                    names.apply(&mut row)?;
                    sink(row)
                })
            }
            _ => self.vector(argument, steps, &mut |_| Ok(())),
        }
    }

    fn absent(&self, call: &ast::Call, steps: Steps, sink: Sink<'_>) -> Result<(), EvalError> {
        let argument = call.args.first().ok_or_else(|| mistyped("a call"))?;
        self.set_hints(call.function.name, &[], false);
        let mut present = vec![false; steps.count];
        self.vector(argument, steps, &mut |row| {
            let cells = present.iter_mut().zip(&row.cells);
            cells.for_each(|(present, cell)| *present |= !cell.is_empty());
            Ok(())
        })?;
        absent_row(argument, &present, sink)
    }

    fn absent_over_time(&self, call: &ast::Call, steps: Steps, sink: Sink<'_>) -> Result<(), EvalError> {
        let argument = call.args.first().ok_or_else(|| mistyped("a call"))?;
        self.set_hints(call.function.name, &[], false);
        check_window_kind(call.function.name, argument)?;
        let mut present = vec![false; steps.count];
        let mut each = |series: &SeriesSamples, frame: Frame, _: Option<&[u32]>| {
            let mut windows = Windows::new(series, frame);
            for (step, present) in present.iter_mut().enumerate() {
                if let Some(window) = windows.at(step) {
                    self.tally.add_window(step, &window);
                    *present = true;
                }
            }
            Ok(())
        };
        if !self.thinned_windows(call.function.name, argument, steps, &mut each)? {
            self.windows(argument, steps, &mut |series, frame| each(series, frame, None))?;
        }
        absent_row(argument, &present, sink)
    }
}

fn has_floats_only(series: &SeriesSamples) -> bool {
    series.floats.starts_ms.is_empty() && series.histograms.timestamps_ms.is_empty()
}

/// Labels are text: a name or value whose escapes make bytes that are no UTF-8 is refused.
fn refuse_bytes(function: &str, argument: &Expr) -> Result<(), EvalError> {
    match argument.unwrap_parens() {
        Expr::String(StringLiteral {
            bytes: Some(bytes), ..
        }) => {
            let text = quote_bytes(bytes);
            Err(EvalError::execution(format!(
                "invalid label name in {function}(): {text}"
            )))
        }
        _ => Ok(()),
    }
}

/// The selector that an argument is.
fn selector_of(argument: &Expr) -> Option<&VectorSelector> {
    match argument.unwrap_parens() {
        Expr::StepInvariant(inner) => selector_of(inner),
        Expr::Vector(selector) => Some(selector),
        _ => None,
    }
}

fn absent_row(argument: &Expr, present: &[bool], sink: Sink<'_>) -> Result<(), EvalError> {
    let cell = |present: &bool| if *present { Cell::Empty } else { Cell::Float(1.0) };
    let cells: Vec<Cell> = present.iter().map(cell).collect();
    let row = Row {
        labels: without_metadata(&absent_labels(argument)),
        drop_name: false,
        cells,
    };
    if row.is_empty() { Ok(()) } else { sink(row) }
}

/// The argument that the series come from.
fn series_argument<'e>(call: &'e ast::Call, context: &Call<'_>) -> Result<&'e Expr, EvalError> {
    let argument = call.args.get(context.series_argument);
    let is_series = |argument: &&Expr| matches!(argument.value_type(), ValueType::Vector | ValueType::Matrix);
    argument
        .filter(is_series)
        .ok_or_else(|| mistyped("a call over series"))
}

fn check_window_kind(function: &str, argument: &Expr) -> Result<(), EvalError> {
    let selector = match argument {
        Expr::Paren(inner) => return check_window_kind(function, &inner.expr),
        Expr::StepInvariant(inner) => return check_window_kind(function, inner),
        Expr::Matrix(selector) => selector,
        _ => return Ok(()),
    };
    let (kind, allowed) = match selector.vector.window_kind() {
        WindowKind::Plain => return Ok(()),
        WindowKind::Anchored => ("anchored", ANCHORED),
        WindowKind::Smoothed => ("smoothed", SMOOTHED),
    };
    if allowed.contains(&function) {
        return Ok(());
    }
    let allowed = allowed.join(", ");
    Err(EvalError::execution(format!(
        "{kind} modifier can only be used with: {allowed} - not with {function}"
    )))
}
