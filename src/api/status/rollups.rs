//! `status/rollups`: what a tenant's database has of rollups, width by width.

use crate::api::error::ApiError;
use crate::api::json;
use crate::api::state::aside;
use crate::api::tenant::Tenant;
use crate::base::civil::rfc3339;
use crate::db::Db;
use crate::engine::rollup_info::RollupInfo;
use crate::promql::durations::format_duration;
use axum::Extension;
use axum::response::Response;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) async fn rollups(Extension(tenant): Extension<Arc<Tenant>>) -> Result<Response, ApiError> {
    aside(move || {
        let db = tenant.db()?;
        let rollups = db.rollups();
        let rollups: Vec<Value> = rollups.iter().map(|info| of_rollup(db, info)).collect();
        Ok(json::success(json!({ "rollups": rollups })))
    })
    .await
}

fn of_rollup(db: &Db, info: &RollupInfo) -> Value {
    let time = |at: i64| rfc3339(db.to_ms(at));
    json!({
        "width": width_text(info),
        "widthSeconds": info.resolution.as_secs_f64(),
        "wanted": info.is_wanted,
        "retentionSeconds": info.retention.map(|retention| retention.as_secs_f64()),
        "tiles": info.tiles,
        "series": info.series,
        "values": info.values,
        "bytes": info.bytes,
        "start": info.bounds.map(|bounds| time(bounds.0)),
        "end": info.bounds.map(|bounds| time(bounds.1)),
        "coveredSeconds": info.covered.as_secs_f64(),
        "outdatedSeconds": info.outdated.as_secs_f64(),
        "beingMade": info.is_being_made,
    })
}

/// The width as a query would say it.
pub(in crate::api) fn width_text(info: &RollupInfo) -> String {
    format_duration(info.resolution)
}
