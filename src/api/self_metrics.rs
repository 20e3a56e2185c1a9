//! What narthex says of itself at /metrics. `FAMILIES` is the documented set; docs/metrics.md is made from it.

use super::error::ApiError;
use super::exposition::{CONTENT_TYPE, Durations, Family, Page};
use super::state::App;
use super::{process, router};
use crate::engine::stats::Stats;
use crate::head::HeadMemory;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

const fn family(
    name: &'static str,
    kind: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Family {
    Family {
        name,
        kind,
        labels,
        help,
    }
}

/// Every metric, in the order in which it is shown.
const FAMILIES: &[Family] = &[
    family("narthex_build_info", "gauge", &["version"], "Always 1."),
    family(
        "narthex_ingest_batches_total",
        "counter",
        &[],
        "Batches that were committed; a remote write request is one.",
    ),
    family(
        "narthex_ingest_samples_total",
        "counter",
        &["type"],
        "Samples that were stored and new: floats and histograms.",
    ),
    family(
        "narthex_ingest_duplicates_total",
        "counter",
        &[],
        "Samples that were there already with the same bits, as after a retry.",
    ),
    family(
        "narthex_ingest_corrections_total",
        "counter",
        &[],
        "Samples that replaced others on purpose.",
    ),
    family(
        "narthex_ingest_exemplars_total",
        "counter",
        &[],
        "Exemplars that were stored and new.",
    ),
    family(
        "narthex_ingest_metadata_total",
        "counter",
        &[],
        "Metadata entries that were stored and new.",
    ),
    family(
        "narthex_ingest_rejected_total",
        "counter",
        &["reason"],
        "Entries of batches that were refused.",
    ),
    family(
        "narthex_late_conflicts_total",
        "counter",
        &[],
        "Samples that merges found to lose against earlier ones with another value.",
    ),
    family("narthex_head_series", "gauge", &[], "Series in memory."),
    family(
        "narthex_head_series_created_total",
        "counter",
        &[],
        "Series that came to be in memory.",
    ),
    family(
        "narthex_head_samples",
        "gauge",
        &[],
        "Samples in memory that no segment holds yet.",
    ),
    family(
        "narthex_head_bytes",
        "gauge",
        &["part"],
        "Memory of recent samples, by part.",
    ),
    family(
        "narthex_head_budget_bytes",
        "gauge",
        &[],
        "Memory of recent samples beyond which they are written to a segment (head_bytes).",
    ),
    family("narthex_segments", "gauge", &[], "Segments."),
    family("narthex_segment_bytes", "gauge", &[], "Bytes of segments."),
    family("narthex_segment_samples", "gauge", &[], "Samples in segments."),
    family(
        "narthex_segment_series",
        "gauge",
        &[],
        "Series of all segments; one that is in several counts in each.",
    ),
    family(
        "narthex_flushes_total",
        "counter",
        &[],
        "Times recent samples were written to segments.",
    ),
    family("narthex_merges_total", "counter", &[], "Merges of segments."),
    family(
        "narthex_wal_bytes",
        "gauge",
        &[],
        "Bytes of the log, reserved space included.",
    ),
    family(
        "narthex_checkpoint_bytes",
        "gauge",
        &[],
        "Bytes of the checkpoint.",
    ),
    family(
        "narthex_wal_sync_seconds",
        "summary",
        &[],
        "Waits for the disk that made the log durable.",
    ),
    family(
        "narthex_quarantined",
        "gauge",
        &[],
        "Damaged parts of the database that were put aside.",
    ),
    family(
        "narthex_recovery_lost_samples",
        "gauge",
        &[],
        "Samples that the last opening found damaged in the log.",
    ),
    family(
        "narthex_poisoned",
        "gauge",
        &[],
        "1 when a write or sync failed and nothing is written until the next start.",
    ),
    family(
        "narthex_http_requests_total",
        "counter",
        &["route", "status"],
        "Requests that were answered.",
    ),
    family(
        "narthex_http_request_duration_seconds",
        "histogram",
        &["route", "le"],
        "From the headers of a request to the headers of its answer.",
    ),
    family("narthex_http_connections", "gauge", &[], "Open connections."),
    family(
        "narthex_http_connections_total",
        "counter",
        &[],
        "Connections that were accepted.",
    ),
    family(
        "narthex_http_working_requests",
        "gauge",
        &[],
        "Requests that hold one of the turns of http.concurrency.",
    ),
    family(
        "narthex_http_in_flight_bytes",
        "gauge",
        &[],
        "Bodies of requests in memory, out of http.in_flight_bytes.",
    ),
    family(
        "narthex_ingest_left_out_total",
        "counter",
        &[],
        "Samples and exemplars of remote write that were not stored because another sender of a pair is elected or a rule drops them.",
    ),
    family(
        "narthex_auth_failures_total",
        "counter",
        &[],
        "Requests with a user, password or token that is not known.",
    ),
    family(
        "narthex_tls_failures_total",
        "counter",
        &[],
        "Connections whose TLS handshake failed.",
    ),
    family(
        "narthex_config_reload_success",
        "gauge",
        &[],
        "1 when the last reload of the configuration succeeded, or there was none.",
    ),
    family(
        "process_cpu_seconds_total",
        "counter",
        &[],
        "Processor time, of the user and the system.",
    ),
    family(
        "process_resident_memory_bytes",
        "gauge",
        &[],
        "Memory that is in RAM, mapped segments included.",
    ),
    family("process_virtual_memory_bytes", "gauge", &[], "Address space."),
    family("process_open_fds", "gauge", &[], "Open files and sockets."),
    family("process_max_fds", "gauge", &[], "The limit of them."),
    family("process_threads", "gauge", &[], "Threads."),
    family(
        "process_start_time_seconds",
        "gauge",
        &[],
        "When the process started, in seconds since 1970.",
    ),
];

/// What the server counts itself.
#[derive(Debug)]
pub(crate) struct ServerMetrics {
    routes: BTreeMap<&'static str, Arc<RouteMetrics>>,
    pub(super) connections: AtomicI64,
    pub(super) connections_total: AtomicU64,
    /// Samples and exemplars that election and relabelling left out.
    pub(super) left_out: AtomicU64,
    pub(super) auth_failures: AtomicU64,
    pub(super) tls_failures: AtomicU64,
    pub(super) reload_failed: AtomicU64,
}

/// Requests of one route.
#[derive(Debug)]
pub(super) struct RouteMetrics {
    /// By status, from 100 on.
    by_status: Vec<AtomicU64>,
    durations: Durations,
}

const STATUS_MIN: u16 = 100;
const STATUS_END: u16 = 600;

impl Default for RouteMetrics {
    fn default() -> Self {
        Self {
            by_status: (STATUS_MIN..STATUS_END).map(|_| AtomicU64::new(0)).collect(),
            durations: Durations::default(),
        }
    }
}

impl RouteMetrics {
    pub(super) fn observe(&self, status: StatusCode, took: Duration) {
        let place = usize::from(status.as_u16().saturating_sub(STATUS_MIN));
        if let Some(counter) = self.by_status.get(place) {
            counter.fetch_add(1, Relaxed);
        }
        self.durations.observe(took);
    }

    fn statuses(&self) -> impl Iterator<Item = (u16, u64)> {
        let counts = self.by_status.iter().map(|counter| counter.load(Relaxed));
        (STATUS_MIN..STATUS_END)
            .zip(counts)
            .filter(|(_, count)| *count > 0)
    }
}

impl Default for ServerMetrics {
    fn default() -> Self {
        let names = router::route_names().into_iter();
        Self {
            routes: names.map(|name| (name, Arc::default())).collect(),
            connections: AtomicI64::new(0),
            connections_total: AtomicU64::new(0),
            left_out: AtomicU64::new(0),
            auth_failures: AtomicU64::new(0),
            tls_failures: AtomicU64::new(0),
            reload_failed: AtomicU64::new(0),
        }
    }
}

impl ServerMetrics {
    pub(super) fn route(&self, name: &str) -> Arc<RouteMetrics> {
        self.routes.get(name).cloned().unwrap_or_default()
    }

    pub(super) fn count_auth_failure(&self) {
        self.auth_failures.fetch_add(1, Relaxed);
    }
}

/// Everything that is shown, at about one moment.
struct Snapshot {
    stats: Stats,
    memory: HeadMemory,
    recovery_lost_samples: u64,
}

pub(super) async fn metrics(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let reading = app.clone();
    let text = app
        .aside(move |db| {
            let snapshot = Snapshot {
                stats: db.stats()?,
                memory: db.memory(),
                recovery_lost_samples: db.recovery().lost_samples,
            };
            let mut page = Page::default();
            for family in FAMILIES {
                page.family(family);
                reading.write_family(family.name, &snapshot, &mut page);
            }
            Ok(page.finish())
        })
        .await?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

impl App {
    fn write_family(&self, name: &str, snapshot: &Snapshot, page: &mut Page) {
        match name {
            "narthex_build_info" => page.sample(name, &[("version", env!("CARGO_PKG_VERSION"))], 1.0),
            "narthex_head_budget_bytes" => page.sample(name, &[], self.config.load().head_bytes as f64),
            _ if name.starts_with("process_") => write_process(name, page),
            _ if self.write_server(name, page) => {}
            _ => snapshot.write(name, page),
        }
    }

    /// Whether it is one of the server's own.
    fn write_server(&self, name: &str, page: &mut Page) -> bool {
        let metrics = &self.metrics;
        let value = match name {
            "narthex_http_requests_total" => {
                for (route, counts) in &metrics.routes {
                    for (status, count) in counts.statuses() {
                        page.sample(
                            name,
                            &[("route", route), ("status", &status.to_string())],
                            count as f64,
                        );
                    }
                }
                return true;
            }
            "narthex_http_request_duration_seconds" => {
                for (route, counts) in &metrics.routes {
                    counts.durations.write(page, name, ("route", route));
                }
                return true;
            }
            "narthex_http_connections" => metrics.connections.load(Relaxed) as f64,
            "narthex_http_connections_total" => metrics.connections_total.load(Relaxed) as f64,
            "narthex_http_working_requests" => self.admission.working() as f64,
            "narthex_http_in_flight_bytes" => self.admission.held_bytes() as f64,
            "narthex_ingest_left_out_total" => metrics.left_out.load(Relaxed) as f64,
            "narthex_auth_failures_total" => metrics.auth_failures.load(Relaxed) as f64,
            "narthex_tls_failures_total" => metrics.tls_failures.load(Relaxed) as f64,
            "narthex_config_reload_success" => 1.0 - metrics.reload_failed.load(Relaxed) as f64,
            _ => return false,
        };
        page.sample(name, &[], value);
        true
    }
}

impl Snapshot {
    fn write(&self, name: &str, page: &mut Page) {
        let Self { stats, memory, .. } = self;
        let totals = &stats.totals;
        let value = match name {
            "narthex_ingest_batches_total" => totals.batches,
            "narthex_ingest_samples_total" => {
                page.sample(name, &[("type", "float")], totals.floats as f64);
                return page.sample(name, &[("type", "histogram")], totals.histograms as f64);
            }
            "narthex_ingest_duplicates_total" => totals.duplicates,
            "narthex_ingest_corrections_total" => totals.corrections,
            "narthex_ingest_exemplars_total" => totals.exemplars,
            "narthex_ingest_metadata_total" => totals.metadata,
            "narthex_ingest_rejected_total" => {
                for (reason, count) in &totals.rejected {
                    page.sample(name, &[("reason", reason.as_str())], *count as f64);
                }
                return;
            }
            "narthex_head_bytes" => {
                for (part, bytes) in memory.parts() {
                    page.sample(name, &[("part", &part)], bytes as f64);
                }
                return;
            }
            "narthex_wal_sync_seconds" => {
                page.sample(&format!("{name}_sum"), &[], totals.log_sync_time.as_secs_f64());
                return page.sample(&format!("{name}_count"), &[], totals.log_syncs as f64);
            }
            "narthex_late_conflicts_total" => stats.late_conflicts,
            "narthex_head_series" => stats.head_series,
            "narthex_head_series_created_total" => totals.new_series,
            "narthex_head_samples" => stats.head_samples,
            "narthex_segments" => stats.segments as u64,
            "narthex_segment_bytes" => stats.segment_bytes,
            "narthex_segment_samples" => stats.segment_samples,
            "narthex_segment_series" => stats.segment_series,
            "narthex_flushes_total" => totals.flushes,
            "narthex_merges_total" => totals.merges,
            "narthex_wal_bytes" => stats.wal_bytes,
            "narthex_checkpoint_bytes" => stats.checkpoint_bytes,
            "narthex_quarantined" => stats.quarantined as u64,
            "narthex_recovery_lost_samples" => self.recovery_lost_samples,
            "narthex_poisoned" => u64::from(stats.poisoned.is_some()),
            _ => unreachable!("BUG: {name} is documented and nobody writes it"),
        };
        page.sample(name, &[], value as f64);
    }
}

fn write_process(name: &str, page: &mut Page) {
    let Some(stats) = process::stats() else { return };
    let value = match name {
        "process_cpu_seconds_total" => stats.cpu_seconds,
        "process_resident_memory_bytes" => stats.resident_bytes as f64,
        "process_virtual_memory_bytes" => stats.virtual_bytes as f64,
        "process_open_fds" => stats.open_fds as f64,
        "process_max_fds" => stats.max_fds as f64,
        "process_threads" => stats.threads as f64,
        _ => stats.start_seconds,
    };
    page.sample(name, &[], value);
}

/// docs/metrics.md.
#[cfg(test)]
fn page() -> String {
    use std::fmt::Write as _;
    let mut text = String::from(
        "# Metrics\n\n\
         What `GET /metrics` says, in Prometheus' text format. Made from the table in `src/api/self_metrics.rs`;\n\
         `UPDATE_DOCS=1 cargo test --lib self_metrics` writes it anew. Counters count from the start of the process.\n\n\
         | metric | type | labels | |\n|---|---|---|---|\n",
    );
    for family in FAMILIES {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let Family { name, kind, help, .. } = family;
        let _ = writeln!(text, "| `{name}` | {kind} | {} | {help} |", labels.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "writes a file of the package when asked to"
    )]
    fn the_page_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, page()).expect("the page is written");
        }
        let written = std::fs::read_to_string(path).expect("the page is there");
        assert_eq!(written, page(), "UPDATE_DOCS=1 cargo test --lib self_metrics");
    }

    #[test]
    fn counters_are_named_as_counters() {
        for family in FAMILIES {
            assert_eq!(
                family.kind == "counter",
                family.name.ends_with("_total"),
                "{}",
                family.name
            );
        }
    }
}
