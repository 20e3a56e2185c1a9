//! Remote read through the public face: requests and answers as a Prometheus that is the client makes and reads them.

use crate::peers::wire;
use crate::world::{Rng, Truth, float, histogram, random_float, random_labels, random_matcher};
use narthex::remote_read::{ReadError, ReadOptions, ReadRequest, ResponseType};
use narthex::{Db, Error, Labels, MatchOp, Matcher, Options, Precision, ResetHint, Sample, Value, labels};
use prost::Message as _;
use std::ops::ControlFlow;

const STREAMED: i32 = 1;

fn block(queries: Vec<wire::Query>, accepted: &[i32]) -> Vec<u8> {
    let message = wire::ReadRequest {
        queries,
        accepted_response_types: accepted.to_vec(),
    };
    snap::raw::Encoder::new()
        .compress_vec(&message.encode_to_vec())
        .unwrap()
}

fn query(matchers: &[Matcher], start: i64, end: i64) -> wire::Query {
    let matchers = matchers.iter().map(|matcher| wire::LabelMatcher {
        r#type: match matcher.op {
            MatchOp::Equal => 0,
            MatchOp::NotEqual => 1,
            MatchOp::Regex => 2,
            MatchOp::NotRegex => 3,
        },
        name: matcher.name.clone(),
        value: matcher.value.clone(),
    });
    wire::Query {
        start_timestamp_ms: start,
        end_timestamp_ms: end,
        matchers: matchers.collect(),
        hints: None,
    }
}

fn about_series(mut query: wire::Query) -> wire::Query {
    query.hints = Some(wire::ReadHints {
        func: "series".into(),
        ..wire::ReadHints::default()
    });
    query
}

fn samples(
    db: &Db,
    queries: Vec<wire::Query>,
    options: &ReadOptions,
) -> Result<wire::ReadResponse, ReadError> {
    let request = ReadRequest::decode(&block(queries, &[]), options)?;
    assert_eq!(request.response_type(), ResponseType::Samples);
    let (body, summary) = request.samples(db, options)?;
    assert_eq!(summary.warnings, []);
    let message = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
    Ok(wire::ReadResponse::decode(&*message).unwrap())
}

fn frames(
    db: &Db,
    queries: Vec<wire::Query>,
    options: &ReadOptions,
) -> Result<Vec<wire::ChunkedReadResponse>, ReadError> {
    let request = ReadRequest::decode(&block(queries, &[STREAMED]), options)?;
    assert_eq!(request.response_type(), ResponseType::StreamedXorChunks);
    let mut messages = Vec::new();
    let summary = request.stream(db, options, |frame| {
        let length_bytes = frame.iter().position(|byte| *byte < 0x80).unwrap() + 1;
        let message = &frame[length_bytes + 4..];
        messages.push(wire::ChunkedReadResponse::decode(message).unwrap());
        ControlFlow::Continue(())
    })?;
    assert_eq!(summary.warnings, []);
    Ok(messages)
}

fn labels_of(sent: &[wire::Label]) -> Labels {
    let pairs: Vec<_> = sent.iter().map(|label| (&*label.name, &*label.value)).collect();
    assert!(pairs.is_sorted_by(|a, b| a.0 < b.0), "labels in order: {pairs:?}");
    Labels::from_pairs(pairs).unwrap()
}

/// Series whose samples lie in segments and in the head, some late.
fn database() -> (Db, Truth) {
    let mut rng = Rng::new(7);
    let (db, mut truth) = (Db::open(Options::in_memory()).unwrap(), Truth::default());
    for part in 0..3 {
        for number in 0..60 {
            let start = (2 - part) * 5_000_000;
            let count = rng.below(150) as i64;
            let times = (0..count).map(|tick| start + tick * 15_000 + number as i64);
            let written = times.map(|time| {
                (
                    random_labels(number),
                    float(time, random_float(&mut rng, number, time)),
                )
            });
            truth.write(&db, written.collect());
        }
        if part < 2 {
            db.flush().unwrap();
        }
    }
    (db, truth)
}

