//! Decoders of what comes over the network: the messages behind the snappy block, which would hide them from a fuzzer.

use crate::db::{Batch, Db};
use crate::engine::options::Options;
use crate::labels;
use crate::model::exemplar::Exemplar;
use crate::model::labels::Labels;
use crate::model::metadata::Metadata;
use crate::model::otlp_options::{self, Promoted};
use crate::model::sample::Sample;
use crate::remote::intake::Intake;
use crate::remote::otlp::delta::{Adding, Deltas};
use crate::remote::otlp::translate::Sink;
use crate::remote::otlp::{self, Encoding};
use crate::remote::read::{ReadError, ReadOptions};
use crate::remote::read_request::ReadRequest;
use crate::remote::wire::{prometheus as wire, write_v2 as wire_v2};
use crate::remote::write::{self, Request, Version};
use prost::Message as _;
use std::ops::ControlFlow;
use std::sync::{Mutex, OnceLock};

/// A database with a few series, the same for all inputs.
fn database() -> &'static Db {
    static DATABASE: OnceLock<Db> = OnceLock::new();
    DATABASE.get_or_init(|| {
        let options = Options::in_memory().background(false);
        let db = Db::open(options).expect("BUG: the disk in memory opens");
        let mut batch = db.batch();
        for tick in 0..300 {
            batch.push(
                &labels! { "__name__" => "up", "job" => "api" },
                tick * 15_000,
                tick as f64,
            );
            batch.push(&labels! { "__name__" => "up", "zone" => "b" }, -tick, 1.0);
        }
        batch.commit().expect("BUG: the disk in memory takes all");
        db
    })
}

/// A read request, answered in both forms, which must agree.
pub fn read_request(bytes: &[u8]) {
    let options = ReadOptions {
        external_labels: labels! { "zone" => "a" },
        samples_max: 10_000,
        ..ReadOptions::default()
    };
    let Ok(request) = ReadRequest::from_message(bytes, &options) else {
        return;
    };
    let streamed = request.stream(database(), &options, |frame| {
        assert!(
            frame.len() <= options.frame_bytes_max + 64,
            "BUG: a frame that is too large"
        );
        ControlFlow::Continue(())
    });
    let streamed = streamed.expect("BUG: an understood request is answered");
    match request.samples(database(), &options) {
        Ok((_, samples)) => assert_eq!(samples, streamed, "BUG: the two forms differ"),
        Err(ReadError::SampleLimit(_)) => {}
        Err(error) => panic!("BUG: an understood request is answered: {error}"),
    }
}

/// A write request of 1.0, which may also be one of 2.0; what is stored of it is stored again by the keys of its labels.
pub fn write_v1(bytes: &[u8]) {
    write(Version::V1, bytes);
}

/// The same of 2.0.
pub fn write_v2(bytes: &[u8]) {
    write(Version::V2, bytes);
}

fn write(version: Version, bytes: &[u8]) {
    let options = Options::in_memory().background(false);
    let db = Db::open(options).expect("BUG: the disk in memory opens");
    let block = snap::raw::Encoder::new().compress_vec(bytes);
    let request = Request {
        version,
        block: &block.expect("BUG: a fuzzer's input is small"),
        bytes_max: bytes.len(),
        durability: None,
        intake: &Intake::default(),
        now_ms: 0,
    };
    let Ok(first) = write::write(&db, &request, &mut Vec::new()) else {
        return;
    };
    let again = write::write(&db, &request, &mut Vec::new()).expect("BUG: an understood request is stored");
    assert_eq!(first.written, again.written, "BUG: keys lead to other series");
}

/// Metrics of OpenTelemetry in either encoding; what is made of them can be stored.
pub fn otlp(bytes: &[u8]) {
    let options = otlp_options::Options {
        adds_deltas: true,
        promoted: Promoted::All,
        promotes_scope: true,
        ..otlp_options::Options::default()
    };
    for encoding in [Encoding::Protobuf, Encoding::Json] {
        let mut batch = database().batch();
        // A request that is none says so.
        let (deltas, mut sink) = (Mutex::<Deltas>::default(), Batched(&mut batch));
        let mut adding = Adding::new(&deltas, 0);
        drop(otlp::read(
            encoding,
            bytes,
            &options,
            i64::MAX,
            &mut adding,
            &mut sink,
        ));
        adding.undo();
        assert!(
            deltas.into_inner().is_ok_and(|deltas| deltas.is_empty()),
            "BUG: a delta is left"
        );
    }
}

/// Takes samples as the server does.
struct Batched<'a>(&'a mut Batch);

