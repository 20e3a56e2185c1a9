//! What all requests share.

use super::admission::Admission;
use super::auth::Auth;
use super::error::ApiError;
use super::lifecycle::Command;
use super::self_metrics::ServerMetrics;
use crate::config::Config;
use crate::db::Db;
use crate::engine::progress::OpenProgress;
use crate::remote::intake::Intake;
use crate::remote::journal::Journal;
use crate::remote::quota::Quota;
use arc_swap::ArcSwap;
use std::sync::{Arc, OnceLock};
use tokio::sync::{Semaphore, mpsc};
use tracing::Span;

/// Shared by all requests of a server.
#[derive(Debug)]
pub(crate) struct App {
    /// Set once the database is open.
    pub(super) db: OnceLock<Db>,
    pub(super) opening: Arc<OpenProgress>,
    /// What holds now; a reload replaces it.
    pub(crate) config: ArcSwap<Config>,
    pub(super) auth: ArcSwap<Auth>,
    pub(crate) admission: Admission,
    /// What becomes of series that are written; a reload replaces it.
    pub(super) intake: ArcSwap<Intake>,
    pub(super) journal: Journal,
    pub(super) quota: Quota,
    /// Turns of remote reads.
    pub(super) reads: Arc<Semaphore>,
    pub(super) metrics: ServerMetrics,
    pub(super) commands: mpsc::Sender<Command>,
    /// Only programs on this machine can connect.
    pub(super) is_loopback: bool,
}

impl App {
    /// The database, once it is open.
    pub(crate) fn db(&self) -> Result<&Db, ApiError> {
        self.db
            .get()
            .ok_or_else(|| ApiError::unavailable("the database is being opened"))
    }

    /// Waits for a turn and does the work on a blocking thread: it may wait for locks and for the disk.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Db) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let turn = self.admission.turn(&self.config.load_full().http).await?;
        self.aside(move |db| {
            let _turn = turn;
            work(db)
        })
        .await
    }

    /// The same without a turn: for what an operator asks for and what watches the server.
    pub(crate) async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Db) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let db = self.db()?.clone();
        let span = Span::current();
        let done = tokio::task::spawn_blocking(move || span.in_scope(|| work(&db))).await;
        done.unwrap_or_else(|error| {
            tracing::error!(%error, "a request panicked");
            Err(ApiError::internal("narthex failed on this request; see its log"))
        })
    }
}
