//! What a request may take before and while it is worked on: bytes of bodies in memory, turns to work, time.
//!
//! A body is read before the request gets its turn, so that slow senders wait in their own time. Its bytes count against
//! the budget as they arrive and until the handler is done with them. Turns are given in order of asking; who waits for
//! one too long is told to come again.

use super::error::ApiError;
use crate::config::Http;
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use std::ops::Deref;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Steps in which bytes are taken from the budget: fewer calls, and a permit count that fits the semaphore.
const STEP_BYTES: usize = 16 << 10;

/// The budgets of a server.
#[derive(Debug)]
pub(crate) struct Admission {
    turns: Arc<Semaphore>,
    turns_total: usize,
    steps: Arc<Semaphore>,
    steps_total: usize,
}

/// A turn to work; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _permit: OwnedSemaphorePermit,
}

/// A body in memory, counted against the budget until it is dropped.
#[derive(Debug)]
pub(crate) struct HeldBody {
    bytes: Bytes,
    _permit: Option<OwnedSemaphorePermit>,
}

/// Bytes in memory, counted against the budget until this is dropped.
#[derive(Debug, Default)]
pub(crate) struct HeldBytes {
    permit: Option<OwnedSemaphorePermit>,
    steps: usize,
}

impl Deref for HeldBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Admission {
    pub(crate) fn new(limits: &Http) -> Self {
        let steps_total = limits
            .in_flight_bytes
            .div_ceil(STEP_BYTES)
            .min(Semaphore::MAX_PERMITS);
        Self {
            turns: Arc::new(Semaphore::new(limits.concurrency)),
            turns_total: limits.concurrency,
            steps: Arc::new(Semaphore::new(steps_total)),
            steps_total,
        }
    }

    /// Bytes of bodies in memory, rounded up.
    pub(crate) fn held_bytes(&self) -> u64 {
        (self.steps_total.saturating_sub(self.steps.available_permits()) * STEP_BYTES) as u64
    }

    /// Requests that are worked on.
    pub(crate) fn working(&self) -> u64 {
        self.turns_total.saturating_sub(self.turns.available_permits()) as u64
    }

    /// Waits for a turn.
    pub(crate) async fn turn(&self, limits: &Http) -> Result<Turn, ApiError> {
        match timeout(limits.queue_timeout, self.turns.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Turn { _permit: permit }),
            Ok(Err(_)) | Err(_) => Err(ApiError::unavailable(
                "too many requests at once (http.concurrency)",
            )),
        }
    }

    /// Reads a body.
    pub(crate) async fn read(&self, body: Body, limits: &Http) -> Result<HeldBody, ApiError> {
        use axum::body::HttpBody as _;
        if body.size_hint().lower() > limits.body_bytes_max as u64 {
            return Err(ApiError::body_too_large(limits.body_bytes_max));
        }
        let read = self.read_frames(body, limits.body_bytes_max);
        timeout(limits.body_timeout, read)
            .await
            .unwrap_or_else(|_| Err(ApiError::slow_body()))
    }

    async fn read_frames(&self, mut body: Body, bytes_max: usize) -> Result<HeldBody, ApiError> {
        let mut permit = None;
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        let mut total = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| ApiError::bad_data("the body ended before it was complete"))?;
            let Ok(data) = frame.into_data() else { continue };
            let before: usize = total;
            total += data.len();
            if total > bytes_max {
                return Err(ApiError::body_too_large(bytes_max));
            }
            self.hold(
                &mut permit,
                total.div_ceil(STEP_BYTES) - before.div_ceil(STEP_BYTES),
            )?;
            if before == 0 {
                first = data;
            } else {
                if rest.is_empty() {
                    rest.extend_from_slice(&std::mem::take(&mut first));
                }
                rest.extend_from_slice(&data);
            }
        }
        Ok(HeldBody {
            bytes: if rest.is_empty() { first } else { rest.freeze() },
            _permit: permit,
        })
    }

    /// Counts so many bytes at least from now on.
    pub(crate) fn hold_at_least(&self, held: &mut HeldBytes, bytes: usize) -> Result<(), ApiError> {
        let steps = bytes.div_ceil(STEP_BYTES).max(held.steps);
        self.hold(&mut held.permit, steps - held.steps)?;
        held.steps = steps;
        Ok(())
    }

    /// Takes `steps` more from the budget.
    fn hold(&self, permit: &mut Option<OwnedSemaphorePermit>, steps: usize) -> Result<(), ApiError> {
        let full = || ApiError::unavailable("too many bytes of requests in memory (http.in_flight_bytes)");
        if steps == 0 {
            return Ok(());
        }
        let steps = u32::try_from(steps).map_err(|_| full())?;
        let more = self
            .steps
            .clone()
            .try_acquire_many_owned(steps)
            .map_err(|_| full())?;
        match permit {
            Some(permit) => permit.merge(more),
            None => *permit = Some(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;
    use std::time::Duration;

    fn limits() -> Http {
        let config = Sources::default().resolve().expect("the defaults are valid");
        Http {
            concurrency: 1,
            in_flight_bytes: 4 * STEP_BYTES,
            body_bytes_max: 4 * STEP_BYTES,
            queue_timeout: Duration::from_millis(20),
            ..config.http
        }
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(future)
    }

    #[test]
    fn who_waits_too_long_for_a_turn_is_told_to_come_again() {
        let limits = limits();
        let admission = Admission::new(&limits);
        run(async {
            let turn = admission.turn(&limits).await.expect("the only turn");
            assert_eq!(admission.working(), 1);
            assert_eq!(
                admission
                    .turn(&limits)
                    .await
                    .expect_err("it is taken")
                    .status
                    .as_u16(),
                503
            );
            drop(turn);
            assert!(admission.turn(&limits).await.is_ok());
        });
    }

    #[test]
    fn bodies_hold_their_bytes_until_they_are_dropped() {
        let limits = limits();
        let admission = Admission::new(&limits);
        let body = |bytes: usize| Body::from(vec![b'x'; bytes]);
        run(async {
            let first = admission
                .read(body(3 * STEP_BYTES), &limits)
                .await
                .expect("there is room");
            assert_eq!(
                (first.len(), admission.held_bytes()),
                (3 * STEP_BYTES, 3 * STEP_BYTES as u64)
            );
            let refused = admission
                .read(body(STEP_BYTES + 1), &limits)
                .await
                .expect_err("there is none");
            assert_eq!(
                (refused.status.as_u16(), admission.held_bytes()),
                (503, 3 * STEP_BYTES as u64)
            );
            let second = admission
                .read(body(STEP_BYTES), &limits)
                .await
                .expect("just enough");
            drop((first, second));
            assert_eq!(admission.held_bytes(), 0);
            let large = admission
                .read(body(4 * STEP_BYTES + 1), &limits)
                .await
                .expect_err("too large");
            assert_eq!(large.status.as_u16(), 413);
        });
    }
}
