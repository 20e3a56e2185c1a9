//! One writer per folder: an exclusive lock on the file `LOCK`, freed by the system when the process dies.
//!
//! Read-only openings take no lock.

use std::io;
use std::path::{Path, PathBuf};

use super::{Fs, FsError, LockGuard};

/// The file that is locked.
pub(crate) const LOCK_NAME: &str = "LOCK";

/// Why a folder could not be locked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    /// Another process, or another opening in this one, writes to the folder.
    #[error("{} is open for writing elsewhere", .0.display())]
    Held(PathBuf),
    /// The lock file could not be opened or locked.
    #[error(transparent)]
    Fs(#[from] FsError),
}

/// The right to write in a folder, until dropped.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _guard: Box<dyn LockGuard>,
}

impl FolderLock {
    /// Locks `dir`, which must exist, or fails at once.
    pub(crate) fn acquire(fs: &dyn Fs, dir: &Path) -> Result<Self, LockError> {
        match fs.try_lock(&dir.join(LOCK_NAME)) {
            Ok(guard) => Ok(Self { _guard: guard }),
            Err(error) if error.source.kind() == io::ErrorKind::WouldBlock => {
                Err(LockError::Held(dir.to_owned()))
            }
            Err(error) => Err(error.into()),
        }
    }
}
