//! The result of a query as Prometheus' API writes it: numbers as texts the way Go prints them, times in seconds.

use super::envelope::{self, long_list};
use super::error::ApiError;
use super::pieces::Out;
use crate::base::go_text;
use crate::model::float_histogram::FloatHistogram;
use crate::promql::value::{QueryPoint, QuerySample, QuerySeries, QueryValue};

/// Writes `"resultType":...,"result":...`.
pub(super) fn result(out: &mut Out, value: &QueryValue) -> Result<(), ApiError> {
    let kind = match value {
        QueryValue::Scalar { .. } => "scalar",
        QueryValue::String { .. } => "string",
        QueryValue::Vector(_) => "vector",
        QueryValue::Matrix(_) => "matrix",
    };
    put(out.buffer(), &["\"resultType\":\"", kind, "\",\"result\":"]);
    match value {
        QueryValue::Scalar { timestamp_ms, value } => {
            let buffer = out.buffer();
            buffer.push(b'[');
            number_of_seconds(buffer, *timestamp_ms);
            buffer.push(b',');
            number(buffer, *value);
            buffer.push(b']');
        }
        QueryValue::String { timestamp_ms, value } => {
            let buffer = out.buffer();
            buffer.push(b'[');
            number_of_seconds(buffer, *timestamp_ms);
            buffer.push(b',');
            envelope::string(buffer, value);
            buffer.push(b']');
        }
        QueryValue::Vector(samples) => long_list(out, samples, sample)?,
        QueryValue::Matrix(all) => long_list(out, all, series)?,
    }
    Ok(())
}

fn put(buffer: &mut Vec<u8>, texts: &[&str]) {
    for text in texts {
        buffer.extend_from_slice(text.as_bytes());
    }
}

fn sample(buffer: &mut Vec<u8>, sample: &QuerySample) {
    put(buffer, &["{\"metric\":"]);
    envelope::labels(buffer, sample.labels.as_ref());
    match &sample.value {
        QueryPoint::Float(value) => {
            put(buffer, &[",\"value\":"]);
            float_point(buffer, sample.timestamp_ms, *value);
        }
        QueryPoint::Histogram(histogram) => {
            put(buffer, &[",\"histogram\":"]);
            histogram_point(buffer, sample.timestamp_ms, histogram);
        }
    }
    buffer.push(b'}');
}

fn series(buffer: &mut Vec<u8>, series: &QuerySeries) {
    put(buffer, &["{\"metric\":"]);
    envelope::labels(buffer, series.labels.as_ref());
    if !series.floats.is_empty() {
        put(buffer, &[",\"values\":"]);
        envelope::list(buffer, &series.floats, |buffer, (timestamp_ms, value)| {
            float_point(buffer, *timestamp_ms, *value);
        });
    }
    if !series.histograms.is_empty() {
        put(buffer, &[",\"histograms\":"]);
        envelope::list(buffer, &series.histograms, |buffer, (timestamp_ms, histogram)| {
            histogram_point(buffer, *timestamp_ms, histogram);
        });
    }
    buffer.push(b'}');
}

fn float_point(buffer: &mut Vec<u8>, timestamp_ms: i64, value: f64) {
    buffer.push(b'[');
    time(buffer, timestamp_ms);
    buffer.push(b',');
    number(buffer, value);
    buffer.push(b']');
}

fn histogram_point(buffer: &mut Vec<u8>, timestamp_ms: i64, value: &FloatHistogram) {
    buffer.push(b'[');
    time(buffer, timestamp_ms);
    buffer.push(b',');
    histogram(buffer, value);
    buffer.push(b']');
}

/// A histogram as an object.
pub(super) fn histogram(buffer: &mut Vec<u8>, histogram: &FloatHistogram) {
    put(buffer, &["{\"count\":"]);
    number(buffer, histogram.count);
    put(buffer, &[",\"sum\":"]);
    number(buffer, histogram.sum);
    let mut buckets = histogram.json_buckets().peekable();
    if buckets.peek().is_some() {
        put(buffer, &[",\"buckets\":"]);
        envelope::list(buffer, buckets, |buffer, (edges, lower, upper, count)| {
            buffer.extend_from_slice(&[b'[', b'0' + edges]);
            for value in [lower, upper, count] {
                buffer.push(b',');
                number(buffer, value);
            }
            buffer.push(b']');
        });
    }
    buffer.push(b'}');
}

