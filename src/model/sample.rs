//! A sample: a timestamp, a value that is a float or a native histogram, and optionally when its counter started.

use super::histogram::Histogram;
use std::sync::Arc;

/// The bits of the NaN that marks a series as ended, as Prometheus writes it.
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The value that marks a series as ended.
pub fn stale_nan() -> f64 {
    f64::from_bits(STALE_NAN_BITS)
}

/// What was measured. Two values are equal when their bits are.
#[derive(Debug, Clone)]
pub enum Value {
    /// A float, kept bit for bit (NaN payloads and -0.0 included).
    Float(f64),
    /// A native histogram.
    Histogram(Arc<Histogram>),
}

impl Value {
    /// Whether this is a stale marker, as a float or as a histogram's sum.
    pub fn is_stale(&self) -> bool {
        match self {
            Self::Float(value) => value.to_bits() == STALE_NAN_BITS,
            Self::Histogram(histogram) => histogram.sum.to_bits() == STALE_NAN_BITS,
        }
    }

    /// The float, or `None` for a histogram.
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            Self::Histogram(_) => None,
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Histogram(a), Self::Histogram(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Value {}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

/// One measurement of one series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// In the database's unit of time.
    pub timestamp: i64,
    /// What was measured.
    pub value: Value,
    /// When the counter behind the value started, 0 when unknown.
    pub start_timestamp: i64,
}
