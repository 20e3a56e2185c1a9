//! Whole files that appear at once: written under a temporary name, synced, renamed, and the folder synced.
//!
//! A crash leaves the old file, or none, and perhaps a temporary name, which is removed at the next opening of the
//! folder ([`is_temp_name`]).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{File, Fs, FsError, parent};

const TEMP_SUFFIX: &str = ".tmp";

/// Bytes gathered before a write.
const BUFFER_BYTES: usize = 256 << 10;

/// Whether a file of that name was never finished.
pub(crate) fn is_temp_name(name: &str) -> bool {
    name.ends_with(TEMP_SUFFIX)
}

fn temp_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(TEMP_SUFFIX);
    name.into()
}

/// Writes a whole file; a file at `path` is replaced.
pub(crate) fn write_file(fs: &Arc<dyn Fs>, path: &Path, bytes: &[u8]) -> Result<(), FsError> {
    let mut file = AtomicFile::create(fs, path)?;
    file.write(bytes)?;
    file.finish().map(|_| ())
}

/// A file that is written front to back and appears when it is finished. Dropped before, it leaves nothing.
#[derive(Debug)]
pub(crate) struct AtomicFile {
    fs: Arc<dyn Fs>,
    file: Arc<dyn File>,
    path: PathBuf,
    temp: PathBuf,
    buffer: Vec<u8>,
    /// Bytes that have left the buffer.
    written: u64,
    is_finished: bool,
}

impl AtomicFile {
    /// Starts a file that will appear as `path`.
    pub(crate) fn create(fs: &Arc<dyn Fs>, path: &Path) -> Result<Self, FsError> {
        let temp = temp_path(path);
        let file = match fs.create_new(&temp) {
            Err(error) if error.is_already_exists() => {
                fs.remove(&temp)?;
                fs.create_new(&temp)?
            }
            other => other?,
        };
        Ok(Self {
            fs: Arc::clone(fs),
            file,
            path: path.to_owned(),
            temp,
            buffer: Vec::new(),
            written: 0,
            is_finished: false,
        })
    }

    /// Appends `bytes`.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), FsError> {
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.flush()?;
        }
        if bytes.len() >= BUFFER_BYTES {
            self.file.write_at(self.written, bytes)?;
            self.written += bytes.len() as u64;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// Where the next byte goes.
    pub(crate) fn offset(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Overwrites bytes written before, as a header whose content is known last.
    pub(crate) fn patch(&mut self, offset: u64, bytes: &[u8]) -> Result<(), FsError> {
        self.flush()?;
        debug_assert!(
            offset + bytes.len() as u64 <= self.written,
            "BUG: patch beyond the end"
        );
        self.file.write_at(offset, bytes)
    }

    /// Makes the file durable under its name and returns its length.
    pub(crate) fn finish(mut self) -> Result<u64, FsError> {
        self.flush()?;
        self.file.sync_data()?;
        self.fs.rename(&self.temp, &self.path)?;
        self.is_finished = true;
        let synced = self.fs.sync_dir(parent(&self.path));
        synced.map_err(|error| FsError {
            // Which of two files a power loss leaves is not known now: no longer a mere lack of space.
            source: io::Error::other(error.source),
            ..error
        })?;
        Ok(self.written)
    }

    fn flush(&mut self) -> Result<(), FsError> {
        if !self.buffer.is_empty() {
            self.file.write_at(self.written, &self.buffer)?;
            self.written += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if !self.is_finished {
            // What cannot be removed now is removed at the next opening.
            drop(self.fs.remove(&self.temp));
        }
    }
}
