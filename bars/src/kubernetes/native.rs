//! Observations counted in a native histogram of schema 3 (eight buckets for each power of two) with integer counts.

use narthex::{Counts, Histogram, ResetHint, STALE_NAN_BITS, Span};
use std::collections::BTreeMap;

const SCHEMA: i32 = 3;
const BUCKETS_PER_DOUBLING: f64 = 8.0;
const ZERO_THRESHOLD: f64 = 1e-128;
/// Spans further apart than this are kept apart; nearer ones are joined by empty buckets.
const GAP_MAX: i32 = 2;

/// Counts by bucket, and the sum.
#[derive(Default)]
pub(super) struct Observations {
    buckets: BTreeMap<i32, u64>,
    sum: f64,
    count: u64,
}

impl Observations {
    /// Counts a value above the zero threshold.
    pub(super) fn observe(&mut self, value: f64) {
        // Bucket i ends at 2^(i/8), that value included.
        let bucket = (value.log2() * BUCKETS_PER_DOUBLING).ceil() as i32;
        *self.buckets.entry(bucket).or_default() += 1;
        self.sum += value;
        self.count += 1;
    }

    /// What a scrape shows.
    pub(super) fn histogram(&self) -> Histogram {
        let (mut spans, mut deltas) = (Vec::<Span>::new(), Vec::new());
        let (mut next_bucket, mut last_count) = (0, 0i64);
        for (&bucket, &count) in &self.buckets {
            let gap = bucket - next_bucket;
            match spans.last_mut() {
                Some(span) if gap <= GAP_MAX => {
                    span.length += gap as u32 + 1;
                    for _ in 0..gap {
                        deltas.push(-last_count);
                        last_count = 0;
                    }
                }
                _ => spans.push(Span {
                    offset: gap,
                    length: 1,
                }),
            }
            deltas.push(count as i64 - last_count);
            last_count = count as i64;
            next_bucket = bucket + 1;
        }
        self.with_sum(self.sum, self.count, spans, deltas)
    }

    /// The end marker of the series.
    pub(super) fn stale(&self) -> Histogram {
        self.with_sum(f64::from_bits(STALE_NAN_BITS), 0, Vec::new(), Vec::new())
    }

    fn with_sum(&self, sum: f64, count: u64, positive_spans: Vec<Span>, positive: Vec<i64>) -> Histogram {
        let stale = sum.to_bits() == STALE_NAN_BITS;
        Histogram {
            reset_hint: ResetHint::Unknown,
            schema: if stale { 0 } else { SCHEMA },
            zero_threshold: if stale { 0.0 } else { ZERO_THRESHOLD },
            sum,
            positive_spans,
            negative_spans: Vec::new(),
            custom_values: Vec::new(),
            counts: Counts::Int {
                count,
                zero_count: 0,
                positive,
                negative: Vec::new(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_deltas_are_those_of_the_counts() {
        let mut observations = Observations::default();
        // Buckets 0, 0, 1, 4 (joined over two empty ones), 80 (a span of its own).
        for value in [1.0, 1.0, 1.05, 1.4, 1024.0] {
            observations.observe(value);
        }
        let histogram = observations.histogram();
        let spans: Vec<_> = histogram
            .positive_spans
            .iter()
            .map(|span| (span.offset, span.length))
            .collect();
        assert_eq!(spans, [(0, 5), (75, 1)]);
        let Counts::Int { count, positive, .. } = histogram.counts else {
            unreachable!()
        };
        assert_eq!((count, positive), (5, vec![2, -1, -1, 0, 1, 0]));
        assert!(observations.stale().is_stale());
    }
}
