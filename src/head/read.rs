//! Reading from the head: which series match, their labels in label order, and their data in a generation.

use super::Head;
use super::series::SeriesData;
use super::slab::{Generation, SlabSeries, place_of};
use crate::base::varint;
use crate::index::{LabelMatcher, LiveIndex, PairId};
use std::sync::{Arc, MutexGuard, PoisonError, RwLockReadGuard};

/// Series of the head in label order. Their ids and pairs stay theirs as long as this lives.
#[derive(Debug)]
pub(crate) struct HeadSelection {
    ids: Vec<u32>,
    /// Where the pairs of each series start in `pairs`; one more than there are series.
    starts: Vec<u32>,
    pairs: Vec<PairId>,
    /// The series in label order, as indices of `ids`.
    order: Vec<u32>,
    _pin: Arc<()>,
}

/// Ids whose pairs are copied before the index is unlocked once, for those who wait to write it.
const IDS_PER_LOCK: usize = 16 * 1024;

/// Selections up to this size are ordered by comparing text, larger ones by ranking the pairs first.
const COMPARE_TEXT_MAX: usize = 64;

impl HeadSelection {
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// The id of the series at `position` in label order.
    pub(crate) fn id(&self, position: usize) -> Option<u32> {
        self.ids.get(*self.order.get(position)? as usize).copied()
    }

    fn pairs_of(&self, index: u32) -> &[PairId] {
        let start = self.starts.get(index as usize).copied().unwrap_or(0) as usize;
        let end = self.starts.get(index as usize + 1).copied().unwrap_or(0) as usize;
        self.pairs.get(start..end).unwrap_or(&[])
    }

    /// Writes the canonical labels of the series at `position`.
    pub(crate) fn labels(&self, head: &Head, position: usize, out: &mut Vec<u8>) {
        out.clear();
        let Some(index) = self.order.get(position) else { return };
        write_labels(&head.read_index(), self.pairs_of(*index), out);
    }

    fn sort(&mut self, index: &LiveIndex) {
        let mut order = std::mem::take(&mut self.order);
        if order.len() <= COMPARE_TEXT_MAX {
            let key = |at: u32| self.pairs_of(at).iter().map(|pair| index.pair(*pair));
            order.sort_by(|a, b| key(*a).cmp(key(*b)));
        } else {
            let ranks = self.rank_pairs(index);
            let ranks_of = |at: u32| {
                let (start, end) = (self.starts[at as usize], self.starts[at as usize + 1]);
                &ranks[start as usize..end as usize]
            };
            // The first two ranks settle most comparisons without leaving the array that is sorted.
            let prefix = |at: u32| {
                let ranks = ranks_of(at);
                let rank = |place: usize| ranks.get(place).map_or(0, |rank| u64::from(*rank) + 1);
                (rank(0) << 32 | rank(1), at)
            };
            let mut keyed: Vec<(u64, u32)> = order.iter().map(|at| prefix(*at)).collect();
            keyed.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| ranks_of(a.1).cmp(ranks_of(b.1))));
            order.clear();
            order.extend(keyed.iter().map(|key| key.1));
        }
        self.order = order;
    }

    /// The pairs as ranks in the order of (name, value): comparing ranks is comparing labels.
    fn rank_pairs(&self, index: &LiveIndex) -> Vec<u32> {
        let mut distinct = self.pairs.clone();
        distinct.sort_unstable();
        distinct.dedup();
        distinct.sort_by(|a, b| index.pair(*a).cmp(&index.pair(*b)));
        let highest = distinct.iter().map(|pair| pair.0).max().unwrap_or(0);
        let mut rank_of = vec![0u32; highest as usize + 1];
        for (rank, pair) in distinct.iter().enumerate() {
            rank_of[pair.0 as usize] = rank as u32;
        }
        self.pairs.iter().map(|pair| rank_of[pair.0 as usize]).collect()
    }
}

/// Writes canonical label bytes; the pairs of a series are kept in order of name.
pub(crate) fn write_labels(index: &LiveIndex, pairs: &[PairId], out: &mut Vec<u8>) {
    for pair in pairs {
        let (name, value) = index.pair(*pair);
        varint::write_bytes(out, name.as_bytes());
        varint::write_bytes(out, value.as_bytes());
    }
}

impl Head {
    pub(crate) fn read_index(&self) -> RwLockReadGuard<'_, LiveIndex> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The series that match, in label order.
    pub(crate) fn select(&self, matchers: &[LabelMatcher]) -> HeadSelection {
        let index = self.read_index();
        let pin = self.pin.clone();
        let found = index.select(matchers);
        drop(index);
        let mut selection = HeadSelection {
            ids: Vec::with_capacity(found.len()),
            starts: Vec::with_capacity(found.len() + 1),
            pairs: Vec::new(),
            order: Vec::new(),
            _pin: pin,
        };
        selection.starts.push(0);
        // Lock order is index before slab; ids and pairs are pinned, so the index may be let go in between.
        for ids in found.chunks(IDS_PER_LOCK) {
            let _index = self.read_index();
            self.copy_pairs(ids, &mut selection);
        }
        selection.order = (0..selection.ids.len() as u32).collect();
        selection.sort(&self.read_index());
        selection
    }

    /// Copies the pairs of series; the lock of a slab is kept while ids stay in it.
    fn copy_pairs(&self, ids: &[u32], selection: &mut HeadSelection) {
        let slabs = self.slabs.read().unwrap_or_else(PoisonError::into_inner);
        let mut locked: Option<(usize, MutexGuard<'_, SlabSeries>)> = None;
        for id in ids {
            let (slab_index, place) = place_of(*id);
            if locked.as_ref().is_none_or(|(index, _)| *index != slab_index) {
                drop(locked.take());
                locked = slabs.get(slab_index).map(|slab| (slab_index, slab.lock()));
            }
            let series = locked.as_ref().and_then(|(_, slab)| slab.series.get(place));
            if let Some(series) = series.filter(|series| series.alive) {
                selection.pairs.extend_from_slice(&series.pairs);
                selection.starts.push(selection.pairs.len() as u32);
                selection.ids.push(*id);
            }
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
        super::freeze::frozen_data(&frozen, place as u32).cloned()
    }
}
