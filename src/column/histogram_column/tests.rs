//! Round trips of whole series, and sizes beside the chunks of Prometheus.

use super::{count, decode, encode};
use crate::model::golden::{Input, cases};
use crate::model::histogram::{CUSTOM_BUCKETS_SCHEMA, Counts, Histogram, ResetHint, Span};
use crate::model::sample::stale_nan;
use proptest::prelude::*;

/// How often samples of a series take after the one before, and what they may be.
#[derive(Debug, Clone)]
struct Step {
    dice: u8,
    buckets: Vec<(i32, u32)>,
    time: i64,
    sum: f64,
    wild: u64,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let buckets = proptest::collection::vec((-6i32..12, 0u32..5), 0..8);
    let time = prop_oneof![5 => Just(15_000i64), 2 => 14_990i64..15_010, 1 => any::<i64>()];
    let sum = prop_oneof![4 => (0i64..10_000).prop_map(|n| n as f64 / 100.0), 1 => any::<f64>()];
    let step = (any::<u8>(), buckets, time, sum, any::<u64>());
    let step = step.prop_map(|(dice, buckets, time, sum, wild)| Step {
        dice,
        buckets,
        time,
        sum,
        wild,
    });
    proptest::collection::vec(step, 0..60)
}

/// A histogram of positive and negative buckets with these counts.
fn histogram(float: bool, counts: &[u32], offset: i32, hint: ResetHint) -> Histogram {
    let (positive, negative) = counts.split_at(counts.len() * 2 / 3);
    let spans = |buckets: &[u32]| match buckets.len() as u32 {
        0 => vec![],
        1 => vec![Span { offset, length: 1 }],
        length => vec![
            Span { offset, length: 1 },
            Span {
                offset: 2,
                length: length - 1,
            },
        ],
    };
    let deltas = |buckets: &[u32]| {
        let mut before = 0;
        let delta = |&count: &u32| i64::from(count) - std::mem::replace(&mut before, i64::from(count));
        buckets.iter().map(delta).collect()
    };
    let floats = |buckets: &[u32]| buckets.iter().map(|&count| f64::from(count) / 4.0).collect();
    let total: u64 = counts.iter().map(|&count| u64::from(count)).sum();
    Histogram {
        reset_hint: hint,
        schema: 3,
        zero_threshold: 2f64.powi(-128),
        sum: 0.0,
        positive_spans: spans(positive),
        negative_spans: spans(negative),
        custom_values: Vec::new(),
        counts: if float {
            Counts::Float {
                count: total as f64 / 4.0,
                zero_count: 0.0,
                positive: floats(positive),
                negative: floats(negative),
            }
        } else {
            Counts::Int {
                count: total,
                zero_count: 0,
                positive: deltas(positive),
                negative: deltas(negative),
            }
        },
    }
}

fn change_wildly(histogram: &mut Histogram, step: &Step) {
    let wild = f64::from_bits(step.wild);
    match step.dice % 9 {
        0 => histogram.schema = step.wild as i32,
        1 => histogram.zero_threshold = wild,
        2 => histogram.sum = wild,
        3 => match &mut histogram.counts {
            Counts::Int { count, .. } => *count = step.wild,
            Counts::Float { count, .. } => *count = wild,
        },
        4 => match &mut histogram.counts {
            Counts::Int { positive, .. } => positive.iter_mut().for_each(|delta| *delta = step.wild as i64),
            Counts::Float { positive, .. } => positive.iter_mut().for_each(|bucket| *bucket = wild),
        },
        5 => {
            histogram.positive_spans.insert(
                0,
                Span {
                    offset: -3,
                    length: 0,
                },
            );
            histogram.negative_spans.push(Span { offset: 0, length: 0 });
        }
        6 => histogram
            .positive_spans
            .iter_mut()
            .for_each(|span| span.offset = 0),
        7 => {
            histogram.schema = CUSTOM_BUCKETS_SCHEMA;
            histogram.custom_values = vec![-0.0, 0.005, 0.1, 0.25, step.sum, wild];
        }
        _ => {
            *histogram = self::histogram(histogram.is_float(), &[], 0, histogram.reset_hint);
            histogram.schema = 0;
            histogram.zero_threshold = 0.0;
            histogram.sum = stale_nan();
        }
    }
}

