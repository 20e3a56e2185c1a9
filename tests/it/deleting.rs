//! Readers beside deletes and undeletes: a view is fixed, and no series is ever seen half deleted.

use narthex::testing::SimFs;
use narthex::{CommitReport, Db, Durability, Labels, ListOptions, Matcher, Options, Series, labels};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const WATCHED: usize = 40;
/// So many other series stand before them that the watched ones lie in two slabs.
const OTHERS: usize = 1_000;
/// Timestamps of a watched series: the first and the last are never deleted.
const TICKS: i64 = 12;
const MIDDLE: std::ops::RangeInclusive<i64> = 1..=TICKS - 2;

fn watched(number: usize) -> Labels {
    labels! { "__name__" => "watched", "number" => &format!("{number:02}") }
}

fn matchers() -> [Matcher; 1] {
    [Matcher::eq("__name__", "watched")]
}

fn options(fs: &SimFs) -> Options {
    Options::new("db")
        .fs(Arc::new(fs.clone()))
        .background(false)
        .durability(Durability::Never)
        .wal_sizes(64 << 10, 16 << 10)
}

fn begin(fs: &SimFs, options: Options) -> Db {
    let db = Db::open(options.fs(Arc::new(fs.clone()))).unwrap();
    let mut batch = db.batch();
    for number in 0..OTHERS {
        batch.push(
            &labels! { "__name__" => "other", "number" => &number.to_string() },
            0,
            1.0,
        );
    }
    batch.commit().unwrap();
    write(&db, 0..=TICKS - 1, 0);
    db
}

/// Writes one version of all watched series in one batch; every place must be empty.
fn write(db: &Db, range: std::ops::RangeInclusive<i64>, version: u64) {
    let count = range.clone().count() * WATCHED;
    let report = try_to_write(db, range, version);
    assert_eq!((report.floats, report.duplicates), (count, 0), "{report:?}");
}

/// The same, whatever becomes of it.
fn try_to_write(db: &Db, range: std::ops::RangeInclusive<i64>, version: u64) -> CommitReport {
    let mut batch = db.batch();
    for number in 0..WATCHED {
        for tick in range.clone() {
            batch.push(&watched(number), tick, version as f64);
        }
    }
    batch.commit().unwrap()
}

/// The version that a series shows in its middle, if any: everywhere the same, between the two ends.
fn version(series: &Series) -> Option<u64> {
    let (times, bits) = (series.float_timestamps(), series.float_bits());
    let ends = [0, TICKS - 1];
    assert_eq!([times[0], times[times.len() - 1]], ends, "{:?}", series.labels());
    if times.len() == ends.len() {
        return None;
    }
    assert!(
        times.iter().copied().eq(0..TICKS),
        "half deleted: {times:?} of {:?}",
        series.labels()
    );
    let middle = &bits[1..bits.len() - 1];
    assert!(
        middle.iter().all(|one| *one == middle[0]),
        "of several versions: {middle:?} of {:?}",
        series.labels()
    );
    Some(f64::from_bits(middle[0]) as u64)
}

fn versions(cursor: impl Iterator<Item = Result<Series, narthex::Error>>) -> Vec<Option<u64>> {
    let versions: Vec<Option<u64>> = cursor.map(|one| version(&one.unwrap())).collect();
    assert_eq!(versions.len(), WATCHED);
    versions
}

#[test]
fn a_cursor_keeps_seeing_what_was_there() {
    type Act = fn(&Db, u64);
    let acts: [(&str, Act); 5] = [
        ("flush", |db, _| db.flush().unwrap()),
        ("write", |db, _| drop(try_to_write(db, MIDDLE, 9))),
        ("undelete", |db, deletion| assert!(db.undelete(deletion).unwrap())),
        ("delete again", |db, _| {
            assert!(db.delete(&matchers(), MIDDLE).unwrap() > 0)
        }),
        ("step", |db, _| while db.step().unwrap() {}),
    ];
    // What was there stands in a segment, in the head, or is what another undelete brought back.
    for is_flushed in [false, true] {
        for was_hidden in [false, true] {
            for (first, one) in acts {
                for (second, two) in acts {
                    if first == second {
                        continue;
                    }
                    let fs = SimFs::new();
                    let db = begin(&fs, options(&fs).checkpoint_bytes_min(1));
                    if was_hidden {
                        let deletion = db.delete(&matchers(), MIDDLE).unwrap();
                        assert!(db.undelete(deletion).unwrap());
                    }
                    if is_flushed {
                        db.flush().unwrap();
                    }
                    let before = db.select(&matchers(), ..).unwrap();
                    let mut begun = db.select(&matchers(), ..).unwrap();
                    assert_eq!(version(&begun.next().unwrap().unwrap()), Some(0));
                    let deletion = db.delete(&matchers(), MIDDLE).unwrap();
                    let between = db.select(&matchers(), ..).unwrap();
                    one(&db, deletion);
                    two(&db, deletion);
                    let what = format!("flushed {is_flushed}, hidden {was_hidden}, {first}, {second}");
                    assert_eq!(versions(before), [Some(0); WATCHED], "{what}");
                    let rest: Vec<_> = begun.map(|one| version(&one.unwrap())).collect();
                    assert_eq!(rest, [Some(0); WATCHED - 1], "{what}");
                    // A view holds the live generation, so that a write after it may show; what was hidden may not.
                    let between = versions(between);
                    assert!(between.iter().all(|one| *one != Some(0)), "{what}: {between:?}");
                }
            }
        }
    }
}

