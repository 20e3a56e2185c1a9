//! Both encodings of one request, and what becomes of it.

use super::delta::{Adding, Deltas};
use super::translate::Sink;
use super::{Encoding, read};
use crate::base::go_text::float_g;
use crate::base::varint;
use crate::model::exemplar::Exemplar;
use crate::model::float_histogram::FloatHistogram;
use crate::model::labels::Labels;
use crate::model::metadata::Metadata;
use crate::model::otlp_options::{Options, Promoted};
use crate::model::sample::{Sample, Value};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::sync::Mutex;

const LATEST_MS: i64 = i64::MAX;

/// What came out, a line each.
#[derive(Default)]
struct Lines(Vec<String>);

impl Sink for Lines {
    fn sample(&mut self, labels: &Labels, sample: &Sample) {
        let value = match &sample.value {
            value if value.is_stale() => "stale".to_owned(),
            Value::Float(value) => float_g(*value),
            Value::Histogram(histogram) => FloatHistogram::from(&**histogram).to_string(),
        };
        let start = match sample.start_timestamp {
            0 => String::new(),
            start => format!(" from {start}"),
        };
        self.0
            .push(format!("{labels} {value} @{}{start}", sample.timestamp));
    }

    fn exemplar(&mut self, labels: &Labels, exemplar: &Exemplar) {
        let (value, time_ms) = (float_g(exemplar.value), exemplar.timestamp);
        self.0
            .push(format!("# {labels} {} {value} @{time_ms}", exemplar.labels));
    }

    fn metadata(&mut self, metric: &str, metadata: &Metadata) {
        let Metadata {
            metric_type,
            help,
            unit,
        } = metadata;
        self.0.push(format!(
            "# {metric} is a {} of {unit:?}: {help}",
            metric_type.as_str()
        ));
    }

    fn refuse(&mut self, metric: &str, reason: &str) {
        self.0.push(format!("! {metric}: {reason}"));
    }
}

fn lines_with(options: &Options, deltas: &Mutex<Deltas>, encoding: Encoding, body: &[u8]) -> Vec<String> {
    let mut lines = Lines::default();
    let mut adding = Adding::new(deltas, 0);
    read(encoding, body, options, LATEST_MS, &mut adding, &mut lines).expect("a request");
    lines.0
}

fn json_lines(options: &Options, request: &Json) -> Vec<String> {
    let body = request.to_string().into_bytes();
    lines_with(options, &Mutex::default(), Encoding::Json, &body)
}

/// A request with one resource, `metrics` below one scope.
fn request(metrics: &Json) -> Json {
    json!({"resourceMetrics": [{
        "resource": {"attributes": [
            {"key": "service.name", "value": {"stringValue": "shop"}},
            {"key": "host.name", "value": {"stringValue": "h"}},
        ]},
        "scopeMetrics": [{"scope": {"name": "lib"}, "metrics": metrics}],
    }]})
}

/// A sum of one point.
fn sum(temporality: i64, is_monotonic: bool, time_s: u64, value: i64) -> Json {
    let point = json!({
        "startTimeUnixNano": "1000000000", "timeUnixNano": (time_s * 1_000_000_000).to_string(), "asInt": value.to_string(),
    });
    json!([{"name": "hits", "sum": {
        "aggregationTemporality": temporality, "isMonotonic": is_monotonic, "dataPoints": [point],
    }}])
}

