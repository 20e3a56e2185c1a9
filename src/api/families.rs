//! The documented set of metrics: names, kinds, labels and help. docs/metrics.md is made from it, and /metrics walks it.

use super::exposition::Family;

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
pub(super) const FAMILIES: &[Family] = &[
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
        "Memory of recent samples, by part; of a large head as it was up to two minutes ago.",
    ),
    family(
        "narthex_head_budget_bytes",
        "gauge",
        &[],
        "Memory of recent samples beyond which they are written to a segment (head_bytes), of all tenants together.",
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
        "narthex_rollup_tiles",
        "gauge",
        &["width"],
        "Tiles of rollups, by the width of their windows.",
    ),
    family(
        "narthex_rollup_bytes",
        "gauge",
        &["width"],
        "Bytes of tiles, by the width of their windows.",
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
        "narthex_wal_fsync_seconds",
        "histogram",
        &["le"],
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
        "narthex_tenants",
        "gauge",
        &["state"],
        "With tenants only: open, opening, and those that do not open.",
    ),
    family(
        "narthex_tenant_samples_total",
        "counter",
        &["tenant"],
        "With tenants only: samples that were stored and new.",
    ),
    family(
        "narthex_tenant_rejected_total",
        "counter",
        &["tenant"],
        "With tenants only: entries of batches that were refused.",
    ),
    family(
        "narthex_tenant_series",
        "gauge",
        &["tenant"],
        "With tenants only: series in memory.",
    ),
    family(
        "narthex_tenant_disk_bytes",
        "gauge",
        &["tenant"],
        "With tenants only: segments, log and checkpoint.",
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
    family("narthex_queries_running", "gauge", &[], "Queries that run."),
    family(
        "narthex_queries_waiting",
        "gauge",
        &[],
        "Queries that wait for one of the turns of query.concurrency.",
    ),
    family(
        "narthex_queries_total",
        "counter",
        &["outcome"],
        "Queries that ended: answered, failed, canceled by their client or an operator, or out of time (timeout).",
    ),
    family(
        "narthex_query_samples_total",
        "counter",
        &[],
        "Samples that queries read.",
    ),
    family(
        "narthex_query_memory_bytes",
        "gauge",
        &[],
        "Memory of the queries that run, out of query.bytes.",
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

/// docs/metrics.md.
#[cfg(test)]
fn page() -> String {
    use std::fmt::Write as _;
    let mut text = String::from(
        "# Metrics\n\n\
         What `GET /metrics` says, in Prometheus' text format. Made from the table in `src/api/families.rs`;\n\
         `UPDATE_DOCS=1 cargo test --lib families` writes it anew. Counters count from the start of the process.\n\n\
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
        assert_eq!(written, page(), "UPDATE_DOCS=1 cargo test --lib families");
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
