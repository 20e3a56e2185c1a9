//! `GET /health` and `GET /stats`: whether the server lives, and what a database holds.

use crate::api::error::ApiError;
use crate::api::json;
use crate::api::state::{App, aside};
use crate::api::tenant::Tenant;
use crate::base::clock::{Clock as _, SystemClock};
use axum::Extension;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;

/// Metrics that are named, those with most series first.
const METRICS_SHOWN: usize = 50;
/// What a point takes without any compression: a time and a value.
pub(in crate::api) const PLAIN_POINT_BYTES: u64 = 16;

/// `GET /health`, answered from the first moment on.
pub(super) async fn health(State(app): State<Arc<App>>) -> Response {
    let is_ready = app
        .tenants
        .list()
        .iter()
        .all(|tenant| tenant.is_done() || tenant.is_new);
    let body = json::object(&[
        ("status", "healthy".into()),
        ("ready", is_ready.into()),
        ("uptime_seconds", uptime_s(&app).into()),
    ]);
    ([(header::CONTENT_TYPE, json::CONTENT_TYPE)], body).into_response()
}

fn uptime_s(app: &App) -> i64 {
    (SystemClock.now_ms() - app.times.started_ms).max(0) / 1000
}

/// How many times larger points would be without any compression; 0 without any.
pub(in crate::api) fn ratio(points: u64, bytes: u64) -> f64 {
    let ratio = (points * PLAIN_POINT_BYTES) as f64 / bytes.max(1) as f64;
    (ratio * 100.0).round() / 100.0
}

/// `GET /stats`.
pub(super) async fn stats(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
) -> Result<Response, ApiError> {
    let uptime_s = uptime_s(&app);
    let data = aside(move || {
        let db = tenant.db()?;
        let stats = db.stats()?;
        let mut metrics: Vec<(String, u64)> = db.cardinality()?.metrics.into_iter().collect();
        let series: u64 = metrics.iter().map(|metric| metric.1).sum();
        metrics.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let shown = metrics.iter().take(METRICS_SHOWN);
        let shown: Vec<Value> = shown
            .map(|(name, series)| json!({ "series_key": name, "series": series }))
            .collect();
        let bounds = [stats.head_bounds, stats.segment_bounds];
        let first = bounds.iter().flatten().map(|bounds| bounds.0).min();
        let last = bounds.iter().flatten().map(|bounds| bounds.1).max();
        Ok(json!({
            "series": series,
            "points": stats.segment_samples + stats.head_samples,
            "segments": stats.segments,
            "sstable_count": stats.segments,
            "memtable_points": stats.head_samples,
            "memtable_series": stats.head_series,
            "segment_points": stats.segment_samples,
            "segment_bytes": stats.segment_bytes,
            "wal_bytes": stats.wal_bytes,
            "disk_bytes": stats.disk_bytes(),
            "compression_ratio": ratio(stats.segment_samples, stats.segment_bytes),
            "first_timestamp": first,
            "last_timestamp": last,
            "precision": "ms",
            "metrics": shown,
            "quarantined": stats.quarantined,
            "uptime_seconds": uptime_s,
        }))
    });
    Ok(json::success(data.await?))
}
