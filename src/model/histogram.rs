//! Native histograms: integer or float counts, exponential or custom buckets.
//!
//! The form is the one of remote write and of Prometheus' chunks: bucket counts are dense within spans, integer
//! counts of buckets are deltas to the bucket before, float counts are absolute.

/// Schema of a histogram with custom bucket boundaries.
pub(crate) const CUSTOM_BUCKETS_SCHEMA: i32 = -53;
/// Smallest and largest exponential schema that is stored.
pub(crate) const EXPONENTIAL_SCHEMA_MIN: i32 = -4;
pub(crate) const EXPONENTIAL_SCHEMA_MAX: i32 = 8;

/// A run of consecutive buckets: how far behind the run before it starts, and how many buckets it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    /// Gap to the end of the span before, or the index of the first bucket.
    pub offset: i32,
    /// Number of buckets.
    pub length: u32,
}

/// What is known about a counter reset between the sample before and this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum ResetHint {
    /// Not known; compare the counts.
    #[default]
    Unknown = 0,
    /// There was a reset.
    Reset = 1,
    /// There was none.
    NotReset = 2,
    /// A gauge histogram; resets have no meaning.
    Gauge = 3,
}

impl ResetHint {
    /// The hint with this number.
    pub fn from_u8(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Unknown,
            1 => Self::Reset,
            2 => Self::NotReset,
            3 => Self::Gauge,
            _ => return None,
        })
    }
}

/// The counts of a histogram.
#[derive(Debug, Clone)]
pub enum Counts {
    /// Integer counts; buckets as deltas to the bucket before.
    Int {
        /// Number of observations.
        count: u64,
        /// Observations in the zero bucket.
        zero_count: u64,
        /// Deltas of the positive buckets.
        positive: Vec<i64>,
        /// Deltas of the negative buckets.
        negative: Vec<i64>,
    },
    /// Float counts; buckets absolute.
    Float {
        /// Number of observations.
        count: f64,
        /// Observations in the zero bucket.
        zero_count: f64,
        /// Counts of the positive buckets.
        positive: Vec<f64>,
        /// Counts of the negative buckets.
        negative: Vec<f64>,
    },
}

/// A native histogram sample. Two histograms are equal when all their bits are, the reset hint aside.
#[derive(Debug, Clone)]
pub struct Histogram {
    /// What is known about a reset before this sample.
    pub reset_hint: ResetHint,
    /// Resolution: -4 to 8, or -53 for custom buckets.
    pub schema: i32,
    /// Width of the zero bucket.
    pub zero_threshold: f64,
    /// Sum of the observations.
    pub sum: f64,
    /// Where the positive (or custom) buckets are.
    pub positive_spans: Vec<Span>,
    /// Where the negative buckets are.
    pub negative_spans: Vec<Span>,
    /// Upper boundaries of custom buckets, without the last (+Inf).
    pub custom_values: Vec<f64>,
    /// The counts.
    pub counts: Counts,
}

/// Why a histogram is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid native histogram: {0}")]
pub struct HistogramError(pub &'static str);

fn same_bits(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.to_bits() == y.to_bits())
}

impl PartialEq for Counts {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Int {
                    count,
                    zero_count,
                    positive,
                    negative,
                },
                Self::Int {
                    count: c,
                    zero_count: z,
                    positive: p,
                    negative: n,
                },
            ) => count == c && zero_count == z && positive == p && negative == n,
            (
                Self::Float {
                    count,
                    zero_count,
                    positive,
                    negative,
                },
                Self::Float {
                    count: c,
                    zero_count: z,
                    positive: p,
                    negative: n,
                },
            ) => {
                count.to_bits() == c.to_bits()
                    && zero_count.to_bits() == z.to_bits()
                    && same_bits(positive, p)
                    && same_bits(negative, n)
            }
            _ => false,
        }
    }
}

impl PartialEq for Histogram {
    fn eq(&self, other: &Self) -> bool {
        self.schema == other.schema
            && self.zero_threshold.to_bits() == other.zero_threshold.to_bits()
            && self.sum.to_bits() == other.sum.to_bits()
            && self.positive_spans == other.positive_spans
            && self.negative_spans == other.negative_spans
            && same_bits(&self.custom_values, &other.custom_values)
            && self.counts == other.counts
            && (self.reset_hint == ResetHint::Gauge) == (other.reset_hint == ResetHint::Gauge)
    }
}

