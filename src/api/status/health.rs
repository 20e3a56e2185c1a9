//! Whether the server lives, whether it can work, and what it is.

use crate::api::json;
use crate::api::state::App;
use crate::api::tenant::Tenant;
use crate::engine::progress::OpenProgress;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::sync::Arc;

/// Tenants that are named in one answer.
const NAMES_MAX: usize = 20;

pub(super) async fn healthy() -> &'static str {
    "narthex is healthy\n"
}

/// 503 with how far the opening is, until all that was there at the start is open or has failed to.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    let tenants = app.tenants.list();
    let (failed, others): (Vec<_>, Vec<_>) = tenants.iter().partition(|tenant| tenant.is_failed());
    let opening: Vec<_> = others
        .into_iter()
        .filter(|tenant| !tenant.is_done() && !tenant.is_new)
        .collect();
    if opening.is_empty() {
        let text = match failed.is_empty() {
            true => "narthex is ready\n".to_owned(),
            false => format!(
                "narthex is ready\nthese tenants do not open: {}\n",
                names(&failed)
            ),
        };
        return text.into_response();
    }
    let sum =
        |bytes: fn(&OpenProgress) -> u64| opening.iter().map(|tenant| bytes(&tenant.opening)).sum::<u64>();
    let (done, total) = (sum(OpenProgress::bytes_done), sum(OpenProgress::bytes_total));
    let what = match app.tenants.is_enabled {
        true => format!("the databases of {} ({})", opening.len(), names(&opening)),
        false => "the database".to_owned(),
    };
    let text =
        format!("narthex is opening {what}: {done} of at most {total} bytes of the log are replayed\n");
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

/// The first few of them.
fn names(tenants: &[&Arc<Tenant>]) -> String {
    let names: Vec<&str> = tenants
        .iter()
        .map(|tenant| tenant.name.as_str())
        .take(NAMES_MAX)
        .collect();
    let more = if tenants.len() > NAMES_MAX { ", ..." } else { "" };
    format!("{}{more}", names.join(", "))
}

/// How far the replay of the logs is, in bytes where Prometheus counts files. Answered from the first moment on.
pub(super) async fn replay(State(app): State<Arc<App>>) -> Response {
    let tenants = app.tenants.list();
    let first: Vec<_> = tenants.iter().filter(|tenant| !tenant.is_new).collect();
    let sum =
        |bytes: fn(&OpenProgress) -> u64| first.iter().map(|tenant| bytes(&tenant.opening)).sum::<u64>();
    let total = sum(OpenProgress::bytes_total);
    let is_done = first.iter().all(|tenant| tenant.is_done());
    let (current, state) = match sum(OpenProgress::bytes_done) {
        _ if is_done => (total, "done"),
        0 => (0, "waiting"),
        done => (done.min(total), "in progress"),
    };
    json::success(json!({ "min": 0, "max": total, "current": current, "state": state }))
}

pub(super) async fn version() -> Response {
    let body = json::object(&[
        ("name", "narthex".into()),
        ("version", env!("CARGO_PKG_VERSION").into()),
    ]);
    ([(axum::http::header::CONTENT_TYPE, json::CONTENT_TYPE)], body).into_response()
}
