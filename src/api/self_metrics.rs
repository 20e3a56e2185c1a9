//! What narthex says of itself at /metrics: the documented families, each with its values of this moment. Figures of databases
//! are sums over the tenants.

use super::error::ApiError;
use super::exposition::{CONTENT_TYPE, Durations, Page};
use super::families::FAMILIES;
use super::state::{App, aside};
use super::status::rollups::width_text;
use super::tenant::Tenant;
use super::{process, router};
use crate::engine::counters::Totals;
use crate::engine::stats::Stats;
use crate::head::HeadMemory;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

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

/// What one tenant has, where tenants are told apart.
struct OfTenant {
    name: String,
    samples: u64,
    rejected: u64,
    series: u64,
    disk_bytes: u64,
}

/// What there is of rollups of one width.
#[derive(Default)]
struct RollupSums {
    width: String,
    tiles: u64,
    bytes: u64,
}

/// Everything that is shown, at about one moment: sums over the tenants that are open.
#[derive(Default)]
struct Snapshot {
    stats: Stats,
    memory: HeadMemory,
    /// Tiles and their bytes by the width of their windows.
    rollups: BTreeMap<Duration, RollupSums>,
    budget_bytes: u64,
    recovery_lost_samples: u64,
    open: u64,
    opening: u64,
    failed: u64,
    /// Empty without tenants.
    tenants: Vec<OfTenant>,
}

pub(super) async fn metrics(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let text = aside(move || Ok(app.metrics_page()?.text())).await?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

impl App {
    /// All families with their values of this moment.
    pub(super) fn metrics_page(&self) -> Result<Page, ApiError> {
        let snapshot = self.snapshot()?;
        let mut page = Page::default();
        for family in FAMILIES {
            if !self.tenants.is_enabled && family.name.starts_with("narthex_tenant") {
                continue;
            }
            page.family(family);
            self.write_family(family.name, &snapshot, &mut page);
        }
        Ok(page)
    }

    fn snapshot(&self) -> Result<Snapshot, ApiError> {
        let mut snapshot = Snapshot::default();
        for tenant in self.tenants.list() {
            match tenant.is_failed() {
                true => snapshot.failed += 1,
                false if tenant.is_done() => match snapshot.add(self, &tenant) {
                    Err(error) if self.tenants.is_enabled => {
                        tracing::warn!(tenant = %tenant.name, error = %error.message, "a tenant has no figures");
                        snapshot.failed += 1;
                    }
                    added => added?,
                },
                false => snapshot.opening += 1,
            }
        }
        Ok(snapshot)
    }

    fn write_family(&self, name: &str, snapshot: &Snapshot, page: &mut Page) {
        match name {
            "narthex_build_info" => page.sample(name, &[("version", env!("CARGO_PKG_VERSION"))], 1.0),
            _ if name.starts_with("narthex_quer") => self.write_queries(name, page),
            _ if name.starts_with("process_") => write_process(name, page),
            _ if name.starts_with("narthex_rollup") => snapshot.write_rollups(name, page),
            _ if name.starts_with("narthex_tenant") => snapshot.write_tenants(name, page),
            _ if self.write_server(name, page) => {}
            _ => snapshot.write(name, page),
        }
    }

    fn write_queries(&self, name: &str, page: &mut Page) {
        let queries = &self.queries;
        let value = match name {
            "narthex_queries_total" => {
                let ended = queries.ended();
                return ended.for_each(|(outcome, count)| {
                    page.sample(name, &[("outcome", outcome.as_str())], count as f64);
                });
            }
            "narthex_queries_running" => queries.counts().0 as f64,
            "narthex_queries_waiting" => queries.counts().1 as f64,
            "narthex_query_memory_bytes" => queries.memory.used_bytes() as f64,
            "narthex_query_samples_total" => queries.samples_read() as f64,
            _ => unreachable!("BUG: {name} is documented and nobody writes it"),
        };
        page.sample(name, &[], value);
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
    fn add(&mut self, app: &App, tenant: &Tenant) -> Result<(), ApiError> {
        let db = tenant.db()?;
        let stats = db.stats()?;
        if app.tenants.is_enabled {
            let totals = &stats.totals;
            self.tenants.push(OfTenant {
                name: tenant.name.to_string(),
                samples: totals.floats + totals.histograms,
                rejected: totals.rejected.iter().map(|one| one.1).sum(),
                series: stats.head_series,
                disk_bytes: stats.disk_bytes(),
            });
        }
        for info in db.rollups() {
            let sums = self.rollups.entry(info.resolution).or_default();
            sums.width = width_text(&info);
            sums.tiles += info.tiles as u64;
            sums.bytes += info.bytes;
        }
        self.stats.add(&stats);
        self.memory.add(&tenant.memory(db));
        self.budget_bytes += db.head_bytes_max();
        self.recovery_lost_samples += db.recovery().lost_samples;
        self.open += 1;
        Ok(())
    }

    fn write_tenants(&self, name: &str, page: &mut Page) {
        let value: fn(&OfTenant) -> u64 = match name {
            "narthex_tenants" => {
                let states = [
                    ("open", self.open),
                    ("opening", self.opening),
                    ("failed", self.failed),
                ];
                return states
                    .iter()
                    .for_each(|(state, count)| page.sample(name, &[("state", state)], *count as f64));
            }
            "narthex_tenant_samples_total" => |one| one.samples,
            "narthex_tenant_rejected_total" => |one| one.rejected,
            "narthex_tenant_series" => |one| one.series,
            "narthex_tenant_disk_bytes" => |one| one.disk_bytes,
            _ => unreachable!("BUG: {name} is documented and nobody writes it"),
        };
        for tenant in &self.tenants {
            page.sample(name, &[("tenant", &tenant.name)], value(tenant) as f64);
        }
    }

    fn write_rollups(&self, name: &str, page: &mut Page) {
        for sums in self.rollups.values() {
            let value = match name {
                "narthex_rollup_tiles" => sums.tiles,
                _ => sums.bytes,
            };
            page.sample(name, &[("width", &sums.width)], value as f64);
        }
    }

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
            "narthex_wal_fsync_seconds" => return write_syncs(name, totals, page),
            "narthex_head_budget_bytes" => self.budget_bytes,
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

fn write_syncs(name: &str, totals: &Totals, page: &mut Page) {
    let bucket = format!("{name}_bucket");
    for (bound, count) in &totals.log_syncs_up_to {
        page.sample(
            &bucket,
            &[("le", &bound.as_secs_f64().to_string())],
            *count as f64,
        );
    }
    page.sample(&bucket, &[("le", "+Inf")], totals.log_syncs as f64);
    page.sample(&format!("{name}_sum"), &[], totals.log_sync_time.as_secs_f64());
    page.sample(&format!("{name}_count"), &[], totals.log_syncs as f64);
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
