//! Blocks of Prometheus out of a database and into it. The formats are those of `crate::blocks`.

mod export;
mod import;
mod journal;
mod log;
mod verify;

#[cfg(test)]
mod tests;

pub use export::{BlockExport, BlockExportOptions};
pub use import::{BlockImport, BlockImportOptions, RefusedSamples};

use crate::db::Db;
use crate::io::{DiskFs, Fs};
use std::sync::Arc;

/// How far an export or import is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct BlockProgress {
    /// Blocks that are done: written, read, or known from an earlier run.
    pub blocks: usize,
    /// All blocks, where that is known before.
    pub blocks_total: Option<usize>,
    /// Samples written or read so far.
    pub samples: u64,
    /// The part of the work that is done, from 0 to 1.
    pub part_done: f64,
}

impl Db {
    /// The file system for files that are not the database's: its own, or the system's when it is in memory.
    fn fs_of_others(&self) -> Arc<dyn Fs> {
        match &self.engine().options.dir {
            Some(_) => self.engine().options.fs.clone(),
            None => Arc::new(DiskFs),
        }
    }
}
