//! CSV with a map of its columns in the words of VictoriaMetrics: `2:metric:ask,3:metric:bid,1:label:ticker,4:time:unix_s`.
//!
//! Columns count from 1; those that the map does not name are passed over. A cell in double quotes may have commas, line feeds and,
//! twice, quotes. A first line in which no metric is a number is taken for a head.

use super::line_labels::LineLabels;
use super::number::{float, seconds_ms, write_float, write_rfc3339, write_seconds, write_whole};
use super::quotes::{self, Plain, Quotes};
use super::{Fault, Reader, SERIES_BYTES_MAX, Sink};
use crate::base::civil::rfc3339_ms;
use crate::model::labels::{Labels, METRIC_NAME};
use crate::model::sample::STALE_NAN_BITS;
use std::borrow::Cow;

/// More columns have no names.
const COLUMNS_MAX: usize = 10_000;
/// About what a number takes.
const NUMBER_BYTES: usize = 20;
/// Columns that are written.
const WRITTEN_MAX: usize = 1_000;

/// How a column has times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeFormat {
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
    Rfc3339,
}

impl TimeFormat {
    fn named(name: &str) -> Result<Self, String> {
        Ok(match name {
            "unix_s" => Self::Seconds,
            "unix_ms" => Self::Milliseconds,
            "unix_us" => Self::Microseconds,
            "unix_ns" => Self::Nanoseconds,
            "rfc3339" => Self::Rfc3339,
            _ => {
                return Err(format!(
                    "the format of time {name:?} is not one of unix_s, unix_ms, unix_us, unix_ns and rfc3339"
                ));
            }
        })
    }

    fn read_ms(self, text: &str) -> Option<i64> {
        let whole = |per_ms: i64| text.parse().ok().map(|time: i64| time.div_euclid(per_ms));
        match self {
            Self::Seconds => seconds_ms(text),
            Self::Milliseconds => whole(1),
            Self::Microseconds => whole(1000),
            Self::Nanoseconds => whole(1_000_000),
            Self::Rfc3339 => rfc3339_ms(text),
        }
    }

    fn write(self, out: &mut Vec<u8>, time_ms: i64) {
        let zeros: &[u8] = match self {
            Self::Seconds => return write_seconds(out, time_ms),
            Self::Rfc3339 => return write_rfc3339(out, time_ms),
            Self::Milliseconds => b"",
            Self::Microseconds => b"000",
            Self::Nanoseconds => b"000000",
        };
        write_whole(out, time_ms);
        if time_ms != 0 {
            out.extend_from_slice(zeros);
        }
    }
}

/// What a column has.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Column {
    Nothing,
    Metric(String),
    Label(String),
    Time(TimeFormat),
}

/// Which column has what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnMap(Vec<Column>);

impl ColumnMap {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut columns = Vec::new();
        for part in text.split(',') {
            let mut words = part.splitn(3, ':').map(str::trim);
            let (Some(place), Some(kind), Some(name)) = (words.next(), words.next(), words.next()) else {
                return Err(format!(
                    "{part:?} is none of number:metric:name, number:label:name and number:time:format"
                ));
            };
            let place = place
                .parse()
                .ok()
                .filter(|place| (1..=COLUMNS_MAX).contains(place));
            let Some(place) = place else {
                return Err(format!(
                    "{part:?} does not begin with the number of a column, from 1"
                ));
            };
            let column = match kind {
                "metric" | "label" if name.is_empty() => return Err(format!("{part:?} has no name")),
                "metric" => Column::Metric(name.to_owned()),
                "label" => Column::Label(name.to_owned()),
                "time" => Column::Time(TimeFormat::named(name)?),
                _ => return Err(format!("{kind:?} is none of metric, label and time")),
            };
            if columns.len() < place {
                columns.resize(place, Column::Nothing);
            }
            match columns.get_mut(place - 1) {
                Some(free @ Column::Nothing) => *free = column,
                _ => return Err(format!("the column {place} stands twice")),
            }
        }
        let times = columns.iter().filter(|column| matches!(column, Column::Time(_)));
        if times.count() > 1 {
            return Err("there is more than one column of times".to_owned());
        }
        match columns.iter().any(|column| matches!(column, Column::Metric(_))) {
            true => Ok(Self(columns)),
            false => Err("there is no column of a metric".to_owned()),
        }
    }
}