/// Seconds with three decimals, or none.
pub(super) fn time(buffer: &mut Vec<u8>, timestamp_ms: i64) {
    if timestamp_ms < 0 {
        buffer.push(b'-');
    }
    let size = timestamp_ms.unsigned_abs();
    let (seconds, ms) = (size / 1000, size % 1000);
    integer(buffer, seconds);
    if ms > 0 {
        let digit = |digit: u64| b'0' + (digit % 10) as u8;
        buffer.extend_from_slice(&[b'.', digit(ms / 100), digit(ms / 10), digit(ms)]);
    }
}

/// Seconds with as many decimals as it takes, which is how Prometheus writes the time of what has no labels.
pub(super) fn number_of_seconds(buffer: &mut Vec<u8>, timestamp_ms: i64) {
    time(buffer, timestamp_ms);
    if timestamp_ms % 1000 != 0 {
        while buffer.last() == Some(&b'0') {
            buffer.pop();
        }
    }
}

fn integer(buffer: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut from = digits.len();
    loop {
        from -= 1;
        digits[from] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    buffer.extend_from_slice(&digits[from..]);
}

/// A number in quotes.
pub(super) fn number(buffer: &mut Vec<u8>, value: f64) {
    buffer.push(b'"');
    let is_integer = value.trunc() == value && value.abs() < 1e15;
    if is_integer && (value != 0.0 || value.is_sign_positive()) {
        if value < 0.0 {
            buffer.push(b'-');
        }
        integer(buffer, value.abs() as u64);
    } else {
        let mut digits = zmij::Buffer::new();
        let shortest = digits.format(value);
        match value.is_finite() && !shortest.contains('e') {
            true => put(buffer, &[shortest.strip_suffix(".0").unwrap_or(shortest)]),
            false => put(buffer, &[&go_text::float_json(value)]),
        }
    }
    buffer.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds() {
        for (timestamp_ms, wanted) in [
            (0, "0"),
            (1_700_000_000_000, "1700000000"),
            (1_700_000_000_050, "1700000000.050"),
            (-1, "-0.001"),
            (i64::MIN, "-9223372036854775.808"),
        ] {
            let mut buffer = Vec::new();
            time(&mut buffer, timestamp_ms);
            assert_eq!(String::from_utf8_lossy(&buffer), wanted);
        }
        let mut buffer = Vec::new();
        for timestamp_ms in [1_000_050, 20_000] {
            number_of_seconds(&mut buffer, timestamp_ms);
        }
        assert_eq!(buffer, b"1000.0520");
    }

    proptest::proptest! {
        #[test]
        fn any_number_is_written_as_go_does(bits in proptest::num::u64::ANY, decimal in -1_000_000_000_i64..1_000_000_000) {
            for value in [f64::from_bits(bits), decimal as f64 / 1000.0, decimal as f64 * 1e9, decimal as f64 / 1e15] {
                let mut buffer = Vec::new();
                number(&mut buffer, value);
                let wanted = format!("\"{}\"", go_text::float_json(value));
                proptest::prop_assert_eq!(String::from_utf8_lossy(&buffer), wanted);
            }
        }
    }

    #[test]
    fn numbers_are_those_of_go() {
        let numbers = [
            0.0,
            -0.0,
            1.0,
            -17.0,
            999_999_999_999_999.0,
            1e15,
            123_456_789.125,
            1e21,
            1.5e-7,
            1e-6,
            0.1,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MAX,
            f64::MIN_POSITIVE,
        ];
        for value in numbers {
            let mut buffer = Vec::new();
            number(&mut buffer, value);
            let wanted = format!("\"{}\"", go_text::float_json(value));
            assert_eq!(String::from_utf8_lossy(&buffer), wanted);
        }
    }
}
