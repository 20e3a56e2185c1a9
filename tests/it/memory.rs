//! A database in memory flushes, merges and forgets like one on a disk: what retention or a deletion drops gives its
//! memory back.

use crate::play::{self, Dice, read_all, series};
use narthex::{Db, Labels, ManualClock, Options};
use std::sync::Arc;
use std::time::Duration;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const SERIES: usize = 8;

fn options(clock: &Arc<ManualClock>) -> Options {
    Options::in_memory()
        .clock(clock.clone())
        .background(false)
        .segment_span(Duration::from_secs(60))
        .flush_samples_min(1)
}

fn settle(db: &Db) {
    while db.step().expect("a step") {}
}

/// A sample of each series every two seconds, with the clock beside them.
fn write(db: &Db, clock: &ManualClock, minutes: std::ops::Range<i64>) {
    for minute in minutes {
        clock.set((minute + 1) * MINUTE_MS);
        let mut batch = db.batch();
        for number in 0..SERIES {
            for second in (0..60).step_by(2) {
                let time = minute * MINUTE_MS + second * 1_000;
                batch.push(&series(number), time, (time ^ number as i64) as f64);
            }
        }
        assert_eq!(batch.commit().expect("a commit").floats, SERIES * 30);
        settle(db);
    }
}

fn samples(db: &Db) -> u64 {
    let stats = db.stats().expect("statistics");
    stats.head_samples + stats.segment_samples
}

fn oldest(db: &Db) -> i64 {
    let times = read_all(db).into_keys().map(|place| place.1);
    times.min().expect("a sample")
}

#[test]
fn what_is_too_old_goes() {
    let clock = Arc::new(ManualClock::new(0));
    let retention = Duration::from_secs(3_600);
    let db = Db::open(options(&clock).retention(retention)).expect("it opens");
    write(&db, &clock, 0..400);
    let kept = oldest(&db);
    // A segment is one tenth of the retention long at most, and goes when all of it is too old.
    let (due, late) = (340 * MINUTE_MS, 333 * MINUTE_MS);
    assert!((late..=due).contains(&kept), "the oldest sample is at {kept}");
    assert!(samples(&db) < (400 - 333) * SERIES as u64 * 30);
    assert!(db.verify().expect("a report").is_sound());
}

#[test]
fn what_is_too_much_goes() {
    let clock = Arc::new(ManualClock::new(0));
    let most = 200_000;
    let db = Db::open(options(&clock).retention_bytes(most)).expect("it opens");
    let mut dice = Dice(7);
    for minute in 0..300 {
        clock.set(minute * MINUTE_MS);
        let mut batch = db.batch();
        for number in 0..SERIES {
            for second in 0..20 {
                batch.push(
                    &series(number),
                    minute * MINUTE_MS + second * 1_000,
                    dice.next() as f64,
                );
            }
        }
        batch.commit().expect("a commit");
        settle(&db);
        assert!(db.stats().expect("statistics").segment_bytes <= most);
    }
    assert!(oldest(&db) > 100 * MINUTE_MS, "nothing was dropped");
    assert!(samples(&db) > 10_000, "more was dropped than had to be");
}

#[test]
fn what_a_deletion_hid_goes_when_it_is_withdrawn_no_more() {
    let clock = Arc::new(ManualClock::new(0));
    let window = Duration::from_secs(2 * 3_600);
    let db = Db::open(options(&clock).undelete_window(window)).expect("it opens");
    write(&db, &clock, 0..30);
    let before = read_all(&db);
    let kept = db.delete_series(&series(1), ..).expect("a delete");
    let _final = db.delete_series(&series(2), ..10 * MINUTE_MS).expect("a delete");
    // Hidden samples of the head go the same way as those of segments.
    write(&db, &clock, 30..32);
    db.delete_series(&series(3), 30 * MINUTE_MS..).expect("a delete");
    db.flush().expect("a flush");
    settle(&db);
    let all = (SERIES * 32 * 30) as u64;
    assert_eq!(
        samples(&db),
        all,
        "hidden samples stay as long as they can come back"
    );
    assert!(db.undelete(kept).expect("an undelete"));
    let back = read_all(&db);
    assert_eq!(back.len(), before.len() + SERIES * 60 - 10 * 30 - 60);

    clock.advance(3 * HOUR_MS);
    settle(&db);
    assert_eq!(samples(&db), all - 10 * 30 - 60, "hidden samples take memory");
    assert_eq!(read_all(&db), back);
    assert!(!db.step().expect("a step"), "it is done once");
    assert!(db.verify().expect("a report").is_sound());
}

