//! Durations and sizes as Prometheus writes them: `1h30m`, `15d`, `32MiB`.

use std::time::Duration;

/// Units of time, largest first, in milliseconds. A year has 365 days.
const TIME_UNITS: &[(&str, u64)] = &[
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Units of size, largest first. As in Prometheus, KB is another name of KiB.
const SIZE_UNITS: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// An address and a port; without the address it is every interface.
pub(super) fn address(text: &str) -> Result<String, String> {
    let (host, port) = text.rsplit_once(':').ok_or("no port, as in 127.0.0.1:6364")?;
    port.parse::<u16>()
        .map_err(|_| format!("`{port}` is not a port"))?;
    Ok(match host {
        "" => format!("0.0.0.0:{port}"),
        _ => text.to_owned(),
    })
}

/// Splits `text` into its leading digits and what follows up to the next digit.
fn number_and_unit(text: &str) -> Option<(u64, &str, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    let unit_end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    Some((number.parse().ok()?, unit, rest))
}

/// A duration in Prometheus' syntax: numbers with units, largest unit first, each at most once. `0` needs no unit.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{text}` is not a duration like 15d, 1h30m, 500ms or 0");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let (mut rest, mut next_unit, mut total_ms) = (text, 0, 0u64);
    while next_unit == 0 || !rest.is_empty() {
        let (number, unit, behind) = number_and_unit(rest).ok_or_else(bad)?;
        let place = TIME_UNITS.iter().position(|known| known.0 == unit);
        let place = place.filter(|place| *place >= next_unit).ok_or_else(bad)?;
        let ms = TIME_UNITS
            .get(place)
            .and_then(|known| number.checked_mul(known.1));
        let sum = ms.and_then(|ms| total_ms.checked_add(ms));
        total_ms = sum
            .filter(|ms| i64::try_from(*ms).is_ok())
            .ok_or_else(|| format!("`{text}` is too long"))?;
        (rest, next_unit) = (behind, place + 1);
    }
    Ok(Duration::from_millis(total_ms))
}

/// A size: a number with a unit, or of bytes.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let bad = || format!("`{text}` is not a size like 32MiB, 10GiB or 1048576");
    let (number, unit, rest) = number_and_unit(text).ok_or_else(bad)?;
    if !rest.is_empty() {
        return Err(bad());
    }
    let unit = unit.trim();
    let is_named =
        |name: &str| name.eq_ignore_ascii_case(unit) || name.replace('i', "").eq_ignore_ascii_case(unit);
    let factor = match unit {
        "" => 1,
        _ => {
            SIZE_UNITS
                .iter()
                .find(|known| is_named(known.0))
                .ok_or_else(bad)?
                .1
        }
    };
    number
        .checked_mul(factor)
        .ok_or_else(|| format!("`{text}` is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_those_of_prometheus() {
        let day = Duration::from_secs(86_400);
        for (text, expected) in [
            ("0", Duration::ZERO),
            ("15d", day * 15),
            ("100y", day * 36_500),
            ("1h30m", Duration::from_secs(5400)),
            ("1w2d", day * 9),
            ("1s500ms", Duration::from_millis(1500)),
            ("0s", Duration::ZERO),
        ] {
            assert_eq!(parse_duration(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "15",
            "d",
            "-1d",
            "1m1h",
            "1d1d",
            "1.5h",
            "5x",
            "1 h",
            "999999999999y",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_have_units_of_1024() {
        for (text, expected) in [
            ("0", 0),
            ("1000", 1000),
            ("32MiB", 32 << 20),
            ("1KB", 1024),
            ("2tb", 2 << 40),
        ] {
            assert_eq!(parse_size(text), Ok(expected), "{text}");
        }
        for text in ["", "MiB", "-1", "1.5GiB", "3XB", "1MiB2", "99999999999TiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn parts_add_up(days in 0..10_000u64, minutes in 0..1440u64, ms in 0..60_000u64) {
            let text = format!("{days}d{minutes}m{ms}ms");
            let expected = Duration::from_millis(days * 86_400_000 + minutes * 60_000 + ms);
            prop_assert_eq!(parse_duration(&text), Ok(expected));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9ydhmsKiB .-]{0,12}") {
            let _ = (parse_duration(&text), parse_size(&text));
        }
    }
}
