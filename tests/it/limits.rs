//! What a database refuses, and how it says so: samples one by one in the report, everything else as an `Err`.

use narthex::testing::SimFs;
use narthex::{
    CommitReport, Counts, Db, Durability, Error, Exemplar, Histogram, Labels, Limits, ListOptions,
    ManualClock, Matcher, Metadata, MetricType, Options, Precision, Reject, ResetHint, Span, labels,
};
use std::sync::Arc;
use std::time::Duration;

/// Limits small enough to step over.
fn small_limits() -> Limits {
    let mut limits = Limits::default();
    limits.label_name_bytes_max = 8;
    limits.label_value_bytes_max = 10;
    limits.labels_per_series_max = 3;
    limits.exemplar_chars_max = 16;
    limits
}

fn small() -> Db {
    Db::open(Options::in_memory().limits(small_limits())).unwrap()
}

fn good() -> Labels {
    labels! { "__name__" => "up" }
}

/// A batch of what `bad` adds between two good samples, which must be stored whatever happens to the rest.
fn commit_with(db: &Db, bad: impl FnOnce(&mut narthex::Batch)) -> CommitReport {
    let mut batch = db.batch();
    batch.push(&good(), 1, 1.0);
    bad(&mut batch);
    batch.push(&good(), 2, 2.0);
    let report = batch.commit().unwrap();
    assert_eq!(timestamps(db, &good()), [1, 2], "the good samples are stored");
    report
}

fn timestamps(db: &Db, labels: &Labels) -> Vec<i64> {
    let matchers: Vec<Matcher> = labels
        .iter()
        .map(|(name, value)| Matcher::eq(name, value))
        .collect();
    let mut found = Vec::new();
    for series in db.select(&matchers, ..).unwrap() {
        let series = series.unwrap();
        if series.labels() == labels {
            found.extend(series.samples().map(|sample| sample.timestamp));
        }
    }
    found
}

/// The only reason in the report, with its count and example.
fn only(report: &CommitReport) -> (Reject, usize, &str) {
    assert_eq!(report.rejected.len(), 1, "{report:?}");
    let rejection = &report.rejected[0];
    assert_eq!(report.rejected_count(), rejection.count);
    (rejection.reason, rejection.count, &rejection.example)
}

fn histogram(positive: Vec<i64>) -> Histogram {
    Histogram {
        reset_hint: ResetHint::Unknown,
        schema: 0,
        zero_threshold: 0.001,
        sum: 3.0,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        negative_spans: vec![],
        custom_values: vec![],
        counts: Counts::Int {
            count: 3,
            zero_count: 0,
            positive,
            negative: vec![],
        },
    }
}

#[test]
fn a_second_value_at_a_timestamp_is_a_conflict_and_the_same_bits_are_not() {
    let report = commit_with(&small(), |batch| {
        batch.push(&good(), 1, 9.0);
        batch.push(&good(), 1, 8.0);
        batch.push(&good(), 1, 1.0);
    });
    assert_eq!(only(&report), (Reject::Conflict, 2, "up at 1"));
    assert_eq!((report.accepted, report.floats, report.duplicates), (3, 2, 1));
}

#[test]
fn a_zero_of_the_other_sign_is_another_value() {
    let report = commit_with(&small(), |batch| {
        batch.push(&labels! { "__name__" => "zero" }, 1, 0.0);
        batch.push(&labels! { "__name__" => "zero" }, 1, -0.0);
    });
    assert_eq!(only(&report), (Reject::Conflict, 1, "zero at 1"));
}

#[test]
fn a_float_and_a_histogram_at_one_timestamp_conflict_both_ways() {
    let report = commit_with(&small(), |batch| {
        batch.push_histogram(&good(), 1, &histogram(vec![1, 1]));
        batch.push_histogram(&labels! { "__name__" => "h" }, 1, &histogram(vec![1, 1]));
        batch.push(&labels! { "__name__" => "h" }, 1, 1.0);
    });
    assert_eq!(only(&report), (Reject::Conflict, 2, "up at 1"));
    assert_eq!(report.histograms, 1);
}

#[test]
fn a_label_name_may_be_as_long_as_the_limit_and_no_longer() {
    let report = commit_with(&small(), |batch| {
        batch.push(&labels! { "12345678" => "x" }, 1, 1.0);
        batch.push(&labels! { "123456789" => "x" }, 1, 1.0);
    });
    assert_eq!(
        only(&report),
        (Reject::LabelNameTooLong, 1, "{\"123456789\"=\"x\"} at 1")
    );
    assert_eq!(report.accepted, 3);
}

