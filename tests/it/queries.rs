//! PromQL over a database: the same answers wherever the samples lie, in every unit of time.

use narthex::{
    CancelFlag, Counts, Db, EvalError, Histogram, Matcher, Options, Precision, QueryAnswer, QueryError,
    QueryOptions, QueryPoint, QueryValue, ResetHint, Sample, Span, Value, labels, stale_nan,
};

const START_MS: i64 = 1_700_000_000_000;
const STEP_MS: i64 = 15_000;

fn histogram(count: u64) -> Histogram {
    Histogram {
        reset_hint: ResetHint::Unknown,
        schema: 0,
        zero_threshold: 0.0,
        sum: count as f64,
        positive_spans: vec![Span { offset: 0, length: 1 }],
        negative_spans: Vec::new(),
        custom_values: Vec::new(),
        counts: Counts::Int {
            count,
            zero_count: 0,
            positive: vec![count as i64],
            negative: Vec::new(),
        },
    }
}

/// Counters, a gauge that ends, and native histograms, a sample each 15 seconds.
fn fill(db: &Db, steps: std::ops::Range<i64>, units_per_ms: i64) {
    let mut batch = db.batch();
    for step in steps {
        let time = (START_MS + step * STEP_MS) * units_per_ms;
        for (host, rate) in [("a", 15), ("b", 30)] {
            let labels = labels! { "__name__" => "requests_total", "host" => host };
            batch.push(&labels, time, (step % 50 * rate) as f64);
        }
        let gauge = labels! { "__name__" => "busy", "host" => "a" };
        batch.push(&gauge, time, if step == 70 { stale_nan() } else { step as f64 });
        let native = labels! { "__name__" => "latency_seconds", "host" => "a" };
        batch.push_histogram(&native, time, &histogram(4 * (step as u64 + 1)));
    }
    batch.commit().expect("the batch is stored");
}

const QUERIES: &[&str] = &[
    "sum by (host) (rate(requests_total[1m]))",
    "requests_total - on (host) group_left busy",
    "histogram_quantile(0.5, rate(latency_seconds[2m]))",
    "max_over_time(deriv(busy[1m])[5m:30s])",
    "count({host=~\"a|b\"}) without (host)",
    "busy offset 3m",
    "absent(busy)",
];

fn ask(db: &Db, query: &str) -> QueryAnswer {
    let range_ms = (START_MS, START_MS + 80 * STEP_MS);
    db.query_range(query, range_ms, 20_000)
        .unwrap_or_else(|error| panic!("{query}: {error}"))
}

#[test]
fn answers_do_not_depend_on_where_samples_lie() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = || Options::new(folder.path()).background(false);
    let db = Db::open(options()).expect("it opens");
    fill(&db, 0..40, 1);
    let memory = Db::open(Options::in_memory().background(false)).expect("it opens");
    fill(&memory, 0..80, 1);
    db.flush().expect("the first half is in a segment");
    fill(&db, 40..80, 1);
    let wanted: Vec<QueryValue> = QUERIES.iter().map(|query| ask(&memory, query).value).collect();
    let check = |db: &Db| {
        for (query, wanted) in QUERIES.iter().zip(&wanted) {
            assert_eq!(&ask(db, query).value, wanted, "{query}");
        }
    };
    check(&db);
    db.flush().expect("it flushes");
    check(&db);
    db.compact().expect("it merges");
    check(&db);
    db.close().expect("it closes");
    check(&Db::open(options()).expect("it opens again"));
    assert!(
        wanted
            .iter()
            .all(|value| !matches!(value, QueryValue::Matrix(series) if series.is_empty()))
    );
}

#[test]
fn every_unit_of_time_answers_in_milliseconds() {
    let wanted: Vec<QueryValue> = {
        let db = Db::open(Options::in_memory()).expect("it opens");
        fill(&db, 0..80, 1);
        QUERIES.iter().map(|query| ask(&db, query).value).collect()
    };
    for (precision, units_per_ms) in [
        (Precision::Microseconds, 1000),
        (Precision::Nanoseconds, 1_000_000),
    ] {
        let db = Db::open(Options::in_memory().precision(precision)).expect("it opens");
        fill(&db, 0..80, units_per_ms);
        for (query, wanted) in QUERIES.iter().zip(&wanted) {
            assert_eq!(&ask(&db, query).value, wanted, "{query} in {precision:?}");
        }
    }
}

#[test]
fn what_is_deleted_is_not_asked_for() {
    let db = Db::open(Options::in_memory()).expect("it opens");
    fill(&db, 0..10, 1);
    let count = || match db
        .query("count(requests_total)", START_MS + 9 * STEP_MS)
        .expect("an answer")
        .value
    {
        QueryValue::Vector(samples) => samples.into_iter().map(|sample| sample.value).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(count(), [QueryPoint::Float(2.0)]);
    db.delete(&[Matcher::eq("host", "a")], ..).expect("it deletes");
    assert_eq!(count(), [QueryPoint::Float(1.0)]);
}

#[test]
fn start_timestamps_tell_resets_when_asked_to() {
    let db = Db::open(Options::in_memory()).expect("it opens");
    let labels = labels! { "__name__" => "events_total" };
    let mut batch = db.batch();
    for step in 0..4 {
        let timestamp = START_MS + step * 60_000;
        // A delta: each sample says how many there were since the one before.
        let sample = Sample {
            timestamp,
            value: Value::Float(60.0),
            start_timestamp: timestamp - 60_000,
        };
        batch.push_sample(&labels, &sample);
    }
    batch.commit().expect("the batch is stored");
    let increase = |options: &QueryOptions| {
        let answer = db.query_with("increase(events_total[3m])", START_MS + 180_000, options);
        match answer.expect("an answer").value {
            QueryValue::Vector(samples) => samples[0].value.clone(),
            other => panic!("{other:?}"),
        }
    };
    let mut options = QueryOptions::default();
    assert_eq!(increase(&options), QueryPoint::Float(0.0));
    options.start_timestamps = true;
    assert_eq!(increase(&options), QueryPoint::Float(180.0));
}

#[test]
fn a_query_is_refused_or_ended_with_a_reason() {
    let db = Db::open(Options::in_memory()).expect("it opens");
    fill(&db, 0..80, 1);
    let error = db.query("sum(", START_MS).expect_err("no query");
    assert!(matches!(error, QueryError::Parse(_)), "{error}");
    let error = db
        .query_range("busy[5m]", (START_MS, START_MS + 1), 1)
        .expect_err("no range query");
    assert!(matches!(error, QueryError::Range(_)), "{error}");
    let error = db
        .query_range("busy", (START_MS, START_MS - 1), 1)
        .expect_err("no range");
    assert!(matches!(error, QueryError::Range(_)), "{error}");
    let mut options = QueryOptions::default();
    options.samples_max = 10;
    let error = db
        .query_with("busy[1h]", START_MS + 80 * STEP_MS, &options)
        .expect_err("too much");
    assert_eq!(error, QueryError::Eval(EvalError::TooManySamples));
    let mut options = QueryOptions::default();
    options.cancel = CancelFlag::default();
    options.cancel.cancel();
    let error = db.query_with("busy", START_MS, &options).expect_err("canceled");
    assert_eq!(error, QueryError::Eval(EvalError::Canceled));
    let error = db.query("busy{host=~\"(\"}", START_MS).expect_err("no matcher");
    assert!(
        error.to_string().contains("invalid matcher") || matches!(error, QueryError::Parse(_)),
        "{error}"
    );
}
