//! A mixed workload on a simulated disk, and what is known of its batches at each of its moments.

use crate::model::policy::Class;
use crate::model::twin::{Deletion, Twin};
use crate::play::{Contents, DIR, Dice, difference, float, histogram, series, small_options};
use narthex::testing::{Record, SimFs};
use narthex::{
    Batch, Db, Durability, Exemplar, Fs, ManualClock, Matcher, Metadata, MetricType, Options, Sample, Value,
    labels,
};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Distance of two batches in time.
const TICK: i64 = 15_000;
const SERIES: usize = 24;
const INTERVAL: Durability = Durability::Interval(Duration::from_millis(100));

/// How many records are known to be what, at one moment: batches, deletes and undeletes. They are a run, so a number
/// says which.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Known {
    /// These survive a power loss.
    pub(crate) durable: usize,
    /// These survive the death of the process.
    pub(crate) handed: usize,
    /// These may be there: the next one is on its way.
    pub(crate) begun: usize,
}

/// What happened in a workload.
#[derive(Debug, Default)]
pub(crate) struct Happened {
    pub(crate) batches: usize,
    pub(crate) corrections: usize,
    pub(crate) deletes: usize,
    pub(crate) undeletes: usize,
    pub(crate) flushes: usize,
    pub(crate) checkpoints: usize,
    pub(crate) rotations: usize,
    pub(crate) reopenings: usize,
    pub(crate) evicted: usize,
}

/// A workload that was played.
pub(crate) struct Story {
    pub(crate) fs: SimFs,
    pub(crate) durability: Durability,
    /// What all records come to, numbered from 1 in place of LSNs.
    twin: Twin,
    /// What the first so many records show, and how many of them are batches.
    states: Vec<(Contents, usize)>,
    /// By deletion of the twin: its id.
    ids: Vec<u64>,
    /// By moment, as tagged on the disk.
    moments: Vec<Known>,
    pub(crate) happened: Happened,
}

pub(crate) fn options(fs: &SimFs, durability: Durability) -> Options {
    small_options(fs, &Arc::new(ManualClock::new(1_700_000_000_000)))
        .durability(durability)
        .wal_sizes(3 << 10, 1 << 10)
        .checkpoint_bytes_min(2 << 10)
        .segment_span(Duration::from_secs(60 * 6))
        .flush_samples_min(150)
        .series_idle(Duration::from_secs(60 * 2))
}

/// The metric that batch `number` alone speaks of.
fn metric(number: usize) -> String {
    format!("batch_{number}")
}

fn metadata() -> Metadata {
    Metadata {
        metric_type: MetricType::Gauge,
        help: "Says that a batch is whole.".into(),
        unit: String::new(),
    }
}

fn exemplar(number: usize) -> Exemplar {
    Exemplar {
        labels: labels! { "batch" => &number.to_string() },
        timestamp: time(number),
        value: 1.0,
    }
}

fn time(number: usize) -> i64 {
    1_000_000 * TICK + number as i64 * TICK
}

/// The series whose newest sample names batch `number`.
fn mark_of(number: usize) -> (usize, i64) {
    (number % SERIES, time(number))
}

impl Story {
    /// Plays `steps` operations, recording the disk as `record` says.
    pub(crate) fn play(seed: u64, durability: Durability, steps: usize, record: Record) -> Self {
        let mut story = Self {
            fs: SimFs::new(),
            durability,
            twin: Twin::default(),
            states: vec![(Contents::new(), 0)],
            ids: Vec::new(),
            moments: vec![Known::default()],
            happened: Happened::default(),
        };
        story.fs.record(record);
        let mut dice = Dice(seed);
        let mut db = Some(story.open());
        let mut wants_sync = false;
        for _ in 0..steps {
            let handle = db.clone().expect("there is a database");
            match dice.below(100) {
                0..=51 => wants_sync |= story.write(&handle, &mut dice) == INTERVAL,
                52..=56 => story.delete(&handle, &mut dice),
                57..=59 => story.undelete(&handle, &mut dice),
                60..=82 => {
                    story.step(&handle);
                    if wants_sync || durability == INTERVAL {
                        story.know(|known| known.durable = known.handed);
                    }
                    wants_sync = false;
                }
                83..=88 => {
                    handle.sync().expect("sync");
                    story.know(|known| known.durable = known.handed);
                }
                89..=95 => {
                    handle.flush().expect("flush");
                    story.happened.flushes += 1;
                    story.know(|known| known.durable = known.handed);
                }
                _ => {
                    drop(handle);
                    let last = db.take().expect("there is a database");
                    if dice.percent(50) {
                        last.close().expect("close");
                    } else {
                        drop(last);
                    }
                    db = Some(story.open());
                    story.happened.reopenings += 1;
                    story.know(|known| known.durable = known.handed);
                }
            }
        }
        story.fs.record(Record::Nothing);
        story
    }

