//! A checkpoint: one file with the framing of the log, written whole and renamed into place.
//!
//! Its records are numbered from 1, its header says how many there are and from which LSN on the log is to be replayed
//! behind it. All of it was durable when its name appeared, so whatever cannot be read is corruption.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::frame::{
    self, ALIGNMENT, FILE_HEADER_OFFSETS, FileHeader, FileKind, MAX_PAYLOAD_BYTES, RECORDS_START, Stamp,
};
use super::replay::{Gap, Pass, ReplayError, Visitor};
use super::scan::read_file_header;
use super::{Lsn, WalError, WalOptions};
use crate::io::{AtomicFile, Fs, FsError};

/// Writes a checkpoint front to back.
#[derive(Debug)]
pub(crate) struct CheckpointWriter {
    file: AtomicFile,
    header: FileHeader,
    scratch: Vec<u8>,
}

/// What reading a checkpoint found.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    pub(crate) sequence: u64,
    /// The first LSN that the checkpoint does not cover.
    pub(crate) start_lsn: Lsn,
    pub(crate) gaps: Vec<Gap>,
    /// Records shown to the visitor.
    pub(crate) records: u64,
}

impl CheckpointWriter {
    /// Starts a checkpoint that will appear at `path` and covers the log below `start_lsn`.
    pub(crate) fn create(
        fs: &Arc<dyn Fs>,
        path: &Path,
        options: &WalOptions,
        sequence: u64,
        start_lsn: Lsn,
    ) -> Result<Self, FsError> {
        let mut file = AtomicFile::create(fs, path)?;
        file.write(&[0; RECORDS_START as usize])?;
        let header = FileHeader {
            kind: FileKind::Checkpoint,
            sequence,
            epoch: frame::epoch(FileKind::Checkpoint, options.database_id, sequence, options.nonce),
            start_lsn,
            record_count: 0,
        };
        Ok(Self {
            file,
            header,
            scratch: Vec::new(),
        })
    }

    /// Appends a record; `kind` is 1 to 254.
    pub(crate) fn append(&mut self, kind: u8, payload: &[u8]) -> Result<(), WalError> {
        if payload.len() > MAX_PAYLOAD_BYTES {
            return Err(WalError::TooLarge { bytes: payload.len() });
        }
        self.header.record_count += 1;
        let stamp = Stamp {
            epoch: self.header.epoch,
            offset: self.file.offset(),
            lsn: self.header.record_count,
            durable_lsn: 0,
            kind,
        };
        frame::encode_record(&mut self.scratch, stamp, payload);
        debug_assert!(
            stamp.offset.is_multiple_of(ALIGNMENT as u64),
            "BUG: records are aligned"
        );
        self.file.write(&self.scratch).map_err(WalError::from_opening)
    }

    /// Makes the checkpoint durable under its name and says how long it is.
    pub(crate) fn finish(mut self) -> Result<u64, FsError> {
        for offset in FILE_HEADER_OFFSETS {
            self.file.patch(offset, &self.header.encode())?;
        }
        self.file.finish()
    }
}

/// Shows every record of a checkpoint to `visitor`. A file without a readable header is an error of kind
/// `InvalidData`; other damage is reported as gaps.
pub(crate) fn read_checkpoint<V: Visitor>(
    fs: &dyn Fs,
    path: &Path,
    visitor: &mut V,
) -> Result<Checkpoint, ReplayError<V::Error>> {
    let Some(header) = read_file_header(fs, path, FileKind::Checkpoint)? else {
        let error = io::Error::new(
            io::ErrorKind::InvalidData,
            "the checkpoint has no readable header",
        );
        return Err(FsError::new("open", path, error).into());
    };
    let mut pass = Pass::new(visitor, 1);
    pass.read_file(fs, path, &header, Some(header.record_count.saturating_add(1)))?;
    Ok(Checkpoint {
        sequence: header.sequence,
        start_lsn: header.start_lsn,
        gaps: pass.gaps,
        records: pass.records,
    })
}
