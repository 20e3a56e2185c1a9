//! Prometheus' remote read.
//!
//! An answer as SAMPLES is one message. A stream is made on a blocking thread while it is sent: a few pieces are waited for by the
//! client at most, and a client that is gone or too slow ends the work.

use super::error::ApiError;
use super::pieces::{PIECE_BYTES, PIECES_WAITING, Piece, Pieces};
use super::state::{App, aside};
use super::tenant::Tenant;
use crate::config::Config;
use crate::db::Db;
use crate::remote::read::{ReadError, ReadOptions};
use crate::remote::read_request::{ReadRequest, ResponseType};
use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use hyper::body::Frame;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;

/// `POST /api/v1/read`.
pub(super) async fn read(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<Response, ApiError> {
    let config = app.config.load_full();
    let limits = config.http_of(&tenant.name);
    let body = app.admission.read(request.into_body(), &limits).await?;
    let options = options(&config);
    let request = ReadRequest::decode(&body, &options)?;
    drop(body);
    let waited = timeout(config.http.queue_timeout, app.reads.clone().acquire_owned()).await;
    let Ok(Ok(turn)) = waited else {
        return Err(ApiError::unavailable(
            "too many remote reads at once (remote_read.concurrency)",
        ));
    };
    match request.response_type() {
        ResponseType::Samples => samples(tenant, request, options, turn).await,
        ResponseType::StreamedXorChunks => {
            stream(&tenant, request, options, turn, config.remote_read.timeout)
        }
    }
}

fn options(config: &Config) -> ReadOptions {
    ReadOptions {
        external_labels: config.external_labels.clone(),
        samples_max: config.remote_read.samples_max,
        request_bytes_max: config.http.decoded_bytes_max,
        is_streaming: config.remote_read.is_streaming,
        ..ReadOptions::default()
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Engine(error) => error.into(),
            error if error.is_clients() => Self::bad_data(error.to_string()),
            error => Self::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", error.to_string()),
        }
    }
}

async fn samples(
    tenant: Arc<Tenant>,
    request: ReadRequest,
    options: ReadOptions,
    turn: OwnedSemaphorePermit,
) -> Result<Response, ApiError> {
    let (body, summary) = aside(move || {
        let _turn = turn;
        Ok(request.samples(tenant.db()?, &options)?)
    })
    .await?;
    warn(&summary.warnings);
    let headers = [
        (header::CONTENT_TYPE, ResponseType::Samples.content_type()),
        (header::CONTENT_ENCODING, "snappy"),
    ];
    Ok((headers, body).into_response())
}

fn stream(
    tenant: &Tenant,
    request: ReadRequest,
    options: ReadOptions,
    turn: OwnedSemaphorePermit,
    patience: Duration,
) -> Result<Response, ApiError> {
    let db = tenant.db()?.clone();
    let (sender, pieces) = mpsc::channel::<Piece>(PIECES_WAITING);
    let span = tracing::Span::current();
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        span.in_scope(|| send_all(&db, &request, &options, &sender, Instant::now() + patience));
    });
    let body = Body::new(Pieces(pieces));
    let kind = HeaderValue::from_static(ResponseType::StreamedXorChunks.content_type());
    Ok(([(header::CONTENT_TYPE, kind)], body).into_response())
}

/// Sends frames until all are sent or nobody takes them in time. A failure cuts the connection, so that the client does not
/// take for whole what is not.
fn send_all(
    db: &Db,
    request: &ReadRequest,
    options: &ReadOptions,
    sender: &mpsc::Sender<Piece>,
    end: Instant,
) {
    let mut piece = BytesMut::with_capacity(PIECE_BYTES);
    let result = request.stream(db, options, |frame| {
        piece.extend_from_slice(frame);
        if piece.len() < PIECE_BYTES {
            return ControlFlow::Continue(());
        }
        match Instant::now() < end
            && sender
                .blocking_send(Ok(Frame::data(piece.split().freeze())))
                .is_ok()
        {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    });
    // Whoever is gone does not mind that this is not sent.
    match result {
        Ok(summary) => {
            warn(&summary.warnings);
            drop(sender.blocking_send(Ok(Frame::data(piece.freeze()))));
        }
        Err(error) => {
            tracing::warn!(%error, "a remote read ended early");
            drop(sender.blocking_send(Err(io::Error::other(error))));
        }
    }
}

fn warn(warnings: &[crate::engine::select::Warning]) {
    for warning in warnings {
        tracing::warn!(?warning, "a remote read is not complete");
    }
}
