//! What becomes of tiles: when something comes while they are made, when a file is damaged, in copies, after a power loss.

#![expect(clippy::disallowed_methods, reason = "files are damaged and removed")]

use super::single::{MINUTE_MS, QUERIES, check_against_samples, jobs, options, scrape, settle};
use super::world::START_MS;
use narthex::testing::{CrashMode, Record, SimFs};
use narthex::{Db, Durability, Fs, Matcher};
use std::path::Path;
use std::sync::Arc;

#[test]
fn a_tile_that_is_damaged_is_made_anew() {
    let dir = tempfile::tempdir().expect("a folder");
    let db = Db::open(options(dir.path())).expect("opens");
    let end = START_MS + 300 * MINUTE_MS;
    scrape(&db, (START_MS, end));
    settle(&db);
    let range_ms = (START_MS + 30 * MINUTE_MS, end);
    assert_eq!(check_against_samples(&db, range_ms), QUERIES.len());
    let of_samples: Vec<_> = db.segments().into_iter().map(|segment| segment.file).collect();
    db.close().expect("closes");
    let mut damaged = 0;
    for entry in std::fs::read_dir(dir.path()).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|end| end == "seg") && !of_samples.contains(&path) {
            let mut bytes = std::fs::read(&path).expect("reads");
            let at = if damaged == 0 { bytes.len() - 8 } else { 100 };
            bytes[at] ^= 0x55;
            std::fs::write(&path, bytes).expect("writes");
            damaged += 1;
        }
    }
    assert!(damaged >= 2, "{damaged} tiles");
    let db = Db::open(options(dir.path())).expect("opens");
    assert_eq!(db.recovery().quarantined.len(), 1);
    check_against_samples(&db, range_ms);
    settle(&db);
    check_against_samples(&db, range_ms);
    assert!(!db.verify().expect("verifies").is_sound());
}

#[test]
fn copies_have_the_rollups_too() {
    let dir = tempfile::tempdir().expect("a folder");
    let db = Db::open(options(&dir.path().join("here"))).expect("opens");
    let end = START_MS + 300 * MINUTE_MS;
    scrape(&db, (START_MS, end));
    settle(&db);
    let range_ms = (START_MS + 30 * MINUTE_MS, end);
    assert_eq!(check_against_samples(&db, range_ms), QUERIES.len());
    let snapshot = dir.path().join("snapshot");
    db.snapshot(&snapshot).expect("a snapshot");
    let backup = dir.path().join("backup");
    db.backup(&backup, .., None).expect("a backup");
    let restored = dir.path().join("restored");
    Db::restore(&[&backup], &options(&restored)).expect("restores");
    for copy in [&snapshot, &restored] {
        let copy = Db::open(options(copy)).expect("opens");
        assert_eq!(check_against_samples(&copy, range_ms), QUERIES.len());
        assert!(copy.verify().expect("verifies").is_sound());
    }
    // Attached, samples come anew, and what was rolled up before them is outdated.
    let other = Db::open(options(&dir.path().join("other"))).expect("opens");
    let mut batch = other.batch();
    batch.push(&jobs("a"), START_MS + 61 * MINUTE_MS, 1e6);
    batch.push(&jobs("a"), end, 1.0);
    batch.commit().expect("the batch is stored");
    settle(&other);
    other.attach(&[&backup]).expect("attaches");
    check_against_samples(&other, range_ms);
    settle(&other);
    assert_eq!(check_against_samples(&other, range_ms), QUERIES.len());
    // Without a manifest the doctor finds them again; whether they hold nobody knows.
    drop(db);
    std::fs::remove_file(dir.path().join("here/MANIFEST")).expect("removes");
    let here = options(&dir.path().join("here"));
    Db::doctor(&here).expect("a diagnosis").repair().expect("repairs");
    let db = Db::open(here).expect("opens");
    check_against_samples(&db, range_ms);
    settle(&db);
    assert_eq!(check_against_samples(&db, range_ms), QUERIES.len());
}

/// Whatever instant the power fails at, rollups say what samples say.
#[test]
fn a_power_loss_leaves_no_tile_that_is_wrong() {
    let fs = SimFs::default();
    let open = |fs: &SimFs| {
        let shared: Arc<dyn Fs> = Arc::new(fs.clone());
        Db::open(options(Path::new("db")).fs(shared).durability(Durability::Always)).expect("opens")
    };
    let db = open(&fs);
    fs.record(Record::Changes);
    let mut end = START_MS;
    for round in 0..6 {
        let begin = end;
        end += 60 * MINUTE_MS;
        scrape(&db, (begin, end));
        if round >= 2 {
            let mut batch = db.batch();
            batch.push(
                &jobs("b"),
                START_MS + (17 + round) * MINUTE_MS,
                5_000.0 + round as f64,
            );
            batch.commit().expect("the batch is stored");
            let hidden = START_MS + round * 23 * MINUTE_MS;
            db.delete(&[Matcher::eq("host", "a")], hidden..=hidden + 90_000)
                .expect("deletes");
        }
        settle(&db);
    }
    let points = fs.take_crash_points();
    fs.record(Record::Nothing);
    let (mut rolled, step) = (0, points.len().div_ceil(120).max(1));
    for (number, point) in points.iter().enumerate().step_by(step) {
        let mode = CrashMode::ALL[number % CrashMode::ALL.len()];
        let db = open(&point.crash(number as u64, mode));
        rolled += check_against_samples(&db, (START_MS + 10 * MINUTE_MS, end));
        settle(&db);
        check_against_samples(&db, (START_MS + 10 * MINUTE_MS, end));
    }
    assert!(rolled > 100, "{rolled} answers from rollups");
}

#[test]
fn what_comes_while_a_tile_is_made_is_not_forgotten() {
    let dir = tempfile::tempdir().expect("a folder");
    let db = Db::open(options(dir.path())).expect("opens");
    let end = START_MS + 300 * MINUTE_MS;
    scrape(&db, (START_MS, end));
    db.flush().expect("flushes");
    let is_being_made = |db: &Db| db.rollups().iter().any(|rollup| rollup.is_being_made);
    let mut late = 0;
    while db.step().expect("steps") {
        if is_being_made(&db) && late < 6 {
            let mut batch = db.batch();
            batch.push(&jobs("a"), START_MS + (20 + late) * 17 * MINUTE_MS + 7, 1e4);
            batch.commit().expect("the batch is stored");
            db.flush().expect("flushes");
            late += 1;
        }
    }
    assert_eq!(late, 6);
    let range_ms = (START_MS + 30 * MINUTE_MS, end);
    assert_eq!(check_against_samples(&db, range_ms), QUERIES.len());
    assert!(
        db.rollups().iter().all(|rollup| rollup.outdated.is_zero()),
        "{:?}",
        db.rollups()
    );
}
