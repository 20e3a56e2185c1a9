//! Freezing: the live generation becomes what a flush writes, and a new one begins.

use super::Head;
use super::metadata::MetadataHistory;
use super::series_data::SeriesData;
use super::slab::{FrozenSlab, Generation, SLAB_SERIES, place_of};
use super::writer::Writer;
use crate::wal::WalError;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

/// Series whose data is freed between two looks for commits: some ten microseconds.
const SERIES_FREED_AT_ONCE: usize = 64;

/// A frozen generation, ready to be written.
#[derive(Debug)]
pub(crate) struct Frozen {
    pub(crate) generation: Arc<Generation>,
    /// Last LSN in it.
    pub(crate) last_lsn: u64,
    pub(crate) metadata: MetadataHistory,
}

/// The series of a frozen generation that have data, in label order.
#[derive(Debug)]
pub(crate) struct FrozenSeries {
    ids: Vec<u32>,
    slabs: Vec<Option<Arc<FrozenSlab>>>,
}

impl FrozenSeries {
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// LSNs of the deletions that hid some of it, ascending.
    pub(crate) fn hidden(&self) -> BTreeSet<u64> {
        let rare = (0..self.len()).filter_map(|position| self.data(position)?.rare.as_deref());
        rare.flat_map(|rare| rare.hidden.iter().map(|hidden| hidden.lsn))
            .collect()
    }

    /// Appends the canonical labels of the series at `positions` in label order, and where each ends.
    pub(crate) fn labels(&self, head: &Head, positions: &[u32], out: &mut Vec<u8>, ends: &mut Vec<usize>) {
        let ids = positions
            .iter()
            .filter_map(|position| self.ids.get(*position as usize));
        let ids: Vec<u32> = ids.copied().collect();
        head.write_labels(&ids, out, ends);
    }

    /// The data of the series at `position` in label order.
    pub(crate) fn data(&self, position: usize) -> Option<&SeriesData> {
        let (slab, place) = place_of(*self.ids.get(position)?);
        frozen_data(self.slabs.get(slab)?.as_ref()?, place as u32)
    }
}

impl Head {
    /// Starts a new generation and log file; what was live until now is frozen.
    pub(crate) fn freeze(&self, writer: &mut Writer) -> Result<Frozen, WalError> {
        writer.rotate()?;
        let file = writer.log.as_ref().map_or(0, |log| log.sequence());
        let next = Arc::new(Generation::new(writer.live.number + 1, writer.last_lsn + 1, file));
        let frozen = std::mem::replace(&mut writer.live, next);
        frozen.end(writer.last_lsn);
        writer.note_flushed(frozen.bounds().map_or(i64::MIN, |bounds| bounds.1));
        writer.frozen = Some(frozen.clone());
        let mut metadata = self.metadata.lock().unwrap_or_else(PoisonError::into_inner);
        let metadata = std::mem::take(&mut metadata.live);
        Ok(Frozen {
            generation: frozen,
            last_lsn: writer.last_lsn,
            metadata,
        })
    }

    /// Moves every slab's data of `frozen` out, and lists the series that have any. While a generation is frozen no
    /// series is evicted, so their pairs stay theirs.
    pub(crate) fn collect_frozen(&self, frozen: &Generation) -> FrozenSeries {
        let slabs = self.slabs.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut all = FrozenSeries {
            ids: Vec::new(),
            slabs: Vec::with_capacity(slabs.len()),
        };
        for (index, slab) in slabs.iter().enumerate() {
            let mut locked = slab.lock();
            if locked.generation <= frozen.number {
                frozen.freeze(index, &mut locked, frozen.number + 1);
            }
            drop(locked);
            self.give_way();
            let data = frozen.frozen_slab(index);
            let with_data = data.iter().flat_map(|data| data.series().iter().enumerate());
            let places = with_data
                .filter(|series| series.1.is_some())
                .map(|series| series.0);
            all.ids
                .extend(places.map(|place| index as u32 * SLAB_SERIES + place as u32));
            all.slabs.push(data);
        }
        self.sort_by_labels(&mut all.ids);
        all
    }

    /// Gives up the sorted copies of label values that queries built.
    pub(crate) fn drop_caches(&self) {
        // Whoever writes the index holds the writer's lock: a commit reads the index while it holds a slab, and readers
        // hold the index while they wait for a slab. A third that waits to write the index would stop both.
        let _writer = self.lock_writer();
        self.index
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .drop_caches();
    }

    /// The frozen generation is in a segment: frees it, unless a reader still holds it. The allocator's lock is one more
    /// that commits wait for, so that this goes piece by piece and gives way in between.
    pub(crate) fn forget_frozen(&self, frozen: Frozen) {
        self.lock_writer().frozen = None;
        let Some(generation) = Arc::into_inner(frozen.generation) else {
            return;
        };
        for slab in generation.into_frozen().into_iter().flatten() {
            let mut series = Arc::into_inner(slab).map_or_else(Vec::new, FrozenSlab::into_series);
            while !series.is_empty() {
                self.give_way();
                series.truncate(series.len().saturating_sub(SERIES_FREED_AT_ONCE));
            }
        }
    }
}

/// The data of a series of a frozen generation.
pub(crate) fn frozen_data(slab: &FrozenSlab, place: u32) -> Option<&SeriesData> {
    debug_assert!(place < SLAB_SERIES);
    slab.series().get(place as usize)?.as_deref()
}
