//! Both forms of an answer against what the database selects, over random databases, with prost as the reader.

use super::super::wire::prometheus as wire;
use super::*;
use crate::base::varint;
use crate::chunk::{Encoding, histogram_samples, xor};
use crate::engine::options::Options;
use crate::labels;
use crate::model::histogram::ResetHint;
use crate::model::sample::{Sample, Value, stale_nan};
use crate::remote::histogram;
use proptest::prelude::*;
use prost::Message as _;
use std::ops::ControlFlow;
use std::sync::Arc;

const SERIES: usize = 5;

/// Labels between which the external ones come to stand, one of which has a name of theirs.
fn series_labels(number: usize) -> Labels {
    match number {
        0 => labels! { "__name__" => "a" },
        1 => labels! { "__name__" => "a", "b" => "1" },
        2 => labels! { "__name__" => "a", "b" => "1", "zone" => "own" },
        3 => labels! { "__name__" => "b", "b" => "2", "z" => "9" },
        _ => labels! { "__name__" => "c", "é" => "ü" },
    }
}

fn external() -> Labels {
    labels! { "b" => "external", "region" => "eu", "zone" => "far" }
}

/// What is done to a database.
#[derive(Debug, Clone)]
enum Act {
    /// Writes samples of a series from a time on, so far apart.
    Write(usize, i64, i64, Vec<Value>),
    Flush,
    Delete(usize, i64, i64),
}

fn float() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (0..50i32).prop_map(f64::from),
        1 => any::<u64>().prop_map(f64::from_bits),
        1 => prop_oneof![Just(-0.0), Just(stale_nan()), Just(f64::INFINITY)],
    ]
}

/// Buckets of the kind and layout that the first numbers choose, with counts that grow with the last.
fn a_histogram(is_float: bool, layout: u8, hint: u8, step: i64) -> Histogram {
    let is_custom = layout == 2;
    let span = |offset, length| Span { offset, length };
    let counts = if is_float {
        Counts::Float {
            count: step as f64 * 3.0,
            zero_count: 0.0,
            positive: vec![step as f64, step as f64 * 2.0],
            negative: vec![],
        }
    } else {
        Counts::Int {
            count: step as u64 * 3,
            zero_count: 0,
            positive: vec![step, step],
            negative: vec![],
        }
    };
    Histogram {
        reset_hint: ResetHint::from_u8(hint).unwrap(),
        schema: if is_custom { -53 } else { 2 },
        zero_threshold: if is_custom { 0.0 } else { 0.001 },
        sum: if step == 7 { stale_nan() } else { step as f64 * 0.5 },
        positive_spans: match layout {
            0 => vec![span(0, 2)],
            1 => vec![span(-3, 1), span(4, 1)],
            _ => vec![span(0, 2)],
        },
        negative_spans: vec![],
        custom_values: if is_custom { vec![0.5, 1.5] } else { vec![] },
        counts,
    }
}

