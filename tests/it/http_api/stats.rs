//! The figures about a query: how many samples each step was computed from, counted as the real Prometheus counts them.

use super::differential::Pair;
use super::{FORM, escaped};
use crate::peers::http;
use serde_json::Value;

/// At 1700000000 there are the last samples, of ten minutes.
const RANGE: &str = "start=1699999500&end=1700000000.5&step=37.5";
const MOMENT: &str = "time=1699999950.25";

const QUERIES: &[&str] = &[
    "1",
    "time()",
    "up",
    "ended",
    "latency",
    "up offset 5m",
    "up @ 1699999900",
    "up + up",
    "up and on (job) requests_total",
    "sum by (job) (up)",
    "topk(1, up) + 1",
    "timestamp(up)",
    "timestamp(latency)",
    "timestamp(up @ 1699999900)",
    "absent(up)",
    "absent_over_time(up[1m])",
    "rate(requests_total[5m])",
    "rate(latency[5m])",
    "sum_over_time(up[2m] @ 1699999900)",
    "predict_linear(up[2m] @ 1699999900, 60)",
    "quantile_over_time(0.5, up[3m])",
    "last_over_time(latency[1m] offset 1m)",
    "histogram_quantile(0.9, rate(latency[1m]))",
    "max_over_time(rate(requests_total[1m])[2m:20s])",
    "max_over_time((up @ 1699999900)[2m:20s])",
    "sum_over_time(max_over_time(up[1m:10s])[2m:30s])",
    "max_over_time(vector(scalar(sum(up)))[2m:20s])",
    "max_over_time(up[2m:20s] @ 1699999900) + up",
    "scalar(up{job=\"web\"}) * up @ 1699999900",
    "vector(scalar(up{job=\"web\"} @ 1699999900))",
    "count_values(\"v\", latency)",
    "-(up) > bool 0",
    "odd unless up",
    "label_replace(up, \"a\", \"b\", \"\", \"\")",
];

/// Range vectors, which are answered at a moment only.
const WINDOWS: &[&str] = &[
    "up[1m]",
    "latency[1m]",
    "up[1m] @ 1699999900",
    "up[2m:20s]",
    "rate(requests_total[1m])[2m:20s]",
    "up[2m:20s] @ 1699999900",
];

fn samples_of(port: u16, place: &str, form: &str) -> Value {
    let answer = http::send(port, "POST", place, FORM, escaped(form).as_bytes()).expect("an answer");
    let mut json: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let mut samples = json["data"]["stats"]["samples"].take();
    assert!(samples.is_object(), "{place} {form}: {}", answer.text());
    // What is in memory at once depends on the program.
    samples.as_object_mut().expect("an object").remove("peakSamples");
    samples
}

#[test]
fn samples_are_counted_as_prometheus_counts_them() {
    let pair = Pair::start(super::data::BASE_MS);
    let ports = [pair.served.address.port(), pair.prometheus.port];
    let mut complaints = Vec::new();
    let mut compare = |place: &str, form: &str| {
        let [ours, theirs] = ports.map(|port| samples_of(port, place, form));
        if ours != theirs {
            complaints.push(format!("{form}:\n  {ours} here\n  {theirs} there"));
        }
    };
    for query in QUERIES {
        compare("/api/v1/query", &format!("stats=all&{MOMENT}&query={query}"));
        compare("/api/v1/query_range", &format!("stats=all&{RANGE}&query={query}"));
        compare(
            "/api/v1/query_range",
            &format!("stats=true&{RANGE}&query={query}"),
        );
    }
    for query in WINDOWS {
        compare("/api/v1/query", &format!("stats=all&{MOMENT}&query={query}"));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
