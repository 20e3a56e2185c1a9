//! The data of these tests, as remote write requests: few series, with all that a name and a value can be.

use crate::peers::{http, wire};
use narthex::stale_nan;
use prost::Message as _;

/// Long ago, so that answers are the same at every run.
pub(super) const BASE_MS: i64 = 1_700_000_000_000;
const INTERVAL_MS: i64 = 15_000;
const SAMPLES: i64 = 41;

/// Labels, and the value of each scrape.
type Floats = (&'static [(&'static str, &'static str)], fn(i64) -> f64);

const FLOATS: &[Floats] = &[
    (&[("__name__", "up"), ("instance", "x:1"), ("job", "api")], |_| {
        1.0
    }),
    (
        &[("__name__", "up"), ("instance", "y:1"), ("job", "api")],
        |step| (step % 7).min(1) as f64,
    ),
    (&[("__name__", "up"), ("job", "web")], |_| 1.0),
    (
        &[
            ("__name__", "requests_total"),
            ("code", "200"),
            ("job", "api"),
            ("path", "/<a>&b"),
        ],
        |step| 2.5 * step as f64,
    ),
    (
        &[
            ("__name__", "requests_total"),
            ("code", "500"),
            ("job", "api"),
            ("path", "q\"\\\nü"),
        ],
        |step| 1e-9 * step as f64,
    ),
    (
        &[
            ("__name__", "disk.usage"),
            ("job", "web"),
            ("mount point", "/data"),
        ],
        |step| 1e300 / (step + 1) as f64,
    ),
    (&[("A", "1"), ("__name__", "UPPER")], |_| f64::INFINITY),
    (&[("__name__", "odd"), ("kind", "nan")], |_| f64::NAN),
    (&[("__name__", "odd"), ("kind", "minus")], |_| -0.125),
    (&[("__name__", "ended"), ("job", "web")], |step| match step {
        ..40 => step as f64,
        _ => stale_nan(),
    }),
];

fn labels(pairs: &[(&str, &str)]) -> Vec<wire::Label> {
    let label = |(name, value): &(&str, &str)| wire::Label {
        name: (*name).into(),
        value: (*value).into(),
    };
    pairs.iter().map(label).collect()
}

/// A native histogram with three observations at each scrape.
fn histogram(step: i64, timestamp: i64) -> wire::Histogram {
    use wire::histogram::{Count, ZeroCount};
    wire::Histogram {
        sum: 4.5 * step as f64,
        zero_threshold: 0.001,
        positive_spans: vec![wire::BucketSpan { offset: 0, length: 2 }],
        positive_deltas: vec![step, 0],
        timestamp,
        count: Some(Count::CountInt(3 * step as u64)),
        zero_count: Some(ZeroCount::ZeroCountInt(step as u64)),
        ..Default::default()
    }
}

/// Everything, with the last scrape at `last_ms`.
pub(super) fn write_request(last_ms: i64) -> Vec<u8> {
    let time = |step: i64| last_ms - (SAMPLES - 1 - step) * INTERVAL_MS;
    let mut request = wire::WriteRequest::default();
    for (pairs, value) in FLOATS {
        let sample = |step| wire::Sample {
            value: value(step),
            timestamp: time(step),
        };
        request.timeseries.push(wire::TimeSeries {
            labels: labels(pairs),
            samples: (0..SAMPLES).map(sample).collect(),
            ..Default::default()
        });
    }
    let exemplar = |trace, value, step| wire::Exemplar {
        labels: labels(&[("trace_id", trace)]),
        value,
        timestamp: time(step) + 50,
    };
    request.timeseries[3].exemplars = vec![exemplar("abc", 0.5, 3), exemplar("def", 1e-7, 20)];
    request.timeseries[4].exemplars = vec![exemplar("ghi", f64::INFINITY, 20)];
    request.timeseries.push(wire::TimeSeries {
        labels: labels(&[("__name__", "latency"), ("job", "api")]),
        histograms: (0..SAMPLES).map(|step| histogram(step, time(step))).collect(),
        ..Default::default()
    });
    block(&request)
}

/// What is said of two metrics.
pub(super) fn metadata_request(help: &str) -> Vec<u8> {
    use wire::metric_metadata::MetricType;
    let said = |name: &str, kind: MetricType, help: &str, unit: &str| wire::MetricMetadata {
        r#type: kind.into(),
        metric_family_name: name.into(),
        help: help.into(),
        unit: unit.into(),
    };
    block(&wire::WriteRequest {
        metadata: vec![
            said("requests_total", MetricType::Counter, help, ""),
            said("up", MetricType::Gauge, "1 if \"up\".", "targets"),
        ],
        ..Default::default()
    })
}

fn block(request: &wire::WriteRequest) -> Vec<u8> {
    let message = request.encode_to_vec();
    snap::raw::Encoder::new().compress_vec(&message).expect("a block")
}

pub(super) fn write(port: u16, request: &[u8]) {
    let headers = "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n";
    let answer = http::send(port, "POST", "/api/v1/write", headers, request).expect("an answer");
    assert_eq!(answer.status, 204, "{}", answer.text());
}
