//! What is left of a body whose request was answered before its end: refused by its headers, too large, not allowed.
//!
//! To close the connection under a client that still sends would look to it like a failure that is worth another try. So the
//! rest is read and forgotten while the answer is on its way, as long as it keeps coming and is not too much.

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// Most that is read for nothing.
const BYTES_MAX: usize = 256 << 20;
/// How long that may take, all of it and from one piece to the next.
const TIME_MAX: Duration = Duration::from_secs(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The body of a request; what was not read of it when it is dropped is read then.
#[derive(Debug)]
pub(super) struct Wanted(Option<Incoming>);

impl Wanted {
    pub(super) fn body(incoming: Incoming) -> Body {
        Body::new(Self(Some(incoming)))
    }
}

impl hyper::body::Body for Wanted {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(incoming) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(incoming).poll_frame(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.0 = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0
            .as_ref()
            .map_or(SizeHint::with_exact(0), Incoming::size_hint)
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        let left = self.0.take().filter(|left| !left.is_end_stream());
        if let (Some(left), Ok(runtime)) = (left, Handle::try_current()) {
            // Whether it came to its end does not matter.
            runtime.spawn(async { drop(timeout(TIME_MAX, forget(left)).await) });
        }
    }
}

async fn forget(mut left: Incoming) {
    let mut bytes = 0;
    while let Ok(Some(Ok(frame))) = timeout(PAUSE_MAX, left.frame()).await {
        bytes += frame.data_ref().map_or(0, Bytes::len);
        if bytes > BYTES_MAX {
            return;
        }
    }
}
