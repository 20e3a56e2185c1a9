//! The evaluator: an expression and its steps come in, rows go out to a sink, one series after the other.
//!
//! Instant and range queries are one path; an instant query has one step. Rows flow from the selectors through functions
//! and operators into aggregations without being kept, wherever an operation can do with one series at a time. What
//! needs all series at once collects them and says so to the budget.

mod aggregate;
mod binary;
pub(crate) mod budget;
mod call;
mod elements;
pub(crate) mod error;
mod info;
pub(crate) mod labels;
mod matching;
mod pairs;
mod plan;
mod range;
mod read;
mod result;
mod selector;
mod sets;
mod smoothed;
mod tally;
#[cfg(test)]
mod tests;
mod thinned;
#[cfg(test)]
mod thinned_tests;

use self::budget::{Budget, CancelFlag, Held, QueryMemory, SAMPLE_BYTES};
use self::error::EvalError;
use self::labels::{Distinct, merge_rows, without_metadata};
use self::read::Shared;
use self::tally::Tally;
use super::annotations::Annotations;
use super::ast::{Expr, UnaryExpr};
use super::functions;
use super::operators::UnaryOp;
use super::query::Resolution;
use super::source::{Hints, Source};
use super::value::{Cell, Row, Steps};
use std::cell::{Cell as Flag, RefCell};
use std::sync::Arc;
use std::time::Duration;

#[cfg(test)]
pub(crate) use self::result::Outcome;
pub(crate) use self::result::evaluate;

/// How queries are evaluated.
#[derive(Debug, Clone)]
pub(crate) struct EvalOptions {
    /// How far back an instant selector looks for a sample.
    pub(crate) lookback_ms: i64,
    /// The step of subqueries that name none.
    pub(crate) subquery_step_ms: i64,
    /// Names go at the end of the query instead of at each operation.
    pub(crate) delayed_name_removal: bool,
    /// Counter resets are also read from start timestamps.
    pub(crate) start_timestamps: bool,
    /// Whether a metric is a counter is read from the label `__type__`.
    pub(crate) type_and_unit_labels: bool,
    /// Samples are also counted for each step.
    pub(crate) samples_by_step: bool,
    pub(crate) resolution: Resolution,
    /// The most samples that may be in memory at once.
    pub(crate) samples_max: usize,
    pub(crate) timeout: Option<Duration>,
    pub(crate) cancel: CancelFlag,
    pub(crate) memory: QueryMemory,
}

/// Maps with a hash that is drawn once per process and is fast.
pub(crate) type Map<K, V> = hashbrown::HashMap<K, V, foldhash::fast::RandomState>;
pub(crate) type Set<K> = hashbrown::HashSet<K, foldhash::fast::RandomState>;

/// Where rows go.
pub(crate) type Sink<'s> = &'s mut dyn FnMut(Row) -> Result<(), EvalError>;

/// Rows whose room is kept.
const SPARE_MAX: usize = 4;

/// The evaluation of one query.
pub(crate) struct Evaluator<'a> {
    source: &'a dyn Source,
    options: &'a EvalOptions,
    annotations: RefCell<Annotations>,
    budget: Budget,
    tally: Tally,
    shared: RefCell<Shared>,
    /// What stands round the selector that is read next.
    hints: RefCell<Hints>,
    /// Room of rows that are gone, for the next ones.
    spare: RefCell<Vec<Vec<Cell>>>,
    /// Of histograms only count and sum are asked for, see [`read::reveal_resets`].
    only_counts: Flag<bool>,
}

