//! The write-ahead log: framing of records, group commit and replay. What records mean is decided above.
//!
//! A log is a folder of files `wal-<sequence>.log`. Every record has a log sequence number (LSN), one higher than the
//! record before it, across files. [`WalWriter`] appends, [`GroupCommit`] makes appended records durable for many
//! waiters at once, [`replay()`] reads everything back and tells a torn tail from corruption. A checkpoint is one file
//! with the same framing. Bytes are described in docs/format/wal.md.
//!
//! # Which records come back
//!
//! *D* is the largest LSN that any readable record or file header says was durable when it was written. A file's
//! header also says with which LSN it starts: everything below was durable in older files, and records of older files
//! from that LSN on are void.
//!
//! * At or below D a missing or broken record is corruption: it is reported as a [`Gap`], and replay goes on behind.
//! * Above D the first missing or broken record ends the log: a torn tail, of which nothing was promised.
//!
//! After replay new records go to a new file, so old files are never cut or extended. What is not known to be durable
//! in the last old file is written again in place and synced first, by way of a copy.

pub(crate) mod batch;
pub(crate) mod batch_decode;
mod checkpoint;
mod commit;
pub(crate) mod deletion;
mod frame;
pub(crate) mod histogram;
mod replay;
mod scan;
mod sync_times;
mod tail;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use checkpoint::{CheckpointWriter, read_checkpoint};
pub(crate) use commit::GroupCommit;
pub(crate) use frame::MAX_PAYLOAD_BYTES;
pub(crate) use replay::{Gap, Record, ReplayError, ReplayFrom, Replayed, Visitor, replay};
pub(crate) use sync_times::Syncs;
pub(crate) use tail::{is_tail_name, restore_tails};
pub(crate) use writer::{WalOptions, WalWriter};

use crate::io::{Fs, FsError};

/// Kind of the records that hold a batch; the payload is described in `batch`.
pub(crate) const RECORD_BATCH: u8 = 1;
/// Kind of the records of a checkpoint; the payload has the same form.
pub(crate) const RECORD_CHECKPOINT: u8 = 2;

/// A log sequence number. The first is 1.
pub(crate) type Lsn = u64;

const PREFIX: &str = "wal-";
const SUFFIX: &str = ".log";

/// Why the log took nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum WalError {
    /// The disk is full. Nothing was written, and a later call succeeds when there is space again.
    #[error("no space for the log: {0}")]
    OutOfSpace(Arc<FsError>),
    /// A write or sync failed, now or before: nothing is written until the log is opened again.
    #[error("the log takes no more writes after a failure: {0}")]
    Poisoned(Arc<FsError>),
    /// The payload does not fit a record.
    #[error("a record of {bytes} bytes is larger than the {MAX_PAYLOAD_BYTES} allowed")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
}

impl WalError {
    /// A failure that has nothing to poison yet.
    fn from_opening(error: FsError) -> Self {
        if error.is_out_of_space() {
            Self::OutOfSpace(Arc::new(error))
        } else {
            Self::Poisoned(Arc::new(error))
        }
    }
}

/// The name of the log file with that sequence number.
pub(crate) fn file_name(sequence: u64) -> String {
    format!("{PREFIX}{sequence:016}{SUFFIX}")
}

/// The sequence number in the name of a log file.
pub(crate) fn parse_file_name(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    let is_number = digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

/// The start LSN in the header of a log file; `None` if neither copy of it can be read.
pub(crate) fn log_start_lsn(fs: &dyn Fs, path: &Path) -> Result<Option<Lsn>, FsError> {
    let header = scan::read_file_header(fs, path, frame::FileKind::Log)?;
    Ok(header.map(|header| header.start_lsn))
}

/// The same of a checkpoint: the first LSN that it does not cover.
pub(crate) fn checkpoint_start_lsn(fs: &dyn Fs, path: &Path) -> Result<Option<Lsn>, FsError> {
    let header = scan::read_file_header(fs, path, frame::FileKind::Checkpoint)?;
    Ok(header.map(|header| header.start_lsn))
}

/// The log files in `dir` with their sequence numbers, in order.
pub(crate) fn list_files(fs: &dyn Fs, dir: &Path) -> Result<Vec<(u64, PathBuf)>, FsError> {
    let mut files: Vec<_> = fs
        .list(dir)?
        .iter()
        .filter_map(|name| Some((parse_file_name(name)?, dir.join(name))))
        .collect();
    files.sort_unstable();
    Ok(files)
}

/// Removes the log files below a sequence number and says how many bytes they had.
pub(crate) fn remove_below(fs: &dyn Fs, dir: &Path, sequence: u64) -> Result<u64, FsError> {
    let mut bytes = 0;
    for (_, path) in list_files(fs, dir)?
        .into_iter()
        .filter(|(found, _)| *found < sequence)
    {
        bytes += fs.file_len(&path)?;
        fs.remove(&path)?;
    }
    Ok(bytes)
}

/// A file whose header speaks of features this version does not have.
fn unsupported(path: &Path) -> FsError {
    let what = "written by a later version in a way this one cannot read";
    FsError::new("open", path, io::Error::new(io::ErrorKind::Unsupported, what))
}

#[cfg(test)]
mod tests;
