//! The values of a moment as bars, each beside its series.

use super::answer::{Point, Sample};
use super::number;
use std::io::{self, Write};

/// Parts of a character, an eighth more each.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
/// The least that is left for bars.
const BAR_WIDTH_MIN: usize = 10;

pub(super) fn write(samples: &[Sample], width: usize, out: &mut impl Write) -> io::Result<()> {
    let floats: Vec<(String, f64)> = samples
        .iter()
        .filter_map(|sample| match sample.point {
            Point::Float(value) => Some((sample.metric.to_string(), value)),
            Point::Histogram(_) => None,
        })
        .collect();
    if floats.is_empty() {
        return writeln!(out, "nothing to draw");
    }
    let names: Vec<String> = floats.iter().map(|(name, _)| cut(name, width / 2)).collect();
    let values: Vec<String> = floats.iter().map(|(_, value)| number::plain(*value)).collect();
    let longest = |texts: &[String]| texts.iter().map(|text| text.chars().count()).max().unwrap_or(0);
    let (name_width, value_width) = (longest(&names), longest(&values));
    let bar_width = width
        .saturating_sub(name_width + value_width + 4)
        .max(BAR_WIDTH_MIN);
    let finite = || {
        floats
            .iter()
            .map(|float| float.1)
            .filter(|value| value.is_finite())
    };
    let (low, high) = finite().fold((0.0f64, 0.0f64), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    for ((name, value), (_, float)) in names.iter().zip(&values).zip(&floats) {
        let bar = bar(*float, low, high, bar_width);
        let line = format!("{name:<name_width$}  {value:>value_width$}  {bar}");
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept = text.chars().take(width.saturating_sub(1));
    kept.chain(['…']).collect()
}

/// From zero to the value, in a stretch from `low`, not above zero, to `high`, not below. To the left of zero whole
/// characters, to the right eighths of them.
fn bar(value: f64, low: f64, high: f64, width: usize) -> String {
    let part = |x: f64| {
        let part = (x / 4.0) / (high / 4.0 - low / 4.0);
        if part.is_finite() { part } else { 0.0 }
    };
    let zero = (part(-low) * width as f64).round() as usize;
    if value < 0.0 {
        let length = ((part(-value) * width as f64).round() as usize).min(zero);
        return " ".repeat(zero - length) + &"█".repeat(length);
    }
    let eighths = (part(value) * (8 * width) as f64).round() as usize;
    let eighths = eighths.min(8 * (width - zero.min(width)));
    " ".repeat(zero) + &"█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_begin_at_zero() {
        assert_eq!(bar(4.0, 0.0, 4.0, 4), "████");
        assert_eq!(bar(1.5, 0.0, 4.0, 4), "█▌");
        assert_eq!(bar(0.0, 0.0, 4.0, 4), "");
        assert_eq!(bar(2.0, -2.0, 2.0, 4), "  ██");
        assert_eq!(bar(-1.0, -2.0, 2.0, 4), " █");
        assert_eq!(bar(f64::NAN, 0.0, 1.0, 4), "");
        assert_eq!(bar(0.0, 0.0, 0.0, 4), "");
        assert_eq!(bar(f64::MAX, f64::MIN, f64::MAX, 4), "  ██");
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("abcd", 4), "abcd");
    }
}