/// Rows in memory, counted while they are kept.
pub(crate) struct Rows<'b> {
    rows: Vec<Row>,
    held: Held<'b>,
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(source: &'a dyn Source, options: &'a EvalOptions, steps: Steps) -> Self {
        Self {
            source,
            options,
            annotations: RefCell::default(),
            budget: Budget::new(
                options.samples_max,
                options.timeout,
                options.cancel.clone(),
                options.memory.clone(),
            ),
            tally: Tally::new(steps, options.samples_by_step),
            shared: RefCell::default(),
            hints: RefCell::default(),
            spare: RefCell::default(),
            only_counts: Flag::new(false),
        }
    }

    /// Room for the cells of a row, empty.
    fn cells(&self, steps: Steps) -> Vec<Cell> {
        let mut cells = self.spare.borrow_mut().pop().unwrap_or_default();
        cells.reserve(steps.count);
        cells
    }

    /// Takes back what a row has no more use for.
    fn give_back(&self, mut cells: Vec<Cell>) {
        cells.clear();
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE_MAX {
            spare.push(cells);
        }
    }

    /// Says what stands right round the selector that is read next.
    fn set_hints(&self, function: &str, grouping: &[String], by: bool) {
        let hints = Hints {
            function: function.to_owned(),
            grouping: grouping.to_vec(),
            by,
            ..Hints::default()
        };
        *self.hints.borrow_mut() = hints;
    }

    fn hints(&self) -> Hints {
        self.hints.take()
    }

    /// Evaluates a vector: its rows go to `sink`.
    pub(crate) fn vector(&self, expr: &Expr, steps: Steps, sink: Sink<'_>) -> Result<(), EvalError> {
        self.budget.check()?;
        match expr {
            Expr::Paren(inner) => self.vector(&inner.expr, steps, sink),
            Expr::StepInvariant(inner) => self.invariant(inner, steps, sink),
            Expr::Unary(unary) => self.unary(unary, steps, sink),
            Expr::Binary(binary) => self.with_only_counts(Some(false), || self.binary(binary, steps, sink)),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate, steps, sink),
            Expr::Call(call) => {
                let only_counts = functions::asks_only_for_counts(call.function.name);
                self.with_only_counts(only_counts, || self.call(call, steps, sink))
            }
            Expr::Vector(selector) => self.select_instant(selector, steps, sink),
            Expr::Number(_) | Expr::String(_) | Expr::Matrix(_) | Expr::Subquery(_) => {
                Err(mistyped("a vector"))
            }
        }
    }

    /// Evaluates what stands below a function that does or does not look at buckets.
    fn with_only_counts<T>(&self, only_counts: Option<bool>, evaluate: impl FnOnce() -> T) -> T {
        let before = self.only_counts.get();
        self.only_counts.set(only_counts.unwrap_or(before));
        let result = evaluate();
        self.only_counts.set(before);
        result
    }

    /// Evaluates a scalar: a number for each step.
    pub(crate) fn scalar(&self, expr: &Expr, steps: Steps) -> Result<Vec<f64>, EvalError> {
        self.budget.check()?;
        match expr {
            Expr::Number(number) => Ok(vec![number.value; steps.count]),
            Expr::Paren(inner) => self.scalar(&inner.expr, steps),
            Expr::StepInvariant(inner) => {
                let counts = self.tally.counts().once();
                let once = self.tally.with(counts, || self.scalar(inner, steps.first()))?;
                let value = once.first().copied().unwrap_or(f64::NAN);
                Ok(vec![value; steps.count])
            }
            Expr::Unary(unary) => {
                let mut values = self.scalar(&unary.expr, steps)?;
                if unary.op == UnaryOp::Minus {
                    values.iter_mut().for_each(|value| *value = -*value);
                }
                Ok(values)
            }
            Expr::Binary(binary) => self.binary_of_scalars(binary, steps),
            Expr::Call(call) => self.scalar_call(call, steps),
            _ => Err(mistyped("a scalar")),
        }
    }

    /// Evaluates a string.
    pub(crate) fn string<'e>(&self, expr: &'e Expr) -> Result<&'e str, EvalError> {
        match expr {
            Expr::String(text) => Ok(&text.value),
            Expr::Paren(inner) => self.string(&inner.expr),
            Expr::StepInvariant(inner) => self.string(inner),
            _ => Err(mistyped("a string")),
        }
    }

    /// Evaluates a vector and keeps its rows, those of one label set as one.
    pub(crate) fn collect(&self, expr: &Expr, steps: Steps) -> Result<Rows<'_>, EvalError> {
        let mut rows = self.no_rows();
        self.vector(expr, steps, &mut |row| rows.push(row))?;
        rows.rows = merge_rows(std::mem::take(&mut rows.rows))?;
        Ok(rows)
    }

    pub(crate) fn no_rows(&self) -> Rows<'_> {
        Rows {
            rows: Vec::new(),
            held: self.budget.hold(),
        }
    }

    /// An expression that is the same at every step: evaluated at the first one.
    fn invariant(&self, expr: &Expr, steps: Steps, sink: Sink<'_>) -> Result<(), EvalError> {
        let counts = self.tally.counts();
        let mut repeat = |mut row: Row| {
            let cell = row.cells.first().cloned().unwrap_or_default();
            row.cells.resize(steps.count, cell);
            self.tally.with(counts, || sink(row))
        };
        self.tally
            .with(counts.once(), || self.vector(expr, steps.first(), &mut repeat))
    }

    fn unary(&self, unary: &UnaryExpr, steps: Steps, sink: Sink<'_>) -> Result<(), EvalError> {
        if unary.op == UnaryOp::Plus {
            return self.vector(&unary.expr, steps, sink);
        }
        let mut names = NameRemoval::new(self.options.delayed_name_removal);
        self.vector(&unary.expr, steps, &mut |mut row| {
            row.cells.iter_mut().for_each(negate);
            names.apply(&mut row)?;
            sink(row)
        })
    }
}

impl Rows<'_> {
    pub(crate) fn push(&mut self, row: Row) -> Result<(), EvalError> {
        if row.is_empty() {
            return Ok(());
        }
        let weight = row.weight();
        self.held.add(weight)?;
        // Empty cells take room too, and so do labels.
        let empty = row.cells.len().saturating_sub(weight) * SAMPLE_BYTES;
        self.held.add_bytes(empty + row.labels.as_bytes().len())?;
        self.rows.push(row);
        Ok(())
    }
}

/// Takes the names off rows that go by, now or at the end of the query.
pub(crate) struct NameRemoval {
    delayed: bool,
    distinct: Distinct,
}

impl NameRemoval {
    pub(crate) fn new(delayed: bool) -> Self {
        Self {
            delayed,
            distinct: Distinct::default(),
        }
    }

    /// Rows that become one series must not meet.
    pub(crate) fn apply(&mut self, row: &mut Row) -> Result<(), EvalError> {
        self.remove(row);
        if self.delayed {
            Ok(())
        } else {
            self.distinct.check(row)
        }
    }

    /// Rows must not become one series.
    pub(crate) fn apply_strictly(&mut self, row: &mut Row) -> Result<(), EvalError> {
        self.remove(row);
        if self.delayed {
            Ok(())
        } else {
            self.distinct.check_strictly(row)
        }
    }

    fn remove(&self, row: &mut Row) {
        row.drop_name = true;
        if !self.delayed {
            row.labels = without_metadata(&row.labels);
        }
    }
}

fn negate(cell: &mut Cell) {
    match cell {
        Cell::Empty => {}
        Cell::Float(value) => *value = -*value,
        Cell::Histogram(histogram) => {
            Arc::make_mut(histogram).mul(-1.0);
        }
    }
}

/// The check of types before the evaluation lets nothing of this kind through.
fn mistyped(wanted: &str) -> EvalError {
    EvalError::execution(format!("BUG: the expression is not {wanted}"))
}
