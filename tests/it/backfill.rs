//! Samples of any age: seen at once, flushed into the partitions of their time, merged there.

use narthex::testing::SimFs;
use narthex::{Db, Durability, Exemplar, Labels, ManualClock, Matcher, Options, Sample, Series, labels};
use std::sync::Arc;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// Length of the longest segments by default.
const PARTITION: i64 = 10 * DAY;
const NOW: i64 = 700 * DAY;

fn open(fs: &SimFs, clock: &Arc<ManualClock>) -> Db {
    let options = Options::new("db")
        .fs(Arc::new(fs.clone()))
        .clock(clock.clone())
        .background(false)
        .durability(Durability::Never)
        .wal_sizes(64 << 10, 16 << 10);
    Db::open(options).unwrap()
}

fn series(number: i64) -> Labels {
    labels! { "__name__" => "m", "number" => &number.to_string() }
}

fn write(db: &Db, number: i64, timestamps: impl IntoIterator<Item = i64>) {
    let mut batch = db.batch();
    for timestamp in timestamps {
        batch.push(&series(number), timestamp, (timestamp / HOUR) as f64);
    }
    assert!(batch.commit().unwrap().rejected.is_empty());
}

fn read(db: &Db) -> Vec<(Labels, Vec<Sample>)> {
    let mut cursor = db.select(&[Matcher::eq("__name__", "m")], ..).unwrap();
    let (mut all, mut series) = (Vec::new(), Series::default());
    while cursor.next_into(&mut series).unwrap() {
        all.push((series.labels().clone(), series.samples().collect()));
    }
    assert!(cursor.warnings().is_empty());
    all
}

/// The partition of each segment, which must lie within one.
fn partitions(db: &Db) -> Vec<i64> {
    let of = |info: &narthex::SegmentInfo| {
        let (first, last) = (info.meta.time_min, info.meta.time_max);
        assert_eq!(
            first.div_euclid(PARTITION),
            last.div_euclid(PARTITION),
            "{info:?}"
        );
        first.div_euclid(PARTITION)
    };
    db.segments().iter().map(of).collect()
}

/// A year of many shapes beside newer samples.
fn backfill(db: &Db) {
    let start = NOW - 365 * DAY;
    (0..6).for_each(|number| write(db, number, (0..30).map(|tick| NOW + tick * HOUR)));
    write(db, 0, (0..365).map(|day| start + day * DAY));
    write(db, 1, (0..365).rev().map(|day| start + day * DAY + 1));
    write(
        db,
        2,
        (0..2_000).map(|index| start + index * 1_999_993 % (365 * DAY)),
    );
    // Chunks with partitions between their ends that they have nothing in.
    write(db, 3, (0..9).map(|index| start + index * 40 * DAY));
    write(db, 7, (0..9).map(|index| start + index * 40 * DAY + 5));
    let mut batch = db.batch();
    let exemplar = Exemplar {
        labels: labels! { "trace" => "a" },
        value: 1.0,
        timestamp: start + 17 * DAY,
    };
    batch.push_exemplar(&series(4), &exemplar);
    batch.correct(&series(5), start + 33 * DAY, 5.0);
    assert!(batch.commit().unwrap().rejected.is_empty());
}

#[test]
fn a_flush_is_cut_at_partitions() {
    let (fs, clock) = (SimFs::new(), Arc::new(ManualClock::new(NOW)));
    let db = open(&fs, &clock);
    backfill(&db);
    let whole = read(&db);
    assert_eq!(
        whole.iter().map(|one| one.1.len()).sum::<usize>(),
        6 * 30 + 730 + 2_000 + 18 + 1
    );
    let removed = NOW - 200 * DAY..=NOW - 150 * DAY;
    let id = db
        .delete(&[Matcher::eq("__name__", "m")], removed.clone())
        .unwrap();
    let rest = read(&db);
    assert!(
        rest.iter()
            .flat_map(|one| &one.1)
            .all(|one| !removed.contains(&one.timestamp))
    );
    db.flush().unwrap();
    assert_eq!(read(&db), rest);
    let flushed = partitions(&db);
    assert!((38..=50).contains(&flushed.len()), "{flushed:?}");
    let of_exemplar = (NOW - 348 * DAY).div_euclid(PARTITION);
    assert!(flushed.contains(&of_exemplar));
    assert_eq!(db.exemplars(&[], ..).unwrap().len(), 1);

    db.undelete(id).unwrap();
    assert_eq!(read(&db), whole);
    db.compact().unwrap();
    let mut merged = partitions(&db);
    let count = merged.len();
    merged.sort_unstable();
    merged.dedup();
    assert_eq!(merged.len(), count, "one segment a partition");
    assert_eq!(read(&db), whole);
    drop(db);
    assert_eq!(read(&open(&fs, &clock)), whole);
}

#[test]
fn backfill_waits_in_the_head_for_company_or_the_clock() {
    let (fs, clock) = (SimFs::new(), Arc::new(ManualClock::new(NOW)));
    let db = open(&fs, &clock);
    write(&db, 0, [NOW]);
    db.flush().unwrap();
    let settle = || while db.step().unwrap() {};
    for month in 0..12 {
        let from = NOW - 365 * DAY + month * 30 * DAY;
        write(&db, 1, (0..30 * 24).map(|hour| from + hour * HOUR));
        settle();
    }
    assert_eq!(db.segments().len(), 1, "its span does not make it due");
    clock.advance(8 * HOUR);
    settle();
    assert_eq!(partitions(&db).len(), 1 + 37);
}

#[test]
fn timestamps_all_over_time_make_a_bounded_number_of_segments() {
    let (fs, clock) = (SimFs::new(), Arc::new(ManualClock::new(NOW)));
    let db = open(&fs, &clock);
    let ends = [i64::MIN, i64::MAX];
    write(&db, 0, (-1_500..1_500).map(|index| index * 20 * DAY).chain(ends));
    let whole = read(&db);
    db.flush().unwrap();
    assert!(db.segments().len() <= 512, "{}", db.segments().len());
    assert_eq!(read(&db), whole);
}