impl Sink for Batched<'_> {
    fn sample(&mut self, labels: &Labels, sample: &Sample) {
        assert!(!labels.metric_name().is_empty(), "BUG: a series without a name");
        self.0.push_sample(labels, sample);
    }

    fn exemplar(&mut self, labels: &Labels, exemplar: &Exemplar) {
        self.0.push_exemplar(labels, exemplar);
    }

    fn metadata(&mut self, metric: &str, metadata: &Metadata) {
        self.0.push_metadata(metric, metadata);
    }

    fn refuse(&mut self, _: &str, reason: &str) {
        assert!(!reason.is_empty(), "BUG: a refusal without a reason");
    }
}

/// A gauge with one point, in both encodings.
pub(super) fn otlp_requests() -> Vec<Vec<u8>> {
    let mut protobuf = b"\x0a\x1d\x12\x1b\x12\x19\x0a\x01g\x2a\x14\x0a\x12\x19".to_vec();
    protobuf.extend(1_700_000_000_000_000_000u64.to_le_bytes());
    protobuf.push(0x21);
    protobuf.extend(1.5f64.to_le_bytes());
    let json = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"g","gauge":{"dataPoints":[
        {"timeUnixNano":"1700000000000000000","asDouble":1.5}]}}]}]}]}"#;
    vec![protobuf, json.into()]
}

/// Requests as Prometheus sends them.
pub(super) fn writes_v1() -> Vec<Vec<u8>> {
    let label = |name: &str, value: &str| wire::Label {
        name: name.into(),
        value: value.into(),
    };
    let series = wire::TimeSeries {
        labels: vec![label("__name__", "up"), label("job", "api")],
        samples: vec![wire::Sample {
            value: 1.5,
            timestamp: 1_700_000_000_000,
        }],
        exemplars: vec![wire::Exemplar {
            labels: vec![label("trace_id", "abc")],
            value: 2.0,
            timestamp: 5,
        }],
        histograms: Vec::new(),
    };
    let histogram = wire::Histogram {
        count: Some(wire::histogram::Count::CountInt(3)),
        positive_spans: vec![wire::BucketSpan { offset: 1, length: 2 }],
        positive_deltas: vec![1, 1],
        timestamp: 7,
        ..Default::default()
    };
    let mut with_histogram = series.clone();
    with_histogram.samples.clear();
    with_histogram.histograms.push(histogram);
    let metadata = wire::MetricMetadata {
        r#type: 1,
        metric_family_name: "up".into(),
        help: "Whether it is up.".into(),
        unit: "bool".into(),
    };
    let request = wire::WriteRequest {
        timeseries: vec![series, with_histogram],
        metadata: vec![metadata],
    };
    vec![request.encode_to_vec()]
}

/// The same of 2.0.
pub(super) fn writes_v2() -> Vec<Vec<u8>> {
    let symbols = ["", "__name__", "up", "job", "api", "trace_id", "abc"];
    let request = wire_v2::Request {
        symbols: symbols.map(String::from).to_vec(),
        timeseries: vec![wire_v2::TimeSeries {
            labels_refs: vec![1, 2, 3, 4],
            samples: vec![wire_v2::Sample {
                value: 1.5,
                timestamp: 9,
                start_timestamp: 3,
            }],
            exemplars: vec![wire_v2::Exemplar {
                labels_refs: vec![5, 6],
                value: 2.0,
                timestamp: 5,
            }],
            metadata: Some(wire_v2::Metadata {
                r#type: 2,
                help_ref: 4,
                unit_ref: 6,
            }),
            created_timestamp: 1,
            ..Default::default()
        }],
    };
    vec![request.encode_to_vec()]
}

/// Requests as clients send them.
pub(super) fn read_requests() -> Vec<Vec<u8>> {
    let query = |matchers: &[(i32, &str, &str)], func: &str| wire::Query {
        start_timestamp_ms: -5_000,
        end_timestamp_ms: 3_600_000,
        matchers: matchers
            .iter()
            .map(|(kind, name, value)| wire::LabelMatcher {
                r#type: *kind,
                name: (*name).into(),
                value: (*value).into(),
            })
            .collect(),
        hints: Some(wire::ReadHints {
            step_ms: 15_000,
            func: func.into(),
            start_ms: 60_000,
            end_ms: 1_800_000,
            grouping: vec!["job".into()],
            by: true,
            range_ms: 300_000,
        }),
    };
    let requests = [
        (
            vec![query(&[(0, "__name__", "up"), (2, "job", "a.*|b")], "rate")],
            vec![1, 0],
        ),
        (
            vec![
                query(&[(3, "zone", "[b-x]+")], "series"),
                query(&[(1, "job", "")], ""),
            ],
            vec![],
        ),
        (vec![query(&[(0, "zone", "a")], "max")], vec![7, 1]),
    ];
    let messages = requests.map(|(queries, accepted_response_types)| {
        let message = wire::ReadRequest {
            queries,
            accepted_response_types,
        };
        message.encode_to_vec()
    });
    messages.to_vec()
}
