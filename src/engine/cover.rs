//! What time the samples and the tiles of a database are of.

use super::Engine;
use super::error::Error;
use super::select::matching_rows;
use super::tiles::Tile;
use crate::base::spans::Spans;
use crate::index::LabelMatcher;
use crate::model::labels::LabelsRef;
use crate::model::matcher::Matcher;
use std::sync::Arc;

/// How much of the time of samples has windows of one width.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Cover {
    /// The first and the last time that windows hold of.
    pub(crate) bounds: Option<(i64, i64)>,
    /// Part of the time from the first sample to the last one, between 0 and 1.
    pub(crate) share: f64,
    /// Whether a tile of this width is being made.
    pub(crate) is_making: bool,
}

impl Engine {
    /// From the first time to the last one of which there are samples or windows.
    pub(crate) fn time_bounds(&self) -> Option<(i64, i64)> {
        let view = self.view.load();
        let tiles = view
            .tiles
            .iter()
            .map(|tile| (tile.from.saturating_add(1), tile.to));
        self.sample_bounds().into_iter().chain(tiles).reduce(join)
    }

    fn sample_bounds(&self) -> Option<(i64, i64)> {
        let view = self.view.load();
        let segments = view
            .segments
            .iter()
            .map(|segment| (segment.meta.time_min, segment.meta.time_max))
            .filter(|bounds| bounds.0 <= bounds.1);
        let head = view.generations.iter().filter_map(|one| one.bounds());
        segments.chain(head).reduce(join)
    }

    /// How far windows of a width are there, for the series that match.
    pub(crate) fn cover(&self, width: i64, matchers: &[Matcher]) -> Cover {
        let view = self.view.load_full();
        let mut holds = Spans::default();
        for tile in view.tiles.iter().filter(|tile| tile.width == width) {
            let sets = &tile.about.matchers;
            if !sets.is_empty() && !sets.iter().any(|set| set == matchers) {
                continue;
            }
            let invalid = tile.invalid_windows(&view, self.precision.grid(width));
            for (from, to) in Spans::of(tile.from, tile.to).subtract(&invalid).iter() {
                holds.insert(from, to);
            }
        }
        let ends = holds.iter().map(|(from, to)| (from.saturating_add(1), to));
        Cover {
            bounds: ends.reduce(join),
            share: self.sample_bounds().map_or(0.0, |(first, last)| {
                let from = first.saturating_sub(1);
                let length = i128::from(last) - i128::from(from);
                holds.within(from, last).length() as f64 / length.max(1) as f64
            }),
            is_making: self.tile_under_way().is_some_and(|tile| tile.width == width),
        }
    }

    /// Calls `each` with the labels of matching series that windows in a span may be all that is left of, in no order.
    pub(crate) fn each_rolled(
        &self,
        matchers: &[Matcher],
        (from, to): (i64, i64),
        mut each: impl FnMut(LabelsRef<'_>),
    ) -> Result<(), Error> {
        let matchers = self.patterns.compile_all(matchers)?;
        let view = self.view.load_full();
        for tile in view.tiles.iter().filter(|tile| tile.overlaps(from, to)) {
            if self.is_sealed(&view, tile)? {
                let deleted = tile.deleted(&view)?;
                let span = (tile.from.max(from), tile.to.min(to));
                let is_gone = |row: u32| {
                    let mut gone = deleted.iter().filter(|one| one.0.contains(row));
                    gone.any(|one| one.1 <= span.0 && span.1 <= one.2)
                };
                each_row(tile, &matchers, is_gone, &mut each)?;
            }
        }
        Ok(())
    }
}

fn each_row(
    tile: &Arc<Tile>,
    matchers: &[LabelMatcher],
    is_gone: impl Fn(u32) -> bool,
    each: &mut impl FnMut(LabelsRef<'_>),
) -> Result<(), Error> {
    let segment = &tile.segment;
    let mut labels = segment.index()?.label_cursor();
    let mut bytes = Vec::new();
    for row in matching_rows(segment, matchers, i64::MIN, i64::MAX)? {
        if is_gone(row) {
            continue;
        }
        bytes.clear();
        labels
            .push_labels(row, &mut bytes)
            .map_err(|corrupt| segment.index_error(corrupt))?;
        each(LabelsRef::new(&bytes));
    }
    Ok(())
}

fn join(one: (i64, i64), other: (i64, i64)) -> (i64, i64) {
    (one.0.min(other.0), one.1.max(other.1))
}
