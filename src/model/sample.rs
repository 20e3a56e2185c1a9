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

    /// Whether this is the larger number. A number is larger than what is none, a NaN or a histogram, so that the largest of
    /// several is the same in whatever order merges compare them.
    pub(crate) fn is_larger_than(&self, other: &Self) -> bool {
        let number = |value: &Self| value.as_float().filter(|float| !float.is_nan());
        match (number(self), number(other)) {
            (Some(one), Some(other)) => one > other,
            (one, other) => one.is_some() && other.is_none(),
        }
    }

    /// Whether this is a native histogram.
    pub(crate) fn is_histogram(&self) -> bool {
        matches!(self, Self::Histogram(_))
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

/// How a sample stands against what is below it: against older samples of its series at its timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub(crate) enum Class {
    /// Stays below: what was written first is kept.
    #[default]
    Ordinary = 0,
    /// Takes the place, whatever is there.
    Correction = 1,
    /// Takes the place if it is the larger number.
    Maximum = 2,
}

impl Class {
    pub(crate) fn from_u8(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Ordinary),
            1 => Some(Self::Correction),
            2 => Some(Self::Maximum),
            _ => None,
        }
    }

    /// What two samples at one place come to: whether `above`, the later one, takes the place, and the class of the two
    /// together. Settling neighbours in any grouping gives the same, so merges may settle what they hold.
    pub(crate) fn settle(below: (&Value, Self), above: (&Value, Self)) -> (bool, Self) {
        match above.1 {
            Self::Ordinary => (false, below.1),
            Self::Correction => (true, Self::Correction),
            Self::Maximum => {
                let class = if below.1 == Self::Correction {
                    Self::Correction
                } else {
                    Self::Maximum
                };
                (above.0.is_larger_than(below.0), class)
            }
        }
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
