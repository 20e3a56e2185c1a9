//! Queries over a table in memory.

use super::error::EvalError;
use crate::promql::testing::{Table, instant, notes, options, range, run, run_with};
use crate::promql::value::Steps;

fn counters() -> Table {
    Table::default()
        .floats(
            "http_total{job=\"a\",host=\"x\"}",
            15,
            (0..40).map(|i| f64::from(i) * 15.0),
        )
        .floats(
            "http_total{job=\"a\",host=\"y\"}",
            15,
            (0..40).map(|i| f64::from(i % 20) * 30.0),
        )
        .floats(
            "http_total{job=\"b\",host=\"z\"}",
            15,
            (0..40).map(|i| f64::from(i) * 45.0),
        )
}

fn gauges() -> Table {
    Table::default()
        .floats("temp{room=\"a\"}", 60, [1.0, 2.0, 3.0, 4.0])
        .floats("temp{room=\"b\"}", 60, [10.0, 20.0, 30.0, 40.0])
        .floats("limit{room=\"a\"}", 60, [2.0; 4])
        .floats("limit{room=\"b\"}", 60, [20.0; 4])
        .floats("floor{room=\"a\",level=\"1\"}", 60, [1.0; 4])
        .floats("floor{room=\"a\",level=\"2\"}", 60, [2.0; 4])
}

#[test]
fn an_instant_selector_sees_the_newest_sample_within_the_lookback() {
    let table = Table::default().load(
        "up",
        60,
        &[Some(1.0), Some(2.0), None, Some(f64::NAN), None, Some(3.0)],
    );
    // The lookback is open at its far end, and a stale marker hides what is before it.
    assert_eq!(range(&table, "up", 0, 60, 6).unwrap(), ["up 1 2 2 _ _ 3"]);
    assert_eq!(instant(&table, "up", 599).unwrap(), ["up 3"]);
    assert_eq!(instant(&table, "up", 600).unwrap(), [""; 0]);
    assert_eq!(range(&table, "up offset 1m", 0, 60, 3).unwrap(), ["up _ 1 2"]);
    assert_eq!(range(&table, "up @ 60", 0, 60, 3).unwrap(), ["up 2 2 2"]);
    assert_eq!(instant(&table, "timestamp(up)", 130).unwrap(), ["{} 60"]);
}

#[test]
fn ranges_are_open_to_the_left() {
    let table = gauges();
    assert_eq!(
        instant(&table, "count_over_time(temp{room=\"a\"}[2m])", 180).unwrap(),
        ["{room=\"a\"} 2"]
    );
    assert_eq!(
        instant(&table, "temp{room=\"a\"}[2m]", 180).unwrap(),
        ["temp{room=\"a\"} [(120000, 3.0), (180000, 4.0)]"]
    );
    assert_eq!(
        instant(&table, "sum_over_time(temp{room=\"a\"}[3m:1m])", 180).unwrap(),
        ["{room=\"a\"} 9"]
    );
    assert_eq!(
        instant(&table, "sum_over_time(sum(temp)[2m:1m])", 180).unwrap(),
        ["{} 77"]
    );
}

#[test]
fn rates_are_extrapolated_and_resets_made_good() {
    let table = counters();
    assert_eq!(
        range(&table, "sum by (job) (increase(http_total[1m]))", 120, 15, 3).unwrap(),
        ["{job=\"a\"} 180 180 180", "{job=\"b\"} 180 180 180"]
    );
    // The counter fell at 300 s from 570 to 0: what it lost is added, the fall itself is one step without increase.
    assert_eq!(
        instant(&table, "resets(http_total{host=\"y\"}[1m])", 315).unwrap(),
        ["{host=\"y\", job=\"a\"} 1"]
    );
    assert_eq!(
        instant(&table, "increase(http_total{host=\"y\"}[1m])", 315).unwrap(),
        ["{host=\"y\", job=\"a\"} 80"]
    );
}

