//! Reads the records of one log or checkpoint file through a window, and finds records again after broken bytes.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use super::frame::{
    ALIGNMENT, FILE_HEADER_BYTES, FILE_HEADER_OFFSETS, FileHeader, FileKind, HeaderFault,
    RECORD_HEADER_BYTES, RECORDS_START, RecordHeader,
};
use super::{Lsn, unsupported};
use crate::io::{File, Fs, FsError};

/// Bytes read at a time.
const PIECE_BYTES: u64 = 1 << 20;

/// The part of a file that is in memory.
#[derive(Debug)]
struct Window {
    file: Arc<dyn File>,
    file_bytes: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// The bytes from `offset`: at least `length`, which must be in the file, and as many more as are at hand.
    fn get(&mut self, offset: u64, length: usize) -> Result<&[u8], FsError> {
        let is_inside =
            offset >= self.start && offset + length as u64 <= self.start + self.bytes.len() as u64;
        if !is_inside {
            let wanted = (length as u64).max(PIECE_BYTES.min(self.file_bytes - offset));
            self.bytes.clear();
            self.bytes.resize(wanted as usize, 0);
            self.start = offset;
            self.file
                .read_at(offset, &mut self.bytes)
                .inspect_err(|_| self.bytes.clear())?;
        }
        Ok(self.bytes.get((offset - self.start) as usize..).unwrap_or(&[]))
    }
}

/// The header of the file at `path`, from whichever copy is good; `None` if none is.
pub(super) fn read_file_header(
    fs: &dyn Fs,
    path: &Path,
    kind: FileKind,
) -> Result<Option<FileHeader>, FsError> {
    let file = fs.open_read(path)?;
    let file_bytes = file.size()?;
    for offset in FILE_HEADER_OFFSETS {
        let mut bytes = [0; FILE_HEADER_BYTES];
        if offset + FILE_HEADER_BYTES as u64 > file_bytes {
            continue;
        }
        file.read_at(offset, &mut bytes)?;
        match FileHeader::decode(&bytes, kind) {
            Ok(header) => return Ok(Some(header)),
            Err(HeaderFault::Unsupported) => return Err(unsupported(path)),
            Err(HeaderFault::Corrupt(_)) => {}
        }
    }
    Ok(None)
}

/// The records of one file.
#[derive(Debug)]
pub(super) struct Frames {
    window: Window,
    epoch: u64,
    /// No record of this file has an LSN outside.
    lsns: std::ops::Range<Lsn>,
    /// End of the last word that is not zero, as far as [`Frames::next_header`] has looked.
    pub(super) nonzero_end: u64,
}

impl Frames {
    pub(super) fn open(fs: &dyn Fs, path: &Path, header: &FileHeader) -> Result<Self, FsError> {
        let file = fs.open_read(path)?;
        let file_bytes = file.size()?;
        let first = match header.kind {
            FileKind::Log => header.start_lsn,
            FileKind::Checkpoint => 1,
        };
        Ok(Self {
            window: Window {
                file,
                file_bytes,
                start: 0,
                bytes: Vec::new(),
            },
            epoch: header.epoch,
            lsns: first..first.saturating_add(max_records(file_bytes)),
            nonzero_end: RECORDS_START,
        })
    }

    pub(super) fn file_bytes(&self) -> u64 {
        self.window.file_bytes
    }

    /// Forgets the bytes in memory: another process may be writing to the file.
    pub(super) fn refresh(&mut self) {
        self.window.bytes.clear();
    }

    fn check(&self, bytes: &[u8], offset: u64) -> Option<RecordHeader> {
        let header = RecordHeader::decode(bytes, self.epoch, offset)?;
        let is_inside = header.record_bytes() as u64 <= self.window.file_bytes - offset;
        (is_inside && self.lsns.contains(&header.lsn)).then_some(header)
    }

    /// The header of the record at `offset`, if there is one.
    pub(super) fn header(&mut self, offset: u64) -> Result<Option<RecordHeader>, FsError> {
        if offset + RECORD_HEADER_BYTES as u64 > self.window.file_bytes {
            return Ok(None);
        }
        self.window.get(offset, RECORD_HEADER_BYTES)?;
        let start = (offset - self.window.start) as usize;
        Ok(self
            .window
            .bytes
            .get(start..)
            .and_then(|bytes| self.check(bytes, offset)))
    }

    /// The record at `offset`, if header and payload are whole.
    pub(super) fn record(&mut self, offset: u64) -> Result<Option<(RecordHeader, &[u8])>, FsError> {
        let Some(header) = self.header(offset)? else {
            return Ok(None);
        };
        let epoch = self.epoch;
        let bytes = self.window.get(offset, header.record_bytes())?;
        Ok(header
            .payload(bytes, epoch, offset)
            .map(|payload| (header, payload)))
    }

    /// The first record header at or after `offset`, at any multiple of 8.
    pub(super) fn next_header(&mut self, offset: u64) -> Result<Option<(u64, RecordHeader)>, FsError> {
        let mut at = offset;
        while at + RECORD_HEADER_BYTES as u64 <= self.window.file_bytes {
            self.window.get(at, RECORD_HEADER_BYTES)?;
            let start = (at - self.window.start) as usize;
            let bytes = self.window.bytes.get(start..).unwrap_or(&[]);
            let mut steps = 0;
            for candidate in bytes.windows(RECORD_HEADER_BYTES).step_by(ALIGNMENT) {
                let place = at + steps;
                steps += ALIGNMENT as u64;
                if candidate.first_chunk() == Some(&[0; ALIGNMENT]) {
                    continue;
                }
                self.nonzero_end = self.nonzero_end.max(place + ALIGNMENT as u64);
                if let Some(header) = self.check(candidate, place) {
                    return Ok(Some((place, header)));
                }
            }
            at += steps;
        }
        Ok(None)
    }

    /// The largest LSN that any record from `offset` on says was durable.
    pub(super) fn durable_after(&mut self, offset: u64) -> Result<Lsn, FsError> {
        let mut durable = 0;
        let mut at = offset;
        while let Some((place, header)) = self.next_header(at)? {
            durable = durable.max(header.durable_lsn);
            // A record's bytes are skipped only if they are whole: a broken one may be overlapped by others.
            at = match self.record(place)? {
                Some(_) => place + header.record_bytes() as u64,
                None => place + ALIGNMENT as u64,
            };
            self.nonzero_end = self.nonzero_end.max(at);
        }
        Ok(durable)
    }
}

/// How many records a file of that length can hold at most.
pub(super) fn max_records(file_bytes: u64) -> u64 {
    file_bytes.saturating_sub(RECORDS_START) / RECORD_HEADER_BYTES as u64
}
