//! Series over time as curves: values up the left side, times along the bottom, a letter at the end of each curve and its
//! series below.

use super::answer::{Point, Series};
use super::canvas::{Canvas, DOTS_HIGH, DOTS_WIDE};
use super::{When, number, times};
use std::io::{self, Write};

const ROWS: usize = 16;
/// As many values as the left side names, or a few more.
const TICKS: f64 = 4.0;
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// A time below the chart with the space around it.
const TIME_WIDTH: usize = 16;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// What is drawn of a series: finite floats.
struct Curve<'a> {
    series: &'a Series,
    points: Vec<(i64, f64)>,
}

/// A stretch of numbers in an order of dots.
#[derive(Debug, Clone, Copy)]
struct Scale {
    low: f64,
    high: f64,
    dots: usize,
}

impl Scale {
    /// The dot of a number, from the low end. Quarters, so that no difference is infinite.
    fn dot(&self, x: f64) -> usize {
        let part = (x / 4.0 - self.low / 4.0) / (self.high / 4.0 - self.low / 4.0);
        let part = if part.is_finite() {
            part.clamp(0.0, 1.0)
        } else {
            0.5
        };
        (part * (self.dots - 1) as f64).round() as usize
    }
}

/// Round numbers that hold all values, and those that are named.
#[derive(Debug, PartialEq)]
struct Axis {
    low: f64,
    high: f64,
    ticks: Vec<f64>,
}

impl Axis {
    fn new(low: f64, high: f64) -> Self {
        let (low, high) = match low == high {
            true if low == 0.0 => (-1.0, 1.0),
            true => (low - low.abs() / 2.0, high + high.abs() / 2.0),
            false => (low, high),
        };
        let step = round_up((high / TICKS - low / TICKS).abs());
        let (first, last) = ((low / step).floor(), (high / step).ceil());
        let (rounded_low, rounded_high) = (first * step, last * step);
        if !(step.is_normal() && rounded_low.is_finite() && rounded_high.is_finite()) {
            return Self {
                low,
                high,
                ticks: vec![low, high],
            };
        }
        let count = (last - first) as usize;
        let ticks = (0..=count).map(|tick| shortened((first + tick as f64) * step));
        Self {
            low: rounded_low,
            high: rounded_high,
            ticks: ticks.collect(),
        }
    }
}

/// The next of 1, 2 and 5 with zeros.
fn round_up(x: f64) -> f64 {
    let unit = 10f64.powf(x.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * unit >= x);
    factor.unwrap_or(10.0) * unit
}

/// Without the digits that come of computing with tenths.
fn shortened(x: f64) -> f64 {
    format!("{x:.11e}").parse().unwrap_or(x)
}

pub(super) fn write(series: &[Series], when: When, width: usize, out: &mut impl Write) -> io::Result<()> {
    let curves: Vec<Curve<'_>> = series.iter().filter_map(curve).collect();
    let values = curves
        .iter()
        .flat_map(|curve| curve.points.iter().map(|point| point.1));
    let Some((low, high)) = ends(values) else {
        return writeln!(out, "nothing to draw");
    };
    let axis = Axis::new(low, high);
    let labels: Vec<String> = axis.ticks.iter().map(|tick| number::general(*tick)).collect();
    let gutter = labels
        .iter()
        .map(|label| label.chars().count())
        .max()
        .unwrap_or(0);
    // The axis takes a column, a space and the letters two.
    let columns = width.saturating_sub(gutter + 3).max(DOTS_WIDE);
    let values = Scale {
        low: axis.low,
        high: axis.high,
        dots: ROWS * DOTS_HIGH,
    };
    let (start_ms, end_ms, step_ms) = span(&curves, when);
    let moments = Scale {
        low: start_ms as f64,
        high: end_ms as f64,
        dots: columns * DOTS_WIDE,
    };
    let (canvas, letters) = draw(&curves, moments, values, step_ms);
    let row_of = |value: f64| (values.dots - 1 - values.dot(value)) / DOTS_HIGH;
    for (row, drawn) in canvas.rows().enumerate() {
        let tick = axis.ticks.iter().position(|tick| row_of(*tick) == row);
        let (label, edge) = tick.map_or(("", '│'), |tick| (labels[tick].as_str(), '┤'));
        let line = format!("{label:>gutter$}{edge}{drawn} {}", letters[row]);
        writeln!(out, "{}", line.trim_end())?;
    }
    write_times(gutter, columns, (start_ms, end_ms), out)?;
    write_legend(&curves, (start_ms, end_ms), step_ms, out)
}

fn curve(series: &Series) -> Option<Curve<'_>> {
    let finite = |(time_ms, point): &(i64, Point)| match point {
        Point::Float(value) if value.is_finite() => Some((*time_ms, *value)),
        _ => None,
    };
    let points: Vec<(i64, f64)> = series.points.iter().filter_map(finite).collect();
    (!points.is_empty()).then_some(Curve { series, points })
}

/// The least and the greatest.
fn ends(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |ends, value| {
        let (low, high) = ends.unwrap_or((value, value));
        Some((low.min(value), high.max(value)))
    })
}

