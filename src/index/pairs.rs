//! Label pairs as numbers: each distinct name and each distinct (name, value) gets an id, ids of removed ones are used
//! again.
//!
//! The hash table holds ids only and is cut into shards, so that growing it moves a few thousand entries at a time;
//! entries live in chunks that never move, texts in a [`TextArena`].

use super::text::{TextArena, TextRef};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::{BuildHasher, Hasher};

/// Number of a label pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PairId(pub(crate) u32);

/// Number of a label name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NameId(pub(super) u32);

const SHARDS: usize = 256;
/// Name of an entry that is not in use.
const NO_NAME: NameId = NameId(u32::MAX);
const ENTRIES_PER_CHUNK: usize = 2048;

/// What is kept per pair, with a payload of the owner's choice.
#[derive(Debug)]
struct Entry<P> {
    payload: P,
    value: TextRef,
    hash: u32,
    name: NameId,
}

/// Interned pairs with a payload each.
#[derive(Debug)]
pub(super) struct PairTable<P> {
    random: RandomState,
    texts: TextArena,
    names: Vec<Option<TextRef>>,
    free_names: Vec<u32>,
    name_table: HashTable<u32>,
    /// Full chunks of entries but for the last one.
    entries: Vec<Vec<Entry<P>>>,
    free_pairs: Vec<u32>,
    shards: Vec<HashTable<u32>>,
}

/// Spreads a stored 32-bit hash over the 64 bits that a table wants.
#[inline]
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[inline]
fn shard_of(hash: u32) -> usize {
    (hash >> 24) as usize % SHARDS
}

impl<P: Default> Default for PairTable<P> {
    fn default() -> Self {
        Self {
            random: RandomState::default(),
            texts: TextArena::default(),
            names: Vec::new(),
            free_names: Vec::new(),
            name_table: HashTable::new(),
            entries: Vec::new(),
            free_pairs: Vec::new(),
            shards: (0..SHARDS).map(|_| HashTable::new()).collect(),
        }
    }
}

impl<P: Default> PairTable<P> {
    #[inline]
    fn hash(&self, salt: u32, bytes: &[u8]) -> u32 {
        let mut hasher = self.random.build_hasher();
        hasher.write_u32(salt);
        hasher.write(bytes);
        let hash = hasher.finish();
        (hash ^ (hash >> 32)) as u32
    }

    #[inline]
    fn entry(&self, id: u32) -> &Entry<P> {
        &self.entries[id as usize / ENTRIES_PER_CHUNK][id as usize % ENTRIES_PER_CHUNK]
    }

    #[inline]
    fn entry_mut(&mut self, id: u32) -> &mut Entry<P> {
        &mut self.entries[id as usize / ENTRIES_PER_CHUNK][id as usize % ENTRIES_PER_CHUNK]
    }

    /// The name's number, if it is in use.
    pub(super) fn find_name(&self, name: &str) -> Option<NameId> {
        let hash = spread(self.hash(NO_NAME.0, name.as_bytes()));
        let is_it =
            |&id: &u32| self.names[id as usize].is_some_and(|text| self.texts.bytes(text) == name.as_bytes());
        self.name_table.find(hash, is_it).map(|&id| NameId(id))
    }

    /// The name's number; a new name stays until [`PairTable::remove_name`].
    pub(super) fn intern_name(&mut self, name: &str) -> NameId {
        if let Some(id) = self.find_name(name) {
            return id;
        }
        let text = self.texts.insert(name);
        let id = self.free_names.pop().unwrap_or_else(|| {
            self.names.push(None);
            self.names.len() as u32 - 1
        });
        self.names[id as usize] = Some(text);
        let hash = spread(self.hash(NO_NAME.0, name.as_bytes()));
        let (random, texts, names) = (&self.random, &self.texts, &self.names);
        self.name_table.insert_unique(hash, id, |&id| {
            let mut hasher = random.build_hasher();
            hasher.write_u32(NO_NAME.0);
            hasher.write(names[id as usize].map_or(&[], |text| texts.bytes(text)));
            let hash = hasher.finish();
            spread((hash ^ (hash >> 32)) as u32)
        });
        NameId(id)
    }

