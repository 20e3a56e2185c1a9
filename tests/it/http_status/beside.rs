//! The same requests to narthex and to the real Prometheus, good ones and bad ones: status, kind of error, and the shape of the answer,
//! that is its fields and of what kind they are. Where 3.5 has no such route, what is compared with is named.

use super::form;
use crate::http::served::Served;
use crate::peers::http::{Answer, send};
use crate::peers::processes::Prometheus;
use crate::peers::wire;
use prost::Message as _;
use serde_json::{Map, Value};

/// How alike the answers are.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Alike {
    /// In status, kind of error and shape.
    Shape,
    /// Also in all values, but for what is newer than 3.5.
    Values,
    /// In status and kind of error.
    Status,
    /// The first one is not there in 3.5: ours has this status, as the source says.
    Newer(u16, &'static str),
    /// Ours has another status, and why.
    Otherwise(u16, &'static str),
}

use Alike::{Newer, Otherwise, Shape, Status, Values};

type Case = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    Alike,
);

/// web/api/v1/openapi_paths.go and openapi_examples.go of 3.14.
const SOURCE: &str = "the OpenAPI document of 3.14";

#[rustfmt::skip]
const CASES: &[Case] = &[
    ("GET", "status/config", &[], Shape),
    ("GET", "status/flags", &[], Status),
    ("GET", "status/runtimeinfo", &[], Shape),
    ("GET", "status/buildinfo", &[], Shape),
    ("GET", "status/tsdb", &[], Values),
    ("GET", "status/tsdb", &[("limit", "2")], Shape),
    ("GET", "status/tsdb", &[("limit", "0")], Shape),
    ("GET", "status/tsdb", &[("limit", "-1")], Shape),
    ("GET", "status/tsdb", &[("limit", "x")], Shape),
    ("GET", "status/tsdb", &[("limit", "10000")], Values),
    ("GET", "status/tsdb", &[("limit", "10001")], Otherwise(400, "3.14 has a limit that 3.5 has not")),
    ("GET", "status/walreplay", &[], Shape),
    ("GET", "status/tsdb/blocks", &[], Newer(200, SOURCE)),
    ("GET", "status/self_metrics", &[], Newer(200, SOURCE)),
    ("GET", "features", &[], Newer(200, SOURCE)),
    ("GET", "openapi.yaml", &[], Newer(200, SOURCE)),
    ("GET", "targets/relabel_steps", &[], Newer(400, SOURCE)),
    ("GET", "scrape_pools/config", &[], Newer(400, SOURCE)),
    ("GET", "targets", &[], Values),
    ("GET", "targets", &[("state", "active")], Values),
    ("GET", "targets", &[("state", "Dropped"), ("scrapePool", "x")], Values),
    ("GET", "targets", &[("state", "nonsense")], Values),
    ("GET", "targets/metadata", &[], Values),
    ("GET", "targets/metadata", &[("limit", "x")], Values),
    ("GET", "targets/metadata", &[("limit", "1"), ("metric", "up"), ("match_target", "{job=\"a\"}")], Values),
    ("GET", "targets/metadata", &[("match_target", "{")], Values),
    ("GET", "targets/metadata", &[("match_target", "{}")], Values),
    ("GET", "scrape_pools", &[], Values),
    ("GET", "alertmanagers", &[], Values),
    ("GET", "alerts", &[], Values),
    ("GET", "notifications", &[], Values),
    ("GET", "rules", &[], Values),
    ("GET", "rules", &[("type", "alert")], Values),
    ("GET", "rules", &[("type", "RECORD")], Values),
    ("GET", "rules", &[("type", "x")], Values),
    ("GET", "rules", &[("exclude_alerts", "t"), ("rule_name[]", "a"), ("rule_group[]", "b"), ("file[]", "c")], Values),
    ("GET", "rules", &[("exclude_alerts", "yes")], Values),
    ("GET", "rules", &[("match[]", "{a=\"b\"}")], Values),
    ("GET", "rules", &[("match[]", "{")], Values),
    ("GET", "rules", &[("match[]", "{}")], Values),
    ("GET", "rules", &[("group_limit", "1")], Values),
    ("GET", "rules", &[("group_limit", "0")], Values),
    ("GET", "rules", &[("group_limit", "x")], Values),
    ("GET", "rules", &[("group_next_token", "x")], Values),
    ("GET", "rules", &[("group_limit", "1"), ("group_next_token", "x")], Values),
    ("POST", "rules", &[], Status),
    ("GET", "nothing", &[], Status),
    ("DELETE", "query", &[], Status),
    ("OPTIONS", "query", &[], Status),
    ("OPTIONS", "nothing", &[], Status),
];