/// Samples that follow each other: floats, or histograms that mostly fit one chunk.
fn run() -> impl Strategy<Value = Vec<Value>> {
    let histograms = (any::<bool>(), 0..3u8, prop_oneof![4 => Just(0u8), 1 => Just(3u8)]);
    prop_oneof![
        3 => prop::collection::vec(float().prop_map(Value::Float), 1..300),
        2 => (histograms, prop::collection::vec(0..3i64, 1..200)).prop_map(|((is_float, layout, hint), steps)| {
            let counts = steps.into_iter().scan(1, |sum, step| {
                *sum += step;
                Some(*sum)
            });
            let values = counts.map(|count| a_histogram(is_float, layout, hint, count));
            values.map(|value| Value::Histogram(Arc::new(value))).collect()
        }),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let step = prop_oneof![Just(15_000), 1..40_000i64];
    prop_oneof![
        8 => (0..SERIES, -50..500i64, step, run())
            .prop_map(|(series, start, step, values)| Act::Write(series, start * 10_000, step, values)),
        2 => Just(Act::Flush),
        1 => (0..SERIES, -50..300i64, 0..200i64).prop_map(|(series, from, length)| {
            Act::Delete(series, from * 10_000, (from + length) * 10_000)
        }),
    ]
}

fn database(acts: &[Act]) -> Db {
    let db = Db::open(Options::in_memory().background(false)).unwrap();
    for act in acts {
        match act {
            Act::Write(series, start, step, values) => {
                let mut batch = db.batch();
                for (number, value) in values.iter().enumerate() {
                    let sample = Sample {
                        timestamp: start + number as i64 * step,
                        value: value.clone(),
                        start_timestamp: 0,
                    };
                    batch.push_sample(&series_labels(*series), &sample);
                }
                batch.commit().unwrap();
            }
            Act::Flush => db.flush().unwrap(),
            Act::Delete(series, from, to) => {
                db.delete_series(&series_labels(*series), *from..=*to).unwrap();
            }
        }
    }
    db
}

type Answer = Vec<(Vec<(String, String)>, Vec<(i64, Value)>)>;

fn pairs(labels: &[wire::Label]) -> Vec<(String, String)> {
    let pairs = labels
        .iter()
        .map(|label| (label.name.clone(), label.value.clone()));
    pairs.collect()
}

/// What the database selects, with external labels.
fn selected(db: &Db, query: &wire::Query) -> Answer {
    let range = query.start_timestamp_ms..=query.end_timestamp_ms;
    let mut answer = Answer::new();
    for series in db.select(&[], range).unwrap() {
        let series = series.unwrap();
        let external = external();
        let added = external
            .iter()
            .filter(|pair| series.labels().get(pair.0).is_none());
        let all = Labels::from_pairs(series.labels().iter().chain(added)).unwrap();
        let labels = all.iter().map(|(name, value)| (name.into(), value.into()));
        let samples = series.samples().map(|sample| (sample.timestamp, sample.value));
        answer.push((labels.collect(), samples.collect()));
    }
    answer
}

fn from_samples(message: &wire::ReadResponse) -> Vec<Answer> {
    let series = |series: &wire::TimeSeries| {
        assert!(series.exemplars.is_empty());
        let floats = series.samples.iter();
        let mut samples: Vec<_> = floats
            .map(|sample| (sample.timestamp, Value::Float(sample.value)))
            .collect();
        assert!(samples.is_sorted_by(|a, b| a.0 < b.0));
        assert!(series.histograms.is_sorted_by(|a, b| a.timestamp < b.timestamp));
        for one in &series.histograms {
            let body = one.encode_to_vec();
            let sent = histogram::decode(&body, 0..body.len()).unwrap();
            samples.push((sent.timestamp, Value::Histogram(Arc::new(sent.histogram))));
        }
        samples.sort_by_key(|sample| sample.0);
        (pairs(&series.labels), samples)
    };
    let results = message.results.iter();
    results
        .map(|result| result.timeseries.iter().map(series).collect())
        .collect()
}

fn decode_chunk(chunk: &wire::Chunk) -> Vec<(i64, Value)> {
    let encoding = Encoding::from_u8(chunk.r#type as u8).unwrap();
    if encoding != Encoding::Xor {
        let samples = histogram_samples(&chunk.data, encoding).unwrap();
        return samples
            .map(|sample| sample.unwrap())
            .map(|(timestamp, histogram)| (timestamp, Value::Histogram(Arc::new(histogram))))
            .collect();
    }
    let (mut timestamps, mut bits) = (Vec::new(), Vec::new());
    xor::decode_into(&chunk.data, &mut timestamps, &mut bits).unwrap();
    let floats = bits.into_iter().map(|bits| Value::Float(f64::from_bits(bits)));
    timestamps.into_iter().zip(floats).collect()
}

/// Takes frames apart; a series that goes on in a later frame must not have ended in between.
fn from_frames(frames: &[Vec<u8>], queries: usize) -> Vec<Answer> {
    let mut answers = vec![Answer::new(); queries];
    let mut last_index = 0;
    for frame in frames {
        let (length, used) = varint::read_u64(frame).unwrap();
        let message = &frame[used + 4..];
        assert_eq!(message.len() as u64, length);
        assert_eq!(frame[used..used + 4], crc32c::crc32c(message).to_be_bytes());
        let message = wire::ChunkedReadResponse::decode(message).unwrap();
        assert!(message.query_index >= last_index && message.chunked_series.len() == 1);
        last_index = message.query_index;
        let answer = &mut answers[last_index as usize];
        let series = &message.chunked_series[0];
        let labels = pairs(&series.labels);
        if answer.last().is_none_or(|last| last.0 != labels) {
            assert!(
                answer.iter().all(|before| before.0 != labels),
                "a series that was over"
            );
            answer.push((labels, Vec::new()));
        }
        let samples = &mut answer.last_mut().unwrap().1;
        for chunk in &series.chunks {
            let found = decode_chunk(chunk);
            assert!(!found.is_empty() && found.len() <= 120);
            assert_eq!(found[0].0, chunk.min_time_ms);
            assert_eq!(found[found.len() - 1].0, chunk.max_time_ms);
            samples.extend(found);
        }
        assert!(
            samples.is_sorted_by(|a, b| a.0 < b.0),
            "chunks in order, without overlap"
        );
    }
    answers
}

fn assert_same(found: &Answer, expected: &Answer) {
    let labels = |answer: &Answer| answer.iter().map(|series| series.0.clone()).collect::<Vec<_>>();
    assert_eq!(labels(found), labels(expected));
    for (one, other) in found.iter().zip(expected) {
        assert_eq!(one.1.len(), other.1.len(), "samples of {:?}", one.0);
        for (a, b) in one.1.iter().zip(&other.1) {
            let is_same = match (&a.1, &b.1) {
                (Value::Histogram(a), Value::Histogram(b)) => a.is_same(b),
                (a, b) => a == b,
            };
            assert!(a.0 == b.0 && is_same, "{a:?} is not {b:?}");
        }
    }
}

fn request(queries: &[wire::Query]) -> ReadRequest {
    let message = wire::ReadRequest {
        queries: queries.to_vec(),
        accepted_response_types: vec![],
    };
    let options = ReadOptions {
        external_labels: external(),
        ..ReadOptions::default()
    };
    ReadRequest::from_message(&message.encode_to_vec(), &options).unwrap()
}

fn query(from: i64, to: i64) -> wire::Query {
    wire::Query {
        start_timestamp_ms: from,
        end_timestamp_ms: to,
        ..wire::Query::default()
    }
}

fn streamed(db: &Db, request: &ReadRequest, options: &ReadOptions) -> (Vec<Vec<u8>>, ReadSummary) {
    let mut frames = Vec::new();
    let summary = request.stream(db, options, |frame| {
        frames.push(frame.to_vec());
        ControlFlow::Continue(())
    });
    (frames, summary.unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn both_forms_say_what_is_selected(
        acts in prop::collection::vec(act(), 1..12),
        ranges in prop::collection::vec((-60..400i64, -20..400i64), 1..4),
        frame_bytes_max in prop_oneof![Just(1 << 20), 0..4_000usize],
    ) {
        let db = database(&acts);
        let mut queries = vec![query(i64::MIN, i64::MAX)];
        queries.extend(ranges.iter().map(|(from, length)| query(from * 10_000, (from + length) * 10_000)));
        let options = ReadOptions {
            external_labels: external(),
            frame_bytes_max,
            ..ReadOptions::default()
        };
        let request = request(&queries);
        let expected: Vec<Answer> = queries.iter().map(|query| selected(&db, query)).collect();

        let (body, summary) = request.samples(&db, &options).unwrap();
        let message = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
        let decoded = wire::ReadResponse::decode(&*message).unwrap();
        // Negative zeros are written, which prost would leave out.
        let is_negative_zero = |float: &wire::Sample| float.value.to_bits() == (-0.0f64).to_bits();
        let series = decoded.results.iter().flat_map(|result| &result.timeseries);
        if !series.flat_map(|series| &series.samples).any(is_negative_zero) {
            prop_assert_eq!(decoded.encode_to_vec(), message, "nothing but what prost would write");
        }
        let found = from_samples(&decoded);
        prop_assert_eq!(found.len(), queries.len());
        let (frames, of_stream) = streamed(&db, &request, &options);
        prop_assert_eq!(&summary, &of_stream);
        prop_assert_eq!(summary.series, expected.iter().map(Vec::len).sum::<usize>());
        let samples = expected.iter().flatten().map(|series| series.1.len());
        prop_assert_eq!(summary.samples, samples.sum::<usize>());
        for (found, chunked, expected) in found
            .iter()
            .zip(from_frames(&frames, queries.len()))
            .zip(&expected)
            .map(|((found, chunked), expected)| (found, chunked, expected))
        {
            assert_same(found, expected);
            assert_same(&chunked, expected);
        }
    }
}

#[test]
fn reset_hints_and_empty_counts_are_sent() {
    let db = Db::open(Options::in_memory()).unwrap();
    let mut batch = db.batch();
    let mut empty = a_histogram(false, 0, 0, 0);
    empty.positive_spans.clear();
    empty.counts = Counts::Int {
        count: 0,
        zero_count: 0,
        positive: vec![],
        negative: vec![],
    };
    batch.push_histogram(&series_labels(0), 1, &empty);
    batch.push_histogram(&series_labels(0), 2, &a_histogram(true, 0, 3, 4));
    assert_eq!(batch.commit().unwrap().accepted, 2);
    let (body, _) = request(&[query(0, 5)])
        .samples(&db, &ReadOptions::default())
        .unwrap();
    let message = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
    let decoded = wire::ReadResponse::decode(&*message).unwrap();
    let histograms = &decoded.results[0].timeseries[0].histograms;
    assert_eq!(histograms[0].count, Some(wire::histogram::Count::CountInt(0)));
    assert_eq!(
        histograms[0].zero_count,
        Some(wire::histogram::ZeroCount::ZeroCountInt(0))
    );
    assert_eq!(
        histograms[1].count,
        Some(wire::histogram::Count::CountFloat(12.0))
    );
    assert_eq!(histograms[1].reset_hint, wire::histogram::ResetHint::Gauge as i32);
    assert_eq!(histograms[1].timestamp, 2);
}
