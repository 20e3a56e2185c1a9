//! How a function is implemented: by one of a few shapes, and what it is given.
//!
//! The evaluator does the walking: it evaluates the arguments, cuts the windows, and calls the implementation for each
//! cell, row, window or vector. It also removes the name of the metric, where the table of functions says so.

pub(crate) mod absent;
mod changes;
mod classic;
pub(crate) mod extended;
mod histogram;
mod histogram_rate;
pub(crate) mod histogram_sums;
pub(crate) mod interpolate;
mod labels;
mod math;
mod native;
mod over_time;
mod rate;
mod regression;
mod sort;
pub(crate) mod sums;
pub(crate) mod sweep;
#[cfg(test)]
mod testing;
pub(crate) mod thinned;
mod time;

use super::annotations::{Annotation, Annotations};
use super::ast::Span;
use super::eval::error::EvalError;
use super::value::{Cell, Row, Steps};
use super::window::Window;
use crate::index::rewrite::Rewriter;
use crate::model::labels::Labels;
use std::cell::{OnceCell, RefCell};

/// An implementation of a function.
#[derive(Clone, Copy)]
pub(crate) enum Implementation {
    /// A number for each step, from numbers: `time`, `pi`.
    Scalar(fn(&Call<'_>, usize) -> f64),
    /// A cell from the cell of the vector at the same step, which is never [`Cell::Empty`]: `abs`, `clamp`. An empty
    /// answer drops the sample.
    Cell(fn(&Call<'_>, usize, &Labels, &Cell) -> Cell),
    /// A whole row in place, labels included: `label_replace`.
    Row(fn(&Call<'_>, &mut Row) -> Result<(), EvalError>),
    /// A cell from the window of one series, which has at least one sample: `rate`, `sum_over_time`.
    Window(fn(&Call<'_>, usize, &Window<'_>) -> Cell),
    /// All rows at once; rows that come out may be in any order: `sort`, `histogram_quantile`, `vector`. Which cells are
    /// empty may differ from step to step.
    Rows(fn(&Call<'_>, Vec<Row>) -> Result<Vec<Row>, EvalError>),
    /// A number for each step from all rows: `scalar`.
    Collapse(fn(&Call<'_>, Vec<Row>) -> Vec<f64>),
}

/// A call: the function's arguments and surroundings.
pub(crate) struct Call<'a> {
    /// Where the call stands in the query.
    pub(crate) own_span: Span,

    pub(crate) steps: Steps,
    pub(crate) arguments: &'a [Argument],
    /// With delayed name removal names are still on the labels (see [`Row::drop_name`]).
    pub(crate) delayed_name_removal: bool,
    pub(crate) annotations: &'a RefCell<Annotations>,
    /// Which argument the windows, cells or rows come from.
    pub(crate) series_argument: usize,
    /// What ends the query, see [`Call::fail`].
    pub(crate) failure: RefCell<Option<EvalError>>,
    /// Memory for values that have to be sorted.
    pub(crate) scratch: RefCell<Vec<f64>>,
    /// The regular expression of `label_replace`, compiled once, or why it is refused.
    pub(crate) rewriter: OnceCell<Result<Rewriter, String>>,
}

/// An argument of a call.
#[derive(Debug, Clone)]
pub(crate) struct Argument {
    /// Where it stands in the query, for annotations.
    pub(crate) span: Span,
    pub(crate) value: ArgumentValue,
    /// A string whose escapes make bytes that are no UTF-8; the value has replacement characters then.
    pub(crate) is_broken_text: bool,
}

/// What an argument is.
#[derive(Debug, Clone)]
pub(crate) enum ArgumentValue {
    /// A number for each step.
    Scalar(Vec<f64>),
    String(String),
    /// A vector or range vector, given to the implementation as cells, rows or windows.
    Series,
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        arguments: &'a [Argument],
        steps: Steps,
        delayed_name_removal: bool,
        annotations: &'a RefCell<Annotations>,
    ) -> Self {
        let is_series = |argument: &Argument| matches!(argument.value, ArgumentValue::Series);
        Self {
            own_span: Span::default(),
            steps,
            arguments,
            delayed_name_removal,
            annotations,
            series_argument: arguments.iter().position(is_series).unwrap_or(0),
            failure: RefCell::default(),
            scratch: RefCell::default(),
            rewriter: OnceCell::new(),
        }
    }

    /// Adds an annotation to the query's result.
    pub(crate) fn annotate(&self, annotation: Annotation, span: Span) {
        self.annotations.borrow_mut().add(annotation, span);
    }

    /// The same for an annotation that names the metric of a window.
    pub(crate) fn note_metric(
        &self,
        window: &Window<'_>,
        span: Span,
        annotation: impl FnOnce(String) -> Annotation,
    ) {
        self.annotate(annotation(window.labels.metric_name().to_owned()), span);
    }

    /// Ends the query with an error, as soon as the implementation returns.
    pub(crate) fn fail(&self, error: EvalError) {
        self.failure.borrow_mut().get_or_insert(error);
    }

    /// The error that an implementation ended the query with.
    pub(crate) fn check(&self) -> Result<(), EvalError> {
        self.failure.borrow_mut().take().map_or(Ok(()), Err)
    }

    /// Where the argument stands that the series come from.
    pub(crate) fn window_span(&self) -> Span {
        self.span(self.series_argument)
    }

    /// Works on a copy of values, in memory that is used again.
    pub(crate) fn with_scratch(&self, values: &[f64], work: impl FnOnce(&mut [f64]) -> f64) -> f64 {
        let mut scratch = self.scratch.borrow_mut();
        scratch.clear();
        scratch.extend_from_slice(values);
        work(&mut scratch)
    }

    /// The number that an argument is at a step, or `None` when the argument was left out.
    pub(crate) fn scalar(&self, argument: usize, step: usize) -> Option<f64> {
        match &self.arguments.get(argument)?.value {
            ArgumentValue::Scalar(values) => values.get(step).copied(),
            _ => None,
        }
    }

    /// The string that an argument is, or the empty one.
    pub(crate) fn string(&self, argument: usize) -> &str {
        match self.arguments.get(argument).map(|argument| &argument.value) {
            Some(ArgumentValue::String(text)) => text,
            _ => "",
        }
    }

    /// The name of a label that an argument is, or `None` when it is none.
    pub(crate) fn label_name(&self, argument: usize) -> Option<&str> {
        let is_broken = self
            .arguments
            .get(argument)
            .is_some_and(|argument| argument.is_broken_text);
        Some(self.string(argument)).filter(|name| !name.is_empty() && !is_broken)
    }

    /// Where an argument stands in the query.
    pub(crate) fn span(&self, argument: usize) -> Span {
        self.arguments
            .get(argument)
            .map(|argument| argument.span)
            .unwrap_or_default()
    }

    /// The metric's name for an annotation: known only while names are kept.
    pub(crate) fn name_for_annotation<'l>(&self, labels: &'l Labels) -> &'l str {
        if self.delayed_name_removal {
            labels.metric_name()
        } else {
            ""
        }
    }
}

/// Whether a function needs no buckets of the histograms below it: then resets are found sample by sample. `None` when it leaves
/// that to the functions round it.
pub(crate) fn asks_only_for_counts(name: &str) -> Option<bool> {
    match name {
        "histogram_avg" | "histogram_count" | "histogram_sum" => Some(true),
        "histogram_fraction"
        | "histogram_quantile"
        | "histogram_quantiles"
        | "histogram_stddev"
        | "histogram_stdvar" => Some(false),
        _ => None,
    }
}

/// The implementation of a function that the evaluator does not do itself.
pub(crate) fn implementation(name: &str) -> Option<Implementation> {
    use Implementation::Window;
    Some(match name {
        "avg_over_time" => Window(over_time::avg),
        "changes" => Window(changes::changes),
        "count_over_time" => Window(over_time::count),
        "delta" => Window(rate::delta),
        "deriv" => Window(regression::deriv),
        "double_exponential_smoothing" => Window(regression::double_exponential_smoothing),
        "first_over_time" => Window(over_time::first),
        "idelta" => Window(changes::idelta),
        "increase" => Window(rate::increase),
        "irate" => Window(changes::irate),
        "last_over_time" => Window(over_time::last),
        "mad_over_time" => Window(over_time::mad),
        "max_over_time" => Window(over_time::max),
        "min_over_time" => Window(over_time::min),
        "predict_linear" => Window(regression::predict_linear),
        "present_over_time" => Window(over_time::present),
        "quantile_over_time" => Window(over_time::quantile_over_time),
        "rate" => Window(rate::rate),
        "resets" => Window(changes::resets),
        "stddev_over_time" => Window(over_time::stddev),
        "stdvar_over_time" => Window(over_time::stdvar),
        "sum_over_time" => Window(over_time::sum),
        "ts_of_first_over_time" => Window(over_time::ts_of_first),
        "ts_of_last_over_time" => Window(over_time::ts_of_last),
        "ts_of_max_over_time" => Window(over_time::ts_of_max),
        "ts_of_min_over_time" => Window(over_time::ts_of_min),
        _ => {
            let others = [
                histogram::implementation,
                labels::implementation,
                math::implementation,
                sort::implementation,
                time::implementation,
            ];
            return others.iter().find_map(|implementation| implementation(name));
        }
    })
}
