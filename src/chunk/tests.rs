//! Property tests of the XOR chunk, and of both kinds of histogram chunk.

use super::cell::Kind;
use super::golden::assert_same;
use super::histogram::{Appended, HistogramAppender, first_header};
use super::histogram_iter::HistogramIter;
use super::xor::{Seam, XorAppender, XorIter, decode_into, last_timestamp};
use crate::base::xor_window::Window;
use crate::model::histogram::{Counts, Histogram, ResetHint, Span};
use crate::model::sample::stale_nan;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn value_bits() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => (0i32..50).prop_map(|n| f64::from(n).to_bits()),
        2 => any::<f64>().prop_map(f64::to_bits),
        1 => any::<u64>(),
        1 => prop_oneof![
            Just(0x7ff0_0000_0000_0002u64),
            Just((-0.0f64).to_bits()),
            Just(f64::INFINITY.to_bits()),
            Just(f64::NEG_INFINITY.to_bits()),
            Just(u64::MAX),
        ],
    ]
}

fn steps() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => Just(15_000i64),
        3 => -10i64..10,
        2 => -600_000i64..600_000,
        1 => any::<i64>(),
    ]
}

fn samples() -> impl Strategy<Value = Vec<(i64, u64)>> {
    (
        any::<i64>(),
        proptest::collection::vec((steps(), value_bits()), 0..150),
    )
        .prop_map(|(start, rest)| {
            let mut timestamp = start;
            rest.into_iter()
                .map(|(step, value)| {
                    timestamp = timestamp.wrapping_add(step);
                    (timestamp, value)
                })
                .collect()
        })
}

fn xor_chunk(samples: &[(i64, u64)]) -> XorAppender {
    let mut appender = XorAppender::new();
    for &(timestamp, value) in samples {
        appender.append(timestamp, value);
    }
    appender
}

proptest! {
    #[test]
    fn a_cleared_appender_is_as_a_new_one(before in samples(), after in samples()) {
        let mut reused = xor_chunk(&before);
        reused.clear();
        for &(timestamp, value) in &after {
            reused.append(timestamp, value);
        }
        let expected = xor_chunk(&after).to_bytes();
        prop_assert_eq!(&reused.to_bytes(), &expected);
        if !after.is_empty() {
            prop_assert_eq!(reused.complete(), &*expected);
        }
    }

    #[test]
    fn xor_round_trip(samples in samples(), cut in 0usize..150) {
        let appender = xor_chunk(&samples);
        prop_assert_eq!(usize::from(appender.count()), samples.len());
        let read: Result<Vec<_>, _> = XorIter::new(&appender.to_bytes()).unwrap().collect();
        prop_assert_eq!(&read.unwrap(), &samples);
        let (mut timestamps, mut values) = (Vec::new(), Vec::new());
        decode_into(&appender.to_bytes(), &mut timestamps, &mut values).unwrap();
        prop_assert_eq!(timestamps.into_iter().zip(values).collect::<Vec<_>>(), samples.clone());
        prop_assert_eq!(last_timestamp(&appender.to_bytes()).unwrap(), samples.last().map(|s| s.0));

        let cut = cut.min(samples.len());
        let first = xor_chunk(&samples[..cut]);
        let mut resumed = match cut {
            0 => first,
            _ => XorAppender::resume(&first.to_bytes(), first.last(), first.seam()).unwrap(),
        };
        for &(timestamp, value) in &samples[cut..] {
            resumed.append(timestamp, value);
        }
        prop_assert_eq!(resumed.to_bytes(), appender.to_bytes());
        prop_assert_eq!(&resumed.to_shared()[..], &appender.to_bytes()[..]);
        prop_assert_eq!(resumed.last(), appender.last());
    }

    #[test]
    fn xor_survives_any_bytes(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        delta in any::<u64>(),
        window in any::<[u8; 2]>(),
        free in 0u8..10,
        more in samples(),
    ) {
        let _ = decode_into(&bytes, &mut Vec::new(), &mut Vec::new());
        let seam = Window::from_parts(window).map(|window| Seam { delta, window, free });
        if let Some(Ok(mut chunk)) = seam.map(|seam| XorAppender::resume(&bytes, (0, 0), seam)) {
            let room = usize::from(u16::MAX - chunk.count());
            more.iter().take(room).for_each(|sample| chunk.append(sample.0, sample.1));
            let _ = chunk.decode_into(&mut Vec::new(), &mut Vec::new());
        }
    }

    #[test]
    fn xor_notices_missing_bytes(samples in samples(), keep in 0usize..1000) {
        let bytes = xor_chunk(&samples).to_bytes();
        if keep < bytes.len() && !samples.is_empty() {
            prop_assert!(decode_into(&bytes[..keep], &mut Vec::new(), &mut Vec::new()).is_err());
        }
    }
}

#[test]
fn an_open_chunk_is_small() {
    assert!(size_of::<XorAppender>() <= 56);
    assert_eq!(XorAppender::new().to_bytes(), [0, 0]);
}

