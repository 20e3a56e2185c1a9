//! The answer to a query, wherever it comes from.

use super::number;
use narthex::{FloatHistogram, Labels, QueryAnswer, QueryPoint, QueryValue};
use std::fmt::{self, Write as _};

/// What is said when there were more series than asked for; Prometheus' words.
const TRUNCATED: &str = "results truncated due to limit";
const METRIC_NAME: &str = "__name__";

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) value: Value,
    pub(super) warnings: Vec<String>,
    pub(super) infos: Vec<String>,
}

/// Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Scalar(i64, f64),
    Text(i64, String),
    Vector(Vec<Sample>),
    Matrix(Vec<Series>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    pub(super) metric: Metric,
    pub(super) time_ms: i64,
    pub(super) point: Point,
}

/// Floats and histograms together, by time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Series {
    pub(super) metric: Metric,
    pub(super) points: Vec<(i64, Point)>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Point {
    Float(f64),
    Histogram(Histogram),
}

/// A native histogram as answers have it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Histogram {
    pub(super) count: f64,
    pub(super) sum: f64,
    /// Which edges belong to it (0 the upper one, 1 the lower one, 2 none, 3 both), lower and upper edge, count.
    pub(super) buckets: Vec<(u8, f64, f64, f64)>,
}

/// The labels of a series, by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Metric(pub(super) Vec<(String, String)>);

impl Metric {
    pub(super) fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|label| label.0 == name);
        found.map_or("", |label| &label.1)
    }
}

impl From<&Labels> for Metric {
    fn from(labels: &Labels) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self(labels.iter().map(owned).collect())
    }
}

/// As Prometheus writes a series: `up{job="api"}`, and names that need quotes within the braces.
impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.get(METRIC_NAME);
        let is_plain = is_plain(name, true);
        let mut inside = Vec::new();
        if !name.is_empty() && !is_plain {
            inside.push(quoted(name));
        }
        for (label, value) in self.0.iter().filter(|label| label.0 != METRIC_NAME) {
            let label = if is_plain_label(label) {
                label.clone()
            } else {
                quoted(label)
            };
            inside.push(format!("{label}={}", quoted(value)));
        }
        if is_plain {
            f.write_str(name)?;
            if inside.is_empty() {
                return Ok(());
            }
        }
        write!(f, "{{{}}}", inside.join(", "))
    }
}

fn is_plain_label(name: &str) -> bool {
    is_plain(name, false)
}

/// Whether a name needs no quotes; only names of metrics may have colons.
fn is_plain(name: &str, with_colons: bool) -> bool {
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_' || (with_colons && c == ':');
    let mut characters = name.chars();
    characters.next().is_some_and(is_letter) && characters.all(|c| is_letter(c) || c.is_ascii_digit())
}

fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control.is_control() => {
                let code = u32::from(control);
                // Writing to a string does not fail.
                let _ = match code {
                    0..0x80 => write!(out, "\\x{code:02x}"),
                    _ => write!(out, "\\u{code:04x}"),
                };
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float(value) => f.write_str(&number::plain(*value)),
            Self::Histogram(histogram) => histogram.fmt(f),
        }
    }
}

/// `{count:3, sum:2.5, [-1,1]:1, (1,2]:2}`
impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, sum) = (number::general(self.count), number::general(self.sum));
        write!(f, "{{count:{count}, sum:{sum}")?;
        for (edges, lower, upper, count) in &self.buckets {
            let open = if matches!(edges, 1 | 3) { '[' } else { '(' };
            let close = if matches!(edges, 0 | 3) { ']' } else { ')' };
            let [lower, upper, count] = [lower, upper, count].map(|x| number::general(*x));
            write!(f, ", {open}{lower},{upper}{close}:{count}")?;
        }
        f.write_str("}")
    }
}

impl From<&FloatHistogram> for Histogram {
    fn from(histogram: &FloatHistogram) -> Self {
        Self {
            count: histogram.count,
            sum: histogram.sum,
            buckets: histogram.json_buckets().collect(),
        }
    }
}

impl From<QueryAnswer> for Answer {
    fn from(answer: QueryAnswer) -> Self {
        let value = match answer.value {
            QueryValue::Scalar { timestamp_ms, value } => Value::Scalar(timestamp_ms, value),
            QueryValue::String { timestamp_ms, value } => Value::Text(timestamp_ms, value),
            QueryValue::Vector(samples) => Value::Vector(
                samples
                    .iter()
                    .map(|sample| Sample {
                        metric: Metric::from(&sample.labels),
                        time_ms: sample.timestamp_ms,
                        point: match &sample.value {
                            QueryPoint::Float(value) => Point::Float(*value),
                            QueryPoint::Histogram(value) => Point::Histogram(Histogram::from(&**value)),
                        },
                    })
                    .collect(),
            ),
            QueryValue::Matrix(series) => Value::Matrix(
                series
                    .iter()
                    .map(|series| {
                        let floats = series
                            .floats
                            .iter()
                            .map(|(at, value)| (*at, Point::Float(*value)));
                        let histograms = series.histograms.iter();
                        let histograms =
                            histograms.map(|(at, value)| (*at, Point::Histogram(Histogram::from(&**value))));
                        Series::new(Metric::from(&series.labels), floats.chain(histograms).collect())
                    })
                    .collect(),
            ),
        };
        Self {
            value,
            warnings: answer.warnings,
            infos: answer.infos,
        }
    }
}

impl Series {
    pub(super) fn new(metric: Metric, mut points: Vec<(i64, Point)>) -> Self {
        points.sort_by_key(|point| point.0);
        Self { metric, points }
    }
}

impl Answer {
    /// Leaves at most so many series.
    pub(super) fn limit(&mut self, series_max: usize) {
        let count = match &self.value {
            Value::Vector(samples) => samples.len(),
            Value::Matrix(series) => series.len(),
            _ => 0,
        };
        if count <= series_max {
            return;
        }
        match &mut self.value {
            Value::Vector(samples) => samples.truncate(series_max),
            Value::Matrix(series) => series.truncate(series_max),
            _ => {}
        }
        self.warnings.push(TRUNCATED.to_owned());
    }

    pub(super) fn has_histograms(&self) -> bool {
        let is_histogram = |point: &Point| matches!(point, Point::Histogram(_));
        match &self.value {
            Value::Vector(samples) => samples.iter().any(|sample| is_histogram(&sample.point)),
            Value::Matrix(series) => series
                .iter()
                .any(|series| series.points.iter().any(|point| is_histogram(&point.1))),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_written_as_prometheus_writes_them() {
        let cases: &[(&[(&str, &str)], &str)] = &[
            (&[], "{}"),
            (&[("__name__", "up")], "up"),
            (
                &[("__name__", "a:b"), ("job", "x\"y\\\n")],
                "a:b{job=\"x\\\"y\\\\\\n\"}",
            ),
            (&[("job", "api"), ("zone", "ö")], "{job=\"api\", zone=\"ö\"}"),
            (
                &[("__name__", "disk.usage"), ("mount.point", "/")],
                "{\"disk.usage\", \"mount.point\"=\"/\"}",
            ),
            (&[("a:b", "\u{1}\u{85}")], "{\"a:b\"=\"\\x01\\u0085\"}"),
        ];
        for (labels, wanted) in cases {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            let metric = Metric(labels.iter().map(owned).collect());
            assert_eq!(metric.to_string(), *wanted);
        }
    }
}
