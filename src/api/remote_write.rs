//! Prometheus' remote write, 1.0 and 2.0.
//!
//! What the message is, is decided by the headers before the body is read. Everything valid of a request is stored; if
//! anything was refused the answer is 400 with counts and the first reasons, which a sender does not try again. What may
//! heal (overload, a full disk) is 503, which it does. To send a request again is harmless: samples that are there count
//! as written.

use super::auth::Caller;
use super::error::ApiError;
use super::state::App;
use super::tenant::Tenant;
use crate::config::Config;
use crate::db::Db;
use crate::head::report::Durability;
use crate::remote::outcome::{self, Written};
use crate::remote::write::{self, Outcome, Version, WriteError};
use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

const SAMPLES_WRITTEN: HeaderName = HeaderName::from_static("x-prometheus-remote-write-samples-written");
const HISTOGRAMS_WRITTEN: HeaderName =
    HeaderName::from_static("x-prometheus-remote-write-histograms-written");
const EXEMPLARS_WRITTEN: HeaderName = HeaderName::from_static("x-prometheus-remote-write-exemplars-written");
/// In the answer: when the request counted as stored. In a request: that it must be `fsync`.
const DURABILITY: HeaderName = HeaderName::from_static("x-narthex-durability");
const FSYNC: &str = "fsync";
const OS: &str = "os";

/// Decompression buffers larger than this are not kept.
const BUFFER_KEPT_BYTES: usize = 8 << 20;

thread_local! {
    /// The decompressed body of the request that this thread works on.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// `POST /api/v1/write`, `/api/v1/push`, `/api/v1/receive`.
pub(super) async fn write(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let version = match negotiate(&parts.headers) {
        Ok(version) => version,
        Err(error) => return error.into_response(),
    };
    let mut response = match store(&app, tenant, &caller, version, &parts.headers, body).await {
        Ok(outcome) => answer(version, &outcome),
        Err(error) => error.into_response(),
    };
    if version == Version::V2 && !response.headers().contains_key(SAMPLES_WRITTEN) {
        tell_written(response.headers_mut(), Written::default());
    }
    response
}

/// The message that the headers announce; any other is 415.
fn negotiate(headers: &HeaderMap) -> Result<Version, ApiError> {
    let refused = |what: String| ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "bad_data", what);
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"snappy")
    {
        return Err(refused(format!("content encoding {encoding:?} is not snappy")));
    }
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(Version::V1);
    };
    let unknown = || {
        refused(format!(
            "content type {value:?} is neither application/x-protobuf nor one of its messages \
             prometheus.WriteRequest and io.prometheus.write.v2.Request"
        ))
    };
    let text = value.to_str().map_err(|_| unknown())?;
    let mut parts = text.split(';').map(str::trim);
    if !parts
        .next()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("application/x-protobuf"))
    {
        return Err(unknown());
    }
    let mut version = Version::V1;
    for parameter in parts {
        let Some((name, message)) = parameter.split_once('=') else {
            return Err(unknown());
        };
        if !name.trim().eq_ignore_ascii_case("proto") {
            continue;
        }
        version = match message.trim().trim_matches('"') {
            "prometheus.WriteRequest" => Version::V1,
            "io.prometheus.write.v2.Request" => Version::V2,
            _ => return Err(unknown()),
        };
    }
    Ok(version)
}

async fn store(
    app: &Arc<App>,
    tenant: Arc<Tenant>,
    caller: &Caller,
    version: Version,
    headers: &HeaderMap,
    body: Body,
) -> Result<Outcome, ApiError> {
    let durability = asked_durability(headers)?;
    let config = app.config.load_full();
    let sender = caller.sender().to_owned();
    tenant.check_quota(&config, &sender, tenant.db()?.now_ms())?;
    let body = app.admission.read(body, &config.http_of(&tenant.name)).await?;
    let shared = app.clone();
    app.work(move || {
        let db = tenant.db()?;
        let outcome = write_now(&tenant, db, &config, version, &body, durability)?;
        let now_ms = db.now_ms();
        tenant.journal.note(&sender, &outcome.report.rejected, now_ms);
        shared
            .metrics
            .left_out
            .fetch_add(outcome.dropped.total() as u64, Relaxed);
        tenant.charge(&config, &sender, outcome.written.total(), now_ms);
        Ok(outcome)
    })
    .await
}

/// What the sender asks for at least, if it asks.
pub(super) fn asked_durability(headers: &HeaderMap) -> Result<Option<Durability>, ApiError> {
    match headers.get(DURABILITY).map(HeaderValue::as_bytes) {
        None | Some(b"os") => Ok(None),
        Some(b"fsync") => Ok(Some(Durability::Always)),
        Some(_) => Err(ApiError::bad_data("x-narthex-durability is neither fsync nor os")),
    }
}