/// Random writes, corrections and deletions show the same as on a disk.
#[test]
fn a_database_in_memory_shows_what_one_on_a_disk_shows() {
    for seed in 0..6 {
        let clock = Arc::new(ManualClock::new(0));
        let folder = tempfile::tempdir().expect("a folder");
        let disk = Options::new(folder.path())
            .clock(clock.clone())
            .background(false)
            .segment_span(Duration::from_secs(60))
            .flush_samples_min(1);
        let memory = Db::open(options(&clock).undelete_window(Duration::from_secs(600))).expect("it opens");
        let disk = Db::open(disk.undelete_window(Duration::from_secs(600))).expect("it opens");
        let mut dice = Dice(seed);
        for step in 0..60 {
            clock.set(step * MINUTE_MS);
            for db in [&memory, &disk] {
                act(db, step, &mut dice.clone());
                settle(db);
            }
            dice.next();
            assert_eq!(read_all(&memory), read_all(&disk), "seed {seed}, step {step}");
        }
        memory.compact().expect("a merge");
        assert_eq!(read_all(&memory), read_all(&disk), "seed {seed}, merged");
    }
}

fn act(db: &Db, step: i64, dice: &mut Dice) {
    dice.next();
    let labels: Labels = series(dice.below(3));
    let from = dice.below(60) as i64 * MINUTE_MS / 2;
    match dice.below(8) {
        0 => drop(
            db.delete_series(&labels, from..from + 9 * MINUTE_MS)
                .expect("a delete"),
        ),
        1 => {
            if let Some(one) = db.deletions().iter().find(|one| !one.is_withdrawn) {
                db.undelete(one.id).expect("an undelete");
            }
        }
        2 => db.flush().expect("a flush"),
        kind => {
            let mut batch = db.batch();
            for tick in 0..40 {
                let value = dice.next() as f64;
                match kind {
                    3 => batch.correct(&labels, from + tick * 7_000, value),
                    4 => batch.push(&labels, from + tick * 7_000, value),
                    _ => batch.push(&labels, step * MINUTE_MS + tick * 1_000, value),
                }
            }
            batch.commit().expect("a commit");
        }
    }
}

/// The thread that a database has by default also works for one in memory.
#[test]
fn the_background_thread_ends_with_the_database() {
    let db = Db::open(Options::in_memory()).expect("it opens");
    let mut batch = db.batch();
    batch.push(&series(0), 1, 1.0);
    batch.commit().expect("a commit");
    assert_eq!(play::read_all(&db).len(), 1);
    db.close().expect("a close");
}

#[test]
fn a_number_of_samples_makes_a_flush_due_but_not_a_storm() {
    const FLOOR: usize = 1 << 18;
    let options = Options::in_memory().background(false);
    for (wanted, due) in [
        (None, usize::MAX),
        (Some(1), FLOOR),
        (Some(FLOOR + 5_000), FLOOR + 5_000),
    ] {
        let options = options.clone();
        let options = match wanted {
            Some(samples) => options.flush_samples_max(samples as u64),
            None => options,
        };
        let db = Db::open(options).expect("it opens");
        let mut written = 0;
        for until in [FLOOR - 1, FLOOR, FLOOR + 4_999, FLOOR + 5_000] {
            let mut batch = db.batch();
            for number in written..until {
                batch.push(&series(number % SERIES), number as i64, number as f64);
            }
            batch.commit().expect("a commit");
            written = until;
            settle(&db);
            let stats = db.stats().expect("statistics");
            let is_flushed = stats.segment_samples > 0;
            assert_eq!(is_flushed, written >= due, "{wanted:?} at {written}");
        }
        assert_eq!(samples(&db), written as u64);
    }
}
