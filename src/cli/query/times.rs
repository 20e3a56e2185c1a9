//! Moments and steps as they are typed, and times as they are printed.

use crate::cli::text;
use narthex::Precision;
use narthex::parse_duration_ms;

/// What is further from 1970 is refused.
pub(super) const SECONDS_MAX: f64 = 9e12;

/// A moment that was asked for, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Moment {
    At(i64),
    FromNow(i64),
}

impl Moment {
    pub(in crate::cli) fn at_ms(self, now_ms: i64) -> i64 {
        match self {
            Self::At(at_ms) => at_ms,
            Self::FromNow(ms) => now_ms.saturating_add(ms),
        }
    }
}

/// Reads RFC 3339, seconds since 1970, `now`, `-1h` or `now-30m`.
pub(in crate::cli) fn moment(text: &str) -> Result<Moment, String> {
    if text == "now" {
        return Ok(Moment::FromNow(0));
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return seconds_to_ms(seconds)
            .map(Moment::At)
            .ok_or_else(|| format!("{text} seconds are out of range"));
    }
    let relative = text.strip_prefix("now").unwrap_or(text);
    let signed = |sign: i64, duration: &str| Ok(Moment::FromNow(sign * parse_duration_ms(duration)?));
    match (relative.strip_prefix('-'), relative.strip_prefix('+')) {
        (Some(duration), _) => signed(-1, duration),
        (_, Some(duration)) => signed(1, duration),
        _ => rfc3339_ms(text).map(Moment::At).ok_or_else(|| {
            "a time is RFC 3339, seconds since 1970, `now`, or from now as in -1h and now-30m".to_owned()
        }),
    }
}

/// Reads a step: a duration like `15s`, or seconds.
pub(super) fn step_ms(text: &str) -> Result<i64, String> {
    let step_ms = match text.parse::<f64>() {
        Ok(seconds) => seconds_to_ms(seconds).ok_or_else(|| format!("{text} seconds are out of range"))?,
        Err(_) => parse_duration_ms(text)?,
    };
    if step_ms < 1 {
        return Err("a step is longer than zero".to_owned());
    }
    Ok(step_ms)
}

fn seconds_to_ms(seconds: f64) -> Option<i64> {
    (seconds.abs() <= SECONDS_MAX).then(|| (seconds * 1000.0).round() as i64)
}

/// The next step that people would choose: a second at least, and from a day on whole days.
pub(super) fn round_step_ms(step_ms: i64) -> i64 {
    const SECONDS: [i64; 19] = [
        1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1_200, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200,
    ];
    const DAY_MS: i64 = 86_400_000;
    let steps = SECONDS.iter().map(|seconds| seconds * 1000);
    steps
        .into_iter()
        .find(|rounded_ms| *rounded_ms >= step_ms)
        .unwrap_or_else(|| step_ms.saturating_add(DAY_MS - 1) / DAY_MS * DAY_MS)
}

/// RFC 3339 in UTC, with milliseconds where there are any.
pub(super) fn shown(time_ms: i64) -> String {
    if time_ms % 1000 == 0 {
        text::time(time_ms / 1000, Precision::Seconds)
    } else {
        text::time(time_ms, Precision::Milliseconds)
    }
}

