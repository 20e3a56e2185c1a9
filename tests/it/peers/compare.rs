//! What a Prometheus and a narthex hold, in one form, and whether it is the same.

use super::http;
use super::wire::{self, label_matcher, read_request::ResponseType};
use narthex::{Counts, Db, Histogram, Matcher, Span, Value};
use prost::Message as _;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// By labels: timestamps with values in words. Floats are told by their bits.
pub(super) type Dump = BTreeMap<String, BTreeMap<i64, String>>;

/// The metric by which a test fills the disk; no peer has it.
pub(super) const FLOOD: &str = "flood";

/// Everything that a narthex folder holds, read beside the process that writes to it.
pub(super) fn narthex(folder: &Path) -> Dump {
    let db = Db::open_read_only(folder).expect("a database");
    let mut dump = Dump::new();
    for series in db
        .select(&[Matcher::ne("__name__", FLOOD)], ..)
        .expect("a cursor")
    {
        let series = series.expect("a series");
        let values = series.samples().map(|sample| {
            let text = match &sample.value {
                Value::Float(value) => format!("{:016x}", value.to_bits()),
                Value::Histogram(histogram) => in_words(histogram),
            };
            (sample.timestamp, text)
        });
        dump.insert(in_pairs(series.labels()), values.collect());
    }
    dump
}

fn in_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let pairs: Vec<String> = pairs
        .into_iter()
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    pairs.join(",")
}

/// The series that a server has, by its own remote read.
fn series(port: u16) -> Vec<wire::TimeSeries> {
    let answer = read(port, ResponseType::Samples);
    let bytes = snap::raw::Decoder::new()
        .decompress_vec(&answer)
        .expect("a snappy block");
    let mut response = wire::ReadResponse::decode(&*bytes).expect("a response");
    std::mem::take(&mut response.results[0].timeseries)
}

/// The labels of a series, a time and a value.
pub(crate) type Float = (Vec<(String, String)>, i64, f64);

/// The floats that a server has, each with the labels of its series.
pub(crate) fn floats(port: u16) -> Vec<Float> {
    let mut all = Vec::new();
    for series in series(port) {
        let labels = series.labels.into_iter().map(|label| (label.name, label.value));
        let labels: Vec<(String, String)> = labels.collect();
        let samples = series.samples.iter();
        all.extend(samples.map(|sample| (labels.clone(), sample.timestamp, sample.value)));
    }
    all
}

/// Everything that a Prometheus holds, by its own remote read.
pub(super) fn prometheus(port: u16) -> Dump {
    let mut dump = Dump::new();
    for series in &series(port) {
        let floats = series
            .samples
            .iter()
            .map(|sample| (sample.timestamp, format!("{:016x}", sample.value.to_bits())));
        let histograms = series
            .histograms
            .iter()
            .map(|one| (one.timestamp, in_words(&histogram(one))));
        dump.insert(labels(&series.labels), floats.chain(histograms).collect());
    }
    dump
}

fn labels(labels: &[wire::Label]) -> String {
    in_pairs(
        labels
            .iter()
            .map(|label| (label.name.as_str(), label.value.as_str())),
    )
}

/// The body of an answer to a remote read of everything.
fn read(port: u16, kind: ResponseType) -> Vec<u8> {
    let all = wire::LabelMatcher {
        r#type: label_matcher::Type::Neq.into(),
        name: "__name__".into(),
        value: FLOOD.into(),
    };
    let request = wire::ReadRequest {
        queries: vec![wire::Query {
            start_timestamp_ms: 0,
            end_timestamp_ms: i64::MAX / 2,
            matchers: vec![all],
            hints: None,
        }],
        accepted_response_types: vec![kind.into()],
    };
    let body = snap::raw::Encoder::new()
        .compress_vec(&request.encode_to_vec())
        .expect("a block");
    let headers = "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n\
                   X-Prometheus-Remote-Read-Version: 0.1.0\r\n";
    let answer = http::send(port, "POST", "/api/v1/read", headers, &body).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.body
}

/// First and last time of a chunk, its encoding, its bytes.
pub(super) type Chunk = (i64, i64, i32, Vec<u8>);

