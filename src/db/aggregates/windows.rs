//! The windows of an aggregate that lie in a range of time.

use super::Metric;
use crate::db::Db;
use crate::db::query::Unit;
use crate::promql::source::SourceError;
use crate::rollup::Grid;

/// Windows of one select at most. Their ends and the samples of a series are in memory together.
const WINDOWS_MAX: i64 = 1_000_000;

/// Windows one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Windows {
    pub(super) grid: Grid,
    /// Ends of the first and the last one, in the database's unit.
    pub(super) first: i64,
    pub(super) last: i64,
}

impl Windows {
    /// Those that end in a range, are over, and lie where the database has something. A window is over when the clock of the
    /// database has passed its end.
    pub(super) fn of(db: &Db, metric: &Metric<'_>, (from, to): (i64, i64)) -> Option<Self> {
        let engine = db.engine();
        let precision = engine.precision;
        let grid = precision.grid(precision.units(metric.aggregate.interval));
        let now = Unit::of(db).last_in(engine.options.clock.now_ms());
        let (oldest, newest) = engine.time_bounds()?;
        let first = grid.end_of(from.max(oldest));
        let last = grid.last_end(to.min(now)).min(grid.end_of(newest));
        (first <= last).then_some(Self { grid, first, last })
    }

    /// The beginning of all, and the end of each. As many windows more stand before them as `before` says.
    pub(super) fn cuts(&self, metric: &Metric<'_>, before: i64) -> Result<Vec<i64>, SourceError> {
        let width = self.grid.width();
        let count = (self.last - self.first) / width + 1;
        if count > WINDOWS_MAX {
            return Err(SourceError(format!(
                "{} has {count} windows in the time that is asked for, and {WINDOWS_MAX} are the most at once: ask for a shorter \
                 time or for an aggregate with a longer interval",
                metric.name
            )));
        }
        Ok(self.cuts_unbounded(before))
    }

    fn cuts_unbounded(&self, before: i64) -> Vec<i64> {
        let width = self.grid.width();
        let count = (self.last - self.first) / width + 1;
        let ends = -1 - before..count;
        ends.map(|number| self.first + number * width).collect()
    }

    /// The times in the windows, both ends included.
    pub(super) fn times(&self) -> (i64, i64) {
        (self.first - self.grid.width() + 1, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::ManualClock;
    use crate::engine::options::{Options, Precision};
    use crate::engine::rollups::{Aggregate, AggregateFunction};
    use crate::labels;
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn windows_are_those_that_are_over_and_have_something() {
        let clock = Arc::new(ManualClock::new(100_000));
        let minute = Aggregate::new("a", Vec::new(), Duration::from_secs(10)).with(AggregateFunction::Max);
        for (precision, ms) in [(Precision::Milliseconds, 1), (Precision::Microseconds, 1_000)] {
            let options = Options::in_memory().clock(clock.clone()).precision(precision);
            let db = Db::open(options.background(false)).expect("a database");
            let metric = Metric {
                aggregate: &minute,
                function: AggregateFunction::Max,
                name: "a:max".to_owned(),
            };
            let windows = |from: i64, to: i64| {
                let windows = Windows::of(&db, &metric, (from, to))?;
                Some((windows.first / ms, windows.last / ms))
            };
            assert_eq!(windows(i64::MIN, i64::MAX), None);
            let mut batch = db.batch();
            for at in [15_000, 45_000, 85_000] {
                batch.push(&labels! { "__name__" => "x" }, at * ms, 1.0);
            }
            batch.commit().expect("a commit");
            let always = || windows(i64::MIN, i64::MAX);
            assert_eq!(always(), Some((20_000, 90_000)));
            assert_eq!(windows(21_000 * ms, 50_500 * ms), Some((30_000, 50_000)));
            assert_eq!(windows(21_000 * ms, 29_000 * ms), None);
            clock.set(89_999);
            assert_eq!(always(), Some((20_000, 80_000)));
            clock.set(90_000);
            assert_eq!(always(), Some((20_000, 90_000)));
            clock.set(100_000);
            let windows = Windows::of(&db, &metric, (i64::MIN, 40_001 * ms - 1)).expect("windows");
            let cuts = windows.cuts(&metric, 1).expect("few");
            let cuts: Vec<i64> = cuts.iter().map(|cut| cut / ms).collect();
            assert_eq!(cuts, [0, 10_000, 20_000, 30_000, 40_000]);
        }
    }
}
