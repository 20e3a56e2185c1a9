//! `/api/v1/events`: what happened to a device comes in, and is found again by device, type, severity, text, tags and time.

use super::items::{Asked, Fields, arriving, objects, unit};
use super::logs::{counts_shown, tags_shown};
use crate::api::error::ApiError;
use crate::api::json;
use crate::api::native::refusal::Refusal;
use crate::api::native::unit::TimeUnit;
use crate::api::native::write::time_in;
use crate::api::params::Params;
use crate::api::state::App;
use crate::api::tenant::Tenant;
use crate::db::Db;
use crate::records::events::{EventPoint, EventQuery};
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// `POST`: one event, a list, or one per line; all or none.
pub(super) async fn write(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let limits = app.config.load_full().http_of(&tenant.name);
    let unit = unit(&parts.uri)?;
    let objects = objects(arriving(&parts.headers, body, &app, &limits)?, "an event").await?;
    let events = objects.into_iter().enumerate();
    let events = events
        .map(|(place, fields)| event_of(fields, place, unit))
        .collect::<Result<Vec<_>, _>>()?;
    let stored = app.work(move || {
        tenant.db()?.events().write(&events)?;
        Ok(events.len())
    });
    let mut response = json::success(json!({ "stored": stored.await? }));
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

fn event_of(fields: Map<String, Value>, place: usize, unit: Option<TimeUnit>) -> Result<EventPoint, Refusal> {
    let mut fields = Fields::new(fields, place);
    let mut event = EventPoint::new(fields.needed("device")?, fields.needed("type")?);
    if let Some(severity) = fields.text("severity")? {
        event = event.with_severity(severity.as_str());
    }
    event.data = fields.json("data");
    event.tags = fields.tags()?;
    event.timestamp = fields.time_ms(unit)?;
    fields.finish("device, type, data, severity, tags, timestamp and precision")?;
    Ok(event)
}

/// `GET`: a page, or with `interval` how many there are in each.
pub(super) async fn query(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let params = Params::of_uri(&uri);
    let asked = Asked::of(&params, &["device", "type", "severity", "text"])?;
    let query = query_of(&params, &asked);
    let found = app.work(move || {
        let db = tenant.db()?;
        match asked.interval_ms {
            Some(interval_ms) => counts(db, &query, interval_ms, asked.unit),
            None => page(db, &query, asked.unit),
        }
    });
    Ok(json::success(found.await?))
}

fn query_of(params: &Params, asked: &Asked) -> EventQuery {
    let mut query = EventQuery::new(asked.times_ms.clone())
        .with_limit(asked.limit)
        .with_tags(asked.tags.clone());
    if asked.is_oldest_first {
        query = query.oldest_first();
    }
    if let Some(cursor) = &asked.cursor {
        query = query.with_cursor(cursor.clone());
    }
    let given = |name: &str| Some(params.get(name).to_owned()).filter(|text| !text.is_empty());
    if let Some(device) = given("device") {
        query = query.with_device(device);
    }
    if let Some(kind) = given("type") {
        query = query.with_type(kind);
    }
    if let Some(severity) = given("severity") {
        query = query.with_severity(severity.as_str());
    }
    if let Some(text) = given("text") {
        query = query.with_text(text);
    }
    query
}

fn page(db: &Db, query: &EventQuery, unit: TimeUnit) -> Result<Value, ApiError> {
    let page = db.events().query(query)?;
    let events: Vec<Value> = page.events.iter().map(|event| shown(event, unit)).collect();
    Ok(json!({ "precision": unit.name(), "events": events, "next_cursor": page.next }))
}

fn counts(db: &Db, query: &EventQuery, interval_ms: i64, unit: TimeUnit) -> Result<Value, ApiError> {
    let counts = db.events().count_per_interval(query, interval_ms)?;
    Ok(json!({ "precision": unit.name(), "counts": counts_shown(&counts, unit) }))
}

fn shown(event: &EventPoint, unit: TimeUnit) -> Value {
    json!({
        "timestamp": event.timestamp.map(|time_ms| time_in(unit, time_ms)),
        "device": event.device,
        "type": event.event_type,
        "severity": event.severity.as_str(),
        "data": event.data,
        "tags": tags_shown(&event.tags),
    })
}

/// The devices that have events.
pub(super) async fn devices(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
) -> Result<Response, Refusal> {
    let devices = app.work(move || Ok(tenant.db()?.events().devices()?));
    Ok(json::success(json!({ "devices": devices.await? })))
}
