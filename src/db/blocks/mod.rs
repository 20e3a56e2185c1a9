//! Blocks of Prometheus out of a database and into it. The formats are those of `crate::blocks`.

mod export;
mod import;
mod journal;
mod log;
mod verify;

#[cfg(test)]
mod tests;

pub use export::BlockExport;
pub use import::{BlockImport, BlockImportOptions, RefusedSamples};

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
