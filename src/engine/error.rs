//! Everything that can go wrong, with the file and the offset in it.

use crate::index::RegexError;
use crate::io::FsError;
use crate::segment::reader::{CorruptFile, SegmentError};
use crate::segment::writer::WriteError;
use crate::wal::WalError;
use std::path::PathBuf;

/// Why an operation on a database failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A call to the file system failed.
    #[error(transparent)]
    Fs(FsError),
    /// A file does not decode.
    #[error(transparent)]
    Corrupt(#[from] CorruptFile),
    /// The disk is full. Nothing of the batch, flush or checkpoint was kept; it succeeds when there is space again.
    #[error("the disk is full, nothing was written: {0}")]
    OutOfSpace(String),
    /// A write or sync failed earlier; nothing is written until the database is opened again. Reading goes on.
    #[error("writing stopped after a failure, open the database again to go on: {0}")]
    Poisoned(String),
    /// Another process has the folder open for writing.
    #[error("{0} is in use by another process")]
    Locked(PathBuf),
    /// The database is open for reading only.
    #[error("the database is open for reading only")]
    ReadOnly,
    /// The database was closed.
    #[error("the database is closed")]
    Closed,
    /// A folder that was to be filled holds something.
    #[error("{0} is not empty")]
    NotEmpty(PathBuf),
    /// There is no database in the folder.
    #[error("{0} holds no database")]
    NotFound(PathBuf),
    /// A matcher's regular expression is not valid.
    #[error("invalid matcher {pattern:?}: {reason}")]
    InvalidMatcher {
        /// The expression.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Options contradict each other or the database.
    #[error("invalid options: {0}")]
    InvalidOptions(String),
    /// A walk was cancelled by its caller.
    #[error("cancelled")]
    Cancelled,
}

impl From<FsError> for Error {
    fn from(error: FsError) -> Self {
        if error.is_out_of_space() {
            Self::OutOfSpace(error.to_string())
        } else {
            Self::Fs(error)
        }
    }
}

impl From<SegmentError> for Error {
    fn from(error: SegmentError) -> Self {
        match error {
            SegmentError::Fs(error) => error.into(),
            SegmentError::Corrupt(error) => Self::Corrupt(error),
        }
    }
}

impl From<RegexError> for Error {
    fn from(error: RegexError) -> Self {
        Self::InvalidMatcher {
            pattern: error.pattern,
            reason: error.reason,
        }
    }
}

impl From<WalError> for Error {
    fn from(error: WalError) -> Self {
        match error {
            WalError::OutOfSpace(error) => Self::OutOfSpace(error.to_string()),
            WalError::Poisoned(error) => Self::Poisoned(error.to_string()),
            WalError::TooLarge { .. } => Self::InvalidOptions(error.to_string()),
        }
    }
}

impl From<WriteError> for Error {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Fs(error) => error.into(),
            WriteError::Segment(error) => error.into(),
            WriteError::Corrupt(error) => Self::Corrupt(CorruptFile {
                file: PathBuf::from("head"),
                offset: error.offset,
                what: error.what,
            }),
        }
    }
}
