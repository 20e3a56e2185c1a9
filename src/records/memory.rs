//! The store of a database in memory: a sorted map for each space.

use super::error::RecordError;
use super::store::{Change, KeyRange, Space, Store, View, Visit};
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// Sorted maps, gone with their last handle. A reader keeps writers waiting.
#[derive(Debug, Default)]
pub(crate) struct MemoryStore {
    maps: RwLock<Maps>,
}

#[derive(Debug, Default)]
struct Maps(BTreeMap<Space, Map>);

impl View for Maps {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, RecordError> {
        Ok(self.0.get(&space).and_then(|map| map.get(key)).cloned())
    }

    fn scan(
        &self,
        space: Space,
        range: &KeyRange,
        backwards: bool,
        visit: &mut Visit<'_>,
    ) -> Result<(), RecordError> {
        let Some(map) = self.0.get(&space).filter(|_| !range.is_empty()) else {
            return Ok(());
        };
        let mut found = map.range(range.from.clone()..range.to.clone());
        let mut next = || {
            if backwards {
                found.next_back()
            } else {
                found.next()
            }
        };
        while let Some((key, value)) = next() {
            if visit(key, value)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Store for MemoryStore {
    fn apply(&self, changes: Vec<Change>, _sync: bool) -> Result<(), RecordError> {
        let mut maps = self.maps.write().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            let map = maps.0.entry(change.space).or_default();
            match change.value {
                Some(value) => map.insert(change.key, value),
                None => map.remove(&change.key),
            };
        }
        Ok(())
    }

    fn read(&self, reader: &mut dyn FnMut(&dyn View) -> Result<(), RecordError>) -> Result<(), RecordError> {
        reader(&*self.maps.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn sync(&self) -> Result<(), RecordError> {
        Ok(())
    }

    fn flush(&self, _space: Space) -> Result<(), RecordError> {
        Ok(())
    }

    fn close(&self) -> Result<(), RecordError> {
        self.maps
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .clear();
        Ok(())
    }
}
