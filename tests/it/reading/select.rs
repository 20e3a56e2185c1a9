//! Selections over series that are spread over segments, a frozen generation and the head, against a naive filter.

use crate::world::{Rng, Truth, answer, assert_same, float, random_float, random_labels, random_matcher};
use narthex::testing::SimFs;
use narthex::{Db, Durability, Labels, Matcher, Options, Precision, Sample, Series, Value, labels};
use std::ops::Bound;
use std::sync::Arc;

const SERIES: u64 = 600;
const STEP_MS: i64 = 15_000;

fn options(fs: &SimFs) -> Options {
    Options::new("db")
        .fs(Arc::new(fs.clone()))
        .background(false)
        .durability(Durability::Never)
}

/// Writes ticks of most series, some of them late by a tick or two, some missing.
fn write_ticks(db: &Db, truth: &mut Truth, rng: &mut Rng, ticks: std::ops::Range<i64>) {
    let mut delayed: Vec<(Labels, Sample)> = Vec::new();
    for tick in ticks {
        let mut samples = std::mem::take(&mut delayed);
        for number in 0..SERIES {
            // A third of the series lives only in even, or only in odd, hundreds of ticks.
            if rng.chance(20) || number % 3 == 1 && tick / 100 % 2 == 0 {
                continue;
            }
            let timestamp = tick * STEP_MS + (number % 7) as i64;
            let value = random_float(rng, number, timestamp);
            let sample = (random_labels(number), float(timestamp, value));
            if rng.chance(40) {
                &mut delayed
            } else {
                &mut samples
            }
            .push(sample);
        }
        truth.write(db, samples);
    }
    truth.write(db, delayed);
}

/// A database with two segments and a frozen generation, whose flush is always due.
fn spread(fs: &SimFs) -> (Db, Truth) {
    let mut rng = Rng::new(7);
    let mut truth = Truth::default();
    let db = Db::open(options(fs).head_bytes_max(1)).unwrap();
    write_ticks(&db, &mut truth, &mut rng, 0..120);
    db.flush().unwrap();
    write_ticks(&db, &mut truth, &mut rng, 120..240);
    db.flush().unwrap();
    write_ticks(&db, &mut truth, &mut rng, 240..300);
    assert!(db.step().unwrap(), "the first step of a flush freezes");
    (db, truth)
}

fn check_random_selections(db: &Db, truth: &Truth, seed: u64, count: usize) {
    let mut rng = Rng::new(seed);
    for _ in 0..count {
        let matchers: Vec<Matcher> = (0..rng.below(4)).map(|_| random_matcher(&mut rng)).collect();
        let from = rng.below(420) as i64 * STEP_MS - STEP_MS + rng.below(9) as i64;
        let to = from + rng.below(120) as i64 * STEP_MS;
        let what = format!("{matchers:?} in {from}..={to}");
        assert_same(
            &answer(db, &matchers, from..=to),
            &truth.select(&matchers, from, to),
            &what,
        );
    }
}

#[test]
fn selections_equal_a_naive_filter_wherever_the_samples_are() {
    let fs = SimFs::new();
    let (db, mut truth) = spread(&fs);
    check_random_selections(&db, &truth, 1, 150);
    // The head goes on beside the frozen generation.
    let mut rng = Rng::new(8);
    write_ticks(&db, &mut truth, &mut rng, 300..400);
    check_random_selections(&db, &truth, 2, 150);
    assert_same(
        &answer(&db, &[], ..),
        &truth.select(&[], i64::MIN, i64::MAX),
        "all, frozen",
    );
    db.flush().unwrap();
    assert_eq!(db.stats().unwrap().segments, 4);
    check_random_selections(&db, &truth, 3, 150);
    for mmap in [false, true] {
        let reopened = Db::open(options(&fs.kill()).mmap(mmap)).unwrap();
        check_random_selections(&reopened, &truth, 4, 100);
        let all = truth.select(&[], i64::MIN, i64::MAX);
        assert_same(&answer(&reopened, &[], ..), &all, "all, reopened");
    }
}

