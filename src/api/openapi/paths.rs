//! The routes as they are described, by tag.

use super::parameters as p;
use super::{Content, Parameter, Path};

const fn path(
    tag: &'static str,
    methods: &'static [&'static str],
    path: &'static str,
    params: &'static [Parameter],
    answer: Content,
    summary: &'static str,
) -> Path {
    Path {
        path,
        tag,
        methods,
        summary,
        params,
        answer,
    }
}

const GET: &[&str] = &["get"];
const POST: &[&str] = &["post"];
const GET_POST: &[&str] = &["get", "post"];
const GET_DELETE: &[&str] = &["get", "delete"];
const GET_POST_DELETE: &[&str] = &["get", "post", "delete"];
const PUT_DELETE: &[&str] = &["put", "delete"];
const GET_POST_PUT_DELETE: &[&str] = &["get", "post", "put", "delete"];
const POST_PUT: &[&str] = &["post", "put"];

use Content::{Annotations, Csv, Events, Json, Lines, Nothing, Object, Protobuf, Samples, Text, Value, Yaml};

pub(super) fn all() -> impl Iterator<Item = &'static Path> {
    [
        QUERY, LABELS, NATIVE, RECORDS, STATUS, ABSENT, REMOTE, DOORS, ADMIN,
    ]
    .into_iter()
    .flatten()
}

#[rustfmt::skip]
const QUERY: &[Path] = &[
    path("query", GET_POST, "/api/v1/query", p::INSTANT, Json, "Answers a query at one moment."),
    path("query", GET_POST, "/api/v1/query_range", p::RANGE, Json, "Answers a query at each step of a range."),
    path("query", GET_POST, "/api/v1/query_exemplars", p::EXEMPLARS, Json, "The exemplars of the series that a query selects."),
    path("query", GET_POST, "/api/v1/format_query", p::QUERY_ONLY, Json, "The query as it reads best."),
    path("query", GET_POST, "/api/v1/parse_query", p::QUERY_ONLY, Json, "The query as a tree."),
];

#[rustfmt::skip]
const LABELS: &[Path] = &[
    path("labels", GET_POST, "/api/v1/labels", p::LABELS, Json, "The label names of series."),
    path("labels", GET, "/api/v1/label/{name}/values", p::LABELS, Json, "The values of a label."),
    path("labels", GET, "/api/v1/metadata", p::METADATA, Json, "Type, help and unit of metrics."),
    path("labels", GET_POST, "/api/v1/search/metric_names", p::SEARCH_METRICS, Lines, "Searches metrics."),
    path("labels", GET_POST, "/api/v1/search/label_names", p::SEARCH, Lines, "Searches label names."),
    path("labels", GET_POST, "/api/v1/search/label_values", p::SEARCH_VALUES, Lines, "Searches values of a label."),
    path("labels", GET, "/federate", p::FEDERATE, Text, "The last samples of series, to be scraped."),
];

#[rustfmt::skip]
const NATIVE: &[Path] = &[
    path("native", GET, "/health", p::NONE, Object, "Whether the server lives and is ready."),
    path("native", GET, "/stats", p::SIZES, Json, "What the database holds."),
    path("native", POST, "/api/v1/datapoints", p::PRECISION, Json, "Stores a point."),
    path("native", POST, "/api/v1/datapoints/batch", p::PRECISION, Json, "Stores points: a list, or one per line."),
    path("labels", GET_POST_DELETE, "/api/v1/series", p::SERIES, Json, "The label sets of series; without match[], a page of all series. Deletes what matches."),
    path("native", GET_DELETE, "/api/v1/series/{series_key}", p::NATIVE_SERIES, Json, "The series of a name; deletes their points."),
    path("native", GET, "/api/v1/series/{series_key}/datapoints", p::DATAPOINTS, Json, "Points in order of time, or aggregated."),
    path("native", PUT_DELETE, "/api/v1/series/{series_key}/datapoints/{timestamp}", p::DATAPOINT, Json, "Corrects or deletes a point."),
    path("native", POST, "/api/v1/query/native", p::NONE, Json, "A query as JSON."),
    path("native", GET, "/api/v1/deletions", p::NONE, Json, "What was deleted and can be brought back."),
    path("native", POST, "/api/v1/deletions/{deletion}/undelete", p::NONE, Json, "Brings back what a deletion hid."),
];

