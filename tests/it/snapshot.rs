//! Snapshots: the same answers as the database at that moment, a life of their own, and whole or nothing after a crash.

use crate::crash::story::{self, Story};
use crate::play::{self, Contents, DIR, Dice, from_environment};
use narthex::testing::{Call, CrashMode, Fault, Record, SimFs};
use narthex::{Db, Durability, Error, Fs, ManualClock, Options, Sample, Value};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

const SEED: u64 = 20_250_114;
const COPY: &str = "copies/one";

fn options(fs: &SimFs) -> Options {
    story::options(fs, Durability::Always)
}

fn open(fs: &SimFs) -> Db {
    Db::open(options(fs)).expect("the database opens")
}

fn options_of_copy(fs: &SimFs) -> Options {
    Options::new(COPY)
        .fs(Arc::new(fs.clone()))
        .clock(Arc::new(ManualClock::new(1_700_000_000_000)))
        .background(false)
        .wal_sizes(3 << 10, 1 << 10)
}

/// Everything there is to see.
fn all_of(db: &Db) -> (Contents, String) {
    let exemplars = db.exemplars(&[], ..).expect("exemplars");
    let rest = format!("{:?} {:?} {exemplars:?}", db.deletions(), db.metadata(None));
    (play::read_all(db), rest)
}

fn write(db: &Db, series: usize, timestamp: i64, value: f64) {
    let mut batch = db.batch();
    let sample = Sample {
        timestamp,
        value: Value::Float(value),
        start_timestamp: 0,
    };
    batch.push_sample(&play::series(series), &sample);
    assert_eq!(batch.commit().expect("a commit").floats, 1);
}

fn ulids(db: &Db) -> BTreeSet<u128> {
    db.segments().iter().map(|segment| segment.meta.ulid).collect()
}

/// A database that has seen everything, with something in every kind of file.
fn told(seed: u64) -> SimFs {
    let story = Story::play(seed, Durability::Always, 120, Record::Nothing);
    story.fs.kill()
}

#[test]
fn a_snapshot_shows_what_the_database_showed() {
    let seed = from_environment("NARTHEX_SEED", SEED);
    let (mut linked, mut copied, mut with_checkpoint) = (0, 0, 0);
    for number in 0..24 {
        let fs = told(seed + number);
        let db = open(&fs);
        for _ in 0..number % 5 {
            db.step().expect("a step");
        }
        if number % 3 == 0 {
            fs.fail_all(Call::HardLink, Fault::Eio);
        }
        let report = db.snapshot(COPY).expect("a snapshot");
        fs.clear_faults();
        let expected = all_of(&db);
        assert_eq!(report.missing, Vec::<std::path::PathBuf>::new());
        linked += report.segments_linked;
        copied += report.segments_copied;
        let names = fs.list(Path::new(COPY)).expect("the copy is a folder");
        with_checkpoint += usize::from(names.iter().any(|name| name.ends_with(".ckpt")));

        let copy = Db::open(options_of_copy(&fs)).expect("the snapshot opens");
        assert!(copy.recovery().gaps.is_empty(), "{:?}", copy.recovery());
        assert!(copy.verify().expect("a report").is_sound());
        assert_eq!(all_of(&copy), expected, "NARTHEX_SEED={}", seed + number);
    }
    assert!(linked > 20 && copied > 10, "{linked} linked, {copied} copied");
    assert!(with_checkpoint > 0, "some snapshots take a checkpoint along");
}

#[test]
fn both_go_on_without_each_other() {
    let fs = told(SEED);
    let db = open(&fs);
    db.snapshot(COPY).expect("a snapshot");
    let copy = Db::open(options_of_copy(&fs)).expect("the snapshot opens");
    let shared = ulids(&db);
    let before = play::read_all(&db);
    // The same numbers for everything from here on, and other values.
    for (one, value) in [(&db, 1.5), (&copy, 2.5)] {
        write(one, 7, 77, value);
        one.flush().expect("a flush");
        one.compact().expect("a merge");
        write(one, 7, 78, value);
    }
    let common: Vec<u128> = ulids(&db).intersection(&ulids(&copy)).copied().collect();
    assert!(common.iter().all(|ulid| shared.contains(ulid)), "{common:?}");
    drop((db, copy));
    for (options, value) in [(options(&fs), 1.5), (options_of_copy(&fs), 2.5)] {
        let mut expected = before.clone();
        for timestamp in [77, 78] {
            expected.insert((7, timestamp), (play::seen(&Value::Float(value)), 0));
        }
        assert_eq!(play::read_all(&Db::open(options).expect("it opens")), expected);
    }
}

#[test]
fn a_snapshot_outlives_its_database() {
    let fs = told(SEED + 1);
    let db = open(&fs);
    db.snapshot(COPY).expect("a snapshot");
    let expected = all_of(&db);
    db.close().expect("a clean close");
    for name in fs.list(Path::new(DIR)).expect("the folder") {
        fs.remove(&Path::new(DIR).join(name)).expect("a file");
    }
    for mode in CrashMode::ALL {
        let image = fs.crash(1, mode);
        let copy = Db::open(options_of_copy(&image)).expect("the snapshot opens");
        assert_eq!(all_of(&copy), expected, "{mode:?}");
    }
}

