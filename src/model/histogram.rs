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
    /// Whether the counts are floats.
    pub fn is_float(&self) -> bool {
        matches!(self.counts, Counts::Float { .. })
    }

    /// Whether the sum is the stale marker.
    pub fn is_stale(&self) -> bool {
        self.sum.to_bits() == super::sample::STALE_NAN_BITS
    }
}