#[rustfmt::skip]
const RECORDS: &[Path] = &[
    path("records", GET_POST, "/api/v1/logs", p::LOGS, Json, "Finds logs, or stores them."),
    path("records", GET, "/api/v1/logs/devices", p::NONE, Json, "The devices that have logs."),
    path("records", GET_POST, "/api/v1/events", p::EVENTS, Json, "Finds events, or stores them."),
    path("records", GET, "/api/v1/events/devices", p::NONE, Json, "The devices that have events."),
    path("records", GET_POST, "/api/v1/annotations", p::ANNOTATIONS, Annotations, "Logs and events as Grafana's annotations."),
    path("records", POST, "/annotations", p::NONE, Annotations, "The same, where data sources of JSON ask."),
    path("records", POST, "/loki/api/v1/push", p::NONE, Nothing, "Logs as Loki's clients push them."),
    path("records", GET, "/api/v1/columns", p::NONE, Json, "The columns that have keys."),
    path("records", POST, "/api/v1/columns/batch", p::NONE, Json, "Changes of columns, together or not at all."),
    path("records", GET, "/api/v1/columns/{column}", p::COLUMN, Json, "The keys of a column in order."),
    path("records", GET_POST_PUT_DELETE, "/api/v1/columns/{column}/{key}", p::NONE, Value, "The value of a key."),
];

#[rustfmt::skip]
const STATUS: &[Path] = &[
    path("status", GET, "/api/v1/status/config", p::NONE, Json, "The configuration that holds, without secrets."),
    path("status", GET, "/api/v1/status/flags", p::NONE, Json, "The settings as texts."),
    path("status", GET, "/api/v1/status/runtimeinfo", p::NONE, Json, "What runs, where and since when."),
    path("status", GET, "/api/v1/status/buildinfo", p::NONE, Json, "Versions."),
    path("status", GET, "/api/v1/status/tsdb", p::TSDB, Json, "The series in memory and the labels they have most of."),
    path("status", GET, "/api/v1/status/tsdb/blocks", p::NONE, Json, "The segments."),
    path("status", GET, "/api/v1/status/rollups", p::NONE, Json, "What there is of rollups, width by width."),
    path("status", GET, "/api/v1/status/aggregates", p::NONE, Json, "The aggregates and how far they are there."),
    path("status", GET, "/api/v1/status/walreplay", p::NONE, Json, "How far the opening is."),
    path("status", GET, "/api/v1/status/self_metrics", p::SELF_METRICS, Json, "The figures of /metrics as JSON."),
    path("status", GET, "/api/v1/status/active_queries", p::NONE, Json, "The queries that run."),
    path("status", GET, "/api/v1/status/slow_queries", p::NONE, Json, "The queries that took longest."),
    path("status", GET, "/api/v1/features", p::NONE, Json, "What of Prometheus' features there is."),
    path("status", GET, "/api/v1/notifications", p::NONE, Json, "What an operator should see at once."),
    path("status", GET, "/api/v1/notifications/live", p::NONE, Events, "The same as a stream of changes; 204 when 16 follow it."),
    path("status", GET, "/api/v1/openapi.yaml", p::OPENAPI, Yaml, "This document."),
    path("status", GET, "/-/healthy", p::NONE, Text, "Whether the server lives."),
    path("status", GET, "/-/ready", p::NONE, Text, "Whether it can work."),
    path("status", GET, "/version", p::NONE, Object, "Its version."),
    path("status", GET, "/metrics", p::NONE, Text, "What it says of itself, to be scraped."),
];

#[rustfmt::skip]
const ABSENT: &[Path] = &[
    path("absent", GET, "/api/v1/targets", p::TARGETS, Json, "There are none."),
    path("absent", GET, "/api/v1/targets/metadata", p::TARGETS_METADATA, Json, "There are none."),
    path("absent", GET, "/api/v1/targets/relabel_steps", p::RELABEL_STEPS, Json, "There is no such pool."),
    path("absent", GET, "/api/v1/scrape_pools", p::NONE, Json, "There are none."),
    path("absent", GET, "/api/v1/scrape_pools/config", p::SCRAPE_POOL, Json, "There is no such pool."),
    path("absent", GET, "/api/v1/alertmanagers", p::NONE, Json, "There are none."),
    path("absent", GET, "/api/v1/rules", p::RULES, Json, "There are none."),
    path("absent", GET, "/api/v1/alerts", p::NONE, Json, "There are none."),
];