/// Reads CSV.
#[derive(Debug)]
pub(crate) struct Csv {
    map: ColumnMap,
    labels: LineLabels,
    /// Metrics of a line with their values, by column.
    values: Vec<(usize, f64)>,
    is_first: bool,
    plain: Plain,
}

impl Csv {
    pub(crate) fn new(map: ColumnMap, extra: Vec<(String, String)>) -> Self {
        Self {
            map,
            labels: LineLabels::new(extra),
            values: Vec::new(),
            is_first: true,
            plain: Plain::default(),
        }
    }

    /// Reads the cells of a line; its time, if it has one.
    fn cells(&mut self, line: &str) -> Result<Option<i64>, Fault> {
        let (mut rest, mut time_ms) = (Some(line), None);
        for (place, column) in self.map.0.iter().enumerate() {
            let Some(text) = rest else {
                let message = format!(
                    "there are {place} columns and the format names {}",
                    self.map.0.len()
                );
                return Err(Fault::new(
                    "bad_line",
                    message,
                    "send a cell for each column, if only an empty one",
                ));
            };
            let (cell, behind) = cell(text)?;
            rest = behind;
            match column {
                Column::Nothing => {}
                Column::Metric(_) | Column::Label(_) if cell.is_empty() => {}
                Column::Metric(name) => {
                    let value = float(&cell).ok_or_else(|| {
                        let message = format!("column {} ({name}) is no number: {cell:?}", place + 1);
                        Fault::new(
                            "bad_value",
                            message,
                            "a metric is a number, or empty to leave it out",
                        )
                    })?;
                    self.values.push((place, value));
                }
                Column::Label(name) => self.labels.push(name, &cell),
                Column::Time(format) => {
                    let read = format.read_ms(&cell).ok_or_else(|| {
                        let message = format!("column {} is no time: {cell:?}", place + 1);
                        Fault::new(
                            "bad_timestamp",
                            message,
                            "the format says how the times are written",
                        )
                    })?;
                    time_ms = Some(read);
                }
            }
        }
        Ok(time_ms)
    }

    fn is_head(&self, line: &str) -> bool {
        let mut rest = Some(line);
        for column in &self.map.0 {
            let Some(Ok((cell, behind))) = rest.map(cell) else {
                return false;
            };
            rest = behind;
            if matches!(column, Column::Metric(_)) && (cell.is_empty() || float(&cell).is_some()) {
                return false;
            }
        }
        true
    }
}

impl Reader for Csv {
    /// A cell in quotes may have line feeds.
    fn line_end(&self, text: &[u8], is_end: bool) -> Option<usize> {
        quotes::line_end::<CellQuotes>(text, is_end, &self.plain)
    }

    fn line(&mut self, line: &str, sink: &mut dyn Sink) -> Result<(), Fault> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        if std::mem::take(&mut self.is_first) && self.is_head(line) {
            return Ok(());
        }
        self.labels.clear();
        self.values.clear();
        let time_ms = self.cells(line)?;
        let is_named = self.labels.get(METRIC_NAME).is_some_and(|name| !name.is_empty());
        let series_bytes = self.labels.byte_len();
        if series_bytes.saturating_mul(self.values.len()) > SERIES_BYTES_MAX {
            let values = self.values.len();
            let message = format!("{values} metrics with labels of {series_bytes} bytes each");
            let hint = "send fewer metrics on a line";
            return Err(Fault::new("line_too_large", message, hint));
        }
        let end = self.labels.text().len();
        for (place, value) in &self.values {
            if let (false, Some(Column::Metric(name))) = (is_named, self.map.0.get(*place)) {
                self.labels.push(METRIC_NAME, name);
            }
            let judged = self.labels.series();
            judged.map(|series| sink.sample(series, time_ms, *value))?;
            if !is_named {
                self.labels.pop(end);
            }
        }
        Ok(())
    }
}

/// Quotes begin where a cell does; two of them within are one.
#[derive(Default)]
struct CellQuotes {
    is_inside: bool,
    is_quoted: bool,
}

