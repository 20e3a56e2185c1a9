//! InfluxDB's line protocol: `cpu,host=a usage=0.5,idle=99i 1700000000000000000`.
//!
//! Each field is a series, `cpu_usage{host="a"}`, as VictoriaMetrics names them by default, so that who moves from either finds the
//! same names. Whole numbers and truths become floats. Texts are no samples and are left out.

use super::line_labels::LineLabels;
use super::number::float;
use super::quotes::{self, Plain, Quotes};
use super::{Fault, Reader, SERIES_BYTES_MAX, Sink};
use crate::model::labels::METRIC_NAME;
use std::ops::Range;

const HINT: &str = "send measurement,tag=value field=1.5 1700000000000000000";

/// What the times of a request are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precision {
    Nanoseconds,
    Microseconds,
    Milliseconds,
    Seconds,
    Minutes,
    Hours,
}

impl Precision {
    pub(crate) const NAMES: &'static str = "ns, us, ms, s, m or h";

    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "n" | "ns" => Self::Nanoseconds,
            "u" | "us" | "\u{b5}" | "\u{b5}s" => Self::Microseconds,
            "ms" => Self::Milliseconds,
            "s" => Self::Seconds,
            "m" => Self::Minutes,
            "h" => Self::Hours,
            _ => return None,
        })
    }

    /// What a time of that size is most likely in.
    fn suggested(time: i64) -> Self {
        match time.unsigned_abs() {
            0..100_000_000_000 => Self::Seconds,
            100_000_000_000..100_000_000_000_000 => Self::Milliseconds,
            100_000_000_000_000..100_000_000_000_000_000 => Self::Microseconds,
            _ => Self::Nanoseconds,
        }
    }

    fn to_ms(self, time: i64) -> Option<i64> {
        match self {
            Self::Nanoseconds => Some(time.div_euclid(1_000_000)),
            Self::Microseconds => Some(time.div_euclid(1000)),
            Self::Milliseconds => Some(time),
            Self::Seconds => time.checked_mul(1000),
            Self::Minutes => time.checked_mul(60_000),
            Self::Hours => time.checked_mul(3_600_000),
        }
    }
}

/// Reads line protocol.
#[derive(Debug)]
pub(crate) struct Influx {
    precision: Option<Precision>,
    /// The value of the label `db` of lines that have none of their own.
    database: String,
    labels: LineLabels,
    fields: Vec<(Range<usize>, f64)>,
    plain: Plain,
}

impl Influx {
    pub(crate) fn new(precision: Option<Precision>, database: &str, extra: Vec<(String, String)>) -> Self {
        Self {
            precision,
            database: database.to_owned(),
            labels: LineLabels::new(extra),
            fields: Vec::new(),
            plain: Plain::default(),
        }
    }

    /// Reads tags up to the blank that ends them.
    fn tags(&mut self, mut rest: &str) -> Result<(), Fault> {
        while let Some(tag) = rest.strip_prefix(',') {
            let end = unescaped_end(tag, b", ");
            let (text, behind) = split(tag, end);
            rest = behind;
            let at = unescaped_end(text, b"=");
            let (name, value) = split(text, at);
            let Some(value) = value.strip_prefix('=') else {
                return Err(bad(format!("the tag {text:?} has no value")));
            };
            if name == METRIC_NAME {
                return Err(bad("the tag __name__ is taken: it is the name of the series"));
            }
            let name = self.unescape(name);
            let value = self.unescape(value);
            self.labels.push_ranges(name, value);
        }
        Ok(())
    }

    fn unescape(&mut self, text: &str) -> Range<usize> {
        let out = self.labels.text();
        let from = out.len();
        unescape(text, out);
        self.labels.taken(from)
    }

    /// Reads fields; returns how many are texts.
    fn fields(&mut self, text: &str) -> Result<usize, Fault> {
        let (mut rest, mut texts) = (text, 0);
        loop {
            let at = unescaped_end(rest, b"=");
            let (name, value) = split(rest, at);
            let Some(value) = value.strip_prefix('=') else {
                return Err(bad(format!("the field {name:?} has no value")));
            };
            if name.is_empty() {
                return Err(bad("a field has no name"));
            }
            let name = self.unescape(name);
            let behind = match value.strip_prefix('"') {
                Some(quoted) => {
                    texts += 1;
                    let end = closing_quote(quoted).ok_or_else(|| bad("a text in quotes does not end"))?;
                    split(quoted, end + 1).1
                }
                None => {
                    let (number, behind) = split(value, value.find(',').unwrap_or(value.len()));
                    let number = field_value(number).ok_or_else(|| {
                        let field = self.labels.shown(&name);
                        let hint = "a field is a number, 5i, 5u, true, false or a text in quotes";
                        Fault::new("bad_value", format!("the field {field:?} is {number:?}"), hint)
                    })?;
                    self.fields.push((name, number));
                    behind
                }
            };
            match behind.strip_prefix(',') {
                Some(behind) => rest = behind,
                None if behind.is_empty() => return Ok(texts),
                None => return Err(bad(format!("{behind:?} stands behind a text in quotes"))),
            }
        }
    }

    fn time_ms(&self, text: &str) -> Result<Option<i64>, Fault> {
        if text.is_empty() {
            return Ok(None);
        }
        let time_ms = text.parse().ok().and_then(|time: i64| {
            let precision = self.precision.unwrap_or_else(|| Precision::suggested(time));
            precision.to_ms(time)
        });
        let fault = || {
            let hint = "a time is a whole number; the parameter precision says of what";
            Fault::new("bad_timestamp", format!("{text:?} is no time"), hint)
        };
        time_ms.map(Some).ok_or_else(fault)
    }
}

