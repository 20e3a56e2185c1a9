//! What an operator asks for. Each returns when the work is done.

use super::error::ApiError;
use super::json;
use super::lifecycle::Command;
use super::state::{App, aside};
use super::tenant::Tenant;
use crate::db::Db;
use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Writes what is in memory to segments.
pub(super) async fn flush(Extension(tenant): Extension<Arc<Tenant>>) -> Result<Response, ApiError> {
    aside(move || {
        let db = tenant.db()?;
        db.flush()?;
        segments(db)
    })
    .await
}

/// Does the merges that are due; with `{"force": true}` flushes first and merges all that can be merged.
pub(super) async fn compact(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<Response, ApiError> {
    let limits = app.config.load_full();
    let body = app.admission.read(request.into_body(), &limits.http).await?;
    let force = is_forced(&body)?;
    aside(move || {
        let db = tenant.db()?;
        if force {
            db.flush()?;
            db.compact()?;
        } else {
            while db.step()? {}
        }
        segments(db)
    })
    .await
}

/// Whatever the content type says, the body is JSON or nothing.
fn is_forced(body: &[u8]) -> Result<bool, ApiError> {
    if body.trim_ascii().is_empty() {
        return Ok(false);
    }
    let expected = || ApiError::bad_data("the body is not {\"force\": true}, {\"force\": false} or empty");
    let value: Value = serde_json::from_slice(body).map_err(|_| expected())?;
    let fields = value.as_object().ok_or_else(expected)?;
    match (fields.len(), fields.get("force")) {
        (0, _) => Ok(false),
        (1, Some(Value::Bool(force))) => Ok(*force),
        _ => Err(expected()),
    }
}

fn segments(db: &Db) -> Result<Response, ApiError> {
    let stats = db.stats()?;
    Ok(json::success(json!({
        "segments": stats.segments,
        "segmentBytes": stats.segment_bytes,
        "segmentSamples": stats.segment_samples,
        "headSamples": stats.head_samples,
    })))
}

/// Reads the configuration again.
pub(super) async fn reload(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let (answer, answered) = oneshot::channel();
    let gone = || ApiError::unavailable("the server is shutting down");
    app.commands
        .send(Command::Reload(Some(answer)))
        .await
        .map_err(|_| gone())?;
    match answered.await.map_err(|_| gone())? {
        Ok(reloaded) => Ok(json::success(json!({
            "applied": reloaded.applied,
            "needsRestart": reloaded.needs_restart,
        }))),
        Err(what) => Err(ApiError::bad_data(what)),
    }
}

/// Stops the server as SIGTERM does, where `http.lifecycle` allows it.
pub(super) async fn quit(State(app): State<Arc<App>>) -> Result<&'static str, ApiError> {
    if !app.config.load().http.has_quit {
        return Err(ApiError::forbidden("the lifecycle API is off (http.lifecycle)"));
    }
    let gone = |_| ApiError::unavailable("the server is shutting down");
    app.commands.send(Command::Shutdown).await.map_err(gone)?;
    Ok("narthex is stopping\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn force_is_read_or_refused() {
        for (body, expected) in [
            ("", Some(false)),
            (" \n", Some(false)),
            ("{}", Some(false)),
            ("{\"force\": true}", Some(true)),
            ("{\"force\":false}", Some(false)),
            ("{\"force\":1}", None),
            ("{\"forse\":true}", None),
            ("force=true", None),
            ("[]", None),
        ] {
            assert_eq!(is_forced(body.as_bytes()).ok(), expected, "{body}");
        }
    }
}
