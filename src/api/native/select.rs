//! Which series and which time a request of the native API is about: the name in the path, tags and bounds in the parameters.

use super::point::{bad_precision, bad_time};
use super::refusal::Refusal;
use super::unit::{GivenTime, TimeUnit};
use crate::api::error::ApiError;
use crate::api::params::{Params, unescaped_bytes};
use crate::model::labels::METRIC_NAME;
use crate::model::matcher::Matcher;

/// Parameters that are no tags. A tag of such a name is written `tag.limit`.
const NOT_TAGS: &[&str] = &[
    "agg",
    "aggregation",
    "cursor",
    "end",
    "end_time",
    "fill",
    "interval",
    "limit",
    "order",
    "precision",
    "start",
    "start_time",
    "upsert",
];
/// Before the name of a tag that has the name of a parameter.
const TAG_MARK: &str = "tag.";

/// Series of one name, and a time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Selected {
    pub(super) series_key: String,
    /// In the order of the parameters.
    pub(super) tags: Vec<(String, String)>,
    /// Both included.
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
    /// That of the request's times.
    pub(super) unit: TimeUnit,
}

impl Selected {
    /// Reads path and parameters.
    pub(super) fn of(series_key: String, params: &Params) -> Result<Self, Refusal> {
        let unit = unit_of(params)?;
        let (start, end) = (
            bound(params, &["start_time", "start"], unit)?,
            bound(params, &["end_time", "end"], unit)?,
        );
        let used = start.or(end).map(|(_, unit)| unit);
        let (start_ms, end_ms) = (
            start.map_or(i64::MIN, |start| start.0),
            end.map_or(i64::MAX, |end| end.0),
        );
        if end_ms < start_ms {
            let message = "end_time is before start_time".to_owned();
            let hint = "both are included; are they in the same unit?";
            return Err(Refusal::field("bad_range", "end_time", message, hint));
        }
        Ok(Self {
            series_key,
            tags: tags_of(params),
            start_ms,
            end_ms,
            unit: unit.or(used).unwrap_or(TimeUnit::Milliseconds),
        })
    }

    /// The name and the tags as conditions. A tag without a value is one that a series does not have.
    pub(super) fn matchers(&self) -> Vec<Matcher> {
        let name = Matcher::eq(METRIC_NAME, self.series_key.clone());
        let tags = self
            .tags
            .iter()
            .map(|(name, value)| Matcher::eq(name.clone(), value.clone()));
        std::iter::once(name).chain(tags).collect()
    }

    /// That there is no such series.
    pub(super) fn not_found(&self) -> Refusal {
        let tags = match self.tags.is_empty() {
            true => String::new(),
            false => format!(" with the tags {:?}", self.tags),
        };
        let error = ApiError::not_found(format!("there is no series {:?}{tags}", self.series_key));
        let hint = "GET /api/v1/series?prefix=... lists what there is";
        Refusal::detailed(error, "series_not_found", "series_key", hint)
    }
}

/// The unit that the parameters name.
pub(in crate::api) fn unit_of(params: &Params) -> Result<Option<TimeUnit>, Refusal> {
    match params.get("precision") {
        "" => Ok(None),
        name => TimeUnit::named(name).map(Some).ok_or_else(bad_precision),
    }
}

/// A time of one of these names.
fn bound(
    params: &Params,
    names: &[&str],
    unit: Option<TimeUnit>,
) -> Result<Option<(i64, TimeUnit)>, Refusal> {
    for name in names {
        let text = params.get(name);
        if !text.is_empty() {
            let read = GivenTime::of_text(text).read(unit);
            return read.map(Some).ok_or_else(|| bad_time(name));
        }
    }
    Ok(None)
}