#[test]
fn matchers_and_ranges_find_what_was_written() {
    let (db, truth) = database();
    let mut rng = Rng::new(8);
    let options = ReadOptions::default();
    for _ in 0..150 {
        let asked: Vec<(Vec<Matcher>, i64, i64)> = (0..1 + rng.below(3))
            .map(|_| {
                let matchers = (0..rng.below(4)).map(|_| random_matcher(&mut rng)).collect();
                let from = rng.below(14_000_000) as i64 - 1_000_000;
                (matchers, from, from + rng.below(9_000_000) as i64)
            })
            .collect();
        let queries: Vec<_> = asked
            .iter()
            .map(|(matchers, from, to)| query(matchers, *from, *to))
            .collect();
        let expected: Vec<_> = asked
            .iter()
            .map(|(matchers, from, to)| truth.select(matchers, *from, *to))
            .collect();

        let found = samples(&db, queries.clone(), &options).unwrap();
        assert_eq!(found.results.len(), queries.len());
        for (result, expected) in found.results.iter().zip(&expected) {
            assert_eq!(result.timeseries.len(), expected.len());
            for (series, (labels, samples)) in result.timeseries.iter().zip(expected) {
                assert_eq!(labels_of(&series.labels), *labels);
                let found = series.samples.iter().map(|one| float(one.timestamp, one.value));
                assert_eq!(found.collect::<Vec<Sample>>(), *samples);
            }
        }

        let mut streamed = frames(&db, queries, &options).unwrap().into_iter();
        for (index, expected) in expected.iter().enumerate() {
            for (labels, samples) in expected {
                let frame = streamed.next().unwrap();
                assert_eq!(frame.query_index, index as i64);
                assert_eq!(labels_of(&frame.chunked_series[0].labels), *labels);
                let chunks = &frame.chunked_series[0].chunks;
                assert_eq!(chunks[0].min_time_ms, samples[0].timestamp);
                let counts = chunks
                    .iter()
                    .map(|chunk| u16::from_be_bytes([chunk.data[0], chunk.data[1]]));
                assert_eq!(counts.map(usize::from).sum::<usize>(), samples.len());
            }
        }
        assert_eq!(streamed.next(), None);
    }
}

