//! The asynchronous store of devices: every call of the trait, every condition and aggregation of a query, units, retention.

use narthex::{
    Aggregation, Db, Error, EventPoint, EventQuery, LogPoint, LogQuery, ManualClock, Matcher, MetricPoint,
    Options, Reject, Severity, Tags, TimeSeriesQuery, TimeSeriesStore,
};
use serde_json::json;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const DAY_MS: i64 = 86_400_000;

/// The store does its work at the first poll.
fn now<T>(future: impl Future<Output = Result<T, Error>>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result.expect("the store works"),
        Poll::Pending => panic!("the store waits"),
    }
}

/// Two devices with a temperature every 10 s, of which each third is far off, and one pressure.
fn filled() -> Db {
    let db = Db::open(Options::in_memory()).expect("a database");
    let mut points = Vec::new();
    for number in 0..12 {
        for (device, base) in [("boiler", 60.0), ("pump", 20.0)] {
            let value = base + f64::from(number % 3) * 5.0;
            let point = MetricPoint::new(device, "temperature", value).with_unit("celsius");
            let tags = json!({ "room": "cellar", "rack": { "row": number % 2 } });
            points.push(point.with_tags(tags).with_timestamp(i64::from(number) * 10_000));
        }
    }
    assert_eq!(now(db.write_metrics(points)).accepted, 24);
    let pressure = MetricPoint::new("pump", "pressure", 1.5).with_timestamp(0);
    assert_eq!(now(db.write_metric(pressure)).accepted, 1);
    db
}

#[test]
fn metrics_are_found_by_device_metric_tags_time_and_number() {
    let db = filled();
    let count = |query: TimeSeriesQuery| now(db.query_metrics(query)).len();
    let all = TimeSeriesQuery::new(0, 120_000);
    assert_eq!(count(all.clone()), 25);
    assert_eq!(count(all.clone().with_device("pump")), 13);
    assert_eq!(count(all.clone().with_metric("temperature")), 24);
    assert_eq!(count(all.clone().with_device("pump").with_metric("pressure")), 1);
    assert_eq!(count(all.clone().with_tags(json!({ "rack": { "row": 1 } }))), 12);
    assert_eq!(count(all.clone().with_tags([("room", "attic")])), 0);
    assert_eq!(
        count(TimeSeriesQuery::new(10_000, 30_000)),
        4,
        "the end is excluded"
    );
    let first = now(db.query_metrics(all.with_metric("temperature").with_limit(3)));
    let seen: Vec<(&str, Option<i64>, f64)> = first
        .iter()
        .map(|point| (point.device.as_str(), point.timestamp, point.value))
        .collect();
    assert_eq!(
        seen,
        [
            ("boiler", Some(0), 60.0),
            ("pump", Some(0), 20.0),
            ("boiler", Some(10_000), 65.0)
        ]
    );
    assert_eq!(first[0].unit.as_deref(), Some("celsius"));
    assert_eq!(
        first[2].tags,
        Tags::from(json!({ "room": "cellar", "rack.row": 1 }))
    );
}

#[test]
fn a_unit_is_metadata_of_the_metric_and_a_point_is_a_sample() {
    let db = filled();
    let known = db.metadata(Some("temperature"));
    let units: Vec<&str> = known["temperature"]
        .iter()
        .map(|said| said.1.unit.as_str())
        .collect();
    assert_eq!(units, ["celsius"]);
    let matchers = [
        Matcher::eq("__name__", "temperature"),
        Matcher::eq("device", "pump"),
    ];
    let series = db.select(&matchers, ..).expect("a selection");
    let labels: Vec<String> = series
        .map(|series| series.expect("a series").labels().to_string())
        .collect();
    assert_eq!(
        labels,
        [
            "temperature{device=\"pump\", \"rack.row\"=\"0\", room=\"cellar\"}",
            "temperature{device=\"pump\", \"rack.row\"=\"1\", room=\"cellar\"}",
        ]
    );
}

