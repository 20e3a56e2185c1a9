//! Queries over a database: the engine's cursors as the evaluator's source.

use super::Db;
use super::aggregates;
use super::ahead::Ahead;
use super::thinned;
use super::virtual_series;
use crate::base::civil;
use crate::engine::error::Error;
use crate::engine::options::Precision;
use crate::engine::select::{SeriesCursor, Warning};
use crate::engine::series::Series;
use crate::model::float_histogram::FloatHistogram;
use crate::model::histogram::ResetHint;
use crate::promql::durations::format_duration_ms;
use crate::promql::query::{self, QueryAnswer, QueryError, QueryOptions};
use crate::promql::source::{Aspect, Select, SeriesSamples, SeriesSet, Source, SourceError, ThinnedSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

impl Db {
    /// Answers a PromQL query at one moment, in milliseconds since 1970. Every selector sees one state of the
    /// database, the one of its own beginning.
    ///
    /// ```
    /// use narthex::{Db, Options, QueryValue, labels};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let db = Db::open(Options::in_memory())?;
    /// let mut batch = db.batch();
    /// batch.push(&labels! { "__name__" => "cpu_busy", "host" => "a" }, 1_700_000_000_000, 0.25);
    /// batch.push(&labels! { "__name__" => "cpu_busy", "host" => "b" }, 1_700_000_000_000, 0.75);
    /// batch.commit()?;
    /// let answer = db.query("scalar(avg(cpu_busy))", 1_700_000_060_000)?;
    /// assert!(matches!(answer.value, QueryValue::Scalar { value: 0.5, .. }));
    /// # Ok(())
    /// # }
    /// ```
    pub fn query(&self, query: &str, time_ms: i64) -> Result<QueryAnswer, QueryError> {
        self.query_with(query, time_ms, &QueryOptions::default())
    }

    /// As [`Db::query`], with options.
    pub fn query_with(
        &self,
        query: &str,
        time_ms: i64,
        options: &QueryOptions,
    ) -> Result<QueryAnswer, QueryError> {
        query::query(self, query, time_ms, options)
    }

    /// Answers a PromQL query at each step of a range, in milliseconds since 1970, both ends included.
    pub fn query_range(
        &self,
        query: &str,
        range_ms: (i64, i64),
        step_ms: i64,
    ) -> Result<QueryAnswer, QueryError> {
        self.query_range_with(query, range_ms, step_ms, &QueryOptions::default())
    }

    /// As [`Db::query_range`], with options.
    pub fn query_range_with(
        &self,
        query: &str,
        range_ms: (i64, i64),
        step_ms: i64,
        options: &QueryOptions,
    ) -> Result<QueryAnswer, QueryError> {
        query::query_range(self, query, range_ms, step_ms, options)
    }

    /// What to say of samples from a time on if there are rollups where samples may be gone.
    fn gone(&self, start_ms: i64) -> Option<String> {
        let unit = Unit::of(self);
        let has_windows_alone = self.engine().has_windows_alone(unit.last_in(start_ms));
        has_windows_alone.then(|| {
            let gone = civil::rfc3339(unit.to_ms(self.engine().gone()));
            format!("samples up to {gone} may be gone, and rollups do not answer this part of the query")
        })
    }

    /// From one millisecond to another, both included, in the unit of the database.
    pub(crate) fn range_of_ms(&self, start_ms: i64, end_ms: i64) -> RangeInclusive<i64> {
        let unit = Unit(self.precision());
        unit.first_in(start_ms)..=unit.last_in(end_ms)
    }

    /// Refuses samples in milliseconds where the database counts in another unit.
    #[cfg(feature = "server")]
    pub(crate) fn check_milliseconds(&self) -> Result<(), Error> {
        match self.precision() {
            Precision::Milliseconds => Ok(()),
            other => {
                let text = format!("samples here are of milliseconds, and the database counts in {other:?}");
                Err(Error::InvalidOptions(text))
            }
        }
    }

    /// A timestamp of the database in milliseconds.
    pub(crate) fn to_ms(&self, timestamp: i64) -> i64 {
        Unit(self.precision()).to_ms(timestamp)
    }
}

impl From<Error> for SourceError {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

impl Source for Db {
    fn select<'a>(&'a self, select: &Select) -> Result<Box<dyn SeriesSet + 'a>, SourceError> {
        if let Some(found) = virtual_series::select(self, select)? {
            return Ok(found);
        }
        match aggregates::select(self, select)? {
            Some(found) => Ok(found),
            None => stored(self, select),
        }
    }

    fn thins_from_ms(&self, start_ms: i64) -> i64 {
        let unit = Unit::of(self);
        if self.engine().has_windows_alone(unit.last_in(start_ms)) {
            return 1;
        }
        let narrowest = self.engine().narrowest_rollup();
        narrowest.map_or(0, |width| unit.length_ms(width).max(1))
    }

    fn thinned<'a>(
        &'a self,
        select: &Select,
        cuts_ms: &[i64],
        aspect: Aspect,
    ) -> Result<Option<Box<dyn ThinnedSet + 'a>>, SourceError> {
        Ok(thinned::thinned(self, select, cuts_ms, aspect)?.map(|set| -> Box<dyn ThinnedSet + 'a> { set }))
    }
}