    fn open(&self) -> Db {
        Db::open(options(&self.fs, self.durability)).expect("open")
    }

    /// From now on more is known.
    fn know(&mut self, change: impl FnOnce(&mut Known)) {
        let mut known = *self.moments.last().expect("the first moment");
        change(&mut known);
        self.moments.push(known);
        self.fs.set_tag(self.moments.len() as u64 - 1);
    }

    pub(crate) fn known_at(&self, tag: u64) -> Known {
        self.moments[tag as usize]
    }

    pub(crate) fn known_last(&self) -> Known {
        self.moments[self.moments.len() - 1]
    }

    /// Number of batches, deletes and undeletes.
    pub(crate) fn records(&self) -> usize {
        self.states.len() - 1
    }

    /// Commits a batch and says with which durability.
    fn write(&mut self, db: &Db, dice: &mut Dice) -> Durability {
        let number = self.happened.batches;
        let mut batch = db.batch();
        let durability = match dice.below(5) {
            0 => Durability::Always,
            1 => INTERVAL,
            2 => Durability::Never,
            _ => self.durability,
        };
        batch.durability(durability);
        let (series_number, timestamp) = mark_of(number);
        self.put(
            &mut batch,
            (series_number, timestamp),
            Value::Float(number as f64),
        );
        for _ in 0..dice.below(12) {
            let place = (
                dice.below(SERIES),
                time(number) - dice.below(30) as i64 * TICK + 1 + dice.below(3) as i64,
            );
            let there = self.twin.place_after(place).filter(|_| dice.percent(25));
            let place = there.unwrap_or(place);
            let value = match dice.below(10) {
                0 => Value::Float(narthex::stale_nan()),
                1..=2 => Value::Histogram(histogram(dice).into()),
                _ => Value::Float(float(dice)),
            };
            self.put(&mut batch, place, value);
        }
        if number.is_multiple_of(3) {
            batch.push_metadata(&metric(number), &metadata());
        }
        if number.is_multiple_of(4) {
            batch.push_exemplar(&series(series_number), &exemplar(number));
        }
        self.happened.batches += 1;
        self.twin.committed(self.states.len() as u64);
        self.logged(durability, || batch.commit().map(drop).expect("commit"));
        durability
    }

    /// Notes the state after a record, and what is known before and after it is handed over.
    fn logged(&mut self, durability: Durability, hand_over: impl FnOnce()) {
        let shown = self.twin.contents(|_| true, i64::MIN, i64::MAX);
        let records = self.states.len();
        self.states.push((shown, self.happened.batches));
        self.know(|known| known.begun = records);
        hand_over();
        self.know(|known| {
            known.handed = records;
            if durability == Durability::Always {
                known.durable = records;
            }
        });
    }

    /// Deletes what lies between two marks, of one series or of several.
    fn delete(&mut self, db: &Db, dice: &mut Dice) {
        let tick = time(self.happened.batches) - dice.below(30) as i64 * TICK;
        let (from, to) = (tick + 1, tick + 1 + dice.below(3) as i64);
        let number = dice.below(SERIES);
        let range: RangeInclusive<i64> = from..=to;
        let of_one = dice.percent(50);
        let wanted: Rc<dyn Fn(usize) -> bool> = if of_one {
            Rc::new(move |other| other == number)
        } else {
            Rc::new(|other: usize| other.is_multiple_of(2))
        };
        self.twin.delete(Deletion {
            lsn: self.states.len() as u64,
            wanted,
            from,
            to,
            withdrawn: None,
            created_ms: 0,
        });
        let mut id = 0;
        self.logged(self.durability, || {
            let deleted = if of_one {
                db.delete_series(&series(number), range)
            } else {
                db.delete(&[Matcher::re("zone", ".+")], range)
            };
            id = deleted.expect("delete");
        });
        self.ids.push(id);
        self.happened.deletes += 1;
    }