#[test]
fn rows_of_steps_agree_with_single_steps() {
    let table = counters();
    let queries = [
        "rate(http_total[1m])",
        "increase(http_total[2m])",
        "max_over_time(http_total[90s])",
        "sum_over_time(http_total[1m:10s])",
        "topk(1, http_total)",
        "http_total / on (host) group_left http_total offset 30s",
        "quantile by (job) (0.3, http_total)",
    ];
    for query in queries {
        let rows = range(&table, query, 30, 15, 30).unwrap();
        for step in 0..30 {
            let single: Vec<String> = instant(&table, query, 30 + step * 15).unwrap();
            let column = rows.iter().filter_map(|row| {
                let (labels, values) = split_row(row, 30);
                let value = values[step as usize];
                (value != "_").then(|| format!("{labels} {value}"))
            });
            let (mut column, mut single): (Vec<String>, Vec<String>) = (column.collect(), single);
            column.sort();
            single.sort();
            assert_eq!(column, single, "{query} at step {step}");
        }
    }
}

/// The labels and the values of a row, which has `count` of them.
fn split_row(row: &str, count: usize) -> (String, Vec<&str>) {
    let words: Vec<&str> = row.split(' ').collect();
    let (labels, values) = words.split_at(words.len() - count);
    (labels.join(" "), values.to_vec())
}

#[test]
fn vectors_are_matched_by_their_labels() {
    let table = gauges();
    let cases: &[(&str, &[&str])] = &[
        ("temp / limit", &["{room=\"a\"} 2", "{room=\"b\"} 2"]),
        (
            "temp > limit * 2 - 1",
            &["temp{room=\"a\"} 4", "temp{room=\"b\"} 40"],
        ),
        ("temp > bool 10", &["{room=\"a\"} 0", "{room=\"b\"} 1"]),
        ("10 < temp", &["temp{room=\"b\"} 40"]),
        (
            "floor * on (room) group_left limit",
            &["{level=\"1\", room=\"a\"} 2", "{level=\"2\", room=\"a\"} 4"],
        ),
        ("temp and limit{room=\"a\"}", &["temp{room=\"a\"} 4"]),
        ("temp unless limit{room=\"a\"}", &["temp{room=\"b\"} 40"]),
        (
            "temp{room=\"a\"} or temp",
            &["temp{room=\"a\"} 4", "temp{room=\"b\"} 40"],
        ),
        ("temp + limit{room=\"a\"}", &["{room=\"a\"} 6"]),
        (
            "temp + fill_right(0) limit{room=\"a\"}",
            &["{room=\"a\"} 6", "{room=\"b\"} 40"],
        ),
        ("-temp{room=\"a\"} + 2 ^ 3 * 1", &["{room=\"a\"} 4"]),
    ];
    for (query, wanted) in cases {
        assert_eq!(instant(&table, query, 180).unwrap(), *wanted, "{query}");
    }
}

#[test]
fn faults_of_matching_are_told_as_prometheus_tells_them() {
    let table = gauges();
    let cases = [
        (
            "temp * on (room) floor",
            "found duplicate series for the match group {room=\"a\"} on the right hand-side of the operation: \
             [{__name__=\"floor\", level=\"1\", room=\"a\"}, {__name__=\"floor\", level=\"2\", room=\"a\"}];\
             many-to-many matching not allowed: matching labels must be unique on one side",
        ),
        (
            "floor * on (room) limit",
            "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
        ),
        (
            "-{room=\"a\",level=\"\"}",
            "vector cannot contain metrics with the same labelset",
        ),
        (
            "rate({room=\"a\",level=\"\"}[5m])",
            "vector cannot contain metrics with the same labelset",
        ),
        ("topk(NaN, temp)", "Parameter value is NaN"),
        (
            "deriv(temp[5m] smoothed)",
            "smoothed modifier can only be used with: delta, increase, rate - not with deriv",
        ),
    ];
    for (query, wanted) in cases {
        assert_eq!(
            instant(&table, query, 180),
            Err(EvalError::Execution(wanted.to_owned())),
            "{query}"
        );
    }
}

