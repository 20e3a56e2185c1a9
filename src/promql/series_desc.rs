//! The description of a series in Prometheus' test scripts: `metric{l="v"} 1+2x5 _ stale {{schema:0 buckets:[1 2]}}x3`.
//!
//! Behind the metric stand its values, one for each step. `ax3` is `a` four times, `a+bx3` and `a-bx3` add or subtract
//! `b` each time, `_` is no value. `@st` behind the metric makes the values start timestamps, relative to the samples.

use super::ast::Span;
use super::durations::parse_duration_ms;
use super::error::ParseError;
use super::lex::parse_number;
use super::parse::parse_metric;
use crate::model::float_histogram::{Buckets, FloatHistogram};
use crate::model::histogram::{ResetHint, Span as BucketSpan};
use crate::model::labels::Labels;
use crate::model::sample::stale_nan;

/// A series with its values.
#[derive(Debug, Clone)]
pub struct SeriesDescription {
    /// The labels.
    pub labels: Labels,
    /// The values are start timestamps, in seconds from the sample of the same step.
    pub are_starts: bool,
    /// The values, one for each step.
    pub values: Vec<SequenceValue>,
}

/// A value of a series.
#[derive(Debug, Clone)]
pub enum SequenceValue {
    /// No sample.
    Omitted,
    /// A float; `stale` is the stale marker.
    Float(f64),
    /// A native histogram.
    Histogram {
        /// The histogram.
        histogram: FloatHistogram,
        /// It says what its reset hint is, and does not leave it open.
        has_hint: bool,
    },
}

/// How often a value may be repeated.
const REPEATED_MAX: usize = 20_000;

/// Reads the description of a series.
pub fn parse_series_description(text: &str) -> Result<SeriesDescription, ParseError> {
    let metric_end = metric_end(text);
    let (metric, _) = text.split_at(metric_end);
    let pairs = parse_metric(metric)?;
    let mut reader = Reader { text, at: metric_end };
    let labels = Labels::from_pairs(pairs.iter().map(|(name, value)| (name, value)))
        .map_err(|error| reader.error(error.to_string()))?;
    let are_starts = reader.accept("@st");
    let values = reader.values()?;
    Ok(SeriesDescription {
        labels,
        are_starts,
        values,
    })
}

/// Where the metric ends: behind its braces, or behind its name.
fn metric_end(text: &str) -> usize {
    let name_end = text
        .find(|letter: char| !(letter.is_ascii_alphanumeric() || matches!(letter, '_' | ':')))
        .unwrap_or(text.len());
    if !text[name_end..].starts_with('{') {
        return name_end;
    }
    let mut quote = None;
    let mut letters = text[name_end..].char_indices();
    while let Some((at, letter)) = letters.next() {
        match (quote, letter) {
            (None, '}') => return name_end + at + 1,
            (None, '"' | '\'' | '`') => quote = Some(letter),
            (Some('"' | '\''), '\\') => drop(letters.next()),
            (Some(open), close) if open == close => quote = None,
            _ => {}
        }
    }
    text.len()
}

/// A place among the values.
#[derive(Debug)]
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

