//! What logs and events have in common as JSON: one, a list or one per line; fields by name; times in the unit of the request.

use crate::api::native::body::Arriving;
use crate::api::native::point::{bad_precision, bad_time};
use crate::api::native::refusal::Refusal;
use crate::api::native::select::{number, unit_of};
use crate::api::native::unit::{GivenTime, TimeUnit};
use crate::api::params::Params;
use crate::records::tags::Tags;
use axum::http::{HeaderMap, Uri};
use serde_json::{Map, Value};
use std::ops::RangeInclusive;

/// Records of a page without `limit`, and at most.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 10_000;
/// Before the name of a tag that a record must have.
const TAG_MARK: &str = "tag.";

/// The objects of a body, each with its number.
pub(super) async fn objects(arriving: Arriving<'_>, what: &str) -> Result<Vec<Map<String, Value>>, Refusal> {
    let (text, _held) = arriving.whole().await?;
    let no_json = |fault: &dyn std::fmt::Display| {
        let message = format!("the body is not {what} in JSON: {fault}");
        Refusal::field(
            "bad_json",
            "",
            message,
            "send one object, a list of them, or one per line",
        )
    };
    let first = text.trim_ascii_start().first();
    let values: Vec<Value> = match first {
        Some(b'[') => serde_json::from_slice(&text).map_err(|fault| no_json(&fault))?,
        _ => {
            let all = serde_json::Deserializer::from_slice(&text).into_iter();
            all.collect::<Result<_, _>>().map_err(|fault| no_json(&fault))?
        }
    };
    if values.is_empty() {
        return Err(no_json(&"it is empty"));
    }
    let numbered = values.into_iter().enumerate();
    let objects = numbered.map(|(place, value)| match value {
        Value::Object(fields) => Ok(fields),
        _ => Err(no_json(&format!("number {place} is no object"))),
    });
    objects.collect()
}

/// The fields of a record, taken one by one.
pub(super) struct Fields {
    fields: Map<String, Value>,
    /// Its number in the body.
    place: usize,
}

impl Fields {
    pub(super) fn new(fields: Map<String, Value>, place: usize) -> Self {
        Self { fields, place }
    }

    fn bad(&self, field: &str, what: &str, hint: &str) -> Refusal {
        let message = format!("{field} of number {} {what}", self.place);
        Refusal::field("bad_field", field, message, hint)
    }

    /// A text that may be missing.
    pub(super) fn text(&mut self, field: &str) -> Result<Option<String>, Refusal> {
        match self.fields.remove(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.bad(field, "is no text", "send it in quotes")),
        }
    }

    /// A text that must be there.
    pub(super) fn needed(&mut self, field: &str) -> Result<String, Refusal> {
        let text = self.text(field)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| self.bad(field, "is missing", "it must be there and not be empty"))
    }

    pub(super) fn json(&mut self, field: &str) -> Value {
        self.fields.remove(field).unwrap_or(Value::Null)
    }

    pub(super) fn tags(&mut self) -> Result<Tags, Refusal> {
        match self.fields.remove("tags") {
            None | Some(Value::Null) => Ok(Tags::default()),
            Some(tags @ Value::Object(_)) => Ok(Tags::from(tags)),
            Some(_) => Err(self.bad("tags", "is no object", r#"as {"rack": {"row": 3}}"#)),
        }
    }

    /// The time in milliseconds, if there is one.
    pub(super) fn time_ms(&mut self, unit: Option<TimeUnit>) -> Result<Option<i64>, Refusal> {
        let unit = match self.text("precision")? {
            None => unit,
            Some(name) => Some(TimeUnit::named(&name).ok_or_else(bad_precision)?),
        };
        let given = match self.fields.remove("timestamp") {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Number(number)) => GivenTime::of_text(&number.to_string()),
            Some(Value::String(text)) => GivenTime::of_text(&text),
            Some(_) => return Err(bad_time("timestamp")),
        };
        let read = given.read(unit).ok_or_else(|| bad_time("timestamp"))?;
        Ok(Some(read.0))
    }

    /// Refuses what is left.
    pub(super) fn finish(self, known: &str) -> Result<(), Refusal> {
        match self.fields.keys().next() {
            None => Ok(()),
            Some(unknown) => {
                let message = format!("number {} has a field {unknown:?}", self.place);
                let hint = format!("the fields are {known}");
                Err(Refusal::field("unknown_field", unknown.clone(), message, hint))
            }
        }
    }
}

/// The unit that the parameters of a write name.
pub(super) fn unit(uri: &Uri) -> Result<Option<TimeUnit>, Refusal> {
    unit_of(&Params::of_uri(uri))
}

/// What a request for logs and one for events have in common.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) times_ms: RangeInclusive<i64>,
    pub(super) unit: TimeUnit,
    pub(super) tags: Tags,
    pub(super) limit: usize,
    pub(super) is_oldest_first: bool,
    pub(super) cursor: Option<String>,
    /// Counts by interval are asked for instead of records.
    pub(super) interval_ms: Option<i64>,
}

impl Asked {
    /// Reads the parameters; `known` are those that only one of both has.
    pub(super) fn of(params: &Params, known: &[&str]) -> Result<Self, Refusal> {
        const COMMON: &[&str] = &[
            "start_time",
            "end_time",
            "precision",
            "limit",
            "order",
            "cursor",
            "interval",
        ];
        let mut tags = Tags::default();
        for (name, value) in params.pairs() {
            if let Some(name) = name.strip_prefix(TAG_MARK) {
                tags.insert(name, value);
            } else if !known.contains(&name) && !COMMON.contains(&name) {
                let message = format!("there is no parameter {name:?}");
                let hint = format!(
                    "there are {}, {} and tag.NAME",
                    known.join(", "),
                    COMMON.join(", ")
                );
                return Err(Refusal::field("unknown_parameter", name, message, hint));
            }
        }
        let unit = unit_of(params)?;
        let bound = |name: &str| match params.get(name) {
            "" => Ok(None),
            text => GivenTime::of_text(text)
                .read(unit)
                .map(Some)
                .ok_or_else(|| bad_time(name)),
        };
        let (start, end) = (bound("start_time")?, bound("end_time")?);
        let is_oldest_first = match params.get("order") {
            "" | "desc" => false,
            "asc" => true,
            _ => {
                let message = "order is neither asc nor desc".to_owned();
                return Err(Refusal::field(
                    "bad_parameter",
                    "order",
                    message,
                    "without it, the newest come first",
                ));
            }
        };
        let used = start.or(end).map(|(_, unit)| unit);
        Ok(Self {
            times_ms: start.map_or(i64::MIN, |start| start.0)..=end.map_or(i64::MAX, |end| end.0),
            unit: unit.or(used).unwrap_or(TimeUnit::Milliseconds),
            tags,
            limit: number(params, "limit", LIMIT, LIMIT_MAX)?,
            is_oldest_first,
            cursor: Some(params.get("cursor").to_owned()).filter(|text| !text.is_empty()),
            interval_ms: match params.get("interval") {
                "" => None,
                text => Some(crate::api::native::aggregate::interval_ms(text)?),
            },
        })
    }
}

/// The reader of a body.
pub(super) fn arriving<'a>(
    headers: &HeaderMap,
    body: axum::body::Body,
    app: &'a crate::api::state::App,
    limits: &'a crate::config::Http,
) -> Result<Arriving<'a>, Refusal> {
    Arriving::new(headers, body, &app.admission, limits)
}
