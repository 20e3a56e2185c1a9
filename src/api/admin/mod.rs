//! What an operator asks for. Each returns when the work is done.

mod body;
mod copies;
mod figures;
mod jobs;

use self::body::Fields;
use super::error::ApiError;
use super::json;
use super::lifecycle::Command;
use super::router::{ADMIN, Of, Route, route};
use super::state::{App, aside};
use super::tenant::Tenant;
use crate::db::Db;
use crate::engine::error::Error;
use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::json;
use std::ops::RangeInclusive;
use std::sync::Arc;
use tokio::sync::oneshot;

pub(super) fn routes() -> Vec<Route> {
    let mut all = vec![
        route("/-/reload", ADMIN, Of::All, post(reload).put(reload)),
        route("/-/quit", ADMIN, Of::All, post(quit).put(quit)),
        route("/api/v1/admin/flush", ADMIN, Of::Tenant, post(flush)),
        route("/api/v1/admin/compact", ADMIN, Of::Tenant, post(compact)),
        route(
            "/api/v1/admin/compression",
            ADMIN,
            Of::Tenant,
            get(figures::compression),
        ),
        route(
            "/api/v1/admin/retention",
            ADMIN,
            Of::Tenant,
            get(figures::retention),
        ),
        route("/api/v1/admin/jobs", ADMIN, Of::Tenant, get(jobs::jobs)),
    ];
    all.extend(copies::routes());
    all
}

/// Writes what is in memory to segments.
async fn flush(Extension(tenant): Extension<Arc<Tenant>>) -> Result<Response, ApiError> {
    aside(move || {
        let db = tenant.db()?;
        db.flush()?;
        segments(db)
    })
    .await
}

/// Does the merges that are due; with `{"force": true}` flushes first and merges all that can be merged, with a range only what
/// reaches into it.
async fn compact(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<Response, ApiError> {
    let limits = app.config.load_full();
    let body = app.admission.read(request.into_body(), &limits.http).await?;
    let wish = Wish::of(&Fields::of(&body, &["force", "start", "end"])?)?;
    aside(move || {
        let db = tenant.db()?;
        match wish {
            Wish::Due => {
                db.look_for_merges();
                while db.step()? {}
            }
            Wish::All => {
                db.flush()?;
                db.compact()?;
            }
            Wish::Within(start_ms, end_ms) => {
                let range = db.range_of_ms(start_ms, end_ms);
                flush_within(db, &range)?;
                db.compact_range(range)?;
            }
        }
        segments(db)
    })
    .await
}

/// What a compaction is to merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Due,
    All,
    /// From and to this time in milliseconds.
    Within(i64, i64),
}

impl Wish {
    fn of(fields: &Fields) -> Result<Self, ApiError> {
        match (fields.truth("force")?, fields.range_ms()?) {
            (Some(false), Some(_)) => {
                let message =
                    "\"force\" is false, and a range is merged by force only: leave out one of them";
                Err(ApiError::bad_data(message))
            }
            (_, Some((start_ms, end_ms))) => Ok(Self::Within(start_ms, end_ms)),
            (Some(true), None) => Ok(Self::All),
            (_, None) => Ok(Self::Due),
        }
    }
}

/// Flushes if there is something of that time in memory.
fn flush_within(db: &Db, range: &RangeInclusive<i64>) -> Result<(), Error> {
    let bounds = db.stats()?.head_bounds;
    match bounds.is_some_and(|(min, max)| min <= *range.end() && max >= *range.start()) {
        true => db.flush(),
        false => Ok(()),
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
async fn reload(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
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
async fn quit(State(app): State<Arc<App>>) -> Result<&'static str, ApiError> {
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
    fn a_range_needs_no_force_and_bears_no_refusal() {
        let wish = |body: &str| {
            let fields = Fields::of(body.as_bytes(), &["force", "start", "end"]);
            fields.and_then(|fields| Wish::of(&fields)).ok()
        };
        for (body, expected) in [
            ("", Some(Wish::Due)),
            ("{\"force\": false}", Some(Wish::Due)),
            ("{\"force\": true}", Some(Wish::All)),
            ("{\"start\": 1, \"end\": 2}", Some(Wish::Within(1000, 2000))),
            (
                "{\"start\": 1, \"force\": true}",
                Some(Wish::Within(1000, i64::MAX)),
            ),
            ("{\"start\": 1, \"force\": false}", None),
        ] {
            assert_eq!(wish(body), expected, "{body}");
        }
    }
}
