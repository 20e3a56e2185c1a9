//! The twin: what docs/format/ordering.md says a database holds, as plain maps: everything that was ever accepted at a
//! place, in order of writing, and every deletion. What a reader sees is worked out anew each time, from the bottom up.

use super::memory::{Memory, Newest};
use super::policy::{Class, larger};
use crate::play::{Contents, Kept, seen};
use narthex::{Exemplar, Metadata, Overwrite, Sample, SegmentMeta, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// A series and a timestamp.
pub(crate) type Place = (usize, i64);

/// The LSN of what is not committed yet.
const IN_THE_MAKING: u64 = u64::MAX;

/// What a commit should say of one sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    New(Class),
    Same,
    Conflict,
}

/// Where something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Home {
    Live,
    /// Frozen by a flush that could not be finished.
    Frozen,
    /// By its ULID.
    Segment(u128),
}

/// A sample that was accepted.
#[derive(Debug, Clone)]
pub(super) struct Write {
    pub(super) lsn: u64,
    pub(super) class: Class,
    pub(super) value: Value,
    start: i64,
    pub(super) home: Home,
}

#[derive(Debug, Clone)]
pub(super) struct Noted {
    pub(super) lsn: u64,
    pub(super) exemplar: Exemplar,
    pub(super) home: Home,
}

/// What was said of a metric.
#[derive(Debug, Clone)]
pub(super) struct Said {
    lsn: u64,
    time: i64,
    entry: Metadata,
    pub(super) home: Home,
}

#[derive(Clone)]
pub(crate) struct Deletion {
    pub(crate) lsn: u64,
    pub(crate) wanted: Rc<dyn Fn(usize) -> bool>,
    pub(crate) from: i64,
    pub(crate) to: i64,
    /// LSN of the undelete.
    pub(crate) withdrawn: Option<u64>,
    pub(crate) created_ms: i64,
}

impl Deletion {
    pub(crate) fn covers(&self, place: Place) -> bool {
        (self.from..=self.to).contains(&place.1) && (self.wanted)(place.0)
    }

    /// Whether what was written at `lsn` came between the delete and its undelete.
    fn is_between(&self, lsn: u64) -> bool {
        self.lsn < lsn && self.withdrawn.is_some_and(|withdrawn| lsn < withdrawn)
    }
}

/// What a place shows.
#[derive(Debug, Clone, Copy)]
struct Shown<'a> {
    write: &'a Write,
    class: Class,
}

#[derive(Clone, Default)]
pub(crate) struct Twin {
    pub(super) places: BTreeMap<Place, Vec<Write>>,
    pub(super) exemplars: BTreeMap<usize, Vec<Noted>>,
    /// By metric. A repeat of what was said last is not kept, unless that was said in between and dropped since.
    pub(super) metadata: BTreeMap<String, Vec<Said>>,
    pub(crate) deletions: Vec<Deletion>,
    /// The segments that are there, by ULID.
    pub(super) segments: BTreeMap<u128, SegmentMeta>,
    pub(super) memory: Memory,
    /// What the last checkpoint holds of it, and up to which LSN.
    pub(super) checkpointed: Option<(u64, Memory)>,
    /// What the generation that is frozen ends with.
    pub(crate) frozen_lsn: Option<u64>,
    /// Newest timestamp that a batch named since the last freeze, refused samples and exemplars included.
    pub(crate) live_max: Option<i64>,
    /// The same of everything before. What is newer meets nothing in a segment.
    flushed_max: Option<i64>,
    pub(crate) last_lsn: u64,
    durable_lsn: u64,
}

