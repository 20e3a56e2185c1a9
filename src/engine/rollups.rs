//! Which rollups a database has.

use super::error::Error;
use super::options::{Options, Precision};
use crate::base::hash;
use crate::index::LabelMatcher;
use crate::model::matcher::Matcher;
use crate::rollup::Grid;
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

/// A rollup, ready to be made.
#[derive(Debug)]
pub(super) struct RollupRule {
    pub(super) grid: Grid,
    pub(super) matchers: Vec<Vec<LabelMatcher>>,
    /// Of what a tile is made of.
    pub(super) checksum: u64,
    /// In the database's unit.
    pub(super) retention: Option<i64>,
    /// Length of a tile.
    pub(super) stretch: i64,
}

impl Precision {
    /// Windows of a width in this unit.
    pub(super) fn grid(self, width: i64) -> Grid {
        let ticks_per_ms = match self {
            Self::Seconds | Self::Milliseconds => 1,
            Self::Microseconds => 1_000,
            Self::Nanoseconds => 1_000_000,
        };
        Grid::new(width, ticks_per_ms)
    }
}

/// The checksum of a rule about all series.
pub(super) fn checksum_of_all() -> u64 {
    checksum(&[])
}

fn checksum(matchers: &[Vec<Matcher>]) -> u64 {
    hash::checksum(format!("{matchers:?}").as_bytes())
}

/// The rules of the options, the widest windows first.
pub(super) fn compiled(options: &Options, precision: Precision) -> Result<Vec<RollupRule>, Error> {
    let mut rules = Vec::with_capacity(options.rollups.len());
    for rollup in &options.rollups {
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
        let mut matchers = Vec::with_capacity(rollup.matchers.len());
        for set in &rollup.matchers {
            matchers.push(LabelMatcher::compile_all(set)?);
        }
        rules.push(RollupRule {
            grid: precision.grid(width),
            checksum: checksum(&rollup.matchers),
            retention: rollup.retention.map(|retention| precision.units(retention)),
            stretch: windows * width,
            matchers,
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
