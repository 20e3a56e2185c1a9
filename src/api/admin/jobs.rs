//! `GET /api/v1/admin/jobs`: what a tenant's database does now, did lately, and will do next.

use crate::api::error::ApiError;
use crate::api::json;
use crate::api::state::aside;
use crate::api::tenant::Tenant;
use crate::base::civil::rfc3339;
use crate::db::Db;
use crate::engine::due::{Due, DueMerge};
use crate::engine::jobs::Job;
use axum::Extension;
use axum::response::Response;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) async fn jobs(Extension(tenant): Extension<Arc<Tenant>>) -> Result<Response, ApiError> {
    aside(move || {
        let db = tenant.db()?;
        let upkeep = db.upkeep();
        Ok(json::success(json!({
            "running": upkeep.running.iter().map(of_running).collect::<Vec<_>>(),
            "ended": upkeep.ended.iter().map(of_ended).collect::<Vec<_>>(),
            "due": of_due(db, &upkeep.due, db.now_ms()),
        })))
    })
    .await
}

fn of_running(job: &Job) -> Value {
    json!({
        "id": job.id,
        "kind": job.kind.as_str(),
        "begun": rfc3339(job.begun_ms),
        "runningSeconds": seconds(job.took_ms),
        "segments": job.sums.segments,
        "samples": job.sums.samples,
        "bytes": job.sums.bytes,
    })
}

fn of_ended(job: &Job) -> Value {
    json!({
        "id": job.id,
        "kind": job.kind.as_str(),
        "begun": rfc3339(job.begun_ms),
        "tookSeconds": seconds(job.took_ms),
        "result": if job.error.is_some() { "failed" } else { "done" },
        "error": job.error,
        "times": job.times,
        "segments": job.sums.segments,
        "samples": job.sums.samples,
        "bytes": job.sums.bytes,
    })
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

/// A moment that lies ahead, and how far; one that is over is due at once.
pub(super) fn ahead(at_ms: Option<i64>, now_ms: i64) -> Value {
    let Some(at_ms) = at_ms else {
        return Value::Null;
    };
    let wait_ms = u64::try_from(at_ms.saturating_sub(now_ms)).unwrap_or(0);
    json!({ "at": rfc3339(at_ms), "inSeconds": seconds(wait_ms) })
}

fn of_due(db: &Db, due: &Due, now_ms: i64) -> Value {
    let merge = |merge: DueMerge| {
        json!({
            "segments": merge.segments,
            "bytes": merge.bytes,
            "notBefore": ahead(merge.not_before_ms, now_ms),
        })
    };
    json!({
        "looksEverySeconds": due.looks_every.map(|every| every.as_secs_f64()),
        "busy": due.is_busy,
        "mergeLook": ahead(due.merge_look_ms, now_ms),
        "merge": due.merge.map(merge),
        "retiredFiles": due.retired,
        "flush": {
            "samples": due.flush_samples,
            "atLatest": ahead(due.flush_at_latest_ms, now_ms),
        },
        "checkpoint": {
            "logBytes": due.log_bytes,
            "dueAtLogBytes": due.checkpoint_log_bytes,
        },
        "retention": ahead(due.retention_at.map(|at| db.to_ms(at)), now_ms),
    })
}
