//! Answers that are written on a blocking thread while they are sent.
//!
//! A short answer is sent whole, with its length. A long one is sent in pieces, of which a few wait for the client at most; a client that is
//! gone or takes nothing ends the work at the next piece.

use super::error::ApiError;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::Frame;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::{mpsc, oneshot};

/// So many bytes are sent at once.
pub(super) const PIECE_BYTES: usize = 128 << 10;
/// Pieces that wait for the client.
pub(super) const PIECES_WAITING: usize = 4;

pub(super) type Piece = Result<Frame<Bytes>, io::Error>;

/// A body that is made while it is sent.
pub(super) struct Pieces(pub(super) mpsc::Receiver<Piece>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        self.0.poll_recv(context)
    }
}

/// Where an answer is written to.
#[derive(Debug)]
pub(super) struct Out {
    buffer: Vec<u8>,
    content_type: &'static str,
    /// Taken when the first piece or the whole answer is sent.
    response: Option<oneshot::Sender<Response>>,
    pieces: Option<mpsc::Sender<Piece>>,
    /// A number that is known at the end, and the header or trailer that tells it unless it is 0.
    count: Option<(HeaderName, usize)>,
}

impl Out {
    /// From here on something is counted, which this header tells: of a long answer, as a trailer.
    pub(super) fn counts(&mut self, name: HeaderName) {
        self.count = Some((name, 0));
    }

    pub(super) fn count(&mut self, more: usize) {
        if let Some((_, count)) = &mut self.count {
            *count += more;
        }
    }

    /// What is written here is sent, in time.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Whether nobody waits for the answer any more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.response.as_ref().is_some_and(oneshot::Sender::is_closed)
    }

    /// Sends what was written, if it is enough for a piece. To be called after each element of a long answer.
    pub(super) fn flow(&mut self) -> Result<(), ApiError> {
        if self.buffer.len() < PIECE_BYTES {
            return Ok(());
        }
        if let Some(response) = self.response.take() {
            let (sender, pieces) = mpsc::channel(PIECES_WAITING);
            self.pieces = Some(sender);
            let content_type = HeaderValue::from_static(self.content_type);
            let body = Body::new(Pieces(pieces));
            let mut begun = ([(header::CONTENT_TYPE, content_type)], body).into_response();
            if let Some((name, _)) = &self.count {
                begun.headers_mut().insert(header::TRAILER, name.clone().into());
            }
            response.send(begun).map_err(|_| ApiError::canceled())?;
        }
        let piece = Bytes::from(std::mem::replace(
            &mut self.buffer,
            Vec::with_capacity(PIECE_BYTES + (PIECE_BYTES >> 2)),
        ));
        self.send(Ok(Frame::data(piece)))
    }

    fn send(&self, piece: Piece) -> Result<(), ApiError> {
        let sent = self.pieces.as_ref().map(|pieces| pieces.blocking_send(piece));
        match sent {
            Some(Err(_)) => Err(ApiError::canceled()),
            Some(Ok(())) | None => Ok(()),
        }
    }

    /// Sends the rest. What failed after the first piece cuts the connection, so that the client does not take for whole what is
    /// not.
    fn end(mut self, result: Result<(), ApiError>) {
        let count = self.count.take().filter(|(_, count)| *count > 0);
        let Some(response) = self.response.take() else {
            let is_whole = result.is_ok();
            let last = match result {
                Ok(()) => Ok(Frame::data(Bytes::from(std::mem::take(&mut self.buffer)))),
                Err(error) => {
                    tracing::debug!(error = %error.message, "an answer ended early");
                    Err(io::Error::other(error.message))
                }
            };
            // Whoever is gone does not mind that this is not sent.
            drop(self.send(last));
            if let Some((name, count)) = count.filter(|_| is_whole) {
                let trailers = HeaderMap::from_iter([(name, count.into())]);
                drop(self.send(Ok(Frame::trailers(trailers))));
            }
            return;
        };
        let whole = match result {
            Ok(()) => {
                let content_type = HeaderValue::from_static(self.content_type);
                let mut whole = ([(header::CONTENT_TYPE, content_type)], self.buffer).into_response();
                let count = count.map(|(name, count)| (name, count.into()));
                whole.headers_mut().extend(count);
                whole
            }
            Err(error) => error.into_response(),
        };
        drop(response.send(whole));
    }
}

/// Does the work on a blocking thread and answers with what it writes.
pub(super) async fn answer(
    content_type: &'static str,
    work: impl FnOnce(&mut Out) -> Result<(), ApiError> + Send + 'static,
) -> Result<Response, ApiError> {
    let (response, answered) = oneshot::channel();
    let mut out = Out {
        buffer: Vec::new(),
        content_type,
        response: Some(response),
        pieces: None,
        count: None,
    };
    let span = tracing::Span::current();
    tokio::task::spawn_blocking(move || {
        span.in_scope(|| {
            let result = work(&mut out);
            out.end(result);
        });
    });
    answered.await.map_err(|_| {
        tracing::error!("a request panicked");
        ApiError::internal("narthex failed on this request; see its log")
    })
}