#[test]
fn every_kind_becomes_series() {
    let metrics = json!([
        {"name": "http.requests", "unit": "1", "description": "served", "sum": {
            "aggregationTemporality": "AGGREGATION_TEMPORALITY_CUMULATIVE", "isMonotonic": true,
            "dataPoints": [{
                "attributes": [{"key": "http.method", "value": {"stringValue": "GET"}}],
                "startTimeUnixNano": "1000000000", "timeUnixNano": "2000000000", "asInt": "7",
                "exemplars": [{"timeUnixNano": 1_500_000_000, "asDouble": 1, "traceId": "0AFF", "spanId": "00",
                    "filteredAttributes": [{"key": "user", "value": {"intValue": 5}}]}],
            }],
        }},
        {"name": "load", "gauge": {"dataPoints": [
            {"timeUnixNano": "2000000000", "asDouble": "NaN"},
            {"timeUnixNano": "3000000000", "flags": 1},
        ]}},
        {"name": "took", "unit": "ms", "histogram": {"aggregationTemporality": 2, "dataPoints": [{
            "timeUnixNano": "2000000000", "count": "6", "sum": 1.5, "bucketCounts": ["1", 2, "3"], "explicitBounds": [0.5, 10],
            "exemplars": [{"timeUnixNano": "1", "asInt": 4}],
        }]}},
        {"name": "quick", "exponential_histogram": {"aggregation_temporality": 2, "data_points": [{
            "time_unix_nano": "2000000000", "count": "3", "sum": 4, "scale": 0, "zero_count": "1",
            "positive": {"offset": 0, "bucket_counts": ["2"]},
        }]}},
        {"name": "old", "summary": {"dataPoints": [{
            "timeUnixNano": "2000000000", "count": "2", "sum": 3, "quantileValues": [{"quantile": 0.5, "value": 1}],
        }]}},
    ]);
    let lines = json_lines(&Options::default(), &request(&metrics));
    let wanted = [
        r#"# http_requests_total is a counter of "": served"#,
        r#"http_requests_total{http_method="GET", job="shop"} 7 @2000 from 1000"#,
        r#"# http_requests_total{http_method="GET", job="shop"} {trace_id="0aff", user="5"} 1 @1500"#,
        r#"# load is a gauge of "": "#,
        r#"load{job="shop"} NaN @2000"#,
        r#"load{job="shop"} stale @3000"#,
        r#"# took_milliseconds is a histogram of "milliseconds": "#,
        r#"took_milliseconds_sum{job="shop"} 1.5 @2000"#,
        r#"took_milliseconds_count{job="shop"} 6 @2000"#,
        r#"took_milliseconds_bucket{job="shop", le="0.5"} 1 @2000"#,
        r#"took_milliseconds_bucket{job="shop", le="10"} 3 @2000"#,
        r#"took_milliseconds_bucket{job="shop", le="+Inf"} 6 @2000"#,
        r#"# took_milliseconds_bucket{job="shop", le="10"} {} 4 @0"#,
        r#"# quick is a histogram of "": "#,
        r#"quick{job="shop"} {count:3, sum:4, [-1e-128,1e-128]:1, (1,2]:2} @2000"#,
        r#"# old is a summary of "": "#,
        r#"old_sum{job="shop"} 3 @2000"#,
        r#"old_count{job="shop"} 2 @2000"#,
        r#"old{job="shop", quantile="0.5"} 1 @2000"#,
        r#"target_info{host_name="h", job="shop"} 1 @2000"#,
        r#"target_info{host_name="h", job="shop"} 1 @3000"#,
    ];
    assert_eq!(lines, wanted);

    let options = Options {
        makes_custom_buckets: true,
        promoted: Promoted::All,
        ..Options::default()
    };
    let lines = json_lines(&options, &request(&metrics));
    let found = lines
        .iter()
        .find(|line| line.starts_with("took_milliseconds{"))
        .unwrap();
    assert!(
        found.starts_with(r#"took_milliseconds{host_name="h", job="shop", service_name="shop"} {count:6"#),
        "{found}"
    );
}

#[test]
fn what_is_refused_is_said_and_the_rest_is_taken() {
    let metrics = json!([
        {"name": "a", "gauge": {"dataPoints": [{"timeUnixNano": "2000000000"}, {"asInt": 1}, {"timeUnixNano": "2000000000", "asInt": 1}]}},
        {"name": "b"},
        {"name": "c", "sum": {"dataPoints": [{"timeUnixNano": "2000000000", "asInt": 1}]}},
        {"name": "日本", "gauge": {"dataPoints": [{"timeUnixNano": "2000000000", "asInt": 1}]}},
        {"name": "d", "histogram": {"aggregationTemporality": 2, "dataPoints": [
            {"timeUnixNano": "2000000000", "count": 1, "bucketCounts": [1], "explicitBounds": [1, 2]}]}},
        {"name": "e", "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": [
            {"timeUnixNano": "2000000000", "count": 1, "scale": -9, "positive": {"bucketCounts": [1]}},
            {"timeUnixNano": "2000000000", "count": 9, "scale": 1, "positive": {"bucketCounts": [1]}}]}},
    ]);
    let lines = json_lines(&Options::default(), &request(&metrics));
    let refused: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("! ")).collect();
    let starts = [
        "a: a point without a value",
        "a: a point without a time",
        "c: an aggregation temporality",
        "日本: a name of which nothing is left",
        "d: 1 buckets for 2 bounds",
        "e: a scale of -9",
        "e: ",
    ];
    assert_eq!(refused.len(), starts.len(), "{refused:?}");
    for (line, start) in refused.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
    assert!(lines.contains(&r#"a{job="shop"} 1 @2000"#.to_owned()));
}

#[test]
fn deltas_are_added_up_or_refused() {
    let deltas = &Mutex::default();
    let mut options = Options::default();
    let body = |time_s, value| request(&sum(1, true, time_s, value)).to_string().into_bytes();
    let lines = lines_with(&options, deltas, Encoding::Json, &body(2, 5));
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("! hits: delta temporality")),
        "{lines:?}"
    );
    options.adds_deltas = true;
    for (time_s, value, wanted) in [
        (2, 5, "5 @2000"),
        (3, 4, "9 @3000"),
        (3, 4, "9 @3000"),
        (4, 1, "10 @4000"),
    ] {
        let lines = lines_with(&options, deltas, Encoding::Json, &body(time_s, value));
        let wanted = format!(r#"hits_total{{job="shop"}} {wanted} from 1000"#);
        assert!(lines.contains(&wanted), "{lines:?}");
    }
}