impl Eq for Histogram {}

impl Histogram {
    /// Buckets and boundaries that are written down.
    #[cfg(feature = "server")]
    pub(crate) fn bucket_count(&self) -> usize {
        let buckets = match &self.counts {
            Counts::Int {
                positive, negative, ..
            } => positive.len() + negative.len(),
            Counts::Float {
                positive, negative, ..
            } => positive.len() + negative.len(),
        };
        buckets + self.custom_values.len()
    }

    /// Whether the counts are floats.
    pub fn is_float(&self) -> bool {
        matches!(self.counts, Counts::Float { .. })
    }

    /// Whether the sum is the stale marker.
    pub fn is_stale(&self) -> bool {
        self.sum.to_bits() == super::sample::STALE_NAN_BITS
    }

    /// Whether both say the same: all bits are equal, empty buckets aside, which a chunk may add, or both are stale
    /// markers, of which a chunk keeps no more than that.
    pub fn is_same(&self, other: &Self) -> bool {
        if self.is_stale() && other.is_stale() {
            return true;
        }
        if self == other {
            return true;
        }
        let frames = |one: &Self| Self {
            positive_spans: Vec::new(),
            negative_spans: Vec::new(),
            counts: one.counts.without_buckets(),
            ..one.clone()
        };
        let mine = self.counts.filled(&self.positive_spans, &self.negative_spans);
        frames(self) == frames(other)
            && mine == other.counts.filled(&other.positive_spans, &other.negative_spans)
    }
}

/// Index and count of the buckets that are not empty, positive before negative; counts as bits.
type Filled = [Vec<(i64, u64)>; 2];

impl Counts {
    fn without_buckets(&self) -> Self {
        match *self {
            Self::Int {
                count, zero_count, ..
            } => Self::Int {
                count,
                zero_count,
                positive: Vec::new(),
                negative: Vec::new(),
            },
            Self::Float {
                count, zero_count, ..
            } => Self::Float {
                count,
                zero_count,
                positive: Vec::new(),
                negative: Vec::new(),
            },
        }
    }

    fn filled(&self, positive_spans: &[Span], negative_spans: &[Span]) -> Filled {
        let absolute = |deltas: &[i64]| -> Vec<u64> {
            let sums = deltas.iter().scan(0i64, |sum, delta| {
                *sum = sum.wrapping_add(*delta);
                Some(*sum as u64)
            });
            sums.collect()
        };
        let bits = |counts: &[f64]| -> Vec<u64> { counts.iter().map(|count| count.to_bits()).collect() };
        let (positive, negative) = match self {
            Self::Int {
                positive, negative, ..
            } => (absolute(positive), absolute(negative)),
            Self::Float {
                positive, negative, ..
            } => (bits(positive), bits(negative)),
        };
        [(positive_spans, positive), (negative_spans, negative)].map(|(spans, counts)| {
            let mut end = 0i64;
            let indexes = spans.iter().flat_map(|span| {
                let start = end + i64::from(span.offset);
                end = start + i64::from(span.length);
                start..end
            });
            indexes.zip(counts).filter(|bucket| bucket.1 != 0).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(spans: &[(i32, u32)], positive: &[i64]) -> Histogram {
        Histogram {
            reset_hint: ResetHint::Unknown,
            schema: 0,
            zero_threshold: 0.0,
            sum: 1.0,
            positive_spans: spans
                .iter()
                .map(|&(offset, length)| Span { offset, length })
                .collect(),
            negative_spans: Vec::new(),
            custom_values: Vec::new(),
            counts: Counts::Int {
                count: 5,
                zero_count: 0,
                positive: positive.to_vec(),
                negative: Vec::new(),
            },
        }
    }

    #[test]
    fn empty_buckets_say_nothing() {
        let plain = histogram(&[(1, 1), (2, 1)], &[2, 1]);
        let padded = histogram(&[(0, 5)], &[0, 2, -2, 0, 3]);
        assert_ne!(plain, padded);
        assert!(plain.is_same(&padded));
        assert!(!plain.is_same(&histogram(&[(1, 1), (3, 1)], &[2, 1])));
        let stale = |mut histogram: Histogram| {
            histogram.sum = super::super::sample::stale_nan();
            histogram
        };
        assert!(stale(plain.clone()).is_same(&stale(histogram(&[], &[]))));
        assert!(!stale(plain.clone()).is_same(&plain));
    }
}
