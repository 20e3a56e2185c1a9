//! A connection that does not wait forever: for the headers of a request, for the next request, for a client that takes
//! nothing of its answer.
//!
//! hyper has one time-out from the end of an answer to the end of the next request's headers. With that, connections that
//! senders keep for the next minute could not be told from clients that send a byte a minute. So the stream itself keeps
//! the time: it knows from [`Requests`] whether a request is under way, and from its reads when one begins.

use super::leftover::Wanted;
use axum::body::Body;
use axum::http::{Request, Response};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::service::Service;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};
use tower::ServiceExt as _;

/// What HTTP/2 connections begin with.
const H2_PREFACE: &[u8] = b"PRI * HTTP/2";

/// How long a connection waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) header: Duration,
    pub(super) idle: Duration,
    pub(super) write: Duration,
}

/// How many requests of a connection are under way, answers that are still being sent included.
#[derive(Debug, Clone, Default)]
pub(super) struct Requests(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    underway: AtomicUsize,
    /// Who reads from the stream, while a request is under way: hyper does not read again after an answer when the read
    /// before it found nothing, so that the time of an idle connection would never begin.
    reader: Mutex<Option<Waker>>,
}

/// One of them, until it is dropped.
struct Underway(Requests);

impl Requests {
    fn begin(&self) -> Underway {
        self.0.underway.fetch_add(1, Ordering::AcqRel);
        Underway(self.clone())
    }

    fn none(&self) -> bool {
        self.0.underway.load(Ordering::Acquire) == 0
    }

    fn reader(&self) -> MutexGuard<'_, Option<Waker>> {
        self.0.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves word of who is to be woken when the last request has ended. Whether there is one still.
    fn wait_for_none(&self, waker: &Waker) -> bool {
        *self.reader() = Some(waker.clone());
        !self.none()
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        let Self(requests) = self;
        if requests.0.underway.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(waker) = requests.reader().take()
        {
            waker.wake();
        }
    }
}

/// What the connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// For the rest of a request's headers; also for the first byte of a new connection.
    Headers,
    /// For the next request.
    Idle,
    /// For nothing: a request is under way.
    Busy,
}

/// A stream with patience.
#[derive(Debug)]
pub(super) struct Timed<S> {
    stream: S,
    patience: Patience,
    requests: Requests,
    phase: Phase,
    /// HTTP/2 frames of an idle connection are not the beginning of a request.
    is_h2: Option<bool>,
    reading: Pin<Box<Sleep>>,
    writing: Pin<Box<Sleep>>,
    is_write_stalled: bool,
}

impl<S> Timed<S> {
    pub(super) fn new(stream: S, patience: Patience, requests: Requests) -> Self {
        Self {
            stream,
            patience,
            requests,
            phase: Phase::Headers,
            is_h2: None,
            reading: Box::pin(sleep(patience.header)),
            writing: Box::pin(sleep(patience.write)),
            is_write_stalled: false,
        }
    }

    fn wait_for(&mut self, phase: Phase) {
        self.phase = phase;
        let patience = match phase {
            Phase::Headers => self.patience.header,
            Phase::Idle => self.patience.idle,
            Phase::Busy => return,
        };
        self.reading.as_mut().reset(Instant::now() + patience);
    }

    fn note_read(&mut self, bytes: &[u8]) {
        let is_h2 = *self.is_h2.get_or_insert_with(|| bytes.starts_with(H2_PREFACE));
        match self.phase {
            Phase::Headers if is_h2 => self.wait_for(Phase::Idle),
            Phase::Idle if !is_h2 => self.wait_for(Phase::Headers),
            _ => {}
        }
    }

    /// After a write: time passes only while the client takes nothing.
    fn judge_write<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.is_write_stalled = false;
            return written;
        }
        if !self.is_write_stalled {
            self.is_write_stalled = true;
            let deadline = Instant::now() + self.patience.write;
            self.writing.as_mut().reset(deadline);
        }
        ready!(self.writing.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if !self.requests.none() {
            self.phase = Phase::Busy;
            if read.is_ready() || self.requests.wait_for_none(cx.waker()) {
                return read;
            }
        }
        if self.phase == Phase::Busy {
            self.wait_for(Phase::Idle);
        }
        if read.is_ready() {
            let bytes = buffer.filled().get(before..).unwrap_or(&[]);
            if !bytes.is_empty() {
                self.note_read(bytes);
            }
            return read;
        }
        ready!(self.reading.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judge_write(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.judge_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.judge_write(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.judge_write(cx, shut)
    }
}

/// The routes as a connection sees them: every request counts as under way until its answer is sent.
#[derive(Debug, Clone)]
pub(super) struct Counted {
    pub(super) router: axum::Router,
    pub(super) requests: Requests,
}

impl Service<Request<Incoming>> for Counted {
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let underway = self.requests.begin();
        let router = self.router.clone();
        Box::pin(async move {
            let response = router.oneshot(request.map(Wanted::body)).await?;
            Ok(response.map(|body| {
                Body::new(Answer {
                    body,
                    _underway: underway,
                })
            }))
        })
    }
}

/// The body of an answer, which keeps its request under way.
struct Answer {
    body: Body,
    _underway: Underway,
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}
