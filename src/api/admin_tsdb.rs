//! Prometheus' admin API: delete series, apply what was deleted, make a snapshot. Off unless `http.admin_api` turns it on.

use super::error::ApiError;
use super::json;
use super::params::{Params, invalid, parse_bool};
use super::router::{ADMIN, Of, Route, route};
use super::state::{App, aside};
use super::tenant::Tenant;
use crate::base::civil::DateTime;
use crate::base::clock::{Clock as _, SystemClock};
use crate::base::keyed;
use crate::model::matcher::Matcher;
use crate::promql::parse::parse_selector;
use crate::segment::names;
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) fn routes() -> Vec<Route> {
    let delete = post(delete_series).put(delete_series);
    let clean = post(clean_tombstones).put(clean_tombstones);
    vec![
        route("/api/v1/admin/tsdb/delete_series", ADMIN, Of::Tenant, delete),
        route("/api/v1/admin/tsdb/clean_tombstones", ADMIN, Of::Tenant, clean),
        route(
            "/api/v1/admin/tsdb/snapshot",
            ADMIN,
            Of::Tenant,
            post(snapshot).put(snapshot),
        ),
    ]
}

/// Refused with the status that Prometheus has for it.
fn check_enabled(app: &App) -> Result<(), ApiError> {
    match app.config.load().http.has_admin_api {
        true => Ok(()),
        false => {
            let message = "admin APIs disabled (http.admin_api)";
            Err(ApiError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "unavailable",
                message,
            ))
        }
    }
}

/// Hides samples of matching series. Nothing lies between an end and a start behind it.
async fn delete_series(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<Response, ApiError> {
    check_enabled(&app)?;
    let params = Params::of(&app, request).await?;
    params.check_form()?;
    if params.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let start_ms = params.time_ms("start", i64::MIN)?;
    let end_ms = params.time_ms("end", i64::MAX)?;
    let selectors = params.all("match[]").map(parse_selector);
    let selectors = selectors.collect::<Result<Vec<Vec<Matcher>>, _>>();
    let selectors = selectors.map_err(|error| invalid("match[]", &error.to_string()))?;
    if selectors.iter().any(Vec::is_empty) {
        let what = "a selector without any condition would delete everything";
        return Err(invalid("match[]", what));
    }
    aside(move || {
        let db = tenant.db()?;
        let times = db.range_of_ms(start_ms, end_ms);
        for matchers in selectors.iter().filter(|_| !times.is_empty()) {
            db.delete(matchers, times.clone())?;
        }
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

/// Writes all segments anew without what was deleted, as far as it cannot be brought back any more.
async fn clean_tombstones(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
) -> Result<Response, ApiError> {
    check_enabled(&app)?;
    aside(move || {
        let db = tenant.db()?;
        db.flush()?;
        db.compact()?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

/// Makes a snapshot below the tenant's own folder. What is in memory is in it as the log that it is made from, so that leaving it out
/// would save nothing.
async fn snapshot(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<Response, ApiError> {
    check_enabled(&app)?;
    let params = Params::of(&app, request).await?;
    let skip_head = params.get("skip_head");
    if !skip_head.is_empty() {
        let fault = |fault: String| invalid("skip_head", &format!("unable to parse boolean: {fault}"));
        parse_bool(skip_head).map_err(fault)?;
    }
    aside(move || {
        let name = made_name();
        let folder = tenant.name.folder(&app.config.load().data);
        let report = tenant.db()?.snapshot(folder.join(names::SNAPSHOTS).join(&name))?;
        tracing::info!(tenant = %tenant.name, name, lsn = report.lsn, "a snapshot was made");
        Ok(json::success(json!({ "name": name })))
    })
    .await
}

/// A name for a new snapshot or backup.
pub(super) fn made_name() -> String {
    snapshot_name(SystemClock.now_ms())
}

/// `20261127T153057Z-1716c057ef73be07`
fn snapshot_name(now_ms: i64) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let at = DateTime::of_seconds(now_ms.div_euclid(1000));
    let unique = [now_ms as u64, NEXT.fetch_add(1, Ordering::Relaxed)].map(u64::to_le_bytes);
    let random = keyed::keyed_128(&unique.concat()) as u64;
    format!(
        "{:04}{:02}{:02}T{:02}{:02}{:02}Z-{random:016x}",
        at.year, at.month, at.day, at.hour, at.minute, at.second
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_prometheus_and_differ() {
        let name = snapshot_name(1_700_000_000_123);
        let (date, random) = name.split_once('-').expect("two parts");
        assert_eq!((date, random.len()), ("20231114T221320Z", 16));
        assert!(random.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_ne!(name, snapshot_name(1_700_000_000_123));
    }
}