#[test]
fn a_label_value_may_be_as_long_as_the_limit_and_no_longer() {
    let report = commit_with(&small(), |batch| {
        batch.push(&labels! { "a" => "0123456789" }, 1, 1.0);
        batch.push(&labels! { "a" => "0123456789x" }, 1, 1.0);
    });
    assert_eq!(
        only(&report),
        (Reject::LabelValueTooLong, 1, "{a=\"0123456789x\"} at 1")
    );
    assert_eq!(report.accepted, 3);
}

#[test]
fn a_series_may_have_as_many_labels_as_the_limit_and_no_more() {
    let report = commit_with(&small(), |batch| {
        batch.push(&labels! { "a" => "1", "b" => "2", "c" => "3" }, 1, 1.0);
        batch.push(
            &labels! { "a" => "1", "b" => "2", "c" => "3", "d" => "4" },
            1,
            1.0,
        );
        batch.push(&labels! { "a" => "1", "b" => "2", "c" => "3", "d" => "" }, 2, 1.0);
    });
    let example = r#"{a="1", b="2", c="3", d="4"} at 1"#;
    assert_eq!(only(&report), (Reject::TooManyLabels, 1, example));
    assert_eq!(report.accepted, 4, "an empty value is no label");
}

#[test]
fn pairs_that_make_no_label_set_are_refused_by_name() {
    let report = commit_with(&small(), |batch| {
        batch.push_pairs(&[("a", "1"), ("a", "2")], 5, 1.0);
        batch.push_pairs(&[("", "1")], 6, 1.0);
        batch.push_pairs(&[("b", "2"), ("a", "1")], 7, 1.0);
    });
    assert_eq!(
        only(&report),
        (Reject::InvalidLabels, 2, "label name \"a\" stands twice at 5")
    );
    assert_eq!(report.accepted, 3, "unsorted pairs are welcome");
}

#[test]
fn a_histogram_whose_parts_contradict_each_other_is_refused() {
    let report = commit_with(&small(), |batch| {
        batch.push_histogram(&labels! { "__name__" => "h" }, 4, &histogram(vec![1]));
        batch.push_histogram(&labels! { "__name__" => "h" }, 5, &histogram(vec![1, 1]));
    });
    let (reason, count, example) = only(&report);
    assert_eq!((reason, count), (Reject::InvalidHistogram, 1));
    assert!(
        example.starts_with("h at 4: invalid native histogram: "),
        "{example}"
    );
    assert_eq!(report.histograms, 1);
}

#[test]
fn an_exemplar_with_long_labels_is_refused_and_its_sample_is_not() {
    let exemplar = |value: &str| Exemplar {
        labels: labels! { "trace_id" => value },
        timestamp: 1,
        value: 0.5,
    };
    let report = commit_with(&small(), |batch| {
        batch.push_exemplar(&good(), &exemplar("12345678"));
        batch.push_exemplar(&good(), &exemplar("12345678é"));
    });
    let example = "up at 1: 17 characters of labels, allowed are 16";
    assert_eq!(only(&report), (Reject::InvalidExemplar, 1, example));
    assert_eq!((report.exemplars, report.accepted), (1, 2));
}

#[test]
fn the_series_limit_refuses_new_series_and_serves_the_old_ones() {
    let mut limits = Limits::default();
    limits.series_max = 2;
    let db = Db::open(Options::in_memory().limits(limits)).unwrap();
    let report = commit_with(&db, |batch| {
        batch.push(&labels! { "__name__" => "second" }, 1, 1.0);
        batch.push(&labels! { "__name__" => "third" }, 1, 1.0);
        batch.push(&labels! { "__name__" => "fourth" }, 1, 1.0);
        batch.push(&labels! { "__name__" => "second" }, 2, 1.0);
    });
    assert_eq!(only(&report), (Reject::SeriesLimit, 2, "third at 1"));
    assert_eq!((report.accepted, report.new_series), (4, 2));
    assert_eq!(db.stats().unwrap().head_series, 2);
}

#[test]
fn what_lies_too_far_in_the_future_is_refused_until_its_time_comes() {
    let clock = Arc::new(ManualClock::new(100_000));
    let options = Options::in_memory()
        .clock(clock.clone())
        .future_limit(Some(Duration::from_secs(10)));
    let db = Db::open(options).unwrap();
    let write = |timestamp: i64| {
        let mut batch = db.batch();
        batch.push(&good(), timestamp, 1.0);
        batch.commit().unwrap()
    };
    assert_eq!(write(110_000).accepted, 1, "the limit itself is allowed");
    assert_eq!(only(&write(110_001)), (Reject::TooFarInFuture, 1, "up at 110001"));
    assert_eq!(only(&write(i64::MAX)).0, Reject::TooFarInFuture);
    clock.advance(1);
    assert_eq!(write(110_001).accepted, 1);
    assert_eq!(timestamps(&db, &good()), [110_000, 110_001]);
}