#[rustfmt::skip]
const REMOTE: &[Path] = &[
    path("remote", POST, "/api/v1/otlp/v1/metrics", p::NONE, Object, "OpenTelemetry's metrics, in protobuf or JSON."),
    path("remote", POST, "/v1/metrics", p::NONE, Object, "The same, where collectors send them."),
    path("remote", POST, "/api/v1/write", p::NONE, Nothing, "Remote write 1.0 and 2.0."),
    path("remote", POST, "/api/v1/push", p::NONE, Nothing, "The same."),
    path("remote", POST, "/api/v1/receive", p::NONE, Nothing, "The same."),
    path("remote", POST, "/api/v1/read", p::NONE, Protobuf, "Remote read."),
    path("remote", GET, "/api/v1/ingest/rejections", p::NONE, Json, "What was refused, and why."),
    path("remote", GET, "/api/v1/ingest/replicas", p::NONE, Json, "Which replicas are elected."),
];

#[rustfmt::skip]
const DOORS: &[Path] = &[
    path("doors", POST, "/api/v1/import", p::IMPORT, Nothing, "Stores JSON lines in VictoriaMetrics' shape."),
    path("doors", POST, "/api/v1/import/prometheus", p::IMPORT_TEXT, Nothing, "Stores Prometheus' text format or OpenMetrics."),
    path("doors", POST, "/api/v1/import/csv", p::IMPORT_CSV, Nothing, "Stores CSV by a map of its columns."),
    path("doors", GET_POST, "/api/v1/export", p::EXPORT, Samples, "The samples of series in lines."),
    path("doors", GET_POST, "/api/v1/export/csv", p::EXPORT_CSV, Csv, "The samples of series in columns."),
    path("doors", POST, "/write", p::INFLUX, Nothing, "Stores InfluxDB's line protocol."),
    path("doors", POST, "/api/v2/write", p::INFLUX, Nothing, "The same."),
    path("doors", POST, "/influx/write", p::INFLUX, Nothing, "The same."),
    path("doors", POST, "/influx/api/v2/write", p::INFLUX, Nothing, "The same."),
    path("doors", GET, "/ping", p::NONE, Nothing, "That there is a server, for InfluxDB's clients."),
    path("doors", GET_POST, "/query", p::INFLUX_QUERY, Object, "CREATE DATABASE and SHOW DATABASES, for InfluxDB's clients."),
];

#[rustfmt::skip]
const ADMIN: &[Path] = &[
    path("admin", POST, "/api/v1/admin/flush", p::NONE, Json, "Writes what is in memory to segments."),
    path("admin", POST, "/api/v1/admin/compact", p::NONE, Json, "Merges segments: those that are due, all, or those that reach into a range of time."),
    path("admin", GET, "/api/v1/admin/jobs", p::NONE, Json, "What the database does, did lately and will do next."),
    path("admin", GET, "/api/v1/admin/compression", p::NONE, Json, "How small the data is."),
    path("admin", GET, "/api/v1/admin/retention", p::NONE, Json, "How long the data stays, and what goes next."),
    path("admin", POST, "/api/v1/admin/snapshot", p::NONE, Json, "Makes a snapshot."),
    path("admin", GET, "/api/v1/admin/snapshots", p::NONE, Json, "The snapshots that there are."),
    path("admin", POST, "/api/v1/admin/backup", p::NONE, Json, "Makes a backup, full or since an earlier one."),
    path("admin", GET, "/api/v1/admin/backups", p::NONE, Json, "The backups that there are."),
    path("admin", POST, "/api/v1/admin/restore", p::NONE, Json, "Brings the samples of a backup or snapshot into the running database."),
    path("admin", POST_PUT, "/api/v1/admin/tsdb/delete_series", p::DELETE, Nothing, "Deletes samples of series."),
    path("admin", POST_PUT, "/api/v1/admin/tsdb/clean_tombstones", p::NONE, Nothing, "Takes what was deleted off the disk."),
    path("admin", POST_PUT, "/api/v1/admin/tsdb/snapshot", p::SNAPSHOT, Json, "Makes a snapshot."),
    path("admin", POST, "/api/v1/admin/queries/{id}/kill", p::NONE, Json, "Ends a query that runs."),
    path("admin", POST_PUT, "/-/reload", p::NONE, Json, "Reads the configuration again."),
    path("admin", POST_PUT, "/-/quit", p::NONE, Text, "Stops the server."),
];
