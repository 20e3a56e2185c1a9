//! Where the evaluator's samples come from: a select with hints, answered series by series in label order.
//!
//! The engine of the database is one source, a table in memory another. The evaluator knows neither.

use crate::model::float_histogram::FloatHistogram;
use crate::model::labels::Labels;
use crate::model::matcher::Matcher;
use std::sync::Arc;

/// What a selector asks for. Everything but the matchers and the time range is a hint.
#[derive(Debug, Clone, PartialEq)]
pub struct Select {
    /// Conditions that a series must meet, all of them.
    pub matchers: Vec<Matcher>,
    /// First timestamp that is wanted, in milliseconds.
    pub start_ms: i64,
    /// Last timestamp that is wanted, in milliseconds.
    pub end_ms: i64,
    /// What the samples are needed for.
    pub hints: Hints,
}

/// What a source may know of the query, to read less. It may ignore all of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Hints {
    /// Distance of the steps in milliseconds, 0 for an instant query.
    pub step_ms: i64,
    /// Width of the window in milliseconds, 0 for an instant selector.
    pub range_ms: i64,
    /// The function or aggregation right round the selector, or the empty string.
    pub function: String,
    /// Labels of the aggregation right round the selector.
    pub grouping: Vec<String>,
    /// Whether the aggregation keeps `grouping` rather than dropping it.
    pub by: bool,
    /// Whether the start timestamps of samples are needed.
    pub start_timestamps: bool,
}

/// A source failed; the query ends with this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(pub String);

/// Where samples come from.
pub trait Source {
    /// The series that match and have samples in the range, in label order.
    fn select<'a>(&'a self, select: &Select) -> Result<Box<dyn SeriesSet + 'a>, SourceError>;
}

/// The answer to a select.
pub trait SeriesSet {
    /// Reads the next series in place of what `series` holds, reusing its memory. `false` at the end.
    fn next(&mut self, series: &mut SeriesSamples) -> Result<bool, SourceError>;

    /// What the answer lacks so far; it becomes a warning of the query.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A series with its samples, as columns: floats and histograms apart, each ascending in time, stale markers included.
#[derive(Debug, Clone, Default)]
pub struct SeriesSamples {
    /// The labels of the series.
    pub labels: Labels,
    /// The floats.
    pub floats: FloatColumn,
    /// The histograms.
    pub histograms: HistogramColumn,
}

/// Floats in order of time.
#[derive(Debug, Clone, Default)]
pub struct FloatColumn {
    /// In milliseconds, ascending.
    pub timestamps_ms: Vec<i64>,
    /// One for each timestamp.
    pub values: Vec<f64>,
    /// When each sample's counter started, 0 where unknown. Empty when it is unknown for all.
    pub starts_ms: Vec<i64>,
}

/// Histograms in order of time.
#[derive(Debug, Clone, Default)]
pub struct HistogramColumn {
    /// In milliseconds, ascending.
    pub timestamps_ms: Vec<i64>,
    /// One for each timestamp.
    pub values: Vec<Arc<FloatHistogram>>,
    /// When each sample's counter started, 0 where unknown. Empty when it is unknown for all.
    pub starts_ms: Vec<i64>,
}

impl SeriesSamples {
    /// Removes the samples and keeps their memory.
    pub fn clear(&mut self) {
        self.floats.timestamps_ms.clear();
        self.floats.values.clear();
        self.floats.starts_ms.clear();
        self.histograms.timestamps_ms.clear();
        self.histograms.values.clear();
        self.histograms.starts_ms.clear();
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.floats.values.len() + self.histograms.values.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
