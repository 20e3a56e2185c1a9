//! `POST /loki/api/v1/push`: what promtail, Grafana Alloy and Loki's other clients send, as JSON or as protobuf in a snappy block.
//!
//! A stream's labels say which device a line is of, and with what level; see [`Stream`]. All labels are kept as tags.

use super::loki_labels;
use crate::api::error::ApiError;
use crate::api::native::body::Arriving;
use crate::api::native::refusal::Refusal;
use crate::api::state::App;
use crate::api::tenant::Tenant;
use crate::records::logs::LogPoint;
use crate::records::tags::Tags;
use crate::remote::snappy;
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use prost::Message as _;
use serde_json::Value;
use std::sync::Arc;

/// Labels that name the device, the first of them that there is.
const DEVICE_LABELS: &[&str] = &[
    "device",
    "host",
    "hostname",
    "node_name",
    "instance",
    "pod",
    "service_name",
    "job",
    "app",
];
/// The same of the source of a line.
const SOURCE_LABELS: &[&str] = &[
    "source",
    "filename",
    "unit",
    "container",
    "container_name",
    "logger",
];
/// The same of its level; also of its structured metadata.
const LEVEL_LABELS: &[&str] = &["level", "detected_level", "severity", "severity_text"];
/// Of streams without any of the labels.
const NO_DEVICE: &str = "unknown";

