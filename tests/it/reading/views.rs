//! What a cursor sees of flushes, evictions and writes that come after it was opened.

use crate::world::{Truth, answer, assert_same, float};
use narthex::testing::SimFs;
use narthex::{Db, Durability, Labels, Options, Sample, SeriesCursor, labels, stale_nan};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const SERIES: usize = 1_500;

fn open(fs: &SimFs) -> Db {
    let options = Options::new("db")
        .fs(Arc::new(fs.clone()))
        .background(false)
        .durability(Durability::Never)
        .series_idle(Duration::ZERO);
    Db::open(options).unwrap()
}

fn name(number: usize) -> Labels {
    labels! { "__name__" => "seen", "number" => &format!("{number:05}") }
}

fn write(db: &Db, truth: &mut Truth, timestamps: std::ops::Range<i64>) {
    for timestamp in timestamps {
        let samples =
            (0..SERIES).map(|number| (name(number), float(timestamp, (number as i64 + timestamp) as f64)));
        truth.write(db, samples.collect());
    }
}

fn rest(cursor: &mut SeriesCursor) -> Vec<(Labels, Vec<Sample>)> {
    let found = cursor
        .by_ref()
        .map(|series| {
            let series = series.unwrap();
            (series.labels().clone(), series.samples().collect())
        })
        .collect();
    assert_eq!(cursor.warnings(), []);
    found
}

/// Every series at least as `before`, at most as `after`, and always a prefix in time.
fn assert_between(found: &[(Labels, Vec<Sample>)], before: &Truth, after: &Truth) {
    let found: BTreeMap<&Labels, &Vec<Sample>> =
        found.iter().map(|(labels, samples)| (labels, samples)).collect();
    for (labels, least) in &before.series {
        let samples = found.get(labels).unwrap_or_else(|| panic!("{labels} is missing"));
        assert!(samples.len() >= least.len(), "{labels} lost samples");
    }
    for (labels, samples) in found {
        let most = &after.series[labels];
        assert!(samples.iter().eq(most.values().take(samples.len())), "{labels}");
    }
}

#[test]
fn a_cursor_outlives_a_flush() {
    let fs = SimFs::new();
    let db = open(&fs);
    let mut truth = Truth::default();
    write(&db, &mut truth, 0..150);
    let mut early = db.select(&[], ..).unwrap();
    let first = early.next().unwrap().unwrap();
    assert_eq!(first.len(), 150);
    db.flush().unwrap();
    while db.step().unwrap() {}
    let mut all = vec![(first.labels().clone(), first.samples().collect())];
    all.extend(rest(&mut early));
    assert_same(&all, &truth.select(&[], i64::MIN, i64::MAX), "before the flush");
    drop(early);
    assert_same(
        &answer(&db, &[], ..),
        &truth.select(&[], i64::MIN, i64::MAX),
        "after the flush",
    );
}

#[test]
fn a_cursor_sees_each_series_up_to_some_moment_while_writing_goes_on() {
    let fs = SimFs::new();
    let db = open(&fs);
    let mut truth = Truth::default();
    write(&db, &mut truth, 0..50);
    db.flush().unwrap();
    write(&db, &mut truth, 50..70);
    let before = truth.clone();
    let mut cursor = db.select(&[], ..).unwrap();
    let mut found = Vec::new();
    for round in 0..4 {
        for _ in 0..200 {
            let series = cursor.next().unwrap().unwrap();
            found.push((series.labels().clone(), series.samples().collect()));
        }
        write(&db, &mut truth, 70 + round * 5..75 + round * 5);
        if round % 2 == 1 {
            db.flush().unwrap();
        }
    }
    found.extend(rest(&mut cursor));
    assert_between(&found, &before, &truth);
    assert_eq!(found.len(), SERIES);
}

#[test]
fn a_cursor_keeps_series_from_being_evicted_and_their_ids_from_being_given_away() {
    let fs = SimFs::new();
    let db = open(&fs);
    let mut truth = Truth::default();
    write(&db, &mut truth, 0..10);
    let ends = (0..SERIES).map(|number| (name(number), float(10, stale_nan())));
    truth.write(&db, ends.collect());
    let before = truth.clone();
    let mut cursor = db.select(&[], ..).unwrap();
    let mut found = Vec::new();
    for _ in 0..100 {
        let series = cursor.next().unwrap().unwrap();
        found.push((series.labels().clone(), series.samples().collect()));
    }
    db.flush().unwrap();
    while db.step().unwrap() {}
    assert_eq!(
        db.stats().unwrap().head_series,
        SERIES as u64,
        "the cursor holds them"
    );
    // Others are born while the cursor reads on.
    let mut batch = db.batch();
    for number in 0..SERIES {
        batch.push(&labels! { "born" => &number.to_string() }, 20, 1.0);
    }
    batch.commit().unwrap();
    found.extend(rest(&mut cursor));
    assert_same(&found, &before.select(&[], i64::MIN, i64::MAX), "the old cursor");
    drop(cursor);
    while db.step().unwrap() {}
    let left = db.stats().unwrap().head_series;
    assert_eq!(
        left, SERIES as u64,
        "the old ones are gone, the new ones are there"
    );
    let mut batch = db.batch();
    for number in 0..SERIES {
        batch.push(&labels! { "born_later" => &number.to_string() }, 21, 1.0);
    }
    batch.commit().unwrap();
    let old = answer(&db, &[narthex::Matcher::eq("__name__", "seen")], ..);
    assert_same(
        &old,
        &before.select(&[], i64::MIN, i64::MAX),
        "after the eviction",
    );
    let count = db.select(&[], ..).unwrap().count();
    assert_eq!(count, 3 * SERIES);
}

#[test]
fn a_cursor_outlives_the_other_handles_and_the_close() {
    let fs = SimFs::new();
    let db = open(&fs);
    let mut truth = Truth::default();
    write(&db, &mut truth, 0..5);
    db.flush().unwrap();
    write(&db, &mut truth, 5..8);
    let mut cursor = db.select(&[], ..).unwrap();
    db.close().unwrap();
    let expected = truth.select(&[], i64::MIN, i64::MAX);
    assert_same(&rest(&mut cursor), &expected, "after the close");
}
