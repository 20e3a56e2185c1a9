//! Which rollups a database has.

use super::error::Error;
use super::options::{Options, Precision};
use crate::model::matcher::Matcher;
use crate::rollup::Grid;
use crate::rollup::source::About;
use crate::segment::meta::Windows;
use std::time::Duration;

/// Windows of a tile. Retention may make it fewer: a tile must be whole long before the first of its samples go.
const WINDOWS_PER_TILE: i64 = 240;
/// A tile is at most this part of the retention of samples.
const TILES_PER_RETENTION: i64 = 8;

/// What a database keeps of windows of one width, beside the samples or when they are gone.
///
/// ```
/// use narthex::{Matcher, Options, Rollup};
/// use std::time::Duration;
///
/// let hour = Duration::from_secs(3600);
/// let options = Options::new("data")
///     .retention(hour * 24 * 15)
///     .rollup(Rollup::every(hour / 12).keep(hour * 24 * 90))
///     .rollup(Rollup::every(hour).of(vec![Matcher::eq("job", "node")]));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Rollup {
    /// The width of the windows.
    pub resolution: Duration,
    /// The series that match all matchers of one of these sets; all series if there are none.
    pub matchers: Vec<Vec<Matcher>>,
    /// How long windows are kept; `None` = for good.
    pub retention: Option<Duration>,
}

impl Rollup {
    /// Of all series, kept for good.
    pub fn every(resolution: Duration) -> Self {
        Self {
            resolution,
            matchers: Vec::new(),
            retention: None,
        }
    }

    /// Only of the series that match, and of those of the calls before.
    #[must_use]
    pub fn of(mut self, matchers: Vec<Matcher>) -> Self {
        self.matchers.push(matchers);
        self
    }

    /// Kept for so long.
    #[must_use]
    pub fn keep(mut self, retention: Duration) -> Self {
        self.retention = Some(retention);
        self
    }
}

/// A named metric that is made of other series: what a function comes to in each window. It is answered from rollups, and
/// from samples where there are none yet.
///
/// ```
/// use narthex::{Aggregate, AggregateFunction, Matcher, Options};
/// use std::time::Duration;
///
/// let busy = vec![Matcher::eq("__name__", "cpu_busy")];
/// let aggregate = Aggregate::new("cpu:15m", busy, Duration::from_secs(900))
///     .with(AggregateFunction::Avg)
///     .with(AggregateFunction::Max);
/// let options = Options::new("data").aggregate(aggregate);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Aggregate {
    /// The beginning of the metrics' names; a colon and the function follow.
    pub name: String,
    /// The series that it is made of match all of these.
    pub matchers: Vec<Matcher>,
    /// The width of the windows.
    pub interval: Duration,
    /// What is made of each window, a metric for each.
    pub functions: Vec<AggregateFunction>,
    /// How long windows are kept; `None` = for good.
    pub retention: Option<Duration>,
}

/// What an [`Aggregate`] says of each window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AggregateFunction {
    /// The mean.
    Avg,
    /// The sum.
    Sum,
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
    /// The number of samples.
    Count,
    /// The first value.
    First,
    /// The last value.
    Last,
    /// What a counter has grown by from the last sample of the window before, or the first in it, to the last in it.
    Increase,
}

impl AggregateFunction {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Avg,
        Self::Sum,
        Self::Min,
        Self::Max,
        Self::Count,
        Self::First,
        Self::Last,
        Self::Increase,
    ];

    /// Its name, as it ends a metric's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Avg => "avg",
            Self::Sum => "sum",
            Self::Min => "min",
            Self::Max => "max",
            Self::Count => "count",
            Self::First => "first",
            Self::Last => "last",
            Self::Increase => "increase",
        }
    }
}

impl Aggregate {
    /// Of the series that match, for good.
    pub fn new(name: impl Into<String>, matchers: Vec<Matcher>, interval: Duration) -> Self {
        Self {
            name: name.into(),
            matchers,
            interval,
            functions: Vec::new(),
            retention: None,
        }
    }

    /// With a function more.
    #[must_use]
    pub fn with(mut self, function: AggregateFunction) -> Self {
        self.functions.push(function);
        self
    }

    /// Kept for so long.
    #[must_use]
    pub fn keep(mut self, retention: Duration) -> Self {
        self.retention = Some(retention);
        self
    }
}

/// The rollups of the options and those that aggregates need, one for each width.
fn wanted(options: &Options) -> Vec<Rollup> {
    let mut wanted = options.rollups.clone();
    for aggregate in &options.aggregates {
        match wanted.iter_mut().find(|one| one.resolution == aggregate.interval) {
            Some(rollup) => {
                if !rollup.matchers.is_empty() {
                    rollup.matchers.push(aggregate.matchers.clone());
                }
                let longer = rollup.retention.zip(aggregate.retention);
                rollup.retention = longer.map(|(one, other)| one.max(other));
            }
            None => wanted.push(Rollup {
                resolution: aggregate.interval,
                matchers: vec![aggregate.matchers.clone()],
                retention: aggregate.retention,
            }),
        }
    }
    wanted
}

/// A rollup, ready to be made.
#[derive(Debug)]
pub(super) struct RollupRule {
    pub(super) grid: Grid,
    pub(super) about: About,
    /// Of what a tile is made of.
    pub(super) checksum: u64,
    /// In the database's unit.
    pub(super) retention: Option<i64>,
    /// Length of a tile.
    pub(super) stretch: i64,
}

impl Precision {
    /// Windows of a width in this unit.
    pub(crate) fn grid(self, width: i64) -> Grid {
        let ticks_per_ms = match self {
            Self::Seconds | Self::Milliseconds => 1,
            Self::Microseconds => 1_000,
            Self::Nanoseconds => 1_000_000,
        };
        Grid::new(width, ticks_per_ms)
    }
}

/// The rules of the options, the widest windows first.
pub(super) fn compiled(options: &Options, precision: Precision) -> Result<Vec<RollupRule>, Error> {
    let wanted = wanted(options);
    let mut rules = Vec::with_capacity(wanted.len());
    for rollup in &wanted {
        let width = precision.units(rollup.resolution);
        let is_whole =
            precision.units(Duration::from_secs(1)) <= width && rollup.resolution.subsec_nanos() == 0;
        if !is_whole {
            let what = format!("a rollup every {:?}: whole seconds are needed", rollup.resolution);
            return Err(Error::InvalidOptions(what));
        }
        let retention = options
            .retention
            .map_or(i64::MAX, |retention| precision.units(retention));
        let windows = (retention / TILES_PER_RETENTION / width).clamp(1, WINDOWS_PER_TILE);
        rules.push(RollupRule {
            grid: precision.grid(width),
            checksum: Windows::rule(&rollup.matchers),
            retention: rollup.retention.map(|retention| precision.units(retention)),
            stretch: windows * width,
            about: About::new(rollup.matchers.clone())?,
        });
    }
    rules.sort_by_key(|rule| -rule.grid.width());
    if let Some(pair) = rules.windows(2).find(|pair| pair[0].grid == pair[1].grid) {
        let what = format!(
            "two rollups with windows of {} {}",
            pair[0].grid.width(),
            precision.as_str()
        );
        return Err(Error::InvalidOptions(what));
    }
    Ok(rules)
}
