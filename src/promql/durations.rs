//! Durations as Prometheus reads and writes them, and the value of those that are computed.

use super::ast::{DurationExpr, DurationKind};
use super::error::QueryFault;
use super::operators::{DurationOp, UnaryOp};
use super::quote::quote;
use std::time::Duration;

/// The units, the largest first, in milliseconds.
const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// The longest duration: what nanoseconds in 64 bits can hold.
const DURATION_MS_MAX: i64 = i64::MAX / 1_000_000;

/// Reads a duration like `1h30m`: each unit once at most, in falling order.
pub fn parse_duration_ms(text: &str) -> Result<i64, String> {
    match text {
        "" => return Err("empty duration string".to_owned()),
        "0" => return Ok(0),
        _ => {}
    }
    let refused = || format!("not a valid duration string: {}", quote(text));
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut total_ms: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.len()
            - rest
                .trim_start_matches(|digit: char| digit.is_ascii_digit())
                .len();
        let (number, behind) = rest.split_at(digits);
        let unit_len = behind.find(|digit: char| digit.is_ascii_digit());
        let (unit, behind) = behind.split_at(unit_len.unwrap_or(behind.len()));
        if number.is_empty() || unit.is_empty() {
            return Err(refused());
        }
        if !UNITS.iter().any(|(name, _)| *name == unit) {
            return Err(format!(
                "unknown unit {} in duration {}",
                quote(unit),
                quote(text)
            ));
        }
        let number: u64 = number.parse().map_err(|_| refused())?;
        let (_, unit_ms) = units
            .by_ref()
            .find(|(name, _)| *name == unit)
            .ok_or_else(refused)?;
        let amount_ms = i64::try_from(number)
            .ok()
            .and_then(|number| number.checked_mul(*unit_ms));
        total_ms = amount_ms
            .and_then(|amount_ms| total_ms.checked_add(amount_ms))
            .filter(|total_ms| *total_ms <= DURATION_MS_MAX)
            .ok_or("duration out of range")?;
        rest = behind;
    }
    Ok(total_ms)
}

/// The same of a length of time.
pub(crate) fn format_duration(duration: Duration) -> String {
    format_duration_ms(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}

/// Writes a duration that is not negative. Years and weeks only when nothing remains.
pub(crate) fn format_duration_ms(duration_ms: i64) -> String {
    if duration_ms == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    let mut rest_ms = duration_ms;
    for (name, unit_ms) in UNITS {
        let only_exact = matches!(name, "y" | "w");
        if only_exact && rest_ms % unit_ms != 0 {
            continue;
        }
        let number = rest_ms / unit_ms;
        if number > 0 {
            text.push_str(&number.to_string());
            text.push_str(name);
            rest_ms -= number * unit_ms;
        }
    }
    text
}

/// Seconds as milliseconds, by way of whole nanoseconds.
pub(crate) fn seconds_to_ms(seconds: f64) -> i64 {
    (seconds * 1e9).round() as i64 / 1_000_000
}

/// What computed durations depend on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueryTimes {
    /// The first step.
    pub(crate) start_ms: i64,
    /// The last step.
    pub(crate) end_ms: i64,
    /// The distance of steps.
    pub(crate) step_ms: i64,
}

impl QueryTimes {
    /// Seconds from the first step to the last.
    pub(crate) fn range_seconds(&self) -> f64 {
        self.end_ms.saturating_sub(self.start_ms) as f64 / 1e3
    }
}

/// Computes a duration, in milliseconds.
pub(crate) fn compute_ms(
    expr: &DurationExpr,
    times: &QueryTimes,
    may_be_negative: bool,
) -> Result<i64, QueryFault> {
    let seconds = compute_seconds(expr, times)?;
    if seconds <= 0.0 && !may_be_negative {
        return Err(QueryFault::new(expr.span, "duration must be greater than 0"));
    }
    let limit = i64::MAX as f64;
    if seconds > limit || seconds < -limit {
        return Err(QueryFault::new(expr.span, "duration is out of range"));
    }
    Ok((seconds * 1000.0) as i64)
}

fn compute_seconds(expr: &DurationExpr, times: &QueryTimes) -> Result<f64, QueryFault> {
    Ok(match &expr.kind {
        DurationKind::Number(number) => number.value,
        DurationKind::Step => times.step_ms as f64 / 1e3,
        DurationKind::Range => times.range_seconds(),
        DurationKind::Unary(UnaryOp::Plus, operand) => compute_seconds(operand, times)?,
        DurationKind::Unary(UnaryOp::Minus, operand) => -compute_seconds(operand, times)?,
        DurationKind::Binary(op, lhs, rhs) => {
            let (lhs, rhs) = (compute_seconds(lhs, times)?, compute_seconds(rhs, times)?);
            match op {
                DurationOp::Add => lhs + rhs,
                DurationOp::Sub => lhs - rhs,
                DurationOp::Mul => lhs * rhs,
                DurationOp::Div if rhs == 0.0 => {
                    return Err(QueryFault::new(expr.span, "division by zero"));
                }
                DurationOp::Div => lhs / rhs,
                DurationOp::Mod if rhs == 0.0 => {
                    return Err(QueryFault::new(expr.span, "modulo by zero"));
                }
                DurationOp::Mod => lhs % rhs,
                DurationOp::Pow => lhs.powf(rhs),
                DurationOp::MinOf => lhs.min(rhs),
                DurationOp::MaxOf => lhs.max(rhs),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        let cases: &[(&str, i64, &str)] = &[
            ("0", 0, "0s"),
            ("0s", 0, "0s"),
            ("90s", 90_000, "1m30s"),
            ("1h0m", 3_600_000, "1h"),
            ("1y2w3d4h5m6s7ms", 33_019_506_007, "382d4h5m6s7ms"),
            ("14d", 14 * 86_400_000, "2w"),
            ("730d", 730 * 86_400_000, "2y"),
            ("1500ms", 1_500, "1s500ms"),
        ];
        for (text, duration_ms, written) in cases {
            assert_eq!(parse_duration_ms(text), Ok(*duration_ms), "{text}");
            assert_eq!(format_duration_ms(*duration_ms), *written, "{text}");
            assert_eq!(parse_duration_ms(written), Ok(*duration_ms), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["1", "m", "1m1h", "1s1s", "-1s", "5m3", "99999999999999999999s"] {
            let expected = format!("not a valid duration string: \"{text}\"");
            assert_eq!(parse_duration_ms(text), Err(expected));
        }
        assert_eq!(parse_duration_ms(""), Err("empty duration string".to_owned()));
        for (text, unit) in [("5x", "x"), ("1hs", "hs"), ("1.5h", "."), ("1 s", " s")] {
            let expected = format!("unknown unit \"{unit}\" in duration \"{text}\"");
            assert_eq!(parse_duration_ms(text), Err(expected));
        }
        for text in ["300y", "9223372036854775808s"] {
            assert_eq!(parse_duration_ms(text), Err("duration out of range".to_owned()));
        }
    }
}
