//! Answers for people: a table of series, values and times; of a range a block for each series.

use super::answer::{Point, Value};
use super::{number, times};
use std::io::{self, Write};

pub(super) fn write(value: &Value, out: &mut impl Write) -> io::Result<()> {
    match value {
        Value::Scalar(time_ms, value) => rows(&[[number::plain(*value), times::shown(*time_ms)]], out),
        Value::Text(time_ms, text) => rows(&[[text.clone(), times::shown(*time_ms)]], out),
        Value::Vector(samples) if samples.is_empty() => writeln!(out, "no series"),
        Value::Matrix(series) if series.is_empty() => writeln!(out, "no series"),
        Value::Vector(samples) => {
            let head = ["SERIES", "VALUE", "TIME"].map(str::to_owned);
            let cells = samples.iter().map(|sample| {
                let time = times::shown(sample.time_ms);
                [sample.metric.to_string(), sample.point.to_string(), time]
            });
            rows(&[head].into_iter().chain(cells).collect::<Vec<_>>(), out)
        }
        Value::Matrix(series) => {
            for (index, series) in series.iter().enumerate() {
                if index > 0 {
                    writeln!(out)?;
                }
                writeln!(out, "{}", series.metric)?;
                let cells = |(time_ms, point): &(i64, Point)| {
                    [format!("  {}", times::shown(*time_ms)), point.to_string()]
                };
                rows(&series.points.iter().map(cells).collect::<Vec<_>>(), out)?;
            }
            Ok(())
        }
    }
}

/// Columns that are as wide as what is in them; the last one ends as it does.
fn rows<const N: usize>(rows: &[[String; N]], out: &mut impl Write) -> io::Result<()> {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in rows {
        let padded = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        let line = padded.collect::<Vec<_>>().join("  ");
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}
