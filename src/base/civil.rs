//! Dates of the Gregorian calendar, in UTC, from seconds since 1970.

/// A moment as calendar and clock show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DateTime {
    pub(crate) year: i64,
    /// 1 to 12.
    pub(crate) month: i64,
    /// 1 to 31.
    pub(crate) day: i64,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
    /// Days since 1970-01-01.
    days: i64,
}

const DAYS_OF_400_YEARS: i64 = 146_097;
/// Where Go's calendar begins.
const FIRST_SECOND: i64 = -9_223_372_028_741_760_000;

impl DateTime {
    pub(crate) fn of_seconds(seconds: i64) -> Self {
        // Go counts from a year so long ago that the first seconds of all fall before it, and wrap.
        let wrapped = if seconds < FIRST_SECOND { 1 << 64 } else { 0 };
        let seconds = i128::from(seconds) + wrapped;
        let days = seconds.div_euclid(86_400) as i64;
        let within = seconds.rem_euclid(86_400) as i64;
        // Years begin in March here, so that a leap day ends one; the count begins with the year 0.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(DAYS_OF_400_YEARS);
        let day_of_era = shifted.rem_euclid(DAYS_OF_400_YEARS);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let month = if shifted_month < 10 {
            shifted_month + 3
        } else {
            shifted_month - 9
        };
        Self {
            year: year_of_era + 400 * era + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * shifted_month + 2) / 5 + 1,
            hour: within / 3_600,
            minute: within / 60 % 60,
            second: within % 60,
            days,
        }
    }

    /// 0 is Sunday.
    pub(crate) fn weekday(&self) -> i64 {
        (self.days + 4).rem_euclid(7)
    }

    /// 1 is the first of January.
    pub(crate) fn day_of_year(&self) -> i64 {
        let before: i64 = (1..self.month).map(|month| days_in_month(self.year, month)).sum();
        before + self.day
    }

    pub(crate) fn days_in_month(&self) -> i64 {
        days_in_month(self.year, self.month)
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date.
#[cfg(feature = "server")]
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * DAYS_OF_400_YEARS + day_of_era - 719_468
}

/// Milliseconds since 1970 of a time as RFC 3339 has it: `2023-11-14T22:13:20.25+02:00`. What is finer is rounded down.
#[cfg(feature = "server")]
pub(crate) fn rfc3339_ms(text: &str) -> Option<i64> {
    let (date, time) = text.split_at_checked(10)?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let (clock, rest) = time.strip_prefix('T')?.split_at_checked(8)?;
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    let (fraction, zone) = match rest.strip_prefix(['.', ',']) {
        None => ("", rest),
        Some(rest) => {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            (digits > 0).then(|| rest.split_at(digits))?
        }
    };
    let offset_minutes = match zone.strip_prefix(['+', '-']) {
        None => (zone == "Z").then_some(0)?,
        Some(offset) => {
            let [hours, minutes] = numbers(offset, ':', [2, 2])?;
            let is_within = (0..=24).contains(&hours) && (0..60).contains(&minutes);
            let sign = if zone.starts_with('-') { -1 } else { 1 };
            is_within.then_some(sign * (60 * hours + minutes))?
        }
    };
    let is_date = (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
    let is_time = hour < 24 && minute < 60 && second < 60;
    let ms = fraction.chars().chain("000".chars()).take(3);
    let ms = ms.fold(0, |ms, digit| 10 * ms + i64::from(digit as u8 - b'0'));
    let seconds = days_of(year, month, day) * 86_400 + hour * 3_600 + (minute - offset_minutes) * 60 + second;
    (is_date && is_time).then_some(1000 * seconds + ms)
}

/// A time in milliseconds since 1970 as RFC 3339 has it.
pub(crate) fn rfc3339(timestamp_ms: i64) -> String {
    let at = DateTime::of_seconds(timestamp_ms.div_euclid(1000));
    let ms = timestamp_ms.rem_euclid(1000);
    let DateTime {
        year,
        month,
        day,
        hour,
        minute,
        second,
        ..
    } = at;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// Numbers of so many digits each.
#[cfg(feature = "server")]
fn numbers<const N: usize>(text: &str, between: char, digits: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(between);
    let mut numbers = [0; N];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next()?;
        let is_number = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
        *number = is_number.then(|| part.parse().ok())??;
    }
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "server")]
    #[test]
    fn dates_are_read() {
        for seconds in [0, -1, 951_782_400, 1_709_251_199, 4_107_542_400, -62_135_596_800] {
            let date = DateTime::of_seconds(seconds);
            assert_eq!(
                days_of(date.year, date.month, date.day),
                seconds.div_euclid(86_400)
            );
        }
        for (text, wanted) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2024-02-29T23:59:59.9999Z", Some(1_709_251_199_999)),
            ("2023-11-14T22:13:20.5-01:30", Some(1_700_005_400_500)),
            ("2023-02-29T00:00:00Z", None),
            ("2023-11-14T24:00:00Z", None),
            ("2023-11-14T22:13:20", None),
            ("2023-11-14T22:13:20.Z", None),
            ("2023-11-14T22:13:20+0130", None),
            ("+023-11-14T22:13:20Z", None),
            ("2023-11-14T22:13:2éZ", None),
        ] {
            assert_eq!(rfc3339_ms(text), wanted, "{text}");
        }
        for timestamp_ms in [0, -1, 1_700_000_000_050, -62_135_596_800_000] {
            assert_eq!(rfc3339_ms(&rfc3339(timestamp_ms)), Some(timestamp_ms));
        }
    }

    #[test]
    fn known_dates() {
        let table = [
            (0, (1970, 1, 1), (0, 0, 0), 4, 1, 31),
            (-1, (1969, 12, 31), (23, 59, 59), 3, 365, 31),
            (951_782_400, (2000, 2, 29), (0, 0, 0), 2, 60, 29),
            (1_709_251_199, (2024, 2, 29), (23, 59, 59), 4, 60, 29),
            (4_107_542_400, (2100, 3, 1), (0, 0, 0), 1, 60, 31),
            (-62_135_596_800, (1, 1, 1), (0, 0, 0), 1, 1, 31),
            (-62_167_219_200, (0, 1, 1), (0, 0, 0), 6, 1, 31),
            (i64::MIN, (292_277_026_596, 12, 4), (15, 30, 8), 0, 339, 31),
            (i64::MAX, (292_277_026_596, 12, 4), (15, 30, 7), 0, 339, 31),
        ];
        for (seconds, date, time, weekday, day_of_year, days_in_month) in table {
            let shown = DateTime::of_seconds(seconds);
            assert_eq!((shown.year, shown.month, shown.day), date);
            assert_eq!((shown.hour, shown.minute, shown.second), time);
            assert_eq!(shown.weekday(), weekday, "{seconds}");
            assert_eq!(
                (shown.day_of_year(), shown.days_in_month()),
                (day_of_year, days_in_month),
                "{seconds}"
            );
        }
    }
}