#[test]
fn what_is_far_in_the_future_does_not_count() {
    let deltas = Mutex::default();
    let options = Options {
        adds_deltas: true,
        ..Options::default()
    };
    let mut lines = Lines::default();
    for (time_s, value) in [(2, 5), (9_000_000_000, 7), (3, 4)] {
        let body = request(&sum(1, true, time_s, value)).to_string();
        let mut adding = Adding::new(&deltas, 0);
        let read = read(
            Encoding::Json,
            body.as_bytes(),
            &options,
            60_000,
            &mut adding,
            &mut lines,
        );
        read.expect("a request");
    }
    let shown: Vec<&String> = lines
        .0
        .iter()
        .filter(|line| line.contains("hits_total{") || line.starts_with('!'))
        .collect();
    assert_eq!(shown.len(), 3, "{shown:?}");
    assert!(
        shown[1].contains("too far in the future") && shown[2].contains("} 9 @3000"),
        "{shown:?}"
    );
}

#[test]
fn little_that_says_much_is_refused() {
    let attributes: Vec<Json> = (0..300)
        .map(|number| json!({"key": format!("k{number}"), "value": {"intValue": number}}))
        .collect();
    let long = json!([{"key": "k", "value": {"stringValue": "x".repeat(70_000)}}]);
    let wide = json!([{"key": "k", "value": {"stringValue": "x".repeat(20_000)}}]);
    let time = "2000000000";
    let buckets = |count: usize| json!({"timeUnixNano": time, "bucketCounts": vec![1; count], "explicitBounds": vec![1; count - 1]});
    let mut of_wide = buckets(1_000);
    of_wide["attributes"] = wide;
    let metrics = json!([
        {"name": "a", "gauge": {"dataPoints": [{"timeUnixNano": time, "asInt": 1, "attributes": attributes}]}},
        {"name": "b", "gauge": {"dataPoints": [{"timeUnixNano": time, "asInt": 1, "attributes": long}]}},
        {"name": "c", "histogram": {"aggregationTemporality": 2, "dataPoints": [buckets(5_000), of_wide]}},
        {"name": "d", "sum": {"aggregationTemporality": 2, "dataPoints": [{"timeUnixNano": time, "asInt": 1,
            "exemplars": vec![json!({"asInt": 1, "timeUnixNano": time}); 1_000]}]}},
    ]);
    let lines = json_lines(&Options::default(), &request(&metrics));
    let refused: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("! ")).collect();
    let starts = [
        "a: more than 256 attributes",
        "b: labels of 7",
        "c: 5000 buckets",
        "c: labels of 2",
    ];
    assert_eq!(refused.len(), starts.len(), "{refused:?}");
    for (line, start) in refused.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
    let exemplars = lines.iter().filter(|line| line.starts_with("# d{")).count();
    assert_eq!(exemplars, 256);
}