/// Formatted and parsed, both ways.
const QUERIES: &[&str] = &[
    "",
    "sum(",
    "x{",
    "1 +",
    "foo bar",
    "\"text\"",
    "1e300",
    "-Inf",
    "0x1F",
    "5m",
    "(x)",
    "-x",
    "+(x)",
    "time()",
    "sum by (a,b) (rate(x{c=\"d\",e!~\"f\"}[5m] offset 1m))",
    "topk without (a) (3, x)",
    "count_values(\"z\", x)",
    "quantile(0.9, x)",
    "sum(x) by ()",
    "a + on (l) group_left (m) b",
    "a * ignoring (l) group_right () b",
    "a and b",
    "a unless on (x) b",
    "a or b",
    "a == bool b",
    "1 == bool 2",
    "a > 1",
    "1 + 2 * 3 ^ 4 % 5 / 6 - 7",
    "x[5m] @ 10.5",
    "x @ start()",
    "x[1m] @ end() offset -5m",
    "sum(x)[1h:5m] offset -3m @ end()",
    "x[30m:]",
    "{\"a.b\", c=\"d\"}",
    "{__name__=~\"a|b\", c=\"\", d!=\"e\"}",
    "{\"a.b\"}",
    "label_replace(x, \"a\", \"$1\", \"c\", \"(.*)\")",
    "histogram_quantile(0.9, sum by (le) (rate(x_bucket[5m])))",
    "round(x)",
    "round(x, 5)",
    "label_join(x, \"a\", \",\", \"b\", \"c\")",
    "absent(x{a=\"<&>\"})",
    "vector(scalar(x))",
    "sum by (cluster, namespace, workload) (rate(container_cpu_usage_seconds_total{job=\"kubelet\", image!=\"\"}[5m])) / \
     on (cluster) group_left sum by (cluster) (machine_cpu_cores{job=\"kubelet\"}) > 0.9 unless on (namespace) muted",
];

/// What 3.14 says and 3.5 does not, and what is narthex' own.
const NEWER: &[&str] = &[
    "anchored",
    "smoothed",
    "fillValues",
    "state",
    "narthexVersion",
    "format",
];

/// The value without what is newer.
fn without_newer(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let known = fields.iter().filter(|(name, _)| !NEWER.contains(&name.as_str()));
            Value::Object(
                known
                    .map(|(name, value)| (name.clone(), without_newer(value)))
                    .collect(),
            )
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(without_newer).collect();
            // Of equal counts Prometheus shows any first.
            if items.iter().all(|item| item["value"].is_number()) {
                items.sort_by_key(Value::to_string);
            }
            items.into()
        }
        other => other.clone(),
    }
}

/// Fields and kinds; of a list the first entry's.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), shape(value)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().take(1).map(shape).collect(),
        Value::String(_) => "text".into(),
        Value::Number(_) => "number".into(),
        Value::Bool(_) => "truth".into(),
        Value::Null => Value::Null,
    }
}

fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).map_or(Value::Null, |body| without_newer(&body))
}