impl Twin {
    /// Rules 4, 6 and the table of classes, from the bottom up.
    fn settle<'a>(&self, place: Place, writes: impl Iterator<Item = &'a Write>) -> Option<Shown<'a>> {
        let above: Vec<&Deletion> = self.deletions.iter().filter(|one| one.covers(place)).collect();
        let mut shown: Option<Shown<'a>> = None;
        for write in writes {
            let is_hidden = |one: &&Deletion| one.withdrawn.is_none() && one.lsn > write.lsn;
            if above.iter().any(is_hidden) {
                continue;
            }
            let fresh = Shown {
                write,
                class: write.class,
            };
            shown = Some(match shown {
                None => fresh,
                Some(below)
                    if above
                        .iter()
                        .any(|mark| below.write.lsn < mark.lsn && mark.is_between(write.lsn)) =>
                {
                    fresh
                }
                Some(below) => match write.class {
                    Class::Ordinary => below,
                    Class::Correction => fresh,
                    Class::Maximum => Shown {
                        write: if larger(&write.value, &below.write.value) {
                            write
                        } else {
                            below.write
                        },
                        class: if below.class == Class::Correction {
                            Class::Correction
                        } else {
                            Class::Maximum
                        },
                    },
                },
            });
        }
        shown
    }

    /// Whether any place was written more than once, `is_logged`: one that the log has something for.
    pub(super) fn has_collision(&self, is_logged: bool) -> bool {
        let is_live = |writes: &Vec<Write>| writes.iter().any(|write| write.home == Home::Live);
        let mut all = self.places.values();
        all.any(|writes| writes.len() > 1 && (!is_logged || is_live(writes)))
    }

    /// What stands at a place, and whether the head knows it.
    pub(super) fn standing(&self, place: Place) -> Option<(Class, &Value, bool)> {
        let known = self.known(place);
        let shown = known.or_else(|| self.shown(place))?;
        Some((shown.class, &shown.write.value, known.is_some()))
    }

    fn shown(&self, place: Place) -> Option<Shown<'_>> {
        self.settle(place, self.places.get(&place)?.iter())
    }

    /// Rule 3: what the head knows of a place, its newest samples beyond a flush aside.
    fn known(&self, place: Place) -> Option<Shown<'_>> {
        let live = self.places.get(&place)?.iter();
        self.settle(place, live.filter(|write| write.home == Home::Live))
    }

    /// What becomes of an ordinary sample, by the policy of its series.
    fn verdict(&self, place: Place, value: &Value, policy: Overwrite) -> Verdict {
        let known = self.known(place);
        let is_same = known.is_some_and(|known| seen(&known.write.value) == seen(value));
        let may_meet = self.flushed_max.is_some_and(|newest| place.1 <= newest);
        let class = |class| if may_meet { class } else { Class::Ordinary };
        match (policy, known) {
            (Overwrite::Last, None) => Verdict::New(class(Class::Correction)),
            (Overwrite::Max, None) => Verdict::New(class(Class::Maximum)),
            (_, None) => Verdict::New(Class::Ordinary),
            _ if is_same => Verdict::Same,
            (Overwrite::Last, Some(_)) => Verdict::New(Class::Correction),
            (Overwrite::Max, Some(known)) if larger(value, &known.write.value) => {
                Verdict::New(Class::Maximum)
            }
            (Overwrite::Reject, Some(known)) if known.class == Class::Ordinary => Verdict::Conflict,
            _ => Verdict::Same,
        }
    }

    /// What becomes of a correction.
    pub(crate) fn verdict_of_correction(&self, place: Place, value: &Value) -> Verdict {
        match self.known(place) {
            Some(known) if known.class == Class::Correction && seen(&known.write.value) == seen(value) => {
                Verdict::Same
            }
            _ => Verdict::New(Class::Correction),
        }
    }

    /// What becomes of an ordinary sample when `newest` is what is remembered of its series.
    fn verdict_by(&self, newest: &Newest, place: Place, value: &Value, policy: Overwrite) -> Verdict {
        let remembered = newest.as_ref().filter(|newest| newest.0 == place.1);
        let Some((_, remembered)) = remembered.filter(|_| self.known(place).is_none()) else {
            return self.verdict(place, value, policy);
        };
        let is_same = *remembered == seen(value);
        let may_meet = self.flushed_max.is_some_and(|newest| place.1 <= newest);
        match policy {
            Overwrite::Reject if !is_same => Verdict::Conflict,
            // A repeat is none when another value may have been written over it.
            Overwrite::Last if may_meet || !is_same => Verdict::New(Class::Correction),
            Overwrite::Max if !is_same => Verdict::New(Class::Maximum),
            _ => Verdict::Same,
        }
    }

    /// What may become of an ordinary sample, and what is remembered of its series if that is what becomes of it.
    pub(crate) fn verdicts(
        &self,
        place: Place,
        value: &Value,
        policy: Overwrite,
    ) -> Vec<(Verdict, BTreeSet<Newest>)> {
        let mut verdicts: Vec<(Verdict, BTreeSet<Newest>)> = Vec::new();
        for newest in self.memory.of(place.0) {
            let verdict = self.verdict_by(&newest, place, value, policy);
            match verdicts.iter_mut().find(|known| known.0 == verdict) {
                Some((_, possible)) => drop(possible.insert(newest)),
                None => verdicts.push((verdict, BTreeSet::from([newest]))),
            }
        }
        verdicts
    }

    /// A report told what is remembered of a series.
    pub(crate) fn learn(&mut self, series: usize, possible: BTreeSet<Newest>) {
        self.memory.learn(series, possible);
    }

    pub(crate) fn add_sample(&mut self, place: Place, sample: &Sample, class: Class) {
        if class == Class::Ordinary {
            self.memory.note(place, &seen(&sample.value));
        }
        self.places.entry(place).or_default().push(Write {
            lsn: IN_THE_MAKING,
            class,
            value: sample.value.clone(),
            start: sample.start_timestamp,
            home: Home::Live,
        });
    }

    /// Whether it is new: exemplars that a deletion took out of the chunks are not compared.
    pub(crate) fn add_exemplar(&mut self, series: usize, exemplar: &Exemplar) -> bool {
        let place = (series, exemplar.timestamp);
        let covers = |one: &&Deletion| one.covers(place);
        let newest = self.deletions.iter().filter(covers).map(|one| one.lsn).max();
        let all = self.exemplars.entry(series).or_default();
        let is_there = all.iter().any(|one| {
            one.home == Home::Live
                && one.exemplar == *exemplar
                && newest.is_none_or(|newest| one.lsn > newest)
        });
        if !is_there {
            all.push(Noted {
                lsn: IN_THE_MAKING,
                exemplar: exemplar.clone(),
                home: Home::Live,
            });
        }
        !is_there
    }

    /// Whether it is new: not what was said last.
    pub(crate) fn add_metadata(&mut self, metric: &str, time: i64, entry: &Metadata) -> bool {
        let history = self.metadata.entry(metric.to_owned()).or_default();
        if history.last().is_some_and(|last| last.entry == *entry) {
            return false;
        }
        history.push(Said {
            lsn: IN_THE_MAKING,
            time,
            entry: entry.clone(),
            home: Home::Live,
        });
        true
    }

    /// A batch is in the log, up to the record `lsn`.
    pub(crate) fn committed(&mut self, lsn: u64) {
        let writes = self.places.values_mut().flatten().map(|write| &mut write.lsn);
        let exemplars = self.exemplars.values_mut().flatten().map(|one| &mut one.lsn);
        let metadata = self.metadata.values_mut().flatten().map(|said| &mut said.lsn);
        for number in writes.chain(exemplars).chain(metadata) {
            if *number == IN_THE_MAKING {
                *number = lsn;
            }
        }
        self.last_lsn = lsn;
    }

    pub(crate) fn delete(&mut self, deletion: Deletion) {
        self.last_lsn = deletion.lsn;
        self.deletions.push(deletion.clone());
        let mut memory = std::mem::take(&mut self.memory);
        self.forget(&mut memory, &deletion);
        self.memory = memory;
    }

    /// Where something that was written stands: a merge puts it where its last member stood.
    fn stand(&self, lsn: u64, home: Home) -> u64 {
        match home {
            Home::Segment(ulid) => lsn.max(self.merged_lsn(ulid)),
            _ => lsn,
        }
    }

    /// Whether anything that was written stands below a deletion.
    pub(crate) fn is_above_something(&self, deletion: &Deletion) -> bool {
        let hides = |series: usize, time: i64, (lsn, home): (u64, Home)| {
            deletion.covers((series, time)) && self.stand(lsn, home) < deletion.lsn
        };
        let mut writes = self.places.iter();
        let mut exemplars = self.exemplars.iter();
        writes.any(|(place, all)| {
            let mut all = all.iter().map(|write| (write.lsn, write.home));
            all.any(|write| hides(place.0, place.1, write))
        }) || exemplars.any(|(series, all)| {
            let mut all = all
                .iter()
                .map(|one| (one.exemplar.timestamp, (one.lsn, one.home)));
            all.any(|(time, one)| hides(*series, time, one))
        })
    }

    /// Series with a place that ever had a sample which the deletion covers.
    pub(crate) fn covered(&self, deletion: &Deletion) -> BTreeSet<usize> {
        let covered = self.places.keys().filter(|place| deletion.covers(**place));
        covered.map(|place| place.0).collect()
    }

    /// Everything so far survives a power loss.
    pub(crate) fn all_durable(&mut self) {
        self.durable_lsn = self.last_lsn;
    }

    pub(crate) fn durable_lsn(&self) -> u64 {
        self.durable_lsn
    }

    pub(super) fn homes(&mut self) -> impl Iterator<Item = &mut Home> {
        let writes = self.places.values_mut().flatten().map(|write| &mut write.home);
        let exemplars = self.exemplars.values_mut().flatten().map(|one| &mut one.home);
        let metadata = self.metadata.values_mut().flatten().map(|said| &mut said.home);
        writes.chain(exemplars).chain(metadata)
    }

    fn move_home(&mut self, from: Home, to: Home) {
        self.homes()
            .filter(|home| **home == from)
            .for_each(|home| *home = to);
    }

    /// The live generation is frozen: it is no longer judged by, the newest samples aside.
    pub(crate) fn freeze(&mut self) {
        self.move_home(Home::Live, Home::Frozen);
        self.frozen_lsn = Some(self.last_lsn);
        self.flushed_max = self.flushed_max.max(self.live_max.take());
        self.all_durable();
    }

    /// Opened again; what is in the log is one generation. `segments_max` is the newest timestamp in segments.
    pub(crate) fn reopened(&mut self, segments_max: Option<i64>, has_checkpoint: bool) {
        self.move_home(Home::Frozen, Home::Live);
        self.frozen_lsn = None;
        self.all_durable();
        let newest = |home: Home| {
            let is_there = move |other: Home| match home {
                Home::Segment(_) => matches!(other, Home::Segment(_)),
                _ => other == home,
            };
            let has = move |writes: &Vec<Write>| writes.iter().any(|write| is_there(write.home));
            let places = self.places.iter().filter(move |place| has(place.1));
            let exemplars = self.exemplars.values().flatten();
            let exemplars = exemplars.filter(move |one| is_there(one.home));
            let times = places.map(|place| place.0.1);
            times.chain(exemplars.map(|one| one.exemplar.timestamp)).max()
        };
        assert!(
            newest(Home::Segment(0)) <= segments_max,
            "the segments' times enclose what is in them"
        );
        (self.live_max, self.flushed_max) = (newest(Home::Live), segments_max);
        self.remember_anew(has_checkpoint);
    }

    /// A power loss left what is in the log up to `lsn`.
    pub(crate) fn lose_after(&mut self, lsn: u64) {
        for writes in self.places.values_mut() {
            writes.retain(|write| write.lsn <= lsn);
        }
        for exemplars in self.exemplars.values_mut() {
            exemplars.retain(|one| one.lsn <= lsn);
        }
        for history in self.metadata.values_mut() {
            history.retain(|said| said.lsn <= lsn);
        }
        self.places.retain(|_, writes| !writes.is_empty());
        self.metadata.retain(|_, history| !history.is_empty());
        self.deletions.retain(|one| one.lsn <= lsn);
        for deletion in &mut self.deletions {
            deletion.withdrawn = deletion.withdrawn.filter(|withdrawn| *withdrawn <= lsn);
        }
        self.last_lsn = lsn;
    }

    /// What a reader sees at a place.
    pub(crate) fn winner(&self, place: Place) -> Option<&Value> {
        self.shown(place).map(|shown| &shown.write.value)
    }

    /// What a reader sees of the series that `wanted` likes within `from..=to`.
    pub(crate) fn contents(&self, wanted: impl Fn(usize) -> bool, from: i64, to: i64) -> Contents {
        let within = |place: &Place| wanted(place.0) && (from..=to).contains(&place.1);
        let places = self.places.keys().filter(|place| within(place));
        let shown = places.filter_map(|place| {
            let write = self.shown(*place)?.write;
            let kept: Kept = (seen(&write.value), write.start);
            Some((*place, kept))
        });
        shown.collect()
    }

    /// First and last timestamp of everything that a series was ever given, hidden or not, exemplars included.
    pub(crate) fn bounds(&self) -> BTreeMap<usize, (i64, i64)> {
        let samples = self.places.keys().copied();
        let exemplars = self.exemplars.iter();
        let exemplars =
            exemplars.flat_map(|(series, all)| all.iter().map(|one| (*series, one.exemplar.timestamp)));
        let mut bounds = BTreeMap::new();
        for (series, time) in samples.chain(exemplars) {
            let bounds = bounds.entry(series).or_insert((time, time));
            *bounds = (bounds.0.min(time), bounds.1.max(time));
        }
        bounds
    }

    /// Exemplars by series within `from..=to`, each once.
    pub(crate) fn exemplars(&self, from: i64, to: i64) -> BTreeMap<usize, Vec<Exemplar>> {
        let mut all: BTreeMap<usize, Vec<Exemplar>> = BTreeMap::new();
        for (series, noted) in &self.exemplars {
            for one in noted {
                let time = one.exemplar.timestamp;
                let hides = |deletion: &Deletion| {
                    deletion.withdrawn.is_none() && deletion.lsn > one.lsn && deletion.covers((*series, time))
                };
                if (from..=to).contains(&time) && !self.deletions.iter().any(hides) {
                    let kept = all.entry(*series).or_default();
                    if !kept.contains(&one.exemplar) {
                        kept.push(one.exemplar.clone());
                    }
                }
            }
        }
        all
    }

    pub(crate) fn metadata(&self) -> BTreeMap<String, Vec<(i64, Metadata)>> {
        let changes = |history: &Vec<Said>| {
            let mut changes: Vec<(i64, Metadata)> = Vec::new();
            for said in history {
                if changes.last().is_none_or(|last| last.1 != said.entry) {
                    changes.push((said.time, said.entry.clone()));
                }
            }
            changes
        };
        let metrics = self.metadata.iter();
        metrics
            .map(|(metric, history)| (metric.clone(), changes(history)))
            .collect()
    }

    /// The first place from here on that has a sample, or that had one.
    pub(crate) fn place_after(&self, from: Place) -> Option<Place> {
        self.places.range(from..).next().map(|(place, _)| *place)
    }
}