#[test]
fn the_future_limit_is_in_the_unit_of_the_database() {
    for (precision, latest) in [
        (Precision::Seconds, 110),
        (Precision::Milliseconds, 110_000),
        (Precision::Microseconds, 110_000_000),
        (Precision::Nanoseconds, 110_000_000_000),
    ] {
        let options = Options::in_memory()
            .precision(precision)
            .clock(Arc::new(ManualClock::new(100_000)))
            .future_limit(Some(Duration::from_secs(10)));
        let db = Db::open(options).unwrap();
        let mut batch = db.batch();
        batch.push(&good(), latest, 1.0);
        batch.push(&good(), latest + 1, 1.0);
        let report = batch.commit().unwrap();
        assert_eq!((report.accepted, only(&report).0), (1, Reject::TooFarInFuture));
    }
}

#[test]
fn what_was_refused_leaves_no_trace_in_the_counts() {
    let fs = SimFs::new();
    let options = Options::new("db")
        .fs(Arc::new(fs))
        .background(false)
        .limits(small_limits())
        .clock(Arc::new(ManualClock::new(1_000)))
        .future_limit(Some(Duration::from_secs(1)));
    let db = Db::open(options).unwrap();
    commit_with(&db, |batch| {
        batch.push(&good(), i64::MAX, 1.0);
        batch.push(&good(), 1, 9.0);
        batch.push(&good(), 1, 1.0);
        batch.push(&labels! { "123456789" => "x" }, i64::MIN, 1.0);
    });
    let stats = db.stats().unwrap();
    assert_eq!((stats.head_series, stats.head_samples), (1, 2));
    assert_eq!(stats.head_bounds, Some((1, 2)));
    assert!(!db.step().unwrap(), "a refused timestamp makes no flush due");
    let mut batch = db.batch();
    batch.push(&good(), i64::MAX, 1.0);
    batch.commit().unwrap();
    db.flush().unwrap();
    db.flush().unwrap();
    assert_eq!(db.stats().unwrap().segments, 1);
}

#[test]
fn the_report_counts_by_kind() {
    let db = Db::open(Options::in_memory()).unwrap();
    let mut batch = db.batch();
    for timestamp in 0..5 {
        batch.push(&good(), timestamp, 1.0);
    }
    batch.push(&good(), 4, 1.0);
    for timestamp in 0..3 {
        batch.push_histogram(&labels! { "__name__" => "h" }, timestamp, &histogram(vec![1, 1]));
    }
    let exemplar = Exemplar {
        labels: labels! { "trace_id" => "t" },
        timestamp: 1,
        value: 1.0,
    };
    batch.push_exemplar(&good(), &exemplar);
    batch.push_exemplar(&good(), &exemplar);
    let metadata = Metadata {
        metric_type: MetricType::Gauge,
        help: "Whether it is up.".into(),
        unit: String::new(),
    };
    batch.push_metadata("up", &metadata);
    batch.push_metadata("up", &metadata);
    assert_eq!(batch.len(), 11);
    let report = batch.commit().unwrap();
    assert_eq!((report.accepted, report.floats, report.histograms), (9, 5, 3));
    assert_eq!((report.exemplars, report.metadata, report.duplicates), (1, 1, 1));
    assert_eq!((report.new_series, report.rejected_count()), (2, 0));
}

#[test]
fn a_batch_may_have_its_own_durability() {
    let fs = SimFs::new();
    let sync_count = || fs.count(narthex::testing::Call::SyncData);
    let options = Options::new("db").fs(Arc::new(fs.clone())).background(false);
    let db = Db::open(options.durability(Durability::Never)).unwrap();
    let write = |timestamp: i64, durability: Option<Durability>| {
        let mut batch = db.batch();
        batch.push(&good(), timestamp, 1.0);
        if let Some(durability) = durability {
            batch.durability(durability);
        }
        batch.commit().unwrap()
    };
    let before = sync_count();
    assert_eq!(write(1, None).durability, Durability::Never);
    let interval = Durability::Interval(Duration::from_secs(1));
    assert_eq!(write(2, Some(interval)).durability, interval);
    assert_eq!(sync_count(), before, "neither waits for a sync");
    let report = write(3, Some(Durability::Always));
    assert_eq!(report.durability, Durability::Always);
    assert!(sync_count() > before);
    let crashed = fs.crash(1, narthex::testing::CrashMode::LoseAll);
    let db = Db::open(Options::new("db").fs(Arc::new(crashed))).unwrap();
    assert_eq!(
        timestamps(&db, &good()),
        [1, 2, 3],
        "one sync covers what came before"
    );
}