/// The stored series of a select.
pub(super) fn stored(db: &Db, select: &Select) -> Result<Box<dyn SeriesSet>, SourceError> {
    let range = db.range_of_ms(select.start_ms, select.end_ms);
    let cursor = Cursor {
        cursor: Db::select(db, &select.matchers, range)?,
        unit: Unit(db.precision()),
        with_starts: select.hints.start_timestamps,
        series: Series::default(),
        gone: db.gone(select.start_ms),
    };
    Ok(Box::new(Ahead::new(cursor, db.starts_threads())))
}

/// The database's unit of time against the milliseconds of queries.
#[derive(Clone, Copy)]
pub(super) struct Unit(Precision);

impl Unit {
    pub(super) fn of(db: &Db) -> Self {
        Self(db.precision())
    }

    /// A length of time of the unit as a query would say it.
    pub(super) fn duration_text(self, length: i64) -> String {
        format_duration_ms(self.length_ms(length))
    }

    /// A length of time in milliseconds as one of the unit.
    pub(super) fn length(self, length_ms: i64) -> i64 {
        let (units, ms) = self.scale();
        length_ms.div_euclid(ms).saturating_mul(units)
    }

    pub(super) fn length_ms(self, length: i64) -> i64 {
        let (units, ms) = self.scale();
        length.div_euclid(units).saturating_mul(ms)
    }

    /// How many of the unit are a millisecond, or how many milliseconds are one of the unit.
    fn scale(self) -> (i64, i64) {
        match self.0 {
            Precision::Seconds => (1, 1000),
            Precision::Milliseconds => (1, 1),
            Precision::Microseconds => (1000, 1),
            Precision::Nanoseconds => (1_000_000, 1),
        }
    }

    /// The first time of the unit that is not before a millisecond.
    fn first_in(self, timestamp_ms: i64) -> i64 {
        let (units, ms) = self.scale();
        let floor = timestamp_ms.div_euclid(ms);
        let first = if timestamp_ms.rem_euclid(ms) > 0 {
            floor.saturating_add(1)
        } else {
            floor
        };
        first.saturating_mul(units)
    }

    /// The last time of the unit within a millisecond.
    pub(super) fn last_in(self, timestamp_ms: i64) -> i64 {
        let (units, ms) = self.scale();
        let first = timestamp_ms.div_euclid(ms).saturating_mul(units);
        first.saturating_add(units - 1)
    }

    pub(super) fn to_ms(self, timestamp: i64) -> i64 {
        let (units, ms) = self.scale();
        timestamp.div_euclid(units).saturating_mul(ms)
    }
}

