//! From a label hash to a series id.
//!
//! The ids stand in hash tables of their own per slice of the hash space, so that no growth moves more than a small
//! part at once; the hashes stand beside them in one array by id. `successor` remembers which series came after which
//! in the batches before: senders repeat their order, and a right guess costs no probe.

use crate::model::labels::LabelHash;
use hashbrown::HashTable;

const SHARDS: usize = 256;
const NONE: u32 = u32::MAX;

#[derive(Debug)]
pub(crate) struct SeriesMap {
    shards: Vec<HashTable<u32>>,
    /// By id; zero where the id is free.
    hashes: Vec<LabelHash>,
    /// By id: the series that came next last time.
    successor: Vec<u32>,
    /// First of a batch last time.
    first: u32,
    /// Whether the last guess was right. In random order a guess is one more cache miss.
    in_order: bool,
    count: usize,
}

impl Default for SeriesMap {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| HashTable::new()).collect();
        Self {
            shards,
            hashes: Vec::new(),
            successor: Vec::new(),
            first: NONE,
            in_order: true,
            count: 0,
        }
    }
}

#[inline]
fn table_hash(hash: LabelHash) -> u64 {
    hash.0 as u64
}

#[inline]
fn shard_of(hash: LabelHash) -> usize {
    (hash.0 >> 120) as usize % SHARDS
}

impl SeriesMap {
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn hash_of(&self, id: u32) -> LabelHash {
        self.hashes.get(id as usize).copied().unwrap_or_default()
    }

    /// The id of `hash`, which in the sender's order comes after `before` (`None`: is the first of its batch).
    #[inline]
    pub(crate) fn find_after(&self, before: Option<u32>, hash: LabelHash) -> Option<u32> {
        if self.in_order {
            let guess = match before {
                None => self.first,
                Some(before) => self.successor.get(before as usize).copied().unwrap_or(NONE),
            };
            if self.hashes.get(guess as usize) == Some(&hash) {
                return Some(guess);
            }
        }
        self.find(hash)
    }

    #[inline]
    pub(crate) fn find(&self, hash: LabelHash) -> Option<u32> {
        let shard = self.shards.get(shard_of(hash))?;
        shard
            .find(table_hash(hash), |id| {
                self.hashes.get(*id as usize) == Some(&hash)
            })
            .copied()
    }

    /// Remembers that `id` came after `before`.
    #[inline]
    pub(crate) fn learn(&mut self, before: Option<u32>, id: u32) {
        let slot = match before {
            None => Some(&mut self.first),
            Some(before) => self.successor.get_mut(before as usize),
        };
        if let Some(slot) = slot {
            self.in_order = *slot == id;
            if !self.in_order {
                *slot = id;
            }
        }
    }

    pub(crate) fn insert(&mut self, id: u32, hash: LabelHash) {
        if self.hashes.len() <= id as usize {
            self.hashes.resize(id as usize + 1, LabelHash::default());
            self.successor.resize(id as usize + 1, NONE);
        }
        if let Some(slot) = self.hashes.get_mut(id as usize) {
            *slot = hash;
        }
        let hashes = &self.hashes;
        if let Some(shard) = self.shards.get_mut(shard_of(hash)) {
            let rehash = |id: &u32| hashes.get(*id as usize).copied().map_or(0, table_hash);
            shard.insert_unique(table_hash(hash), id, rehash);
            self.count += 1;
        }
    }

    pub(crate) fn remove(&mut self, id: u32) {
        let hash = self.hash_of(id);
        let Some(shard) = self.shards.get_mut(shard_of(hash)) else {
            return;
        };
        if let Ok(entry) = shard.find_entry(table_hash(hash), |other| *other == id) {
            entry.remove();
            self.count -= 1;
        }
        if let Some(slot) = self.hashes.get_mut(id as usize) {
            *slot = LabelHash::default();
        }
    }

    /// Bytes held, table doubling included.
    pub(crate) fn heap_bytes(&self) -> usize {
        let tables: usize = self.shards.iter().map(|shard| shard.capacity() * 8 / 7 * 5).sum();
        tables + self.hashes.capacity() * 16 + self.successor.capacity() * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u32) -> LabelHash {
        LabelHash(crate::base::hash::hash_128(&number.to_le_bytes()))
    }

    #[test]
    fn found_with_and_without_a_guess_until_removed() {
        let mut map = SeriesMap::default();
        for id in 0u32..10_000 {
            assert_eq!(map.find(hash(id)), None);
            map.insert(id, hash(id));
        }
        for id in 0u32..10_000 {
            let before = id.checked_sub(1);
            assert_eq!(map.find_after(before, hash(id)), Some(id));
            map.learn(before, id);
            assert_eq!(map.find_after(before, hash(id)), Some(id));
        }
        map.remove(7);
        assert_eq!(map.find(hash(7)), None);
        assert_eq!(map.find_after(Some(6), hash(7)), None);
        assert_eq!(map.len(), 9_999);
    }
}
