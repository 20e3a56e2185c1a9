//! Numbers and times as texts have them.

use crate::base::civil::rfc3339;

/// The bits of the NaN that texts call `NaN`: the one that Go and so Prometheus make of it.
pub(crate) const NAN_BITS: u64 = 0x7ff8_0000_0000_0001;

/// A number as people write it, `NaN` and `Inf` with or without a sign, and Go's hexadecimal floats.
pub(crate) fn float(text: &str) -> Option<f64> {
    let first = text.trim_start_matches(['+', '-']).as_bytes().first()?;
    match first {
        b'n' | b'N' => text
            .eq_ignore_ascii_case("nan")
            .then_some(f64::from_bits(NAN_BITS)),
        b'0' if text.contains(['x', 'X']) => hexadecimal(text),
        _ => text.parse().ok(),
    }
}

/// `-0x1.8p3`. With no more digits than fit without rounding.
fn hexadecimal(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix('-');
    let rest = unsigned.or_else(|| text.strip_prefix('+')).unwrap_or(text);
    let rest = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X"))?;
    let (digits, exponent) = rest.split_once(['p', 'P'])?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_hex = |part: &str| part.bytes().all(|digit| digit.is_ascii_hexdigit());
    let count = whole.len() + fraction.len();
    if !is_hex(whole) || !is_hex(fraction) || !(1..=13).contains(&count) || exponent.unsigned_abs() > 900 {
        return None;
    }
    let mantissa = u64::from_str_radix(&format!("{whole}{fraction}"), 16).ok()?;
    let size = mantissa as f64 * 2_f64.powi(exponent) * 2_f64.powi(-4 * fraction.len() as i32);
    Some(if unsigned.is_some() { -size } else { size })
}

/// Seconds with decimals in milliseconds, to the digit; what is finer is cut off.
pub(crate) fn seconds_ms(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |part: &str| part.bytes().all(|digit| digit.is_ascii_digit());
    let unsigned = whole.trim_start_matches(['-', '+']);
    if is_number(unsigned) && is_number(fraction) && !unsigned.is_empty() {
        let whole: i64 = whole.parse().ok()?;
        let digits = fraction.bytes().chain(*b"000").take(3);
        let ms = digits.fold(0, |ms, digit| 10 * ms + i64::from(digit - b'0'));
        let ms = if text.starts_with('-') { -ms } else { ms };
        return whole.checked_mul(1000)?.checked_add(ms);
    }
    let ms = text.parse::<f64>().ok()? * 1000.0;
    (ms.abs() < 9.2e18).then_some(ms.round() as i64)
}

/// Writes a number in as few digits as read back as it, `NaN`, `+Inf` and `-Inf`.
pub(crate) fn write_float(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        write_finite(out, value);
    } else if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else {
        out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    }
}

/// The same of a number, as JSON has it too.
pub(crate) fn write_finite(out: &mut Vec<u8>, value: f64) {
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    out.extend_from_slice(text.strip_suffix(".0").unwrap_or(text).as_bytes());
}

/// Writes a whole number.
pub(crate) fn write_whole(out: &mut Vec<u8>, number: i64) {
    use std::io::Write as _;
    // A vector takes whatever is written to it.
    let _ = write!(out, "{number}");
}

/// Writes milliseconds as seconds, with decimals where there are any.
pub(crate) fn write_seconds(out: &mut Vec<u8>, time_ms: i64) {
    use std::io::Write as _;
    let (sign, size) = (if time_ms < 0 { "-" } else { "" }, time_ms.unsigned_abs());
    // A vector takes whatever is written to it.
    let _ = match size % 1000 {
        0 => write!(out, "{sign}{}", size / 1000),
        ms => write!(out, "{sign}{}.{ms:03}", size / 1000),
    };
}

/// Writes a time as RFC 3339 has it, with no more decimals than it needs.
pub(crate) fn write_rfc3339(out: &mut Vec<u8>, time_ms: i64) {
    let text = rfc3339(time_ms);
    let decimals = text.trim_end_matches('Z').trim_end_matches('0');
    let end = match time_ms % 1000 {
        0 => decimals.rfind('.').unwrap_or(decimals.len()),
        _ => decimals.len(),
    };
    out.extend_from_slice(decimals.get(..end).unwrap_or("").as_bytes());
    out.push(b'Z');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_read_as_people_write_them() {
        for (text, wanted) in [
            ("1", Some(1.0)),
            ("-1.5e3", Some(-1500.0)),
            (".5", Some(0.5)),
            ("+Inf", Some(f64::INFINITY)),
            ("-inf", Some(f64::NEG_INFINITY)),
            ("0x1p-2", Some(0.25)),
            ("-0x1.8P+1", Some(-3.0)),
            ("0x", None),
            ("0x1", None),
            ("0x1p-2147483648", None),
            ("0xffffffffffffffffp1", None),
            ("0x1p99999999999", None),
            ("", None),
            ("-", None),
            ("1_000", None),
            ("nano", None),
            ("0x10", None),
            ("1 ", None),
        ] {
            assert_eq!(float(text), wanted, "{text:?}");
        }
        assert_eq!(float("NaN").map(f64::to_bits), Some(NAN_BITS));
        assert_eq!(float("nan").map(f64::to_bits), Some(NAN_BITS));
    }

    #[test]
    fn seconds_are_exact() {
        for (text, wanted) in [
            ("1700000000", Some(1_700_000_000_000)),
            ("1700000000.001", Some(1_700_000_000_001)),
            ("1700000000.0019", Some(1_700_000_000_001)),
            ("-0.5", Some(-500)),
            ("-3.25", Some(-3250)),
            ("1.7e9", Some(1_700_000_000_000)),
            ("9223372036854775807", None),
            ("1e300", None),
            ("NaN", None),
            ("", None),
            (".", None),
            ("soon", None),
        ] {
            assert_eq!(seconds_ms(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn times_have_the_decimals_they_need() {
        let shown = |time_ms| {
            let mut out = Vec::new();
            write_rfc3339(&mut out, time_ms);
            String::from_utf8(out).unwrap()
        };
        for (time_ms, wanted) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_700_000_000_250, "2023-11-14T22:13:20.25Z"),
            (1_700_000_000_001, "2023-11-14T22:13:20.001Z"),
            (-100, "1969-12-31T23:59:59.9Z"),
        ] {
            assert_eq!(shown(time_ms), wanted);
        }
    }

    proptest! {
        #[test]
        fn numbers_are_read_back_to_the_bit(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(!value.is_nan());
            let mut out = Vec::new();
            write_float(&mut out, value);
            let text = std::str::from_utf8(&out).unwrap();
            prop_assert_eq!(float(text).map(f64::to_bits), Some(bits));
        }

        #[test]
        fn seconds_are_read_back(time_ms in -9_000_000_000_000_000_i64..9_000_000_000_000_000) {
            let mut out = Vec::new();
            write_seconds(&mut out, time_ms);
            prop_assert_eq!(seconds_ms(std::str::from_utf8(&out).unwrap()), Some(time_ms));
        }

        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,12}") {
            let _ = (float(&text), seconds_ms(&text));
        }
    }
}
