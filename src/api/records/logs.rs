//! `/api/v1/logs`: lines come in, and are found again by device, level, source, text, tags and time.

use super::items::{Asked, Fields, arriving, objects, unit};
use crate::api::error::ApiError;
use crate::api::json;
use crate::api::native::refusal::Refusal;
use crate::api::native::unit::TimeUnit;
use crate::api::native::write::time_in;
use crate::api::params::Params;
use crate::api::state::App;
use crate::api::tenant::Tenant;
use crate::db::Db;
use crate::records::logs::{LogPoint, LogQuery};
use crate::records::tags::Tags;
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// `POST`: one line, a list, or one per line; all or none.
pub(super) async fn write(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let limits = app.config.load_full().http_of(&tenant.name);
    let unit = unit(&parts.uri)?;
    let objects = objects(arriving(&parts.headers, body, &app, &limits)?, "a log").await?;
    let logs = objects.into_iter().enumerate();
    let logs = logs
        .map(|(place, fields)| log_of(fields, place, unit))
        .collect::<Result<Vec<_>, _>>()?;
    let stored = app.work(move || {
        tenant.db()?.logs().write(&logs)?;
        Ok(logs.len())
    });
    let mut response = json::success(json!({ "stored": stored.await? }));
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

fn log_of(fields: Map<String, Value>, place: usize, unit: Option<TimeUnit>) -> Result<LogPoint, Refusal> {
    let mut fields = Fields::new(fields, place);
    let level = fields.text("level")?.unwrap_or_default();
    let mut log = LogPoint::new(
        fields.needed("device")?,
        level.as_str(),
        fields.needed("message")?,
    );
    if level.is_empty() {
        log.level = crate::records::rank::Level::default();
    }
    log.source = fields.text("source")?;
    log.tags = fields.tags()?;
    log.timestamp = fields.time_ms(unit)?;
    fields.finish("device, level, message, source, tags, timestamp and precision")?;
    Ok(log)
}

/// `GET`: a page, or with `interval` how many there are in each.
pub(super) async fn query(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let params = Params::of_uri(&uri);
    let asked = Asked::of(&params, &["device", "level", "source", "text"])?;
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

fn query_of(params: &Params, asked: &Asked) -> LogQuery {
    let mut query = LogQuery::new(asked.times_ms.clone())
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
    if let Some(level) = given("level") {
        query = query.with_level(level.as_str());
    }
    if let Some(source) = given("source") {
        query = query.with_source(source);
    }
    if let Some(text) = given("text") {
        query = query.with_text(text);
    }
    query
}

fn page(db: &Db, query: &LogQuery, unit: TimeUnit) -> Result<Value, ApiError> {
    let page = db.logs().query(query)?;
    let logs: Vec<Value> = page.logs.iter().map(|log| shown(log, unit)).collect();
    Ok(json!({ "precision": unit.name(), "logs": logs, "next_cursor": page.next }))
}

fn counts(db: &Db, query: &LogQuery, interval_ms: i64, unit: TimeUnit) -> Result<Value, ApiError> {
    let counts = db.logs().count_per_interval(query, interval_ms)?;
    Ok(json!({ "precision": unit.name(), "counts": counts_shown(&counts, unit) }))
}

pub(super) fn counts_shown(counts: &[(i64, u64)], unit: TimeUnit) -> Vec<Value> {
    let shown = counts
        .iter()
        .map(|(time_ms, count)| json!({ "timestamp": time_in(unit, *time_ms), "count": count }));
    shown.collect()
}

/// Tags as an object.
pub(super) fn tags_shown(tags: &Tags) -> Value {
    tags.iter()
        .map(|(name, value)| (name.to_owned(), Value::from(value)))
        .collect::<Map<_, _>>()
        .into()
}

fn shown(log: &LogPoint, unit: TimeUnit) -> Value {
    json!({
        "timestamp": log.timestamp.map(|time_ms| time_in(unit, time_ms)),
        "device": log.device,
        "level": log.level.as_str(),
        "message": log.message,
        "source": log.source,
        "tags": tags_shown(&log.tags),
    })
}

/// The devices that have logs.
pub(super) async fn devices(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
) -> Result<Response, Refusal> {
    let devices = app.work(move || Ok(tenant.db()?.logs().devices()?));
    Ok(json::success(json!({ "devices": devices.await? })))
}
