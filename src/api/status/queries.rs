//! The queries of a server for who watches over them: those that run, those that took longest, and an end for one.
//!
//! Whoever may see one tenant only sees the queries of that one.

use crate::api::auth::Caller;
use crate::api::error::ApiError;
use crate::api::json;
use crate::api::queries::{About, Active, Ended};
use crate::api::query_json;
use crate::api::state::App;
use crate::base::civil::rfc3339;
use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Map, Value, json};
use std::sync::Arc;

fn may_see(caller: &Caller, about: &About) -> bool {
    let own = caller.tenant.as_ref();
    own.is_none_or(|own| own.as_str() == about.tenant)
}

/// What runs now.
pub(super) async fn active(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Response {
    let waiting = match &caller.tenant {
        Some(tenant) => app.queries.waiting_of(tenant.as_str()),
        None => app.queries.counts().1,
    };
    let running = app.queries.active();
    let running = running
        .iter()
        .filter(|(_, active)| may_see(&caller, &active.about));
    let running: Vec<Value> = running.map(|(id, active)| of_active(*id, active)).collect();
    json::success(json!({ "running": running, "waiting": waiting }))
}

/// The longest that have ended since the start, the longest first.
pub(super) async fn slow(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Response {
    let slowest = app.queries.slowest();
    let slowest = slowest.iter().filter(|ended| may_see(&caller, &ended.about));
    json::success(slowest.map(of_ended).collect())
}

/// Ends a query: its client gets 499.
pub(super) async fn kill(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let number = id
        .parse()
        .map_err(|_| ApiError::bad_data(format!("{id:?} is not the id of a query")))?;
    let tenant = caller.tenant.as_ref().map(|tenant| tenant.as_str());
    if !app.queries.kill(number, tenant) {
        return Err(ApiError::not_found(format!("no query {number} is running")));
    }
    tracing::info!(id = number, by = caller.sender(), "a query was ended");
    Ok(json::success(json!({ "id": id })))
}

fn of_active(id: u64, active: &Active) -> Value {
    let mut fields = of_about(&active.about, active.begun_ms);
    fields.insert("id".to_owned(), id.to_string().into());
    let running_s = active.begun.elapsed().as_secs_f64();
    fields.insert("runningSeconds".to_owned(), running_s.into());
    Value::Object(fields)
}

fn of_ended(ended: &Ended) -> Value {
    let mut fields = of_about(&ended.about, ended.begun_ms);
    fields.insert("tookSeconds".to_owned(), ended.took.as_secs_f64().into());
    fields.insert("samplesRead".to_owned(), ended.samples_read.into());
    fields.insert("outcome".to_owned(), ended.outcome.as_str().into());
    Value::Object(fields)
}

fn of_about(about: &About, begun_ms: i64) -> Map<String, Value> {
    let seconds = |timestamp_ms: i64| {
        let mut text = Vec::new();
        query_json::time(&mut text, timestamp_ms);
        serde_json::from_slice(&text).unwrap_or(Value::Null)
    };
    let mut fields = Map::new();
    fields.insert("tenant".to_owned(), about.tenant.as_str().into());
    fields.insert("query".to_owned(), about.query.as_str().into());
    fields.insert("start".to_owned(), seconds(about.start_ms));
    fields.insert("end".to_owned(), seconds(about.end_ms));
    fields.insert("step".to_owned(), (about.step_ms as f64 / 1000.0).into());
    fields.insert("begun".to_owned(), rfc3339(begun_ms).into());
    fields
}
