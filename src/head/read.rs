//! Reading from the head: which series match, their labels in label order, and their data in a generation.

use super::Head;
use super::decode::decode_data;
use super::freeze::frozen_data;
use super::series::SeriesData;
use super::slab::{Generation, place_of};
use crate::base::bytes::Corrupt;
use crate::index::{LabelMatcher, LiveIndex};
use crate::model::samples::Samples;
use roaring::RoaringBitmap;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLockReadGuard};

/// Series of the head in label order. Their ids and pairs stay theirs as long as this lives.
#[derive(Debug)]
pub(crate) struct HeadSelection {
    ids: Vec<u32>,
    _pin: Pin,
}

/// Keeps every series of the head in memory, and its id its own, as long as it lives.
#[derive(Debug)]
pub(crate) struct Pin(#[expect(dead_code, reason = "it is counted, not looked at")] Arc<()>);

impl HeadSelection {
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// The id of the series at `position` in label order.
    pub(crate) fn id(&self, position: usize) -> Option<u32> {
        self.ids.get(position).copied()
    }

    /// Appends the canonical labels of the series at `positions`, and where each ends.
    pub(crate) fn labels(
        &self,
        head: &Head,
        positions: Range<usize>,
        out: &mut Vec<u8>,
        ends: &mut Vec<usize>,
    ) {
        head.write_labels(self.ids.get(positions).unwrap_or(&[]), out, ends);
    }
}

impl Head {
    /// Taken under the index's read lock: an eviction sees the pin, or was over before.
    pub(crate) fn pin(&self) -> Pin {
        let _index = self.read_index();
        Pin(self.pin.clone())
    }

    pub(crate) fn read_index(&self) -> RwLockReadGuard<'_, LiveIndex> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The series that match, in label order.
    pub(crate) fn select(&self, matchers: &[LabelMatcher]) -> HeadSelection {
        let index = self.read_index();
        let pin = Pin(self.pin.clone());
        let mut ids: Vec<u32> = index.select(matchers).iter().collect();
        drop(index);
        self.sort_by_labels(&mut ids);
        HeadSelection { ids, _pin: pin }
    }

    /// A copy of the data of series `id` in `generation` within `from..=to`, wherever it is now.
    pub(crate) fn data(&self, generation: &Generation, id: u32, from: i64, to: i64) -> Option<SeriesData> {
        let (slab_index, place) = place_of(id);
        let slab = {
            let slabs = self.slabs.read().unwrap_or_else(PoisonError::into_inner);
            slabs.get(slab_index)?.clone()
        };
        let locked = slab.lock();
        if locked.generation == generation.number {
            let series = locked.series.get(place)?;
            return series.has_data().then(|| series.copy_data(from, to));
        }
        if locked.generation < generation.number {
            return None;
        }
        drop(locked);
        let frozen = generation.frozen_slab(slab_index)?;
        frozen_data(&frozen, place as u32).cloned()
    }

    /// The samples of series `id` in `generation` within `from..=to`, in place of what `out` holds. Chunks of the live
    /// generation are decoded under the slab's lock, which takes less than copying them. A chunk comes from a checkpoint as
    /// its checksum found it and may be one that does not decode.
    pub(crate) fn read(
        &self,
        generation: &Generation,
        id: u32,
        from: i64,
        to: i64,
        out: &mut Samples,
    ) -> Result<(), Corrupt> {
        out.clear();
        let (slab_index, place) = place_of(id);
        let slabs = self.slabs.read().unwrap_or_else(PoisonError::into_inner);
        let Some(slab) = slabs.get(slab_index) else {
            return Ok(());
        };
        let locked = slab.lock();
        let decoded = if locked.generation == generation.number {
            locked
                .series
                .get(place)
                .map(|series| series.decode(from, to, out))
        } else if locked.generation < generation.number {
            None
        } else {
            drop(locked);
            let frozen = generation.frozen_slab(slab_index);
            let data = frozen
                .as_ref()
                .and_then(|frozen| frozen_data(frozen, place as u32));
            data.map(|data| decode_data(data, from, to, out))
        };
        decoded.unwrap_or(Ok(()))
    }

    /// Those of `ids` that have samples in one of `generations` within `from..=to`.
    pub(crate) fn within(
        &self,
        generations: &[Arc<Generation>],
        ids: &RoaringBitmap,
        from: i64,
        to: i64,
    ) -> RoaringBitmap {
        ids.iter()
            .filter(|id| self.is_within(generations, *id, from, to))
            .collect()
    }

    /// Whether series `id` has samples in one of `generations` within `from..=to`.
    pub(crate) fn is_within(&self, generations: &[Arc<Generation>], id: u32, from: i64, to: i64) -> bool {
        generations.iter().any(|generation| {
            let bounds = generation
                .bounds()
                .is_some_and(|bounds| bounds.0 <= to && bounds.1 >= from);
            bounds
                && self
                    .data(generation, id, from, to)
                    .is_some_and(|data| data.has_samples_within(from, to))
        })
    }
}
