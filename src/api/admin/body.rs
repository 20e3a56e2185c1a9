//! The body of what an operator asks for: an object of JSON with known fields, or nothing, whatever the content type says.

use crate::api::error::ApiError;
use crate::api::params::parse_time_ms;
use serde_json::{Map, Value};

/// The fields of a body.
#[derive(Debug)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// Refuses what is no object, and fields that are not among `known`.
    pub(super) fn of(body: &[u8], known: &[&str]) -> Result<Self, ApiError> {
        if body.trim_ascii().is_empty() {
            return Ok(Self(Map::new()));
        }
        let known_names = known.join(", ");
        let Ok(Value::Object(fields)) = serde_json::from_slice(body) else {
            let message =
                format!("the body is not an object of JSON with any of {known_names}, and not empty");
            return Err(ApiError::bad_data(message));
        };
        match fields.keys().find(|name| !known.contains(&name.as_str())) {
            Some(other) => Err(ApiError::bad_data(format!(
                "the body has a field {other:?}; there are {known_names}"
            ))),
            None => Ok(Self(fields)),
        }
    }

    /// `true` or `false`, if it is there.
    pub(super) fn truth(&self, name: &str) -> Result<Option<bool>, ApiError> {
        let read = |value: &Value| {
            let message = || format!("{name:?} is neither true nor false");
            value.as_bool().ok_or_else(|| ApiError::bad_data(message()))
        };
        self.0.get(name).map(read).transpose()
    }

    /// A text, if it is there.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, ApiError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(ApiError::bad_data(format!("{name:?} is not a text"))),
        }
    }

    /// A time in milliseconds, if it is there: seconds since 1970 as a number or a text, or RFC 3339.
    fn time_ms(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let read = |value: &Value| {
            let time_ms = match value {
                Value::String(text) => parse_time_ms(text),
                Value::Number(number) => parse_time_ms(&number.to_string()),
                _ => None,
            };
            let message =
                || format!("{name:?} is neither seconds since 1970 nor a time as 2023-11-14T22:13:20Z");
            time_ms.ok_or_else(|| ApiError::bad_data(message()))
        };
        self.0.get(name).map(read).transpose()
    }

    /// The times `start` and `end`, both included, if one of them is there; the other one is without bound then.
    pub(super) fn range_ms(&self) -> Result<Option<(i64, i64)>, ApiError> {
        let (start_ms, end_ms) = match (self.time_ms("start")?, self.time_ms("end")?) {
            (None, None) => return Ok(None),
            (start_ms, end_ms) => (start_ms.unwrap_or(i64::MIN), end_ms.unwrap_or(i64::MAX)),
        };
        match start_ms <= end_ms {
            true => Ok(Some((start_ms, end_ms))),
            false => Err(ApiError::bad_data("\"end\" is before \"start\"")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(body: &str) -> Result<Fields, ApiError> {
        Fields::of(body.as_bytes(), &["force", "start", "end"])
    }

    #[test]
    fn truths_are_read_or_refused() {
        for (body, expected) in [
            ("", Some(None)),
            (" \n", Some(None)),
            ("{}", Some(None)),
            ("{\"force\": true}", Some(Some(true))),
            ("{\"force\":false}", Some(Some(false))),
            ("{\"force\":1}", None),
            ("{\"forse\":true}", None),
            ("force=true", None),
            ("[]", None),
        ] {
            let read = fields(body).and_then(|fields| fields.truth("force"));
            assert_eq!(read.ok(), expected, "{body}");
        }
    }

    #[test]
    fn ranges_are_read_or_refused() {
        let read = |body| fields(body).and_then(|fields| fields.range_ms());
        for (body, expected) in [
            ("{}", None),
            (r#"{"start": 1.5, "end": "2"}"#, Some((1500, 2000))),
            (
                r#"{"start": "2023-11-14T22:13:20Z"}"#,
                Some((1_700_000_000_000, i64::MAX)),
            ),
            (r#"{"end": 0}"#, Some((i64::MIN, 0))),
        ] {
            assert_eq!(read(body).ok(), Some(expected), "{body}");
        }
        for bad in [
            r#"{"start": 2, "end": 1}"#,
            r#"{"start": "yesterday"}"#,
            r#"{"start": "NaN"}"#,
            r#"{"start": null}"#,
            r#"{"end": [1]}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
