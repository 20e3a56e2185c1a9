//! Reading a file of any size front to back through a window, with jumps where need be.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::BlockError;
use crate::base::bytes::Corrupt;
use crate::io::{File, Fs, FsError};
use crate::segment::reader::CorruptFile;
use std::path::Path;
use std::sync::Arc;

/// Bytes read at a time.
const WINDOW_BYTES: u64 = 256 << 10;

/// A file, of which the part that was read last is in memory.
#[derive(Debug)]
pub(super) struct Window {
    path: Arc<Path>,
    file: Arc<dyn File>,
    file_bytes: u64,
    start: u64,
    buffer: Vec<u8>,
}

impl Window {
    pub(super) fn open(fs: &dyn Fs, path: &Path) -> Result<Self, FsError> {
        let file = fs.open_read(path)?;
        Ok(Self {
            path: path.into(),
            file_bytes: file.size()?,
            file,
            start: 0,
            buffer: Vec::new(),
        })
    }

    pub(super) fn path(&self) -> &Arc<Path> {
        &self.path
    }

    pub(super) fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// The `length` bytes at `offset`, or an error when the file ends before.
    pub(super) fn bytes(
        &mut self,
        offset: u64,
        length: u64,
        what: &'static str,
    ) -> Result<&[u8], BlockError> {
        let end = offset.checked_add(length).filter(|end| *end <= self.file_bytes);
        let Some(end) = end else {
            return Err(self.corrupt(offset, what).into());
        };
        let held_end = self.start + self.buffer.len() as u64;
        if offset < self.start || end > held_end {
            let wanted = length.max(WINDOW_BYTES).min(self.file_bytes - offset);
            self.buffer
                .resize(usize::try_from(wanted).unwrap_or(usize::MAX), 0);
            self.start = offset;
            if let Err(error) = self.file.read_at(offset, &mut self.buffer) {
                self.buffer.clear();
                return Err(error.into());
            }
        }
        let from = (offset - self.start) as usize;
        let bytes = self.buffer.get(from..from + length as usize);
        Ok(bytes.unwrap_or(&[]))
    }

    /// Up to `length` bytes at `offset`: fewer at the end of the file.
    pub(super) fn up_to(
        &mut self,
        offset: u64,
        length: u64,
        what: &'static str,
    ) -> Result<&[u8], BlockError> {
        let left = self.file_bytes.saturating_sub(offset);
        self.bytes(offset, length.min(left), what)
    }

    pub(super) fn corrupt(&self, offset: u64, what: &'static str) -> CorruptFile {
        super::corrupt(&self.path, offset, &Corrupt::new(what, 0))
    }
}