    /// The text of a name in use.
    pub(super) fn name(&self, id: NameId) -> &str {
        self.names[id.0 as usize].map_or("", |text| self.texts.get(text))
    }

    /// The bytes of a name in use.
    pub(super) fn name_bytes(&self, id: NameId) -> &[u8] {
        self.names[id.0 as usize].map_or(&[], |text| self.texts.bytes(text))
    }

    /// Names that were ever in use at once; those of the range that are not in use now have no pairs.
    pub(super) fn name_slots(&self) -> u32 {
        self.names.len() as u32
    }

    /// Forgets a name that no pair has.
    pub(super) fn remove_name(&mut self, id: NameId) {
        let Some(text) = self.names[id.0 as usize].take() else {
            return;
        };
        let hash = spread(self.hash(NO_NAME.0, self.texts.bytes(text)));
        if let Ok(found) = self.name_table.find_entry(hash, |&other| other == id.0) {
            found.remove();
        }
        self.texts.remove(text);
        self.free_names.push(id.0);
    }

    /// The pair's number, if it is in use.
    pub(super) fn find(&self, name: NameId, value: &str) -> Option<PairId> {
        let hash = self.hash(name.0, value.as_bytes());
        self.find_hashed(name, value, hash)
    }

    #[inline]
    fn find_hashed(&self, name: NameId, value: &str, hash: u32) -> Option<PairId> {
        let is_it = |&id: &u32| {
            let entry = self.entry(id);
            entry.hash == hash && entry.name == name && self.texts.bytes(entry.value) == value.as_bytes()
        };
        self.shards[shard_of(hash)]
            .find(spread(hash), is_it)
            .map(|&id| PairId(id))
    }

    /// The pair's number and whether it is new.
    pub(super) fn intern(&mut self, name: &str, value: &str) -> (PairId, bool) {
        let name = self.intern_name(name);
        self.intern_value(name, value)
    }

    /// As [`PairTable::intern`], for a name that has its number.
    pub(super) fn intern_value(&mut self, name: NameId, value: &str) -> (PairId, bool) {
        let hash = self.hash(name.0, value.as_bytes());
        if let Some(id) = self.find_hashed(name, value, hash) {
            return (id, false);
        }
        let value = self.texts.insert(value);
        let entry = Entry {
            payload: P::default(),
            value,
            hash,
            name,
        };
        let id = match self.free_pairs.pop() {
            Some(id) => {
                *self.entry_mut(id) = entry;
                id
            }
            None => self.push_entry(entry),
        };
        let entries = &self.entries;
        self.shards[shard_of(hash)].insert_unique(spread(hash), id, |&id| {
            spread(entries[id as usize / ENTRIES_PER_CHUNK][id as usize % ENTRIES_PER_CHUNK].hash)
        });
        (PairId(id), true)
    }

    fn push_entry(&mut self, entry: Entry<P>) -> u32 {
        if self
            .entries
            .last()
            .is_none_or(|chunk| chunk.len() == ENTRIES_PER_CHUNK)
        {
            self.entries.push(Vec::with_capacity(ENTRIES_PER_CHUNK));
        }
        let before = (self.entries.len() - 1) * ENTRIES_PER_CHUNK;
        let chunk = self.entries.last_mut().expect("BUG: a chunk was just added");
        chunk.push(entry);
        u32::try_from(before + chunk.len() - 1).expect("BUG: 4 G label pairs")
    }

