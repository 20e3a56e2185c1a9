//! From a label hash to a series id.
//!
//! The ids stand in hash tables of their own per slice of the hash space, so that no growth moves more than a small
//! part at once; the hashes stand beside them in one array by id. `successor` remembers which series came after which
//! in the batches before: senders repeat their order, and a right guess costs no probe.
//!
//! A series may also be known by a *key*, a hash of the way its labels are written in requests, so that they need not be
//! decoded again. A series has one key; whoever writes it in another way takes the long way each time.

use crate::model::labels::LabelHash;
use hashbrown::HashTable;

const SHARDS: usize = 256;
const NONE: u32 = u32::MAX;
/// Stands for no key.
const NO_KEY: u128 = 0;

#[derive(Debug)]
pub(crate) struct SeriesMap {
    shards: Vec<HashTable<u32>>,
    /// By id; zero where the id is free.
    hashes: Vec<LabelHash>,
    /// By id, as far as any series has one: its key.
    keys: Vec<u128>,
    key_shards: Vec<HashTable<u32>>,
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
            keys: Vec::new(),
            key_shards: Vec::new(),
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
            let guess = self.guess_after(before);
            if self.hashes.get(guess as usize) == Some(&hash) {
                return Some(guess);
            }
        }
        self.find(hash)
    }

    /// As [`SeriesMap::find_after`], by key.
    #[inline]
    pub(crate) fn find_key_after(&self, before: Option<u32>, key: u128) -> Option<u32> {
        if self.in_order {
            let guess = self.guess_after(before);
            if key != NO_KEY && self.keys.get(guess as usize) == Some(&key) {
                return Some(guess);
            }
        }
        let shard = self.key_shards.get(shard_of(LabelHash(key)))?;
        let is_right = |id: &u32| self.keys.get(*id as usize) == Some(&key);
        shard.find(table_hash(LabelHash(key)), is_right).copied()
    }

    #[inline]
    fn guess_after(&self, before: Option<u32>) -> u32 {
        match before {
            None => self.first,
            Some(before) => self.successor.get(before as usize).copied().unwrap_or(NONE),
        }
    }

    /// From now on the series is known by `key`, and no longer by the one it had.
    pub(crate) fn set_key(&mut self, id: u32, key: u128) {
        self.forget_key(id);
        if key == NO_KEY {
            return;
        }
        if self.key_shards.is_empty() {
            self.key_shards = (0..SHARDS).map(|_| HashTable::new()).collect();
        }
        if self.keys.len() <= id as usize {
            self.keys.resize(self.hashes.len().max(id as usize + 1), NO_KEY);
        }
        if let Some(slot) = self.keys.get_mut(id as usize) {
            *slot = key;
        }
        let keys = &self.keys;
        if let Some(shard) = self.key_shards.get_mut(shard_of(LabelHash(key))) {
            let hash_of = |id: &u32| {
                keys.get(*id as usize)
                    .map_or(0, |key| table_hash(LabelHash(*key)))
            };
            shard.insert_unique(table_hash(LabelHash(key)), id, hash_of);
        }
    }

    fn forget_key(&mut self, id: u32) {
        let Some(slot) = self.keys.get_mut(id as usize) else {
            return;
        };
        let key = LabelHash(std::mem::replace(slot, NO_KEY));
        if let Some(shard) = self.key_shards.get_mut(shard_of(key))
            && let Ok(entry) = shard.find_entry(table_hash(key), |other| *other == id)
        {
            entry.remove();
        }
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
        self.forget_key(id);
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
        let key_tables: usize = self
            .key_shards
            .iter()
            .map(|shard| shard.capacity() * 8 / 7 * 5)
            .sum();
        tables
            + key_tables
            + (self.hashes.capacity() + self.keys.capacity()) * 16
            + self.successor.capacity() * 4
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
        for id in 0u32..10_000 {
            assert_eq!(map.find_key_after(id.checked_sub(1), hash(!id).0), None);
            map.set_key(id, hash(!id).0);
            assert_eq!(map.find_key_after(None, hash(!id).0), Some(id));
        }
        map.set_key(8, hash(8).0);
        assert_eq!(map.find_key_after(Some(7), hash(!8).0), None);
        assert_eq!(map.find_key_after(Some(7), hash(8).0), Some(8));
        map.remove(7);
        assert_eq!(map.find_key_after(Some(6), hash(!7).0), None);
        assert_eq!(map.find(hash(7)), None);
        assert_eq!(map.find_after(Some(6), hash(7)), None);
        assert_eq!(map.len(), 9_999);
    }
}
