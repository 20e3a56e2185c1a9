//! Merges, retention, snapshots, backups and restores: cut off at every sync, and failed at every call of the file system.
//! What was there before or what is to be there after shows, never anything else, and the work is done again to its end.

use crate::play::{self, Contents, DIR, Dice, difference, from_environment, series, small_options_in};
use narthex::testing::{CrashMode, Fault, Record, SimFs};
use narthex::{Db, Durability, Error, Fs, ManualClock, Matcher, Options, Sample, Value};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const SEED: u64 = 20_250_611;
const TICK: i64 = 15_000;
const TICKS: i64 = 112;
const COPY: &str = "copies/one";
const BACKUPS: [&str; 2] = ["backups/full", "backups/second"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    /// Merges with overlaps, corrections and deletions that are final.
    Merge,
    RetentionByAge,
    RetentionByBytes,
    RetentionByRule,
    Snapshot,
    /// A full backup and one that leans on it.
    Backup,
    Restore,
}

const WORKS: [Work; 7] = [
    Work::Merge,
    Work::RetentionByAge,
    Work::RetentionByBytes,
    Work::RetentionByRule,
    Work::Snapshot,
    Work::Backup,
    Work::Restore,
];

fn options(work: Option<Work>, dir: &str, fs: &SimFs) -> Options {
    let clock = Arc::new(ManualClock::new(TICKS * TICK));
    let options = small_options_in(dir, fs, &clock)
        .wal_sizes(3 << 10, 1 << 10)
        .checkpoint_bytes_min(1 << 10)
        .compaction(matches!(work, Some(Work::Merge | Work::RetentionByRule)))
        .undelete_window(Duration::ZERO);
    let half = Duration::from_millis((TICKS / 2 * TICK) as u64);
    match work {
        Some(Work::RetentionByAge) => options.retention(half),
        Some(Work::RetentionByBytes) => options.retention_bytes(17 << 10),
        Some(Work::RetentionByRule) => options.retention_rule(vec![Matcher::re("zone", ".+")], half),
        _ => options,
    }
}

/// A disk with a database that has many segments, some of them over others, a log, and what the work begins with.
fn stage(work: Work, seed: u64) -> SimFs {
    let fs = SimFs::new();
    let db = Db::open(options(None, DIR, &fs)).expect("open");
    let mut dice = Dice(seed);
    for tick in 0..TICKS {
        let mut batch = db.batch();
        batch.durability(Durability::Never);
        for _ in 0..6 {
            let (number, late) = (dice.below(9), dice.below(9) as i64);
            let sample = Sample {
                timestamp: (tick - late * i64::from(dice.percent(30))) * TICK,
                value: Value::Float(play::float(&mut dice)),
                start_timestamp: 0,
            };
            match dice.percent(20) {
                true => batch.correct_sample(&series(number), &sample),
                false => batch.push_sample(&series(number), &sample),
            }
        }
        batch.commit().expect("commit");
        if tick % 40 == 25 {
            let range = (tick - 6) * TICK..tick * TICK;
            db.delete_series(&series(dice.below(9)), range).expect("delete");
        }
        if tick % 12 == 11 {
            db.flush().expect("flush");
        }
        if work == Work::Restore && tick == 60 {
            db.backup(BACKUPS[0], .., None).expect("a backup");
        }
    }
    if work == Work::Restore {
        let since = Some(Path::new(BACKUPS[0]));
        db.backup(BACKUPS[1], .., since).expect("a backup");
    }
    db.close().expect("close");
    fs.kill()
}

/// Does the work to its end, or to the first error; `each` is called after each of its steps.
fn carry_out(work: Work, fs: &SimFs, db: &Db, mut each: impl FnMut(&Db)) -> Result<(), Error> {
    match work {
        Work::Snapshot => db.snapshot(COPY).map(drop),
        Work::Backup => {
            let full = db.backup(BACKUPS[0], .., None)?;
            let since = Some(Path::new(BACKUPS[0]));
            let second = db.backup(BACKUPS[1], .., since)?;
            let is_all_known = second.segments_copied == 0;
            assert!(
                is_all_known || !full.is_sound(),
                "the first one has them all: {second:?}"
            );
            Ok(())
        }
        Work::Restore => Db::restore(&BACKUPS, &options(None, COPY, fs)).map(drop),
        _ => {
            while db.step()? {
                each(db);
            }
            Ok(())
        }
    }
}

/// What a database shows without warnings, or `None` when it said that something is missing.
fn shown(db: &Db) -> Option<Contents> {
    match play::read(db, &[], i64::MIN, i64::MAX) {
        Ok((contents, 0)) => Some(contents),
        _ => None,
    }
}

