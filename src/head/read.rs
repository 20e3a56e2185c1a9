//! Reading from the head: which series match, their labels in label order, and their data in a generation.

use super::Head;
use super::decode::decode_data;
use super::freeze::frozen_data;
use super::order::Copied;
use super::rare::Rare;
use super::series_data::SeriesData;
use super::slab::{Generation, Slab, place_of};
use crate::base::bytes::Corrupt;
use crate::base::mask::mask_of;
use crate::base::texts::Texts;
use crate::index::{LabelMatcher, LiveIndex};
use crate::model::samples::Samples;
use std::hint::black_box;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLockReadGuard};

/// Slabs whose memory is asked for before the first of them is looked at.
const TOUCHED_AT_ONCE: usize = 32;
/// Series that are looked at together at most.
const SERIES_AT_ONCE: usize = u64::BITS as usize;

/// Series of the head in label order. Their ids and pairs stay theirs as long as this lives.
#[derive(Debug)]
pub(crate) struct HeadSelection {
    ids: Vec<u32>,
    copied: Copied,
    /// Whether their samples will be read.
    is_read: bool,
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

    /// Writes the canonical labels of the series at `positions` in place of what `out` holds.
    pub(crate) fn labels(&mut self, head: &Head, positions: Range<usize>, out: &mut Texts) {
        let ids = self.ids.get(positions.clone()).unwrap_or(&[]);
        if self.is_read && ids.len() > 1 {
            head.touch(ids);
        }
        out.clear();
        match &mut self.copied {
            Copied::Labels(labels) if ids.len() == labels.len() => *out = std::mem::take(labels),
            Copied::Labels(labels) => positions.for_each(|position| out.push(labels.at(position))),
            Copied::Pairs(lists) => head.write_labels_of(lists, positions, out),
            Copied::Nothing => {
                let (bytes, ends) = out.parts_mut();
                head.write_labels(ids, bytes, ends);
            }
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

    /// The series that match, in label order. `is_read` says whether their samples will be read.
    pub(crate) fn select(&self, matchers: &[LabelMatcher], is_read: bool) -> HeadSelection {
        let index = self.read_index();
        let pin = Pin(self.pin.clone());
        let mut ids = index.select_ids(matchers);
        drop(index);
        let copied = self.sort_by_labels(&mut ids);
        HeadSelection {
            ids,
            copied,
            is_read,
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
        self.looks(generations, (from, to)).within(&[id]) != 0
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
        range: (i64, i64),
    ) -> usize {
        let looks = self.looks(generations, range);
        let mut count = 0;
        for block in ids.chunks(TOUCHED_AT_ONCE) {
            // Few ids are of one slab. Their slabs come to the cache together rather than one after the other.
            black_box(block.iter().fold(false, |any, id| {
                any ^ looks.slabs.get(place_of(*id).0).is_some_and(|slab| slab.touch())
            }));
            count += looks.within(block).count_ones() as usize;
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
    /// Which of at most 64 series have samples, a bit for each, the first the lowest. Those of one slab that follow each other are
    /// looked at together: their memory comes to the cache at once rather than one after the other.
    pub(crate) fn within(&self, ids: &[u32]) -> u64 {
        debug_assert!(ids.len() <= SERIES_AT_ONCE);
        let (from, to) = self.range;
        let mut found = 0;
        for generation in self.generations.iter().filter(|one| one.is_within(from, to)) {
            let mut place = 0;
            for run in ids.chunk_by(|a, b| place_of(*a).0 == place_of(*b).0) {
                let slab = run.first().and_then(|id| self.slabs.get(place_of(*id).0));
                found |= slab.map_or(0, |slab| within_slab(slab, generation, run, self.range)) << place;
                place += run.len();
            }
        }
        found
    }
}

/// Which series of `slab` have samples of `generation` within `from..=to`, wherever they are now.
fn within_slab(slab: &Slab, generation: &Generation, ids: &[u32], (from, to): (i64, i64)) -> u64 {
    let places = ids.iter().map(|id| place_of(*id).1);
    let locked = slab.lock();
    if locked.generation == generation.number {
        let in_series = |place: usize| {
            locked
                .series
                .get(place)
                .is_some_and(|one| one.has_samples_within(from, to))
        };
        return mask_of(places.map(in_series));
    }
    if locked.generation < generation.number {
        return 0;
    }
    drop(locked);
    let slab_index = ids.first().map_or(0, |id| place_of(*id).0);
    let Some(frozen) = generation.frozen_slab(slab_index) else {
        return 0;
    };
    let in_data = |place: usize| {
        let data = frozen_data(&frozen, place as u32);
        data.is_some_and(|data| data.has_samples_within(from, to))
    };
    mask_of(places.map(in_data))
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
