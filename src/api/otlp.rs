//! `POST /api/v1/otlp/v1/metrics`: OpenTelemetry's metrics, as its SDKs and collectors export them.
//!
//! What can be stored is stored, in one batch. The answer is of the protocol: with nothing in it when all was taken, a partial
//! success when points were refused, and 400 with a status when nothing was taken. To send a request again is harmless.

use super::admission::HeldBytes;
use super::auth::Caller;
use super::error::ApiError;
use super::native::body::Arriving;
use super::native::refusal::Refusal;
use super::remote_write::asked_durability;
use super::state::App;
use super::tenant::Tenant;
use crate::base::varint;
use crate::config::Config;
use crate::db::Batch;
use crate::model::exemplar::Exemplar;
use crate::model::labels::Labels;
use crate::model::metadata::Metadata;
use crate::model::sample::Sample;
use crate::remote::intake::{Intake, Verdict};
use crate::remote::otlp::translate::Sink;
use crate::remote::otlp::{self, Encoding};
use crate::remote::outcome::{self, Written};
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::fmt::Write as _;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};

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
    let durability = asked_durability(&parts.headers)?;
    let config = app.config.load_full();
    let sender = caller.sender().to_owned();
    tenant.check_quota(&config, &sender, tenant.db()?.now_ms())?;
    let limits = config.http_of(&tenant.name);
    let arriving = Arriving::new(&parts.headers, body, &app.admission, &limits)?;
    let (body, held): (Vec<u8>, HeldBytes) = arriving.whole().await?;
    if encoding == Encoding::Json && body.len() > JSON_BYTES_MAX {
        let hint = "send it in protobuf, or less at once";
        return Err(Refusal::from(ApiError::body_too_large(JSON_BYTES_MAX)).hint(hint));
    }
    let shared = app.clone();
    let outcome = app
        .work(move || {
            let _held = held;
            let mut batch = tenant.db()?.batch();
            if let Some(durability) = durability {
                batch.durability(durability);
            }
            store(&shared, &tenant, &config, &sender, (encoding, &body), batch)
        })
        .await?;
    Ok(answer(encoding, &outcome))
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

/// What became of a request.
#[derive(Debug, Default)]
struct Outcome {
    written: Written,
    /// Left out by a rule of relabelling.
    dropped: usize,
    refused: usize,
    /// Why, the first few.
    reasons: String,
}

/// Puts samples into a batch, relabelled.
struct Gathering<'a> {
    batch: Batch,
    intake: &'a Intake,
    now_ms: i64,
    outcome: Outcome,
    reasons: usize,
}

impl Gathering<'_> {
    fn with_labels(&mut self, labels: &Labels, push: impl FnOnce(&mut Batch, &Labels)) {
        let verdict = if self.intake.is_empty() {
            Verdict::AsSent
        } else {
            self.intake.judge(labels.hash().0, self.now_ms, |out| {
                out.extend_from_slice(labels.as_bytes());
                Ok(())
            })
        };
        match verdict {
            Verdict::AsSent => push(&mut self.batch, labels),
            Verdict::Changed(labels) => push(&mut self.batch, &Labels::from_canonical(&*labels)),
            Verdict::Dropped => self.outcome.dropped += 1,
        }
    }
}

impl Sink for Gathering<'_> {
    fn sample(&mut self, labels: &Labels, sample: &Sample) {
        self.with_labels(labels, |batch, labels| batch.push_sample(labels, sample));
    }

    fn exemplar(&mut self, labels: &Labels, exemplar: &Exemplar) {
        self.with_labels(labels, |batch, labels| batch.push_exemplar(labels, exemplar));
    }

    fn metadata(&mut self, metric: &str, metadata: &Metadata) {
        self.batch.push_metadata(metric, metadata);
    }

    fn refuse(&mut self, metric: &str, reason: &str) {
        self.outcome.refused += 1;
        self.reasons += 1;
        if self.reasons <= REASONS_SHOWN {
            // Writing to a string does not fail.
            let _ = write!(self.outcome.reasons, "; {metric}: {reason}");
        }
    }
}

fn store(
    app: &App,
    tenant: &Tenant,
    config: &Config,
    sender: &str,
    (encoding, body): (Encoding, &[u8]),
    batch: Batch,
) -> Result<Outcome, ApiError> {
    let intake = tenant.intake.load();
    let now_ms = tenant.db()?.now_ms();
    let mut gathering = Gathering {
        batch,
        intake: &intake,
        now_ms,
        outcome: Outcome::default(),
        reasons: 0,
    };
    {
        let mut deltas = tenant.deltas.lock().unwrap_or_else(PoisonError::into_inner);
        otlp::read(encoding, body, &config.otlp, &mut deltas, &mut gathering).map_err(ApiError::bad_data)?;
    }
    let Gathering {
        batch, mut outcome, ..
    } = gathering;
    let report = batch.commit()?;
    outcome.written = Written::of(&report);
    tenant.journal.note(sender, &report.rejected, now_ms);
    app.metrics.left_out.fetch_add(outcome.dropped as u64, Relaxed);
    tenant.charge(config, sender, outcome.written.total(), now_ms);
    if !report.rejected.is_empty() {
        outcome.refused += report.rejected.iter().map(|one| one.count).sum::<usize>();
        let _ = write!(
            outcome.reasons,
            "; {}",
            outcome::message(outcome.written, &report.rejected)
        );
    }
    Ok(outcome)
}

fn answer(encoding: Encoding, outcome: &Outcome) -> Response {
    let stored = outcome.written.total();
    if outcome.refused == 0 {
        return match encoding {
            Encoding::Protobuf => body(StatusCode::OK, encoding, Vec::new()),
            Encoding::Json => body(StatusCode::OK, encoding, b"{}".to_vec()),
        };
    }
    let reasons = outcome.reasons.trim_start_matches("; ");
    let message = format!("stored {stored}, refused {}: {reasons}", outcome.refused);
    let is_all_wrong = stored == 0 && outcome.dropped == 0;
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
            let partial = [number(1, outcome.refused as u64), bytes(2, message.as_bytes())].concat();
            body(StatusCode::OK, encoding, bytes(1, &partial))
        }
        (false, Encoding::Json) => {
            let partial = json!({"rejectedDataPoints": outcome.refused.to_string(), "errorMessage": message});
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