#[test]
fn a_database_in_memory_answers_the_same() {
    let mut rng = Rng::new(9);
    let mut truth = Truth::default();
    let db = Db::open(Options::in_memory()).unwrap();
    write_ticks(&db, &mut truth, &mut rng, 0..150);
    db.flush().unwrap();
    write_ticks(&db, &mut truth, &mut rng, 150..160);
    check_random_selections(&db, &truth, 5, 150);
    assert_eq!(db.stats().unwrap().segments, 1);
    assert!(db.verify().unwrap().is_sound());
}

#[test]
fn every_form_of_a_range_means_what_it_says() {
    let fs = SimFs::new();
    let db = Db::open(options(&fs)).unwrap();
    let mut truth = Truth::default();
    let labels = labels! { "__name__" => "up" };
    let one = |timestamp: i64| vec![(labels.clone(), float(timestamp, timestamp as f64))];
    for timestamp in [i64::MIN, -5, 0, 5] {
        truth.write(&db, one(timestamp));
    }
    db.flush().unwrap();
    for timestamp in [10, 20, i64::MAX] {
        truth.write(&db, one(timestamp));
    }
    let times = |range: (Bound<i64>, Bound<i64>)| -> Vec<i64> {
        let found = answer(&db, &[], range);
        assert!(found.len() <= 1);
        found
            .iter()
            .flat_map(|series| series.1.iter().map(|sample| sample.timestamp))
            .collect()
    };
    let (included, excluded) = (Bound::Included, Bound::Excluded);
    assert_eq!(times((included(0), included(10))), [0, 5, 10]);
    assert_eq!(times((included(0), excluded(10))), [0, 5]);
    assert_eq!(times((excluded(0), included(10))), [5, 10]);
    assert_eq!(times((excluded(0), excluded(10))), [5]);
    assert_eq!(times((Bound::Unbounded, excluded(0))), [i64::MIN, -5]);
    assert_eq!(times((excluded(10), Bound::Unbounded)), [20, i64::MAX]);
    assert_eq!(times((included(i64::MAX), included(i64::MAX))), [i64::MAX]);
    assert_eq!(
        times((excluded(i64::MIN), excluded(i64::MAX))),
        [-5, 0, 5, 10, 20]
    );
    for empty in [
        (included(10), excluded(10)),
        (excluded(10), excluded(11)),
        (included(20), included(10)),
        (excluded(i64::MAX), Bound::Unbounded),
        (Bound::Unbounded, excluded(i64::MIN)),
        (included(6), included(9)),
    ] {
        assert_eq!(times(empty), [] as [i64; 0], "{empty:?}");
    }
    assert!((0..10).contains(&5) && answer(&db, &[], 0..10)[0].1.len() == 2);
    assert_eq!(answer(&db, &[], ..)[0].1.len(), 7);
}

#[test]
fn series_come_in_label_order_and_samples_from_either_end() {
    let fs = SimFs::new();
    let (db, truth) = spread(&fs);
    let mut last: Option<Labels> = None;
    for series in db.select(&[], ..).unwrap() {
        let series = series.unwrap();
        assert!(last.as_ref().is_none_or(|last| last < series.labels()));
        let forward: Vec<Sample> = series.samples().collect();
        assert_eq!(series.samples().size_hint(), (series.len(), Some(series.len())));
        let mut backward: Vec<Sample> = series.samples().rev().collect();
        backward.reverse();
        assert_eq!(forward, backward);
        assert_eq!(series.samples().next_back().as_ref(), forward.last());
        last = Some(series.labels().clone());
    }
    assert_eq!(last.as_ref(), truth.series.keys().next_back());
}

#[test]
fn one_series_can_be_reused_for_a_whole_cursor() {
    let fs = SimFs::new();
    let (db, truth) = spread(&fs);
    let mut cursor = db.select(&[], 0..).unwrap();
    let mut reused = Series::default();
    let mut found = Vec::new();
    while cursor.next_into(&mut reused).unwrap() {
        assert!(!reused.is_empty());
        assert_eq!(reused.float_timestamps().len(), reused.float_bits().len());
        found.push((reused.labels().clone(), reused.samples().collect()));
    }
    assert!(!cursor.next_into(&mut reused).unwrap(), "the end stays the end");
    assert_same(&found, &truth.select(&[], 0, i64::MAX), "reused");
}