#[test]
fn intervals_are_aggregated_in_every_way() {
    let db = filled();
    let query = TimeSeriesQuery::new(0, 120_000)
        .with_device("boiler")
        .with_metric("temperature");
    for (aggregation, value) in [
        (Aggregation::Avg, 65.0),
        (Aggregation::Sum, 390.0),
        (Aggregation::Min, 60.0),
        (Aggregation::Max, 70.0),
        (Aggregation::Count, 6.0),
        (Aggregation::First, 60.0),
        (Aggregation::Last, 70.0),
        (Aggregation::Stddev, (50.0f64 / 3.0).sqrt()),
    ] {
        let found = now(db.query_aggregated(query.clone().with_aggregation(aggregation, 60)));
        let times: Vec<(i64, u64)> = found.iter().map(|point| (point.timestamp, point.count)).collect();
        assert_eq!(times, [(0, 6), (60_000, 6)]);
        assert!(
            found.iter().all(|point| (point.value - value).abs() < 1e-9),
            "{aggregation:?}: {found:?}"
        );
    }
    let both = TimeSeriesQuery::new(0, 120_000).with_metric("temperature");
    let found = now(db.query_aggregated(both.with_aggregation(Aggregation::Avg, 300).with_limit(5)));
    let seen: Vec<(&str, f64)> = found
        .iter()
        .map(|point| (point.device.as_str(), point.value))
        .collect();
    assert_eq!(seen, [("boiler", 65.0), ("pump", 25.0)]);
    let none = pin!(db.query_aggregated(query)).poll(&mut Context::from_waker(Waker::noop()));
    assert!(
        matches!(none, Poll::Ready(Err(Error::InvalidOptions(_)))),
        "an aggregation must be named"
    );
}

#[test]
fn what_is_wrong_with_a_point_hinders_no_other() {
    let db = Db::open(Options::in_memory()).expect("a database");
    let taken = MetricPoint::new("a", "m", 1.0).with_tags([("device", "b")]);
    let report = now(db.write_metrics(vec![taken, MetricPoint::new("a", "m", 1.0)]));
    assert_eq!(
        (report.accepted, report.rejected[0].reason),
        (1, Reject::InvalidLabels)
    );
    let found = now(db.query_metrics(TimeSeriesQuery::new(0, i64::MAX)));
    assert!(
        found[0].timestamp.is_some_and(|time| time > 1_700_000_000_000),
        "now is its time"
    );
}

#[test]
fn logs_and_events_go_through_the_trait_as_well() {
    let db = filled();
    let log =
        |level: &str, time| LogPoint::new("pump", level, format!("{level} at {time}")).with_timestamp(time);
    let full = log("info", 1)
        .with_source("plc")
        .with_tags(json!({ "rack": { "row": 3 } }));
    now(db.write_log(full.clone()));
    now(db.write_logs(vec![log("error", 2), log("debug", 3)]));
    let query = LogQuery::new(..).with_device("pump").with_level("info");
    let page = now(db.query_logs(query.clone().with_limit(1)));
    assert_eq!(page.logs[0].message, "error at 2");
    let page = now(db.query_logs(query.clone().with_cursor(page.next.expect("there is more"))));
    assert_eq!((page.logs, page.next), (vec![full], None));
    let of_source = query.with_source("plc").with_tags([("rack.row", "3")]);
    assert_eq!(
        db.logs().count_per_interval(&of_source, 10).expect("counts"),
        [(0, 1)]
    );

    let event = |severity: &str, time| {
        EventPoint::new("door", "opened")
            .with_severity(severity)
            .with_timestamp(time)
    };
    now(db.write_event(event("low", 1)));
    now(db.write_events(vec![event("critical", 2), event("medium", 13)]));
    let severe = EventQuery::new(..).with_severity(Severity::Medium).oldest_first();
    let page = now(db.query_events(severe.clone()));
    let times: Vec<Option<i64>> = page.events.iter().map(|event| event.timestamp).collect();
    assert_eq!(times, [Some(2), Some(13)]);
    assert_eq!(
        db.events().count_per_interval(&severe, 10).expect("counts"),
        [(0, 1), (10, 1)]
    );
    assert_eq!(db.events().devices().expect("devices"), ["door"]);
}

#[test]
fn the_profile_for_devices_keeps_each_kind_as_long_as_it_says() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let clock = Arc::new(ManualClock::new(0));
    let options = Options::iot(folder.path()).clock(clock.clone()).background(false);
    let db = Db::open(options.segment_span(Duration::from_secs(86_400))).expect("a database");
    for day in 0..=200 {
        clock.set(day * DAY_MS);
        now(db.write_metric(MetricPoint::new("d", "m", day as f64)));
        now(db.write_log(LogPoint::new("d", "info", "tick")));
        now(db.write_event(EventPoint::new("d", "tick")));
        db.flush().expect("a flush");
        while db.step().expect("a step") {}
    }
    let oldest_log = now(db.query_logs(LogQuery::new(..).oldest_first())).logs[0].timestamp;
    let oldest_event = now(db.query_events(EventQuery::new(..).oldest_first())).events[0].timestamp;
    assert_eq!(
        (oldest_log, oldest_event),
        (Some(170 * DAY_MS), Some(20 * DAY_MS))
    );
    // Samples go by whole segments, which are a tenth of the retention long at most.
    let samples = now(db.query_metrics(TimeSeriesQuery::new(0, i64::MAX)));
    let oldest = samples[0].timestamp.expect("a time") / DAY_MS;
    assert!((100..=110).contains(&oldest), "{oldest}");
}
