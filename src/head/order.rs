//! Series in label order, by comparing the ranks of their pairs instead of text, and their labels in that order.
//!
//! Pairs of very many series are read where they stand, in the slabs: a selection of a million costs four bytes for each, and while
//! it is sorted a key of 32. Those of fewer are copied first, because each look at a series misses the cache several times.
//! Series and pairs must be pinned as long as any of this goes on.

use super::Head;
use super::series::Series;
use super::slab::place_of;
use crate::base::texts::Texts;
use crate::base::varint;
use crate::index::{LiveIndex, PairId};
use crate::model::labels::{self, LabelsRef};
use std::hint::black_box;
use std::ops::Range;
use std::sync::PoisonError;

/// Series that are sorted by their texts.
const FEW_SERIES: usize = 512;
/// More series than this are sorted without a copy of their pairs, which takes some forty bytes for each.
const COPIED_SERIES_MAX: usize = 65_536;
/// Bytes of labels that most series do not exceed.
const LABEL_BYTES_USUAL: usize = 256;
/// Pairs that most series do not exceed.
const PAIRS_USUAL: usize = 16;

impl Head {
    /// Shows series in the order of `ids`; those of one slab that follow each other come together, under its lock.
    pub(super) fn each_run(&self, ids: &[u32], mut visit: impl FnMut(&[Series], &[u32])) {
        let slabs = self.slabs.read().unwrap_or_else(PoisonError::into_inner);
        for run in ids.chunk_by(|a, b| place_of(*a).0 == place_of(*b).0) {
            let slab = run.first().and_then(|id| slabs.get(place_of(*id).0));
            if let Some(slab) = slab {
                visit(&slab.lock().series, run);
            }
        }
    }

    fn each_pairs(&self, ids: &[u32], mut visit: impl FnMut(&[PairId])) {
        self.each_run(ids, |series, run| {
            for id in run {
                visit(series.get(place_of(*id).1).map_or(&[], |series| &series.pairs));
            }
        });
    }

    /// Puts series in label order. What it has copied of them for that, in that order, is given back.
    pub(super) fn sort_by_labels(&self, ids: &mut [u32]) -> Copied {
        if ids.len() <= FEW_SERIES {
            return Copied::Labels(self.sort_few_by_labels(ids));
        }
        if ids.len() > COPIED_SERIES_MAX {
            let ranks = self.rank_pairs(|visit| self.each_pairs(ids, visit));
            let each = |ids: &[u32], visit: &mut dyn FnMut(&[PairId])| self.each_pairs(ids, visit);
            let mut keyed: Vec<(u128, u32)> = ids.iter().map(|id| (0, *id)).collect();
            sort_tied(&ranks, &mut keyed, 0, &each);
            for (id, key) in ids.iter_mut().zip(&keyed) {
                *id = key.1;
            }
            return Copied::Nothing;
        }
        let mut lists = PairLists::default();
        self.each_pairs(ids, |pairs| lists.push(pairs));
        let ranks = self.rank_pairs(|visit| lists.iter().for_each(visit));
        let each = |places: &[u32], visit: &mut dyn FnMut(&[PairId])| {
            places.iter().for_each(|place| visit(lists.at(*place as usize)));
        };
        let mut keyed: Vec<(u128, u32)> = (0..ids.len() as u32).map(|place| (0, place)).collect();
        sort_tied(&ranks, &mut keyed, 0, &each);
        let mut sorted = PairLists::default();
        let unsorted = ids.to_vec();
        for (id, (_, place)) in ids.iter_mut().zip(&keyed) {
            *id = unsorted.get(*place as usize).copied().unwrap_or(*id);
            sorted.push(lists.at(*place as usize));
        }
        Copied::Pairs(sorted)
    }

    /// Few series are compared by their texts, because ranking takes a table of all pairs. Gives back what it wrote for that.
    fn sort_few_by_labels(&self, ids: &mut [u32]) -> Texts {
        let mut written = Texts::default();
        written.reserve(ids.len(), ids.len() * LABEL_BYTES_USUAL);
        let (bytes, ends) = written.parts_mut();
        self.write_labels(ids, bytes, ends);
        if ids.len() < 2 {
            return written;
        }
        let mut keys = Texts::default();
        keys.reserve(ids.len(), written.byte_len());
        let has_keys = written.iter().all(|text| {
            let (bytes, ends) = keys.parts_mut();
            let has_key = write_sort_key(text, bytes);
            ends.push(bytes.len());
            has_key
        });
        let mut keyed: Vec<(&[u8], usize)>;
        if has_keys {
            keyed = keys.iter().zip(0..).collect();
            keyed.sort_unstable();
        } else {
            keyed = written.iter().zip(0..).collect();
            keyed.sort_unstable_by(|a, b| labels::compare(a.0, b.0));
        }
        let mut sorted = Texts::default();
        sorted.reserve(ids.len(), written.byte_len());
        let unsorted = ids.to_vec();
        for (id, (_, place)) in ids.iter_mut().zip(&keyed) {
            *id = unsorted.get(*place).copied().unwrap_or(*id);
            sorted.push(written.at(*place));
        }
        sorted
    }

