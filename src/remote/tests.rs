//! The walks against owned decoding: a random request is stored in two databases, by its walk and sample by sample from
//! the owned message, and both must hold the same. What is owned is decoded from the bytes that are sent: encoders leave
//! out a -0.0 as they leave out 0.

use super::intake::Intake;
use super::outcome::{RequestError, Written};
use super::wire::{prometheus as v1, write_v2 as v2};
use super::write::{self, Outcome, Request, Version, WriteError};
use crate::db::Db;
use crate::engine::options::Options;
use crate::head::report::{CommitReport, Durability, Reject};
use crate::model::exemplar::Exemplar;
use crate::model::histogram::{Counts, Histogram, ResetHint, Span};
use crate::model::labels::Labels;
use crate::model::metadata::{Metadata, MetricType};
use crate::model::sample::{Sample, Value};
use proptest::prelude::*;
use prost::Message as _;
use std::sync::Arc;

const BYTES_MAX: usize = 32 << 20;

fn database() -> Db {
    Db::open(Options::in_memory().background(false)).unwrap()
}

fn send(db: &Db, version: Version, message: &[u8]) -> Result<Outcome, WriteError> {
    let block = snap::raw::Encoder::new().compress_vec(message).unwrap();
    send_block(db, version, &block)
}

fn send_block(db: &Db, version: Version, block: &[u8]) -> Result<Outcome, WriteError> {
    let request = Request {
        version,
        block,
        bytes_max: BYTES_MAX,
        durability: Some(Durability::Never),
        intake: &Intake::default(),
        now_ms: 0,
    };
    write::write(db, &request, &mut Vec::new())
}

/// Everything that a database holds, in words.
fn dump(db: &Db) -> Vec<String> {
    let mut all = Vec::new();
    for series in db.select(&[], ..).unwrap() {
        let series = series.unwrap();
        for sample in series.samples() {
            all.push(format!("{} {sample:?}", series.labels()));
        }
    }
    for (labels, exemplars) in db.exemplars(&[], ..).unwrap() {
        for one in exemplars {
            let bits = one.value.to_bits();
            all.push(format!("{labels} {} {} {bits:x}", one.timestamp, one.labels));
        }
    }
    for (metric, history) in db.metadata(None) {
        let history: Vec<_> = history.into_iter().map(|entry| entry.1).collect();
        all.push(format!("{metric} {history:?}"));
    }
    all
}

/// A request of either version as owned series.
#[derive(Debug, Default)]
struct Owned {
    series: Vec<OwnedSeries>,
    metadata: Vec<(String, Metadata)>,
}

#[derive(Debug, Default)]
struct OwnedSeries {
    /// `None` where they are no label set.
    labels: Option<Labels>,
    samples: Vec<Sample>,
    exemplars: Vec<Option<Exemplar>>,
    /// Entries that are refused whatever the labels are.
    refused: usize,
}

impl Owned {
    /// Stores what is valid; the report and how many entries were refused besides.
    fn store(&self, db: &Db) -> (CommitReport, usize) {
        let (mut batch, mut refused) = (db.batch(), 0);
        for (metric, metadata) in self.metadata.iter().filter(|one| !one.0.is_empty()) {
            batch.push_metadata(metric, metadata);
        }
        for series in &self.series {
            refused += series.refused;
            let is_named = |labels: &&Labels| !labels.metric_name().is_empty();
            let Some(labels) = series.labels.as_ref().filter(is_named) else {
                refused += series.samples.len() + series.exemplars.len();
                continue;
            };
            for sample in &series.samples {
                batch.push_sample(labels, sample);
            }
            for exemplar in &series.exemplars {
                match exemplar {
                    Some(exemplar) => batch.push_exemplar(labels, exemplar),
                    None => refused += 1,
                }
            }
        }
        (batch.commit().unwrap(), refused)
    }
}

