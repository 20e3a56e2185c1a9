//! What belongs to a database and is not samples: logs, events and columns, which the engine does not know.
//!
//! The engine's rhythm is theirs as well: steps, ticks, and the moment of a snapshot or backup, at which no batch is under
//! way.

use super::Engine;
use super::error::Error;
use crate::io::Fs;
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

/// A store beside the samples.
pub(crate) trait Beside: Debug + Send + Sync {
    /// Does at most one piece of background work, and says whether there was any.
    fn step(&self) -> Result<bool, Error>;

    /// What is due at every tick.
    fn tick(&self) -> Result<(), Error>;

    /// Fixes this moment; `None` when there is nothing.
    fn hold(&self) -> Result<Option<Box<dyn Held>>, Error>;
}

/// Makes the store of a new database, the second folder, of what is in a backup, the first one. Says how many records
/// that is.
pub(crate) type RestoreBeside = fn(&Arc<dyn Fs>, &Path, &Path) -> Result<u64, Error>;

/// One moment of it.
pub(crate) trait Held: Debug {
    /// Writes it as the store of the database in `target`, durably. Says how many records that is.
    fn copy_to(&self, target: &Path) -> Result<u64, Error>;

    /// Writes what is of the times from `times.0` to `times.1` as a file in `target`, reads it back, and says how many
    /// records that is.
    fn dump_to(&self, fs: &Arc<dyn Fs>, target: &Path, times: (i64, i64)) -> Result<u64, Error>;
}

impl Engine {
    /// Once, before anything is written.
    pub(crate) fn set_beside(&self, beside: Arc<dyn Beside>) {
        if self.beside.set(beside).is_err() {
            tracing::error!("BUG: two stores beside one engine");
        }
    }

    pub(super) fn hold_beside(&self) -> Result<Option<Box<dyn Held>>, Error> {
        self.beside.get().map_or(Ok(None), |beside| beside.hold())
    }
}
