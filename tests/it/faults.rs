//! Every call to the file system fails once, with an error of the medium, a full disk and a short read: no panic, typed
//! errors, nothing acknowledged is lost and nothing is invented. And a disk that fills up and is freed again.

use crate::play::{self, Contents, Dice, Kept, difference, from_environment, seen, small_options};
use narthex::testing::{Call, Fault, SimFs};
use narthex::{Batch, Db, Durability, Error, ManualClock, Options, Sample, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const SEED: u64 = 20_240_919;
const TICK: i64 = 15_000;
const SERIES: usize = 12;
const STEPS: usize = 70;
/// A place that no workload touches, written to see whether the database takes writes.
const PROBE: (usize, i64) = (3, 33);

fn options(fs: &SimFs) -> Options {
    small_options(fs, &Arc::new(ManualClock::new(1_700_000_000_000)))
        .wal_sizes(3 << 10, 1 << 10)
        .checkpoint_bytes_min(1 << 10)
        .segment_span(Duration::from_secs(60 * 4))
        .flush_samples_min(60)
        .series_idle(Duration::from_secs(60))
}

type Place = (usize, i64);

/// What is known of the samples that were given to a database.
#[derive(Debug, Default)]
struct Ledger {
    /// Acknowledged: the first value of each place.
    kept: Contents,
    /// Given to a commit that failed with an error which does not say whether they are there.
    unsure: BTreeMap<(usize, i64), Vec<(play::Seen, i64)>>,
    /// What was corrected. It shows again, with a warning, while the correction cannot be read.
    corrected: BTreeMap<Place, Vec<Kept>>,
    /// By id of the deletion, what it hid.
    deleted: BTreeMap<u64, (Place, Kept)>,
    batches: usize,
    outcomes: BTreeMap<&'static str, usize>,
}

/// A name for an error that callers may meet when a disk fails; a panic for every other.
fn name(error: &Error) -> &'static str {
    match error {
        Error::Fs(_) => "Fs",
        Error::Corrupt(_) => "Corrupt",
        Error::OutOfSpace(_) => "OutOfSpace",
        Error::Poisoned(_) => "Poisoned",
        Error::Closed => "Closed",
        other => panic!("{other} is no answer to a failing disk"),
    }
}

impl Ledger {
    fn note(&mut self, outcome: &'static str) {
        *self.outcomes.entry(outcome).or_default() += 1;
    }

    /// Commits a batch of samples at places that no batch took before.
    fn write(&mut self, db: &Db, dice: &mut Dice) -> Result<(), Error> {
        let number = self.batches;
        self.batches += 1;
        let mut batch = db.batch();
        let mut given = Vec::new();
        for index in 0..1 + dice.below(10) {
            let is_late = dice.percent(25);
            let tick = 1_000 + number as i64 - if is_late { 1 + dice.below(20) as i64 } else { 0 };
            let place = (
                dice.below(SERIES),
                tick * TICK + number as i64 * 16 + index as i64,
            );
            let value = match dice.below(8) {
                0 => Value::Histogram(play::histogram(dice).into()),
                _ => Value::Float(play::float(dice)),
            };
            given.push((place, put(&mut batch, place, value)));
        }
        match batch.commit() {
            Ok(report) => {
                assert_eq!(report.accepted, given.len(), "{report:?}");
                self.kept.extend(given);
                Ok(())
            }
            Err(error) => {
                // For lack of space nothing was kept; every other error leaves it open.
                if name(&error) != "OutOfSpace" {
                    for (place, kept) in given {
                        self.unsure.entry(place).or_default().push(kept);
                    }
                }
                Err(error)
            }
        }
    }