/// How the answers differ, unless they are as alike as they should be.
fn difference(ours: &Answer, theirs: &Answer, alike: Alike) -> Option<String> {
    let (one, other) = (body(ours), body(theirs));
    let shown = || {
        Some(format!(
            "ours {} {one}\n  theirs {} {other}",
            ours.status, theirs.status
        ))
    };
    match alike {
        Newer(status, _) if theirs.status == 404 && ours.status == status => return None,
        Otherwise(status, _) if theirs.status != status && ours.status == status => return None,
        Newer(..) | Otherwise(..) => return shown(),
        Shape | Values | Status => {}
    }
    // A method or a path that is none is told as text there and as an error here.
    let has_kind = other["errorType"].is_string();
    let is_alike = ours.status == theirs.status
        && (!has_kind || one["errorType"] == other["errorType"])
        && match alike {
            Shape => shape(&one) == shape(&other),
            Values => one == other,
            Status | Newer(..) | Otherwise(..) => true,
        };
    if is_alike { None } else { shown() }
}

fn write(port: u16) {
    let mut series = Vec::new();
    for (name, host) in [("up", "a"), ("up", "b"), ("up", "c"), ("load", "a")] {
        let label = |(name, value): (&str, &str)| wire::Label {
            name: name.into(),
            value: value.into(),
        };
        series.push(wire::TimeSeries {
            labels: [("__name__", name), ("host", host)].map(label).into(),
            samples: vec![wire::Sample {
                value: 1.0,
                timestamp: 1_700_000_000_000,
            }],
            ..wire::TimeSeries::default()
        });
    }
    let request = wire::WriteRequest {
        timeseries: series,
        ..wire::WriteRequest::default()
    };
    let block = snap::raw::Encoder::new()
        .compress_vec(&request.encode_to_vec())
        .expect("a block");
    let headers = "Content-Encoding: snappy\r\nContent-Type: application/x-protobuf\r\n";
    let answer = send(port, "POST", "/api/v1/write", headers, &block).expect("an answer");
    assert!(answer.status < 300, "{}: {}", answer.status, answer.text());
}

/// narthex and Prometheus with the same four series.
struct Pair {
    ours: Served,
    theirs: Prometheus,
    _folder: tempfile::TempDir,
}

impl Pair {
    fn start(settings: &str, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = "global: {scrape_interval: 1h}\nstorage: {tsdb: {out_of_order_time_window: 100y}}\n";
        let flags = [&["--web.enable-remote-write-receiver"], flags].concat();
        let pair = Self {
            ours: Served::new(settings).ready(),
            theirs: Prometheus::start(folder.path(), "beside", config, &flags),
            _folder: folder,
        };
        write(pair.ours.address.port());
        write(pair.theirs.port);
        pair
    }

    fn compare(&self, (method, path, pairs, alike): Case, failures: &mut Vec<String>) {
        let path = format!("/api/v1/{path}");
        let ask = |port: u16| match method {
            "POST" | "PUT" => {
                let headers = format!("{}\r\n", super::FORM);
                send(port, method, &path, &headers, form(pairs).as_bytes())
            }
            _ => send(port, method, &format!("{path}?{}", form(pairs)), "", &[]),
        };
        let ours = ask(self.ours.address.port()).expect("an answer");
        let theirs = ask(self.theirs.port).expect("an answer");
        if let Some(difference) = difference(&ours, &theirs, alike) {
            failures.push(format!("{method} {path} {pairs:?} {alike:?}\n  {difference}"));
        }
    }
}