/// `2023-11-14T22:13:20.5+01:00`
fn rfc3339_ms(text: &str) -> Option<i64> {
    let number = |text: &str, from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
        digits.parse().ok()
    };
    let is = |at: usize, wanted: &str| {
        text.get(at..at + 1)
            .is_some_and(|c| wanted.contains(c))
            .then_some(())
    };
    is(4, "-")?;
    is(7, "-")?;
    is(10, "Tt ")?;
    is(13, ":")?;
    is(16, ":")?;
    let (year, month, day) = (number(text, 0, 4)?, number(text, 5, 7)?, number(text, 8, 10)?);
    let (hour, minute, second) = (
        number(text, 11, 13)?,
        number(text, 14, 16)?,
        number(text, 17, 19)?,
    );
    let rest = text.get(19..)?;
    let (fraction_ms, zone) = match rest.strip_prefix('.') {
        None => (0, rest),
        Some(rest) => {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let thousandths: String = rest[..digits].chars().chain("000".chars()).take(3).collect();
            (digits > 0).then_some(())?;
            (number(&thousandths, 0, 3)?, &rest[digits..])
        }
    };
    let offset_minutes = match zone {
        "Z" | "z" => 0,
        _ => {
            let sign = if zone.starts_with('-') { -1 } else { 1 };
            let is_offset = zone.len() == 6 && zone.starts_with(['+', '-']) && zone.get(3..4) == Some(":");
            is_offset.then_some(())?;
            sign * (number(zone, 1, 3)? * 60 + number(zone, 4, 6)?)
        }
    };
    let is_time = (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    is_time.then_some(())?;
    let seconds = days(year, month, day) * 86_400 + (hour * 60 + minute - offset_minutes) * 60 + second;
    Some(seconds * 1000 + fraction_ms)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01, of a year from 0 to 9999.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Of the years before this one. The year 0 is a leap year itself.
    let leaps = (year + 3) / 4 - (year + 99) / 100 + (year + 399) / 400;
    let before: i64 = (1..month).map(|month| days_in_month(year, month)).sum();
    year * 365 + leaps + before + day - 1 - 719_528
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read() {
        let cases = [
            ("now", Moment::FromNow(0)),
            ("-1h", Moment::FromNow(-3_600_000)),
            ("now-1h30m", Moment::FromNow(-5_400_000)),
            ("now+5s", Moment::FromNow(5_000)),
            ("1700000000.5", Moment::At(1_700_000_000_500)),
            ("-1", Moment::At(-1_000)),
            ("2023-11-14T22:13:20Z", Moment::At(1_700_000_000_000)),
            ("2023-11-14T23:13:20.1234+01:00", Moment::At(1_700_000_000_123)),
            ("2023-11-14 21:43:20-00:30", Moment::At(1_700_000_000_000)),
            ("0000-01-01T00:00:00Z", Moment::At(-62_167_219_200_000)),
            ("2000-02-29T00:00:00Z", Moment::At(951_782_400_000)),
        ];
        for (text, wanted) in cases {
            assert_eq!(moment(text), Ok(wanted), "{text}");
        }
        let refused = [
            "",
            "yesterday",
            "now-",
            "-1x",
            "NaN",
            "1e300",
            "now 1h",
            "2023-02-29T00:00:00Z",
            "2023-11-14T24:00:00Z",
            "2023-11-14T22:13:20",
            "2023-11-14T22:13:20.Z",
            "2023-11-14T22:13:20+0100",
            "2023-11-14T22:13:20+ä00",
            "ä023-11-14T22:13:20Z",
        ];
        for text in refused {
            assert!(moment(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_is_counted_once() {
        let mut next = days(1800, 1, 1);
        for year in 1800..2200 {
            for month in 1..=12 {
                for day in 1..=days_in_month(year, month) {
                    assert_eq!(days(year, month, day), next, "{year}-{month}-{day}");
                    next += 1;
                }
            }
        }
        assert_eq!(days(1970, 1, 1), 0);
    }

    #[test]
    fn steps_are_read_and_rounded() {
        assert_eq!(step_ms("15s"), Ok(15_000));
        assert_eq!(step_ms("0.5"), Ok(500));
        for text in ["0", "-1", "15", "x", "0s", "NaN"] {
            assert_eq!(step_ms(text).is_ok(), text == "15", "{text}");
        }
        let cases = [
            (0, 1_000),
            (1_001, 2_000),
            (14_400, 15_000),
            (60_000, 60_000),
            (43_200_001, 86_400_000),
            (86_400_001, 172_800_000),
        ];
        for (step_ms, wanted) in cases {
            assert_eq!(round_step_ms(step_ms), wanted);
        }
        assert_eq!(round_step_ms(-5), 1_000);
    }

    #[test]
    fn times_are_printed_with_milliseconds_where_there_are_any() {
        assert_eq!(shown(1_700_000_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(shown(1_700_000_000_050), "2023-11-14T22:13:20.050Z");
        assert_eq!(shown(-1), "1969-12-31T23:59:59.999Z");
    }
}