#[test]
fn another_precision_than_the_databases_is_refused_at_opening() {
    let dir = tempfile::tempdir().unwrap();
    let options = || Options::new(dir.path()).background(false);
    Db::open(options().precision(Precision::Seconds))
        .unwrap()
        .close()
        .unwrap();
    let error = Db::open(options().precision(Precision::Nanoseconds)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid options: the database has Seconds, not Nanoseconds"
    );
    assert_eq!(Db::open(options()).unwrap().precision(), Precision::Seconds);
}

#[test]
fn a_folder_is_open_for_writing_once() {
    let dir = tempfile::tempdir().unwrap();
    let options = || Options::new(dir.path()).background(false);
    let first = Db::open(options()).unwrap();
    let error = Db::open(options()).unwrap_err();
    assert!(
        matches!(&error, Error::Locked(path) if path == dir.path()),
        "{error}"
    );
    assert!(error.to_string().ends_with("is in use by another process"));
    let beside = Db::open_read_only(dir.path()).unwrap();
    beside.close().unwrap();
    first.close().unwrap();
    Db::open(options()).unwrap().close().unwrap();
}

#[test]
fn a_read_only_database_refuses_every_write() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Db::open_read_only(dir.path()).unwrap_err();
    assert!(matches!(missing, Error::NotFound(_)), "{missing}");
    let db = Db::open(Options::new(dir.path()).background(false)).unwrap();
    let mut batch = db.batch();
    batch.push(&good(), 1, 1.0);
    batch.commit().unwrap();
    let reader = Db::open_read_only(dir.path()).unwrap();
    let mut batch = reader.batch();
    batch.push(&good(), 2, 2.0);
    assert!(matches!(batch.commit(), Err(Error::ReadOnly)));
    assert!(matches!(reader.flush(), Err(Error::ReadOnly)));
    assert!(matches!(reader.step(), Err(Error::ReadOnly) | Ok(false)));
    assert_eq!(timestamps(&reader, &good()), [1]);
    reader.close().unwrap();
    assert_eq!(timestamps(&db, &good()), [1]);
}

#[test]
fn a_closed_database_refuses_writes_of_other_handles() {
    let db = Db::open(Options::in_memory()).unwrap();
    let other = db.clone();
    let mut early = other.batch();
    early.push(&good(), 1, 1.0);
    db.close().unwrap();
    assert!(matches!(early.commit(), Err(Error::Closed)));
    assert!(matches!(other.flush(), Err(Error::Closed)));
    other.close().unwrap();
}

#[test]
fn an_invalid_regular_expression_is_named() {
    let db = Db::open(Options::in_memory()).unwrap();
    let matchers = [Matcher::re("job", "a(")];
    let named = |error: Error| match &error {
        Error::InvalidMatcher { pattern, reason } => {
            assert_eq!(pattern, "a(");
            assert!(!reason.is_empty());
            assert!(
                error.to_string().starts_with("invalid matcher \"a(\": "),
                "{error}"
            );
        }
        other => panic!("{other}"),
    };
    let list = ListOptions::default();
    named(db.select(&matchers, ..).unwrap_err());
    named(db.select(&[Matcher::not_re("job", "a(")], ..).unwrap_err());
    named(db.select_chunks(&matchers, ..).unwrap_err());
    named(db.series(&matchers, .., list).unwrap_err());
    named(db.label_names(&matchers, .., list).unwrap_err());
    named(db.label_values("job", &matchers, .., list).unwrap_err());
    named(db.exemplars(&matchers, ..).unwrap_err());
}

/// Segments without a manifest are somebody's data: a new database is not begun beside them.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "takes files away behind the database's back"
)]
fn segments_without_a_manifest_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(Options::new(dir.path()).background(false)).unwrap();
    let mut batch = db.batch();
    batch.push(&narthex::labels! { "__name__" => "x" }, 1, 1.0);
    batch.commit().unwrap();
    db.flush().unwrap();
    db.close().unwrap();
    let names = |suffix: &str| -> Vec<std::path::PathBuf> {
        let all = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path());
        all.filter(|path| path.to_string_lossy().ends_with(suffix))
            .collect()
    };
    for path in names("MANIFEST").into_iter().chain(names(".log")) {
        std::fs::remove_file(path).unwrap();
    }
    let error = Db::open(Options::new(dir.path()).background(false)).unwrap_err();
    assert!(error.to_string().contains("segments but no manifest"), "{error}");
    assert_eq!(names(".seg").len(), 1);
}
