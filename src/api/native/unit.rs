//! Times of the native API: seconds, milliseconds, microseconds or nanoseconds, as the request says, or as their size suggests.

use crate::base::civil::rfc3339_ms;
use std::io::Write as _;

/// In what unit a request has its times. The answer has them in the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum TimeUnit {
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

/// Below, a time without a unit is in seconds; as milliseconds it would be before March 1973.
const SECONDS_MAX: f64 = 1e11;

/// A time as it stands in a request.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::api) enum GivenTime {
    Whole(i64),
    Broken(f64),
    Text(String),
}

impl TimeUnit {
    pub(in crate::api) const NAMES: &'static str = "s, ms, us or ns";

    pub(in crate::api) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "s" | "sec" | "second" | "seconds" => Self::Seconds,
            "ms" | "milli" | "millisecond" | "milliseconds" => Self::Milliseconds,
            "us" | "\u{b5}s" | "micro" | "microsecond" | "microseconds" => Self::Microseconds,
            "ns" | "nano" | "nanosecond" | "nanoseconds" => Self::Nanoseconds,
            _ => return None,
        })
    }

    pub(in crate::api) fn name(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Microseconds => "us",
            Self::Nanoseconds => "ns",
        }
    }

    /// What a number without a unit is in.
    fn suggested(time: f64) -> Self {
        if time.abs() < SECONDS_MAX {
            Self::Seconds
        } else {
            Self::Milliseconds
        }
    }

    /// In milliseconds; what is finer is cut off. `None` beyond what 64 bits hold.
    fn whole_ms(self, time: i64) -> Option<i64> {
        match self {
            Self::Seconds => time.checked_mul(1000),
            Self::Milliseconds => Some(time),
            Self::Microseconds => Some(time.div_euclid(1000)),
            Self::Nanoseconds => Some(time.div_euclid(1_000_000)),
        }
    }

    fn broken_ms(self, time: f64) -> Option<i64> {
        let ms = match self {
            Self::Seconds => time.trunc() * 1e3 + (time.fract() * 1e3).round(),
            Self::Milliseconds => time.round(),
            Self::Microseconds => (time / 1e3).floor(),
            Self::Nanoseconds => (time / 1e6).floor(),
        };
        // Also not for what is no number.
        (ms.abs() < 9.2e18).then_some(ms as i64)
    }

    /// Writes a time so that nothing of it is lost.
    pub(in crate::api) fn write(self, buffer: &mut Vec<u8>, time_ms: i64) {
        // A vector takes whatever is written to it.
        let _ = match self {
            Self::Milliseconds => write!(buffer, "{time_ms}"),
            Self::Microseconds => write!(buffer, "{}", i128::from(time_ms) * 1000),
            Self::Nanoseconds => write!(buffer, "{}", i128::from(time_ms) * 1_000_000),
            Self::Seconds if time_ms % 1000 == 0 => write!(buffer, "{}", time_ms / 1000),
            Self::Seconds => {
                let sign = if time_ms < 0 { "-" } else { "" };
                let size = time_ms.unsigned_abs();
                write!(buffer, "{sign}{}.{:03}", size / 1000, size % 1000)
            }
        };
    }
}

impl GivenTime {
    /// A time as it stands in the parameters of a request.
    pub(in crate::api) fn of_text(text: &str) -> Self {
        if let Ok(whole) = text.parse() {
            return Self::Whole(whole);
        }
        match text.parse() {
            Ok(broken) => Self::Broken(broken),
            Err(_) => Self::Text(text.to_owned()),
        }
    }

    /// In milliseconds, and the unit it was in: `unit`, or what its size suggests. `None` when it is no time.
    pub(in crate::api) fn read(&self, unit: Option<TimeUnit>) -> Option<(i64, TimeUnit)> {
        let of_size = |size: f64| unit.unwrap_or_else(|| TimeUnit::suggested(size));
        match self {
            Self::Whole(time) => {
                let unit = of_size(*time as f64);
                Some((unit.whole_ms(*time)?, unit))
            }
            Self::Broken(time) => {
                let unit = of_size(*time);
                Some((unit.broken_ms(*time)?, unit))
            }
            Self::Text(text) => Some((rfc3339_ms(text)?, unit.unwrap_or(TimeUnit::Milliseconds))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_their_unit_or_the_one_that_their_size_suggests() {
        use TimeUnit::{Microseconds, Milliseconds, Nanoseconds, Seconds};
        for (text, unit, wanted) in [
            ("1700000000", None, Some((1_700_000_000_000, Seconds))),
            ("1700000000.5", None, Some((1_700_000_000_500, Seconds))),
            ("99999999999", None, Some((99_999_999_999_000, Seconds))),
            ("100000000000", None, Some((100_000_000_000, Milliseconds))),
            ("1700000000123", None, Some((1_700_000_000_123, Milliseconds))),
            ("-5", None, Some((-5000, Seconds))),
            (
                "1700000000123456",
                Some(Microseconds),
                Some((1_700_000_000_123, Microseconds)),
            ),
            (
                "1700000000123456789",
                Some(Nanoseconds),
                Some((1_700_000_000_123, Nanoseconds)),
            ),
            ("5", Some(Milliseconds), Some((5, Milliseconds))),
            (
                "2023-11-14T22:13:20Z",
                None,
                Some((1_700_000_000_000, Milliseconds)),
            ),
            ("9223372036854775807", Some(Seconds), None),
            ("1e300", None, None),
            ("NaN", None, None),
            ("yesterday", None, None),
        ] {
            assert_eq!(GivenTime::of_text(text).read(unit), wanted, "{text}");
        }
    }

    #[test]
    fn times_are_written_whole() {
        let written = |unit: TimeUnit, time_ms: i64| {
            let mut buffer = Vec::new();
            unit.write(&mut buffer, time_ms);
            String::from_utf8(buffer).expect("digits")
        };
        assert_eq!(written(TimeUnit::Seconds, 1_700_000_000_000), "1700000000");
        assert_eq!(written(TimeUnit::Seconds, -1_250), "-1.250");
        assert_eq!(written(TimeUnit::Milliseconds, 7), "7");
        assert_eq!(
            written(TimeUnit::Nanoseconds, i64::MAX),
            "9223372036854775807000000"
        );
    }

    #[test]
    fn units_have_several_names() {
        for name in ["s", "ms", "us", "ns", "seconds", "\u{b5}s"] {
            assert!(
                TimeUnit::named(name).is_some_and(|unit| TimeUnit::NAMES.contains(unit.name())),
                "{name}"
            );
        }
        assert_eq!(TimeUnit::named("m"), None);
    }
}