fn report(failures: &[String]) {
    assert!(
        failures.is_empty(),
        "{} differ:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn status_and_absences_are_those_of_prometheus() {
    let pair = Pair::start("", &[]);
    let mut failures = Vec::new();
    for case in CASES {
        pair.compare(*case, &mut failures);
    }
    for path in [
        "admin/tsdb/delete_series",
        "admin/tsdb/clean_tombstones",
        "admin/tsdb/snapshot",
    ] {
        for method in ["POST", "PUT", "GET"] {
            pair.compare((method, path, &[], Status), &mut failures);
        }
    }
    report(&failures);
}

#[test]
fn queries_are_formatted_and_parsed_as_by_prometheus() {
    let pair = Pair::start("", &[]);
    let mut failures = Vec::new();
    for query in QUERIES {
        for path in ["format_query", "parse_query"] {
            for method in ["GET", "POST"] {
                let headers = format!("{}\r\n", super::FORM);
                let text = form(&[("query", query)]);
                let ask = |port: u16| match method {
                    "GET" => send(port, "GET", &format!("/api/v1/{path}?{text}"), "", &[]),
                    _ => send(
                        port,
                        method,
                        &format!("/api/v1/{path}"),
                        &headers,
                        text.as_bytes(),
                    ),
                };
                let ours = ask(pair.ours.address.port()).expect("an answer");
                let theirs = ask(pair.theirs.port).expect("an answer");
                if let Some(difference) = difference(&ours, &theirs, Values) {
                    failures.push(format!("{method} {path} {query}\n  {difference}"));
                }
            }
        }
    }
    report(&failures);
}

const SELECTOR: &[(&str, &str)] = &[("match[]", "up{host=\"a\"}")];

#[rustfmt::skip]
const ADMIN: &[Case] = &[
    ("POST", "admin/tsdb/delete_series", &[], Values),
    ("POST", "admin/tsdb/delete_series", &[("match[]", "{")], Values),
    ("POST", "admin/tsdb/delete_series", &[("match[]", "up"), ("start", "x")], Shape),
    ("POST", "admin/tsdb/delete_series", &[("match[]", "up"), ("end", "x")], Shape),
    ("POST", "admin/tsdb/delete_series", &[("match[]", "up"), ("start", "20"), ("end", "10")], Values),
    ("POST", "admin/tsdb/delete_series", SELECTOR, Values),
    ("PUT", "admin/tsdb/delete_series", SELECTOR, Values),
    ("POST", "admin/tsdb/delete_series", &[("match[]", "{}")], Otherwise(400, "it would delete everything")),
    ("GET", "admin/tsdb/delete_series", &[], Status),
    ("POST", "admin/tsdb/clean_tombstones", &[], Values),
    ("PUT", "admin/tsdb/clean_tombstones", &[], Values),
    ("POST", "admin/tsdb/snapshot", &[], Shape),
    ("POST", "admin/tsdb/snapshot", &[("skip_head", "1")], Shape),
    ("PUT", "admin/tsdb/snapshot", &[("skip_head", "f")], Shape),
    ("POST", "admin/tsdb/snapshot", &[("skip_head", "maybe")], Values),
];

#[test]
fn the_admin_api_is_that_of_prometheus() {
    let pair = Pair::start("[http]\nadmin_api = true\n", &["--web.enable-admin-api"]);
    let mut failures = Vec::new();
    for case in ADMIN {
        pair.compare(*case, &mut failures);
    }
    report(&failures);
}

/// A difference of each kind is seen.
#[test]
fn differences_are_seen() {
    let answer = |status: u16, body: &str| Answer {
        status,
        headers: Vec::new(),
        body: body.into(),
    };
    let one = answer(200, r#"{"status":"success","data":[{"a":1}]}"#);
    for (other, shape, values) in [
        (
            answer(200, r#"{"status":"success","data":[{"a":1}]}"#),
            false,
            false,
        ),
        (
            answer(200, r#"{"status":"success","data":[{"a":2}]}"#),
            false,
            true,
        ),
        (
            answer(200, r#"{"status":"success","data":[{"a":"1"}]}"#),
            true,
            true,
        ),
        (
            answer(200, r#"{"status":"success","data":[{"b":1}]}"#),
            true,
            true,
        ),
        (
            answer(400, r#"{"status":"success","data":[{"a":1}]}"#),
            true,
            true,
        ),
    ] {
        assert_eq!(
            difference(&one, &other, Shape).is_some(),
            shape,
            "{}",
            other.text()
        );
        assert_eq!(
            difference(&one, &other, Values).is_some(),
            values,
            "{}",
            other.text()
        );
    }
    let bad = |kind: &str| {
        answer(
            400,
            &format!(r#"{{"status":"error","errorType":"{kind}","error":"x"}}"#),
        )
    };
    assert!(difference(&bad("bad_data"), &bad("execution"), Status).is_some());
    assert_eq!(difference(&bad("bad_data"), &bad("bad_data"), Values), None);
    assert!(
        difference(&one, &one, Newer(200, "")).is_some(),
        "Prometheus has it"
    );
}