#[test]
fn an_interrupted_snapshot_is_whole_or_no_database() {
    let mut dice = Dice(SEED);
    let (mut whole, mut none, mut points_seen) = (0, 0, 0);
    for number in 0..4 {
        let fs = told(SEED + number);
        let db = open(&fs);
        if number == 1 {
            fs.fail_all(Call::HardLink, Fault::Eio);
        }
        fs.record(if number < 2 {
            Record::Syncs
        } else {
            Record::Changes
        });
        db.snapshot(COPY).expect("a snapshot");
        fs.record(Record::Nothing);
        fs.clear_faults();
        let expected = all_of(&db);
        let points = fs.take_crash_points();
        points_seen += points.len();
        for point in &points {
            for mode in CrashMode::ALL {
                let image = point.crash(dice.next(), mode);
                let what = format!("{mode:?} at call {} ({:?})", point.index, point.call);
                assert_eq!(all_of(&open(&image)), expected, "the original, {what}");
                if judge_copy(&image, &expected, &what) {
                    whole += 1;
                } else {
                    none += 1;
                }
            }
        }
    }
    eprintln!("snapshot: {points_seen} moments, {whole} images with a whole copy, {none} without");
    assert!(whole > 20 && none > 200, "{whole} {none}");
}

/// Whether the image holds a copy, which must then be whole.
fn judge_copy(image: &SimFs, expected: &(Contents, String), what: &str) -> bool {
    let has_manifest = image.exists(&Path::new(COPY).join("MANIFEST")).expect("a look");
    if !has_manifest {
        let opened = Db::open(options_of_copy(image).read_only(true));
        assert!(
            matches!(opened, Err(Error::NotFound(_))),
            "{what}: a part of a snapshot opens"
        );
        // Where nothing of it was left, a new database may begin.
        if let Ok(new) = Db::open(options_of_copy(image)) {
            assert_eq!(play::read_all(&new), Contents::new(), "{what}");
        }
        return false;
    }
    let copy = Db::open(options_of_copy(image)).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(all_of(&copy), *expected, "{what}");
    true
}

#[test]
fn a_failed_snapshot_leaves_an_empty_folder_and_the_database_well() {
    let fs = told(SEED + 2);
    let db = open(&fs);
    let calls = fs.call_count();
    db.snapshot(COPY).expect("a snapshot");
    let needed = fs.call_count() - calls;
    drop(db);
    let mut failures = 0;
    for index in (0..needed).step_by(3) {
        let fs = told(SEED + 2);
        let db = open(&fs);
        fs.fail_nth(fs.call_count() + index, Fault::Enospc);
        if db.snapshot(COPY).is_err() {
            failures += 1;
            if fs.exists(Path::new(COPY)).expect("a look") {
                let left = fs.list(Path::new(COPY)).expect("the folder");
                assert!(
                    left.iter().all(|name| name == "LOCK"),
                    "{left:?} after call {index} failed"
                );
            }
            db.snapshot(COPY).expect("a second attempt");
        }
        drop(db);
        assert!(open(&fs).verify().expect("a report").is_sound(), "call {index}");
    }
    assert!(failures > 10, "{failures}");
}

#[test]
fn what_cannot_be_is_refused() {
    let fs = told(SEED + 3);
    let db = open(&fs);
    let error = db.snapshot(DIR).expect_err("the folder of the database itself");
    assert!(matches!(error, Error::NotEmpty(_)), "{error}");
    db.snapshot(COPY).expect("a snapshot");
    let error = db.snapshot(COPY).expect_err("a second one into the same folder");
    assert!(matches!(error, Error::NotEmpty(_)), "{error}");
    drop(db);
    let reader = Db::open(options(&fs).read_only(true)).expect("a reader");
    assert!(matches!(reader.snapshot("elsewhere"), Err(Error::ReadOnly)));
    let memory = Db::open(Options::in_memory()).expect("a database in memory");
    assert!(matches!(
        memory.snapshot("elsewhere"),
        Err(Error::InvalidOptions(_))
    ));
}

/// On a real disk, beside writers, flushes and merges: every snapshot holds a run of the batches from the first on.
#[test]
fn snapshots_beside_writers_hold_a_run_of_batches() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    let options = Options::new(at("db"))
        .durability(Durability::Never)
        .wal_sizes(1 << 18, 1 << 16)
        .background(false);
    let db = Db::open(options).expect("a new database");
    let (begun, acknowledged) = (AtomicI64::new(0), AtomicI64::new(0));
    std::thread::scope(|scope| {
        let snapshots = scope.spawn(|| {
            for round in 0..12 {
                let least = acknowledged.load(Ordering::SeqCst);
                let target = at(&format!("copy-{round}"));
                db.snapshot(&target).expect("a snapshot");
                let most = begun.load(Ordering::SeqCst);
                let copy = Db::open(Options::new(&target).background(false)).expect("it opens");
                let count = count_run(&copy);
                assert!((least..=most).contains(&count), "{least} <= {count} <= {most}");
                assert!(copy.verify().expect("a report").is_sound());
            }
        });
        let mut number = 0;
        while !snapshots.is_finished() {
            begun.store(number + 1, Ordering::SeqCst);
            write(&db, (number % 3) as usize, number * 1_000, number as f64);
            number += 1;
            acknowledged.store(number, Ordering::SeqCst);
            if number % 40 == 0 {
                db.flush().expect("a flush");
            }
            if number % 160 == 0 {
                db.compact().expect("a merge");
            }
        }
    });
}

/// How many batches a copy holds, which must be the first ones.
fn count_run(db: &Db) -> i64 {
    let contents = play::read_all(db);
    let times: BTreeSet<i64> = contents.keys().map(|place| place.1).collect();
    for (expected, timestamp) in (0..).zip(&times) {
        assert_eq!(*timestamp, expected * 1_000, "a hole");
    }
    times.len() as i64
}