/// A work, and what may show while it goes on.
struct Trial {
    work: Work,
    /// By step.
    states: Vec<Contents>,
    last: Contents,
}

impl Trial {
    /// Opens what is left and finishes the work there.
    fn check(&self, fs: &SimFs, states: &[Contents]) -> Result<(), String> {
        let db = Db::open(options(Some(self.work), DIR, fs)).map_err(|error| format!("opening: {error}"))?;
        let report = db.recovery();
        if !report.gaps.is_empty() || !report.quarantined.is_empty() || report.lost_samples > 0 {
            return Err(format!("{report:?}"));
        }
        let found = play::read_all(&db);
        if !states.contains(&found) && !self.is_less(&found) {
            let differences: Vec<String> = states.iter().map(|state| difference(state, &found)).collect();
            return Err(differences.join("; or "));
        }
        self.check_copy(fs)?;
        self.finish(fs, &db)?;
        drop(db);
        let names = || fs.list(Path::new(DIR)).expect("the folder is there");
        let db = Db::open(options(None, DIR, fs)).map_err(|error| error.to_string())?;
        let (segments, names) = (db.segments().len(), names());
        let files = names.iter().filter(|name| name.ends_with(".seg")).count();
        if files != segments || names.iter().any(|name| name.ends_with(".tmp")) {
            return Err(format!("{segments} segments, and {names:?}"));
        }
        Ok(())
    }

    /// The work is done again, to its end.
    fn finish(&self, fs: &SimFs, db: &Db) -> Result<(), String> {
        if matches!(self.work, Work::Snapshot | Work::Backup | Work::Restore) {
            for dir in [COPY, BACKUPS[0], BACKUPS[1]] {
                if self.work != Work::Restore || dir == COPY {
                    clear(fs, dir);
                }
            }
        }
        carry_out(self.work, fs, db, |_| ()).map_err(|error| format!("once more: {error}"))?;
        let found = play::read_all(db);
        if found != self.last && !self.is_less(&found) {
            return Err(format!("at the end: {}", difference(&self.last, &found)));
        }
        if !self.check_copy(fs)? {
            return Err("no copy after the second attempt".into());
        }
        if !db.verify().map_err(|error| error.to_string())?.is_sound() {
            return Err("not sound at the end".into());
        }
        Ok(())
    }

    /// The log counts towards the bytes that are kept, and has grown by what another opening wrote, or by a file that could
    /// not be removed. More may go then, corrections as well.
    fn is_less(&self, found: &Contents) -> bool {
        self.work == Work::RetentionByBytes && found.keys().all(|place| self.last.contains_key(place))
    }

    /// A copy shows what the database shows, or is none.
    fn check_copy(&self, fs: &SimFs) -> Result<bool, String> {
        let has = |dir: &str, name: &str| fs.exists(&Path::new(dir).join(name)).expect("a look");
        match self.work {
            Work::Backup if has(BACKUPS[1], "BACKUP") && !has(COPY, "MANIFEST") => {
                let aside = fs.kill();
                let report = Db::restore(&BACKUPS, &options(None, COPY, &aside));
                let report = report.map_err(|error| format!("the restore: {error}"))?;
                if report.is_sound() {
                    self.check_opened(&aside)?;
                }
                Ok(true)
            }
            Work::Snapshot | Work::Restore if has(COPY, "MANIFEST") => self.check_opened(fs).map(|()| true),
            Work::Snapshot | Work::Restore => {
                let opened = Db::open(options(None, COPY, fs).read_only(true));
                match opened {
                    Err(Error::NotFound(_)) => Ok(false),
                    other => Err(format!("a copy without a manifest: {other:?}")),
                }
            }
            Work::Backup => Ok(false),
            _ => Ok(true),
        }
    }

    fn check_opened(&self, fs: &SimFs) -> Result<(), String> {
        let aside = fs.kill();
        let copy = Db::open(options(None, COPY, &aside)).map_err(|error| format!("the copy: {error}"))?;
        let found = play::read_all(&copy);
        if found == self.last {
            Ok(())
        } else {
            Err(format!("the copy: {}", difference(&self.last, &found)))
        }
    }
}

fn clear(fs: &SimFs, dir: &str) {
    let dir = Path::new(dir);
    if fs.exists(dir).expect("a look") {
        for name in fs.list(dir).expect("the folder is there") {
            fs.remove(&dir.join(name)).expect("a file");
        }
    }
}

