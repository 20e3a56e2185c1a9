//! The values of one label name in the live index: a sorted base, and what came since.
//!
//! Sorting a million values takes a third of a second, so it is done once, on the first search that needs an order.
//! Later values gather in a tail that searches walk through; when it has grown, it is merged into the base, which only
//! copies. Removed pairs stay in both until then and are recognised by asking the pair table.

use super::arena::ValueArena;
use super::pairs::{NameId, PairId, PairTable};
use super::pattern::Pattern;
use super::posting::Postings;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Values in order with the pairs they belong to.
#[derive(Debug, Default)]
pub(super) struct SortedValues {
    pub(super) arena: ValueArena,
    pub(super) pairs: Vec<PairId>,
    /// [`NameValues::removed`] when this was built.
    removed: u64,
}

#[derive(Debug, Default)]
struct Parts {
    base: Option<Arc<SortedValues>>,
    /// Pairs added since the base was built; may name pairs that are gone, and a pair twice.
    tail: Vec<PairId>,
}

/// All values of a name.
#[derive(Debug, Default)]
pub(super) struct NameValues {
    parts: Mutex<Parts>,
    /// Values in use.
    pub(super) count: u32,
    /// How many pairs were removed so far.
    removed: u64,
}

type Pairs = PairTable<Postings>;

impl NameValues {
    fn lock(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn parts_mut(&mut self) -> &mut Parts {
        self.parts.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&mut self, name: NameId, pair: PairId, pairs: &Pairs) {
        self.count += 1;
        let most = 2 * self.count as usize + 64;
        let tail = &mut self.parts_mut().tail;
        if tail.len() >= most {
            tail.retain(|&pair| pairs.name_of(pair) == Some(name));
            tail.sort_unstable();
            tail.dedup();
        }
        tail.push(pair);
    }

    pub(super) fn remove(&mut self) {
        self.count -= 1;
        self.removed += 1;
    }

    /// All values in order. What is not in use any more has been dropped.
    pub(super) fn sorted(&self, name: NameId, pairs: &Pairs) -> Arc<SortedValues> {
        let mut parts = self.lock();
        let fresh = parts
            .base
            .as_ref()
            .filter(|base| base.removed == self.removed && parts.tail.is_empty());
        if let Some(base) = fresh {
            return Arc::clone(base);
        }
        self.rebuild(&mut parts, name, pairs)
    }

    /// Calls `each` with every pair whose value matches, in no particular order, each once.
    pub(super) fn matching(
        &self,
        name: NameId,
        pairs: &Pairs,
        pattern: &Pattern,
        each: &mut impl FnMut(PairId),
    ) {
        let (base, tail) = self.snapshot(name, pairs);
        let may_be_gone = base.removed != self.removed;
        base.arena.matching(pattern, &mut |index| {
            let pair = base.pairs[index];
            if !may_be_gone || pairs.is(pair, name, base.arena.get(index)) {
                each(pair);
            }
        });
        for pair in tail {
            let value = pairs.value(pair);
            if pattern.matches(value)
                && !(may_be_gone && base.arena.find(value).is_some_and(|at| base.pairs[at] == pair))
            {
                each(pair);
            }
        }
    }

    /// The base and the pairs behind it that are in use, each once.
    fn snapshot(&self, name: NameId, pairs: &Pairs) -> (Arc<SortedValues>, Vec<PairId>) {
        let mut parts = self.lock();
        let base = parts.base.as_ref().filter(|base| {
            let slack = 64 + base.pairs.len() / 8;
            parts.tail.len() <= slack && self.removed - base.removed <= slack as u64
        });
        let Some(base) = base.map(Arc::clone) else {
            return (self.rebuild(&mut parts, name, pairs), Vec::new());
        };
        (base, in_use(&parts.tail, name, pairs))
    }

    /// Sorts the tail and merges it with what is left of the base.
    fn rebuild(&self, parts: &mut Parts, name: NameId, pairs: &Pairs) -> Arc<SortedValues> {
        let tail = sorted_by_value(in_use(&parts.tail, name, pairs), pairs);
        let none = Arc::default();
        let base = parts.base.as_ref().unwrap_or(&none);
        let all_left = base.removed == self.removed;
        let left = (0..base.pairs.len())
            .map(|index| (base.arena.get(index), base.pairs[index]))
            .filter(|(value, pair)| all_left || pairs.is(*pair, name, value));
        let bytes = base.arena.heap_bytes();
        let mut merged = SortedValues {
            arena: ValueArena::with_capacity(base.pairs.len() + tail.len(), bytes),
            pairs: Vec::with_capacity(base.pairs.len() + tail.len()),
            removed: self.removed,
        };
        let mut tail = tail.iter().map(|&pair| (pairs.value(pair), pair)).peekable();
        for (value, pair) in left {
            while let Some(next) = tail.next_if(|next| next.0 <= value) {
                // A pair that was removed and came back with the same number stands in both.
                if next.0 < value {
                    merged.push(next.0, next.1);
                }
            }
            merged.push(value, pair);
        }
        tail.for_each(|(value, pair)| merged.push(value, pair));
        let merged = Arc::new(merged);
        parts.tail = Vec::new();
        parts.base = Some(Arc::clone(&merged));
        merged
    }

    /// Gives up the sorted copy of the values; the next search builds it again.
    pub(super) fn drop_cache(&mut self) {
        let parts = self.parts_mut();
        if let Some(base) = parts.base.take() {
            parts.tail.extend(&base.pairs);
        }
    }

    /// Bytes of the list of pairs and of the sorted copy.
    pub(super) fn heap_bytes(&self) -> (usize, usize) {
        let parts = self.lock();
        let base = parts
            .base
            .as_ref()
            .map_or(0, |base| base.arena.heap_bytes() + 4 * base.pairs.capacity());
        (4 * parts.tail.capacity(), base)
    }
}

impl SortedValues {
    fn push(&mut self, value: &str, pair: PairId) {
        assert!(self.arena.push(value), "BUG: 4 GiB of values of one label");
        self.pairs.push(pair);
    }
}

fn in_use(tail: &[PairId], name: NameId, pairs: &Pairs) -> Vec<PairId> {
    let mut tail: Vec<PairId> = tail
        .iter()
        .copied()
        .filter(|&pair| pairs.name_of(pair) == Some(name))
        .collect();
    tail.sort_unstable();
    tail.dedup();
    tail
}

/// Sorts by the sixteen bytes behind what all values share, read once as a number, and only then by the texts.
fn sorted_by_value(list: Vec<PairId>, pairs: &Pairs) -> Vec<PairId> {
    let Some(first) = list.first().map(|pair| pairs.value_bytes(*pair)) else {
        return list;
    };
    let shared_with = |value: &[u8]| first.iter().zip(value).take_while(|(a, b)| a == b).count();
    let shared = list
        .iter()
        .map(|pair| shared_with(pairs.value_bytes(*pair)))
        .min()
        .unwrap_or(0);
    let key = |pair: PairId| {
        let mut key = [0; 16];
        let value = &pairs.value_bytes(pair)[shared..];
        let len = value.len().min(key.len());
        key[..len].copy_from_slice(&value[..len]);
        u128::from_be_bytes(key)
    };
    let mut keyed: Vec<(u128, PairId)> = list.into_iter().map(|pair| (key(pair), pair)).collect();
    keyed.sort_unstable_by(|a, b| {
        a.0.cmp(&b.0)
            .then_with(|| pairs.value_bytes(a.1).cmp(pairs.value_bytes(b.1)))
    });
    keyed.into_iter().map(|(_, pair)| pair).collect()
}
