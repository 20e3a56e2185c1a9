//! The series of one label pair in memory: nothing, one id, a few runs of ids, or a roaring bitmap.
//!
//! Series are numbered in the order they appear, and those of one target appear together, so most lists are one id or
//! a few runs, and a new id goes to the end. The run that grows is kept beside a bitmap and only joins it when it ends.

use super::rows::RowUnion;
use roaring::RoaringBitmap;

/// More runs than this become a bitmap.
const RUNS_MAX: usize = 16;

/// Consecutive ids, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first: u32,
    pub(super) last: u32,
}

#[derive(Debug, Clone, Default)]
pub(super) enum Postings {
    #[default]
    Empty,
    One(u32),
    /// Sorted, neither touching nor overlapping.
    Runs(Vec<Run>),
    Many(Box<Many>),
}

#[derive(Debug, Clone)]
pub(super) struct Many {
    bitmap: RoaringBitmap,
    /// Ids behind all of the bitmap.
    tail: Option<Run>,
}

impl Run {
    fn len(self) -> u64 {
        u64::from(self.last - self.first) + 1
    }
}

impl Many {
    #[inline]
    fn insert(&mut self, id: u32) {
        match &mut self.tail {
            Some(tail) if tail.last.checked_add(1) == Some(id) => tail.last = id,
            Some(tail) if id > tail.last => {
                self.join_tail();
                self.tail = Some(Run { first: id, last: id });
            }
            Some(tail) if id >= tail.first => {}
            None if self.bitmap.max().is_none_or(|max| max < id) => {
                self.tail = Some(Run { first: id, last: id })
            }
            _ => {
                self.bitmap.insert(id);
            }
        }
    }

    fn join_tail(&mut self) {
        if let Some(tail) = self.tail.take() {
            add_run(&mut self.bitmap, tail);
        }
    }

    fn remove(&mut self, id: u32) {
        if self.tail.is_some_and(|tail| tail.first <= id) {
            self.join_tail();
        }
        self.bitmap.remove(id);
    }

    fn is_empty(&self) -> bool {
        self.tail.is_none() && self.bitmap.is_empty()
    }
}

fn add_run(bitmap: &mut RoaringBitmap, run: Run) {
    if run.first < run.last {
        bitmap.insert_range(run.first..=run.last);
    } else if bitmap.try_push(run.first).is_err() {
        bitmap.insert(run.first);
    }
}

fn intersects_run(set: &RoaringBitmap, run: Run) -> bool {
    set.range_cardinality(run.first..=run.last) > 0
}

impl Postings {
    /// Adds an id; at the end of the list this takes constant time.
    #[inline]
    pub(super) fn insert(&mut self, id: u32) {
        match self {
            Self::Empty => *self = Self::One(id),
            Self::One(only) if *only == id => {}
            Self::One(only) => {
                let runs = vec![Run {
                    first: *only,
                    last: *only,
                }];
                *self = Self::Runs(runs);
                self.insert(id);
            }
            Self::Runs(runs) => {
                if let Some(last) = runs.last_mut()
                    && last.last.checked_add(1) == Some(id)
                {
                    last.last = id;
                } else {
                    insert_into_runs(runs, id);
                    self.widen();
                }
            }
            Self::Many(many) => many.insert(id),
        }
    }

    /// Makes too many runs a bitmap.
    fn widen(&mut self) {
        if let Self::Runs(runs) = self
            && runs.len() > RUNS_MAX
        {
            let tail = runs.pop();
            let mut bitmap = RoaringBitmap::new();
            runs.iter().for_each(|run| add_run(&mut bitmap, *run));
            *self = Self::Many(Box::new(Many { bitmap, tail }));
        }
    }

