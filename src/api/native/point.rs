//! A point that may be stored: the series it belongs to, its time and its value.

use super::json_point::{JsonPoint, JsonTags, Scalar};
use super::refusal::Refusal;
use super::unit::{GivenTime, TimeUnit};
use crate::model::labels::{Labels, METRIC_NAME};
use std::borrow::Cow;

/// A point with the unit that its time was given in.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Point {
    pub(super) labels: Labels,
    pub(super) time_ms: i64,
    pub(super) unit: TimeUnit,
    pub(super) value: f64,
}

const EXAMPLE: &str =
    r#"{"series_key": "cpu.usage", "timestamp": 1700000000, "value": 45.5, "tags": {"host": "a"}}"#;

impl Point {
    /// Reads the text of one. Without a time it is of now.
    pub(super) fn of_json(text: &[u8], unit: Option<TimeUnit>, now_ms: i64) -> Result<Self, Refusal> {
        let point: JsonPoint<'_> = serde_json::from_slice(text).map_err(|fault| no_json(&fault))?;
        Self::of(&point, unit, now_ms)
    }

    pub(super) fn of(point: &JsonPoint<'_>, unit: Option<TimeUnit>, now_ms: i64) -> Result<Self, Refusal> {
        if !point.is_object {
            let message = "a point is an object".to_owned();
            return Err(Refusal::field("bad_json", "", message, format!("send {EXAMPLE}")));
        }
        if let Some(unknown) = &point.unknown {
            let message = format!("a point has no field {unknown:?}");
            let hint = "the fields are series_key, timestamp, value, tags and precision";
            return Err(Refusal::field("unknown_field", unknown.clone(), message, hint));
        }
        let unit = match &point.precision {
            None | Some(Scalar::Null) => unit,
            Some(given) => Some(unit_of(given)?),
        };
        let (time_ms, unit) = match &point.timestamp {
            None | Some(Scalar::Null) => (now_ms, unit.unwrap_or(TimeUnit::Milliseconds)),
            Some(given) => time_of(given, unit)?,
        };
        Ok(Self {
            labels: labels_of(point)?,
            time_ms,
            unit,
            value: value_of(point.value.as_ref())?,
        })
    }
}

/// A body that is no JSON, or not of an object.
pub(super) fn no_json(fault: &serde_json::Error) -> Refusal {
    let message = format!("the body is no point in JSON: {fault}");
    Refusal::field("bad_json", "", message, format!("send {EXAMPLE}"))
}

fn unit_of(given: &Scalar<'_>) -> Result<TimeUnit, Refusal> {
    let named = match given {
        Scalar::Text(name) => TimeUnit::named(name),
        _ => None,
    };
    named.ok_or_else(bad_precision)
}

pub(in crate::api) fn bad_precision() -> Refusal {
    let message = format!("precision is not one of {}", TimeUnit::NAMES);
    let hint = "without it, times below 100000000000 are seconds and larger ones milliseconds";
    Refusal::field("bad_precision", "precision", message, hint)
}

fn time_of(given: &Scalar<'_>, unit: Option<TimeUnit>) -> Result<(i64, TimeUnit), Refusal> {
    let given = match given {
        Scalar::Whole(time) => Some(GivenTime::Whole(*time)),
        Scalar::Broken(time) => Some(GivenTime::Broken(*time)),
        Scalar::Text(text) => Some(GivenTime::of_text(text)),
        Scalar::Null | Scalar::Bool(_) | Scalar::Nested => None,
    };
    given
        .and_then(|given| given.read(unit))
        .ok_or_else(|| bad_time("timestamp"))
}

pub(in crate::api) fn bad_time(field: &str) -> Refusal {
    let message = format!("{field} is no time");
    let hint = "send seconds or milliseconds since 1970, with \"precision\" also us or ns, or a text as \
                2023-11-14T22:13:20Z";
    Refusal::field("bad_timestamp", field, message, hint)
}

fn value_of(given: Option<&Scalar<'_>>) -> Result<f64, Refusal> {
    let value = match given {
        Some(Scalar::Whole(value)) => Some(*value as f64),
        Some(Scalar::Broken(value)) => Some(*value),
        Some(Scalar::Text(text)) => text.parse().ok(),
        _ => None,
    };
    value.ok_or_else(|| {
        let message = match given {
            None => "value is missing".to_owned(),
            Some(_) => "value is no number".to_owned(),
        };
        let hint = "send a number, or one of the texts \"NaN\", \"+Inf\" and \"-Inf\"";
        Refusal::field("bad_value", "value", message, hint)
    })
}

