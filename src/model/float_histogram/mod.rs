//! The histogram that queries compute with: a native histogram with float counts, whose operations do to every bit what
//! those of Prometheus do.
//!
//! Empty buckets are kept until [`FloatHistogram::compact`]: for some questions it matters that they exist.

mod arithmetic;
mod bounds;
mod buckets;
mod iterate;
mod reset;
mod sum;
mod text;
mod trim;

pub use buckets::Buckets;
pub(crate) use iterate::Bucket;
pub(crate) use sum::{HistogramMean, HistogramSum, Unmixable};
pub(crate) use trim::Keep;

use super::histogram::{CUSTOM_BUCKETS_SCHEMA, Counts, Histogram, ResetHint};
use std::sync::Arc;

/// A native histogram with float counts. Two are equal when all their bits are, reset hints aside.
#[derive(Debug, Clone)]
pub struct FloatHistogram {
    /// What is known about a reset before this sample.
    pub reset_hint: ResetHint,
    /// Resolution: -4 to 8, or -53 for custom buckets.
    pub schema: i32,
    /// Width of the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// Number of observations.
    pub count: f64,
    /// Sum of the observations.
    pub sum: f64,
    /// The positive (or custom) buckets.
    pub positive: Buckets,
    /// The negative buckets; the index grows away from zero.
    pub negative: Buckets,
    /// Upper boundaries of custom buckets, without the last (+Inf).
    pub custom_values: Arc<[f64]>,
}

impl Default for FloatHistogram {
    fn default() -> Self {
        Self {
            reset_hint: ResetHint::Unknown,
            schema: 0,
            zero_threshold: 0.0,
            zero_count: 0.0,
            count: 0.0,
            sum: 0.0,
            positive: Buckets::default(),
            negative: Buckets::default(),
            custom_values: Arc::new([]),
        }
    }
}

impl From<&Histogram> for FloatHistogram {
    fn from(histogram: &Histogram) -> Self {
        let absolute = |deltas: &[i64]| -> Vec<f64> {
            let counts = deltas.iter().scan(0i64, |count, delta| {
                *count = count.wrapping_add(*delta);
                Some(*count as f64)
            });
            counts.collect()
        };
        let (count, zero_count, positive, negative) = match &histogram.counts {
            Counts::Int {
                count,
                zero_count,
                positive,
                negative,
            } => (
                *count as f64,
                *zero_count as f64,
                absolute(positive),
                absolute(negative),
            ),
            Counts::Float {
                count,
                zero_count,
                positive,
                negative,
            } => (*count, *zero_count, positive.clone(), negative.clone()),
        };
        Self {
            reset_hint: histogram.reset_hint,
            schema: histogram.schema,
            zero_threshold: histogram.zero_threshold,
            zero_count,
            count,
            sum: histogram.sum,
            positive: Buckets::new(&histogram.positive_spans, positive),
            negative: Buckets::new(&histogram.negative_spans, negative),
            custom_values: histogram.custom_values.as_slice().into(),
        }
    }
}

impl From<&FloatHistogram> for Histogram {
    fn from(histogram: &FloatHistogram) -> Self {
        Self {
            reset_hint: histogram.reset_hint,
            schema: histogram.schema,
            zero_threshold: histogram.zero_threshold,
            sum: histogram.sum,
            positive_spans: histogram.positive.spans().to_vec(),
            negative_spans: histogram.negative.spans().to_vec(),
            custom_values: histogram.custom_values.to_vec(),
            counts: Counts::Float {
                count: histogram.count,
                zero_count: histogram.zero_count,
                positive: histogram.positive.counts().to_vec(),
                negative: histogram.negative.counts().to_vec(),
            },
        }
    }
}

fn same_bits(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.to_bits() == y.to_bits())
}

impl PartialEq for FloatHistogram {
    fn eq(&self, other: &Self) -> bool {
        let same_buckets =
            |a: &Buckets, b: &Buckets| a.spans() == b.spans() && same_bits(a.counts(), b.counts());
        self.schema == other.schema
            && same_bits(
                &[self.count, self.sum, self.zero_count],
                &[other.count, other.sum, other.zero_count],
            )
            && self.zero_threshold == other.zero_threshold
            && (!self.has_custom_buckets() || self.custom_values == other.custom_values)
            && same_buckets(&self.positive, &other.positive)
            && same_buckets(&self.negative, &other.negative)
    }
}

impl FloatHistogram {
    /// Whether the buckets have boundaries of their own.
    pub fn has_custom_buckets(&self) -> bool {
        self.schema == CUSTOM_BUCKETS_SCHEMA
    }

    /// Whether the sum is the stale marker.
    pub fn is_stale(&self) -> bool {
        self.sum.to_bits() == super::sample::STALE_NAN_BITS
    }

    /// Removes empty buckets.
    pub(crate) fn compact(&mut self) {
        for buckets in [&mut self.positive, &mut self.negative] {
            if buckets.counts().contains(&0.0) {
                *buckets = buckets.without(|count| count == 0.0);
            }
        }
    }

    fn for_each_number(&mut self, change: impl Fn(&mut f64)) {
        let buckets = self
            .positive
            .counts_mut()
            .iter_mut()
            .chain(self.negative.counts_mut());
        [&mut self.zero_count, &mut self.count, &mut self.sum]
            .into_iter()
            .chain(buckets)
            .for_each(change);
    }
}