/// First and last moment, and the step where there is one.
fn span(curves: &[Curve<'_>], when: When) -> (i64, i64, Option<i64>) {
    if let When::Range { start, end, step } = when {
        return (start, end, Some(step));
    }
    let times = || {
        curves
            .iter()
            .flat_map(|curve| curve.points.iter().map(|point| point.0))
    };
    (times().min().unwrap_or(0), times().max().unwrap_or(0), None)
}

/// The curves, and the letter of each row. A curve is broken where a step has no value.
fn draw(curves: &[Curve<'_>], moments: Scale, values: Scale, step_ms: Option<i64>) -> (Canvas, [char; ROWS]) {
    let mut canvas = Canvas::new(moments.dots / DOTS_WIDE, ROWS);
    let mut letters = [' '; ROWS];
    let dot = |point: (i64, f64)| {
        let y = values.dots - 1 - values.dot(point.1);
        (moments.dot(point.0 as f64), y)
    };
    for (index, curve) in curves.iter().enumerate() {
        let mut before: Option<(i64, f64)> = None;
        for point in &curve.points {
            let joins = |from: &(i64, f64)| step_ms.is_none_or(|step_ms| point.0 - from.0 <= step_ms);
            let from = before.filter(joins).unwrap_or(*point);
            canvas.line(dot(from), dot(*point));
            before = Some(*point);
        }
        if let (Some(letter), Some(last)) = (LETTERS.chars().nth(index), before) {
            let row = dot(last).1 / DOTS_HIGH;
            // Beside the row of another curve, rather than not at all.
            let near = [row, row + 1, row.wrapping_sub(1)];
            let free = near.into_iter().find(|row| letters.get(*row) == Some(&' '));
            if let Some(row) = free {
                letters[row] = letter;
            }
        }
    }
    (canvas, letters)
}

/// The line below the curves with a mark for each time that is named, and these times.
fn write_times(
    gutter: usize,
    columns: usize,
    (start_ms, end_ms): (i64, i64),
    out: &mut impl Write,
) -> io::Result<()> {
    let parts = (columns / TIME_WIDTH).max(1);
    let mut line: Vec<char> = vec!['─'; columns];
    let mut names = vec![' '; gutter + 1 + columns];
    for part in 0..=parts {
        let column = (columns - 1) * part / parts;
        let time_ms = start_ms + ((end_ms - start_ms) as i128 * part as i128 / parts as i128) as i64;
        let name = time_name(time_ms, end_ms - start_ms);
        line[column] = '┬';
        // In the middle below its mark, as far as there is space.
        let middle = (gutter + 1 + column).saturating_sub(name.len() / 2);
        let at = middle.min(names.len().saturating_sub(name.len()));
        for (place, character) in names[at..].iter_mut().zip(name.chars()) {
            *place = character;
        }
    }
    writeln!(out, "{:>gutter$}└{}", "", line.iter().collect::<String>())?;
    writeln!(out, "{}", names.iter().collect::<String>().trim_end())
}

/// What tells a time from the others of the range.
fn time_name(time_ms: i64, span_ms: i64) -> String {
    let shown = times::shown(time_ms - time_ms.rem_euclid(1000));
    let part = match span_ms {
        0..HOUR_MS => shown.get(11..19),
        HOUR_MS..=DAY_MS => shown.get(11..16),
        _ => shown.get(5..16),
    };
    part.unwrap_or(&shown).replace('T', " ")
}

fn write_legend(
    curves: &[Curve<'_>],
    (start_ms, end_ms): (i64, i64),
    step_ms: Option<i64>,
    out: &mut impl Write,
) -> io::Result<()> {
    let step = step_ms.map_or(String::new(), |ms| {
        format!(", every {} s", number::plain(ms as f64 / 1e3))
    });
    writeln!(
        out,
        "{} to {}{step}",
        times::shown(start_ms),
        times::shown(end_ms)
    )?;
    for (curve, letter) in curves.iter().zip(LETTERS.chars()) {
        let last = curve.points.last().map_or(0.0, |point| point.1);
        writeln!(
            out,
            "  {letter} {}  last {}",
            curve.series.metric,
            number::plain(last)
        )?;
    }
    if let more @ 1.. = curves.len().saturating_sub(LETTERS.len()) {
        writeln!(out, "  and {more} more")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_numbers() {
        let cases: &[(f64, f64, &[&str])] = &[
            (0.0, 1.0, &["0", "0.5", "1"]),
            (0.1, 0.7, &["0", "0.2", "0.4", "0.6", "0.8"]),
            (-3.0, 14.0, &["-5", "0", "5", "10", "15"]),
            (5.0, 5.0, &["2", "4", "6", "8"]),
            (0.0, 0.0, &["-1", "-0.5", "0", "0.5", "1"]),
            (1e6, 3e6, &["1e+06", "1.5e+06", "2e+06", "2.5e+06", "3e+06"]),
            (
                f64::MIN,
                f64::MAX,
                &["-1.7976931348623157e+308", "1.7976931348623157e+308"],
            ),
            (0.0, 5e-324, &["0", "5e-324"]),
        ];
        for (low, high, wanted) in cases {
            let axis = Axis::new(*low, *high);
            let names: Vec<String> = axis.ticks.iter().map(|tick| number::general(*tick)).collect();
            assert_eq!(names, *wanted, "{low} to {high}");
            assert!(axis.low <= *low && axis.high >= *high);
        }
    }

    #[test]
    fn numbers_have_dots() {
        let scale = |low, high| Scale { low, high, dots: 11 };
        assert_eq!(
            [0.0, 5.0, 10.0, 11.0, -1.0].map(|x| scale(0.0, 10.0).dot(x)),
            [0, 5, 10, 10, 0]
        );
        assert_eq!(scale(f64::MIN, f64::MAX).dot(0.0), 5);
        assert_eq!(scale(1.0, 1.0).dot(1.0), 5);
    }
}
