//! Exemplars and metric metadata: with history, across flushes and reopening.

use narthex::testing::SimFs;
use narthex::{Db, Exemplar, Labels, ManualClock, Matcher, Metadata, MetricType, Options, labels};
use std::sync::Arc;

fn options(fs: &SimFs) -> Options {
    Options::new("db").fs(Arc::new(fs.clone())).background(false)
}

fn exemplar(timestamp: i64, trace: &str) -> Exemplar {
    Exemplar {
        labels: labels! { "trace_id" => trace },
        timestamp,
        value: timestamp as f64 / 2.0,
    }
}

fn metadata(metric_type: MetricType, help: &str) -> Metadata {
    Metadata {
        metric_type,
        help: help.into(),
        unit: "seconds".into(),
    }
}

fn put(db: &Db, labels: &Labels, exemplars: &[Exemplar]) -> usize {
    let mut batch = db.batch();
    for exemplar in exemplars {
        batch.push_exemplar(labels, exemplar);
    }
    batch.commit().unwrap().exemplars
}

#[test]
fn exemplars_are_found_in_segments_and_head_and_after_reopening() {
    let fs = SimFs::new();
    let db = Db::open(options(&fs)).unwrap();
    let latency = labels! { "__name__" => "latency", "path" => "/a" };
    let errors = labels! { "__name__" => "errors" };
    let mut batch = db.batch();
    batch.push(&latency, 100, 1.0);
    batch.push(&errors, 100, 1.0);
    batch.commit().unwrap();
    // Out of order, and far from the time of the samples.
    let first = [exemplar(90, "a"), exemplar(5_000, "b"), exemplar(80, "c")];
    assert_eq!(put(&db, &latency, &first), 3);
    assert_eq!(put(&db, &latency, &first), 0, "the same again is none");
    db.flush().unwrap();
    assert_eq!(put(&db, &latency, &[exemplar(100, "d")]), 1);
    assert_eq!(put(&db, &errors, &[exemplar(100, "e")]), 1);
    let check = |db: &Db| {
        let all = db.exemplars(&[], ..).unwrap();
        let of_latency = vec![
            exemplar(80, "c"),
            exemplar(90, "a"),
            exemplar(100, "d"),
            exemplar(5_000, "b"),
        ];
        let of_errors = vec![exemplar(100, "e")];
        assert_eq!(
            all,
            [(errors.clone(), of_errors.clone()), (latency.clone(), of_latency)]
        );
        let some = db
            .exemplars(&[Matcher::eq("__name__", "latency")], 90..=100)
            .unwrap();
        assert_eq!(
            some,
            [(latency.clone(), vec![exemplar(90, "a"), exemplar(100, "d")])]
        );
        assert_eq!(db.exemplars(&[], 101..5_000).unwrap(), []);
        assert_eq!(db.exemplars(&[], 5..5).unwrap(), []);
    };
    check(&db);
    check(&Db::open(options(&fs.kill())).unwrap());
    db.flush().unwrap();
    check(&db);
    check(&Db::open(options(&fs.kill()).read_only(true)).unwrap());
    assert_eq!(db.verify().unwrap().faults, Vec::<String>::new());
}

#[test]
fn a_series_of_exemplars_alone_is_kept() {
    let fs = SimFs::new();
    let db = Db::open(options(&fs)).unwrap();
    let labels = labels! { "__name__" => "alone" };
    let expected = [(labels.clone(), vec![exemplar(7, "a")])];
    assert_eq!(put(&db, &labels, &[exemplar(7, "a")]), 1);
    assert_eq!(db.exemplars(&[], ..).unwrap(), expected);
    let reopened = Db::open(options(&fs.kill())).unwrap();
    assert_eq!(reopened.exemplars(&[], ..).unwrap(), expected);
    reopened.flush().unwrap();
    assert_eq!(reopened.exemplars(&[], ..).unwrap(), expected);
    assert_eq!(
        reopened.select(&[], ..).unwrap().count(),
        0,
        "there are no samples to select"
    );
    db.flush().unwrap();
    let reopened = Db::open(options(&fs.kill())).unwrap();
    assert_eq!(reopened.exemplars(&[], 0..10).unwrap(), expected);
    assert_eq!(reopened.verify().unwrap().faults, Vec::<String>::new());
}

#[test]
fn metadata_keeps_its_history_across_flushes_checkpoints_and_reopening() {
    let fs = SimFs::new();
    let clock = Arc::new(ManualClock::new(1_000));
    let open = |fs: &SimFs| {
        Db::open(
            options(fs)
                .clock(clock.clone())
                .checkpoint_bytes_min(1)
                .segment_span(std::time::Duration::from_secs(7200)),
        )
        .unwrap()
    };
    let db = open(&fs);
    let say = |db: &Db, now: i64, metric: &str, entry: &Metadata| {
        clock.set(now);
        let mut batch = db.batch();
        batch.push_metadata(metric, entry);
        batch.push(&labels! { "__name__" => metric }, now, 1.0);
        batch.commit().unwrap().metadata
    };
    let counter = metadata(MetricType::Counter, "Requests.");
    let gauge = metadata(MetricType::Gauge, "Requests, now.");
    assert_eq!(say(&db, 1_000, "requests", &counter), 1);
    assert_eq!(say(&db, 2_000, "requests", &counter), 0, "no change, no entry");
    assert_eq!(say(&db, 2_500, "other", &gauge), 1);
    db.flush().unwrap();
    assert_eq!(say(&db, 3_000, "requests", &gauge), 1);
    assert!(db.step().unwrap(), "an eviction or a checkpoint");
    while db.step().unwrap() {}
    assert!(db.stats().unwrap().checkpoint_bytes > 0);
    assert_eq!(say(&db, 4_000, "requests", &counter), 1);
    let history = vec![
        (1_000, counter.clone()),
        (3_000, gauge.clone()),
        (4_000, counter.clone()),
    ];
    let check = |db: &Db| {
        assert_eq!(db.metadata(Some("requests"))["requests"], history);
        assert_eq!(db.metadata(Some("requests")).len(), 1);
        assert_eq!(db.metadata(None)["other"], [(2_500, gauge.clone())]);
        assert!(db.metadata(Some("absent")).is_empty());
    };
    check(&db);
    check(&open(&fs.kill()));
    db.flush().unwrap();
    check(&db);
    check(&open(&fs.kill()));
}

#[test]
fn metadata_without_samples_is_kept() {
    let fs = SimFs::new();
    let db = Db::open(options(&fs).clock(Arc::new(ManualClock::new(5)))).unwrap();
    let mut batch = db.batch();
    let entry = metadata(MetricType::Summary, "");
    batch.push_metadata("lonely", &entry);
    assert!(!batch.is_empty());
    assert_eq!(batch.commit().unwrap().metadata, 1);
    let reopened = Db::open(options(&fs.kill())).unwrap();
    assert_eq!(reopened.metadata(None)["lonely"], [(5, entry.clone())]);
    db.flush().unwrap();
    let reopened = Db::open(options(&fs.kill())).unwrap();
    assert_eq!(reopened.metadata(None)["lonely"], [(5, entry)]);
    assert_eq!(reopened.verify().unwrap().faults, Vec::<String>::new());
    assert_eq!(reopened.select(&[], ..).unwrap().count(), 0);
}
