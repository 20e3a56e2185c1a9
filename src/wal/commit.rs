//! Group commit: one thread syncs for all that wait.
//!
//! The first waiter becomes the leader. It notes how far the log is written, syncs without holding any lock, and wakes
//! the others; who appended meanwhile is covered by the next leader. A failed sync is final: nothing can be said of the
//! bytes it covered, so every later wait returns the same error until the log is opened again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

use super::sync_times::{SyncTimes, Syncs};
use super::{Lsn, WalError};
use crate::io::{File, FsError};

/// How far the log is written and durable. Shared by the writer and everyone who waits.
#[derive(Debug)]
pub(crate) struct GroupCommit {
    progress: Mutex<Progress>,
    synced: Condvar,
    /// A copy of `Progress::durable` that is read without the lock.
    durable: AtomicU64,
    sync_times: SyncTimes,
}

#[derive(Debug)]
struct Progress {
    /// Holds every written record that is not durable: older files were synced before this one took their place.
    file: Arc<dyn File>,
    written: Lsn,
    durable: Lsn,
    is_syncing: bool,
    failure: Option<Arc<FsError>>,
}

impl Progress {
    fn check(&self) -> Result<(), WalError> {
        match &self.failure {
            Some(failure) => Err(WalError::Poisoned(Arc::clone(failure))),
            None => Ok(()),
        }
    }
}

impl GroupCommit {
    /// Everything up to `durable` is durable, and records will be written to `file`.
    pub(super) fn new(file: Arc<dyn File>, durable: Lsn) -> Self {
        Self {
            progress: Mutex::new(Progress {
                file,
                written: durable,
                durable,
                is_syncing: false,
                failure: None,
            }),
            synced: Condvar::new(),
            durable: AtomicU64::new(durable),
            sync_times: SyncTimes::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress
            .lock()
            .expect("BUG: a thread panicked within group commit")
    }

    /// The last LSN that survives a power loss.
    pub(crate) fn durable_lsn(&self) -> Lsn {
        self.durable.load(Ordering::Acquire)
    }

    /// How often the log was synced for those that waited, and how long that took.
    pub(crate) fn syncs(&self) -> Syncs {
        self.sync_times.syncs()
    }

    /// Whether the log still takes writes.
    pub(crate) fn check(&self) -> Result<(), WalError> {
        self.lock().check()
    }

    /// Returns when everything up to `lsn`, which must have been appended, is durable.
    pub(crate) fn wait_durable(&self, lsn: Lsn) -> Result<(), WalError> {
        if lsn <= self.durable_lsn() {
            return Ok(());
        }
        let mut progress = self.lock();
        debug_assert!(
            lsn <= progress.written,
            "BUG: waiting for a record that was not appended"
        );
        while lsn > progress.durable {
            progress.check()?;
            progress = if progress.is_syncing {
                self.synced
                    .wait(progress)
                    .expect("BUG: a thread panicked within group commit")
            } else {
                self.lead(progress)
            };
        }
        Ok(())
    }

    /// Makes everything written so far durable and says up to which LSN that is.
    pub(crate) fn sync_now(&self) -> Result<Lsn, WalError> {
        let written = {
            let progress = self.lock();
            progress.check()?;
            progress.written
        };
        self.wait_durable(written)?;
        Ok(written)
    }

    fn lead<'a>(&'a self, mut progress: MutexGuard<'a, Progress>) -> MutexGuard<'a, Progress> {
        let file = Arc::clone(&progress.file);
        let target = progress.written;
        progress.is_syncing = true;
        drop(progress);
        let begun = Instant::now();
        let synced = file.sync_data();
        self.sync_times.note(begun.elapsed());
        let mut progress = self.lock();
        progress.is_syncing = false;
        match synced {
            Ok(()) if progress.failure.is_none() => {
                progress.durable = progress.durable.max(target);
                self.durable.store(progress.durable, Ordering::Release);
            }
            // A write that failed meanwhile proves nothing against this sync, but nothing is acknowledged after it.
            Ok(()) => {}
            Err(error) => {
                progress.failure.get_or_insert_with(|| Arc::new(error));
            }
        }
        self.synced.notify_all();
        progress
    }

    /// The writer has appended up to `lsn`.
    pub(super) fn set_written(&self, lsn: Lsn) {
        self.lock().written = lsn;
    }

    /// Records go to `file` from now on. Everything before must be durable.
    pub(super) fn switch(&self, file: Arc<dyn File>) {
        let mut progress = self.lock();
        debug_assert!(
            progress.written == progress.durable,
            "BUG: rotation before the old file was synced"
        );
        progress.file = file;
    }

    /// Ends all writing because of `error`.
    pub(super) fn poison(&self, error: FsError) -> WalError {
        let mut progress = self.lock();
        let failure = progress.failure.get_or_insert_with(|| Arc::new(error));
        let failure = Arc::clone(failure);
        self.synced.notify_all();
        WalError::Poisoned(failure)
    }
}
