//! How far an opening is, for who waits for it.

use super::manifest::Manifest;
use crate::io::{Fs, FsError};
use crate::segment::names;
use crate::wal;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How far an opening is. A handle is given with [`Options::progress`](crate::Options::progress) and read from another
/// thread.
#[derive(Debug, Default)]
pub struct OpenProgress {
    total: AtomicU64,
    done: AtomicU64,
}

impl OpenProgress {
    /// Bytes of checkpoint and log that were replayed.
    pub fn bytes_done(&self) -> u64 {
        self.done.load(Relaxed)
    }

    /// Bytes of these files, some of which may hold nothing; 0 until they were listed.
    pub fn bytes_total(&self) -> u64 {
        self.total.load(Relaxed)
    }

    /// Begins: what will be replayed is in these files.
    pub(super) fn begin(&self, fs: &dyn Fs, dir: &Path, manifest: &Manifest) -> Result<(), FsError> {
        let mut bytes = 0;
        if manifest.checkpoint != 0 {
            let checkpoint = names::checkpoint(dir, manifest.checkpoint);
            bytes += fs.file_len(&checkpoint).unwrap_or(0);
        }
        for (sequence, path) in wal::list_files(fs, dir)? {
            if sequence >= manifest.log_floor {
                bytes += fs.file_len(&path).unwrap_or(0);
            }
        }
        self.done.store(0, Relaxed);
        self.total.store(bytes, Relaxed);
        Ok(())
    }

    pub(super) fn add(&self, bytes: usize) {
        self.done.fetch_add(bytes as u64, Relaxed);
    }
}
