//! `GET /api/v1/admin/compression` and `GET /api/v1/admin/retention`: how small the data of a tenant is, and how long it stays.

use super::jobs::ahead;
use crate::api::error::ApiError;
use crate::api::json;
use crate::api::native::stats::{PLAIN_POINT_BYTES, ratio};
use crate::api::state::aside;
use crate::api::status::rollups::width_text;
use crate::api::tenant::Tenant;
use crate::base::civil::rfc3339;
use crate::db::Db;
use crate::engine::error::Error;
use crate::engine::inventory::SegmentInfo;
use crate::records::events::EventQuery;
use crate::records::logs::LogQuery;
use axum::Extension;
use axum::response::Response;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Sums over segments.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Sums {
    segments: u64,
    floats: u64,
    histograms: u64,
    bytes: u64,
}

impl Sums {
    fn add(&mut self, segment: &SegmentInfo) {
        self.segments += 1;
        self.floats += segment.meta.floats;
        self.histograms += segment.meta.histograms;
        self.bytes += segment.bytes;
    }

    /// A native histogram counts as one point: as the series of a classic one it would be a dozen.
    fn to_json(&self) -> Map<String, Value> {
        let samples = self.floats + self.histograms;
        let per_sample = self.bytes as f64 / samples.max(1) as f64;
        let fields = [
            ("segments", json!(self.segments)),
            ("samples", json!(samples)),
            ("floats", json!(self.floats)),
            ("histograms", json!(self.histograms)),
            ("bytes", json!(self.bytes)),
            ("plainBytes", json!(samples * PLAIN_POINT_BYTES)),
            (
                "bytesPerSample",
                json!((samples > 0).then_some((per_sample * 1000.0).round() / 1000.0)),
            ),
            (
                "ratio",
                json!((samples > 0).then_some(ratio(samples, self.bytes))),
            ),
        ];
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}

/// What segments take, by how often their samples were merged.
pub(super) async fn compression(Extension(tenant): Extension<Arc<Tenant>>) -> Result<Response, ApiError> {
    aside(move || {
        let segments = tenant.db()?.segments();
        let (mut all, mut levels) = (Sums::default(), BTreeMap::<u8, Sums>::new());
        let mut parts = BTreeMap::<&str, u64>::new();
        for segment in &segments {
            all.add(segment);
            levels.entry(segment.meta.level).or_default().add(segment);
            for (part, bytes) in &segment.parts {
                *parts.entry(part).or_default() += bytes;
            }
        }
        let levels = levels.iter().map(|(level, sums)| {
            let mut fields = sums.to_json();
            fields.insert("level".to_owned(), (*level).into());
            Value::Object(fields)
        });
        Ok(json::success(json!({
            "total": all.to_json(),
            "levels": levels.collect::<Vec<_>>(),
            "parts": parts,
        })))
    })
    .await
}

/// What is kept for how long, how old what is there is, and what goes next.
pub(super) async fn retention(Extension(tenant): Extension<Arc<Tenant>>) -> Result<Response, ApiError> {
    aside(move || {
        let db = tenant.db()?;
        let report = db.retention()?;
        let time = |at: i64| rfc3339(db.to_ms(at));
        let next_ms = report.next_drop.map(|at| db.to_ms(at));
        let (oldest_log, oldest_event) = oldest_records(db)?;
        Ok(json::success(json!({
            "samples": {
                "retentionSeconds": seconds(report.retention),
                "retentionBytes": report.retention_bytes,
                "rules": report.rules,
                "bytesInUse": report.bytes_in_use,
                "rollupBytes": report.rollup_bytes,
                "oldest": report.bounds.map(|bounds| time(bounds.0)),
                "newest": report.bounds.map(|bounds| time(bounds.1)),
                "nextDeletion": ahead(next_ms, db.now_ms()),
                "dueNow": { "segments": report.due_segments, "bytes": report.due_bytes },
            },
            "rollups": db.rollups().iter().map(|info| json!({
                "width": width_text(info),
                "retentionSeconds": seconds(info.retention),
                "oldest": info.bounds.map(|bounds| time(bounds.0)),
                "newest": info.bounds.map(|bounds| time(bounds.1)),
                "bytes": info.bytes,
            })).collect::<Vec<_>>(),
            "logs": {
                "retentionSeconds": seconds(report.log_retention),
                "oldest": oldest_log.map(time),
                "nextDeletion": ahead(goes_at_ms(db, oldest_log, report.log_retention), db.now_ms()),
            },
            "events": {
                "retentionSeconds": seconds(report.event_retention),
                "oldest": oldest_event.map(time),
                "nextDeletion": ahead(goes_at_ms(db, oldest_event, report.event_retention), db.now_ms()),
            },
        })))
    })
    .await
}

fn seconds(duration: Option<Duration>) -> Option<f64> {
    duration.map(|duration| duration.as_secs_f64())
}

/// The times of the oldest log and the oldest event.
fn oldest_records(db: &Db) -> Result<(Option<i64>, Option<i64>), Error> {
    let logs = db.logs().query(&LogQuery::new(..).oldest_first().with_limit(1))?;
    let events = db
        .events()
        .query(&EventQuery::new(..).oldest_first().with_limit(1))?;
    Ok((
        logs.logs.first().and_then(|log| log.timestamp),
        events.events.first().and_then(|event| event.timestamp),
    ))
}

/// When something of this time is too old.
fn goes_at_ms(db: &Db, oldest: Option<i64>, retention: Option<Duration>) -> Option<i64> {
    let retention_ms = i64::try_from(retention?.as_millis()).unwrap_or(i64::MAX);
    Some(db.to_ms(oldest?).saturating_add(retention_ms))
}