fn series(steps: &[Step], float: bool, gauge: bool) -> Vec<(i64, Histogram)> {
    let mut counts = [0u32; 18];
    let mut timestamp = 1_700_000_000_000i64;
    let samples = steps.iter().map(|step| {
        timestamp = timestamp.wrapping_add(step.time);
        for &(index, count) in &step.buckets {
            counts[(index + 6) as usize] += count;
        }
        if step.dice < 10 || gauge {
            counts
                .iter_mut()
                .for_each(|count| *count = step.wild as u32 % (*count + 1));
        }
        let width = 18 - usize::from(step.dice > 230) * 5;
        let hint = match step.dice % 32 {
            _ if gauge => ResetHint::Gauge,
            7 => ResetHint::Reset,
            8 => ResetHint::NotReset,
            9 => ResetHint::Gauge,
            _ => ResetHint::Unknown,
        };
        let offset = i32::from(step.dice == 99);
        let mut histogram = histogram(float != (step.dice == 98), &counts[..width], offset, hint);
        histogram.sum = step.sum;
        if (100..130).contains(&step.dice) {
            change_wildly(&mut histogram, step);
        }
        (timestamp, histogram)
    });
    samples.collect()
}

fn encoded(samples: &[(i64, Histogram)]) -> Vec<u8> {
    let mut out = Vec::new();
    encode(samples, &mut out);
    out
}

proptest! {
    #[test]
    fn round_trip(steps in steps(), float: bool, gauge: bool) {
        let samples = series(&steps, float, gauge);
        let read = decode(&encoded(&samples)).unwrap();
        prop_assert_eq!(count(&encoded(&samples)).unwrap(), samples.len() as u64);
        prop_assert_eq!(&read, &samples);
        for ((_, read), (_, sample)) in read.iter().zip(&samples) {
            let kept = match sample.reset_hint {
                ResetHint::NotReset => ResetHint::Unknown,
                kept => kept,
            };
            prop_assert_eq!(read.reset_hint, kept);
        }
    }

    #[test]
    fn damage_is_survived(steps in steps(), float: bool, at: usize, bits: u8, keep: usize) {
        let mut bytes = encoded(&series(&steps, float, false));
        let at = at % bytes.len();
        bytes[at] ^= bits;
        let _ = (decode(&bytes), count(&bytes));
        bytes.truncate(keep % bytes.len());
        let _ = decode(&bytes);
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn missing_bytes_are_noticed(steps in steps(), float: bool, keep: usize) {
        let bytes = encoded(&series(&steps, float, false));
        prop_assert!(decode(&bytes[..keep % bytes.len()]).is_err());
    }
}

#[test]
fn series_are_smaller_than_the_chunks_of_prometheus() {
    for case in cases() {
        let samples: Option<Vec<(i64, Histogram)>> = case
            .inputs
            .iter()
            .map(|input| match input {
                Input::Float(..) => None,
                Input::Histogram(timestamp, histogram) => {
                    Some((*timestamp, histogram.clone().with_canonical_spans()))
                }
            })
            .collect();
        let Some(samples) = samples else {
            continue;
        };
        let bytes = encoded(&samples);
        assert_eq!(decode(&bytes).unwrap(), samples, "{}", case.name);
        let theirs: usize = case.chunks.iter().map(|chunk| chunk.bytes.len()).sum();
        assert!(
            bytes.len() <= theirs,
            "{}: {} bytes and {theirs}",
            case.name,
            bytes.len()
        );
    }
}