#[test]
fn a_resource_is_known_when_it_has_points() {
    let mut metrics = sum(2, false, 1_000, 1);
    let points = metrics[0]["sum"]["dataPoints"].as_array_mut().unwrap();
    for time_s in [1_010, 1_020, 1_400, 9_000_000_000u64] {
        points.push(json!({"timeUnixNano": (time_s * 1_000_000_000).to_string(), "asInt": 2}));
    }
    let lines = json_lines(&Options::default(), &request(&metrics));
    let infos: Vec<&str> = lines
        .iter()
        .filter(|line| line.contains("target_info"))
        .map(|line| line.rsplit('@').next().unwrap())
        .collect();
    assert_eq!(infos, ["1000000", "1020000", "1400000", "9000000000000"]);
}

/// A field of a protobuf message that has a length.
fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint::write_u64(&mut out, u64::from(number << 3 | 2));
    varint::write_bytes(&mut out, bytes);
    out
}

fn fixed(number: u32, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    varint::write_u64(&mut out, u64::from(number << 3 | 1));
    out.extend_from_slice(&value.to_le_bytes());
    out
}

fn number(number: u32, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    varint::write_u64(&mut out, u64::from(number << 3));
    varint::write_u64(&mut out, value);
    out
}

fn attribute(number: u32, key: &str, value: &str) -> Vec<u8> {
    let value = field(2, &field(1, value.as_bytes()));
    field(number, &[field(1, key.as_bytes()), value].concat())
}

/// When all points are.
fn time() -> Vec<u8> {
    fixed(3, 2_000_000_000)
}

/// A counter with an exemplar.
fn counter() -> Vec<u8> {
    let mut exemplar = [fixed(2, 1_000_000_000), fixed(6, 3)].concat();
    exemplar.extend(field(5, &[0xab; 16]));
    exemplar.extend(attribute(7, "user", "u"));
    let mut point = attribute(7, "m", "GET");
    point.extend([fixed(2, 1_000_000_000), time(), fixed(6, 7)].concat());
    point.extend(field(5, &exemplar));
    [field(1, &point), number(2, 2), number(3, 1)].concat()
}

fn histogram() -> Vec<u8> {
    let counts = [1u64, 2, 3].map(u64::to_le_bytes).concat();
    let bounds = [0.5f64, 10.0].map(f64::to_le_bytes).concat();
    let mut point = [time(), fixed(4, 6), fixed(5, 1.5f64.to_bits())].concat();
    point.extend([field(6, &counts), field(7, &bounds)].concat());
    [field(1, &point), number(2, 2)].concat()
}

fn exponential() -> Vec<u8> {
    let positive = [number(1, 1), field(2, &[2, 0, 1])].concat();
    let mut point = [time(), fixed(4, 4), fixed(5, 4f64.to_bits())].concat();
    point.extend([number(6, 1), fixed(7, 1), field(8, &positive)].concat());
    [field(1, &point), number(2, 2)].concat()
}

fn summary() -> Vec<u8> {
    let quantile = [fixed(1, 0.5f64.to_bits()), fixed(2, 1f64.to_bits())].concat();
    let point = [time(), fixed(4, 2), fixed(5, 3f64.to_bits())].concat();
    field(1, &[point, field(6, &quantile)].concat())
}

/// A request with a point of every kind.
fn in_protobuf() -> Vec<u8> {
    let gauge = field(1, &[time(), fixed(4, 1.5f64.to_bits())].concat());
    let metric = |name: &str, kind: u32, data: &[u8]| {
        field(
            2,
            &[
                field(kind, data),
                field(1, name.as_bytes()),
                field(3, b"s"),
                field(2, b"help"),
            ]
            .concat(),
        )
    };
    let metrics = [
        metric("c", 7, &counter()),
        metric("g", 5, &gauge),
        metric("h", 9, &histogram()),
        metric("e", 10, &exponential()),
        metric("s", 11, &summary()),
    ];
    let scope = field(2, &[metrics.concat(), field(1, &field(1, b"lib"))].concat());
    let resource = field(
        1,
        &[
            attribute(1, "service.name", "shop"),
            attribute(1, "host.name", "h"),
        ]
        .concat(),
    );
    // The resource stands behind what belongs to it.
    field(1, &[scope, resource].concat())
}