#[test]
fn aggregations_know_their_groups() {
    let table = gauges();
    let cases: &[(&str, &[&str])] = &[
        ("sum(temp)", &["{} 44"]),
        ("avg by (room) (temp)", &["{room=\"a\"} 4", "{room=\"b\"} 40"]),
        ("count without (level) (floor)", &["{room=\"a\"} 2"]),
        ("max(temp) - min(temp)", &["{} 36"]),
        ("group(temp)", &["{} 1"]),
        ("stddev(temp)", &["{} 18"]),
        ("stdvar(temp)", &["{} 324"]),
        ("quantile(0.5, temp)", &["{} 22"]),
        ("topk(1, temp)", &["temp{room=\"b\"} 40"]),
        ("bottomk(1, temp)", &["temp{room=\"a\"} 4"]),
        ("topk(5, temp)", &["temp{room=\"b\"} 40", "temp{room=\"a\"} 4"]),
        ("limitk(1, temp)", &["temp{room=\"a\"} 4"]),
        ("count_values(\"v\", limit)", &["{v=\"2\"} 1", "{v=\"20\"} 1"]),
        ("sum(nothing)", &[]),
        ("absent(nothing{room=\"a\"})", &["{room=\"a\"} 1"]),
        ("absent_over_time(temp[1m])", &[]),
    ];
    for (query, wanted) in cases {
        assert_eq!(instant(&table, query, 180).unwrap(), *wanted, "{query}");
    }
}

#[test]
fn the_same_select_is_made_once() {
    let table = counters();
    let query = "sum(rate(http_total[1m])) / count(rate(http_total[1m])) + sum(http_total)";
    instant(&table, query, 120).unwrap();
    assert_eq!(table.selects.get(), 2);
}

#[test]
fn a_long_chain_needs_no_deep_stack() {
    let table = gauges();
    let chain = vec!["temp{room=\"a\"}"; 3000].join(" + ");
    assert_eq!(instant(&table, &chain, 180).unwrap(), ["{room=\"a\"} 12000"]);
    let chain = format!("temp{{room=\"a\"}}{}", " + 1".repeat(30_000));
    assert_eq!(instant(&table, &chain, 180).unwrap(), ["{room=\"a\"} 30004"]);
    let chain = format!("1{}", " + 1".repeat(30_000));
    assert_eq!(instant(&table, &chain, 180).unwrap(), ["30001"]);
}

#[test]
fn a_query_that_needs_too_much_ends() {
    let table = counters();
    let mut options = options();
    options.samples_max = 100;
    let steps = Steps {
        start_ms: 120_000,
        step_ms: 15_000,
        count: 30,
    };
    // An aggregation keeps its groups only, a series of samples is gone before the next one comes.
    let streamed = run_with(&table, &options, "sum(http_total)", steps);
    assert!(
        streamed.value.is_ok() && streamed.samples_peak < 100,
        "{streamed:?}"
    );
    let kept = run_with(&table, &options, "http_total + http_total", steps);
    assert_eq!(kept.value, Err(EvalError::TooManySamples));
    options.cancel.cancel();
    assert_eq!(
        run_with(&table, &options, "sum(http_total)", steps).value,
        Err(EvalError::Canceled)
    );
}

#[test]
fn annotations_say_where() {
    let table = gauges();
    let cases = [
        (
            "rate(temp[5m])",
            "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"temp\" (1:6)",
        ),
        (
            "quantile(2, temp)",
            "PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)",
        ),
        (
            "limit_ratio(1.5, temp)",
            "PromQL warning: ratio value should be between -1 and 1, got 1.5, capping to 1 (1:13)",
        ),
    ];
    for (query, wanted) in cases {
        let outcome = run(&table, query, 180, 1, 1);
        assert_eq!(notes(&outcome.annotations, query), [wanted]);
    }
}
