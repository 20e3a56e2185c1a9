//! Numbers, times and tables for people.

use narthex::Precision;
use std::io::{self, Write};
use std::time::Duration;

/// `1234567` as `1,234,567`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A length of time in whole seconds as a query would say it, as `1h30m`.
pub(super) fn duration(length: Duration) -> String {
    let mut rest = length.as_secs();
    let mut text = String::new();
    for (unit, seconds) in [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)] {
        if rest >= seconds {
            text += &format!("{}{unit}", rest / seconds);
            rest %= seconds;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// A timestamp as RFC 3339 in UTC, with as many decimals as the unit has. Years outside of 0 to 9999 stay a number.
pub(super) fn time(timestamp: i64, precision: Precision) -> String {
    let (per_second, decimals) = match precision {
        Precision::Seconds => (1, 0),
        Precision::Milliseconds => (1_000, 3),
        Precision::Microseconds => (1_000_000, 6),
        Precision::Nanoseconds => (1_000_000_000, 9),
    };
    let (seconds, rest) = (timestamp.div_euclid(per_second), timestamp.rem_euclid(per_second));
    let (days, second_of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    if !(0..=9999).contains(&year) {
        return format!("{timestamp} {}", precision.as_str());
    }
    let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
    let fraction = if decimals > 0 {
        format!(".{rest:0decimals$}")
    } else {
        String::new()
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar. Counts from March on, so that the
/// leap day is the last of its year.
fn civil(days: i64) -> (i64, i64, i64) {
    const DAYS_PER_400_YEARS: i64 = 146_097;
    let from_year_0 = days + 719_468;
    let (era, day_of_era) = (
        from_year_0.div_euclid(DAYS_PER_400_YEARS),
        from_year_0.rem_euclid(DAYS_PER_400_YEARS),
    );
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / (DAYS_PER_400_YEARS - 1)) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// Rows in columns: the first one flush left, the others flush right. The first row is the head.
pub(super) fn table<const N: usize>(rows: &[[String; N]], out: &mut impl Write) -> io::Result<()> {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in rows {
        let mut line = String::from(" ");
        for (index, (width, cell)) in widths.iter().zip(row).enumerate() {
            let width = *width;
            line += &if index == 0 {
                format!(" {cell:<width$}")
            } else {
                format!("  {cell:>width$}")
            };
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(count),
            ["0", "999", "1,000", "1,234,567"]
        );
    }

    #[test]
    fn lengths_are_those_of_queries() {
        let texts = [0, 45, 300, 5400, 86_400, 90_061].map(|length| duration(Duration::from_secs(length)));
        assert_eq!(texts, ["0s", "45s", "5m", "1h30m", "1d", "1d1h1m1s"]);
    }

    #[test]
    fn times_are_calendar_times() {
        let seconds = |timestamp| time(timestamp, Precision::Seconds);
        assert_eq!(seconds(0), "1970-01-01T00:00:00Z");
        assert_eq!(seconds(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(seconds(-1), "1969-12-31T23:59:59Z");
        assert_eq!(seconds(-62_167_219_200), "0000-01-01T00:00:00Z");
        assert_eq!(seconds(253_402_300_799), "9999-12-31T23:59:59Z");
        assert_eq!(seconds(i64::MAX), "9223372036854775807 s");
        let milliseconds = time(1_700_000_000_120, Precision::Milliseconds);
        assert_eq!(milliseconds, "2023-11-14T22:13:20.120Z");
        assert_eq!(time(-1, Precision::Nanoseconds), "1969-12-31T23:59:59.999999999Z");
    }

    #[test]
    fn tables_are_aligned() {
        let rows = [["name", "series"], ["up", "1,000"]].map(|row| row.map(str::to_owned));
        let mut out = Vec::new();
        table(&rows, &mut out).expect("a vector takes everything");
        assert_eq!(String::from_utf8_lossy(&out), "  name  series\n  up     1,000\n");
    }
}
