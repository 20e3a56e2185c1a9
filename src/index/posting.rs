//! The series of one label pair in memory: nothing, one id, a few runs of ids, or a roaring bitmap.
//!
//! Series are numbered in the order they appear, and those of one target appear together, so most lists are one id or
//! a few runs, and a new id goes to the end.

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
    Many(Box<RoaringBitmap>),
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
            Self::Many(bitmap) => {
                if bitmap.try_push(id).is_err() {
                    bitmap.insert(id);
                }
            }
        }
    }

    /// Makes too many runs a bitmap.
    fn widen(&mut self) {
        if let Self::Runs(runs) = self
            && runs.len() > RUNS_MAX
        {
            let mut bitmap = RoaringBitmap::new();
            for run in runs {
                bitmap.insert_range(run.first..=run.last);
            }
            *self = Self::Many(Box::new(bitmap));
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
            Self::Many(bitmap) => {
                bitmap.remove(id);
                if bitmap.is_empty() {
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
            Self::Runs(runs) => runs.iter().map(|run| u64::from(run.last - run.first) + 1).sum(),
            Self::Many(bitmap) => bitmap.len(),
        }
    }

    pub(super) fn add_to(&self, union: &mut RowUnion) {
        match self {
            Self::Empty => {}
            Self::One(id) => union.push(*id),
            Self::Runs(runs) => runs.iter().for_each(|run| union.push_run(run.first, run.last)),
            Self::Many(bitmap) => union.push_bitmap(bitmap),
        }
    }

    pub(super) fn to_bitmap(&self) -> RoaringBitmap {
        match self {
            Self::Many(bitmap) => (**bitmap).clone(),
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
            Self::Many(bitmap) => !bitmap.is_disjoint(set),
        }
    }

    /// Writes long bitmaps as runs where that is shorter.
    pub(super) fn optimize(&mut self) {
        if let Self::Many(bitmap) = self {
            bitmap.optimize();
        }
    }

    /// Bytes allocated, about.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Empty | Self::One(_) => 0,
            Self::Runs(runs) => runs.capacity() * size_of::<Run>() + 16,
            Self::Many(bitmap) => {
                let statistics = bitmap.statistics();
                let containers = statistics.n_containers as usize;
                let content = statistics.n_bytes_array_containers
                    + statistics.n_bytes_bitset_containers
                    + statistics.n_bytes_run_containers;
                content as usize + containers * 56 + 40
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
