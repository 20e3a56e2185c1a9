//! One point is corrected or deleted: that of a series at a time. Which series is meant, the name in the path and the tags in the
//! parameters say; only if several have a point at that time must they say more.

use super::body::Arriving;
use super::page::is_stale;
use super::point::bad_time;
use super::points::series_key;
use super::refusal::Refusal;
use super::select::{Selected, path_part, truth, unit_of};
use super::text;
use super::unit::{GivenTime, TimeUnit};
use super::write::time_in;
use crate::api::error::ApiError;
use crate::api::json;
use crate::api::params::Params;
use crate::api::state::App;
use crate::api::tenant::Tenant;
use crate::db::Db;
use crate::engine::series::Series;
use crate::model::labels::{Labels, METRIC_NAME};
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde_json::{Value, json};
use std::sync::Arc;

/// Series that are named when several have the point.
const CANDIDATES_SHOWN: usize = 20;

/// A point that a request names.
struct Named {
    selected: Selected,
    time_ms: i64,
    unit: TimeUnit,
}

impl Named {
    /// Reads `/api/v1/series/{series_key}/datapoints/{timestamp}` and the tags.
    fn of(uri: &Uri, params: &Params) -> Result<Self, Refusal> {
        let time = path_part(uri.path().rsplit('/').next().unwrap_or(""), "timestamp")?;
        let read = GivenTime::of_text(&time).read(unit_of(params)?);
        let (time_ms, unit) = read.ok_or_else(|| bad_time("timestamp"))?;
        Ok(Self {
            selected: Selected::of(series_key(uri.path())?, params)?,
            time_ms,
            unit,
        })
    }

    /// The series that have a point at this time.
    fn find(&self, db: &Db) -> Result<Vec<Labels>, ApiError> {
        let at = self.time_ms..=self.time_ms;
        let mut cursor = db.select(&self.selected.matchers(), at)?;
        let mut series = Series::default();
        let mut found = Vec::new();
        while cursor.next_into(&mut series)? {
            if series.samples().any(|sample| !is_stale(&sample.value)) {
                found.push(series.labels().clone());
            }
        }
        match cursor.warnings() {
            [] => Ok(found),
            [first, ..] => Err(ApiError::internal(format!(
                "a part could not be read: {}",
                first.reason
            ))),
        }
    }

    /// The one series that has the point; `None` when none has it.
    fn find_one(&self, db: &Db) -> Result<Option<Labels>, Refusal> {
        let mut found = self.find(db)?;
        if found.len() <= 1 {
            return Ok(found.pop());
        }
        let candidates: Vec<Value> = found.iter().take(CANDIDATES_SHOWN).map(tags_of).collect();
        let message = format!("{} series have a point at this time", found.len());
        let error = ApiError::new(StatusCode::CONFLICT, "bad_data", message);
        let hint = "name the one by its tags, as ?host=a; one that it does not have as ?host=";
        Err(Refusal::detailed(error, "ambiguous", "tags", hint).with("candidates", candidates.into()))
    }

    fn not_found(&self, hint: &str) -> Refusal {
        let time = time_in(self.unit, self.time_ms);
        let message = format!(
            "{:?} has no point at {time} {}",
            self.selected.series_key,
            self.unit.name()
        );
        Refusal::detailed(ApiError::not_found(message), "point_not_found", "timestamp", hint)
    }

    /// The series that the name and the tags make.
    fn labels(&self) -> Result<Labels, Refusal> {
        let name = (METRIC_NAME, self.selected.series_key.as_str());
        let tags = self.selected.tags.iter().filter(|tag| !tag.1.is_empty());
        let pairs = std::iter::once(name).chain(tags.map(|(name, value)| (name.as_str(), value.as_str())));
        Labels::from_pairs(pairs).map_err(|error| {
            let message = format!("tags make no label set: {error}");
            Refusal::field(
                "bad_tags",
                "tags",
                message,
                "each tag may be there once and has a name",
            )
        })
    }

