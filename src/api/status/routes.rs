//! The routes of this folder.

use super::{aggregates, health, queries, rollups, self_metrics, server, tsdb};
use crate::api::router::{ADMIN, EARLY, OPEN, Of, READ, Route, route};
use axum::routing::{get, post};

pub(in crate::api) fn routes() -> Vec<Route> {
    vec![
        route("/-/healthy", OPEN, Of::Nobody, get(health::healthy)),
        route("/-/ready", OPEN, Of::Nobody, get(health::ready)),
        route("/version", READ, Of::Nobody, get(health::version)),
        route("/api/v1/status/config", READ, Of::All, get(server::config)),
        route("/api/v1/status/flags", READ, Of::All, get(server::flags)),
        route(
            "/api/v1/status/runtimeinfo",
            READ,
            Of::All,
            get(server::runtime_info),
        ),
        route(
            "/api/v1/status/buildinfo",
            READ,
            Of::Nobody,
            get(server::build_info),
        ),
        route("/api/v1/status/tsdb", READ, Of::Tenant, get(tsdb::head)),
        route("/api/v1/status/tsdb/blocks", READ, Of::Tenant, get(tsdb::blocks)),
        route("/api/v1/status/rollups", READ, Of::Tenant, get(rollups::rollups)),
        route(
            "/api/v1/status/aggregates",
            READ,
            Of::Tenant,
            get(aggregates::aggregates),
        ),
        route("/api/v1/status/walreplay", EARLY, Of::Nobody, get(health::replay)),
        route(
            "/api/v1/status/self_metrics",
            READ,
            Of::All,
            get(self_metrics::families),
        ),
        route(
            "/api/v1/status/active_queries",
            READ,
            Of::Nobody,
            get(queries::active),
        ),
        route(
            "/api/v1/status/slow_queries",
            READ,
            Of::Nobody,
            get(queries::slow),
        ),
        route(
            "/api/v1/admin/queries/{id}/kill",
            ADMIN,
            Of::Nobody,
            post(queries::kill),
        ),
        route("/api/v1/features", READ, Of::Nobody, get(server::features)),
    ]
}
