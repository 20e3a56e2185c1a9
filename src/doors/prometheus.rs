//! Prometheus' text format and OpenMetrics: one sample on each line, comments that say what a metric is.
//!
//! `up{job="a"} 1 1700000000000`. Times are milliseconds in the text format and seconds in OpenMetrics; one with a decimal point is
//! of seconds in both. A name that is not plain stands in quotes within the braces.

use super::line_labels::LineLabels;
use super::number::{float, seconds_ms, write_float, write_whole};
use super::words::Words;
use super::{Fault, Reader, Sink};
use crate::model::labels::{Labels, METRIC_NAME};
use crate::model::metadata::{Metadata, MetricType};
use crate::model::sample::STALE_NAN_BITS;
use std::ops::Range;

/// Reads the format line by line.
#[derive(Debug)]
pub(crate) struct Prometheus {
    is_open_metrics: bool,
    labels: LineLabels,
    exemplar: LineLabels,
    /// What the comments before say, of the metric of that name.
    metric: String,
    said: Metadata,
}

impl Prometheus {
    pub(crate) fn new(is_open_metrics: bool, extra: Vec<(String, String)>) -> Self {
        Self {
            is_open_metrics,
            labels: LineLabels::new(extra),
            exemplar: LineLabels::default(),
            metric: String::new(),
            said: Metadata::default(),
        }
    }

    /// Tells what the comments said.
    fn tell(&mut self, sink: &mut dyn Sink) {
        if self.said != Metadata::default() {
            sink.metadata(&self.metric, self.said.as_ref());
            self.said = Metadata::default();
        }
    }

    fn comment(&mut self, comment: &str, sink: &mut dyn Sink) {
        let mut words = Words::new(comment);
        let keyword = words.word();
        if !matches!(keyword, "HELP" | "TYPE" | "UNIT") {
            return;
        }
        words.skip_blanks();
        let mut name = String::new();
        let is_named = match words.take('"') {
            true => unquoted(&mut words, &mut name),
            false => {
                name.push_str(words.word());
                true
            }
        };
        if !is_named || name.is_empty() {
            return;
        }
        if name != self.metric {
            self.tell(sink);
            self.metric = name;
        }
        words.skip_blanks();
        match keyword {
            "TYPE" => self.said.metric_type = type_named(words.rest.trim_ascii()),
            "UNIT" => words.rest.trim_ascii().clone_into(&mut self.said.unit),
            _ => {
                self.said.help.clear();
                unescape(words.rest, &mut self.said.help);
            }
        }
    }

    fn time_ms(&self, text: &str) -> Option<i64> {
        match self.is_open_metrics || text.contains(['.', 'e', 'E']) {
            true => seconds_ms(text),
            false => text.parse().ok(),
        }
    }

    fn sample(&mut self, line: &str, sink: &mut dyn Sink) -> Result<(), Fault> {
        let mut words = Words::new(line);
        self.labels.clear();
        let name = words.until(|c| matches!(c, '{' | ' ' | '\t'));
        if !name.is_empty() {
            if !is_plain_name(name) {
                let message = format!("{name:?} is no plain name of a metric");
                let hint = r#"such a name stands in quotes within the braces: {"a.b",job="x"} 1"#;
                return Err(Fault::new("bad_name", message, hint));
            }
            self.labels.push(METRIC_NAME, name);
        }
        words.skip_blanks();
        if words.take('{') {
            braces(&mut words, &mut self.labels)?;
        }
        let text = words.word();
        let value = float(text).ok_or_else(|| no_number("value", text))?;
        words.skip_blanks();
        let mut time_ms = None;
        if !words.is_empty() && !words.rest.starts_with('#') {
            let text = words.word();
            time_ms = Some(self.time_ms(text).ok_or_else(|| no_time(text))?);
            words.skip_blanks();
        }
        let exemplar = self.exemplar(words)?;
        let series = self.labels.series()?;
        sink.sample(series, time_ms, value);
        if let Some((own, own_time_ms, value)) = exemplar {
            sink.exemplar(series, own, own_time_ms.or(time_ms), value);
        }
        Ok(())
    }

    /// `# {trace_id="x"} 0.5 1700000000.5` behind a sample.
    fn exemplar(&mut self, mut words: Words<'_>) -> Result<Option<(Labels, Option<i64>, f64)>, Fault> {
        if words.is_empty() {
            return Ok(None);
        }
        let begins = words.take('#') && {
            words.skip_blanks();
            words.take('{')
        };
        if !begins {
            let message = format!("{:?} stands behind the sample", words.rest);
            let hint = "a line has a series, a value, a time and in OpenMetrics an exemplar";
            return Err(Fault::new("bad_sample", message, hint));
        }
        self.exemplar.clear();
        braces(&mut words, &mut self.exemplar)?;
        let text = words.word();
        let value = float(text).ok_or_else(|| no_number("value of the exemplar", text))?;
        let text = words.word();
        let time_ms = match text {
            "" => None,
            text => Some(seconds_ms(text).ok_or_else(|| no_time(text))?),
        };
        Ok(Some((self.exemplar.owned()?, time_ms, value)))
    }
}

impl Reader for Prometheus {
    fn line(&mut self, line: &str, sink: &mut dyn Sink) -> Result<(), Fault> {
        let line = line.trim_matches([' ', '\t']);
        if line.is_empty() {
            return Ok(());
        }
        if let Some(comment) = line.strip_prefix('#') {
            self.comment(comment, sink);
            return Ok(());
        }
        self.tell(sink);
        self.sample(line, sink)
    }

