//! Which tile is made next, and which tiles go.

use super::Engine;
use super::error::Error;
use super::rollups::RollupRule;
use super::tiles::Tile;
use super::view::View;
use crate::base::spans::Spans;
use crate::segment::reader::Segment;
use std::sync::Arc;

/// The part of `retention_bytes` that tiles may take.
const TILES_PART: u64 = 4;

/// A tile that is to be made.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) rule: usize,
    pub(super) from: i64,
    pub(super) to: i64,
    /// Tiles that it stands in for.
    pub(super) old: Vec<Arc<Tile>>,
}

/// Stretches that have no tile for a reason, by the width of the windows.
#[derive(Debug, Default)]
pub(super) struct Barren {
    /// Without any series, as of an LSN.
    empty: Vec<Empty>,
    /// With samples that cannot be read, or whose tiles went.
    unwanted: Vec<(i64, Spans)>,
}

#[derive(Debug)]
struct Empty {
    width: i64,
    from: i64,
    to: i64,
    samples_lsn: u64,
}

impl Empty {
    /// Whether nothing came to its time since.
    fn holds(&self, view: &View) -> bool {
        let mut segments = view.segments_within(self.from.saturating_add(1), self.to);
        !segments.any(|segment| segment.meta.lsn_last > self.samples_lsn)
    }
}

impl Barren {
    fn of(&self, width: i64, view: &View) -> Spans {
        let mut all = Spans::default();
        let empty = self
            .empty
            .iter()
            .filter(|one| one.width == width && one.holds(view));
        empty.for_each(|one| all.insert(one.from, one.to));
        for (_, spans) in self.unwanted.iter().filter(|known| known.0 == width) {
            spans.iter().for_each(|(from, to)| all.insert(from, to));
        }
        all
    }

    pub(super) fn note_unwanted(&mut self, width: i64, (from, to): (i64, i64)) {
        match self.unwanted.iter_mut().find(|known| known.0 == width) {
            Some(known) => known.1.insert(from, to),
            None => self.unwanted.push((width, Spans::of(from, to))),
        }
    }

    pub(super) fn note_empty(&mut self, width: i64, (from, to): (i64, i64), samples_lsn: u64) {
        self.empty
            .retain(|one| (one.width, one.from, one.to) != (width, from, to));
        self.empty.push(Empty {
            width,
            from,
            to,
            samples_lsn,
        });
    }
}

impl Engine {
    /// Tiles that go: of windows that are kept no longer, and the oldest where they take more than their part of the bytes.
    pub(super) fn tiles_that_are_over(&self, view: &View) -> Vec<Arc<Tile>> {
        let now = self.retention_now();
        let is_old = |tile: &Arc<Tile>| {
            let rule = self.rollups.iter().find(|rule| rule.grid.width() == tile.width);
            let kept = rule.and_then(|rule| rule.retention).zip(now);
            kept.is_some_and(|(retention, now)| tile.to < now.saturating_sub(retention))
        };
        let bytes_max = self.tile_bytes_max();
        let mut bytes = tile_bytes(view);
        let mut oldest_first: Vec<&Arc<Tile>> = view.tiles.iter().collect();
        oldest_first.sort_by_key(|tile| tile.to);
        let mut over = Vec::new();
        for tile in oldest_first {
            if is_old(tile) || bytes > bytes_max {
                bytes -= tile.segment.file_bytes();
                over.push(tile.clone());
            }
        }
        over
    }

    fn tile_bytes_max(&self) -> u64 {
        let bytes_max = self.options.retention_bytes;
        bytes_max.map_or(u64::MAX, |bytes| bytes / TILES_PART)
    }

    /// Whether tiles take most of what they may.
    fn is_full_of_tiles(&self, view: &View) -> bool {
        tile_bytes(view) > self.tile_bytes_max() / 2
    }

    /// The next tile to be made, the oldest first.
    pub(super) fn pick_tile(&self, barren: &Barren, view: &View) -> Option<Plan> {
        let (samples_lsn, deletions_lsn) = self.minded_lsns(view);
        for (number, rule) in self.rollups.iter().enumerate() {
            let width = rule.grid.width();
            let left_out = self.left_out(barren, view, width);
            let tiles = || view.tiles.iter().filter(|tile| tile.width == width);
            let is_behind = |tile: &&Arc<Tile>| {
                tile.checksum != rule.checksum || !tile.is_up_to(samples_lsn, deletions_lsn)
            };
            for tile in tiles().filter(is_behind) {
                let is_readable = left_out.within(tile.from, tile.to).is_empty();
                // One whose index cannot be read is left alone.
                if is_readable && self.is_to_be_made_anew(view, rule, tile).unwrap_or(false) {
                    return Some(Plan {
                        rule: number,
                        from: tile.from,
                        to: tile.to,
                        old: vec![tile.clone()],
                    });
                }
            }
            if let Some((from, to)) = self.new_stretch(view, rule, left_out) {
                return Some(Plan {
                    rule: number,
                    from,
                    to,
                    old: Vec::new(),
                });
            }
        }
        None
    }

