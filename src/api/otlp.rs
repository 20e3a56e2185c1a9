//! `POST /api/v1/otlp/v1/metrics`: OpenTelemetry's metrics, as its SDKs and collectors export them.
//!
//! What can be stored is stored, in one batch. The answer is of the protocol: with nothing in it when all was taken, a partial
//! success when points were refused, and 400 with a status when nothing was taken. To send a request again is harmless.

use super::auth::Caller;
use super::error::ApiError;
use super::native::body::Arriving;
use super::native::refusal::Refusal;
use super::remote_write::tell_durability;
use super::state::App;
use super::tenant::Tenant;
use super::writing::{Piece, Tally, Writer};
use crate::base::varint;
use crate::model::exemplar::Exemplar;
use crate::model::labels::Labels;
use crate::model::metadata::Metadata;
use crate::model::sample::Sample;
use crate::remote::otlp::delta::Adding;
use crate::remote::otlp::translate::Sink;
use crate::remote::otlp::{self, Encoding};
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;

/// JSON takes many times its size while it is read.
const JSON_BYTES_MAX: usize = 8 << 20;
/// Reasons that are told.
const REASONS_SHOWN: usize = 10;
/// The code of a status for a request that is wrong.
const INVALID_ARGUMENT: u64 = 3;

/// `POST /api/v1/otlp/v1/metrics`, `/v1/metrics`.
pub(super) async fn metrics(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let encoding = encoding_of(&parts.headers)?;
    let writer = Writer::new(app.clone(), tenant, &caller, &parts.headers)?;
    let limits = writer.limits();
    let arriving = Arriving::new(&parts.headers, body, &app.admission, &limits)?;
    let (body, held) = arriving.whole().await?;
    if encoding == Encoding::Json && body.len() > JSON_BYTES_MAX {
        let hint = "send it in protobuf, or less at once";
        return Err(Refusal::from(ApiError::body_too_large(JSON_BYTES_MAX)).hint(hint));
    }
    let work = move || {
        let _held = held;
        store(&writer, encoding, &body)
    };
    Ok(answer(encoding, app.work(work).await?))
}

fn encoding_of(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .map_or(Ok(""), |kind| kind.to_str());
    let kind = kind.unwrap_or("?").split(';').next().unwrap_or("").trim();
    match kind.to_ascii_lowercase().as_str() {
        "application/x-protobuf" | "application/protobuf" => Ok(Encoding::Protobuf),
        "application/json" => Ok(Encoding::Json),
        _ => {
            let message = format!("the content type {kind:?} is not known");
            let refusal = Refusal::status(StatusCode::UNSUPPORTED_MEDIA_TYPE, "bad_data", message);
            Err(refusal.hint("send application/x-protobuf or application/json"))
        }
    }
}

/// Takes samples into a piece of what is sent.
struct Gathered<'p, 'w>(&'p mut Piece<'w>);

impl Sink for Gathered<'_, '_> {
    fn sample(&mut self, labels: &Labels, sample: &Sample) {
        self.0.whole_sample(labels, sample);
    }

    fn exemplar(&mut self, labels: &Labels, exemplar: &Exemplar) {
        let Exemplar {
            labels: own,
            timestamp,
            value,
        } = exemplar;
        self.0.exemplar(labels.as_ref(), own.clone(), *timestamp, *value);
    }

    fn metadata(&mut self, metric: &str, metadata: &Metadata) {
        self.0.metadata(metric, metadata.as_ref());
    }

    fn refuse(&mut self, metric: &str, reason: &str) {
        let refusal = || Refusal::field("bad_point", metric, reason.to_owned(), "see docs/otlp.md");
        self.0.refuse(refusal);
    }
}

fn store(writer: &Writer, encoding: Encoding, body: &[u8]) -> Result<Tally, ApiError> {
    let mut tally = Tally::default();
    let mut piece = writer.begin(&mut tally)?;
    let (options, now_ms) = (&writer.config.otlp, piece.now_ms);
    let limit_ms = writer.config.future_limit.map(|limit| limit.as_millis() as i64);
    let time_ms_max = limit_ms.map_or(i64::MAX, |limit_ms| now_ms.saturating_add(limit_ms));
    let mut deltas = Adding::new(&writer.tenant.deltas, now_ms);
    let mut sink = Gathered(&mut piece);
    let read = otlp::read(encoding, body, options, time_ms_max, &mut deltas, &mut sink);
    // What was added up must not count when the sender tries again.
    match read.map_err(ApiError::bad_data).and_then(|()| piece.commit()) {
        Ok(()) => Ok(tally),
        Err(error) => {
            deltas.undo();
            Err(error)
        }
    }
}

fn answer(encoding: Encoding, mut tally: Tally) -> Response {
    let durability = tally.durability;
    let mut response = answer_body(encoding, &mut tally);
    tell_durability(response.headers_mut(), durability);
    response
}

fn answer_body(encoding: Encoding, tally: &mut Tally) -> Response {
    if tally.failed == 0 {
        return match encoding {
            Encoding::Protobuf => body(StatusCode::OK, encoding, Vec::new()),
            Encoding::Json => body(StatusCode::OK, encoding, b"{}".to_vec()),
        };
    }
    let reasons = tally.told("point", 1).into_iter().take(REASONS_SHOWN);
    let text = |item: &Value, field: &str| item[field].as_str().unwrap_or("").to_owned();
    let reasons = reasons.map(|item| format!("{}: {}", text(&item, "field"), text(&item, "error")));
    let reasons: Vec<String> = reasons.collect();
    let (stored, refused) = (tally.stored, tally.failed);
    let message = format!("stored {stored}, refused {refused}: {}", reasons.join("; "));
    let is_all_wrong = stored == 0 && tally.dropped == 0;
    match (is_all_wrong, encoding) {
        (true, Encoding::Protobuf) => {
            let status = [number(1, INVALID_ARGUMENT), bytes(2, message.as_bytes())].concat();
            body(StatusCode::BAD_REQUEST, encoding, status)
        }
        (true, Encoding::Json) => {
            let status = json!({"code": INVALID_ARGUMENT, "message": message});
            body(StatusCode::BAD_REQUEST, encoding, status.to_string().into_bytes())
        }
        (false, Encoding::Protobuf) => {
            let partial = [number(1, refused), bytes(2, message.as_bytes())].concat();
            body(StatusCode::OK, encoding, bytes(1, &partial))
        }
        (false, Encoding::Json) => {
            let partial = json!({"rejectedDataPoints": refused.to_string(), "errorMessage": message});
            let answer = json!({"partialSuccess": partial});
            body(StatusCode::OK, encoding, answer.to_string().into_bytes())
        }
    }
}

fn body(status: StatusCode, encoding: Encoding, bytes: Vec<u8>) -> Response {
    let kind = match encoding {
        Encoding::Protobuf => "application/x-protobuf",
        Encoding::Json => "application/json",
    };
    (status, [(header::CONTENT_TYPE, kind)], bytes).into_response()
}

/// A field of a protobuf message with a number.
fn number(field: u64, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    varint::write_u64(&mut out, field << 3);
    varint::write_u64(&mut out, value);
    out
}

/// The same with bytes.
fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint::write_u64(&mut out, field << 3 | 2);
    varint::write_bytes(&mut out, value);
    out
}
