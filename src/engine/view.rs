//! A view: the segments and head generations that a reader sees, swapped at once.

use super::deletions::Tombstone;
use super::tiles::{Late, Tile};
use crate::head::slab::Generation;
use crate::segment::reader::Segment;
use std::sync::Arc;

#[derive(Debug, Clone)]
pub(crate) struct View {
    /// In order of their LSNs.
    pub(crate) segments: Vec<Arc<Segment>>,
    /// The generation being flushed, if any, then the live one.
    pub(crate) generations: Vec<Arc<Generation>>,
    /// By LSN, withdrawn ones included.
    pub(crate) deletions: Arc<[Arc<Tombstone>]>,
    /// Rollups, in order of time.
    pub(super) tiles: Arc<[Arc<Tile>]>,
    /// What was written to segments behind the end of a tile and is in its time, by LSN.
    pub(super) late: Arc<[Late]>,
    /// Samples up to this time may be gone.
    pub(super) gone: i64,
}

impl Default for View {
    fn default() -> Self {
        Self {
            segments: Vec::new(),
            generations: Vec::new(),
            deletions: Arc::default(),
            tiles: Arc::default(),
            late: Arc::default(),
            gone: i64::MIN,
        }
    }
}

impl View {
    /// Segments that may have something in `from..=to`, in order of their LSNs.
    pub(super) fn segments_within(&self, from: i64, to: i64) -> impl Iterator<Item = &Arc<Segment>> {
        let is_within = move |one: &&Arc<Segment>| one.meta.time_min <= to && one.meta.time_max >= from;
        self.segments.iter().filter(is_within)
    }

    /// Whether a deletion may hide a sample, or have left a mark, in what a reader sees: others matter to tiles only.
    pub(super) fn deletions_concern_samples(&self) -> bool {
        let oldest = self.generations.first().map_or(u64::MAX, |one| one.first_lsn);
        self.deletions.iter().any(|deletion| {
            let latest = deletion.withdrawn.unwrap_or(deletion.lsn);
            let is_over = |segment: &Arc<Segment>| {
                let meta = &segment.meta;
                meta.lsn_last < latest && deletion.overlaps(meta.time_min, meta.time_max)
            };
            latest >= oldest || self.segments.iter().any(is_over)
        })
    }

    /// Every segment, those of rollups among them.
    pub(super) fn files(&self) -> Vec<Arc<Segment>> {
        let tiles = self.tiles.iter().map(|tile| &tile.segment);
        self.segments.iter().chain(tiles).cloned().collect()
    }

    /// Whether the head has samples in `from..=to`.
    pub(super) fn head_is_within(&self, from: i64, to: i64) -> bool {
        self.generations.iter().any(|one| one.is_within(from, to))
    }
}