/// Does the work once, watched.
fn watch(work: Work, staged: &SimFs, record: Record) -> (Trial, SimFs) {
    let fs = staged.kill();
    let db = Db::open(options(Some(work), DIR, &fs)).expect("open");
    let mut states = vec![play::read_all(&db)];
    fs.record(record);
    carry_out(work, &fs, &db, |db| {
        states.push(play::read_all(db));
        fs.set_tag(states.len() as u64 - 1);
    })
    .expect("without faults");
    fs.record(Record::Nothing);
    let last = play::read_all(&db);
    states.push(last.clone());
    let is_changing = matches!(
        work,
        Work::RetentionByAge | Work::RetentionByBytes | Work::RetentionByRule
    );
    assert_eq!(last != states[0], is_changing, "{work:?}");
    assert!(!last.is_empty());
    let trial = Trial { work, states, last };
    (trial, fs)
}

#[test]
fn every_sync_of_upkeep_may_be_the_last() {
    let seed = from_environment("NARTHEX_SEED", SEED);
    let mut dice = Dice(seed);
    for work in WORKS {
        let (trial, fs) = watch(work, &stage(work, seed), Record::Syncs);
        let points = fs.take_crash_points();
        for point in &points {
            let step = point.tag as usize;
            let states = &trial.states[step..(step + 2).min(trial.states.len())];
            let images = CrashMode::ALL.map(|mode| (format!("{mode:?}"), point.crash(dice.next(), mode)));
            for (mode, image) in images.into_iter().chain([("a kill".into(), point.kill())]) {
                let side = if point.is_after { "after" } else { "before" };
                trial.check(&image, states).unwrap_or_else(|error| {
                    panic!(
                        "NARTHEX_SEED={seed}: {work:?}: {mode} {side} call {} ({:?}), step {step}: {error}",
                        point.index, point.call
                    )
                });
            }
        }
        let modes = CrashMode::ALL.len() + 1;
        eprintln!(
            "upkeep: NARTHEX_SEED={seed} {work:?}: {} steps, {} sync points, {} images",
            trial.states.len() - 2,
            points.len(),
            points.len() * modes
        );
        assert!(points.len() >= 4, "{work:?}: {} sync points", points.len());
    }
}

#[test]
fn every_call_of_upkeep_may_fail() {
    let seed = from_environment("NARTHEX_SEED", SEED);
    for work in WORKS {
        let staged = stage(work, seed);
        let (trial, fs) = watch(work, &staged, Record::Nothing);
        let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
        // The opening is the same in every run, and the reads between the steps are left out.
        let count = {
            let fs = staged.kill();
            let db = Db::open(options(Some(work), DIR, &fs)).expect("open");
            let before = fs.call_count();
            carry_out(work, &fs, &db, |_| ()).expect("without faults");
            fs.call_count() - before
        };
        drop(fs);
        for fault in [Fault::Eio, Fault::Enospc, Fault::ShortRead] {
            for index in 0..count {
                let outcome = fail_once(&trial, &staged, index, fault).unwrap_or_else(|error| {
                    panic!("NARTHEX_SEED={seed}: {work:?}, call {index}, {fault:?}: {error}")
                });
                *outcomes.entry(format!("{fault:?} {outcome}")).or_default() += 1;
            }
        }
        eprintln!("upkeep: NARTHEX_SEED={seed} {work:?}: {count} calls failed in 3 ways: {outcomes:?}");
        assert!(count >= 10, "{work:?}: {count} calls");
    }
}

/// Does the work with one call failing, and looks at what is there then, and after it is opened again.
fn fail_once(trial: &Trial, staged: &SimFs, index: u64, fault: Fault) -> Result<&'static str, String> {
    let fs = staged.kill();
    let db = Db::open(options(Some(trial.work), DIR, &fs)).map_err(|error| error.to_string())?;
    fs.fail_nth(fs.call_count() + index, fault);
    let done = carry_out(trial.work, &fs, &db, |_| ());
    fs.clear_faults();
    let outcome = match &done {
        Ok(()) => "went on",
        Err(Error::Fs(_)) => "Fs",
        Err(Error::OutOfSpace(_)) => "OutOfSpace",
        Err(Error::Poisoned(_)) => "Poisoned",
        Err(Error::Corrupt(_)) => "Corrupt",
        Err(other) => return Err(format!("{other} is no answer to a failing disk")),
    };
    // Reads go on.
    if let Some(found) = shown(&db)
        && !trial.states.contains(&found)
        && !trial.is_less(&found)
    {
        return Err(format!("after {done:?}: {}", difference(&trial.last, &found)));
    }
    drop(db);
    trial
        .check(&fs, &trial.states)
        .map_err(|error| format!("after {done:?}: {error}"))?;
    Ok(outcome)
}
