//! What all requests share.

use super::admission::Admission;
use super::auth::Auth;
use super::error::ApiError;
use super::lifecycle::Command;
use super::notifications::Notifications;
use super::queries::Queries;
use super::self_metrics::ServerMetrics;
use super::tenants::Tenants;
use crate::base::clock::{Clock as _, SystemClock};
use crate::config::Config;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use tokio::sync::{Semaphore, mpsc};
use tracing::Span;

/// Moments of a server, in milliseconds since 1970.
#[derive(Debug)]
pub(crate) struct Times {
    pub(super) started_ms: i64,
    /// When the configuration was read that holds.
    pub(super) configured_ms: AtomicI64,
}

impl Times {
    /// Both now.
    pub(super) fn now() -> Self {
        let now_ms = SystemClock.now_ms();
        Self {
            started_ms: now_ms,
            configured_ms: AtomicI64::new(now_ms),
        }
    }
}

/// Shared by all requests of a server.
#[derive(Debug)]
pub(crate) struct App {
    pub(super) tenants: Tenants,
    /// What holds now; a reload replaces it.
    pub(crate) config: ArcSwap<Config>,
    pub(super) auth: ArcSwap<Auth>,
    pub(crate) admission: Admission,
    /// Turns of remote reads.
    pub(super) reads: Arc<Semaphore>,
    pub(super) queries: Arc<Queries>,
    pub(super) metrics: ServerMetrics,
    pub(super) notifications: Notifications,
    pub(super) times: Times,
    pub(super) commands: mpsc::Sender<Command>,
    /// Only programs on this machine can connect.
    pub(super) is_loopback: bool,
}

impl App {
    /// Waits for a turn and does the work on a blocking thread: it may wait for locks and for the disk.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let turn = self.admission.turn(&self.config.load_full().http).await?;
        aside(move || {
            let _turn = turn;
            work()
        })
        .await
    }
}

/// The same without a turn: for what an operator asks for and what watches the server.
pub(crate) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let span = Span::current();
    let done = tokio::task::spawn_blocking(move || span.in_scope(work)).await;
    done.unwrap_or_else(|error| {
        tracing::error!(%error, "a request panicked");
        Err(ApiError::internal("narthex failed on this request; see its log"))
    })
}