/// The series of a select, turned into what the evaluator reads.
struct Cursor {
    cursor: SeriesCursor,
    unit: Unit,
    with_starts: bool,
    series: Series,
    /// That some of what is asked for is only there as rollups.
    gone: Option<String>,
}

impl SeriesSet for Cursor {
    fn next(&mut self, out: &mut SeriesSamples) -> Result<bool, SourceError> {
        if !self.cursor.next_into(&mut self.series)? {
            return Ok(false);
        }
        out.clear();
        if self.with_starts {
            read_starts(&self.series, self.unit, out);
        }
        fill(&mut self.series, self.unit, out);
        Ok(true)
    }

    fn warnings(&self) -> Vec<String> {
        let warnings = self.cursor.warnings().iter().map(in_words);
        warnings.chain(self.gone.clone()).collect()
    }
}

pub(super) fn in_words(warning: &Warning) -> String {
    match &warning.file {
        Some(file) => format!("{}: {}", file.display(), warning.reason),
        None => warning.reason.clone(),
    }
}

/// Moves a series into `out`, which is empty.
pub(super) fn fill(series: &mut Series, unit: Unit, out: &mut SeriesSamples) {
    for (timestamp, histogram) in series.histograms() {
        let mut histogram = FloatHistogram::from(&**histogram);
        let before = out.histograms.values.last();
        if before.is_some_and(|before| follows(before, &histogram)) {
            histogram.reset_hint = ResetHint::NotReset;
        }
        out.histograms.timestamps_ms.push(unit.to_ms(*timestamp));
        out.histograms.values.push(Arc::new(histogram));
    }
    let floats = &mut out.floats;
    series.exchange(&mut out.labels, &mut floats.timestamps_ms, &mut floats.values);
    if unit.0 != Precision::Milliseconds {
        let timestamps = floats.timestamps_ms.iter_mut();
        timestamps.for_each(|timestamp| *timestamp = unit.to_ms(*timestamp));
    }
}

fn read_starts(series: &Series, unit: Unit, out: &mut SeriesSamples) {
    if let Some(start_of) = series.starts() {
        let starts = series
            .float_timestamps()
            .iter()
            .map(|timestamp| start_of(*timestamp));
        out.floats.starts_ms.extend(starts.map(|start| unit.to_ms(start)));
        let starts = series.histograms().iter().map(|sample| start_of(sample.0));
        out.histograms
            .starts_ms
            .extend(starts.map(|start| unit.to_ms(start)));
    }
}

/// Whether it is certain that no reset lies between two histograms. Prometheus knows it of histograms in one chunk, which
/// are those of one shape whose counts only grow; queries answer with what is known.
fn follows(before: &FloatHistogram, histogram: &FloatHistogram) -> bool {
    let has_shape = histogram.schema == before.schema
        && histogram.zero_threshold == before.zero_threshold
        && histogram.custom_values == before.custom_values;
    let is_counter = histogram.reset_hint == ResetHint::Unknown && before.reset_hint != ResetHint::Gauge;
    has_shape && is_counter && !before.is_stale() && !histogram.is_stale() && !histogram.is_reset_from(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_in_other_units_hold_the_same_milliseconds() {
        let cases = [
            (Precision::Seconds, 1, 2500, (1, 2)),
            (Precision::Milliseconds, 1, 2500, (1, 2500)),
            (Precision::Microseconds, 1, 2, (1000, 2999)),
            (Precision::Nanoseconds, -1, 0, (-1_000_000, 999_999)),
        ];
        for (precision, first_ms, last_ms, wanted) in cases {
            let unit = Unit(precision);
            assert_eq!(
                (unit.first_in(first_ms), unit.last_in(last_ms)),
                wanted,
                "{precision:?}"
            );
        }
        assert_eq!(Unit(Precision::Seconds).to_ms(3), 3000);
        assert_eq!(Unit(Precision::Nanoseconds).to_ms(-1), -1);
    }
}