fn write_now(
    tenant: &Tenant,
    db: &Db,
    config: &Config,
    version: Version,
    block: &[u8],
    durability: Option<Durability>,
) -> Result<Outcome, ApiError> {
    let intake = tenant.intake.load();
    let request = write::Request {
        version,
        block,
        bytes_max: config.http.decoded_bytes_max,
        durability,
        intake: &intake,
        now_ms: db.now_ms(),
    };
    let written = BUFFER.with_borrow_mut(|buffer| {
        let written = write::write(db, &request, buffer);
        if buffer.capacity() > BUFFER_KEPT_BYTES {
            *buffer = Vec::new();
        }
        written
    });
    written.map_err(|error| match error {
        WriteError::Request(error) => error.into(),
        WriteError::Engine(error) => error.into(),
    })
}

/// Tells when what was written counted as stored.
pub(super) fn tell_durability(headers: &mut HeaderMap, durability: Durability) {
    let stored = match durability {
        Durability::Always => FSYNC,
        Durability::Interval(_) | Durability::Never => OS,
    };
    headers.insert(DURABILITY, HeaderValue::from_static(stored));
}

fn answer(version: Version, outcome: &Outcome) -> Response {
    let rejected = &outcome.report.rejected;
    let mut response = if rejected.is_empty() {
        StatusCode::NO_CONTENT.into_response()
    } else {
        let text = outcome::message(outcome.written, rejected);
        (StatusCode::BAD_REQUEST, text).into_response()
    };
    let headers = response.headers_mut();
    tell_durability(headers, outcome.report.durability);
    if version == Version::V2 {
        tell_written(headers, outcome.written);
    }
    response
}

fn tell_written(headers: &mut HeaderMap, written: Written) {
    headers.insert(SAMPLES_WRITTEN, written.samples.into());
    headers.insert(HISTOGRAMS_WRITTEN, written.histograms.into());
    headers.insert(EXEMPLARS_WRITTEN, written.exemplars.into());
}

/// `GET /api/v1/ingest/rejections`: what was refused, the latest first.
pub(super) async fn rejections(Extension(tenant): Extension<Arc<Tenant>>) -> Response {
    let list = tenant.journal.list().into_iter().map(|one| {
        json!({
            "reason": one.reason.as_str(),
            "metric": one.metric,
            "sender": one.sender,
            "count": one.count,
            "firstMs": one.first_ms,
            "lastMs": one.last_ms,
            "example": one.example,
        })
    });
    super::json::success(list.collect())
}

/// `GET /api/v1/ingest/replicas`: who is elected of the pairs of senders.
pub(super) async fn replicas(Extension(tenant): Extension<Arc<Tenant>>) -> Response {
    let intake = tenant.intake.load();
    let list = intake
        .elections()
        .map_or_else(Vec::new, |elections| elections.list());
    let list = list.into_iter().map(|one| {
        json!({
            "cluster": one.cluster,
            "replica": one.replica,
            "sinceMs": one.since_ms,
            "lastMs": one.last_ms,
        })
    });
    super::json::success(list.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiated(kind: Option<&'static str>, encoding: Option<&'static str>) -> Result<Version, u16> {
        let kind = kind.map(|text| (header::CONTENT_TYPE, HeaderValue::from_static(text)));
        let encoding = encoding.map(|text| (header::CONTENT_ENCODING, HeaderValue::from_static(text)));
        let headers = kind.into_iter().chain(encoding).collect();
        negotiate(&headers).map_err(|error| error.status.as_u16())
    }

    #[test]
    fn messages_are_told_by_their_headers() {
        const V2: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
        for (kind, encoding, expected) in [
            (None, None, Ok(Version::V1)),
            (Some("application/x-protobuf"), Some("snappy"), Ok(Version::V1)),
            (
                Some("application/x-protobuf;proto=prometheus.WriteRequest"),
                None,
                Ok(Version::V1),
            ),
            (Some(V2), Some("snappy"), Ok(Version::V2)),
            (
                Some("Application/X-Protobuf; proto=\"io.prometheus.write.v2.Request\"; charset=utf-8"),
                None,
                Ok(Version::V2),
            ),
            (Some("application/json"), None, Err(415)),
            (Some("image/png"), Some("snappy"), Err(415)),
            (Some("application/x-protobuf;proto=other.Request"), None, Err(415)),
            (Some("application/x-protobuf;proto"), None, Err(415)),
            (Some(V2), Some("gzip"), Err(415)),
            (Some(V2), Some("deflate"), Err(415)),
            (Some(V2), Some(""), Err(415)),
        ] {
            assert_eq!(negotiated(kind, encoding), expected, "{kind:?} {encoding:?}");
        }
    }
}