fn labels_of(point: &JsonPoint<'_>) -> Result<Labels, Refusal> {
    let JsonTags::Pairs(tags) = &point.tags else {
        let hint = r#"send an object, as {"host": "a"}"#;
        return Err(Refusal::field(
            "bad_tags",
            "tags",
            "tags is no object".to_owned(),
            hint,
        ));
    };
    let name = series_key_of(point.series_key.as_ref())?;
    let mut pairs: Vec<(&str, Cow<'_, str>)> = Vec::with_capacity(tags.len() + 1);
    pairs.push((METRIC_NAME, name.into()));
    for (name, value) in tags {
        let text = match value {
            Scalar::Text(text) => Cow::Borrowed(&**text),
            Scalar::Whole(number) => number.to_string().into(),
            Scalar::Broken(number) => number.to_string().into(),
            Scalar::Bool(truth) => truth.to_string().into(),
            Scalar::Null => continue,
            Scalar::Nested => {
                let message = format!("the tag {name:?} is a list or an object");
                let hint = "tags are texts, numbers or truths; send one tag for each value";
                return Err(Refusal::field("bad_tags", format!("tags.{name}"), message, hint));
            }
        };
        check_tag_name(name)?;
        // A tag without a value is none.
        if !text.is_empty() {
            pairs.push((name, text));
        }
    }
    Labels::from_pairs(pairs.iter().map(|(name, value)| (*name, &**value))).map_err(|error| {
        let hint = "each tag may be there once and has a name";
        Refusal::field(
            "bad_tags",
            "tags",
            format!("tags make no label set: {error}"),
            hint,
        )
    })
}

fn check_tag_name(name: &str) -> Result<(), Refusal> {
    if name != METRIC_NAME {
        return Ok(());
    }
    let hint = "the name of the series is its series_key";
    let message = "the tag __name__ is taken".to_owned();
    Err(Refusal::field("bad_tags", "tags.__name__", message, hint))
}

fn series_key_of<'t>(given: Option<&'t Scalar<'_>>) -> Result<&'t str, Refusal> {
    match given {
        Some(Scalar::Text(name)) if !name.is_empty() => Ok(name),
        given => {
            let message = match given {
                None => "series_key is missing",
                Some(Scalar::Text(_)) => "series_key is empty",
                Some(_) => "series_key is no text",
            };
            let hint = "series_key names what is measured, as \"cpu.usage\"";
            Err(Refusal::field(
                "bad_series_key",
                "series_key",
                message.to_owned(),
                hint,
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels;

    fn read(text: &str) -> Result<Point, serde_json::Value> {
        Point::of_json(text.as_bytes(), None, 42).map_err(|refusal| refusal.as_item("index", 0))
    }

    #[test]
    fn points_become_samples_of_series() {
        let point = read(EXAMPLE).expect("a point");
        assert_eq!(point.labels, labels! { "__name__" => "cpu.usage", "host" => "a" });
        assert_eq!(
            (point.time_ms, point.value, point.unit.name()),
            (1_700_000_000_000, 45.5, "s")
        );
        let text = r#"{"series_key":"x","timestamp":1700000000123456,"precision":"us","value":"-Inf","tags":{"n":1,"b":true,"e":"","z":null}}"#;
        let point = read(text).expect("a point");
        assert_eq!(
            point.labels,
            labels! { "__name__" => "x", "b" => "true", "n" => "1" }
        );
        assert_eq!(
            (point.time_ms, point.value),
            (1_700_000_000_123, f64::NEG_INFINITY)
        );
        let point = read(r#"{"series_key":"x","value":1}"#).expect("a point");
        assert_eq!((point.time_ms, point.labels), (42, labels! { "__name__" => "x" }));
    }

    #[test]
    fn every_fault_is_named_with_its_field() {
        for (text, reason, field) in [
            ("{", "bad_json", None),
            ("[1]", "bad_json", None),
            (r#"{"value":1}"#, "bad_series_key", Some("series_key")),
            (
                r#"{"series_key":"","value":1}"#,
                "bad_series_key",
                Some("series_key"),
            ),
            (
                r#"{"series_key":7,"value":1}"#,
                "bad_series_key",
                Some("series_key"),
            ),
            (r#"{"series_key":"x"}"#, "bad_value", Some("value")),
            (r#"{"series_key":"x","value":"many"}"#, "bad_value", Some("value")),
            (r#"{"series_key":"x","value":true}"#, "bad_value", Some("value")),
            (
                r#"{"series_key":"x","value":1,"timestamp":"soon"}"#,
                "bad_timestamp",
                Some("timestamp"),
            ),
            (
                r#"{"series_key":"x","value":1,"timestamp":[]}"#,
                "bad_timestamp",
                Some("timestamp"),
            ),
            (
                r#"{"series_key":"x","value":1,"precision":"m"}"#,
                "bad_precision",
                Some("precision"),
            ),
            (
                r#"{"series_key":"x","value":1,"tag":{}}"#,
                "unknown_field",
                Some("tag"),
            ),
            (
                r#"{"series_key":"x","value":1,"tags":[]}"#,
                "bad_tags",
                Some("tags"),
            ),
            (
                r#"{"series_key":"x","value":1,"tags":{"a":{}}}"#,
                "bad_tags",
                Some("tags.a"),
            ),
            (
                r#"{"series_key":"x","value":1,"tags":{"__name__":"y"}}"#,
                "bad_tags",
                Some("tags.__name__"),
            ),
            (
                r#"{"series_key":"x","value":1,"tags":{"a":"1","a":"2"}}"#,
                "bad_tags",
                Some("tags"),
            ),
        ] {
            let item = read(text).expect_err(text);
            assert_eq!(item["reason"], reason, "{text}: {item}");
            assert_eq!(item["field"].as_str(), field, "{text}");
            assert!(item["hint"].is_string(), "{text}");
        }
    }
}