impl Reader for Influx {
    /// A text in quotes may have line feeds.
    fn line_end(&self, text: &[u8], is_end: bool) -> Option<usize> {
        quotes::line_end::<FieldQuotes>(text, is_end, &self.plain)
    }

    fn line(&mut self, line: &str, sink: &mut dyn Sink) -> Result<(), Fault> {
        let line = line.trim_matches(' ');
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        self.labels.clear();
        self.fields.clear();
        let (series, rest) = split(line, unescaped_end(line, b" "));
        let (measurement, tags) = split(series, unescaped_end(series, b","));
        let measurement = self.unescape(measurement);
        self.tags(tags)?;
        if !self.database.is_empty() && self.labels.get("db").is_none() {
            self.labels.push("db", &self.database);
        }
        let rest = rest.trim_start_matches(' ');
        let (fields, time) = split(rest, fields_end(rest));
        let texts = self.fields(fields)?;
        let time_ms = self.time_ms(time.trim_matches(' '))?;
        let series_bytes = self.labels.byte_len() + measurement.len();
        if series_bytes.saturating_mul(self.fields.len()) > SERIES_BYTES_MAX {
            let fields = self.fields.len();
            return Err(bad(format!(
                "{fields} fields with tags of {series_bytes} bytes each are too much for a line"
            )));
        }
        let key = self.labels.put(METRIC_NAME);
        let end = self.labels.text().len();
        for (field, value) in &self.fields {
            let name = named(&mut self.labels, &measurement, field);
            self.labels.push_ranges(key.clone(), name);
            sink.sample(self.labels.series()?, time_ms, *value);
            self.labels.pop(end);
        }
        (0..texts).for_each(|_| sink.left_out());
        Ok(())
    }
}

/// The name of the series of a field.
fn named(labels: &mut LineLabels, measurement: &Range<usize>, field: &Range<usize>) -> Range<usize> {
    let from = labels.text().len();
    labels.copy(measurement);
    if !measurement.is_empty() {
        labels.text().push('_');
    }
    labels.copy(field);
    labels.taken(from)
}

fn bad(message: impl Into<String>) -> Fault {
    Fault::new("bad_line", message, HINT)
}

fn split(text: &str, at: usize) -> (&str, &str) {
    text.split_at_checked(at).unwrap_or((text, ""))
}

/// The place of the first of `ends` that no backslash stands before.
fn unescaped_end(text: &str, ends: &[u8]) -> usize {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            byte if ends.contains(&byte) => return at,
            _ => {}
        }
    }
    text.len()
}

/// The place of the blank behind the fields: none that stands in quotes or behind a backslash.
fn fields_end(text: &str) -> usize {
    let mut quotes = FieldQuotes {
        is_field: true,
        ..FieldQuotes::default()
    };
    for (at, byte) in text.bytes().enumerate() {
        if byte == b' ' && !quotes.is_quoted && !quotes.is_escaped {
            return at;
        }
        quotes.feed(byte);
    }
    text.len()
}

/// Only values of fields stand in quotes, which follow the equals sign; elsewhere quotes are letters.
#[derive(Default)]
struct FieldQuotes {
    has_begun: bool,
    is_comment: bool,
    is_escaped: bool,
    is_field: bool,
    is_value: bool,
    is_quoted: bool,
}

impl Quotes for FieldQuotes {
    fn feed(&mut self, byte: u8) {
        let was_value = std::mem::take(&mut self.is_value);
        match byte {
            b' ' if !self.has_begun && !self.is_field => return,
            b'#' if !self.has_begun && !self.is_field => self.is_comment = true,
            _ if self.is_escaped => self.is_escaped = false,
            b'\\' => self.is_escaped = true,
            b'"' if self.is_quoted => self.is_quoted = false,
            b'"' => self.is_quoted = was_value,
            b'=' => self.is_value = self.is_field && !self.is_quoted && !self.is_comment,
            b' ' => self.is_field = true,
            _ => {}
        }
        self.has_begun = true;
    }

    fn is_open(&self) -> bool {
        self.is_quoted
    }
}

/// The place of the quote that ends a text.
fn closing_quote(text: &str) -> Option<usize> {
    let end = unescaped_end(text, b"\"");
    (end < text.len()).then_some(end)
}

/// A backslash before a blank, a comma, an equals sign or a backslash is none.
fn unescape(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('\\') {
        out.push_str(before);
        rest = behind;
        let mut characters = behind.chars();
        match characters.next() {
            Some(c @ (' ' | ',' | '=' | '\\')) => {
                out.push(c);
                rest = characters.as_str();
            }
            _ => out.push('\\'),
        }
    }
    out.push_str(rest);
}

fn field_value(text: &str) -> Option<f64> {
    match text {
        "t" | "T" | "true" | "True" | "TRUE" => return Some(1.0),
        "f" | "F" | "false" | "False" | "FALSE" => return Some(0.0),
        _ => {}
    }
    if let Some(whole) = text.strip_suffix('i') {
        return whole.parse::<i64>().ok().map(|value| value as f64);
    }
    match text.strip_suffix('u') {
        Some(whole) => whole.parse::<u64>().ok().map(|value| value as f64),
        None => float(text),
    }
}

#[cfg(test)]
mod tests;