    pub(super) fn remove(&mut self, id: u32) {
        match self {
            Self::Empty => {}
            Self::One(only) => {
                if *only == id {
                    *self = Self::Empty;
                }
            }
            Self::Runs(runs) => {
                remove_from_runs(runs, id);
                if runs.is_empty() {
                    *self = Self::Empty;
                }
                self.widen();
            }
            Self::Many(many) => {
                many.remove(id);
                if many.is_empty() {
                    *self = Self::Empty;
                }
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::One(_) => 1,
            Self::Runs(runs) => runs.iter().map(|run| run.len()).sum(),
            Self::Many(many) => many.bitmap.len() + many.tail.map_or(0, Run::len),
        }
    }

    pub(super) fn add_to(&self, union: &mut RowUnion) {
        match self {
            Self::Empty => {}
            Self::One(id) => union.push(*id),
            Self::Runs(runs) => runs.iter().for_each(|run| union.push_run(run.first, run.last)),
            Self::Many(many) => {
                union.push_bitmap(&many.bitmap);
                if let Some(tail) = many.tail {
                    union.push_run(tail.first, tail.last);
                }
            }
        }
    }

    pub(super) fn to_bitmap(&self) -> RoaringBitmap {
        match self {
            Self::Many(many) => {
                let mut bitmap = many.bitmap.clone();
                if let Some(tail) = many.tail {
                    add_run(&mut bitmap, tail);
                }
                bitmap
            }
            _ => {
                let mut union = RowUnion::default();
                self.add_to(&mut union);
                union.finish()
            }
        }
    }

    /// Whether an id is in the list and in `set`.
    pub(super) fn intersects(&self, set: &RoaringBitmap) -> bool {
        match self {
            Self::Empty => false,
            Self::One(id) => set.contains(*id),
            Self::Runs(runs) => runs
                .iter()
                .any(|run| set.range_cardinality(run.first..=run.last) > 0),
            Self::Many(many) => {
                !many.bitmap.is_disjoint(set) || many.tail.is_some_and(|tail| intersects_run(set, tail))
            }
        }
    }

    /// Whether one of the ids is in a set and counts.
    pub(super) fn has_any(&self, set: &RoaringBitmap, counts: &dyn Fn(u32) -> bool) -> bool {
        // Mostly the first one tells.
        let in_run = |run: &Run| {
            set.contains(run.first) && counts(run.first) || set.range(run.first..=run.last).any(counts)
        };
        match self {
            Self::Empty => false,
            Self::One(id) => set.contains(*id) && counts(*id),
            Self::Runs(runs) => runs.iter().any(in_run),
            Self::Many(many) => {
                many.bitmap.iter().any(|id| set.contains(id) && counts(id)) || many.tail.iter().any(in_run)
            }
        }
    }

    /// The first id.
    pub(super) fn first(&self) -> Option<u32> {
        match self {
            Self::Empty => None,
            Self::One(only) => Some(*only),
            Self::Runs(runs) => runs.first().map(|run| run.first),
            Self::Many(many) => many.bitmap.min().or(many.tail.map(|tail| tail.first)),
        }
    }

    /// Whether the list is kept as a few runs.
    pub(super) fn is_runs(&self) -> bool {
        !matches!(self, Self::Many(_))
    }

    /// Whether an id is in the list.
    pub(super) fn contains(&self, id: u32) -> bool {
        match self {
            Self::Empty => false,
            Self::One(only) => *only == id,
            Self::Runs(runs) => {
                let at = runs.partition_point(|run| run.last < id);
                runs.get(at).is_some_and(|run| run.first <= id)
            }
            Self::Many(many) => {
                let in_tail = many
                    .tail
                    .is_some_and(|tail| (tail.first..=tail.last).contains(&id));
                in_tail || many.bitmap.contains(id)
            }
        }
    }

    /// Appends the ids that are in the list and in `run`, ascending.
    fn push_within(&self, run: Run, out: &mut Vec<u32>) {
        let both = |own: Run| run.first.max(own.first)..=run.last.min(own.last);
        match self {
            Self::Empty => {}
            Self::One(id) => out.extend((run.first <= *id && *id <= run.last).then_some(*id)),
            Self::Runs(runs) => runs.iter().for_each(|own| out.extend(both(*own))),
            Self::Many(many) => {
                out.extend(many.bitmap.range(run.first..=run.last));
                many.tail.iter().for_each(|tail| out.extend(both(*tail)));
            }
        }
    }

    /// The ids that are in a list of a few runs and in `other`, ascending.
    pub(super) fn common_ids(&self, other: &Self) -> Vec<u32> {
        let mut ids = Vec::new();
        match self {
            Self::One(id) => other.push_within(
                Run {
                    first: *id,
                    last: *id,
                },
                &mut ids,
            ),
            Self::Runs(runs) => runs.iter().for_each(|run| other.push_within(*run, &mut ids)),
            Self::Empty | Self::Many(_) => {}
        }
        ids
    }

    /// The ids of `set` that are in the list.
    pub(super) fn intersection(&self, set: &RoaringBitmap) -> RoaringBitmap {
        let (Some(first), Some(last)) = (set.min(), set.max()) else {
            return RoaringBitmap::new();
        };
        let covers = |run: &Run| run.first <= first && last <= run.last;
        match self {
            Self::Runs(runs) if runs.iter().any(covers) => set.clone(),
            Self::Many(many) => {
                let mut found = set & &many.bitmap;
                if let Some(tail) = many.tail.filter(|tail| tail.first <= last) {
                    found.extend(set.range(tail.first..=tail.last));
                }
                found
            }
            _ => set & self.to_bitmap(),
        }
    }

    /// Bytes allocated, about.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Empty | Self::One(_) => 0,
            Self::Runs(runs) => runs.capacity() * size_of::<Run>() + 16,
            Self::Many(many) => {
                // The crate counts 4 bytes per array entry and a bit field in bits; both are corrected here.
                let statistics = many.bitmap.statistics();
                let arrays = statistics.n_bytes_array_containers as usize / 2;
                let fields = statistics.n_bitset_containers as usize * 8192;
                let runs = statistics.n_bytes_run_containers as usize;
                arrays + fields + runs + statistics.n_containers as usize * 56 + 56
            }
        }
    }
}