    fn rank_pairs(&self, each_list: impl FnOnce(&mut dyn FnMut(&[PairId]))) -> Ranks {
        let mut used = Vec::new();
        each_list(&mut |pairs| {
            for pair in pairs {
                if used.len() <= pair.0 as usize {
                    used.resize(pair.0 as usize + 1, 0);
                }
                used[pair.0 as usize] = 1;
            }
        });
        Ranks::new(&self.read_index(), used)
    }

    /// Brings what reading series will need to the cache, at once for those of a slab that follow each other.
    pub(super) fn touch(&self, ids: &[u32]) {
        self.each_run(ids, |series, run| {
            let of_run = run.iter().filter_map(|id| series.get(place_of(*id).1));
            black_box(of_run.fold(0, |sum, series| sum ^ series.touch()));
        });
    }

    /// Appends the canonical labels of series, in the order of `ids`, and where each ends.
    pub(super) fn write_labels(&self, ids: &[u32], out: &mut Vec<u8>, ends: &mut Vec<usize>) {
        let index = self.read_index();
        if let [_] = ids {
            self.each_pairs(ids, |pairs| {
                pairs.iter().for_each(|pair| write_pair(&index, *pair, out));
                ends.push(out.len());
            });
            return;
        }
        let mut writer = LabelWriter::new();
        self.each_pairs(ids, |pairs| {
            writer.write(&index, pairs, out);
            ends.push(out.len());
        });
    }

    /// The same of pairs that were copied.
    pub(super) fn write_labels_of(&self, lists: &PairLists, positions: Range<usize>, out: &mut Texts) {
        let index = self.read_index();
        let mut writer = LabelWriter::new();
        let (out, ends) = out.parts_mut();
        for position in positions {
            writer.write(&index, lists.at(position), out);
            ends.push(out.len());
        }
    }
}

/// Sorts series whose first `skip` pairs are the same. `each` shows the pairs of some of them.
fn sort_tied(
    ranks: &Ranks,
    tied: &mut [(u128, u32)],
    skip: usize,
    each: &impl Fn(&[u32], &mut dyn FnMut(&[PairId])),
) {
    let numbers: Vec<u32> = tied.iter().map(|key| key.1).collect();
    let mut keys = tied.iter_mut();
    each(&numbers, &mut |pairs| {
        if let Some(key) = keys.next() {
            key.0 = ranks.packed(pairs, skip);
        }
    });
    drop(numbers);
    if tied.iter().all(|key| key.0 == 0) {
        return; // No pairs are left; label sets are unique, so this is one series.
    }
    tied.sort_unstable();
    let groups = tied.chunk_by_mut(|a, b| a.0 == b.0);
    for still_tied in groups.filter(|group| group.len() > 1) {
        sort_tied(ranks, still_tied, skip + ranks.fits(), each);
    }
}

/// What sorting has copied of series, in label order.
#[derive(Debug)]
pub(super) enum Copied {
    /// There are so many that they are read where they stand.
    Nothing,
    Pairs(PairLists),
    /// Their canonical labels.
    Labels(Texts),
}

/// The pairs of series, one list behind the other.
#[derive(Debug, Default)]
pub(super) struct PairLists {
    pairs: Vec<PairId>,
    ends: Vec<usize>,
}

impl PairLists {
    fn push(&mut self, pairs: &[PairId]) {
        self.pairs.extend_from_slice(pairs);
        self.ends.push(self.pairs.len());
    }

    fn at(&self, place: usize) -> &[PairId] {
        let end_of = |place: usize| self.ends.get(place).copied().unwrap_or(0);
        let start = place.checked_sub(1).map_or(0, end_of);
        self.pairs.get(start..end_of(place)).unwrap_or_default()
    }

    fn iter(&self) -> impl Iterator<Item = &[PairId]> {
        (0..self.ends.len()).map(|place| self.at(place))
    }
}

