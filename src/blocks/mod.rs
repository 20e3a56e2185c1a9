//! The files of Prometheus' own database: blocks, read and written, and its write-ahead log, read.
//!
//! A block is a folder named by a ULID: `meta.json`, `index` (version 2), `chunks/000001`, ... and `tombstones`. Its
//! chunks are those of `crate::chunk`. The log is what Prometheus holds in memory besides. Everything here knows the
//! formats only; what is done with them stands in `db`.
//!
//! Numbers of fixed width are big-endian and checksums CRC32C, as everywhere in Prometheus.

mod block_read;
mod block_write;
mod chunk_file;
mod folder;
mod index_read;
mod index_write;
mod meta;
mod spill;
mod tombstones;
mod wal_histogram;
mod wal_pages;
mod wal_read;
mod wal_record;
mod window;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub(crate) use block_read::{Block, BlockSeries};
pub(crate) use block_write::{BlockWriter, ChunkBytes, is_whole, remove_unfinished};
pub(crate) use folder::{DataFolder, find};
pub(crate) use meta::{BlockMeta, Ulid};
pub(crate) use tombstones::is_within;
pub(crate) use wal_read::{Log, LogEnd};
pub(crate) use wal_record::{Entry, Place};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use {index_read::decode_parts, tombstones::Tombstones, wal_record::decode as decode_record};

use crate::base::bytes::Corrupt;
use crate::segment::reader::{CorruptFile, SegmentError};
use std::path::Path;

/// Why files of Prometheus cannot be read or written: the file system, or bytes that are not what they should be.
pub(crate) type BlockError = SegmentError;

/// Bytes of `file` that do not decode; `base` is where the decoded buffer begins in it.
fn corrupt(file: &Path, base: u64, corrupt: &Corrupt) -> CorruptFile {
    CorruptFile {
        file: file.to_owned(),
        offset: base + corrupt.offset,
        what: corrupt.what,
    }
}