/// Loki's message, as its protocol has it.
#[derive(Clone, PartialEq, prost::Message)]
struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    streams: Vec<StreamMessage>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StreamMessage {
    /// As `{job="varlogs"}`.
    #[prost(string, tag = "1")]
    labels: String,
    #[prost(message, repeated, tag = "2")]
    entries: Vec<EntryMessage>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct EntryMessage {
    #[prost(message, optional, tag = "1")]
    timestamp: Option<TimestampMessage>,
    #[prost(string, tag = "2")]
    line: String,
    #[prost(message, repeated, tag = "3")]
    structured_metadata: Vec<PairMessage>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TimestampMessage {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PairMessage {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// What the labels of a stream say of its lines.
#[derive(Debug, PartialEq)]
struct Stream {
    device: String,
    level: String,
    source: Option<String>,
    tags: Tags,
}

impl Stream {
    fn of(labels: Vec<(String, String)>) -> Self {
        let first = |names: &[&str]| {
            let found = names
                .iter()
                .find_map(|name| labels.iter().find(|label| label.0 == *name));
            found
                .map(|label| label.1.clone())
                .filter(|value| !value.is_empty())
        };
        Self {
            device: first(DEVICE_LABELS).unwrap_or_else(|| NO_DEVICE.to_owned()),
            level: first(LEVEL_LABELS).unwrap_or_default(),
            source: first(SOURCE_LABELS),
            tags: labels
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect(),
        }
    }

    fn line(&self, time_ms: i64, text: String, metadata: &[(String, String)]) -> LogPoint {
        let own_level = LEVEL_LABELS
            .iter()
            .find_map(|name| metadata.iter().find(|pair| pair.0 == *name));
        let level = own_level.map_or(self.level.as_str(), |pair| pair.1.as_str());
        let mut log = LogPoint::new(
            self.device.clone(),
            if level.is_empty() { "info" } else { level },
            text,
        );
        log.source.clone_from(&self.source);
        log.tags = self.tags.clone();
        for (name, value) in metadata {
            log.tags.insert(name, value);
        }
        log.timestamp = Some(time_ms);
        log
    }
}

fn bad(message: String) -> Refusal {
    let hint =
        r#"as {"streams": [{"stream": {"job": "a"}, "values": [["1700000000000000000", "the line"]]}]}"#;
    Refusal::field("bad_push", "streams", message, hint)
}

pub(super) async fn push(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<StatusCode, Refusal> {
    let (mut parts, body) = request.into_parts();
    let kind = parts
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let is_json = kind.is_some_and(|kind| kind.to_ascii_lowercase().contains("json"));
    let config = app.config.load_full();
    let limits = config.http_of(&tenant.name);
    if !is_json {
        // Protobuf is in a snappy block, whether the header says so or not.
        parts.headers.remove(header::CONTENT_ENCODING);
    }
    let (body, held) = Arriving::new(&parts.headers, body, &app.admission, &limits)?
        .whole()
        .await?;
    let decoded_max = config.http.decoded_bytes_max;
    let stored = app.work(move || {
        let logs = match is_json {
            true => lines_of_json(&body),
            false => lines_of_block(&body, decoded_max),
        };
        drop((body, held));
        match logs {
            Ok(logs) => Ok(Ok(tenant.db()?.logs().write(&logs)?)),
            Err(refusal) => Ok::<_, ApiError>(Err(refusal)),
        }
    });
    stored.await??;
    Ok(StatusCode::NO_CONTENT)
}

fn lines_of_block(block: &[u8], bytes_max: usize) -> Result<Vec<LogPoint>, Refusal> {
    let mut message = Vec::new();
    snappy::decompress(block, bytes_max, &mut message).map_err(|fault| bad(fault.to_string()))?;
    let push =
        PushRequest::decode(&*message).map_err(|fault| bad(format!("the body is no push: {fault}")))?;
    let mut logs = Vec::new();
    for stream in push.streams {
        let labels =
            loki_labels::parse(&stream.labels).map_err(|fault| bad(format!("{}: {fault}", stream.labels)))?;
        let known = Stream::of(labels);
        for entry in stream.entries {
            let at = entry.timestamp.unwrap_or_default();
            let ms = at
                .seconds
                .checked_mul(1000)
                .and_then(|ms| ms.checked_add(i64::from(at.nanos) / 1_000_000));
            let ms = ms.ok_or_else(|| bad("a timestamp is too far away".to_owned()))?;
            let metadata = entry
                .structured_metadata
                .into_iter()
                .map(|pair| (pair.name, pair.value));
            logs.push(known.line(ms, entry.line, &metadata.collect::<Vec<_>>()));
        }
    }
    Ok(logs)
}

fn lines_of_json(text: &[u8]) -> Result<Vec<LogPoint>, Refusal> {
    let json: Value =
        serde_json::from_slice(text).map_err(|fault| bad(format!("the body is no JSON: {fault}")))?;
    let streams = json["streams"]
        .as_array()
        .ok_or_else(|| bad("streams is no list".to_owned()))?;
    let mut logs = Vec::new();
    for stream in streams {
        let labels = pairs_of(&stream["stream"])
            .ok_or_else(|| bad("the labels of a stream are no texts".to_owned()))?;
        let known = Stream::of(labels);
        let values = stream["values"]
            .as_array()
            .ok_or_else(|| bad("values is no list".to_owned()))?;
        for value in values {
            let time = value[0].as_str().and_then(|text| text.parse::<i64>().ok());
            let (Some(time_ns), Some(line)) = (time, value[1].as_str()) else {
                return Err(bad(
                    "a value is not [\"nanoseconds since 1970\", \"the line\"]".to_owned()
                ));
            };
            let metadata = match &value[2] {
                Value::Null => Vec::new(),
                metadata => {
                    pairs_of(metadata).ok_or_else(|| bad("metadata of a line are no texts".to_owned()))?
                }
            };
            logs.push(known.line(time_ns.div_euclid(1_000_000), line.to_owned(), &metadata));
        }
    }
    Ok(logs)
}

/// The pairs of an object of texts.
fn pairs_of(object: &Value) -> Option<Vec<(String, String)>> {
    let pairs = object.as_object()?.iter();
    pairs
        .map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::rank::Level;

    #[test]
    fn both_forms_say_the_same() {
        let json = r#"{"streams":[{"stream":{"host":"web1","level":"warn","filename":"/a"},
            "values":[["1700000000123456789","one"],["1700000001000000000","two",{"level":"error","trace_id":"t"}]]}]}"#;
        let pair = |name: &str, value: &str| PairMessage {
            name: name.into(),
            value: value.into(),
        };
        let entry = |seconds, nanos, line: &str, structured_metadata| EntryMessage {
            timestamp: Some(TimestampMessage { seconds, nanos }),
            line: line.into(),
            structured_metadata,
        };
        let message = PushRequest {
            streams: vec![StreamMessage {
                labels: r#"{filename="/a", host="web1", level="warn"}"#.into(),
                entries: vec![
                    entry(1_700_000_000, 123_456_789, "one", vec![]),
                    entry(
                        1_700_000_001,
                        0,
                        "two",
                        vec![pair("level", "error"), pair("trace_id", "t")],
                    ),
                ],
            }],
        };
        let block = snap::raw::Encoder::new()
            .compress_vec(&message.encode_to_vec())
            .expect("a block");
        let lines = lines_of_json(json.as_bytes()).expect("lines");
        assert_eq!(lines, lines_of_block(&block, 1 << 20).expect("lines"));
        assert_eq!(
            (lines[0].device.as_str(), &lines[0].level),
            ("web1", &Level::Warn)
        );
        assert_eq!(lines[0].timestamp, Some(1_700_000_000_123));
        assert_eq!(
            (&lines[1].level, lines[1].tags.get("trace_id")),
            (&Level::Error, Some("t"))
        );
        assert_eq!(lines[0].source.as_deref(), Some("/a"));
    }

    #[test]
    fn what_is_no_push_is_refused() {
        for text in [
            "",
            "{}",
            r#"{"streams":[{}]}"#,
            r#"{"streams":[{"stream":{"a":1},"values":[]}]}"#,
            r#"{"streams":[{"stream":{},"values":[["soon","x"]]}]}"#,
            r#"{"streams":[{"stream":{},"values":[["1"]]}]}"#,
        ] {
            assert!(lines_of_json(text.as_bytes()).is_err(), "{text}");
        }
        assert!(lines_of_block(b"\xff\xff", 100).is_err() && lines_of_block(b"", 100).is_err());
    }
}