fn histogram(
    count: (Option<u64>, Option<f64>, Option<u64>, Option<f64>),
    rest: (f64, i32, f64, i32),
    spans: (Vec<Span>, Vec<Span>),
    deltas: (Vec<i64>, Vec<i64>),
    counts: (Vec<f64>, Vec<f64>),
    custom_values: Vec<f64>,
) -> Value {
    let (int, float, zero_int, zero_float) = count;
    let counts = match float {
        Some(count) => Counts::Float {
            count,
            zero_count: zero_float.unwrap_or(0.0),
            positive: counts.0,
            negative: counts.1,
        },
        None => Counts::Int {
            count: int.unwrap_or(0),
            zero_count: zero_int.unwrap_or(0),
            positive: deltas.0,
            negative: deltas.1,
        },
    };
    Value::Histogram(Arc::new(Histogram {
        reset_hint: ResetHint::from_u8(rest.3 as u8).unwrap_or_default(),
        schema: rest.1,
        zero_threshold: rest.2,
        sum: rest.0,
        positive_spans: spans.0,
        negative_spans: spans.1,
        custom_values,
        counts,
    }))
}

/// The owned histogram of a message of either version, which have the same fields.
macro_rules! owned_histogram {
    ($module:ident, $message:expr) => {{
        let message = $message;
        let span = |span: &$module::BucketSpan| Span {
            offset: span.offset,
            length: span.length,
        };
        let (int, float) = match message.count {
            Some($module::histogram::Count::CountInt(count)) => (Some(count), None),
            Some($module::histogram::Count::CountFloat(count)) => (None, Some(count)),
            None => (None, None),
        };
        let (zero_int, zero_float) = match message.zero_count {
            Some($module::histogram::ZeroCount::ZeroCountInt(count)) => (Some(count), None),
            Some($module::histogram::ZeroCount::ZeroCountFloat(count)) => (None, Some(count)),
            None => (None, None),
        };
        histogram(
            (int, float, zero_int, zero_float),
            (
                message.sum,
                message.schema,
                message.zero_threshold,
                message.reset_hint,
            ),
            (
                message.positive_spans.iter().map(span).collect(),
                message.negative_spans.iter().map(span).collect(),
            ),
            (message.positive_deltas.clone(), message.negative_deltas.clone()),
            (message.positive_counts.clone(), message.negative_counts.clone()),
            message.custom_values.clone(),
        )
    }};
}

fn metric_type(number: i32) -> MetricType {
    u8::try_from(number)
        .ok()
        .and_then(MetricType::from_u8)
        .unwrap_or_default()
}

