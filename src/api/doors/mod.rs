//! The doors: other systems' text formats in and out, over HTTP, and Graphite's over TCP.
//!
//! What the formats say stands in `crate::doors`; here are their routes, parameters and answers.

mod export;
pub(super) mod graphite;
mod import;
mod influx;

use self::import::taking;
use super::router::{Of, READ, Route, WRITE, route};
use axum::http::HeaderName;
use axum::routing::{get, post};

/// How many samples are stored.
const STORED: HeaderName = HeaderName::from_static("x-narthex-stored");
/// How many values a door left out, which the other side has no words for.
const LEFT_OUT: HeaderName = HeaderName::from_static("x-narthex-left-out");

pub(super) fn routes() -> Vec<Route> {
    let tenant = |path, access, handler| route(path, access, Of::Tenant, handler);
    let reading = |path, handler| tenant(path, READ, handler);
    let mut routes = vec![
        tenant("/api/v1/import", WRITE, taking(import::json_lines)),
        tenant("/api/v1/import/prometheus", WRITE, taking(import::prometheus)),
        tenant("/api/v1/import/csv", WRITE, taking(import::csv)),
        reading("/api/v1/export", get(export::export).post(export::export)),
        reading("/api/v1/export/csv", get(export::csv).post(export::csv)),
        route("/ping", WRITE, Of::Nobody, get(influx::ping)),
        route(
            "/query",
            WRITE,
            Of::Nobody,
            get(influx::query).post(influx::query),
        ),
    ];
    let writes = ["/write", "/api/v2/write", "/influx/write", "/influx/api/v2/write"];
    routes.extend(writes.map(|path| tenant(path, WRITE, post(influx::write))));
    routes
}
