//! `tombstones` of a block: what was deleted and still stands in its chunks.
//!
//! Magic, version 1, then series, first and last millisecond for each deletion, and a checksum of these.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::BlockError;
use crate::base::bytes::{Corrupt, Cursor};
use crate::io::{Fs, write_file};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

pub(super) const NAME: &str = "tombstones";
const MAGIC: u32 = 0x0130_BA30;
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 5;
const CHECKSUM_BYTES: usize = 4;

/// Which times are deleted of which series, by the number of the series.
#[derive(Debug, Default)]
pub(crate) struct Tombstones(HashMap<u64, Vec<(i64, i64)>>);

impl Tombstones {
    /// Those of a block; a block without the file has none.
    pub(super) fn read(fs: &dyn Fs, block: &Path) -> Result<Self, BlockError> {
        let path = block.join(NAME);
        if !fs.exists(&path)? {
            return Ok(Self::default());
        }
        let file = fs.open_read(&path)?;
        let mut bytes = vec![0; usize::try_from(file.size()?).unwrap_or(usize::MAX)];
        file.read_at(0, &mut bytes)?;
        Ok(Self::decode(&bytes).map_err(|fault| super::corrupt(&path, 0, &fault))?)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Corrupt> {
        let mut header = Cursor::new(bytes);
        if header.u32_be("magic of tombstones")? != MAGIC {
            return Err(Corrupt::new("not a file of tombstones", 0));
        }
        if header.u8("version of tombstones")? != VERSION {
            return Err(Corrupt::new("tombstones of another version than 1", 4));
        }
        let entries_bytes = header.remaining().checked_sub(CHECKSUM_BYTES);
        let entries_bytes = entries_bytes.ok_or_else(|| header.corrupt("checksum of tombstones"))?;
        let entries = header.take(entries_bytes, "tombstones")?;
        if header.u32_be("checksum of tombstones")? != crc32c::crc32c(entries) {
            return Err(Corrupt::new("checksum of tombstones", HEADER_BYTES));
        }
        let mut found = Self::default();
        let mut cursor = Cursor::new(entries);
        while !cursor.is_empty() {
            let series = cursor.uvarint("series of a tombstone")?;
            let first = cursor.ivarint("first time of a tombstone")?;
            let last = cursor.ivarint("last time of a tombstone")?;
            found.add(series, first, last);
        }
        Ok(found)
    }

    pub(crate) fn add(&mut self, series: u64, first: i64, last: i64) {
        self.0.entry(series).or_default().push((first, last));
    }

    /// The deleted ranges of a series, both ends included.
    pub(crate) fn of(&self, series: u64) -> &[(i64, i64)] {
        self.0.get(&series).map_or(&[], Vec::as_slice)
    }

    /// Writes the file of a block of which nothing is deleted.
    pub(super) fn write_none(fs: &Arc<dyn Fs>, block: &Path) -> Result<(), BlockError> {
        let mut bytes = MAGIC.to_be_bytes().to_vec();
        bytes.push(VERSION);
        bytes.extend_from_slice(&crc32c::crc32c(&[]).to_be_bytes());
        write_file(fs, &block.join(NAME), &bytes)?;
        Ok(())
    }
}

/// Whether a time lies in one of the ranges.
pub(crate) fn is_within(ranges: &[(i64, i64)], time: i64) -> bool {
    ranges.iter().any(|range| (range.0..=range.1).contains(&time))
}