impl From<&v1::WriteRequest> for Owned {
    fn from(request: &v1::WriteRequest) -> Self {
        let labels =
            |labels: &[v1::Label]| Labels::from_pairs(labels.iter().map(|one| (&one.name, &one.value)));
        let series = request.timeseries.iter().map(|series| {
            let floats = series.samples.iter().map(|sample| Sample {
                timestamp: sample.timestamp,
                value: Value::Float(sample.value),
                start_timestamp: 0,
            });
            let histograms = series.histograms.iter().map(|one| Sample {
                timestamp: one.timestamp,
                value: owned_histogram!(v1, one),
                start_timestamp: 0,
            });
            let exemplar = |one: &v1::Exemplar| {
                Some(Exemplar {
                    labels: labels(&one.labels).ok()?,
                    timestamp: one.timestamp,
                    value: one.value,
                })
            };
            OwnedSeries {
                labels: labels(&series.labels).ok(),
                samples: floats.chain(histograms).collect(),
                exemplars: series.exemplars.iter().map(exemplar).collect(),
                refused: 0,
            }
        });
        let metadata = request.metadata.iter().map(|one| {
            let metadata = Metadata {
                metric_type: metric_type(one.r#type),
                help: one.help.clone(),
                unit: one.unit.clone(),
            };
            (one.metric_family_name.clone(), metadata)
        });
        Self {
            series: series.collect(),
            metadata: metadata.collect(),
        }
    }
}

impl From<&v2::Request> for Owned {
    fn from(request: &v2::Request) -> Self {
        let mut owned = Self::default();
        for series in &request.timeseries {
            let (one, metadata) = owned_v2(&request.symbols, series);
            owned.series.push(one);
            owned.metadata.extend(metadata);
        }
        owned
    }
}

fn owned_v2(symbols: &[String], series: &v2::TimeSeries) -> (OwnedSeries, Option<(String, Metadata)>) {
    let text = |reference: u32| symbols.get(reference as usize).cloned();
    let labels = |references: &[u32]| {
        let (pairs, rest) = references.as_chunks::<2>();
        let pairs: Option<Vec<_>> = pairs
            .iter()
            .map(|[name, value]| text(*name).zip(text(*value)))
            .collect();
        Labels::from_pairs(pairs.filter(|_| rest.is_empty())?).ok()
    };
    let start = |own: i64| if own == 0 { series.created_timestamp } else { own };
    let floats = series.samples.iter().map(|sample| Sample {
        timestamp: sample.timestamp,
        value: Value::Float(sample.value),
        start_timestamp: start(sample.start_timestamp),
    });
    let histograms = series.histograms.iter().map(|one| Sample {
        timestamp: one.timestamp,
        value: owned_histogram!(v2, one),
        start_timestamp: start(one.start_timestamp),
    });
    let exemplar = |one: &v2::Exemplar| {
        Some(Exemplar {
            labels: labels(&one.labels_refs)?,
            timestamp: one.timestamp,
            value: one.value,
        })
    };
    let mut owned = OwnedSeries {
        labels: labels(&series.labels_refs),
        samples: floats.chain(histograms).collect(),
        exemplars: series.exemplars.iter().map(exemplar).collect(),
        refused: 0,
    };
    let is_empty = owned.samples.is_empty() && owned.exemplars.is_empty();
    if is_empty || !series.samples.is_empty() && !series.histograms.is_empty() {
        owned.refused = (owned.samples.len() + owned.exemplars.len()).max(1);
        owned.samples.clear();
        owned.exemplars.clear();
    }
    let names = series.labels_refs.as_chunks::<2>().0.iter();
    let name = names
        .rev()
        .find(|pair| text(pair[0]).is_some_and(|name| name == "__name__"));
    let metadata = series
        .metadata
        .as_ref()
        .filter(|one| **one != v2::Metadata::default());
    let metadata = metadata
        .zip(name.and_then(|pair| text(pair[1])))
        .map(|(one, name)| {
            let metadata = Metadata {
                metric_type: metric_type(one.r#type),
                help: text(one.help_ref).unwrap_or_default(),
                unit: text(one.unit_ref).unwrap_or_default(),
            };
            (name, metadata)
        });
    (owned, metadata)
}

/// Sends a message twice by its walk, the second time with all keys known, and compares with what it holds.
fn check(version: Version, message: &[u8], owned: &Owned) {
    let (walked, expected) = (database(), database());
    for _ in 0..2 {
        let outcome = send(&walked, version, message).expect("a sound message");
        let (report, refused) = owned.store(&expected);
        assert_eq!(outcome.written, Written::of(&report), "{owned:?}");
        assert_eq!(
            outcome.report.rejected_count(),
            report.rejected_count() + refused,
            "{owned:?}: {:?}",
            outcome.report.rejected
        );
        assert_eq!(dump(&walked), dump(&expected), "{owned:?}");
    }
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => Just("__name__".to_owned()),
        6 => "[a-d]",
        1 => Just(String::new()),
        1 => Just("naïve.名".to_owned()),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![6 => "[x-z]{1,2}", 1 => Just(String::new()), 1 => Just("a \n\"b\\".to_owned())]
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(0.0),
        Just(-0.0),
        Just(1.5),
        any::<f64>(),
        Just(f64::from_bits(0x7ff0_0000_0000_0002)),
    ]
}

fn timestamp() -> impl Strategy<Value = i64> {
    prop_oneof![-2..6i64, Just(0), Just(1_700_000_000_000)]
}

/// Span, deltas and counts of a histogram, valid more often than not.
fn buckets() -> impl Strategy<Value = (u32, Vec<i64>, Vec<f64>)> {
    (0..4u32, proptest::collection::vec(0..3i64, 0..4)).prop_map(|(length, mut deltas)| {
        if length > 0 || deltas.len() % 2 == 0 {
            deltas.resize(length as usize, 1);
        }
        let mut sum = 0;
        let counts = deltas.iter().map(|delta| {
            sum += delta;
            sum as f64
        });
        (length, deltas.clone(), counts.collect())
    })
}

fn total(counts: &[f64]) -> u64 {
    counts.iter().sum::<f64>() as u64
}

macro_rules! histograms {
    ($module:ident, $($extra:ident : $with:expr),*) => {
        (buckets(), any::<bool>(), timestamp(), value(), prop_oneof![-5..10i32, Just(-53)], 0..5i32).prop_map(
            |((length, deltas, counts), is_float, timestamp, sum, schema, reset_hint)| {
                let count = total(&counts) + 2;
                let spans = vec![$module::BucketSpan { offset: -2 * i32::from(schema != -53), length }; usize::from(length > 0)];
                let custom = if schema == -53 { vec![1.0, 2.0, 4.0, 8.0] } else { Vec::new() };
                let zero = if schema == -53 { 0 } else { 2 };
                let count = if schema == -53 { count - 2 } else { count };
                $module::Histogram {
                    count: Some(if is_float {
                        $module::histogram::Count::CountFloat(count as f64)
                    } else {
                        $module::histogram::Count::CountInt(count)
                    }),
                    zero_count: Some(if is_float {
                        $module::histogram::ZeroCount::ZeroCountFloat(f64::from(zero))
                    } else {
                        $module::histogram::ZeroCount::ZeroCountInt(zero as u64)
                    }),
                    sum,
                    schema,
                    zero_threshold: if schema == -53 { 0.0 } else { 0.001 },
                    positive_spans: spans,
                    positive_deltas: if is_float { Vec::new() } else { deltas },
                    positive_counts: if is_float { counts } else { Vec::new() },
                    reset_hint,
                    timestamp,
                    custom_values: custom,
                    $($extra: $with,)*
                    ..Default::default()
                }
            },
        )
    };
}

fn few<T: std::fmt::Debug>(one: impl Strategy<Value = T>, most: usize) -> impl Strategy<Value = Vec<T>> {
    proptest::collection::vec(one, 0..=most)
}

fn request_v1() -> impl Strategy<Value = v1::WriteRequest> {
    let label = || (name(), text()).prop_map(|(name, value)| v1::Label { name, value });
    let sample = (timestamp(), value()).prop_map(|(timestamp, value)| v1::Sample { value, timestamp });
    let exemplar =
        (few(label(), 2), timestamp(), value()).prop_map(|(labels, timestamp, value)| v1::Exemplar {
            labels,
            value,
            timestamp,
        });
    let series = (
        few(label(), 4),
        few(sample, 3),
        few(exemplar, 1),
        few(histograms!(v1,), 2),
    )
        .prop_map(|(labels, samples, exemplars, histograms)| v1::TimeSeries {
            labels,
            samples,
            exemplars,
            histograms,
        });
    let metadata = ("[a-c]", 0..9i32, text(), text()).prop_map(|(metric_family_name, r#type, help, unit)| {
        v1::MetricMetadata {
            r#type,
            metric_family_name,
            help,
            unit,
        }
    });
    (few(series, 5), few(metadata, 2))
        .prop_map(|(timeseries, metadata)| v1::WriteRequest { timeseries, metadata })
}

#[expect(clippy::too_many_lines, reason = "a list of parts")]
fn request_v2() -> impl Strategy<Value = v2::Request> {
    let symbols = few(prop_oneof![name(), text()], 8).prop_map(|mut symbols| {
        symbols.insert(0, String::new());
        symbols.push("__name__".into());
        symbols
    });
    let reference = || prop_oneof![20 => 0..10u32, 1 => Just(77)];
    let references = || {
        few((reference(), reference()), 3)
            .prop_map(|pairs| pairs.into_iter().flat_map(|(a, b)| [a, b]).collect::<Vec<_>>())
    };
    let sample = (timestamp(), value(), prop_oneof![Just(0), -5..0i64]).prop_map(
        |(timestamp, value, start_timestamp)| v2::Sample {
            value,
            timestamp,
            start_timestamp,
        },
    );
    let exemplar =
        (references(), timestamp(), value()).prop_map(|(labels_refs, timestamp, value)| v2::Exemplar {
            labels_refs,
            value,
            timestamp,
        });
    let metadata = (0..9i32, 0..9u32, 0..9u32).prop_map(|(r#type, help_ref, unit_ref)| v2::Metadata {
        r#type,
        help_ref,
        unit_ref,
    });
    let series = (
        (references(), any::<bool>(), 0..9u32),
        few(sample, 3),
        few(histograms!(v2, start_timestamp: 0), 2),
        few(exemplar, 1),
        proptest::option::of(metadata),
        prop_oneof![Just(0), Just(-3)],
        0..8,
    )
        .prop_map(
            |(
                (mut labels_refs, is_named, value),
                mut samples,
                histograms,
                exemplars,
                metadata,
                created_timestamp,
                dice,
            )| {
                // Most have a metric name, most have samples of one kind, and few have an odd number of references.
                if is_named {
                    labels_refs.splice(0..0, [u32::MAX, value]);
                }
                if dice == 0 {
                    labels_refs.pop();
                }
                if dice > 1 && !histograms.is_empty() {
                    samples.clear();
                }
                v2::TimeSeries {
                    labels_refs,
                    samples,
                    histograms,
                    exemplars,
                    metadata,
                    created_timestamp,
                }
            },
        );
    (symbols, few(series, 5)).prop_map(|(symbols, mut timeseries)| {
        let name = symbols.len() as u32 - 1;
        for series in &mut timeseries {
            let meant = series.labels_refs.iter_mut().filter(|one| **one == u32::MAX);
            meant.for_each(|one| *one = name);
        }
        v2::Request { symbols, timeseries }
    })
}

proptest! {
    #[test]
    fn a_walk_of_1_0_stores_what_the_owned_message_holds(request in request_v1()) {
        let message = request.encode_to_vec();
        check(Version::V1, &message, &Owned::from(&v1::WriteRequest::decode(&*message).unwrap()));
    }

    #[test]
    fn a_walk_of_2_0_stores_what_the_owned_message_holds(request in request_v2()) {
        let message = request.encode_to_vec();
        check(Version::V2, &message, &Owned::from(&v2::Request::decode(&*message).unwrap()));
    }

    /// Fields of a series may come in any order and labels may be parted by other fields.
    #[test]
    fn fields_may_come_in_any_order(request in request_v1(), turns in proptest::collection::vec(0..9usize, 5)) {
        let mut message = Vec::new();
        for (series, turn) in request.timeseries.iter().zip(turns) {
            let mut fields: Vec<v1::TimeSeries> = Vec::new();
            fields.extend(series.labels.iter().map(|one| v1::TimeSeries { labels: vec![one.clone()], ..Default::default() }));
            fields.extend(series.samples.iter().map(|one| v1::TimeSeries { samples: vec![*one], ..Default::default() }));
            let middle = turn.min(fields.len());
            fields.rotate_left(middle);
            let bytes: Vec<u8> = fields.iter().flat_map(v1::TimeSeries::encode_to_vec).collect();
            v1::WriteRequest::default().encode(&mut message).unwrap();
            message.push(1 << 3 | 2);
            prost::encoding::encode_varint(bytes.len() as u64, &mut message);
            message.extend(bytes);
        }
        let owned = v1::WriteRequest::decode(&*message).unwrap();
        check(Version::V1, &message, &Owned::from(&owned));
    }

    /// What the owned decoder takes, the walk takes and stores alike; nothing makes it panic.
    #[test]
    fn damaged_messages_do_no_harm(request in request_v2(), old in request_v1(), at in any::<prop::sample::Index>(), byte: u8) {
        for (version, mut message) in [(Version::V2, request.encode_to_vec()), (Version::V1, old.encode_to_vec())] {
            if message.is_empty() {
                continue;
            }
            let at = at.index(message.len());
            message[at] = byte;
            let owned = match version {
                Version::V1 => v1::WriteRequest::decode(&*message).ok().map(|one| Owned::from(&one)),
                Version::V2 => {
                    let sound = v2::Request::decode(&*message).ok();
                    let is_begun_right = |one: &v2::Request| one.symbols.first().is_none_or(String::is_empty);
                    sound.filter(is_begun_right).map(|one| Owned::from(&one))
                }
            };
            match owned {
                Some(owned) => check(version, &message, &owned),
                None => drop(send(&database(), version, &message)),
            }
        }
    }
}

#[test]
fn what_a_block_claims_is_looked_at_first() {
    let db = database();
    let mut block = Vec::new();
    prost::encoding::encode_varint(u64::from(u32::MAX), &mut block);
    let result = send_block(&db, Version::V1, &block);
    let is_right = matches!(
        result,
        Err(WriteError::Request(RequestError::TooLarge {
            bytes_max: BYTES_MAX,
            ..
        }))
    );
    assert!(is_right, "{result:?}");
    for block in [&b"\x05abc"[..], b"", b"no snappy at all"] {
        let result = send_block(&db, Version::V1, block);
        assert!(
            matches!(result, Err(WriteError::Request(RequestError::Snappy(_)))),
            "{result:?}"
        );
    }
}

#[test]
fn refusals_say_what_and_where() {
    let db = database();
    let label = |name: &str, value: &str| v1::Label {
        name: name.into(),
        value: value.into(),
    };
    let series = |labels: Vec<v1::Label>, value: f64| v1::TimeSeries {
        labels,
        samples: vec![v1::Sample { value, timestamp: 7 }],
        ..Default::default()
    };
    let request = v1::WriteRequest {
        timeseries: vec![
            series(vec![label("__name__", "up")], 1.0),
            series(vec![label("__name__", "up")], 2.0),
            series(vec![label("a", "b")], 1.0),
            series(
                vec![label("__name__", "x"), label("a", "b"), label("a", "c")],
                1.0,
            ),
        ],
        metadata: Vec::new(),
    };
    let outcome = send(&db, Version::V1, &request.encode_to_vec()).unwrap();
    assert_eq!((outcome.written.samples, outcome.report.rejected_count()), (1, 3));
    let text = super::outcome::message(outcome.written, &outcome.report.rejected);
    assert_eq!(
        text,
        "stored 1, refused 3 of 4 (2 invalid_labels, 1 conflict); invalid_labels: no metric name in {a=\"b\"} at 7; \
         conflict: up at 7"
    );
    let metrics = &outcome.report.rejected[0].metrics;
    assert_eq!(metrics[0].count, 2, "{metrics:?}");
    assert_eq!(outcome.report.rejected[1].reason, Reject::Conflict);
}

#[test]
fn a_symbol_cannot_be_multiplied_beyond_memory() {
    let symbols = ["", "__name__", "m", "trace"].map(str::to_owned).to_vec();
    let request = |exemplars: usize, metadata: usize| {
        let series = |number: usize| v2::TimeSeries {
            labels_refs: vec![1, 2],
            samples: vec![v2::Sample {
                value: 1.0,
                timestamp: number as i64,
                start_timestamp: 0,
            }],
            metadata: (number < metadata).then_some(v2::Metadata {
                r#type: number as i32,
                help_ref: 4,
                unit_ref: 0,
            }),
            exemplars: match number {
                0 => vec![
                    v2::Exemplar {
                        labels_refs: vec![3, 4],
                        value: 1.0,
                        timestamp: 1
                    };
                    exemplars
                ],
                _ => Vec::new(),
            },
            ..Default::default()
        };
        let mut symbols = symbols.clone();
        symbols.push("x".repeat(1 << 20));
        v2::Request {
            symbols,
            timeseries: (0..100).map(series).collect(),
        }
        .encode_to_vec()
    };
    let outcome = send(&database(), Version::V2, &request(5, 5)).unwrap();
    // The label is too long for an exemplar; help may be long.
    assert_eq!((outcome.written.samples, outcome.written.exemplars), (100, 0));
    for (exemplars, metadata) in [(70, 0), (0, 70), (40, 40)] {
        let error = send(&database(), Version::V2, &request(exemplars, metadata)).unwrap_err();
        assert!(error.to_string().contains("above 64 MiB"), "{error}");
    }
}

#[test]
fn metadata_that_says_nothing_takes_nothing_back() {
    let series = |timestamp: i64, metadata: v2::Metadata| v2::TimeSeries {
        labels_refs: vec![1, 2],
        samples: vec![v2::Sample {
            value: 1.0,
            timestamp,
            start_timestamp: 0,
        }],
        metadata: Some(metadata),
        ..Default::default()
    };
    let said = v2::Metadata {
        r#type: 1,
        help_ref: 2,
        unit_ref: 0,
    };
    let request = v2::Request {
        symbols: ["", "__name__", "m"].map(str::to_owned).to_vec(),
        timeseries: vec![series(1, said), series(2, v2::Metadata::default())],
    };
    let db = database();
    send(&db, Version::V2, &request.encode_to_vec()).unwrap();
    let history = &db.metadata(None)["m"];
    assert_eq!(history.len(), 1);
    assert_eq!(history[0].1.metric_type, MetricType::Counter);
}
