//! Points, tags and numbers as the native API writes them.

use super::unit::TimeUnit;
use crate::api::envelope;
use crate::api::query_json;
use crate::model::float_histogram::FloatHistogram;
use crate::model::labels::{Labels, METRIC_NAME};
use crate::model::sample::Value;
use std::io::Write as _;

/// A number, or a text for what JSON has no number for.
pub(super) fn number(buffer: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        buffer.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else if value.is_nan() {
        buffer.extend_from_slice(b"\"NaN\"");
    } else if value > 0.0 {
        buffer.extend_from_slice(b"\"+Inf\"");
    } else {
        buffer.extend_from_slice(b"\"-Inf\"");
    }
}

/// The tags of a series: its labels but the name.
pub(super) fn tags(buffer: &mut Vec<u8>, labels: &Labels) {
    buffer.push(b'{');
    let tags = labels.iter().filter(|(name, _)| *name != METRIC_NAME);
    for (place, (name, value)) in tags.enumerate() {
        if place > 0 {
            buffer.push(b',');
        }
        envelope::string(buffer, name);
        buffer.push(b':');
        envelope::string(buffer, value);
    }
    buffer.push(b'}');
}

/// `"value":...`.
pub(super) fn value_of(buffer: &mut Vec<u8>, value: f64) {
    buffer.extend_from_slice(b"\"value\":");
    number(buffer, value);
}

/// `"histogram":{...}` with its count, its sum and its buckets.
pub(super) fn histogram(buffer: &mut Vec<u8>, histogram: &FloatHistogram) {
    buffer.extend_from_slice(b"\"histogram\":");
    query_json::histogram(buffer, histogram);
}

/// One or the other.
pub(super) fn value(buffer: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Float(value) => value_of(buffer, *value),
        Value::Histogram(value) => histogram(buffer, &FloatHistogram::from(&**value)),
    }
}

/// `"timestamp":...`.
pub(super) fn timestamp(buffer: &mut Vec<u8>, unit: TimeUnit, time_ms: i64) {
    buffer.extend_from_slice(b"\"timestamp\":");
    unit.write(buffer, time_ms);
}

/// `,"name":"text"`.
pub(super) fn text_field(buffer: &mut Vec<u8>, name: &str, text: &str) {
    // A vector takes whatever is written to it.
    let _ = write!(buffer, ",\"{name}\":");
    envelope::string(buffer, text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut buffer = Vec::new();
        write(&mut buffer);
        String::from_utf8(buffer).expect("text")
    }

    #[test]
    fn numbers_are_read_back_to_the_bit() {
        for value in [
            0.0,
            -0.0,
            0.1,
            1e300,
            -5e-324,
            45.5,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
        ] {
            let text = written(|buffer| number(buffer, value));
            let read = match serde_json::from_str(&text).expect("JSON") {
                serde_json::Value::String(text) => text.parse::<f64>().expect("a number"),
                number => number.as_f64().expect("a number"),
            };
            assert_eq!(read.is_nan(), value.is_nan());
            assert!(value.is_nan() || read.to_bits() == value.to_bits(), "{text}");
        }
    }

    #[test]
    fn tags_are_labels_without_the_name() {
        let labels = labels! { "A" => "1", "__name__" => "x", "b" => "\"" };
        assert_eq!(written(|buffer| tags(buffer, &labels)), r#"{"A":"1","b":"\""}"#);
    }
}
