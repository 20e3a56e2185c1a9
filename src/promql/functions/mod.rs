//! How a function is implemented: by one of a few shapes, and what it is given.
//!
//! The evaluator does the walking: it evaluates the arguments, cuts the windows, and calls the implementation for each
//! cell, row, window or vector. It also removes the name of the metric, where the table of functions says so.

use super::annotations::Annotations;
use super::ast::Span;
use super::eval::error::EvalError;
use super::value::{Cell, Row, Steps};
use super::window::Window;
use crate::model::labels::Labels;
use std::cell::RefCell;

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
    pub(crate) steps: Steps,
    pub(crate) arguments: &'a [Argument],
    /// With delayed name removal names are still on the labels (see [`Row::drop_name`]).
    pub(crate) delayed_name_removal: bool,
    pub(crate) annotations: &'a RefCell<Annotations>,
}

/// An argument of a call.
#[derive(Debug, Clone)]
pub(crate) struct Argument {
    /// Where it stands in the query, for annotations.
    pub(crate) span: Span,
    pub(crate) value: ArgumentValue,
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

impl Call<'_> {
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

    /// Where an argument stands in the query.
    pub(crate) fn span(&self, argument: usize) -> Span {
        self.arguments
            .get(argument)
            .map(|argument| argument.span)
            .unwrap_or_default()
    }

    /// The metric's name for an annotation: known only while names are kept.
    pub(crate) fn name_for_annotation<'l>(&self, labels: &'l Labels) -> &'l str {
        if self.delayed_name_removal { labels.metric_name() } else { "" }
    }
}