    fn is_to_be_made_anew(&self, view: &View, rule: &RollupRule, tile: &Tile) -> Result<bool, Error> {
        let is_outdated = tile.checksum != rule.checksum
            || !tile.invalid(view).is_empty()
            || !tile.deleted(view)?.is_empty();
        Ok(is_outdated && !self.is_sealed(view, tile)?)
    }

    /// Stretches of a width that are not to be made: there is no reason to, or samples are missing for now.
    fn left_out(&self, barren: &Barren, view: &View, width: i64) -> Spans {
        let mut spans = barren.of(width, view);
        let grid = self.precision.grid(width);
        let manifest = self.lock_manifest();
        let is_open = |sequence: u64| view.segments.iter().any(|one| one.sequence == sequence);
        for entry in manifest.of_samples().filter(|entry| !is_open(entry.sequence)) {
            let (from, to) = grid.outer(entry.time_min.saturating_sub(1), entry.time_max);
            spans.insert(from, to);
        }
        spans
    }

    /// Whether something of the time of these segments is still to be rolled up.
    pub(super) fn lacks_tiles(&self, barren: &Barren, view: &View, segments: &[Arc<Segment>]) -> bool {
        let Some(newest) = segments.iter().map(|segment| segment.meta.time_max).max() else {
            return false;
        };
        self.rollups.iter().any(|rule| {
            let left_out = self.left_out(barren, view, rule.grid.width());
            let next = self.new_stretch(view, rule, left_out);
            next.is_some_and(|(from, _)| from < newest)
        })
    }

    /// The oldest stretch with samples that is over, has no tile and is not left out.
    fn new_stretch(&self, view: &View, rule: &RollupRule, left_out: Spans) -> Option<(i64, i64)> {
        let tiles = || view.tiles.iter().filter(|tile| tile.width == rule.grid.width());
        let mut done = left_out;
        tiles().for_each(|tile| done.insert(tile.from, tile.to));
        let of_samples = || {
            view.segments
                .iter()
                .filter(|one| one.meta.time_min <= one.meta.time_max)
        };
        let newest = of_samples().map(|segment| segment.meta.time_max).max()?;
        // Where samples go with time, they are rolled up though no newer ones come.
        let is_flushed = view.generations.iter().all(|one| one.bounds().is_none());
        let newest = match self.options.retention {
            Some(_) if is_flushed => newest.max(self.retention_now()?),
            _ => newest,
        };
        let margin = self.precision.units(self.options.segment_span).min(rule.stretch);
        let limit = newest.saturating_sub(margin);
        let kept_from = rule.retention.zip(self.retention_now());
        let kept_from = kept_from.map_or(i64::MIN, |(retention, now)| now.saturating_sub(retention));
        let cells = self.precision.grid(rule.stretch);
        let mut wanted = Spans::default();
        for segment in of_samples() {
            let (from, to) = cells.outer(segment.meta.time_min.saturating_sub(1), segment.meta.time_max);
            let from = from
                .max(cells.last_end(kept_from))
                .max(rule.grid.end_of(view.gone));
            wanted.insert(from, to.min(cells.last_end(limit)));
        }
        let mut wanted = wanted.subtract(&done);
        if self.is_full_of_tiles(view) {
            // What would go again at once is not made.
            let oldest = tiles().map(|tile| tile.to).min().unwrap_or(i64::MIN);
            wanted = wanted.within(oldest, i64::MAX);
        }
        let (from, to) = wanted.iter().next()?;
        Some((from, to.min(cells.end_of(from.saturating_add(1)))))
    }

    /// Whether samples in the time of a tile may be gone.
    pub(super) fn is_sealed(&self, view: &View, tile: &Tile) -> Result<bool, Error> {
        Ok(view.gone >= tile.segment.meta.time_min
            || self.rule_ranges().reach_behind(&tile.segment, tile.from)?)
    }

    /// Up to which LSN a tile that is made of a view minds samples, and deletions.
    pub(super) fn minded_lsns(&self, view: &View) -> (u64, u64) {
        let flushed_lsn = self.lock_manifest().flushed_lsn;
        let samples_lsn = view.segments.iter().map(|segment| segment.meta.lsn_last);
        let samples_lsn = samples_lsn.fold(flushed_lsn, u64::max);
        let deletions = view.deletions.iter().map(|one| one.withdrawn.unwrap_or(one.lsn));
        (samples_lsn, deletions.fold(samples_lsn, u64::max))
    }
}

fn tile_bytes(view: &View) -> u64 {
    view.tiles.iter().map(|tile| tile.segment.file_bytes()).sum()
}