    fn answer(&self, labels: &Labels, more: &[(&'static str, Value)]) -> Value {
        let mut data = json!({
            "series_key": labels.metric_name(),
            "tags": tags_of(labels),
            "timestamp": time_in(self.unit, self.time_ms),
            "precision": self.unit.name(),
        });
        for (name, value) in more {
            data[*name] = value.clone();
        }
        data
    }
}

/// The tags of a series as an object.
pub(super) fn tags_of(labels: &Labels) -> Value {
    let mut written = Vec::new();
    text::tags(&mut written, labels);
    serde_json::from_slice(&written).unwrap_or(Value::Null)
}

/// `PUT`: the point gets another value, wherever it is stored. Without it, `upsert=true` makes it.
pub(super) async fn put(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let params = Params::of_uri(&parts.uri);
    let named = Named::of(&parts.uri, &params)?;
    let is_upsert = truth(&params, "upsert")?;
    let limits = app.config.load_full().http_of(&tenant.name);
    let (text, held) = Arriving::new(&parts.headers, body, &app.admission, &limits)?
        .whole()
        .await?;
    let value = value_of(&text)?;
    drop(held);
    let answered = app.work(move || Ok(correct(tenant.db()?, &named, value, is_upsert)));
    answered.await?
}

fn correct(db: &Db, named: &Named, value: f64, is_upsert: bool) -> Result<Response, Refusal> {
    db.check_milliseconds().map_err(ApiError::from)?;
    let found = named.find_one(db)?;
    let is_new = found.is_none();
    let labels = match found {
        Some(labels) => labels,
        None if is_upsert => named.labels()?,
        None => return Err(named.not_found("with ?upsert=true it is created")),
    };
    let mut batch = db.batch();
    batch.correct(&labels, named.time_ms, value);
    let report = batch.commit()?;
    if let Some(rejection) = report.rejected.first() {
        let message = rejection.example.clone();
        let hint = "see the limits in docs/config.md";
        return Err(Refusal::field(
            rejection.reason.as_str(),
            "timestamp",
            message,
            hint,
        ));
    }
    let mut written = Vec::new();
    text::number(&mut written, value);
    let value: Value = serde_json::from_slice(&written).unwrap_or(Value::Null);
    let data = named.answer(&labels, &[("value", value), ("created", is_new.into())]);
    let mut response = json::success(data);
    if is_new {
        *response.status_mut() = StatusCode::CREATED;
    }
    Ok(response)
}

/// The value in the body of a `PUT`: `{"value": 1.5}` or the number alone.
fn value_of(text: &[u8]) -> Result<f64, Refusal> {
    let json: Option<Value> = serde_json::from_slice(text).ok();
    let value = match &json {
        Some(Value::Object(fields)) if fields.len() == 1 => fields.get("value"),
        Some(Value::Object(_)) => None,
        other => other.as_ref(),
    };
    let number = match value {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| {
        let message = "the body has no value".to_owned();
        let hint = r#"send {"value": 1.5}; the time is in the path and tags are parameters"#;
        Refusal::field("bad_value", "value", message, hint)
    })
}

/// `DELETE`: the point is hidden at once.
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let named = Named::of(&uri, &Params::of_uri(&uri))?;
    let answered = app.work(move || {
        let db = tenant.db()?;
        let found = match named.find_one(db) {
            Ok(found) => found,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Some(labels) = found else {
            return Ok(Err(
                named.not_found("GET .../datapoints lists the points that there are")
            ));
        };
        let id = db.delete_series(&labels, named.time_ms..=named.time_ms)?;
        let data = named.answer(&labels, &[("deletion", id.to_string().into())]);
        Ok(Ok(json::success(data)))
    });
    answered.await?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_numbers_or_texts_of_them() {
        for (text, wanted) in [
            (r#"{"value": 1.5}"#, Some(1.5)),
            ("2", Some(2.0)),
            (r#"{"value": "+Inf"}"#, Some(f64::INFINITY)),
            (r#"{"value": true}"#, None),
            (r#"{"value": 1, "timestamp": 2}"#, None),
            ("", None),
            ("value=1", None),
        ] {
            assert_eq!(value_of(text.as_bytes()).ok(), wanted, "{text}");
        }
    }
}