    /// Corrects, deletes or brings back one sample, or writes the first.
    fn change(&mut self, db: &Db, dice: &mut Dice) -> Result<(), Error> {
        let Some((&place, kept)) = self.kept.iter().nth(dice.below(self.kept.len())) else {
            return self.write(db, dice);
        };
        let mut meant = vec![kept.clone()];
        let mut hidden = None;
        let mut restored = self.deleted.keys().copied().collect::<Vec<u64>>();
        restored.retain(|id| db.deletions().iter().any(|one| one.id == *id));
        let (place, done) = match dice.below(3) {
            0 => {
                let mut batch = db.batch();
                let sample = sample_at(place, Value::Float(play::float(dice)));
                batch.correct_sample(&play::series(place.0), &sample);
                self.corrected.entry(place).or_default().extend(meant.clone());
                meant.push((seen(&sample.value), sample.start_timestamp));
                (place, batch.commit().map(|_| true))
            }
            1 if !restored.is_empty() => {
                let id = *dice.pick(&restored);
                let (place, kept) = self.deleted.remove(&id).expect("it was deleted");
                meant = vec![kept];
                (place, db.undelete(id))
            }
            _ => {
                hidden = meant.pop();
                let deleted = db.delete_series(&play::series(place.0), place.1..=place.1);
                if let (Ok(id), Some(kept)) = (&deleted, hidden.clone()) {
                    self.deleted.insert(*id, (place, kept));
                }
                (place, deleted.map(|_| true))
            }
        };
        match done {
            Ok(is_done) => {
                assert!(is_done, "a deletion that hides something can be withdrawn");
                match meant.pop() {
                    Some(kept) => drop(self.kept.insert(place, kept)),
                    None => drop(self.kept.remove(&place)),
                }
                Ok(())
            }
            Err(error) => {
                if name(&error) != "OutOfSpace" {
                    self.kept.remove(&place);
                    meant.extend(hidden);
                    self.unsure.entry(place).or_default().extend(meant);
                }
                Err(error)
            }
        }
    }

    /// Everything acknowledged is there, and everything that is there was given to a commit.
    fn check(&self, found: &Contents, is_complete: bool) -> Result<(), String> {
        for (place, kept) in found {
            let was_given = self.kept.get(place) == Some(kept)
                || self.unsure.get(place).is_some_and(|given| given.contains(kept))
                || !is_complete && self.corrected.get(place).is_some_and(|old| old.contains(kept))
                || *place == PROBE;
            if !was_given {
                return Err(format!("invented {place:?} {kept:?}"));
            }
        }
        if is_complete
            && self
                .kept
                .iter()
                .any(|(place, kept)| found.get(place) != Some(kept))
        {
            return Err(difference(&self.kept, found));
        }
        Ok(())
    }
}

fn sample_at(place: Place, value: Value) -> Sample {
    let start_timestamp = if place.0.is_multiple_of(3) {
        place.1 - TICK
    } else {
        0
    };
    Sample {
        timestamp: place.1,
        value,
        start_timestamp,
    }
}

fn put(batch: &mut Batch, place: Place, value: Value) -> Kept {
    let sample = sample_at(place, value);
    batch.push_sample(&play::series(place.0), &sample);
    (seen(&sample.value), sample.start_timestamp)
}

fn probe(db: &Db) -> Result<(), Error> {
    let mut batch = db.batch();
    batch.durability(Durability::Always);
    put(&mut batch, PROBE, Value::Float(2.5));
    batch.commit().map(|_| ())
}

/// What a run under a fault met.
struct Met {
    ledger: Ledger,
    /// The first error, and whether a write was refused as poisoned afterwards.
    first: Option<&'static str>,
    is_poisoned: bool,
    /// Reads that lacked something and said so.
    warned: usize,
}

/// Plays the workload on a disk that fails as it was told to. Every step is tried, whatever became of the one before.
fn play(fs: &SimFs, seed: u64) -> Result<Met, String> {
    let mut dice = Dice(seed);
    let mut met = Met {
        ledger: Ledger::default(),
        first: None,
        is_poisoned: false,
        warned: 0,
    };
    let mut db = None;
    for step in 0..STEPS {
        let choice = if step % 17 == 16 { 99 } else { dice.below(98) };
        let Some(handle) = open(fs, &mut db, &mut met) else {
            continue;
        };
        let was_poisoned = met.is_poisoned;
        let done = match choice {
            0..=39 => met.ledger.write(&handle, &mut dice),
            40..=54 => met.ledger.change(&handle, &mut dice),
            55..=74 => handle.step().map(|_| ()),
            75..=79 => handle.flush(),
            80..=84 => handle.sync(),
            85..=97 => {
                check_read(&handle, &mut met)?;
                continue;
            }
            _ => {
                drop(handle);
                let closed = db.take().map_or(Ok(()), Db::close);
                met.is_poisoned = false;
                closed
            }
        };
        if let Err(error) = done {
            let name = name(&error);
            met.ledger.note(name);
            met.first.get_or_insert(name);
            let stopped = matches!(error, Error::Poisoned(_) | Error::Fs(_));
            met.is_poisoned |= stopped && db.is_some();
        } else if was_poisoned && choice <= 54 {
            return Err("a poisoned database took a batch".into());
        }
        // Reads go on, also when writing has stopped.
        if let (Some(handle), true) = (&db, met.is_poisoned && !was_poisoned) {
            check_read(handle, &mut met)?;
            let refused = probe(handle);
            if !matches!(refused, Err(Error::Poisoned(_))) {
                return Err(format!("after {:?} a write gave {refused:?}", met.first));
            }
        }
    }
    Ok(met)
}