fn insert_into_runs(runs: &mut Vec<Run>, id: u32) {
    let at = runs.partition_point(|run| run.last < id);
    if runs.get(at).is_some_and(|run| run.first <= id) {
        return;
    }
    let joins_left = at > 0 && runs[at - 1].last + 1 == id;
    let joins_right = at < runs.len() && runs[at].first - 1 == id;
    match (joins_left, joins_right) {
        (true, true) => {
            runs[at - 1].last = runs[at].last;
            runs.remove(at);
        }
        (true, false) => runs[at - 1].last = id,
        (false, true) => runs[at].first = id,
        (false, false) => {
            if runs.len() == runs.capacity() {
                runs.reserve_exact(runs.len().max(2));
            }
            runs.insert(at, Run { first: id, last: id });
        }
    }
}

fn remove_from_runs(runs: &mut Vec<Run>, id: u32) {
    let at = runs.partition_point(|run| run.last < id);
    let Some(run) = runs.get_mut(at).filter(|run| run.first <= id) else {
        return;
    };
    match (run.first == id, run.last == id) {
        (true, true) => {
            runs.remove(at);
        }
        (true, false) => run.first += 1,
        (false, true) => run.last -= 1,
        (false, false) => {
            let right = Run {
                first: id + 1,
                last: run.last,
            };
            run.last = id - 1;
            runs.insert(at + 1, right);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn as_a_set(steps in proptest::collection::vec((0u32..120, 0u32..4), 0..400)) {
            let mut postings = Postings::default();
            let mut twin = BTreeSet::new();
            for (id, action) in steps {
                if action == 0 {
                    postings.remove(id);
                    twin.remove(&id);
                } else {
                    postings.insert(id);
                    twin.insert(id);
                }
                prop_assert_eq!(postings.len(), twin.len() as u64);
                prop_assert_eq!(postings.contains(id), twin.contains(&id));
                let mut within = Vec::new();
                postings.push_within(Run { first: 20, last: 70 }, &mut within);
                prop_assert!(within.iter().eq(twin.range(20..=70)));
                for probe in [id..=id, 20..=70, 0..=200] {
                    let set = RoaringBitmap::from_iter(probe.clone());
                    prop_assert!(postings.intersection(&set).iter().eq(twin.range(probe).copied()));
                }
            }
            prop_assert_eq!(postings.is_empty(), twin.is_empty());
            prop_assert!(postings.to_bitmap().iter().eq(twin.iter().copied()));
            let probe = RoaringBitmap::from_iter([3, 50]);
            prop_assert_eq!(postings.intersects(&probe), twin.contains(&3) || twin.contains(&50));
        }
    }

    #[test]
    fn both_ends_of_the_range() {
        let mut postings = Postings::default();
        for id in [0, 5, u32::MAX, u32::MAX - 1, 1] {
            postings.insert(id);
            postings.insert(id);
        }
        assert_eq!(
            postings.to_bitmap().iter().collect::<Vec<_>>(),
            [0, 1, 5, u32::MAX - 1, u32::MAX]
        );
    }
}
