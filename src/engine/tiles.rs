//! Tiles as a view has them, and what of them still holds.
//!
//! A tile says up to which LSN it minds samples and deletions. What came later makes its windows invalid: samples in memory are
//! looked at by who reads; those that were flushed since stand in the list of late spans; deletions lie over it.

use super::Engine;
use super::deletions::Tombstone;
use super::error::Error;
use super::manifest::{Manifest, SegmentEntry};
use super::view::View;
use crate::base::spans::Spans;
use crate::rollup::Grid;
use crate::rollup::source::About;
use crate::segment::reader::{Segment, SegmentError};
use roaring::RoaringBitmap;
use std::sync::Arc;

/// Late spans that the manifest has at most.
const LATE_MAX: usize = 4096;

/// A rollup's windows within a stretch of time.
#[derive(Debug)]
pub(super) struct Tile {
    pub(super) segment: Arc<Segment>,
    /// Width of the windows.
    pub(super) width: i64,
    /// The stretch, open at its beginning.
    pub(super) from: i64,
    pub(super) to: i64,
    /// Samples in segments up to this LSN are minded.
    samples_lsn: u64,
    /// Deletions and undeletes up to this LSN are minded.
    deletions_lsn: u64,
    /// Of the rule it was made by.
    pub(super) checksum: u64,
    pub(super) about: About,
}

/// A span of time in which a flush or an attachment brought something, when there were tiles for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Late {
    pub(crate) lsn: u64,
    /// Open at its beginning.
    pub(crate) from: i64,
    pub(crate) to: i64,
}

impl Late {
    /// All of a segment.
    pub(super) fn of(entry: &SegmentEntry) -> Self {
        Self {
            lsn: entry.lsn_last,
            from: entry.time_min.saturating_sub(1),
            to: entry.time_max,
        }
    }
}

impl Tile {
    /// A segment that the manifest names as a tile.
    pub(super) fn new(segment: Arc<Segment>, entry: &SegmentEntry) -> Result<Self, Error> {
        let matchers = segment.windows().map(|windows| windows.matchers.clone());
        Ok(Self {
            about: About::new(matchers.unwrap_or_default())?,
            width: entry.resolution,
            from: entry.time_min.saturating_sub(1),
            to: entry.time_max,
            samples_lsn: entry.lsn_first,
            deletions_lsn: entry.lsn_last,
            checksum: entry.rules,
            segment,
        })
    }

    pub(super) fn sequence(&self) -> u64 {
        self.segment.sequence
    }

    pub(super) fn overlaps(&self, from: i64, to: i64) -> bool {
        self.from < to && from < self.to
    }

    /// Whether a tile that is made now would mind nothing more.
    pub(super) fn is_up_to(&self, samples_lsn: u64, deletions_lsn: u64) -> bool {
        self.samples_lsn >= samples_lsn && self.deletions_lsn >= deletions_lsn
    }

    fn is_before(&self, late: &Late) -> bool {
        late.lsn > self.samples_lsn && self.overlaps(late.from, late.to)
    }

    /// Deletions that it does not mind yet, but those that matter to no row.
    fn deletions<'a>(&'a self, view: &'a View) -> impl Iterator<Item = &'a Arc<Tombstone>> {
        let is_later = |one: &&Arc<Tombstone>| {
            one.withdrawn.unwrap_or(one.lsn) > self.deletions_lsn
                && one.overlaps(self.from.saturating_add(1), self.to)
        };
        view.deletions.iter().filter(is_later)
    }

    /// Windows that samples must be read for, of all rows. Where these may be gone, what was rolled up is all there is.
    pub(super) fn invalid_windows(&self, view: &View, grid: Grid) -> Spans {
        let invalid = self.invalid(view).within(grid.end_of(view.gone), i64::MAX);
        grid.outer_of(&invalid)
    }

    /// What holds no longer for any row.
    pub(super) fn invalid(&self, view: &View) -> Spans {
        let mut spans = Spans::default();
        for late in view.late.iter().filter(|late| self.is_before(late)) {
            spans.insert(late.from.max(self.from), late.to.min(self.to));
        }
        // What comes back may be of series that the tile does not know.
        for tombstone in self.deletions(view).filter(|one| !one.is_in_force()) {
            let from = tombstone.deletion.from.saturating_sub(1).max(self.from);
            spans.insert(from, tombstone.deletion.to.min(self.to));
        }
        spans
    }

    /// Rows of which something is deleted since, and what.
    pub(super) fn deleted(&self, view: &View) -> Result<Vec<(Arc<RoaringBitmap>, i64, i64)>, SegmentError> {
        let mut deleted = Vec::new();
        for tombstone in self.deletions(view).filter(|one| one.is_in_force()) {
            let rows = tombstone.rows(&self.segment)?;
            if !rows.is_empty() {
                let from = tombstone.deletion.from.saturating_sub(1).max(self.from);
                deleted.push((rows, from, tombstone.deletion.to.min(self.to)));
            }
        }
        Ok(deleted)
    }
}

/// Makes few spans of many; they count as written at the last moment of all.
fn coarsen(late: &mut Vec<Late>) {
    let lsn = late.iter().map(|late| late.lsn).max().unwrap_or(0);
    let mut spans = Spans::default();
    late.iter().for_each(|late| spans.insert(late.from, late.to));
    spans.coarsen(LATE_MAX / 4);
    *late = spans.iter().map(|(from, to)| Late { lsn, from, to }).collect();
}

/// Puts tiles in order of time.
pub(super) fn sort(tiles: &mut [Arc<Tile>]) {
    tiles.sort_by_key(|tile| (tile.from, tile.width, tile.sequence()));
}

impl Engine {
    /// Drops the late spans that every tile minds, or that lie where samples may be gone: there tiles stay as they are.
    pub(super) fn forget_late(&self, manifest: &mut Manifest) {
        let Manifest {
            segments, late, gone, ..
        } = manifest;
        let tiles: Vec<&SegmentEntry> = segments.iter().filter(|entry| entry.is_tile()).collect();
        let under_way = self.tile_under_way();
        let is_needed = |late: &Late| {
            let mut behind = tiles.iter().filter(|tile| tile.lsn_first < late.lsn);
            let is_of_tile = behind.any(|tile| tile.time_min <= late.to && late.from < tile.time_max);
            let is_of_next = under_way.is_some_and(|next| {
                next.samples_lsn < late.lsn && next.from < late.to && late.from < next.to
            });
            late.to > *gone && (is_of_tile || is_of_next)
        };
        late.retain(is_needed);
        if late.len() > LATE_MAX {
            coarsen(late);
        }
    }

    /// The late spans of the manifest, for a view.
    pub(super) fn known_late(&self) -> Arc<[Late]> {
        self.lock_manifest().late.as_slice().into()
    }
}