type Read<T> = Result<T, ParseError>;

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn accept(&mut self, start: &str) -> bool {
        let found = self.rest().starts_with(start);
        if found {
            self.at += start.len();
        }
        found
    }

    fn skip_spaces(&mut self) -> bool {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t']).len();
        rest.len() != self.rest().len()
    }

    fn error(&self, message: impl Into<String>) -> ParseError {
        let span = Span {
            start: self.at,
            end: self.text.len(),
        };
        ParseError::new(self.text, span, message)
    }

    fn values(&mut self) -> Read<Vec<SequenceValue>> {
        let mut values = Vec::new();
        loop {
            let is_apart = self.skip_spaces();
            if self.rest().is_empty() {
                return Ok(values);
            }
            if !is_apart {
                return Err(self.error("unexpected text in series values, expected a space"));
            }
            self.item(&mut values)?;
        }
    }

    fn item(&mut self, values: &mut Vec<SequenceValue>) -> Read<()> {
        if self.rest().starts_with("{{") {
            return self.histograms(values);
        }
        if self.accept("_") {
            let times = self.times()?.unwrap_or(1);
            values.extend(std::iter::repeat_n(SequenceValue::Omitted, times));
            return Ok(());
        }
        let mut value = self.number()?;
        let step = match self.rest().as_bytes().first() {
            Some(b'+' | b'-') => Some(self.number()?),
            _ => None,
        };
        let times = self.times()?;
        if step.is_some() && times.is_none() {
            return Err(self.error("unexpected end of series values, expected how often to repeat"));
        }
        values.push(SequenceValue::Float(value));
        for _ in 0..times.unwrap_or_default() {
            value = step.map_or(value, |step| value + step);
            values.push(SequenceValue::Float(value));
        }
        Ok(())
    }

    /// How often to repeat: `x5`.
    fn times(&mut self) -> Read<Option<usize>> {
        if !self.accept("x") {
            return Ok(None);
        }
        let digits = self.word(|letter| !letter.is_ascii_digit());
        match digits.parse() {
            Ok(times) if times <= REPEATED_MAX => Ok(Some(times)),
            _ => Err(self.error(format!("invalid repetition in series values: {digits:?}"))),
        }
    }

    /// Takes text up to a character that ends it.
    fn word(&mut self, ends: impl FnMut(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(ends).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    /// A number, a duration as seconds, or `stale`; with an optional sign.
    fn number(&mut self) -> Read<f64> {
        let is_negative = self.accept("-");
        if !is_negative {
            self.accept("+");
        }
        let start = self.at;
        let mut before = ' ';
        self.word(|letter| {
            let is_exponent = matches!(before, 'e' | 'E') && matches!(letter, '+' | '-');
            let ends = !is_exponent && !letter.is_ascii_alphanumeric() && !matches!(letter, '.' | '_');
            before = letter;
            ends || letter == 'x'
        });
        let word = self.text.get(start..self.at).unwrap_or_default();
        let value = if word == "stale" {
            Ok(stale_nan())
        } else {
            parse_number(word).or_else(|error| {
                let duration_ms = parse_duration_ms(word).map_err(|_| error)?;
                Ok(duration_ms as f64 / 1e3)
            })
        };
        let value = value.map_err(|error: String| self.error(format!("error parsing number: {error}")))?;
        Ok(if is_negative { -value } else { value })
    }

    fn histograms(&mut self, values: &mut Vec<SequenceValue>) -> Read<()> {
        let (mut histogram, has_hint) = self.histogram()?;
        let is_sum = self.accept("+");
        let change = match is_sum || self.accept("-") {
            true => Some(self.histogram()?.0),
            false => None,
        };
        let times = self.times()?;
        if change.is_some() && times.is_none() {
            return Err(self.error("unexpected end of series values, expected how often to repeat"));
        }
        values.push(SequenceValue::Histogram {
            histogram: histogram.clone(),
            has_hint,
        });
        for _ in 0..times.unwrap_or_default() {
            if let Some(change) = &change {
                if histogram.schema > change.schema {
                    return Err(self.error(format!(
                        "error combining histograms: cannot merge from schema {} to {}",
                        change.schema, histogram.schema
                    )));
                }
                let mixed = if is_sum {
                    histogram.add(change)
                } else {
                    histogram.sub(change)
                };
                mixed.map_err(|_| self.error("error combining histograms: the schemas cannot be mixed"))?;
            }
            values.push(SequenceValue::Histogram {
                histogram: histogram.clone(),
                has_hint,
            });
        }
        Ok(())
    }

    /// `{{sum:1 buckets:[1 2]}}`, and whether the hint is given.
    fn histogram(&mut self) -> Read<(FloatHistogram, bool)> {
        if !self.accept("{{") {
            return Err(self.error("unexpected text in series values, expected \"{{\""));
        }
        let mut parts = HistogramParts::default();
        let mut keys: Vec<&str> = Vec::new();
        loop {
            self.skip_spaces();
            if self.accept("}}") {
                let has_hint = keys.contains(&"counter_reset_hint");
                return Ok((parts.build(), has_hint));
            }
            let key = self.word(|letter| !letter.is_ascii_alphabetic() && letter != '_');
            if keys.contains(&key) {
                return Err(self.error(format!("duplicate key \"{key}\" in histogram")));
            }
            if !self.accept(":") {
                return Err(self.error("missing `:` for histogram descriptor"));
            }
            keys.push(key);
            self.descriptor(key, &mut parts)?;
        }
    }

    fn descriptor(&mut self, key: &str, parts: &mut HistogramParts) -> Read<()> {
        let histogram = &mut parts.histogram;
        match key {
            "schema" => histogram.schema = self.integer()?,
            "offset" => parts.positive_offset = self.integer()?,
            "n_offset" => parts.negative_offset = self.integer()?,
            "sum" => histogram.sum = self.number()?,
            "count" => histogram.count = self.number()?,
            "z_bucket" => histogram.zero_count = self.number()?,
            "z_bucket_w" => histogram.zero_threshold = self.number()?,
            "buckets" => parts.positive = self.numbers()?,
            "n_buckets" => parts.negative = self.numbers()?,
            "custom_values" => histogram.custom_values = self.numbers()?.into(),
            "counter_reset_hint" => {
                histogram.reset_hint =
                    match self.word(|letter| !letter.is_ascii_alphabetic() && letter != '_') {
                        "unknown" => ResetHint::Unknown,
                        "reset" => ResetHint::Reset,
                        "not_reset" => ResetHint::NotReset,
                        "gauge" => ResetHint::Gauge,
                        other => return Err(self.error(format!("bad histogram descriptor found: {other:?}"))),
                    }
            }
            other => return Err(self.error(format!("bad histogram descriptor found: {other:?}"))),
        }
        Ok(())
    }

    fn integer(&mut self) -> Read<i32> {
        let digits = self.word(|letter| !letter.is_ascii_digit() && letter != '-');
        let number = digits.parse();
        number.map_err(|_| self.error(format!("error parsing number: {digits:?}")))
    }

    /// `[1 2 3]`
    fn numbers(&mut self) -> Read<Vec<f64>> {
        if !self.accept("[") {
            return Err(self.error("unexpected text in histogram description, expected \"[\""));
        }
        let mut numbers = Vec::new();
        loop {
            self.skip_spaces();
            if self.accept("]") {
                return Ok(numbers);
            }
            numbers.push(self.number()?);
        }
    }
}

/// What a histogram is made of.
#[derive(Debug, Default)]
struct HistogramParts {
    histogram: FloatHistogram,
    positive_offset: i32,
    positive: Vec<f64>,
    negative_offset: i32,
    negative: Vec<f64>,
}

impl HistogramParts {
    fn build(self) -> FloatHistogram {
        FloatHistogram {
            positive: run_of_buckets(self.positive_offset, self.positive),
            negative: run_of_buckets(self.negative_offset, self.negative),
            ..self.histogram
        }
    }
}

fn run_of_buckets(offset: i32, counts: Vec<f64>) -> Buckets {
    let length = u32::try_from(counts.len()).unwrap_or(u32::MAX);
    Buckets::new(&[BucketSpan { offset, length }], counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(text: &str) -> SeriesDescription {
        parse_series_description(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    /// The values as text, floats with `{}`.
    fn values(text: &str) -> String {
        let texts = described(text).values.into_iter().map(|value| match value {
            SequenceValue::Omitted => "_".to_owned(),
            SequenceValue::Float(value) => value.to_string(),
            SequenceValue::Histogram { histogram, .. } => {
                format!("{}/{}", histogram.count, histogram.sum)
            }
        });
        texts.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn values_are_written_out() {
        let cases = [
            ("a", ""),
            ("a 1 2 _ 3", "1 2 _ 3"),
            ("a 1x3", "1 1 1 1"),
            ("a _x3 1", "_ _ _ 1"),
            ("a 1+2x3 -1-1x1", "1 3 5 7 -1 -2"),
            ("a 1e-3x1 1e+2+1x1 .5", "0.001 0.001 100 101 0.5"),
            ("a Inf -Inf +Inf NaN", "inf -inf inf NaN"),
            ("a 0x2", "0 0 0"),
            ("a -30s-1mx2 0 1ms", "-30 -90 -150 0 0.001"),
            ("{} {{}} {{count:3 sum:2.5}}x1", "0/0 3/2.5 3/2.5"),
            ("a {{count:1 sum:2}}+{{count:1 sum:3}}x2", "1/2 2/5 3/8"),
        ];
        for (text, expected) in cases {
            assert_eq!(values(text), expected, "{text}");
        }
        let SequenceValue::Float(stale) = described("a stale").values[0] else {
            panic!("no float")
        };
        assert_eq!(stale.to_bits(), stale_nan().to_bits());
    }

    #[test]
    fn metrics_and_marks_are_read() {
        let cases = [
            ("a{b=\"c}\", d='e'} 1", r#"{__name__="a", b="c}", d="e"}"#, false),
            ("{\"a.b\", \"c d\"=`\\`} 1", "", false),
            ("a@st -1m", "", true),
            ("a{b=\"@st\"}@st  _ -1m", "", true),
        ];
        for (text, _, are_starts) in cases {
            assert_eq!(described(text).are_starts, are_starts, "{text}");
        }
        assert_eq!(described("a{b=\"c}\"} 1").labels.get("b"), Some("c}"));
        let labels = described("{\"a.b\", \"c d\"=`\\`} 1").labels;
        assert_eq!((labels.metric_name(), labels.get("c d")), ("a.b", Some("\\")));
    }

    #[test]
    fn histograms_have_their_buckets_and_hint() {
        let text = "{} {{schema:-53 sum:1 count:6 custom_values:[5 10] buckets:[1 2 3] offset:1}} {{n_buckets:[1] n_offset:-2 z_bucket:4 z_bucket_w:0.5 counter_reset_hint:gauge}}";
        let values = described(text).values;
        let [
            SequenceValue::Histogram {
                histogram: first,
                has_hint: false,
            },
            SequenceValue::Histogram {
                histogram: second,
                has_hint: true,
            },
        ] = &values[..]
        else {
            panic!("{values:?}")
        };
        assert_eq!((first.schema, &*first.custom_values), (-53, &[5.0, 10.0][..]));
        assert_eq!(first.positive.counts(), [1.0, 2.0, 3.0]);
        assert_eq!(first.positive.spans()[0].offset, 1);
        assert_eq!((second.zero_count, second.zero_threshold), (4.0, 0.5));
        assert_eq!(second.negative.spans()[0].offset, -2);
        assert_eq!(second.reset_hint, ResetHint::Gauge);
    }

    #[test]
    fn what_is_no_description_is_refused() {
        for text in [
            "a{b}",
            "a 1+1",
            "a 1x",
            "a x",
            "a 1x99999999999",
            "a {{",
            "a {{sum}}",
            "a {{sum:1 sum:2}}",
            "a {{what:1}}",
            "a {{buckets:1}}",
            "a {{schema:1}}+{{schema:0}}x1",
            "a 1_",
            "a{b=\"c\"}1",
        ] {
            assert!(parse_series_description(text).is_err(), "{text}");
        }
    }
}
