//! Answers as CSV by RFC 4180: a line for each sample, with a column for each label name.

use super::answer::{Metric, Point, Value};
use super::{number, times};
use std::collections::BTreeSet;
use std::io::{self, Write};

pub(super) fn write(value: &Value, out: &mut impl Write) -> io::Result<()> {
    let none = Metric::default();
    let mut lines: Vec<(&Metric, i64, String)> = Vec::new();
    match value {
        Value::Scalar(time_ms, value) => lines.push((&none, *time_ms, number::plain(*value))),
        Value::Text(time_ms, text) => lines.push((&none, *time_ms, text.clone())),
        Value::Vector(samples) => lines.extend(
            samples
                .iter()
                .map(|sample| (&sample.metric, sample.time_ms, sample.point.to_string())),
        ),
        Value::Matrix(series) => {
            for series in series {
                let line = |(time_ms, point): &(i64, Point)| (&series.metric, *time_ms, point.to_string());
                lines.extend(series.points.iter().map(line));
            }
        }
    }
    let names: BTreeSet<&str> = lines
        .iter()
        .flat_map(|line| line.0.0.iter().map(|label| label.0.as_str()))
        .collect();
    let head = names.iter().copied().chain(["timestamp", "value"]);
    write_line(head.map(str::to_owned), out)?;
    for (metric, time_ms, value) in lines {
        let labels = names.iter().map(|name| metric.get(name).to_owned());
        write_line(labels.chain([times::shown(time_ms), value]), out)?;
    }
    Ok(())
}

fn write_line(fields: impl Iterator<Item = String>, out: &mut impl Write) -> io::Result<()> {
    let fields: Vec<String> = fields.map(|field| quoted(&field)).collect();
    write!(out, "{}\r\n", fields.join(","))
}

/// In quotes where the field would not be read back otherwise.
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}