/// Appends bytes that compare as the labels do: names and values, each with a zero behind it. `false` when that would not be
/// so, because a text has a zero in it.
fn write_sort_key(labels: &[u8], out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let mut ends = 0;
    for (name, value) in LabelsRef::new(labels).byte_pairs() {
        out.extend_from_slice(name);
        out.push(0);
        out.extend_from_slice(value);
        out.push(0);
        ends += 2;
    }
    let zeros = out.iter().skip(start).filter(|byte| **byte == 0).count();
    zeros == ends
}

/// The pairs in use, ranked in the order of (name, value): comparing ranks is comparing labels.
struct Ranks {
    /// By pair id, from 1 on; 0 where the pair is not in use.
    rank_of: Vec<u32>,
    bits: u32,
}

impl Ranks {
    /// `used` is 1 for every pair to rank, by its id.
    fn new(index: &LiveIndex, used: Vec<u32>) -> Self {
        let mut rank_of = used;
        let used = rank_of.iter().enumerate().filter(|rank| *rank.1 != 0);
        let mut distinct: Vec<PairId> = used.map(|(id, _)| PairId(id as u32)).collect();
        distinct.sort_unstable_by(|a, b| index.pair_bytes(*a).cmp(&index.pair_bytes(*b)));
        for (rank, pair) in distinct.iter().enumerate() {
            rank_of[pair.0 as usize] = rank as u32 + 1;
        }
        let bits = u32::BITS - (distinct.len() as u32).leading_zeros();
        Self {
            rank_of,
            bits: bits.max(1),
        }
    }

    /// How many ranks a key holds.
    fn fits(&self) -> usize {
        (u128::BITS / self.bits) as usize
    }

    /// The ranks behind the first `skip`, as many as fit. An absent one is below all others, as a shorter label set is.
    fn packed(&self, pairs: &[PairId], skip: usize) -> u128 {
        let mut ranks = pairs.iter().skip(skip).map(|pair| self.rank_of[pair.0 as usize]);
        (0..self.fits()).fold(0, |packed, _| {
            packed << self.bits | u128::from(ranks.next().unwrap_or(0))
        })
    }
}

fn write_pair(index: &LiveIndex, pair: PairId, out: &mut Vec<u8>) {
    let (name, value) = index.pair_bytes(pair);
    varint::write_bytes(out, name);
    varint::write_bytes(out, value);
}

/// Writes label sets; what one has in common with the one before is copied from there.
struct LabelWriter {
    /// The pairs before, and where each ends in `out`.
    pairs: Vec<PairId>,
    ends: Vec<usize>,
    start: usize,
}

impl LabelWriter {
    fn new() -> Self {
        Self {
            pairs: Vec::with_capacity(PAIRS_USUAL),
            ends: Vec::with_capacity(PAIRS_USUAL),
            start: 0,
        }
    }

    fn write(&mut self, index: &LiveIndex, pairs: &[PairId], out: &mut Vec<u8>) {
        let same = pairs
            .iter()
            .zip(&self.pairs)
            .take_while(|two| two.0 == two.1)
            .count();
        let start = out.len();
        if let Some(last) = same.checked_sub(1).and_then(|last| self.ends.get(last)) {
            out.extend_from_within(self.start..*last);
        }
        self.pairs.truncate(same);
        self.ends.truncate(same);
        for end in &mut self.ends {
            *end = *end - self.start + start;
        }
        for pair in &pairs[same..] {
            write_pair(index, *pair, out);
            self.pairs.push(*pair);
            self.ends.push(out.len());
        }
        self.start = start;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::labels::Labels;
    use proptest::prelude::*;

    fn label_sets() -> impl Strategy<Value = Vec<Labels>> {
        let pairs = prop::collection::btree_map("[ab]{1,3}", "[ab\u{0}\u{1}é]{1,4}", 0..4);
        let labels = pairs.prop_map(|pairs| Labels::from_pairs(pairs).expect("unique names"));
        prop::collection::vec(labels, 1..12)
    }

    proptest! {
        #[test]
        fn sort_keys_compare_as_labels_do(sets in label_sets()) {
            for (one, other) in sets.iter().zip(sets.iter().skip(1)) {
                let (mut key, mut other_key) = (Vec::new(), Vec::new());
                if write_sort_key(one.as_bytes(), &mut key) & write_sort_key(other.as_bytes(), &mut other_key) {
                    prop_assert_eq!(key.cmp(&other_key), labels::compare(one.as_bytes(), other.as_bytes()));
                }
            }
        }
    }
}