/// The database that is open, or one that is opened now.
fn open(fs: &SimFs, db: &mut Option<Db>, met: &mut Met) -> Option<Db> {
    if db.is_none() {
        match Db::open(options(fs)) {
            Ok(opened) => *db = Some(opened),
            Err(error) => {
                met.ledger.note(name(&error));
                met.first.get_or_insert(name(&error));
            }
        }
    }
    db.clone()
}

/// A read shows everything acknowledged, or says that something is missing.
fn check_read(db: &Db, met: &mut Met) -> Result<(), String> {
    match play::read(db, &[], i64::MIN, i64::MAX) {
        Ok((found, warnings)) => {
            met.warned += usize::from(warnings > 0);
            met.ledger
                .check(&found, warnings == 0)
                .map_err(|error| format!("reading: {error}"))
        }
        Err(error) => {
            met.warned += 1;
            met.ledger.note(name(&error));
            Ok(())
        }
    }
}

/// The database opened again on a disk that works: all acknowledged samples, nothing invented, and it takes writes.
fn check_healed(fs: &SimFs, met: &Met) -> Result<(), String> {
    fs.clear_faults();
    for attempt in ["reopened", "reopened twice"] {
        let db = Db::open(options(fs)).map_err(|error| format!("{attempt}: {error}"))?;
        let report = db.recovery();
        if !report.quarantined.is_empty() || report.lost_samples > 0 {
            return Err(format!("{attempt}: {report:?}"));
        }
        let (found, warnings) =
            play::read(&db, &[], i64::MIN, i64::MAX).map_err(|error| error.to_string())?;
        met.ledger
            .check(&found, true)
            .map_err(|error| format!("{attempt}: {error}"))?;
        if warnings > 0 {
            return Err(format!("{attempt}: {warnings} warnings"));
        }
        probe(&db).map_err(|error| format!("{attempt}: the first commit: {error}"))?;
        db.flush()
            .map_err(|error| format!("{attempt}: the first flush: {error}"))?;
        db.close().map_err(|error| format!("{attempt}: close: {error}"))?;
    }
    Ok(())
}

/// A full disk is met once and no more: nothing stops. After a failed sync, and after a failed write, which may be the
/// log's, it is not known what is on the disk, whatever the number of the error.
fn check_outcome(call: Call, fault: Fault, met: &Met) -> Result<(), String> {
    let may_stop = matches!(call, Call::SyncData | Call::SyncDir | Call::WriteAt);
    let errors: usize = met.ledger.outcomes.values().sum();
    if fault == Fault::Enospc && !may_stop && (errors > 1 || met.ledger.outcomes.contains_key("Poisoned")) {
        return Err(format!("a full disk stopped writing: {:?}", met.ledger.outcomes));
    }
    Ok(())
}