    /// Forgets a pair; its number may be given out again.
    pub(super) fn remove(&mut self, id: PairId) {
        let entry = self.entry_mut(id.0);
        entry.payload = P::default();
        entry.name = NO_NAME;
        let (value, hash) = (entry.value, entry.hash);
        if let Ok(found) = self.shards[shard_of(hash)].find_entry(spread(hash), |&other| other == id.0) {
            found.remove();
        }
        self.texts.remove(value);
        self.free_pairs.push(id.0);
    }

    /// The name of a pair, `None` when the number is not in use.
    #[inline]
    pub(super) fn name_of(&self, id: PairId) -> Option<NameId> {
        Some(self.entry(id.0).name).filter(|name| *name != NO_NAME)
    }

    /// The value of a pair in use.
    pub(super) fn value(&self, id: PairId) -> &str {
        self.texts.get(self.entry(id.0).value)
    }

    /// The bytes of the value of a pair in use.
    pub(super) fn value_bytes(&self, id: PairId) -> &[u8] {
        self.texts.bytes(self.entry(id.0).value)
    }

    /// Whether the number is in use for this name and value.
    pub(super) fn is(&self, id: PairId, name: NameId, value: &str) -> bool {
        let entry = self.entry(id.0);
        entry.name == name && self.texts.bytes(entry.value) == value.as_bytes()
    }

    #[inline]
    pub(super) fn payload(&self, id: PairId) -> &P {
        &self.entry(id.0).payload
    }

    #[inline]
    pub(super) fn payload_mut(&mut self, id: PairId) -> (NameId, &mut P) {
        let entry = self.entry_mut(id.0);
        (entry.name, &mut entry.payload)
    }

    /// Pairs in use.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.slots() - self.free_pairs.len()
    }

    /// Pairs that were ever in use at once.
    pub(super) fn slots(&self) -> usize {
        self.entries.last().map_or(0, |last| {
            (self.entries.len() - 1) * ENTRIES_PER_CHUNK + last.len()
        })
    }

    pub(super) fn payloads(&self) -> impl Iterator<Item = &P> {
        self.entries.iter().flatten().map(|entry| &entry.payload)
    }

    pub(super) fn text_bytes(&self) -> usize {
        self.texts.heap_bytes()
    }

    pub(super) fn table_bytes(&self) -> usize {
        let shards: usize = self
            .shards
            .iter()
            .map(|shard| size_of_val(shard) + shard.allocation_size())
            .sum();
        shards + self.name_table.allocation_size()
    }

    /// The entries without what their payloads allocate.
    pub(super) fn entry_bytes(&self) -> usize {
        self.entries.len() * ENTRIES_PER_CHUNK * size_of::<Entry<P>>()
            + 4 * (self.free_pairs.capacity() + self.free_names.capacity())
            + self.names.capacity() * size_of::<Option<TextRef>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn pairs_are_numbers(steps in proptest::collection::vec(("[abc]", "[ab]{0,3}", any::<bool>()), 0..300)) {
            let mut table = PairTable::<u32>::default();
            let mut twin: HashMap<(String, String), PairId> = HashMap::new();
            for (name, value, removes) in steps {
                let key = (name, value);
                if removes {
                    if let Some(id) = twin.remove(&key) {
                        table.remove(id);
                        prop_assert_eq!(table.name_of(id), None);
                    }
                    continue;
                }
                let (id, is_new) = table.intern(&key.0, &key.1);
                prop_assert_eq!(is_new, !twin.contains_key(&key));
                let known = *twin.entry(key).or_insert(id);
                prop_assert_eq!(known, id);
                prop_assert_eq!(table.len(), twin.len());
            }
            for ((name, value), id) in &twin {
                let name_id = table.find_name(name).unwrap();
                prop_assert_eq!(table.find(name_id, value), Some(*id));
                prop_assert_eq!((table.name(name_id), table.value(*id)), (name.as_str(), value.as_str()));
            }
        }
    }

    #[test]
    fn an_entry_is_small() {
        assert_eq!(size_of::<Entry<super::super::posting::Postings>>(), 40);
    }
}