    fn end(&mut self, sink: &mut dyn Sink) {
        self.tell(sink);
    }
}

fn no_number(what: &str, text: &str) -> Fault {
    let hint = "send a number, NaN, +Inf or -Inf";
    Fault::new("bad_value", format!("the {what} is no number: {text:?}"), hint)
}

fn no_time(text: &str) -> Fault {
    let hint = "send milliseconds since 1970, in OpenMetrics seconds";
    Fault::new("bad_timestamp", format!("the time is none: {text:?}"), hint)
}

fn bad_labels(message: &str) -> Fault {
    Fault::new(
        "bad_labels",
        message,
        r#"labels are written as {name="value",other="value"}"#,
    )
}

/// Reads labels up to the brace that ends them. A text in quotes without a value is the name of the metric.
fn braces(words: &mut Words<'_>, labels: &mut LineLabels) -> Result<(), Fault> {
    loop {
        words.skip_blanks();
        if words.take('}') {
            return Ok(());
        }
        let (name, is_quoted) = match words.take('"') {
            true => (quoted(words, labels)?, true),
            false => {
                let name = words.until(|c| matches!(c, '=' | ' ' | '\t' | ',' | '}' | '"'));
                (labels.put(name), false)
            }
        };
        words.skip_blanks();
        if words.take('=') {
            words.skip_blanks();
            if !words.take('"') {
                return Err(bad_labels("the value of a label does not stand in quotes"));
            }
            let value = quoted(words, labels)?;
            if !is_quoted && !is_plain_label(labels.shown(&name)) {
                return Err(bad_labels("a name that is not plain does not stand in quotes"));
            }
            labels.push_ranges(name, value);
        } else if is_quoted {
            let key = labels.put(METRIC_NAME);
            labels.push_ranges(key, name);
        } else {
            return Err(bad_labels("a label has no value"));
        }
        words.skip_blanks();
        if !words.take(',') && !words.rest.starts_with('}') {
            return Err(bad_labels("the labels do not end"));
        }
    }
}

/// Reads what follows a quote, up to the next one.
fn quoted(words: &mut Words<'_>, labels: &mut LineLabels) -> Result<Range<usize>, Fault> {
    let from = labels.text().len();
    match unquoted(words, labels.text()) {
        true => Ok(labels.taken(from)),
        false => Err(bad_labels("a text in quotes does not end")),
    }
}

fn unquoted(words: &mut Words<'_>, out: &mut String) -> bool {
    let mut end = 0;
    let bytes = words.rest.as_bytes();
    loop {
        let found = memchr::memchr2(b'"', b'\\', bytes.get(end..).unwrap_or_default());
        let Some(found) = found else { return false };
        end += found;
        if bytes.get(end) == Some(&b'"') {
            break;
        }
        end += 2;
    }
    let text = words.rest.get(..end).unwrap_or("");
    unescape(text, out);
    words.rest = words.rest.get(end + 1..).unwrap_or("");
    true
}

/// A backslash stands before an `n` for a line feed, before a quote and before a backslash; before anything else it is one.
fn unescape(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('\\') {
        out.push_str(before);
        let mut characters = behind.chars();
        match characters.next() {
            Some('n') => out.push('\n'),
            Some(c @ ('"' | '\\')) => out.push(c),
            Some(c) => out.extend(['\\', c]),
            None => out.push('\\'),
        }
        rest = characters.as_str();
    }
    out.push_str(rest);
}

fn type_named(name: &str) -> MetricType {
    let known = (0..=7).filter_map(MetricType::from_u8);
    let mut known = known.filter(|one| one.as_str() == name);
    known.next().unwrap_or_default()
}

fn is_plain_label(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty() && name.chars().all(is_plain)
}

/// Whether the name of a metric needs no quotes.
pub(crate) fn is_plain_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty() && name.chars().all(is_plain)
}

/// Writes samples of a series in the text format, one on each line. Stale markers, which it has no words for, are left out;
/// returns how many.
pub(crate) fn write(out: &mut Vec<u8>, labels: &Labels, samples: &[(i64, u64)]) -> usize {
    let from = out.len();
    series(out, labels);
    let head = out.split_off(from);
    let mut left_out = 0;
    for (time_ms, bits) in samples {
        if *bits == STALE_NAN_BITS {
            left_out += 1;
            continue;
        }
        out.extend_from_slice(&head);
        write_float(out, f64::from_bits(*bits));
        out.push(b' ');
        write_whole(out, *time_ms);
        out.push(b'\n');
    }
    left_out
}

/// The series and a blank.
fn series(out: &mut Vec<u8>, labels: &Labels) {
    let name = labels.metric_name();
    let is_plain = is_plain_name(name);
    if is_plain {
        out.extend_from_slice(name.as_bytes());
    }
    out.push(b'{');
    if !is_plain {
        quote(out, name);
    }
    let own = labels.iter().filter(|pair| pair.0 != METRIC_NAME);
    for (place, (name, value)) in own.enumerate() {
        if place > 0 || !is_plain {
            out.push(b',');
        }
        match is_plain_label(name) {
            true => out.extend_from_slice(name.as_bytes()),
            false => quote(out, name),
        }
        out.push(b'=');
        quote(out, value);
    }
    out.extend_from_slice(b"} ");
}

/// Writes a text in quotes.
pub(crate) fn quote(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'"' => out.extend_from_slice(b"\\\""),
            b'\n' => out.extend_from_slice(b"\\n"),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests;
