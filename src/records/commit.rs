//! Group commit: writers that come while a batch is on its way to the disk share the next one, and its sync.
//!
//! One of the waiting writers writes for all. Numbers that tell records of one timestamp apart are given out here, under
//! the lock that also decides the order of batches; how far they may have gone is written ahead, so that none is given
//! twice after a crash.

use super::error::RecordError;
use super::store::{Change, Space, Store};
use crate::base::bytes::Cursor;
use std::collections::{BTreeMap, HashSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The key of the mark that all numbers given out so far lie below.
const NUMBERS_KEY: &[u8] = b"numbers";
/// How far the mark goes ahead.
const NUMBERS_AHEAD: u64 = 1 << 16;

/// The waiting writers of a store.
#[derive(Debug, Default)]
pub(crate) struct GroupWriter {
    group: Mutex<Group>,
    done: Condvar,
}

#[derive(Debug, Default)]
struct Group {
    /// Of the next batch.
    changes: Vec<Change>,
    /// Its number.
    round: u64,
    writers: usize,
    is_writing: bool,
    /// What became of batches, and how many writers have not asked yet.
    results: BTreeMap<u64, (Result<(), RecordError>, usize)>,
    numbers: Option<Numbers>,
}

#[derive(Debug, Clone, Copy)]
struct Numbers {
    next: u64,
    /// Numbers below are safe to be used.
    mark: u64,
}

impl GroupWriter {
    fn lock(&self) -> MutexGuard<'_, Group> {
        self.group.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what `changes` makes of the first of `count` numbers, and returns when it is stored.
    pub(crate) fn write(
        &self,
        store: &dyn Store,
        sync: bool,
        count: u64,
        changes: impl FnOnce(u64) -> Vec<Change>,
    ) -> Result<(), RecordError> {
        let mut group = self.lock();
        if count > 0 && group.numbers.is_none() {
            group.numbers = Some(read_numbers(store)?);
        }
        let first = group.give(count);
        group.changes.extend(changes(first));
        group.writers += 1;
        let round = group.round;
        loop {
            if let Some((result, waiting)) = group.results.get_mut(&round) {
                *waiting -= 1;
                let (result, is_last) = (result.clone(), *waiting == 0);
                if is_last {
                    group.results.remove(&round);
                }
                return result;
            }
            if group.is_writing {
                group = self.done.wait(group).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            group = self.write_group(group, store, sync);
        }
    }

    /// Writes the batch that has gathered, which the caller is part of, without the lock.
    fn write_group<'a>(
        &'a self,
        mut group: MutexGuard<'a, Group>,
        store: &dyn Store,
        sync: bool,
    ) -> MutexGuard<'a, Group> {
        let mut changes = last_of_each(std::mem::take(&mut group.changes));
        let (round, writers) = (group.round, std::mem::take(&mut group.writers));
        group.round += 1;
        group.is_writing = true;
        let mark = group
            .numbers
            .filter(|numbers| numbers.next > numbers.mark)
            .map(|numbers| numbers.next.saturating_add(NUMBERS_AHEAD));
        drop(group);
        if let Some(mark) = mark {
            let value = mark.to_le_bytes().to_vec();
            changes.push(Change::put(Space::Meta, NUMBERS_KEY.to_vec(), value));
        }
        let result = store.apply(changes, sync);
        let mut group = self.lock();
        if let (Ok(()), Some(mark), Some(numbers)) = (&result, mark, &mut group.numbers) {
            numbers.mark = mark;
        }
        group.is_writing = false;
        group.results.insert(round, (result, writers));
        self.done.notify_all();
        group
    }
}

impl Group {
    fn give(&mut self, count: u64) -> u64 {
        let Some(numbers) = &mut self.numbers else {
            return 0;
        };
        let first = numbers.next;
        numbers.next = first.saturating_add(count);
        first
    }
}

fn read_numbers(store: &dyn Store) -> Result<Numbers, RecordError> {
    let mut found = None;
    store.read(&mut |view| {
        found = view.get(Space::Meta, NUMBERS_KEY)?;
        Ok(())
    })?;
    let next = match found {
        None => 0,
        Some(bytes) => Cursor::new(&bytes)
            .u64("mark of the numbers of records")
            .map_err(|error| RecordError::corrupt("records".as_ref(), "meta", &error))?,
    };
    Ok(Numbers { next, mark: next })
}

/// Leaves the last change of every key: those of one batch have no order in the store. Only columns write a key twice.
fn last_of_each(mut changes: Vec<Change>) -> Vec<Change> {
    let columns = changes.iter().filter(|change| change.space == Space::Columns);
    if columns.count() < 2 {
        return changes;
    }
    let mut seen = HashSet::new();
    changes.reverse();
    changes.retain(|change| change.space != Space::Columns || seen.insert(change.key.clone()));
    changes.reverse();
    changes
}

#[cfg(test)]
mod tests {
    use super::super::memory::MemoryStore;
    use super::super::store::KeyRange;
    use super::*;
    use std::ops::ControlFlow;

    fn keys(store: &MemoryStore, space: Space) -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        let all = KeyRange {
            from: Vec::new(),
            to: vec![0xff; 24],
        };
        let read = store.read(&mut |view| {
            view.scan(space, &all, false, &mut |key, _| {
                keys.push(key.to_vec());
                Ok(ControlFlow::Continue(()))
            })
        });
        read.expect("a read");
        keys
    }

    #[test]
    fn many_writers_get_numbers_of_their_own() {
        let (store, writer) = (MemoryStore::default(), GroupWriter::default());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let change = |first: u64| {
                            let key = |number: u64| number.to_be_bytes().to_vec();
                            vec![
                                Change::put(Space::Logs, key(first), vec![]),
                                Change::put(Space::Logs, key(first + 1), vec![]),
                            ]
                        };
                        writer.write(&store, true, 2, change).expect("a write");
                    }
                });
            }
        });
        assert_eq!(keys(&store, Space::Logs).len(), 800);
        let numbers = read_numbers(&store).expect("the mark");
        assert!(numbers.next >= 800);
        let group = writer.lock();
        assert!(group.results.is_empty() && group.writers == 0);
    }

    #[test]
    fn the_last_change_of_a_key_counts() {
        let change = |key: u8, value: Option<u8>| Change {
            space: Space::Columns,
            key: vec![key],
            value: value.map(|value| vec![value]),
        };
        let changes = vec![change(1, Some(1)), change(2, Some(2)), change(1, None)];
        assert_eq!(last_of_each(changes), [change(2, Some(2)), change(1, None)]);
    }
}