/// Ends the run when it is dropped, also by a panic, so that nobody waits for a thread that is gone.
struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Deletes, writes anew and undeletes, while others read, list and maintain. Returns what must be seen at the end.
fn race(db: &Db, rounds: u64, maintain: impl Fn(&Db) + Sync) -> Option<u64> {
    let is_over = AtomicBool::new(false);
    let (looks, maintained) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let _end = EndOnDrop(&is_over);
                while !is_over.load(Ordering::Acquire) {
                    versions(db.select(&matchers(), ..).unwrap());
                    looks.fetch_add(1, Ordering::AcqRel);
                }
            });
        }
        scope.spawn(|| {
            let _end = EndOnDrop(&is_over);
            while !is_over.load(Ordering::Acquire) {
                let listed = db.series(&matchers(), .., ListOptions::default()).unwrap();
                assert_eq!(listed.items.len(), WATCHED);
                let values = db.label_values("number", &matchers(), .., ListOptions::default());
                assert_eq!(values.unwrap().items.len(), WATCHED);
                db.series(&matchers(), MIDDLE, ListOptions::default()).unwrap();
            }
        });
        scope.spawn(|| {
            let _end = EndOnDrop(&is_over);
            while !is_over.load(Ordering::Acquire) {
                maintain(db);
                maintained.fetch_add(1, Ordering::AcqRel);
            }
        });
        let _end = EndOnDrop(&is_over);
        let wait = |counter: &AtomicU64| {
            let before = counter.load(Ordering::Acquire);
            while counter.load(Ordering::Acquire) == before && !is_over.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
        };
        let mut shown = Some(0);
        let mut hidden: BTreeMap<u64, Option<u64>> = BTreeMap::new();
        for round in 1..=rounds {
            let deletion = db.delete(&matchers(), MIDDLE).unwrap();
            hidden.insert(deletion, shown);
            shown = None;
            if round % 3 != 0 {
                write(db, MIDDLE, round);
                shown = Some(round);
            }
            if round % 4 != 0 {
                // Of this delete alone: what it hid comes back where nothing was written since.
                let below = hidden.remove(&deletion).unwrap();
                let withdrawn = db.undelete(deletion).unwrap();
                assert!(withdrawn || below.is_none());
                shown = shown.or(below);
            }
            wait(if round % 2 == 0 { &looks } else { &maintained });
            assert_eq!(
                versions(db.select(&matchers(), ..).unwrap()),
                [shown; WATCHED],
                "round {round}"
            );
            let listed = db.series(&matchers(), MIDDLE, ListOptions::default()).unwrap();
            assert!(listed.items.len() == WATCHED || shown.is_none(), "round {round}");
        }
        shown
    })
}

#[test]
fn no_series_is_half_deleted_while_it_is_flushed() {
    let fs = SimFs::new();
    let db = begin(&fs, options(&fs));
    let shown = race(&db, 60, |db| {
        db.flush().unwrap();
        while db.step().unwrap() {}
    });
    let again = Db::open(options(&fs.kill())).unwrap();
    assert_eq!(versions(again.select(&matchers(), ..).unwrap()), [shown; WATCHED]);
    assert!(again.stats().unwrap().segments > 1);
}

#[test]
fn no_series_is_half_deleted_while_checkpoints_are_written() {
    let fs = SimFs::new();
    let db = begin(&fs, options(&fs).checkpoint_bytes_min(1));
    let shown = race(&db, 150, |db| {
        db.step().unwrap();
    });
    assert!(db.stats().unwrap().checkpoint_bytes > 0);
    let again = Db::open(options(&fs.kill())).unwrap();
    assert_eq!(versions(again.select(&matchers(), ..).unwrap()), [shown; WATCHED]);
}
