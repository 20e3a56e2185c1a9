//! The unit of timestamps.

use std::time::Duration;

/// Unit of the timestamps of a database, fixed when it is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Precision {
    /// Seconds.
    Seconds = 0,
    /// Milliseconds, as in Prometheus.
    #[default]
    Milliseconds = 1,
    /// Microseconds.
    Microseconds = 2,
    /// Nanoseconds.
    Nanoseconds = 3,
}

impl Precision {
    pub(crate) fn from_u8(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Seconds),
            1 => Some(Self::Milliseconds),
            2 => Some(Self::Microseconds),
            3 => Some(Self::Nanoseconds),
            _ => None,
        }
    }

    /// The unit's usual sign.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Microseconds => "us",
            Self::Nanoseconds => "ns",
        }
    }

    /// How many of this unit a duration is.
    pub fn units(self, duration: Duration) -> i64 {
        let units = match self {
            Self::Seconds => u128::from(duration.as_secs()),
            Self::Milliseconds => duration.as_millis(),
            Self::Microseconds => duration.as_micros(),
            Self::Nanoseconds => duration.as_nanos(),
        };
        i64::try_from(units).unwrap_or(i64::MAX)
    }

    /// Milliseconds in this unit.
    pub fn from_millis(self, milliseconds: i64) -> i64 {
        match self {
            Self::Seconds => milliseconds.div_euclid(1000),
            Self::Milliseconds => milliseconds,
            Self::Microseconds => milliseconds.saturating_mul(1000),
            Self::Nanoseconds => milliseconds.saturating_mul(1_000_000),
        }
    }
}