#[test]
fn every_precision_keeps_its_timestamps() {
    for precision in [
        Precision::Seconds,
        Precision::Milliseconds,
        Precision::Microseconds,
        Precision::Nanoseconds,
    ] {
        let fs = SimFs::new();
        let db = Db::open(options(&fs).precision(precision)).unwrap();
        let mut truth = Truth::default();
        let now = precision.from_millis(1_700_000_000_123);
        for tick in 0..300 {
            let samples = (0..3).map(|number| {
                let timestamp = now + tick * precision.from_millis(15_000) + number;
                (random_labels(number as u64), float(timestamp, tick as f64))
            });
            truth.write(&db, samples.collect());
            if tick == 200 {
                db.flush().unwrap();
            }
        }
        let all = truth.select(&[], i64::MIN, i64::MAX);
        assert_same(&answer(&db, &[], ..), &all, precision.as_str());
        let reopened = Db::open(options(&fs.kill())).unwrap();
        assert_eq!(reopened.precision(), precision);
        assert_same(&answer(&reopened, &[], ..), &all, precision.as_str());
    }
}

#[test]
fn start_timestamps_follow_their_samples_through_flush_and_slices() {
    let fs = SimFs::new();
    let db = Db::open(options(&fs)).unwrap();
    let mut truth = Truth::default();
    let labels = labels! { "__name__" => "starts" };
    let start_of = |timestamp: i64| match timestamp {
        ..1000 => 0,
        1000..2500 => 990,
        2500..2600 => 2_400,
        _ => 0,
    };
    // More than one slice of a segment holds, in batches; every tenth sample comes late.
    let sample = |timestamp: i64| Sample {
        timestamp,
        value: Value::Float(timestamp as f64),
        start_timestamp: start_of(timestamp),
    };
    for hundred in 0..60 {
        let times = hundred * 100..(hundred + 1) * 100;
        let (late, ordered): (Vec<i64>, Vec<i64>) = times.partition(|timestamp| timestamp % 10 == 3);
        let samples = ordered.into_iter().chain(late);
        truth.write(
            &db,
            samples
                .map(|timestamp| (labels.clone(), sample(timestamp)))
                .collect(),
        );
        if hundred == 54 {
            check_starts(&db, &truth, "head");
            db.flush().unwrap();
            check_starts(&db, &truth, "segment");
        }
    }
    check_starts(&db, &truth, "segment and head");
    let reopened = Db::open(options(&fs.kill())).unwrap();
    check_starts(&reopened, &truth, "reopened");
}

/// The start timestamp ends where a slice of the segment ends, and the next slice has a late sample.
#[test]
fn a_start_timestamp_does_not_leak_into_the_next_slice() {
    let fs = SimFs::new();
    let db = Db::open(options(&fs)).unwrap();
    let mut truth = Truth::default();
    let labels = labels! { "__name__" => "starts" };
    let sample = |timestamp: i64| Sample {
        timestamp,
        value: Value::Float(1.0),
        start_timestamp: if timestamp < 2_000 { -7 } else { 0 },
    };
    let times = (0..4_000).filter(|timestamp| *timestamp != 3_000).chain([3_000]);
    truth.write(
        &db,
        times
            .map(|timestamp| (labels.clone(), sample(timestamp)))
            .collect(),
    );
    db.flush().unwrap();
    let all = truth.select(&[], i64::MIN, i64::MAX);
    assert_same(&answer(&db, &[], ..), &all, "two slices");
}

fn check_starts(db: &Db, truth: &Truth, what: &str) {
    for (from, to) in [
        (i64::MIN, i64::MAX),
        (1500, 1600),
        (2590, 2610),
        (2600, 5000),
        (999, 1001),
    ] {
        assert_same(
            &answer(db, &[], from..=to),
            &truth.select(&[], from, to),
            &format!("{what}, {from}..={to}"),
        );
    }
}
