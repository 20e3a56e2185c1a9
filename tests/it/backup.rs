//! Backups: full and incremental, of a time range, verified while they are written, and restored whole or not at all.

use crate::crash::story::{self, Story};
use crate::play::{self, Contents, DIR, Dice, from_environment};
use narthex::testing::{CrashMode, Record, SimFs};
use narthex::{Db, Durability, Error, Fs, ManualClock, Matcher, Options, Sample, Value};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SEED: u64 = 20_250_203;
const RESTORED: &str = "restored/db";

fn open(fs: &SimFs) -> Db {
    Db::open(story::options(fs, Durability::Always)).expect("the database opens")
}

fn options_of_restored(fs: &SimFs) -> Options {
    Options::new(RESTORED)
        .fs(Arc::new(fs.clone()))
        .clock(Arc::new(ManualClock::new(1_700_000_000_000)))
        .background(false)
        .wal_sizes(3 << 10, 1 << 10)
}

fn told(seed: u64) -> SimFs {
    Story::play(seed, Durability::Always, 120, Record::Nothing)
        .fs
        .kill()
}

/// Samples, exemplars, metadata and the deletions that are in force.
fn all_of(db: &Db) -> (Contents, String) {
    let exemplars = db.exemplars(&[], ..).expect("exemplars");
    (
        play::read_all(db),
        format!("{:?} {exemplars:?}", db.metadata(None)),
    )
}

fn write(db: &Db, series: usize, times: std::ops::Range<i64>) {
    for timestamp in times {
        let mut batch = db.batch();
        let sample = Sample {
            timestamp,
            value: Value::Float(timestamp as f64),
            start_timestamp: 0,
        };
        batch.push_sample(&play::series(series), &sample);
        assert_eq!(batch.commit().expect("a commit").floats, 1);
    }
}

fn segments_in(fs: &SimFs, dir: &str) -> Vec<PathBuf> {
    let names = fs.list(Path::new(dir)).expect("the folder");
    let segments = names.into_iter().filter(|name| name.ends_with(".seg"));
    segments.map(|name| Path::new(dir).join(name)).collect()
}

#[test]
fn a_chain_of_backups_gives_the_database_of_its_last_one() {
    let seed = from_environment("NARTHEX_SEED", SEED);
    let mut known = 0;
    for number in 0..12 {
        let fs = told(seed + number);
        let db = open(&fs);
        let mut expected = Vec::new();
        let mut chain: Vec<String> = Vec::new();
        let deleted = db.delete(&[Matcher::re("zone", ".+")], 0..i64::MAX / 2);
        let deleted = deleted.expect("a delete");
        for link in 0..3 {
            write(&db, link, link as i64 * 100..link as i64 * 100 + 30);
            match link {
                1 if number % 2 == 0 => assert!(db.undelete(deleted).expect("an undelete")),
                2 if number % 3 == 0 => db.compact().expect("a merge"),
                _ => {}
            }
            let dir = format!("backups/{link}");
            let since = chain.last().map(PathBuf::from);
            let report = db.backup(&dir, .., since.as_deref()).expect("a backup");
            assert!(report.is_sound(), "{report:?}");
            assert_eq!(report.segments_copied, segments_in(&fs, &dir).len());
            known += report.segments_known;
            chain.push(dir);
            expected.push(all_of(&db));
        }
        for (links, expected) in (1..).zip(expected) {
            let fs = fs.kill();
            let report =
                Db::restore(&chain[..links], &options_of_restored(&fs)).expect("a restore of the chain");
            assert!(report.is_sound(), "{report:?}");
            let restored = Db::open(options_of_restored(&fs)).expect("it opens");
            let what = format!("NARTHEX_SEED={}, {links} links", seed + number);
            assert_eq!(all_of(&restored), expected, "{what}");
            assert!(restored.verify().expect("a report").is_sound(), "{what}");
            write(&restored, 7, 900..930);
            restored.flush().expect("a flush");
            restored.compact().expect("a merge");
            drop(restored);
            let restored = Db::open(options_of_restored(&fs)).expect("it opens again");
            assert_eq!(play::read_all(&restored).len(), expected.0.len() + 30, "{what}");
        }
    }
    assert!(known > 12, "incremental backups copied everything anew: {known}");
}

/// A delete that no flush has taken along yet is in force in the backup.
#[test]
fn deletes_after_the_last_flush_are_in_the_backup() {
    let fs = SimFs::new();
    let db = open(&fs);
    write(&db, 0, 0..40);
    db.flush().expect("a flush");
    let id = db.delete_series(&play::series(0), 10..20).expect("a delete");
    db.backup("backup", .., None).expect("a backup");
    Db::restore(&["backup"], &options_of_restored(&fs)).expect("a restore");
    let restored = Db::open(options_of_restored(&fs)).expect("it opens");
    assert_eq!(play::read_all(&restored).len(), 30);
    // It is known by the same id, and new writes come after it.
    write(&restored, 0, 10..12);
    assert_eq!(play::read_all(&restored).len(), 32);
    assert!(restored.undelete(id).expect("an undelete"));
    assert_eq!(play::read_all(&restored).len(), 40);
}

