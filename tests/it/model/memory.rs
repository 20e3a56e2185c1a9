//! What a database may remember of each series beyond a flush: its newest ordinary sample, by which the next are judged.
//!
//! Whether it does is not the reader's to know: a checkpoint keeps it over a reopening, and an eviction takes it. So the
//! twin keeps every state that is possible, and strikes out those that a report speaks against.

use super::policy::Class;
use super::twin::{Deletion, Home, Place, Twin, Write};
use crate::play::{Seen, seen};
use narthex::STALE_NAN_BITS;
use std::collections::{BTreeMap, BTreeSet};

/// The newest ordinary sample of a series, unless it is forgotten.
pub(super) type Newest = Option<(i64, Seen)>;

/// By series, what may be remembered; nothing of the others.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory(BTreeMap<usize, BTreeSet<Newest>>);

impl Memory {
    pub(super) fn of(&self, series: usize) -> BTreeSet<Newest> {
        let known = self.0.get(&series).cloned();
        known.unwrap_or_else(|| BTreeSet::from([None]))
    }

    fn change(&mut self, series: usize, change: impl Fn(Newest) -> Newest) {
        let changed = self.of(series).into_iter().map(change).collect();
        self.0.insert(series, changed);
    }

    /// An ordinary sample was stored.
    pub(super) fn note(&mut self, place: Place, value: &Seen) {
        self.change(place.0, |newest| match newest {
            Some(newest) if newest.0 >= place.1 => Some(newest),
            _ => Some((place.1, value.clone())),
        });
    }

    /// A report left only these possible.
    pub(super) fn learn(&mut self, series: usize, possible: BTreeSet<Newest>) {
        self.0.insert(series, possible);
    }

    fn add(&mut self, other: Self) {
        let series: BTreeSet<usize> = self.0.keys().chain(other.0.keys()).copied().collect();
        for series in series {
            let all = self.of(series).union(&other.of(series)).cloned().collect();
            self.0.insert(series, all);
        }
    }
}

impl Twin {
    /// What a deletion hides is forgotten, and the newest that is left of this generation takes its place.
    pub(super) fn forget(&self, memory: &mut Memory, deletion: &Deletion) {
        let is_covered = |series: usize, newest: &Newest| {
            newest
                .as_ref()
                .is_some_and(|(time, _)| deletion.covers((series, *time)))
        };
        let met = memory.0.iter().filter(|(series, possible)| {
            let mut possible = possible.iter();
            possible.any(|newest| is_covered(**series, newest))
        });
        let met: Vec<usize> = met.map(|(series, _)| *series).collect();
        for series in met {
            let left = self.newest_left(series, deletion.lsn);
            memory.change(series, |newest| match is_covered(series, &newest) {
                true => left.clone(),
                false => newest,
            });
        }
    }

    /// The newest sample in the log at `lsn`, where a delete stands, which neither a delete nor an undelete cut off.
    fn newest_left(&self, series: usize, lsn: u64) -> Newest {
        let places = self.places.range((series, i64::MIN)..=(series, i64::MAX));
        places.rev().find_map(|(place, writes)| {
            let is_cut_off = |write: &Write| {
                let mut cuts = self.deletions.iter().filter(|one| one.covers(*place));
                cuts.any(|one| {
                    let mut cuts = [Some(one.lsn), one.withdrawn].into_iter().flatten();
                    cuts.any(|cut| write.lsn < cut && cut <= lsn)
                })
            };
            let mut left = writes.iter().filter(|write| write.is_newest_kind(lsn));
            let left = left.find(|write| !is_cut_off(write))?;
            Some((place.1, left.seen()))
        })
    }

    /// What follows from the records of the log after `lsn`.
    fn replayed(&self, mut memory: Memory, lsn: u64) -> Memory {
        let mut writes: Vec<(u64, Place, Seen)> = Vec::new();
        for (place, all) in &self.places {
            let logged = all.iter().filter(|write| write.is_newest_kind(u64::MAX));
            let logged = logged.filter(|write| write.lsn > lsn);
            writes.extend(logged.map(|write| (write.lsn, *place, write.seen())));
        }
        writes.sort_by_key(|write| write.0);
        let mut writes = writes.into_iter().peekable();
        for deletion in self.deletions.iter().filter(|one| one.lsn > lsn) {
            while let Some((_, place, value)) = writes.next_if(|write| write.0 < deletion.lsn) {
                memory.note(place, &value);
            }
            self.forget(&mut memory, deletion);
        }
        writes.for_each(|(_, place, value)| memory.note(place, &value));
        memory
    }

    /// A checkpoint holds what is remembered now.
    pub(super) fn checkpoint(&mut self) {
        self.checkpointed = Some((self.last_lsn, self.memory.clone()));
    }

    /// Opened again: the log tells, and a checkpoint what stood before it.
    pub(super) fn remember_anew(&mut self, has_checkpoint: bool) {
        let mut memory = self.replayed(Memory::default(), 0);
        self.checkpointed = self.checkpointed.take().filter(|_| has_checkpoint);
        if let Some((lsn, kept)) = self.checkpointed.clone() {
            memory.add(self.replayed(kept, lsn));
        }
        self.memory = memory;
    }

    /// Series that stopped may have left memory. `idle_before` is what the newest sample of the head makes of it.
    pub(super) fn evict(&mut self, idle_before: i64) {
        if self.frozen_lsn.is_some() {
            return;
        }
        let places = self.places.iter();
        let live = places.filter(|place| place.1.iter().any(|write| write.home == Home::Live));
        let noted = self.exemplars.iter();
        let noted = noted.filter(|series| series.1.iter().any(|one| one.home == Home::Live));
        let live = live.map(|place| place.0.0).chain(noted.map(|series| *series.0));
        let live: BTreeSet<usize> = live.collect();
        let stopped = |newest: &Newest| match newest {
            Some((_, Seen::Float(STALE_NAN_BITS) | Seen::StaleHistogram)) => true,
            Some((time, _)) => *time < idle_before,
            None => false,
        };
        for (_, possible) in self.memory.0.iter_mut().filter(|one| !live.contains(one.0)) {
            if possible.iter().any(stopped) {
                possible.insert(None);
            }
        }
    }
}

impl Write {
    /// Whether it is in the log before `lsn` and of the kind that the newest is chosen from.
    fn is_newest_kind(&self, lsn: u64) -> bool {
        self.home == Home::Live && self.class == Class::Ordinary && self.lsn < lsn
    }

    fn seen(&self) -> Seen {
        seen(&self.value)
    }
}
