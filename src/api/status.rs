//! Whether the server lives, whether it can work, and what it is.

use super::json;
use super::state::App;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

pub(super) async fn healthy() -> &'static str {
    "narthex is healthy\n"
}

/// 503 with how far the opening is, until the database is open.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    if app.db.get().is_some() {
        return "narthex is ready\n".into_response();
    }
    let (done, total) = (app.opening.bytes_done(), app.opening.bytes_total());
    let text =
        format!("narthex is opening the database: {done} of at most {total} bytes of the log are replayed\n");
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

pub(super) async fn version() -> Response {
    let body = json::object(&[
        ("name", "narthex".into()),
        ("version", env!("CARGO_PKG_VERSION").into()),
    ]);
    ([(axum::http::header::CONTENT_TYPE, json::CONTENT_TYPE)], body).into_response()
}