/// The chunks of a stream of everything, by labels.
pub(super) fn chunks(port: u16) -> BTreeMap<String, Vec<Chunk>> {
    let body = read(port, ResponseType::StreamedXorChunks);
    let mut rest = body.as_slice();
    let mut found: BTreeMap<String, Vec<_>> = BTreeMap::new();
    while !rest.is_empty() {
        let length = prost::encoding::decode_varint(&mut rest).expect("a length") as usize;
        let (message, behind) = rest[4..].split_at(length);
        rest = behind;
        let frame = wire::ChunkedReadResponse::decode(message).expect("a frame");
        for series in frame.chunked_series {
            let chunks = series
                .chunks
                .into_iter()
                .map(|chunk| (chunk.min_time_ms, chunk.max_time_ms, chunk.r#type, chunk.data));
            found.entry(labels(&series.labels)).or_default().extend(chunks);
        }
    }
    found
}

fn histogram(one: &wire::Histogram) -> Histogram {
    let span = |span: &wire::BucketSpan| Span {
        offset: span.offset,
        length: span.length,
    };
    let int = |count: &Option<wire::histogram::Count>| match count {
        Some(wire::histogram::Count::CountInt(count)) => *count,
        other => panic!("the target has integer histograms only, found {other:?}"),
    };
    let zero = match one.zero_count {
        Some(wire::histogram::ZeroCount::ZeroCountInt(count)) => count,
        _ => 0,
    };
    Histogram {
        reset_hint: narthex::ResetHint::Unknown,
        schema: one.schema,
        zero_threshold: one.zero_threshold,
        sum: one.sum,
        positive_spans: one.positive_spans.iter().map(span).collect(),
        negative_spans: one.negative_spans.iter().map(span).collect(),
        custom_values: one.custom_values.clone(),
        counts: Counts::Int {
            // A stale marker has no count.
            count: one.count.as_ref().map_or(0, |_| int(&one.count)),
            zero_count: zero,
            positive: one.positive_deltas.clone(),
            negative: one.negative_deltas.clone(),
        },
    }
}

/// What a histogram says. Chunks may lay its buckets out with empty ones between them, and know resets that the sample
/// did not tell of.
fn in_words(histogram: &Histogram) -> String {
    let Counts::Int {
        count,
        zero_count,
        positive,
        negative,
    } = &histogram.counts
    else {
        panic!("the target has integer histograms only");
    };
    let buckets = |spans: &[Span], deltas: &[i64]| {
        let (mut index, mut count, mut deltas, mut found) = (0i64, 0, deltas.iter(), Vec::new());
        for span in spans {
            index += i64::from(span.offset);
            for _ in 0..span.length {
                count += deltas.next().copied().unwrap_or(0);
                if count != 0 {
                    found.push(format!("{index}:{count}"));
                }
                index += 1;
            }
        }
        found.join(" ")
    };
    if histogram.sum.to_bits() == narthex::STALE_NAN_BITS {
        return "stale histogram".into();
    }
    format!(
        "schema {} sum {:016x} count {count} zero {zero_count} below {:016x} positive {} negative {} custom {:?}",
        histogram.schema,
        histogram.sum.to_bits(),
        histogram.zero_threshold.to_bits(),
        buckets(&histogram.positive_spans, positive),
        buckets(&histogram.negative_spans, negative),
        histogram.custom_values,
    )
}

/// Fails with the first differences.
pub(super) fn assert_same(expected: &Dump, found: &Dump) {
    let series: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let mut differences = Vec::new();
    let none = BTreeMap::new();
    for labels in series {
        let (expected, found) = (
            expected.get(labels).unwrap_or(&none),
            found.get(labels).unwrap_or(&none),
        );
        let times: BTreeSet<&i64> = expected.keys().chain(found.keys()).collect();
        let differ = times
            .into_iter()
            .filter(|time| expected.get(time) != found.get(time));
        differences.extend(differ.map(|time| {
            format!(
                "{labels} at {time}: {:?}, not {:?}",
                found.get(time),
                expected.get(time)
            )
        }));
    }
    let count = differences.len();
    differences.truncate(10);
    assert_eq!(count, 0, "{count} differences:\n{}", differences.join("\n"));
}

/// Exemplars by series labels: trace id, milliseconds and bits.
pub(super) type Exemplars = BTreeSet<(String, String, i64, u64)>;

pub(super) fn narthex_exemplars(folder: &Path) -> Exemplars {
    let db = Db::open_read_only(folder).expect("a database");
    let mut all = Exemplars::new();
    for (labels, exemplars) in db.exemplars(&[], ..).expect("exemplars") {
        for one in exemplars {
            all.insert((
                in_pairs(&labels),
                in_pairs(&one.labels),
                one.timestamp,
                one.value.to_bits(),
            ));
        }
    }
    all
}

pub(super) fn prometheus_exemplars(port: u16) -> Exemplars {
    let query = http::escape("{__name__=~\"app_.*\"}");
    let found = http::json(
        port,
        &format!("/api/v1/query_exemplars?query={query}&start=0&end=9999999999"),
    );
    let mut all = Exemplars::new();
    let pairs = |value: &serde_json::Value| {
        let map: BTreeMap<String, String> = serde_json::from_value(value.clone()).expect("labels");
        in_pairs(map.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    };
    for series in found["data"].as_array().expect("a list") {
        for one in series["exemplars"].as_array().expect("a list") {
            let value: f64 = one["value"]
                .as_str()
                .and_then(|text| text.parse().ok())
                .expect("a value");
            let seconds = one["timestamp"].as_f64().expect("a time");
            let key = (pairs(&series["seriesLabels"]), pairs(&one["labels"]));
            all.insert((key.0, key.1, (seconds * 1000.0).round() as i64, value.to_bits()));
        }
    }
    all
}

/// Metadata by metric: type, help and unit as Prometheus prints them.
pub(super) type Metadata = BTreeMap<String, (String, String, String)>;

pub(super) fn narthex_metadata(folder: &Path) -> Metadata {
    let db = Db::open_read_only(folder).expect("a database");
    let latest = db.metadata(None).into_iter().filter_map(|(metric, history)| {
        let one = history.into_iter().last()?.1;
        Some((metric, (one.metric_type.as_str().to_owned(), one.help, one.unit)))
    });
    latest.collect()
}

/// Of a metric that several targets describe in different words, nothing is said.
pub(super) fn prometheus_metadata(port: u16) -> Metadata {
    let found = http::json(port, "/api/v1/metadata");
    let metrics = found["data"].as_object().expect("an object");
    let one = metrics.iter().filter_map(|(metric, entries)| {
        let [entry] = entries.as_array()?.as_slice() else {
            return None;
        };
        let text = |name: &str| entry[name].as_str().unwrap_or("").to_owned();
        Some((metric.clone(), (text("type"), text("help"), text("unit"))))
    });
    one.collect()
}
