//! A second Prometheus with empty storage reads from narthex, and answers what the first answers from its own.

use super::compare;
use super::http::{self, escape};
use super::processes::{Narthex, Prometheus};
use super::writing;
use serde_json::Value;

/// Expressions over what is scraped: floats, histograms, regular expressions, long ranges.
const EXPRESSIONS: [&str; 54] = [
    "up",
    "sum(up)",
    "{__name__=~\"app_.*\"}",
    "{__name__=~\"node_cpu.*\",mode!=\"idle\"}",
    "count({__name__=~\".+\"})",
    "count by (job) ({__name__!=\"\"})",
    "app_odd_values",
    "app_odd_values * 2",
    "app_moving",
    "app_moving[2m]",
    "app_requests_total",
    "app_requests_total{path=~\"/p1.*\"}",
    "app_requests_total{path!~\"/p1.*\"}",
    "app_requests_total{quote=\"a\\\"b\\\\c\\nd\"}",
    "rate(app_requests_total[30s])",
    "irate(app_requests_total[30s])",
    "increase(app_requests_total[1m])",
    "sum by (path) (rate(app_requests_total[30s]))",
    "topk(3, app_requests_total > 0)",
    "bottomk(3, app_requests_total > 0)",
    "app_latency_seconds",
    "app_latency_seconds[1m]",
    "rate(app_latency_seconds[30s])",
    "histogram_quantile(0.9, rate(app_latency_seconds[30s]))",
    "histogram_quantile(0.5, sum(rate(app_latency_seconds[1m])))",
    "histogram_count(app_latency_seconds)",
    "histogram_sum(app_latency_seconds)",
    "histogram_avg(app_latency_seconds)",
    "histogram_fraction(0, 1, app_latency_seconds)",
    "histogram_stddev(app_latency_seconds)",
    "histogram_quantile(0.9, sum by (le) (rate(app_size_bytes_bucket[1m])))",
    "resets(app_latency_seconds[5m])",
    "avg_over_time(node_load1[1m])",
    "max_over_time(node_load1[1m])",
    "quantile_over_time(0.9, node_load1[1m])",
    "stddev_over_time(node_memory_MemFree_bytes[1m])",
    "deriv(node_memory_MemFree_bytes[1m])",
    "predict_linear(node_memory_MemFree_bytes[1m], 60)",
    "delta(node_memory_MemFree_bytes[1m])",
    "node_memory_MemFree_bytes / node_memory_MemTotal_bytes",
    "1 - avg(rate(node_cpu_seconds_total{mode=\"idle\"}[30s]))",
    "sum without (cpu) (node_cpu_seconds_total)",
    "count_values(\"value\", up)",
    "absent(nothing_of_that_name)",
    "absent(up)",
    "changes(app_odd_values[1m])",
    "last_over_time(app_moving[2m])",
    "present_over_time(app_moving[2m])",
    "max_over_time(rate(app_requests_total[10s])[30s:5s])",
    "app_requests_total offset 20s",
    "label_replace(up, \"host\", \"$1\", \"instance\", \"(.*):.*\")",
    "up and on (job) app_requests_total",
    "sort_desc(go_goroutines)",
    "group by (__name__) ({job=\"prometheus\",__name__=~\"prometheus_tsdb.*\"})",
];

/// The data of an answer, its series in order of their labels.
fn ask(port: u16, path: &str) -> Value {
    let mut answer = http::json(port, path);
    assert_eq!(answer["status"], "success", "{path}: {answer}");
    let sorts = ["sort_desc", "topk", "bottomk"];
    let is_sorted = !path.contains("query_range") && sorts.iter().any(|name| path.contains(name));
    if let Some(list) = answer["data"]["result"].as_array_mut().filter(|_| !is_sorted) {
        list.sort_by_key(|series| series["metric"].to_string());
    }
    answer["data"].take()
}

/// Every expression at several moments and over a range gives what the first Prometheus gives.
fn compare_answers(first: &Prometheus, second: &Prometheus, last_ms: i64) {
    let last_s = last_ms as f64 / 1000.0;
    for expression in EXPRESSIONS {
        let query = escape(expression);
        for back_s in [0.0, 7.5, 31.0] {
            let path = format!("/api/v1/query?query={query}&time={}", last_s - back_s);
            assert_eq!(
                ask(second.port, &path),
                ask(first.port, &path),
                "{expression} at {back_s} s before the end"
            );
        }
        if !expression.ends_with("m]") {
            let path = format!(
                "/api/v1/query_range?query={query}&start={}&end={last_s}&step=3",
                last_s - 3_600.0
            );
            assert_eq!(
                ask(second.port, &path),
                ask(first.port, &path),
                "{expression} over an hour"
            );
        }
    }
}

fn reader(folder: &std::path::Path, name: &str, narthex: &Narthex) -> Prometheus {
    let config = format!(
        "remote_read:\n- url: http://127.0.0.1:{}/api/v1/read\n  read_recent: true\n",
        narthex.port
    );
    Prometheus::start(folder, name, &config, &["--enable-feature=native-histograms"])
}

#[test]
fn a_prometheus_without_storage_answers_as_the_one_that_scraped() {
    let stage = writing::run("io.prometheus.write.v2.Request", false);
    let last_ms = stage
        .dump
        .values()
        .filter_map(|series| series.keys().next_back())
        .max();
    let last_ms = *last_ms.expect("samples");
    let streamed = reader(stage.folder.path(), "streamed", &stage.narthex);
    compare_answers(&stage.prometheus, &streamed, last_ms);
    compare_chunks(&stage.prometheus, &stage.narthex);

    let plain = Narthex::take_over(
        stage.narthex,
        &["--retention", "0", "--remote-read-streaming", "off"],
    );
    let whole = reader(stage.folder.path(), "whole", &plain);
    compare_answers(&stage.prometheus, &whole, last_ms);
}

/// Chunks with the same cut points have the same bytes. Prometheus cuts at what its head does; most series have one chunk.
fn compare_chunks(prometheus: &Prometheus, narthex: &Narthex) {
    let (expected, found) = (compare::chunks(prometheus.port), compare::chunks(narthex.port));
    assert!(expected.keys().eq(found.keys()), "the same series");
    let mut compared = [0; 3];
    for (labels, chunks) in &expected {
        for (min, max, kind, bytes) in chunks {
            let same = found[labels]
                .iter()
                .find(|chunk| (chunk.0, chunk.1, chunk.2) == (*min, *max, *kind));
            if let Some(same) = same {
                let bytes = with_known_reset(*kind, bytes, &same.3);
                assert_eq!(same.3, bytes, "{labels} from {min} to {max}");
                compared[usize::from(*kind == 2)] += 1;
            } else {
                compared[2] += 1;
            }
        }
    }
    let [floats, histograms, cut_elsewhere] = compared;
    assert!(
        floats > 500 && histograms > 0 && cut_elsewhere * 10 < floats,
        "{compared:?}"
    );
}

/// The bytes with the flag for a counter reset before the chunk that `other` has, where they have none: Prometheus forgets it
/// when it makes its open chunk anew for an answer.
fn with_known_reset(kind: i32, bytes: &[u8], other: &[u8]) -> Vec<u8> {
    const HISTOGRAM: i32 = 2;
    const FLAGS_AT: usize = 2;
    let mut bytes = bytes.to_vec();
    if kind == HISTOGRAM && bytes[FLAGS_AT] == 0 {
        bytes[FLAGS_AT] = other[FLAGS_AT];
    }
    bytes
}