impl Quotes for CellQuotes {
    fn feed(&mut self, byte: u8) {
        match byte {
            // The end of the quotes, or the first of two.
            b'"' if self.is_quoted => self.is_quoted = false,
            b'"' if !self.is_inside => self.is_quoted = true,
            b',' if !self.is_quoted => self.is_inside = false,
            _ if !self.is_quoted => self.is_inside = true,
            _ => {}
        }
    }

    fn is_open(&self) -> bool {
        self.is_quoted
    }
}

/// The first cell, and what comes behind its comma if there is one.
fn cell(text: &str) -> Result<(Cow<'_, str>, Option<&str>), Fault> {
    let Some(quoted) = text.strip_prefix('"') else {
        return Ok(match text.split_once(',') {
            Some((cell, rest)) => (Cow::Borrowed(cell), Some(rest)),
            None => (Cow::Borrowed(text), None),
        });
    };
    let bad = |message: &str| {
        Fault::new(
            "bad_line",
            message,
            r#"a cell with a comma or a quote is written as "a ""b"", c""#,
        )
    };
    let mut end = 0;
    let mut has_quotes = false;
    loop {
        let rest = quoted.get(end..).unwrap_or("");
        end += rest
            .find('"')
            .ok_or_else(|| bad("a cell in quotes does not end"))?;
        match quoted.get(end + 1..).is_some_and(|rest| rest.starts_with('"')) {
            true => end += 2,
            false => break,
        }
        has_quotes = true;
    }
    let inside = quoted.get(..end).unwrap_or("");
    let cell = match has_quotes {
        true => Cow::Owned(inside.replace("\"\"", "\"")),
        false => Cow::Borrowed(inside),
    };
    match quoted.get(end + 1..).unwrap_or("") {
        "" => Ok((cell, None)),
        rest => match rest.strip_prefix(',') {
            Some(rest) => Ok((cell, Some(rest))),
            None => Err(bad("something stands between a quote and the next comma")),
        },
    }
}

/// A column that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Written {
    Label(String),
    Value,
    Time(TimeFormat),
}

/// The columns that are written: `__name__,job,__value__,__timestamp__:unix_ms`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Columns {
    head: String,
    columns: Vec<Written>,
}

impl Columns {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let column = |part: &str| match part.split_once(':').unwrap_or((part, "unix_ms")) {
            ("__value__", _) => Ok(Written::Value),
            ("__timestamp__", format) => TimeFormat::named(format).map(Written::Time),
            _ if part.is_empty() => Err("a column has no name".to_owned()),
            _ => Ok(Written::Label(part.to_owned())),
        };
        if text.split(',').count() > WRITTEN_MAX {
            return Err(format!("there are more than {WRITTEN_MAX} columns"));
        }
        Ok(Self {
            head: text.to_owned(),
            columns: text
                .split(',')
                .map(|part| column(part.trim()))
                .collect::<Result<_, _>>()?,
        })
    }

    /// About what a row of a series takes.
    pub(crate) fn row_bytes(&self, labels: &Labels) -> usize {
        let bytes = |column: &Written| match column {
            Written::Label(name) => labels.get(name).map_or(1, str::len),
            Written::Value | Written::Time(_) => NUMBER_BYTES,
        };
        self.columns.iter().map(bytes).sum()
    }

    /// Writes the names of the columns.
    pub(crate) fn write_head(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.head.as_bytes());
        out.push(b'\n');
    }

    /// Writes samples of a series, one on each line. Stale markers, which are no numbers, are left out; returns how many.
    pub(crate) fn write(&self, out: &mut Vec<u8>, labels: &Labels, samples: &[(i64, u64)]) -> usize {
        let mut left_out = 0;
        for (time_ms, bits) in samples {
            if *bits == STALE_NAN_BITS {
                left_out += 1;
                continue;
            }
            for (place, column) in self.columns.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                match column {
                    Written::Label(name) => write_cell(out, labels.get(name).unwrap_or("")),
                    Written::Value => write_float(out, f64::from_bits(*bits)),
                    Written::Time(format) => format.write(out, *time_ms),
                }
            }
            out.push(b'\n');
        }
        left_out
    }
}

fn write_cell(out: &mut Vec<u8>, text: &str) {
    if !text.contains([',', '"', '\n', '\r']) {
        return out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
    out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}

#[cfg(test)]
mod tests;
