//! Logs, events and key-value columns over HTTP: written as JSON or as Loki's clients push them, read in pages, counted by interval,
//! and shown to Grafana as annotations.

mod annotations;
mod columns;
mod events;
mod items;
mod logs;
mod loki;
mod loki_labels;

use super::router::{Access, Of, READ, Route, WRITE, route};
use crate::config::credentials::Scope;
use axum::routing::{get, post, put};

/// To ask needs the scope to read; to post, put or delete, that to write.
const READS_OR_WRITES: Access = Access::Posts(Scope::Write);

pub(super) fn routes() -> Vec<Route> {
    let tenant = |path, access, handler| route(path, access, Of::Tenant, handler);
    vec![
        tenant(
            "/api/v1/logs",
            READS_OR_WRITES,
            get(logs::query).post(logs::write),
        ),
        tenant("/api/v1/logs/devices", READ, get(logs::devices)),
        tenant(
            "/api/v1/events",
            READS_OR_WRITES,
            get(events::query).post(events::write),
        ),
        tenant("/api/v1/events/devices", READ, get(events::devices)),
        tenant(
            "/api/v1/annotations",
            READ,
            get(annotations::get).post(annotations::post),
        ),
        tenant("/annotations", READ, post(annotations::post)),
        tenant("/loki/api/v1/push", WRITE, post(loki::push)),
        tenant("/api/v1/columns", READ, get(columns::names)),
        tenant("/api/v1/columns/batch", WRITE, post(columns::batch)),
        tenant("/api/v1/columns/{column}", READ, get(columns::query)),
        tenant(
            "/api/v1/columns/{column}/{key}",
            READS_OR_WRITES,
            put(columns::put)
                .post(columns::put)
                .get(columns::get)
                .delete(columns::delete),
        ),
    ]
}
