//! Folders: their lock, their names on disk, and those that a snapshot, a backup or a restore fills.

use super::error::Error;
use super::options::Options;
use crate::base::hash;
use crate::io::{FolderLock, Fs, LOCK_NAME, LockError, remove_tree};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The right to write in a folder, which is created if need be.
pub(super) fn lock_folder(fs: &Arc<dyn Fs>, dir: &Path) -> Result<FolderLock, Error> {
    fs.create_dir_all(dir)?;
    FolderLock::acquire(&**fs, dir).map_err(|error| match error {
        LockError::Held(_) => Error::Locked(dir.to_owned()),
        LockError::Fs(error) => Error::Fs(error),
    })
}

/// Makes the names of the folder and of those above it survive a power loss, or one could take the whole database with
/// it: whoever made them may have died before they were durable. Folders that may not be opened were not made here.
pub(super) fn secure_folder(fs: &Arc<dyn Fs>, dir: &Path) -> Result<(), Error> {
    for above in dir.ancestors().filter_map(Path::parent) {
        match fs.sync_dir(above) {
            Err(error) if error.source.kind() == ErrorKind::PermissionDenied => {}
            other => other?,
        }
    }
    Ok(())
}

/// A folder that is being filled: new or empty, locked meanwhile, and empty again when that fails. The file that makes
/// it count is written last, before [`NewFolder::keep`].
#[derive(Debug)]
pub(super) struct NewFolder {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    is_kept: bool,
    _lock: FolderLock,
}

impl NewFolder {
    pub(super) fn begin(fs: &Arc<dyn Fs>, dir: &Path) -> Result<Self, Error> {
        let check_empty = || {
            let is_empty = !fs.exists(dir)? || fs.list(dir)?.iter().all(|name| name == LOCK_NAME);
            is_empty
                .then_some(())
                .ok_or_else(|| Error::NotEmpty(dir.to_owned()))
        };
        check_empty()?;
        let lock = lock_folder(fs, dir)?;
        // Someone else may have filled it meanwhile.
        check_empty()?;
        Ok(Self {
            fs: fs.clone(),
            dir: dir.to_owned(),
            is_kept: false,
            _lock: lock,
        })
    }

    /// Makes the names in the folder and its own survive a power loss.
    pub(super) fn secure(&self) -> Result<(), Error> {
        self.fs.sync_dir(&self.dir)?;
        secure_folder(&self.fs, &self.dir)
    }

    pub(super) fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        for name in self.fs.list(&self.dir).unwrap_or_default() {
            if let Err(error) = remove_tree(&*self.fs, &self.dir.join(name)) {
                tracing::warn!(%error, "a file of an unfinished folder stays");
            }
        }
    }
}

/// An id for a database that begins as a copy of another one. Both go on writing with the same numbers, and their ids
/// keep their log files and segments apart.
pub(super) fn fresh_id(options: &Options, origin: u128, dir: &Path) -> u128 {
    let now_ms = options.clock.now_ms();
    let process = options.identity.unwrap_or_else(|| u64::from(std::process::id()));
    hash::hash_128(format!("{origin} {now_ms} {process} {}", dir.display()).as_bytes())
}