#[test]
fn every_call_may_fail() {
    let seed = from_environment("NARTHEX_SEED", SEED);
    let whole = SimFs::new();
    let met = play(&whole, seed).expect("without faults");
    assert_eq!(met.ledger.outcomes, BTreeMap::new(), "errors without faults");
    let calls = whole.calls();
    check_healed(&whole, &met).expect("without faults");
    let mut outcomes: BTreeMap<(String, &'static str), usize> = BTreeMap::new();
    let mut silent = 0;
    for fault in [Fault::Eio, Fault::Enospc, Fault::ShortRead] {
        for (index, call) in calls.iter().enumerate() {
            let fs = SimFs::new();
            fs.fail_nth(index as u64, fault);
            let tried = play(&fs, seed).and_then(|met| {
                check_outcome(*call, fault, &met)?;
                check_healed(&fs, &met)?;
                Ok(met)
            });
            let met = tried.unwrap_or_else(|error| {
                panic!("NARTHEX_SEED={seed}, call {index} ({call:?}) fails with {fault:?}: {error}")
            });
            for (name, count) in &met.ledger.outcomes {
                *outcomes.entry((format!("{fault:?}"), name)).or_default() += count;
            }
            silent += usize::from(met.first.is_none() && met.warned == 0);
        }
    }
    eprintln!(
        "faults: NARTHEX_SEED={seed}: {} calls, {} runs, {silent} without a visible error, {outcomes:?}",
        calls.len(),
        calls.len() * 3
    );
    let kinds: std::collections::BTreeSet<Call> = calls.iter().copied().collect();
    assert!(
        calls.len() >= 300 && kinds.len() >= 13,
        "{} calls of {kinds:?}",
        calls.len()
    );
}

/// After a failed sync or write of the log, writes are refused and reads go on until the database is opened again.
#[test]
fn a_failed_sync_stops_writing_and_not_reading() {
    for call in [Call::SyncData, Call::WriteAt] {
        let fs = SimFs::new();
        let db = Db::open(options(&fs)).expect("open");
        let mut ledger = Ledger::default();
        let mut dice = Dice(1);
        (0..5).for_each(|_| ledger.write(&db, &mut dice).expect("commit"));
        fs.fail_all(call, Fault::Eio);
        let failed = ledger.write(&db, &mut dice);
        assert!(matches!(failed, Err(Error::Poisoned(_))), "{call:?}: {failed:?}");
        fs.clear_faults();
        for _ in 0..3 {
            let refused = ledger.write(&db, &mut dice);
            assert!(
                matches!(refused, Err(Error::Poisoned(_))),
                "{call:?}: {refused:?}"
            );
            assert!(matches!(db.flush(), Err(Error::Poisoned(_))));
            assert!(matches!(db.step(), Err(Error::Poisoned(_))));
        }
        assert!(db.stats().expect("stats").poisoned.is_some());
        ledger.check(&play::read_all(&db), true).expect("reads go on");
        drop(db);
        let db = Db::open(options(&fs)).expect("reopen");
        ledger
            .check(&play::read_all(&db), true)
            .expect("everything acknowledged");
        ledger.write(&db, &mut dice).expect("opening again heals");
    }
}

/// Fills the disk to the last byte in many places: batches are refused whole, and go on by themselves.
#[test]
fn a_full_disk_refuses_and_goes_on() {
    let mut refused = 0;
    let mut unflushed = 0;
    for round in 0..120 {
        let fs = SimFs::new();
        let mut dice = Dice(round);
        let db = Db::open(options(&fs)).expect("open");
        let mut ledger = Ledger::default();
        (0..dice.below(40)).for_each(|_| ledger.write(&db, &mut dice).expect("commit"));
        fs.set_capacity(Some(fs.used_bytes() + dice.below(6000) as u64));
        for _ in 0..60 {
            let written = if dice.percent(25) {
                ledger.change(&db, &mut dice)
            } else {
                ledger.write(&db, &mut dice)
            };
            match written {
                Ok(()) => {}
                Err(Error::OutOfSpace(_)) => refused += 1,
                Err(error) => panic!("round {round}: {error}"),
            }
            if dice.percent(30) {
                match if dice.percent(50) {
                    db.flush()
                } else {
                    db.step().map(|_| ())
                } {
                    Ok(()) => {}
                    Err(Error::OutOfSpace(_)) => unflushed += 1,
                    Err(error) => panic!("round {round}: background work: {error}"),
                }
            }
            ledger.check(&play::read_all(&db), true).expect("reads go on");
        }
        assert!(ledger.unsure.is_empty());
        fs.set_capacity(None);
        ledger.write(&db, &mut dice).expect("there is space again");
        db.flush().expect("there is space again");
        ledger.write(&db, &mut dice).expect("after the flush");
        assert_eq!(play::read_all(&db), ledger.kept, "round {round}");
        let killed = fs.kill();
        drop(db);
        let db = Db::open(options(&killed)).expect("open after the kill");
        assert_eq!(play::read_all(&db), ledger.kept, "round {round}, after a kill");
    }
    eprintln!("faults: {refused} batches refused, {unflushed} flushes and steps put off");
    assert!(
        refused >= 500 && unflushed >= 100,
        "{refused} refused, {unflushed} put off"
    );
}
