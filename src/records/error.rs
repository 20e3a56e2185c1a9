//! What can go wrong with records. Every writer of a group gets the same answer, so that errors can be copied.

use crate::base::bytes::Corrupt;
use crate::io::FsError;
use std::io::{Error as IoError, ErrorKind};
use std::path::{Path, PathBuf};

/// Why something with logs, events or columns failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecordError {
    /// A call to the operating system failed, or the store says so in other words.
    #[error("{op} {path}: {text}", path = path.display())]
    Io {
        op: &'static str,
        path: PathBuf,
        kind: ErrorKind,
        text: String,
    },
    /// A key or value does not decode. `offset` counts from its first byte.
    #[error("{file}: corrupt data at offset {offset}: {what}", file = file.display())]
    Corrupt {
        file: PathBuf,
        offset: u64,
        what: &'static str,
    },
    /// The disk is full. It goes on by itself when there is space again.
    #[error("no space: {0}")]
    OutOfSpace(String),
    /// An earlier write or sync failed.
    #[error("writing stopped: {0}")]
    Poisoned(String),
    /// Somebody else has the folder.
    #[error("{0} is in use")]
    Locked(PathBuf),
    /// Records are not there for a database that is open for reading only.
    #[error("read only")]
    ReadOnly,
    /// The database was closed.
    #[error("closed")]
    Closed,
    /// The caller asks for what cannot be.
    #[error("{0}")]
    Invalid(String),
}

impl RecordError {
    pub(crate) fn io(op: &'static str, path: &Path, error: &IoError) -> Self {
        let path = path.to_owned();
        let (kind, text) = (error.kind(), error.to_string());
        if is_out_of_space(kind) {
            return Self::OutOfSpace(format!("{op} {}: {text}", path.display()));
        }
        Self::Io { op, path, kind, text }
    }

    /// `corrupt` was found in a value of the store in `dir`, below the name `space`.
    pub(crate) fn corrupt(dir: &Path, space: &str, corrupt: &Corrupt) -> Self {
        Self::Corrupt {
            file: dir.join(space),
            offset: corrupt.offset,
            what: corrupt.what,
        }
    }
}

pub(crate) fn is_out_of_space(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
    )
}

impl From<FsError> for RecordError {
    fn from(error: FsError) -> Self {
        Self::io(error.op, &error.path, &error.source)
    }
}