/// The parameters that are tags.
fn tags_of(params: &Params) -> Vec<(String, String)> {
    let tags = params.pairs().filter_map(|(name, value)| {
        let name = match name.strip_prefix(TAG_MARK) {
            Some(name) => name,
            None if NOT_TAGS.contains(&name) => return None,
            None => name,
        };
        Some((name.to_owned(), value.to_owned()))
    });
    tags.collect()
}

/// A part of a path, without its escapes.
pub(in crate::api) fn path_part(part: &str, field: &str) -> Result<String, Refusal> {
    let text = unescaped_bytes(part.as_bytes(), false)
        .and_then(|bytes| String::from_utf8(bytes).map_err(|_| "it is no UTF-8".to_owned()));
    match text {
        Ok(text) if !text.is_empty() => Ok(text),
        Ok(_) => {
            let message = format!("the path has no {field}");
            Err(Refusal::field(
                "bad_path",
                field,
                message,
                "it stands behind /series/",
            ))
        }
        Err(fault) => {
            let message = format!("the {field} in the path cannot be read: {fault}");
            let hint = "what is not a letter or a digit is written as %20";
            Err(Refusal::field("bad_path", field, message, hint))
        }
    }
}

/// A whole number with bounds.
pub(in crate::api) fn number(
    params: &Params,
    name: &str,
    default: usize,
    most: usize,
) -> Result<usize, Refusal> {
    let text = params.get(name);
    if text.is_empty() {
        return Ok(default);
    }
    match text.parse::<usize>() {
        Ok(number) if (1..=most).contains(&number) => Ok(number),
        _ => {
            let message = format!("{name} is not a number from 1 to {most}");
            let hint = format!("without it, it is {default}; next_cursor leads to what follows");
            Err(Refusal::field("bad_parameter", name, message, hint))
        }
    }
}

/// A truth.
pub(super) fn truth(params: &Params, name: &str) -> Result<bool, Refusal> {
    match params.get(name) {
        "" | "false" | "0" => Ok(false),
        "true" | "1" => Ok(true),
        _ => {
            let message = format!("{name} is neither true nor false");
            Err(Refusal::field(
                "bad_parameter",
                name,
                message,
                "without it, it is false",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Selected, serde_json::Value> {
        Selected::of("cpu".to_owned(), &Params::of_text(text)).map_err(|refusal| refusal.as_item("index", 0))
    }

    #[test]
    fn parameters_are_bounds_or_tags() {
        let selected =
            read("start_time=1700000000&end_time=1700000060&host=a&tag.limit=9&limit=5").expect("good");
        let tags = [
            ("host".to_owned(), "a".to_owned()),
            ("limit".to_owned(), "9".to_owned()),
        ];
        assert_eq!(selected.tags, tags);
        assert_eq!(
            (selected.start_ms, selected.end_ms),
            (1_700_000_000_000, 1_700_000_060_000)
        );
        assert_eq!((selected.unit, selected.matchers().len()), (TimeUnit::Seconds, 3));
        let selected = read("").expect("good");
        assert_eq!((selected.start_ms, selected.end_ms), (i64::MIN, i64::MAX));
        assert_eq!(selected.unit, TimeUnit::Milliseconds);
        assert_eq!(read("end=5&precision=ms").expect("good").end_ms, 5);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, field) in [
            ("start_time=now", "start_time"),
            ("end=never", "end"),
            ("start_time=5&end_time=4", "end_time"),
            ("precision=h", "precision"),
        ] {
            assert_eq!(read(text).expect_err(text)["field"], field);
        }
        assert!(number(&Params::of_text("limit=0"), "limit", 1, 9).is_err());
        assert!(truth(&Params::of_text("upsert=yes"), "upsert").is_err());
    }

    #[test]
    fn names_in_paths_may_be_anything() {
        assert_eq!(path_part("a%2Fb%20c", "series_key").expect("good"), "a/b c");
        assert!(path_part("", "series_key").is_err() && path_part("%ff", "series_key").is_err());
        assert!(path_part("%4", "series_key").is_err());
    }
}
