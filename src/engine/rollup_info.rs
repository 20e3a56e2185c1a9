//! What there is of rollups, width by width, for people and tools.

use super::Engine;
use super::options::Precision;
use super::tiles::Tile;
use super::view::View;
use crate::base::spans::Spans;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a database has of the rollups of one width.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RollupInfo {
    /// The width of the windows.
    pub resolution: Duration,
    /// Whether tiles of this width are made. Of a width that the options do not name there is what was made before.
    pub is_wanted: bool,
    /// How long windows are kept; `None` = for good.
    pub retention: Option<Duration>,
    /// Files with windows.
    pub tiles: usize,
    /// Series of all tiles, those in several counted several times.
    pub series: u64,
    /// Values of all tiles.
    pub values: u64,
    /// Bytes of all tiles.
    pub bytes: u64,
    /// The beginning of the first window and the end of the last one that there may be, in the unit of timestamps.
    pub bounds: Option<(i64, i64)>,
    /// How much time tiles have between these.
    pub covered: Duration,
    /// How much of that time is read from samples at present, of some series at least: in these windows something was
    /// written or deleted after their tile was made.
    pub outdated: Duration,
    /// Whether a tile is being made.
    pub is_being_made: bool,
}

impl Engine {
    /// The rollups of the options and those that are there all the same, the narrowest windows first. Waits for no work.
    pub(crate) fn rollup_infos(&self) -> Vec<RollupInfo> {
        let view = self.view.load_full();
        let mut widths: BTreeMap<i64, Vec<&Tile>> = BTreeMap::new();
        for rule in &self.rollups {
            widths.insert(rule.grid.width(), Vec::new());
        }
        for tile in view.tiles.iter() {
            widths.entry(tile.width).or_default().push(tile);
        }
        let infos = widths
            .iter()
            .map(|(width, tiles)| self.rollup_info(&view, *width, tiles));
        infos.collect()
    }

    fn rollup_info(&self, view: &View, width: i64, tiles: &[&Tile]) -> RollupInfo {
        let length = |spans: &Spans| duration(self.precision, spans.length());
        let rule = self.rollups.iter().find(|rule| rule.grid.width() == width);
        let (mut covered, mut outdated) = (Spans::default(), Spans::default());
        for tile in tiles {
            covered.insert(tile.from, tile.to);
            for (from, to) in self.outdated(view, tile).iter() {
                outdated.insert(from, to);
            }
        }
        let metas = || tiles.iter().map(|tile| &tile.segment.meta);
        let first = tiles.iter().map(|tile| tile.from).min();
        let last = tiles.iter().map(|tile| tile.to).max();
        let is_being_made = self.tile_under_way().is_some_and(|tile| tile.width == width);
        let retention = rule.and_then(|rule| rule.retention);
        RollupInfo {
            resolution: duration(self.precision, width.into()),
            is_wanted: rule.is_some(),
            retention: retention.map(|retention| duration(self.precision, retention.into())),
            tiles: tiles.len(),
            series: metas().map(|meta| meta.series).sum(),
            values: metas().map(|meta| meta.floats + meta.histograms).sum(),
            bytes: tiles.iter().map(|tile| tile.segment.file_bytes()).sum(),
            bounds: first.zip(last),
            covered: length(&covered),
            outdated: length(&outdated),
            is_being_made,
        }
    }

    /// The windows of a tile of which something holds no longer.
    fn outdated(&self, view: &View, tile: &Tile) -> Spans {
        let grid = self.precision.grid(tile.width);
        let mut spans = tile.invalid_windows(view, grid);
        match tile.deleted(view) {
            Ok(deleted) => deleted.iter().for_each(|(_, from, to)| spans.insert(*from, *to)),
            // Which rows are meant cannot be read.
            Err(_) => spans.insert(tile.from, tile.to),
        }
        grid.outer_of(&spans).within(tile.from, tile.to)
    }
}

fn duration(precision: Precision, units: i128) -> Duration {
    let units = u64::try_from(units).unwrap_or(if units < 0 { 0 } else { u64::MAX });
    match precision {
        Precision::Seconds => Duration::from_secs(units),
        Precision::Milliseconds => Duration::from_millis(units),
        Precision::Microseconds => Duration::from_micros(units),
        Precision::Nanoseconds => Duration::from_nanos(units),
    }
}
