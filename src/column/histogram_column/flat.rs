//! A histogram's counts as 64-bit words: integers as they are, floats as their bits or as decimal mantissas.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use crate::model::histogram::{Counts, Histogram};

/// Largest power of ten that is tried to make integers of floats.
pub(super) const EXPONENT_MAX: u32 = 9;
/// Integers up to here are exact in an `f64`.
const MANTISSA_MAX: f64 = 9_007_199_254_740_992.0;

/// Counts of one histogram. Integer buckets are absolute, unlike in the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flat {
    pub(super) count: u64,
    pub(super) zero_count: u64,
    /// Positive buckets, then negative ones.
    pub(super) buckets: Vec<u64>,
}

impl Flat {
    pub(super) fn of(histogram: &Histogram) -> Self {
        match &histogram.counts {
            Counts::Int {
                count,
                zero_count,
                positive,
                negative,
            } => Self {
                count: *count,
                zero_count: *zero_count,
                buckets: absolute(positive).chain(absolute(negative)).collect(),
            },
            Counts::Float {
                count,
                zero_count,
                positive,
                negative,
            } => Self {
                count: count.to_bits(),
                zero_count: zero_count.to_bits(),
                buckets: positive
                    .iter()
                    .chain(negative)
                    .map(|bucket| bucket.to_bits())
                    .collect(),
            },
        }
    }

    /// The counts, of which the first `positives` buckets are positive ones.
    pub(super) fn counts(&self, float: bool, positives: usize) -> Counts {
        let (positive, negative) = self.buckets.split_at_checked(positives).unwrap_or_default();
        if float {
            let floats = |words: &[u64]| words.iter().map(|&word| f64::from_bits(word)).collect();
            Counts::Float {
                count: f64::from_bits(self.count),
                zero_count: f64::from_bits(self.zero_count),
                positive: floats(positive),
                negative: floats(negative),
            }
        } else {
            Counts::Int {
                count: self.count,
                zero_count: self.zero_count,
                positive: relative(positive),
                negative: relative(negative),
            }
        }
    }

    /// All words: count, zero count, buckets.
    pub(super) fn words(&self) -> impl Iterator<Item = u64> + '_ {
        [self.count, self.zero_count]
            .into_iter()
            .chain(self.buckets.iter().copied())
    }

    /// The same with another word for each.
    pub(super) fn map(&self, change: impl Fn(u64) -> u64) -> Self {
        Self {
            count: change(self.count),
            zero_count: change(self.zero_count),
            buckets: self.buckets.iter().map(|&word| change(word)).collect(),
        }
    }
}

fn absolute(deltas: &[i64]) -> impl Iterator<Item = u64> + '_ {
    deltas.iter().scan(0u64, |count, &delta| {
        *count = count.wrapping_add(delta as u64);
        Some(*count)
    })
}

fn relative(counts: &[u64]) -> Vec<i64> {
    let mut before = 0u64;
    let deltas = counts.iter().map(|&count| {
        let delta = count.wrapping_sub(before) as i64;
        before = count;
        delta
    });
    deltas.collect()
}

/// The smallest power of ten that makes all floats integers, exactly and reversibly.
pub(super) fn common_exponent(floats: impl Iterator<Item = u64>) -> Option<u32> {
    let mut exponent = 0;
    for bits in floats {
        while mantissa(bits, exponent).is_none() {
            exponent += 1;
            if exponent > EXPONENT_MAX {
                return None;
            }
        }
    }
    // A larger exponent than a value needs must be reversible for it as well; the caller's values decide.
    Some(exponent)
}

/// `bits` as an integer of 10^-exponent, when that gives back the same bits.
pub(super) fn mantissa(bits: u64, exponent: u32) -> Option<u64> {
    let scaled = (f64::from_bits(bits) * power_of_ten(exponent)).round();
    if scaled.is_nan() || scaled.abs() > MANTISSA_MAX {
        return None;
    }
    let mantissa = scaled as i64 as u64;
    (float_bits(mantissa, exponent) == bits).then_some(mantissa)
}

/// The float of a mantissa.
pub(super) fn float_bits(mantissa: u64, exponent: u32) -> u64 {
    (mantissa as i64 as f64 / power_of_ten(exponent)).to_bits()
}

fn power_of_ten(exponent: u32) -> f64 {
    10u64.pow(exponent.min(EXPONENT_MAX)) as f64
}