/// The same in JSON.
fn in_json() -> Json {
    let time = "2000000000";
    let of = |name: &str, kind: &str, data: Json| json!({"name": name, "unit": "s", "description": "help", kind: data});
    let metrics = json!([
        of(
            "c",
            "sum",
            json!({"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [{
                "attributes": [{"key": "m", "value": {"stringValue": "GET"}}],
                "startTimeUnixNano": "1000000000", "timeUnixNano": time, "asInt": 7,
                "exemplars": [{"timeUnixNano": "1000000000", "asInt": 3, "traceId": "ab".repeat(16),
                    "filteredAttributes": [{"key": "user", "value": {"stringValue": "u"}}]}],
            }]})
        ),
        of(
            "g",
            "gauge",
            json!({"dataPoints": [{"timeUnixNano": time, "asDouble": 1.5}]})
        ),
        of(
            "h",
            "histogram",
            json!({"aggregationTemporality": 2, "dataPoints": [{
                "timeUnixNano": time, "count": 6, "sum": 1.5, "bucketCounts": [1, 2, 3], "explicitBounds": [0.5, 10],
            }]})
        ),
        of(
            "e",
            "exponentialHistogram",
            json!({"aggregationTemporality": 2, "dataPoints": [{
                "timeUnixNano": time, "count": 4, "sum": 4, "scale": -1, "zeroCount": 1,
                "positive": {"offset": -1, "bucketCounts": [2, 0, 1]},
            }]})
        ),
        of(
            "s",
            "summary",
            json!({"dataPoints": [{
                "timeUnixNano": time, "count": 2, "sum": 3, "quantileValues": [{"quantile": 0.5, "value": 1}],
            }]})
        ),
    ]);
    request(&metrics)
}

#[test]
fn both_encodings_say_the_same() {
    let (protobuf, json) = (in_protobuf(), in_json());
    let options = Options::default();
    let lines = lines_with(&options, &Mutex::default(), Encoding::Protobuf, &protobuf);
    assert_eq!(lines, json_lines(&options, &json));
    assert!(
        lines.len() > 15 && !lines.iter().any(|line| line.starts_with('!')),
        "{lines:?}"
    );
}

#[test]
fn bodies_that_are_none_say_why() {
    let body = in_protobuf();
    let mut lines = Lines::default();
    let mut check = |encoding, body: &[u8], what: &str| {
        let deltas = Mutex::default();
        let mut adding = Adding::new(&deltas, 0);
        let read = read(
            encoding,
            body,
            &Options::default(),
            LATEST_MS,
            &mut adding,
            &mut lines,
        );
        let fault = read.expect_err(what);
        assert!(fault.contains(what), "{fault}");
    };
    check(Encoding::Protobuf, &body[..body.len() - 1], "at byte");
    check(Encoding::Json, b"[1", "no JSON");
    check(Encoding::Json, b"[]", "object");
    check(
        Encoding::Json,
        br#"{"resourceMetrics": 5}"#,
        "resourceMetrics is no list",
    );
    // Lists within lists are read to some depth.
    let mut value = field(1, b"x");
    for _ in 0..40 {
        value = field(5, &field(1, &value));
    }
    let pair = field(1, &[field(1, b"k"), field(2, &value)].concat());
    check(Encoding::Protobuf, &field(1, &field(1, &pair)), "too deep");
}

proptest! {
    #[test]
    fn no_bytes_do_harm(at in 0usize..700, byte: u8, cut in 0usize..700) {
        let mut body = in_protobuf();
        let at = at % body.len();
        body[at] = byte;
        body.truncate(body.len().saturating_sub(cut));
        let mut lines = Lines::default();
        let read_as = |encoding, body: &[u8], lines: &mut Lines| {
            let deltas = Mutex::default();
            let mut adding = Adding::new(&deltas, 0);
            drop(read(encoding, body, &Options::default(), LATEST_MS, &mut adding, lines));
        };
        read_as(Encoding::Protobuf, &body, &mut lines);
        let mut text = in_json().to_string().into_bytes();
        let at = at % text.len();
        text[at] = byte;
        read_as(Encoding::Json, &text, &mut lines);
    }
}
