//! What an aggregation keeps of the values of one group at one step.

use crate::base::kahan::Compensated;
use crate::promql::annotations::{Annotation, Annotations, HistogramOperation as Operation};
use crate::promql::ast::AggregateExpr;
use crate::promql::functions::histogram_sums::{HistogramMean, HistogramSum, HistogramTotal};
use crate::promql::functions::sums::{Mean, quantile};
use crate::promql::value::{Cell, Row};
use std::cell::RefCell;

/// What accumulators know of the aggregation.
pub(super) struct Context<'c> {
    pub(super) expr: &'c AggregateExpr,
    pub(super) annotations: &'c RefCell<Annotations>,
    pub(super) parameter: &'c [f64],
}

impl Context<'_> {
    /// Annotates what is aggregated.
    fn annotate(&self, annotation: Annotation) {
        self.annotations
            .borrow_mut()
            .add(annotation, self.expr.expr.span());
    }

    fn ignored_histogram(&self) {
        let aggregation = self.expr.op.as_str().to_owned();
        self.annotate(Annotation::IgnoredInAggregation { aggregation });
    }
}

/// The state of one group at one step.
pub(super) trait Accumulator: Default {
    /// Whether the values that are added stay in memory.
    const KEEPS_VALUES: bool = false;

    /// Judges the parameter before the first row.
    fn check(_context: &Context<'_>) {}

    /// Adds a value that is not empty.
    fn add(&mut self, cell: &Cell, row: &Row, context: &Context<'_>);

    /// The result.
    fn finish(self, step: usize, context: &Context<'_>) -> Cell;

    /// Adds a row, step by step.
    fn add_row(cells: &mut [Self], row: &Row, context: &Context<'_>) {
        for (state, cell) in cells.iter_mut().zip(&row.cells) {
            if !cell.is_empty() {
                state.add(cell, row, context);
            }
        }
    }
}

/// Sums and means: floats, or histograms, but not both.
#[derive(Debug, Default)]
pub(super) struct Total<F, H> {
    floats: F,
    has_floats: bool,
    histograms: Option<Box<H>>,
    is_incompatible: bool,
}

pub(super) type Sum = Total<Compensated, HistogramSum>;
pub(super) type Avg = Total<Mean, HistogramMean>;

/// A total of floats.
pub(super) trait FloatTotal: Default {
    fn add(&mut self, value: f64);
    fn value(&self) -> f64;
}

impl FloatTotal for Compensated {
    #[inline]
    fn add(&mut self, value: f64) {
        Compensated::add(self, value);
    }

    fn value(&self) -> f64 {
        self.total()
    }
}

impl FloatTotal for Mean {
    #[inline]
    fn add(&mut self, value: f64) {
        Mean::add(self, value);
    }

    fn value(&self) -> f64 {
        Mean::value(self)
    }
}

impl<F: FloatTotal, H: HistogramTotal> Accumulator for Total<F, H> {
    #[inline]
    fn add(&mut self, cell: &Cell, row: &Row, context: &Context<'_>) {
        match cell {
            Cell::Empty => {}
            Cell::Float(value) => {
                self.has_floats = true;
                self.floats.add(*value);
            }
            Cell::Histogram(_) if self.is_incompatible => {}
            Cell::Histogram(histogram) => {
                let total = self.histograms.get_or_insert_default();
                if total.add(histogram).is_err() {
                    self.is_incompatible = true;
                    context.annotate(Annotation::MixedExponentialCustom {
                        metric: row.labels.metric_name().to_owned(),
                    });
                }
            }
        }
    }

    fn finish(self, _step: usize, context: &Context<'_>) -> Cell {
        let Some(histograms) = self.histograms else {
            return if self.has_floats {
                Cell::Float(self.floats.value())
            } else {
                Cell::Empty
            };
        };
        if self.has_floats {
            context.annotate(Annotation::MixedFloatsHistogramsInAggregation);
            return Cell::Empty;
        }
        let seen = histograms.seen();
        if seen.bounds_reconciled {
            let operation = Operation::Aggregation;
            context.annotate(Annotation::MismatchedCustomBuckets { operation });
        }
        if self.is_incompatible {
            return Cell::Empty;
        }
        if seen.is_collision() {
            let operation = Operation::Aggregation;
            context.annotate(Annotation::ResetCollision { operation });
        }
        let Some(mut value) = histograms.value() else {
            return Cell::Empty;
        };
        value.compact();
        value.into()
    }
}

#[derive(Debug, Default)]
pub(super) struct Count(u64);

impl Accumulator for Count {
    fn add(&mut self, _cell: &Cell, _row: &Row, _context: &Context<'_>) {
        self.0 += 1;
    }

    fn finish(self, _step: usize, _context: &Context<'_>) -> Cell {
        if self.0 == 0 {
            Cell::Empty
        } else {
            Cell::Float(self.0 as f64)
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Group(bool);

impl Accumulator for Group {
    fn add(&mut self, _cell: &Cell, _row: &Row, _context: &Context<'_>) {
        self.0 = true;
    }

    fn finish(self, _step: usize, _context: &Context<'_>) -> Cell {
        if self.0 { Cell::Float(1.0) } else { Cell::Empty }
    }
}

/// The float of a cell; of a histogram it is said that it is ignored.
fn float_of(cell: &Cell, context: &Context<'_>) -> Option<f64> {
    let float = cell.as_float();
    if float.is_none() {
        context.ignored_histogram();
    }
    float
}

#[derive(Debug, Default)]
pub(super) struct Max(Option<f64>);

impl Accumulator for Max {
    fn add(&mut self, cell: &Cell, _row: &Row, context: &Context<'_>) {
        let Some(value) = float_of(cell, context) else {
            return;
        };
        if self.0.is_none_or(|most| most < value || most.is_nan()) {
            self.0 = Some(value);
        }
    }

    fn finish(self, _step: usize, _context: &Context<'_>) -> Cell {
        self.0.map_or(Cell::Empty, Cell::Float)
    }
}

#[derive(Debug, Default)]
pub(super) struct Min(Option<f64>);

impl Accumulator for Min {
    fn add(&mut self, cell: &Cell, _row: &Row, context: &Context<'_>) {
        let Some(value) = float_of(cell, context) else {
            return;
        };
        if self.0.is_none_or(|least| least > value || least.is_nan()) {
            self.0 = Some(value);
        }
    }

    fn finish(self, _step: usize, _context: &Context<'_>) -> Cell {
        self.0.map_or(Cell::Empty, Cell::Float)
    }
}

/// The variance by Welford's method.
#[derive(Debug, Default)]
pub(super) struct Stdvar {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Stdvar {
    fn variance(&self) -> Option<f64> {
        (self.count > 0.0).then(|| self.squares / self.count)
    }
}

impl Accumulator for Stdvar {
    fn add(&mut self, cell: &Cell, _row: &Row, context: &Context<'_>) {
        let Some(value) = float_of(cell, context) else {
            return;
        };
        self.count += 1.0;
        if self.count == 1.0 {
            self.mean = value;
            self.squares = if value.is_finite() { 0.0 } else { f64::NAN };
            return;
        }
        let delta = value - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (value - self.mean);
    }

    fn finish(self, _step: usize, _context: &Context<'_>) -> Cell {
        self.variance().map_or(Cell::Empty, Cell::Float)
    }
}

#[derive(Debug, Default)]
pub(super) struct Stddev(Stdvar);

impl Accumulator for Stddev {
    fn add(&mut self, cell: &Cell, row: &Row, context: &Context<'_>) {
        self.0.add(cell, row, context);
    }

    fn finish(self, _step: usize, _context: &Context<'_>) -> Cell {
        self.0
            .variance()
            .map_or(Cell::Empty, |variance| Cell::Float(variance.sqrt()))
    }
}

/// The values themselves: a quantile cannot do with less.
#[derive(Debug, Default)]
pub(super) struct Quantile(Vec<f64>);

impl Accumulator for Quantile {
    const KEEPS_VALUES: bool = true;

    fn check(context: &Context<'_>) {
        let span = context
            .expr
            .param
            .as_ref()
            .map(|param| param.span())
            .unwrap_or_default();
        let invalid = |quantile: f64| {
            let annotation = Annotation::InvalidQuantile { quantile };
            context.annotations.borrow_mut().add(annotation, span);
        };
        let values = || context.parameter.iter().copied();
        if values().any(f64::is_nan) {
            invalid(f64::NAN);
        }
        let (least, most) = (
            values().fold(f64::NAN, f64::min),
            values().fold(f64::NAN, f64::max),
        );
        if most > 1.0 {
            invalid(most);
        }
        if least < 0.0 {
            invalid(least);
        }
    }

    fn add(&mut self, cell: &Cell, _row: &Row, context: &Context<'_>) {
        self.0.extend(float_of(cell, context));
    }

    fn finish(mut self, step: usize, context: &Context<'_>) -> Cell {
        if self.0.is_empty() {
            return Cell::Empty;
        }
        let q = context.parameter.get(step).copied().unwrap_or(f64::NAN);
        Cell::Float(quantile(q, &mut self.0))
    }
}
