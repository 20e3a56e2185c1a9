//! Reading from the head: which series match, their labels in label order, and their data in a generation.

use super::Head;
use super::decode::decode_data;
use super::freeze::frozen_data;
use super::order::SortedLabels;
use super::rare::Rare;
use super::series_data::SeriesData;
use super::slab::{Generation, Slab, place_of};
use crate::base::bytes::Corrupt;
use crate::index::{LabelMatcher, LiveIndex};
use crate::model::samples::Samples;
use std::hint::black_box;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLockReadGuard};

/// Slabs whose memory is asked for before the first of them is looked at.
const TOUCHED_AT_ONCE: usize = 32;

/// Series of the head in label order. Their ids and pairs stay theirs as long as this lives.
#[derive(Debug)]
pub(crate) struct HeadSelection {
    ids: Vec<u32>,
    /// Their labels, when sorting has written them.
    written: Option<SortedLabels>,
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
        let Some(written) = &self.written else {
            return head.write_labels(self.ids.get(positions).unwrap_or(&[]), out, ends);
        };
        for position in positions {
            out.extend_from_slice(written.at(position));
            ends.push(out.len());
        }
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

    /// The series that match, by id. They must be pinned.
    pub(crate) fn find(&self, matchers: &[LabelMatcher]) -> Vec<u32> {
        self.read_index().select_ids(matchers)
    }

    /// The series that match, in label order.
    pub(crate) fn select(&self, matchers: &[LabelMatcher]) -> HeadSelection {
        let index = self.read_index();
        let pin = Pin(self.pin.clone());
        let mut ids = index.select_ids(matchers);
        drop(index);
        let written = self.sort_by_labels(&mut ids);
        HeadSelection {
            ids,
            written,
            _pin: pin,
        }
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

    /// The samples of series `id` in `generation` within `from..=to`, in place of what `out` holds, and what deletions
    /// hid of them. Chunks of the live generation are decoded under the slab's lock, which takes less than copying them. A
    /// chunk comes from a checkpoint as its checksum found it and may be one that does not decode.
    pub(crate) fn read(
        &self,
        generation: &Generation,
        id: u32,
        (from, to): (i64, i64),
        out: &mut Samples,
        hidden: &mut Vec<HiddenSamples>,
    ) -> Result<(), Corrupt> {
        out.clear();
        let (slab_index, place) = place_of(id);
        let slabs = self.slabs.read().unwrap_or_else(PoisonError::into_inner);
        let Some(slab) = slabs.get(slab_index) else {
            return Ok(());
        };
        let locked = slab.lock();
        if locked.generation == generation.number {
            if let Some(series) = locked.series.get(place) {
                series.decode(from, to, out)?;
                decode_hidden(series.rare(), from, to, hidden)?;
            }
        } else if locked.generation > generation.number {
            drop(locked);
            let frozen = generation.frozen_slab(slab_index);
            let data = frozen
                .as_ref()
                .and_then(|frozen| frozen_data(frozen, place as u32));
            if let Some(data) = data {
                decode_data(data, from, to, out)?;
                decode_hidden(data.rare.as_deref(), from, to, hidden)?;
            }
        }
        Ok(())
    }

    /// Whether series `id` has samples in one of `generations` within `from..=to`.
    pub(crate) fn is_within(&self, generations: &[Arc<Generation>], id: u32, from: i64, to: i64) -> bool {
        self.looks(generations, (from, to)).is_within(id)
    }

    /// For looking at many series. No slab is made as long as it is there.
    pub(crate) fn looks<'h>(&'h self, generations: &'h [Arc<Generation>], range: (i64, i64)) -> Looks<'h> {
        Looks {
            slabs: self.slabs.read().unwrap_or_else(PoisonError::into_inner),
            generations,
            range,
        }
    }

    /// How many of `ids` have samples in one of `generations` within `from..=to`.
    pub(crate) fn count_within(
        &self,
        generations: &[Arc<Generation>],
        ids: &[u32],
        (from, to): (i64, i64),
    ) -> usize {
        let slabs = self.slabs.read().unwrap_or_else(PoisonError::into_inner);
        let has_samples = |id: &&u32| {
            let mut within = generations.iter().filter(|one| one.is_within(from, to));
            let slab = slabs.get(place_of(**id).0);
            slab.is_some_and(|slab| within.any(|one| is_in_slab(slab, one, **id, (from, to))))
        };
        let mut count = 0;
        for block in ids.chunks(TOUCHED_AT_ONCE) {
            // Few ids are of one slab. Their slabs come to the cache together rather than one after the other.
            black_box(block.iter().fold(false, |any, id| {
                any ^ slabs.get(place_of(*id).0).is_some_and(|slab| slab.touch())
            }));
            count += block.iter().filter(has_samples).count();
        }
        count
    }
}

/// Says of series whether they have samples in one of some generations within a range.
pub(crate) struct Looks<'h> {
    slabs: RwLockReadGuard<'h, Vec<Arc<Slab>>>,
    generations: &'h [Arc<Generation>],
    range: (i64, i64),
}

impl Looks<'_> {
    pub(crate) fn is_within(&self, id: u32) -> bool {
        let (from, to) = self.range;
        let mut within = self.generations.iter().filter(|one| one.is_within(from, to));
        let slab = self.slabs.get(place_of(id).0);
        slab.is_some_and(|slab| within.any(|one| is_in_slab(slab, one, id, self.range)))
    }
}

/// Whether series `id`, of `slab`, has samples of `generation` within `from..=to`, wherever they are now.
fn is_in_slab(slab: &Slab, generation: &Generation, id: u32, (from, to): (i64, i64)) -> bool {
    let (slab_index, place) = place_of(id);
    let locked = slab.lock();
    if locked.generation == generation.number {
        let series = locked.series.get(place);
        return series.is_some_and(|series| series.has_samples_within(from, to));
    }
    if locked.generation < generation.number {
        return false;
    }
    drop(locked);
    let frozen = generation.frozen_slab(slab_index);
    let data = frozen
        .as_ref()
        .and_then(|frozen| frozen_data(frozen, place as u32));
    data.is_some_and(|data| data.has_samples_within(from, to))
}

/// What one deletion hid of a series: its LSN, and the samples.
pub(crate) type HiddenSamples = (u64, Samples);

fn decode_hidden(
    rare: Option<&Rare>,
    from: i64,
    to: i64,
    out: &mut Vec<HiddenSamples>,
) -> Result<(), Corrupt> {
    for hidden in rare.iter().flat_map(|rare| &rare.hidden) {
        let mut samples = Samples::default();
        decode_data(&hidden.data, from, to, &mut samples)?;
        if !samples.is_empty() {
            out.push((hidden.lsn, samples));
        }
    }
    Ok(())
}
