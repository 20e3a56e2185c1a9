//! Attaching a backup to a running database: exact against a twin, whole or nothing after every crash and every failed
//! call, and refused by name when it does not fit.

use crate::play::{self, Dice, read_all, series};
use narthex::testing::{CrashMode, Fault, Record, SimFs};
use narthex::{
    Db, Error, Exemplar, Fs, Limits, ManualClock, Metadata, MetricType, Options, Precision, labels,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const SERIES: usize = 6;
const MINUTE_MS: i64 = 60_000;

fn options(fs: &SimFs, dir: &str) -> Options {
    Options::new(dir)
        .fs(Arc::new(fs.clone()))
        .clock(Arc::new(ManualClock::new(1_700_000_000_000)))
        .background(false)
        .wal_sizes(6 << 10, 2 << 10)
        .checkpoint_bytes_min(4 << 10)
        .segment_span(Duration::from_secs(600))
        .retention(Duration::from_secs(1 << 30))
}

fn open(fs: &SimFs, dir: &str) -> Db {
    Db::open(options(fs, dir)).expect("it opens")
}

/// What a database shows: value and whether it is a correction, by series and timestamp.
#[derive(Debug, Clone, Default, PartialEq)]
struct Twin(BTreeMap<(usize, i64), (u64, bool)>);

impl Twin {
    fn put(&mut self, place: (usize, i64), value: f64, is_correction: bool) {
        let new = (value.to_bits(), is_correction);
        let known = self.0.entry(place).or_insert(new);
        if is_correction {
            *known = new;
        }
    }

    /// Everything of `other`, as if written now.
    fn attach(&mut self, other: &Self) {
        for (place, (bits, is_correction)) in &other.0 {
            self.put(*place, f64::from_bits(*bits), *is_correction);
        }
    }

    fn check(&self, db: &Db, what: &str) {
        let found: BTreeMap<(usize, i64), u64> = floats(db);
        let expected: BTreeMap<_, _> = self.0.iter().map(|one| (*one.0, one.1.0)).collect();
        for (place, bits) in &expected {
            assert_eq!(found.get(place), Some(bits), "{what}: {place:?}");
        }
        assert_eq!(found.len(), expected.len(), "{what}: something was invented");
    }
}

fn floats(db: &Db) -> BTreeMap<(usize, i64), u64> {
    let mut all = BTreeMap::new();
    for found in db.select(&[], ..).expect("a selection") {
        let found = found.expect("a series");
        let number = play::number_of(found.labels());
        for sample in found.samples() {
            let value = sample.value.as_float().expect("a float");
            all.insert((number, sample.timestamp), value.to_bits());
        }
    }
    all
}

/// Random writes, corrections, deletions, flushes and merges, with what they come to.
fn play_on(db: &Db, twin: &mut Twin, dice: &mut Dice, steps: usize) {
    for _ in 0..steps {
        let number = dice.below(SERIES);
        let from = dice.below(120) as i64 * MINUTE_MS;
        match dice.below(10) {
            0 => {
                let to = from + dice.below(30) as i64 * MINUTE_MS;
                db.delete_series(&series(number), from..=to).expect("a delete");
                twin.0
                    .retain(|place, _| place.0 != number || !(from..=to).contains(&place.1));
            }
            1 => db.flush().expect("a flush"),
            2 => db.compact().expect("a merge"),
            kind => {
                let mut batch = db.batch();
                for tick in 0..dice.below(40) as i64 {
                    let (place, value) = ((number, from + tick * MINUTE_MS / 2), dice.below(9) as f64);
                    if kind == 3 {
                        batch.correct(&series(number), place.1, value);
                    } else {
                        batch.push(&series(number), place.1, value);
                    }
                    twin.put(place, value, kind == 3);
                }
                batch.commit().expect("a commit");
            }
        }
    }
}

/// A database with a backup beside it, and what both show.
fn told(fs: &SimFs, dice: &mut Dice) -> (Db, Twin, Twin) {
    let (mut theirs, mut ours) = (Twin::default(), Twin::default());
    let other = open(fs, "other");
    play_on(&other, &mut theirs, dice, 40);
    other.backup("backup", .., None).expect("a backup");
    let db = open(fs, "db");
    play_on(&db, &mut ours, dice, 30);
    (db, ours, theirs)
}

#[test]
fn a_twin_shows_the_same() {
    let mut dice = Dice(play::from_environment("NARTHEX_SEED", 77));
    for round in 0..40 {
        let fs = SimFs::new();
        let (db, mut twin, theirs) = told(&fs, &mut dice);
        let report = db.attach(&["backup"]).expect("an attachment");
        assert!(
            report.segments > 0 && report.samples as usize >= theirs.0.len(),
            "{report:?}"
        );
        twin.attach(&theirs);
        twin.check(&db, &format!("round {round}, attached"));
        assert!(db.verify().expect("a report").is_sound());
        match round % 3 {
            0 => play_on(&db, &mut twin, &mut dice, 30),
            1 => drop(db.attach(&["backup"]).expect("the same once more")),
            _ => db.compact().expect("a merge"),
        }
        twin.check(&db, &format!("round {round}, gone on"));
        db.close().expect("a close");
        let db = open(&fs, "db");
        twin.check(&db, &format!("round {round}, opened again"));
        play_on(&db, &mut twin, &mut dice, 10);
        db.compact().expect("a merge");
        twin.check(&db, &format!("round {round}, merged"));
        let report = db.backup("once more", .., None).expect("a backup");
        assert!(report.is_sound());
        Db::restore(&["once more"], &options(&fs, "restored")).expect("a restore");
        twin.check(&open(&fs, "restored"), &format!("round {round}, restored"));
    }
}

/// What was deleted here before stays open for what comes, and what is deleted afterwards is hidden.
#[test]
fn deletions_on_both_sides_are_minded() {
    let fs = SimFs::new();
    let put = |db: &Db, times: std::ops::Range<i64>, value: f64| {
        let mut batch = db.batch();
        times.for_each(|time| batch.push(&series(0), time, value));
        batch.commit().expect("a commit");
    };
    let shown = |db: &Db| -> Vec<(i64, f64)> {
        let all = floats(db).into_iter();
        all.map(|((_, time), bits)| (time, f64::from_bits(bits)))
            .collect()
    };
    let other = open(&fs, "other");
    put(&other, 0..10, 1.0);
    let withdrawn = other.delete_series(&series(0), 2..4).expect("a delete");
    put(&other, 2..3, 2.0);
    assert!(other.undelete(withdrawn).expect("an undelete"));
    other.delete_series(&series(0), 8..).expect("a delete");
    other.backup("backup", .., None).expect("a backup");
    let theirs = shown(&other);

    let db = open(&fs, "db");
    put(&db, 0..1, 9.0);
    let before = db.delete_series(&series(0), ..).expect("a delete");
    db.attach(&["backup"]).expect("an attachment");
    assert_eq!(shown(&db), theirs);
    assert!(db.undelete(before).expect("an undelete"));
    assert_eq!(shown(&db), theirs, "what was written since stays");
    let after = db.delete_series(&series(0), 3..).expect("a delete");
    assert_eq!(shown(&db), theirs[..3]);
    db.flush().expect("a flush");
    assert!(db.undelete(after).expect("an undelete"));
    assert_eq!(shown(&db), theirs);
    put(&db, 0..12, 7.0);
    let mut expected = theirs.clone();
    expected.extend((8..12).map(|time| (time, 7.0)));
    assert_eq!(shown(&db), expected, "what was attached was first");
    db.compact().expect("a merge");
    assert_eq!(shown(&db), expected);
}

#[test]
fn exemplars_metadata_and_chains_come_along() {
    let fs = SimFs::new();
    let clock = Arc::new(ManualClock::new(0));
    let other = Db::open(options(&fs, "other").clock(clock.clone())).expect("it opens");
    for part in 0..3i64 {
        clock.advance(1);
        let mut batch = other.batch();
        batch.push(&series(0), part, part as f64);
        batch.push_exemplar(
            &series(0),
            &Exemplar {
                labels: labels! { "trace" => &part.to_string() },
                value: 1.0,
                timestamp: part * 100 * MINUTE_MS,
            },
        );
        let metadata = Metadata {
            metric_type: MetricType::Counter,
            help: part.to_string(),
            ..Metadata::default()
        };
        batch.push_metadata("requests_total", &metadata);
        batch.commit().expect("a commit");
        let since = (part > 0).then(|| format!("backup-{}", part - 1));
        let dir = format!("backup-{part}");
        other
            .backup(dir, .., since.as_deref().map(Path::new))
            .expect("a backup");
    }
    let db = open(&fs, "db");
    for _ in 0..2 {
        db.attach(&["backup-0", "backup-1", "backup-2"])
            .expect("an attachment");
        assert_eq!(read_all(&db), read_all(&other));
        assert_eq!(db.metadata(None), other.metadata(None));
        db.compact().expect("a merge");
        let exemplars = |db: &Db| db.exemplars(&[], ..).expect("exemplars");
        assert_eq!(exemplars(&db), exemplars(&other));
    }
    let refused = db
        .attach(&["backup-1"])
        .expect_err("a chain without its beginning");
    assert!(refused.to_string().contains("backup-1"), "{refused}");
}

#[test]
fn writers_and_readers_go_on_meanwhile() {
    let fs = SimFs::new();
    let mut dice = Dice(5);
    let (db, mut twin, theirs) = told(&fs, &mut dice);
    std::thread::scope(|scope| {
        let writer = db.clone();
        scope.spawn(move || {
            for time in 0..200 {
                let mut batch = writer.batch();
                batch.push(&series(SERIES), time, time as f64);
                assert_eq!(batch.commit().expect("a commit").floats, 1);
            }
        });
        for _ in 0..3 {
            db.attach(&["backup"]).expect("an attachment");
        }
    });
    (0..200).for_each(|time| twin.put((SERIES, time), time as f64, false));
    twin.attach(&theirs);
    twin.check(&db, "written meanwhile");
    drop(db);
    twin.check(&open(&fs, "db"), "opened again");
}

/// The image opens and shows all of the attachment or nothing of it; then it can be attached.
fn judge(image: &SimFs, ours: &Twin, both: &Twin, what: &str) -> bool {
    let db = Db::open(options(image, "db")).unwrap_or_else(|error| panic!("{what}: {error}"));
    let is_there = floats(&db).len() != ours.0.len();
    (if is_there { both } else { ours }).check(&db, what);
    assert!(db.verify().expect("a report").is_sound(), "{what}");
    let names = image.list(Path::new("db")).expect("the folder");
    assert!(
        !names.iter().any(|name| name.ends_with(".tmp")),
        "{what}: {names:?}"
    );
    db.attach(&["backup"])
        .unwrap_or_else(|error| panic!("{what}, and again: {error}"));
    both.check(&db, what);
    is_there
}

#[test]
fn a_crash_leaves_all_of_it_or_nothing() {
    let fs = SimFs::new();
    let mut dice = Dice(11);
    let (db, ours, theirs) = told(&fs, &mut dice);
    let mut both = ours.clone();
    both.attach(&theirs);
    assert!(both.0.len() > ours.0.len());
    fs.record(Record::Changes);
    db.attach(&["backup"]).expect("an attachment");
    let points = fs.take_crash_points();
    fs.record(Record::Nothing);
    let (mut whole, mut none) = (0, 0);
    for point in &points {
        let what = format!("{} ({:?})", point.index, point.call);
        for mode in CrashMode::ALL {
            let image = point.crash(dice.next(), mode);
            if judge(&image, &ours, &both, &format!("{mode:?} at {what}")) {
                whole += 1;
            } else {
                none += 1;
            }
        }
        judge(&point.kill(), &ours, &both, &format!("kill at {what}"));
    }
    eprintln!(
        "attach: {} points, {whole} images with it, {none} without",
        points.len()
    );
    assert!(whole > 3 && none > 50, "{whole} {none}");
}

#[test]
fn every_call_of_an_attachment_may_fail() {
    let (mut index, mut outcomes) = (0, BTreeMap::new());
    let told_once = SimFs::new();
    let (db, ours, theirs) = told(&told_once, &mut Dice(12));
    drop(db);
    let mut both = ours.clone();
    both.attach(&theirs);
    loop {
        let mut has_met = false;
        for fault in [Fault::Eio, Fault::Enospc, Fault::ShortRead] {
            let fs = told_once.kill();
            let db = open(&fs, "db");
            let first = fs.call_count();
            fs.fail_nth(first + index, fault);
            let attached = db.attach(&["backup"]);
            has_met |= fs.call_count() > first + index;
            fs.clear_faults();
            let call = fs.calls().get((first + index) as usize).copied();
            let what = format!("call {index} ({call:?}) fails with {fault:?}: {attached:?}");
            let outcome = match &attached {
                Ok(_) => "Ok",
                Err(Error::Poisoned(_)) => "Poisoned",
                Err(Error::OutOfSpace(_)) => "OutOfSpace",
                Err(Error::Fs(_)) => "Fs",
                Err(_) => panic!("{what}"),
            };
            *outcomes.entry(outcome).or_insert(0) += 1;
            (if attached.is_ok() { &both } else { &ours }).check(&db, &what);
            drop(db);
            judge(&fs, &ours, &both, &what);
        }
        if !has_met {
            break;
        }
        index += 1;
    }
    eprintln!("attach: {index} calls, {outcomes:?}");
    assert!(index >= 20, "{index} calls");
    for met in ["Ok", "Fs", "OutOfSpace"] {
        assert!(outcomes.contains_key(met), "{outcomes:?}");
    }
}

#[test]
fn what_does_not_fit_is_refused_by_name_and_changes_nothing() {
    let fs = SimFs::new();
    let (db, ours, _) = told(&fs, &mut Dice(13));
    db.flush().expect("a flush");
    let segments = db.segments().len();
    let refused = |fs: &SimFs, options: Options, name: &str| {
        drop(Db::open(options.clone()).expect("it opens").close());
        let db = Db::open(options).expect("it opens");
        let error = db.attach(&["backup"]).expect_err(name);
        assert!(error.to_string().contains(name), "{error} does not name {name}");
        let names = fs.list(Path::new("db")).expect("the folder");
        assert_eq!(
            names.iter().filter(|name| name.ends_with(".seg")).count(),
            segments
        );
    };
    db.close().expect("a close");
    let mut limits = Limits::default();
    limits.label_value_bytes_max = 10;
    refused(
        &fs,
        options(&fs, "db").limits(limits.clone()),
        "label_value_too_long",
    );
    limits = Limits::default();
    limits.labels_per_series_max = 2;
    refused(&fs, options(&fs, "db").limits(limits.clone()), "too_many_labels");
    limits = Limits::default();
    limits.series_max = 2;
    refused(&fs, options(&fs, "db").limits(limits), "more than 2 series");
    let early = Arc::new(ManualClock::new(0));
    let future = options(&fs, "db")
        .clock(early)
        .future_limit(Some(Duration::from_secs(1)));
    refused(&fs, future, "too far in the future");

    let names = fs.list(Path::new("backup")).expect("the backup");
    for name in &names {
        let path = Path::new("backup").join(name);
        if name == "LOCK" {
            continue;
        }
        for at in [0, 20, fs.file_len(&path).expect("a length") / 2] {
            let damaged = fs.kill();
            damaged.flip(&path, at, 1).expect("a flip");
            refused(&damaged, options(&damaged, "db"), name);
        }
        let damaged = fs.kill();
        damaged.remove(&path).expect("a removal");
        refused(&damaged, options(&damaged, "db"), name);
    }
    assert!(names.len() > 2, "{names:?}");
    ours.check(&open(&fs, "db"), "after all");

    let seconds = options(&fs, "seconds").precision(Precision::Seconds);
    let seconds = Db::open(seconds).expect("it opens");
    let error = seconds.attach(&["backup"]).expect_err("another unit");
    assert!(error.to_string().contains("backup"), "{error}");
    let memory = Db::open(Options::in_memory()).expect("it opens");
    assert!(matches!(
        memory.attach(&["backup"]),
        Err(Error::InvalidOptions(_))
    ));
    let reader = Db::open(options(&fs, "db").read_only(true)).expect("it opens");
    assert!(matches!(reader.attach(&["backup"]), Err(Error::ReadOnly)));
}