    /// Withdraws a deletion that the database still knows.
    fn undelete(&mut self, db: &Db, dice: &mut Dice) {
        let known = db.deletions().into_iter().filter(|one| !one.is_withdrawn);
        let known: Vec<u64> = known.map(|one| one.id).collect();
        if known.is_empty() {
            return;
        }
        let id = *dice.pick(&known);
        let index = self
            .ids
            .iter()
            .position(|known| *known == id)
            .expect("a deletion of this story");
        self.twin.deletions[index].withdrawn = Some(self.states.len() as u64);
        self.logged(self.durability, || assert!(db.undelete(id).expect("undelete")));
        self.happened.undeletes += 1;
    }

    /// The first sample of a place is an ordinary one; what comes later corrects it.
    fn put(&mut self, batch: &mut Batch, place: (usize, i64), value: Value) {
        let start_timestamp = if place.0.is_multiple_of(5) {
            place.1 - TICK
        } else {
            0
        };
        let sample = Sample {
            timestamp: place.1,
            value,
            start_timestamp,
        };
        let class = if self.twin.place_after(place) == Some(place) {
            batch.correct_sample(&series(place.0), &sample);
            self.happened.corrections += 1;
            Class::Correction
        } else {
            batch.push_sample(&series(place.0), &sample);
            Class::Ordinary
        };
        self.twin.add_sample(place, &sample, class);
    }

    fn step(&mut self, db: &Db) {
        let names = |fs: &SimFs, prefix: &str| -> Vec<String> {
            let names = fs.list(Path::new(DIR)).expect("the folder is there");
            names
                .into_iter()
                .filter(|name| name.starts_with(prefix))
                .collect()
        };
        let series = |db: &Db| db.stats().expect("stats").head_series as usize;
        for _ in 0..4 {
            let before = (
                names(&self.fs, "checkpoint-"),
                names(&self.fs, "segment-"),
                names(&self.fs, "wal-"),
                series(db),
            );
            if !db.step().expect("step") {
                break;
            }
            let checkpoints = names(&self.fs, "checkpoint-");
            self.happened.checkpoints += usize::from(!checkpoints.is_empty() && checkpoints != before.0);
            self.happened.flushes += usize::from(names(&self.fs, "segment-") != before.1);
            self.happened.rotations += usize::from(names(&self.fs, "wal-") != before.2);
            self.happened.evicted += before.3.saturating_sub(series(db));
        }
    }

    /// Checks that a database holds exactly the first so many records, each of them whole, and says how many; several
    /// numbers where a delete or undelete changed nothing.
    pub(crate) fn survivors(&self, db: &Db, contents: &Contents) -> Result<RangeInclusive<usize>, String> {
        let is_shown = |records: &usize| self.states[*records].0 == *contents;
        let all: Vec<usize> = (0..self.states.len()).filter(is_shown).collect();
        let (Some(first), Some(last)) = (all.first(), all.last()) else {
            let batches =
                (0..self.happened.batches).take_while(|number| contents.contains_key(&mark_of(*number)));
            let batches = batches.count();
            let likely = self.states.iter().filter(|state| state.1 == batches);
            let differences: Vec<String> = likely.map(|state| difference(&state.0, contents)).collect();
            return Err(format!(
                "{batches} batches are there, and {}",
                differences.join("; or ")
            ));
        };
        let count = self.states[*last].1;
        let mut said = db.metadata(None);
        let mut shown: BTreeMap<usize, usize> = BTreeMap::new();
        for (_, exemplars) in db.exemplars(&[], ..).map_err(|error| error.to_string())? {
            for one in exemplars {
                let number = one
                    .labels
                    .get("batch")
                    .and_then(|text| text.parse().ok())
                    .unwrap_or(usize::MAX);
                *shown.entry(number).or_default() += 1;
            }
        }
        for number in 0..count {
            let has_metadata = said.remove(&metric(number)).is_some();
            let exemplars = shown.remove(&number).unwrap_or(0);
            let expected = (number.is_multiple_of(3), usize::from(number.is_multiple_of(4)));
            if (has_metadata, exemplars) != expected {
                return Err(format!(
                    "batch {number} of {count}: metadata {has_metadata}, {exemplars} exemplars"
                ));
            }
        }
        if !said.is_empty() || !shown.is_empty() {
            return Err(format!(
                "{count} batches are there, and metadata {said:?}, exemplars {shown:?}"
            ));
        }
        Ok(*first..=*last)
    }
}