/// A histogram whose positive buckets are these, with a bucket for every index that is named.
fn histogram(kind: Kind, buckets: &BTreeMap<i32, u32>) -> Histogram {
    let mut spans: Vec<Span> = Vec::new();
    let mut end = 0;
    for &index in buckets.keys() {
        match spans.last_mut() {
            Some(span) if index == end => span.length += 1,
            _ => spans.push(Span {
                offset: index - end,
                length: 1,
            }),
        }
        end = index + 1;
    }
    let total: u64 = buckets.values().map(|&count| u64::from(count)).sum();
    let mut before = 0;
    let counts = match kind {
        Kind::Int => Counts::Int {
            count: total,
            zero_count: 0,
            positive: buckets
                .values()
                .map(|&count| i64::from(count) - std::mem::replace(&mut before, i64::from(count)))
                .collect(),
            negative: Vec::new(),
        },
        Kind::Float => Counts::Float {
            count: total as f64,
            zero_count: 0.0,
            positive: buckets.values().map(|&count| f64::from(count)).collect(),
            negative: Vec::new(),
        },
    };
    Histogram {
        reset_hint: ResetHint::Unknown,
        schema: 2,
        zero_threshold: 0.0,
        sum: total as f64 / 3.0,
        positive_spans: spans,
        negative_spans: Vec::new(),
        custom_values: Vec::new(),
        counts,
    }
}

/// Histograms with few buckets among few indexes, so that buckets come, go and fall.
fn histograms() -> impl Strategy<Value = (Kind, Vec<Histogram>)> {
    let buckets = proptest::collection::btree_map(-6i32..12, 0u32..4, 0..9);
    let sample = (buckets, 0u8..20, 0u8..3);
    let kind = prop_oneof![Just(Kind::Int), Just(Kind::Float)];
    (kind, proptest::collection::vec(sample, 1..60), any::<bool>()).prop_map(|(kind, samples, gauge)| {
        let mut total: BTreeMap<i32, u32> = BTreeMap::new();
        let histograms = samples.into_iter().map(|(buckets, dice, drop)| {
            for (&index, &count) in &buckets {
                *total.entry(index).or_default() += count;
            }
            // Empty buckets may be omitted, as senders do.
            let mut sent = total.clone();
            sent.retain(|index, count| *count > 0 || index.rem_euclid(3) != i32::from(drop));
            if dice == 0 {
                sent = buckets;
            }
            let mut histogram = histogram(kind, &sent);
            if gauge && dice < 18 {
                histogram.reset_hint = ResetHint::Gauge;
            }
            if dice == 19 {
                histogram.sum = stale_nan();
            }
            histogram
        });
        let histograms = histograms.collect();
        (kind, histograms)
    })
}

/// The chunks of the histograms, one every second.
fn histogram_chunks(histograms: &[Histogram]) -> Vec<HistogramAppender> {
    let mut chunks: Vec<HistogramAppender> = Vec::new();
    for (timestamp, histogram) in (0..).step_by(1000).zip(histograms) {
        let appended = match chunks.last_mut() {
            Some(chunk) => chunk.append(timestamp, histogram),
            None => Appended::NewChunk(first_header(histogram)),
        };
        if let Appended::NewChunk(header) = appended {
            chunks.push(HistogramAppender::new(timestamp, histogram, header));
        }
    }
    chunks
}

proptest! {
    #[test]
    fn histogram_round_trip((kind, histograms) in histograms()) {
        let chunks = histogram_chunks(&histograms);
        let read: Vec<_> = chunks
            .iter()
            .flat_map(|chunk| HistogramIter::new(chunk.bytes(), kind).unwrap())
            .map(Result::unwrap)
            .collect();
        prop_assert_eq!(read.len(), histograms.len());
        for (index, ((timestamp, read), histogram)) in read.iter().zip(&histograms).enumerate() {
            prop_assert_eq!(*timestamp, index as i64 * 1000);
            assert_same(read, histogram);
        }
        for chunk in &chunks {
            let resumed = HistogramAppender::resume(chunk.bytes(), kind).unwrap();
            prop_assert_eq!(resumed.bytes(), chunk.bytes());
            prop_assert_eq!(resumed.last(), chunk.last());
        }
    }

    #[test]
    fn histogram_chunks_survive_any_bytes(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        (kind, histograms) in histograms(),
    ) {
        for kind in [Kind::Int, Kind::Float] {
            let _ = HistogramAppender::resume(&bytes, kind);
        }
        // A damaged chunk that still reads may be continued, and its bytes must then read back.
        let mut damaged = histogram_chunks(&histograms).remove(0).into_bytes().into_vec();
        let at = bytes.len() % damaged.len();
        damaged[at] ^= bytes.first().copied().unwrap_or(1);
        if let Ok(mut chunk) = HistogramAppender::resume(&damaged, kind) {
            for (timestamp, histogram) in (0..).zip(&histograms) {
                let _ = chunk.append(timestamp, histogram);
            }
            prop_assert!(HistogramAppender::resume(chunk.bytes(), kind).is_ok());
        }
    }

    #[test]
    fn histogram_chunks_notice_missing_bytes((kind, histograms) in histograms(), keep in 0usize..1000) {
        let bytes = histogram_chunks(&histograms).remove(0).into_bytes();
        if keep < bytes.len() {
            prop_assert!(HistogramAppender::resume(&bytes[..keep], kind).is_err());
        }
    }
}

#[test]
fn new_and_omitted_buckets_at_once_keep_their_places() {
    let wide = BTreeMap::from([(0, 1), (1, 0), (2, 0), (3, 0), (4, 5)]);
    let other = BTreeMap::from([(0, 1), (4, 6), (9, 1)]);
    for kind in [Kind::Int, Kind::Float] {
        let samples = [histogram(kind, &wide), histogram(kind, &other)];
        let chunks = histogram_chunks(&samples);
        assert_eq!(chunks.len(), 1);
        let read = HistogramIter::new(chunks[0].bytes(), kind).unwrap();
        for (sample, histogram) in read.zip(&samples) {
            let read = sample.unwrap().1;
            assert_same(&read, histogram);
            assert_eq!(
                read.positive_spans,
                [Span { offset: 0, length: 5 }, Span { offset: 4, length: 1 }]
            );
        }
    }
}
