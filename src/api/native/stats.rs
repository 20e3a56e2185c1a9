//! `GET /health` and `GET /stats`: whether the server lives, and what a database holds.

use super::refusal::Refusal;
use crate::api::json;
use crate::api::params::Params;
use crate::api::state::{App, aside};
use crate::api::tenant::Tenant;
use crate::base::clock::{Clock as _, SystemClock};
use crate::engine::metric_sizes::MetricSizes;
use axum::Extension;
use axum::extract::State;
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Metrics that are named, those with most series first.
const METRICS_SHOWN: usize = 50;
/// Metrics that are named by their bytes, unless a request wants more or fewer.
const LARGEST_SHOWN: usize = 20;
const LARGEST_MAX: usize = 1_000;
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
    uri: Uri,
) -> Result<Response, Refusal> {
    let most = largest_shown(Params::of_uri(&uri).get("limit"))?;
    let uptime_s = uptime_s(&app);
    let data = aside(move || {
        let db = tenant.db()?;
        let stats = db.stats()?;
        let by_metric = db.cardinality()?.metrics;
        let sizes = tenant.metric_sizes(db);
        let largest = largest(&sizes, &by_metric, most);
        let mut metrics: Vec<(String, u64)> = by_metric.into_iter().collect();
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
            "rollup_tiles": stats.tiles,
            "rollup_bytes": stats.rollup_bytes,
            "wal_bytes": stats.wal_bytes,
            "disk_bytes": stats.disk_bytes(),
            "compression_ratio": ratio(stats.segment_samples, stats.segment_bytes),
            "first_timestamp": first,
            "last_timestamp": last,
            "precision": "ms",
            "metrics": shown,
            "largest_metrics": largest,
            "largest_metrics_warnings": sizes.faults,
            "quarantined": stats.quarantined,
            "uptime_seconds": uptime_s,
        }))
    });
    Ok(json::success(data.await?))
}

fn largest_shown(limit: &str) -> Result<usize, Refusal> {
    if limit.is_empty() {
        return Ok(LARGEST_SHOWN);
    }
    let number = limit
        .parse()
        .ok()
        .filter(|number| (1..=LARGEST_MAX).contains(number));
    number.ok_or_else(|| {
        let message = format!("limit is {limit:?}");
        let hint = format!("a number of metrics from 1 to {LARGEST_MAX}, or nothing for {LARGEST_SHOWN}");
        Refusal::field("bad_limit", "limit", message, hint)
    })
}

/// The metrics that take most of the segments, the largest first. Their bytes are estimated: up to 16 series share a piece.
fn largest(sizes: &MetricSizes, series: &BTreeMap<String, u64>, most: usize) -> Vec<Value> {
    let mut largest: Vec<(&String, f64)> = sizes.bytes.iter().map(|(name, bytes)| (name, *bytes)).collect();
    largest.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    let largest = largest.into_iter().take(most).map(|(name, bytes)| {
        json!({
            "series_key": name,
            "series": series.get(name).copied().unwrap_or(0),
            "bytes_estimated": bytes.round() as u64,
        })
    });
    largest.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::Db;
    use crate::engine::options::Options;
    use crate::labels;
    use crate::model::histogram::{Counts, Histogram, ResetHint, Span};
    use crate::model::sample::{Sample, Value as SampleValue};

    /// Nothing that could be guessed from what was before.
    fn noise(seed: u64) -> f64 {
        f64::from_bits(0x3ff0_0000_0000_0000 | seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 12)
    }

    fn histogram() -> Histogram {
        Histogram {
            reset_hint: ResetHint::Unknown,
            schema: 0,
            zero_threshold: 0.0,
            sum: 3.0,
            positive_spans: vec![Span { offset: 0, length: 2 }],
            negative_spans: Vec::new(),
            custom_values: Vec::new(),
            counts: Counts::Int {
                count: 3,
                zero_count: 0,
                positive: vec![1, 1],
                negative: Vec::new(),
            },
        }
    }

    #[test]
    fn what_metrics_take_adds_up_to_the_segments() {
        let db = Db::open(Options::in_memory().background(false)).expect("a database");
        for round in 0..2_i64 {
            let mut batch = db.batch();
            let start = round * 1_000_000;
            for host in 0..50 {
                let labels = labels! { "__name__" => "large", "host" => &host.to_string() };
                for tick in 0..100 {
                    batch.push(&labels, start + tick * 1000, noise(tick as u64 * 7919 + host));
                }
            }
            batch.push(&labels! { "__name__" => "small" }, start, 1.0);
            let histogram = Sample {
                timestamp: start,
                value: SampleValue::Histogram(Arc::new(histogram())),
                start_timestamp: 0,
            };
            batch.push_sample(&labels! { "__name__" => "shape" }, &histogram);
            assert_eq!(batch.commit().expect("a commit").accepted, 5002);
            db.flush().expect("a flush");
        }
        let sizes = db.metric_sizes();
        assert!(sizes.faults.is_empty(), "{:?}", sizes.faults);
        let total: f64 = sizes.bytes.values().sum();
        let bytes = db.stats().expect("stats").segment_bytes;
        assert!((total - bytes as f64).abs() < 1.0, "{total} of {bytes}");
        let shown = largest(&sizes, &db.cardinality().expect("a report").metrics, 2);
        assert_eq!(shown.len(), 2);
        assert_eq!(shown[0]["series_key"], "large");
        assert!(
            shown[0]["bytes_estimated"].as_f64() > Some(total * 0.9),
            "{shown:?}"
        );
    }

    #[test]
    fn limits_are_counts() {
        assert_eq!(largest_shown("").ok(), Some(LARGEST_SHOWN));
        assert_eq!(largest_shown("1000").ok(), Some(1000));
        for bad in ["0", "-1", "1001", "x", "1.5"] {
            assert!(largest_shown(bad).is_err(), "{bad}");
        }
    }
}
