//! What the server is and how it is set up: `status/config`, `flags`, `runtimeinfo`, `buildinfo` and `features`.

use crate::api::error::ApiError;
use crate::api::state::{App, aside};
use crate::api::{json, process};
use crate::base::civil::rfc3339;
use crate::base::clock::{Clock as _, SystemClock};
use crate::promql::signature;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::available_parallelism;

/// The Prometheus whose API this is. Who asks decides by it what may be asked.
const PROMETHEUS: &str = "3.14.0";

/// Flags of Prometheus and the settings that do the same, for tools that read them.
const FLAGS: &[(&str, &str)] = &[
    ("enable-feature", "enable_feature"),
    ("query.lookback-delta", "query.lookback"),
    ("query.max-concurrency", "query.concurrency"),
    ("query.max-samples", "query.samples"),
    ("storage.remote.read-concurrent-limit", "remote_read.concurrency"),
    ("storage.remote.read-sample-limit", "remote_read.samples"),
    ("storage.tsdb.path", "data"),
    ("storage.tsdb.retention.size", "retention_bytes"),
    ("storage.tsdb.retention.time", "retention"),
    ("web.cors.origin", "http.cors_origin"),
    ("web.enable-admin-api", "http.admin_api"),
    ("web.enable-lifecycle", "http.lifecycle"),
    ("web.listen-address", "listen"),
];

/// The configuration that holds, without secrets.
pub(super) async fn config(State(app): State<Arc<App>>) -> Response {
    let text = app.config.load().to_toml();
    json::success(json!({ "yaml": text, "format": "toml" }))
}

/// The settings as texts, under their own names and under those of Prometheus' flags.
pub(super) async fn flags(State(app): State<Arc<App>>) -> Response {
    let config = app.config.load();
    let mut flags = Map::new();
    for (key, text) in config.texts() {
        let theirs = FLAGS.iter().filter(|flag| flag.1 == key);
        flags.extend(theirs.map(|flag| (flag.0.to_owned(), Value::from(text.as_str()))));
        flags.insert(key.to_owned(), Value::from(text));
    }
    json::success(Value::Object(flags))
}

pub(super) async fn build_info() -> Response {
    json::success(json!({
        "version": PROMETHEUS,
        "revision": "",
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
        "narthexVersion": env!("CARGO_PKG_VERSION"),
    }))
}

/// What Prometheus says of its runtime, as far as there is such a thing here: threads in place of goroutines, and no garbage to
/// collect.
pub(super) async fn runtime_info(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    aside(move || {
        let config = app.config.load();
        let retention = config
            .texts()
            .find(|text| text.0 == "retention")
            .map(|text| text.1);
        let mut damaged = 0;
        for tenant in app.tenants.list() {
            if let Ok(db) = tenant.db() {
                damaged += db.stats()?.quarantined;
            }
        }
        let folder = std::env::current_dir().unwrap_or_default();
        Ok(json::success(json!({
            "startTime": rfc3339(app.times.started_ms),
            "CWD": folder.display().to_string(),
            "hostname": process::hostname(),
            "serverTime": rfc3339(SystemClock.now_ms()),
            "reloadConfigSuccess": app.metrics.reload_failed.load(Relaxed) == 0,
            "lastConfigTime": rfc3339(app.times.configured_ms.load(Relaxed)),
            "corruptionCount": damaged,
            "goroutineCount": process::stats().map_or(0, |stats| stats.threads),
            "GOMAXPROCS": available_parallelism().map_or(1, |cores| cores.get()),
            "GOMEMLIMIT": i64::MAX,
            "GOGC": "",
            "GODEBUG": "",
            "storageRetention": retention.filter(|text| text != "0").unwrap_or_default(),
        })))
    })
    .await
}

/// What of Prometheus' features there is, by category.
pub(super) async fn features(State(app): State<Arc<App>>) -> Response {
    let config = app.config.load();
    let named = |name: &str| name.replace(['-', '.'], "_");
    let chosen = config.query.features.list();
    let prometheus: Map<String, Value> = chosen.map(|(name, is_on)| (named(name), is_on.into())).collect();
    let functions = signature::FUNCTIONS
        .iter()
        .map(|one| (one.name.to_owned(), Value::from(true)));
    json::success(json!({
        "api": {
            "admin": config.http.has_admin_api,
            "exclude_alerts": true,
            "exemplars": true,
            "lifecycle": config.http.has_quit,
            "openapi_3_1": true,
            "openapi_3_2": true,
            "query_stats": true,
            "query_warnings": true,
            "remote_read": true,
            "remote_write_receiver": true,
            "search": true,
            "time_range_labels": true,
            "time_range_series": true,
        },
        "prometheus": prometheus,
        "promql_functions": functions.collect::<Map<_, _>>(),
        "rules": { "alerting": false, "recording": false },
        "scrape": { "scraping": false },
        "tsdb": { "delete": true, "exemplars": true, "native_histograms": true, "out_of_order": true, "snapshots": true },
    }))
}
