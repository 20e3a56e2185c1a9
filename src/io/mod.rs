//! The seam to the disk: every file of a database is opened, named and synced through [`Fs`].
//!
//! Three file systems implement it. [`DiskFs`] is the operating system's; [`MemoryFs`] holds the segments of a database
//! that has no folder; [`SimFs`] is a disk in memory that can lose power, fail a call and fill up. Everything above sees only the trait, so every crash the promises of the database
//! speak of can be played in a test.
//!
//! # What may be relied on
//!
//! * A write is seen by every reader at once, and survives the death of the process.
//! * A write survives a power loss only after [`File::sync_data`] on that file returned `Ok`. That covers the length
//!   too. Until then each 512-byte sector of it may or may not reach the disk, in any order.
//! * A new, renamed or removed name survives a power loss only after [`Fs::sync_dir`] on its folder. Until then each
//!   such change may be lost alone. A rename is atomic: one of both names is there, never a part of either.
//! * After a failed sync nothing is known about the bytes it covered, and a second sync proves nothing: the system may
//!   have dropped them and forgotten the error.
//! * Preallocated bytes read as zero.
//!
//! # How SimFs loses power
//!
//! It keeps a live and a durable image of every file and of every folder. A write goes to the live image and into a
//! list of pending operations; a sync applies the list to the durable image. A crash starts from the durable images
//! and applies pending operations by the chosen [`CrashMode`]: none, all, a prefix in the order they were made (an
//! ordered journal), or each sector and each name on its own by the toss of a coin, where a lost sector may also hold
//! garbage. A failed sync throws the list away without applying it, which is what Linux may do.

mod atomic;
mod copy;
mod disk;
mod lock;
#[cfg(feature = "server")]
mod log_file;
mod mapped;
mod memory;
mod sim;

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use atomic::{AtomicFile, is_temp_name, write_file};
pub(crate) use copy::{checksum_file, copy_file};
pub use disk::DiskFs;
pub(crate) use lock::{FolderLock, LOCK_NAME, LockError};
#[cfg(feature = "server")]
pub use log_file::LogFile;
#[cfg(feature = "server")]
pub(crate) use log_file::LogFileOptions;
pub use mapped::{Bytes, FileView, Region};
pub(crate) use memory::MemoryFs;
pub use sim::{Call, CrashMode, CrashPoint, Fault, Record, SimFs};

/// A file operation that failed: which, on what, and why.
#[derive(Debug, thiserror::Error)]
#[error("{op} {path}: {source}", path = path.display())]
pub struct FsError {
    /// The operation, as in "write".
    pub op: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// What the operating system said.
    pub source: io::Error,
}

impl FsError {
    /// The failure of `op` on `path`.
    pub fn new(op: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self {
            op,
            path: path.into(),
            source,
        }
    }

    /// A read of `length` bytes at `offset` that met the end of the file.
    pub(crate) fn short_read(path: &Path, offset: u64, length: usize) -> Self {
        let what = format!("file ends within the {length} bytes at offset {offset}");
        Self::new("read", path, io::Error::new(io::ErrorKind::UnexpectedEof, what))
    }

    /// The disk or the quota is full, or a file has reached the size that the process is allowed: the only failures that heal
    /// by themselves.
    pub fn is_out_of_space(&self) -> bool {
        matches!(
            self.source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        )
    }

    /// The file or folder is not there.
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }

    /// The name is taken.
    pub fn is_already_exists(&self) -> bool {
        self.source.kind() == io::ErrorKind::AlreadyExists
    }
}

/// An open file. Offsets are given with every call; there is no position.
pub trait File: Debug + Send + Sync {
    /// Fills `buffer` from `offset`. A file that ends before is an error.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), FsError>;

    /// Writes all of `bytes` at `offset`. After an error any part of them may have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), FsError>;

    /// Reserves space up to `len` bytes and extends the file with zeros to that length; never shortens it.
    /// A full disk shows here, so that later writes below `len` do not meet it.
    fn preallocate(&self, len: u64) -> Result<(), FsError>;

    /// Cuts or extends the file to `len` bytes.
    fn set_len(&self, len: u64) -> Result<(), FsError>;

    /// Makes everything written so far survive a power loss.
    fn sync_data(&self) -> Result<(), FsError>;

    /// The length in bytes.
    fn size(&self) -> Result<u64, FsError>;
}

/// A lock that is held until it is dropped.
pub trait LockGuard: Debug + Send + Sync {}

/// A file system. Paths are taken as they are given.
pub trait Fs: Debug + Send + Sync {
    /// Creates a file for reading and writing; fails when the name is taken.
    fn create_new(&self, path: &Path) -> Result<Arc<dyn File>, FsError>;

    /// Opens an existing file for reading.
    fn open_read(&self, path: &Path) -> Result<Arc<dyn File>, FsError>;

    /// Opens an existing file for reading and writing.
    fn open_write(&self, path: &Path) -> Result<Arc<dyn File>, FsError>;

    /// A read-only view of a file that never changes again; mapped if `mmap` is set and the file system can.
    fn open_view(&self, path: &Path, mmap: bool) -> Result<Arc<FileView>, FsError>;

    /// Renames a file or folder; a file at `to` is replaced.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), FsError>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> Result<(), FsError>;

    /// Removes an empty folder.
    fn remove_dir(&self, path: &Path) -> Result<(), FsError>;

    /// Gives a file a second name. May be unsupported: no caller may depend on it.
    fn hard_link(&self, from: &Path, to: &Path) -> Result<(), FsError>;

    /// Creates a folder and those above it.
    fn create_dir_all(&self, path: &Path) -> Result<(), FsError>;

    /// The names in a folder, sorted.
    fn list(&self, dir: &Path) -> Result<Vec<String>, FsError>;

    /// Whether there is a file or folder of that name.
    fn exists(&self, path: &Path) -> Result<bool, FsError>;

    /// The length of a file in bytes.
    fn file_len(&self, path: &Path) -> Result<u64, FsError>;

    /// Makes the names in a folder survive a power loss.
    fn sync_dir(&self, dir: &Path) -> Result<(), FsError>;

    /// Bytes this process may still allocate on the file system of `dir`.
    fn available_bytes(&self, dir: &Path) -> Result<u64, FsError>;

    /// Whether paths mean to it what they mean to the operating system, so that other code may use them by itself. Logs,
    /// events and columns need that.
    fn is_of_system(&self) -> bool {
        false
    }

    /// Takes an exclusive lock on a file, which is created if need be. Does not wait: when it is held elsewhere the
    /// error's kind is `WouldBlock`. The death of the process frees it.
    fn try_lock(&self, path: &Path) -> Result<Box<dyn LockGuard>, FsError>;
}

/// The whole content of a file.
#[cfg(any(test, feature = "server"))]
pub(crate) fn read_file(fs: &dyn Fs, path: &Path) -> Result<Vec<u8>, FsError> {
    let file = fs.open_read(path)?;
    let length = usize::try_from(file.size()?).map_err(|_| FsError::short_read(path, 0, usize::MAX))?;
    let mut bytes = vec![0; length];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// Removes a file or a folder with everything in it, if it is there.
pub(crate) fn remove_tree(fs: &dyn Fs, path: &Path) -> Result<(), FsError> {
    if !fs.exists(path)? {
        return Ok(());
    }
    match fs.list(path) {
        Ok(names) => {
            for name in names {
                remove_tree(fs, &path.join(name))?;
            }
            fs.remove_dir(path)
        }
        Err(_) => fs.remove(path),
    }
}

/// The folder a name lives in.
fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

#[cfg(test)]
mod tests;
