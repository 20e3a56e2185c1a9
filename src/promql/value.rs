//! Values of expressions. Inside the evaluator a series is a row over all steps; a query's result has points with times.

use crate::model::float_histogram::{Buckets, FloatHistogram};
use crate::model::labels::Labels;
use std::sync::Arc;

/// What a series has at one step.
#[derive(Debug, Clone, Default)]
pub(crate) enum Cell {
    /// Nothing.
    #[default]
    Empty,
    /// A float.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<FloatHistogram>),
}

impl Cell {
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    pub(crate) fn as_float(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }

    fn weight(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::Float(_) => 1,
            Self::Histogram(histogram) => histogram_weight(histogram),
        }
    }

    pub(crate) fn as_histogram(&self) -> Option<&Arc<FloatHistogram>> {
        match self {
            Self::Histogram(histogram) => Some(histogram),
            _ => None,
        }
    }
}

/// What a histogram takes without its buckets.
const HISTOGRAM_BYTES: usize = 160;

/// How many floats with their timestamps take the space of a histogram with its own.
pub(crate) fn histogram_weight(histogram: &FloatHistogram) -> usize {
    let buckets = |buckets: &Buckets| 8 * (buckets.spans().len() + buckets.counts().len());
    let values =
        buckets(&histogram.positive) + buckets(&histogram.negative) + 8 * histogram.custom_values.len();
    (HISTOGRAM_BYTES + values + 8) / 16
}

impl From<FloatHistogram> for Cell {
    fn from(histogram: FloatHistogram) -> Self {
        Self::Histogram(Arc::new(histogram))
    }
}

/// A series over all steps of an evaluation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    pub(crate) labels: Labels,
    /// The name is still among the labels, but goes at the end of the query. Set only with delayed name removal.
    pub(crate) drop_name: bool,
    /// One for each step.
    pub(crate) cells: Vec<Cell>,
}

impl Row {
    pub(crate) fn is_empty(&self) -> bool {
        self.cells.iter().all(Cell::is_empty)
    }

    /// How many samples the row counts as: a histogram as many as floats take its space.
    pub(crate) fn weight(&self) -> usize {
        self.cells.iter().map(Cell::weight).sum()
    }

    pub(crate) fn weight_at(&self, step: usize) -> usize {
        self.cells.get(step).map_or(0, Cell::weight)
    }
}

/// The steps of an evaluation: `count` timestamps, `step_ms` apart. An instant query has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Steps {
    pub(crate) start_ms: i64,
    /// At least 1.
    pub(crate) step_ms: i64,
    pub(crate) count: usize,
}

impl Steps {
    pub(crate) fn at(&self, step: usize) -> i64 {
        self.start_ms
            .saturating_add(self.step_ms.saturating_mul(step as i64))
    }

    /// The first step alone.
    pub(crate) fn first(self) -> Self {
        Self {
            count: self.count.min(1),
            ..self
        }
    }

    /// Whether there is one step, as in an instant query.
    pub(crate) fn is_instant(&self) -> bool {
        self.count == 1
    }

    pub(crate) fn end_ms(&self) -> i64 {
        self.at(self.count.saturating_sub(1))
    }

    pub(crate) fn timestamps(self) -> impl Iterator<Item = i64> {
        (0..self.count).map(move |step| self.at(step))
    }
}

/// The result of a query.
#[derive(Debug, Clone, PartialEq)]
pub enum QueryValue {
    /// A number without labels.
    Scalar {
        /// When, in milliseconds.
        timestamp_ms: i64,
        /// The number.
        value: f64,
    },
    /// A string.
    String {
        /// When, in milliseconds.
        timestamp_ms: i64,
        /// The text.
        value: String,
    },
    /// Series with one sample each, all at one time. The order means something after `sort` and the like.
    Vector(Vec<QuerySample>),
    /// Series with samples, in label order.
    Matrix(Vec<QuerySeries>),
}

/// A series of a vector.
#[derive(Debug, Clone, PartialEq)]
pub struct QuerySample {
    /// The labels.
    pub labels: Labels,
    /// When, in milliseconds.
    pub timestamp_ms: i64,
    /// What it is.
    pub value: QueryPoint,
}

/// A float or a histogram.
#[derive(Debug, Clone, PartialEq)]
pub enum QueryPoint {
    /// A float.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<FloatHistogram>),
}

/// A series of a matrix.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct QuerySeries {
    /// The labels.
    pub labels: Labels,
    /// The floats with their timestamps in milliseconds, ascending.
    pub floats: Vec<(i64, f64)>,
    /// The native histograms with their timestamps in milliseconds, ascending.
    pub histograms: Vec<(i64, Arc<FloatHistogram>)>,
}