#[test]
fn a_range_takes_the_segments_that_overlap_it() {
    let fs = SimFs::new();
    let db = open(&fs);
    for part in 0..4 {
        write(&db, 0, part * 1_000..part * 1_000 + 10);
        db.flush().expect("a flush");
    }
    let report = db.backup("backup", 1_005..2_001, None).expect("a backup");
    assert_eq!(report.segments_copied, 2);
    Db::restore(&["backup"], &options_of_restored(&fs)).expect("a restore");
    let restored = Db::open(options_of_restored(&fs)).expect("it opens");
    let times: Vec<i64> = play::read_all(&restored).keys().map(|place| place.1).collect();
    assert_eq!(times, (1_000..1_010).chain(2_000..2_010).collect::<Vec<i64>>());
    let error = db.backup("elsewhere", 5..5, None).expect_err("an empty range");
    assert!(matches!(error, Error::InvalidOptions(_)), "{error}");
}

#[test]
fn damage_is_told_of_when_it_is_backed_up_and_when_it_is_restored() {
    let fs = SimFs::new();
    let db = open(&fs);
    for part in 0..3 {
        write(&db, 0, part * 1_000..part * 1_000 + 10);
        db.flush().expect("a flush");
    }
    db.backup("sound", .., None).expect("a backup");
    let source = segments_in(&fs, DIR);
    fs.flip(&source[1], 90, 4).expect("a flip");
    let report = db.backup("damaged", .., None).expect("a backup");
    assert!(
        !report.is_sound() && report.faults[0].contains("damaged"),
        "{report:?}"
    );
    assert_eq!(report.segments_copied, 3);
    fs.remove(&source[2]).expect("a removal");
    let report = db.backup("partial", .., None).expect("a backup");
    assert_eq!(
        (report.segments_copied, report.faults.len()),
        (2, 2),
        "{report:?}"
    );

    let held = segments_in(&fs, "sound");
    fs.flip(&held[0], 90, 4).expect("a flip");
    fs.remove(&held[1]).expect("a removal");
    let report = Db::restore(&["sound"], &options_of_restored(&fs)).expect("a restore");
    assert_eq!(report.faults.len(), 2, "{report:?}");
    let restored = Db::open(options_of_restored(&fs)).expect("it opens");
    let (contents, warnings) = play::read(&restored, &[], i64::MIN, i64::MAX).expect("reading");
    assert!(contents.keys().all(|place| place.1 >= 2_000) && contents.len() == 10);
    assert_eq!(warnings, 2, "what is missing is said");
}

#[test]
fn a_chain_must_be_whole_and_in_order() {
    let fs = SimFs::new();
    let db = open(&fs);
    write(&db, 0, 0..10);
    db.backup("full", .., None).expect("a backup");
    write(&db, 0, 10..20);
    db.backup("second", .., Some(Path::new("full")))
        .expect("a backup");
    db.backup("third", .., Some(Path::new("second")))
        .expect("a backup");
    let options = options_of_restored(&fs);
    for chain in [&["second"][..], &["full", "third"], &["second", "full"], &[]] {
        let refused = Db::restore(chain, &options);
        assert!(matches!(refused, Err(Error::InvalidOptions(_))), "{chain:?}");
    }
    let list = Path::new("second/BACKUP");
    for at in 0..fs.file_len(list).expect("the list") {
        let damaged = fs.kill();
        damaged.flip(list, at, 1).expect("a flip");
        let refused = Db::restore(&["full", "second"], &options_of_restored(&damaged));
        assert!(matches!(refused, Err(Error::Corrupt(_))), "byte {at}");
    }
    fs.set_capacity(Some(fs.used_bytes() + 100));
    let refused = db.backup("fourth", .., None);
    assert!(matches!(refused, Err(Error::OutOfSpace(_))), "{refused:?}");
    fs.set_capacity(None);
    assert!(Db::restore(&["full", "second", "third"], &options).is_ok());
}

#[test]
fn an_interrupted_backup_or_restore_is_whole_or_nothing() {
    let mut dice = Dice(SEED);
    let (mut whole, mut none) = (0, 0);
    for number in 0..3 {
        let fs = told(SEED + number);
        let db = open(&fs);
        fs.record(Record::Syncs);
        db.backup("backup", .., None).expect("a backup");
        let backing_up = fs.take_crash_points();
        Db::restore(&["backup"], &options_of_restored(&fs)).expect("a restore");
        let restoring = fs.take_crash_points();
        fs.record(Record::Nothing);
        let expected = all_of(&db);
        for point in &backing_up {
            for mode in CrashMode::ALL {
                let image = point.crash(dice.next(), mode);
                if image.exists(Path::new("backup/BACKUP")).expect("a look") {
                    let report = Db::restore(&["backup"], &options_of_restored(&image));
                    assert!(report.expect("a restore").is_sound());
                    whole += 1;
                    judge(&image, &expected);
                } else {
                    none += 1;
                }
            }
        }
        for point in &restoring {
            for mode in CrashMode::ALL {
                let image = point.crash(dice.next(), mode);
                if image
                    .exists(&Path::new(RESTORED).join("MANIFEST"))
                    .expect("a look")
                {
                    whole += 1;
                    judge(&image, &expected);
                } else {
                    let opened = Db::open(options_of_restored(&image).read_only(true));
                    assert!(matches!(opened, Err(Error::NotFound(_))));
                    none += 1;
                }
            }
        }
    }
    eprintln!("backup: {whole} images with something whole, {none} with nothing");
    assert!(whole > 10 && none > 100, "{whole} {none}");
}

fn judge(image: &SimFs, expected: &(Contents, String)) {
    let restored = Db::open(options_of_restored(image)).expect("it opens");
    assert_eq!(all_of(&restored), *expected);
}
