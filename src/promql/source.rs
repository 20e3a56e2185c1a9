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
    /// An answer from windows up to this width, in milliseconds, is good enough, though cuts part them; 0 if none is.
    pub coarse_ms: i64,
}

/// A source failed; the query ends with this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(pub String);

/// Where samples come from.
pub trait Source {
    /// The series that match and have samples in the range, in label order.
    fn select<'a>(&'a self, select: &Select) -> Result<Box<dyn SeriesSet + 'a>, SourceError>;

    /// The shortest stretch of time, in milliseconds, that this source may tell of without all of its samples; 0 where there is
    /// none. [`Source::thinned`] is asked when the stretches of a selector that begins at `start_ms` are that long, in the mean.
    fn thins_from_ms(&self, start_ms: i64) -> i64 {
        let _ = start_ms;
        0
    }

    /// The same series, thinned to what `aspect` needs to know of the stretches of time between `cuts_ms`, which ascend
    /// and have at least one stretch. A stretch is open at its beginning and closed at its end. `None` where a select is
    /// no more work, which is always right.
    fn thinned<'a>(
        &'a self,
        select: &Select,
        cuts_ms: &[i64],
        aspect: Aspect,
    ) -> Result<Option<Box<dyn ThinnedSet + 'a>>, SourceError> {
        let _ = (select, cuts_ms, aspect);
        Ok(None)
    }
}

/// What is asked of each stretch of time. But for [`Aspect::Newest`], stale markers count for nothing, and a stretch without
/// samples is not told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aspect {
    /// The newest sample, which may be a stale marker.
    Newest,
    /// The first sample.
    First,
    /// The last sample.
    Last,
    /// How many samples there are, as the value of a sample at the end of the stretch.
    Count,
    /// The smallest value, at the end of the stretch: the first of equals; NaN only where there is no number, the last one then.
    Min,
    /// The largest value, in the same way.
    Max,
    /// The sum, at the end of the stretch, and how many samples it is the sum of. Instead of that a stretch may be told of by
    /// samples with a count of 1 each; sums that are not finite are.
    Sum,
    /// What counters need: of the samples themselves the first and the last, and where the value falls those on both sides.
    /// Between two neighbours of what is told the values of the samples left out do not fall. Stretches with NaN are told
    /// whole. Each sample has a count: of itself and those left out right behind it.
    Change,
}

/// The answer to [`Source::thinned`].
pub trait ThinnedSet {
    /// Reads the next series in place of what `series` holds, reusing its memory. `false` at the end.
    fn next(&mut self, series: &mut ThinnedSeries) -> Result<bool, SourceError>;

    /// What the answer lacks so far; it becomes a warning of the query.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// How far apart samples are told where windows stand for what is in them, in milliseconds. An instant selector looks back as
    /// far.
    fn apart_ms(&self) -> i64 {
        0
    }

    /// What was read instead of samples, in words; it becomes an info of the query.
    fn infos(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A series as [`Source::thinned`] tells it.
#[derive(Debug, Clone, Default)]
pub struct ThinnedSeries {
    /// The labels, and what is told. Without histograms and start timestamps, unless the series is whole.
    pub series: SeriesSamples,
    /// For [`Aspect::Sum`] and [`Aspect::Change`], one for each float: how many samples it stands for.
    pub counts: Vec<u32>,
    /// All samples of the select stand in `series`, as a select has them; `counts` is empty. A series with histograms is
    /// always whole.
    pub is_whole: bool,
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