#[test]
fn chunk_bytes_are_those_of_the_engine() {
    let db = Db::open(Options::in_memory()).unwrap();
    let labels = labels! { "__name__" => "mixed" };
    let mut batch = db.batch();
    for tick in 0..500 {
        match tick / 100 % 2 {
            0 => batch.push(&labels, tick * 15_000, tick as f64 / 8.0),
            _ => batch.push_histogram(
                &labels,
                tick * 15_000,
                &histogram(tick as u64, ResetHint::Unknown),
            ),
        }
    }
    assert_eq!(batch.commit().unwrap().accepted, 500);
    let range = 45 * 15_000..=450 * 15_000;
    let raw = db
        .select_chunks(&[], range.clone())
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let asked = query(&[], *range.start(), *range.end());
    let found = frames(&db, vec![asked], &ReadOptions::default()).unwrap();
    assert_eq!(found.len(), 1);
    let chunks = &found[0].chunked_series[0].chunks;
    assert_eq!(chunks.len(), raw.chunks.len());
    for (sent, raw) in chunks.iter().zip(&raw.chunks) {
        assert_eq!((sent.min_time_ms, sent.max_time_ms), (raw.min_time, raw.max_time));
        assert_eq!((sent.r#type, &sent.data), (raw.encoding as i32, &raw.bytes));
    }
    let kinds: Vec<i32> = chunks.iter().map(|chunk| chunk.r#type).collect();
    assert_eq!(kinds, [1, 2, 1, 2, 1]);
}

#[test]
fn external_labels_are_added_and_asked_for() {
    let db = Db::open(Options::in_memory()).unwrap();
    let mut batch = db.batch();
    batch.push(&labels! { "__name__" => "up", "zone" => "z" }, 5, 1.0);
    batch.push(&labels! { "__name__" => "up", "region" => "own" }, 5, 2.0);
    batch.commit().unwrap();
    let mut options = ReadOptions::default();
    options.external_labels = labels! { "region" => "eu", "site" => "s1" };
    let added = labels! { "__name__" => "up", "region" => "eu", "site" => "s1", "zone" => "z" };
    let kept = labels! { "__name__" => "up", "region" => "own", "site" => "s1" };
    let found = |matchers: &[Matcher]| {
        let answer = samples(&db, vec![query(matchers, 0, 9)], &options).unwrap();
        let series = answer.results[0].timeseries.iter();
        let found: Vec<Labels> = series.map(|series| labels_of(&series.labels)).collect();
        let streamed = frames(&db, vec![query(matchers, 0, 9)], &options).unwrap();
        let streamed: Vec<Labels> = streamed
            .iter()
            .map(|frame| labels_of(&frame.chunked_series[0].labels))
            .collect();
        assert_eq!(found, streamed);
        found
    };
    assert_eq!(found(&[]), [kept.clone(), added.clone()]);
    let (added, kept) = (vec![added], vec![kept]);
    assert_eq!(found(&[Matcher::eq("region", "eu")]), added);
    assert_eq!(found(&[Matcher::eq("region", "own")]), kept);
    assert_eq!(found(&[Matcher::eq("site", "s1")]), [kept, added].concat());
    assert_eq!(found(&[Matcher::eq("region", "us")]), []);
}

#[test]
fn who_asks_for_series_gets_no_samples() {
    let (db, truth) = database();
    let options = ReadOptions::default();
    let asked = about_series(query(&[Matcher::eq("job", "api")], 0, 12_000_000));
    let expected = truth.select(&[Matcher::eq("job", "api")], 0, 12_000_000);
    let expected: Vec<Labels> = expected.into_iter().map(|series| series.0).collect();
    assert!(expected.len() > 5);
    let answer = samples(&db, vec![asked.clone()], &options).unwrap();
    let series = &answer.results[0].timeseries;
    assert!(series.iter().all(|series| series.samples.is_empty()));
    assert_eq!(
        series
            .iter()
            .map(|series| labels_of(&series.labels))
            .collect::<Vec<_>>(),
        expected
    );
    let frames = frames(&db, vec![asked], &options).unwrap();
    assert!(
        frames
            .iter()
            .all(|frame| frame.chunked_series[0].chunks.is_empty())
    );
    let streamed = frames
        .iter()
        .map(|frame| labels_of(&frame.chunked_series[0].labels));
    assert_eq!(streamed.collect::<Vec<_>>(), expected);
}

#[test]
fn the_sample_limit_is_one_of_a_query_and_of_the_one_message() {
    let db = Db::open(Options::in_memory()).unwrap();
    let mut batch = db.batch();
    for tick in 0..10 {
        batch.push(&labels! { "__name__" => "a" }, tick, 1.0);
        batch.push_histogram(
            &labels! { "__name__" => "b" },
            tick,
            &histogram(tick as u64, ResetHint::Unknown),
        );
    }
    batch.commit().unwrap();
    let mut options = ReadOptions::default();
    options.samples_max = 20;
    let all = || query(&[], 0, 100);
    assert!(samples(&db, vec![all(), all()], &options).is_ok());
    options.samples_max = 19;
    let error = samples(&db, vec![query(&[], 0, 3), all()], &options).unwrap_err();
    assert!(error.is_clients());
    assert_eq!(error.to_string(), "exceeded sample limit (19)");
    assert!(samples(&db, vec![about_series(all())], &options).is_ok());
    assert_eq!(
        frames(&db, vec![all()], &options).unwrap().len(),
        2,
        "streams have no such limit"
    );
}

#[test]
fn nothing_found_is_an_answer() {
    let (db, _) = database();
    let options = ReadOptions::default();
    let none = || query(&[Matcher::eq("__name__", "no such metric")], 0, i64::MAX);
    let backwards = || query(&[], 100, 0);
    let answer = samples(&db, vec![none(), backwards()], &options).unwrap();
    assert_eq!(answer.results, vec![wire::QueryResult::default(); 2]);
    assert_eq!(samples(&db, vec![], &options).unwrap().results, []);
    assert_eq!(frames(&db, vec![none(), backwards()], &options).unwrap(), []);
}

#[test]
fn a_stream_stops_when_it_is_told_to() {
    let (db, _) = database();
    let options = ReadOptions::default();
    let request =
        ReadRequest::decode(&block(vec![query(&[], 0, i64::MAX)], &[STREAMED, 0]), &options).unwrap();
    let mut frames = 0;
    let outcome = request.stream(&db, &options, |_| {
        frames += 1;
        match frames {
            3 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    });
    let error = outcome.unwrap_err();
    assert!(matches!(error, ReadError::Stopped) && !error.is_clients());
    assert_eq!(frames, 3);
}

#[test]
fn a_large_series_comes_in_frames_below_the_limit() {
    let db = Db::open(Options::in_memory()).unwrap();
    let mut rng = Rng::new(3);
    let mut batch = db.batch();
    let count = 300_000;
    for tick in 0..count {
        let value = f64::from_bits(rng.next() >> 2);
        batch.push(&labels! { "__name__" => "noise" }, tick, value);
    }
    batch.push(&labels! { "__name__" => "quiet" }, 5, 1.0);
    assert_eq!(batch.commit().unwrap().accepted, count as usize + 1);
    let found = frames(&db, vec![query(&[], 0, i64::MAX)], &ReadOptions::default()).unwrap();
    assert_eq!(found.len(), 4, "2.4 MB in three frames, and the quiet one");
    assert!(found.iter().all(|frame| frame.encoded_len() <= 1 << 20));
    assert!(
        found[..2]
            .iter()
            .all(|frame| frame.encoded_len() > (1 << 20) - 2_000),
        "and full ones"
    );
    let chunks: Vec<_> = found[..3]
        .iter()
        .flat_map(|frame| &frame.chunked_series[0].chunks)
        .collect();
    assert_eq!(chunks.len(), 2_500);
    assert!(chunks.is_sorted_by(|a, b| a.max_time_ms < b.min_time_ms));
}

#[test]
fn refusals_can_be_read() {
    let (db, _) = database();
    let options = ReadOptions::default();
    let refusal = |block: &[u8]| {
        let error = ReadRequest::decode(block, &options).unwrap_err();
        assert!(error.is_clients(), "{error}");
        error.to_string()
    };
    let text = refusal(&block(vec![query(&[Matcher::re("job", "api(")], 0, 1)], &[]));
    assert_eq!(
        text,
        "query 0: invalid regular expression \"api(\": unclosed group"
    );
    assert!(refusal(&block(vec![], &[9])).contains("no accepted response type is supported"));
    assert!(refusal(b"no snappy at all, at length").contains("snappy"));
    // A block that claims 4 GiB costs nothing.
    assert!(refusal(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0]).contains("allowed are"));
    let mut rng = Rng::new(5);
    let good = block(vec![query(&[Matcher::re("job", "a.*")], 0, 1 << 40)], &[STREAMED]);
    for _ in 0..2_000 {
        let mut bad = good.clone();
        let at = rng.below(bad.len() as u64) as usize;
        bad[at] ^= 1 << rng.below(8);
        bad.truncate(bad.len() - rng.below(3) as usize);
        if let Ok(request) = ReadRequest::decode(&bad, &options) {
            let (_, summary) = request.samples(&db, &options).unwrap();
            let streamed = request.stream(&db, &options, |_| ControlFlow::Continue(()));
            assert_eq!(streamed.unwrap(), summary);
        }
    }
}

#[test]
fn a_database_of_other_units_is_not_read() {
    let db = Db::open(Options::in_memory().precision(Precision::Seconds)).unwrap();
    let mut batch = db.batch();
    batch.push(&labels! { "__name__" => "up" }, 1, 1.0);
    batch.commit().unwrap();
    let error = samples(&db, vec![query(&[], 0, 9)], &ReadOptions::default()).unwrap_err();
    assert!(matches!(error, ReadError::Engine(Error::InvalidOptions(_))) && !error.is_clients());
    assert!(frames(&db, vec![query(&[], 0, 9)], &ReadOptions::default()).is_err());
}

#[test]
fn stale_markers_keep_their_bits() {
    let db = Db::open(Options::in_memory()).unwrap();
    let values = [
        narthex::stale_nan(),
        -0.0,
        f64::from_bits(0x7ff8_0000_0000_0001),
        0.0,
    ];
    let mut batch = db.batch();
    for (time, value) in values.iter().enumerate() {
        batch.push(&labels! { "__name__" => "up" }, time as i64, *value);
    }
    batch.commit().unwrap();
    let answer = samples(&db, vec![query(&[], 0, 9)], &ReadOptions::default()).unwrap();
    let found = answer.results[0].timeseries[0].samples.iter();
    let found: Vec<Value> = found.map(|sample| Value::Float(sample.value)).collect();
    assert_eq!(found, values.map(Value::Float));
}
