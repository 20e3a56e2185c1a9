//! Blocks of entries behind a directory of offsets of equal, smallest width.
//!
//! ```text
//! offsets   (blocks - 1) x width bytes, little-endian: where block 1, 2, ... begin, counted from the end of the offsets
//! blocks    one after the other
//! ```
//!
//! The width (1 to 4 bytes) and the number of blocks stand elsewhere. Values and postings are both cut so.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use crate::base::bytes::Corrupt;

/// Entries per block.
pub(super) const ENTRIES_PER_BLOCK: usize = 16;

/// Collects blocks.
#[derive(Debug, Default)]
pub(super) struct BlocksWriter {
    starts: Vec<u32>,
    entries: usize,
    /// The block bytes; entries are appended here after [`BlocksWriter::begin_entry`].
    pub(super) bytes: Vec<u8>,
}

impl BlocksWriter {
    /// Starts an entry; says whether it is the first of its block.
    pub(super) fn begin_entry(&mut self) -> bool {
        let is_first = self.entries.is_multiple_of(ENTRIES_PER_BLOCK);
        if is_first {
            self.starts
                .push(u32::try_from(self.bytes.len()).expect("BUG: 4 GiB of index for one label name"));
        }
        self.entries += 1;
        is_first
    }

    /// Appends offsets and blocks to `out` and answers the width of an offset.
    pub(super) fn finish(&self, out: &mut Vec<u8>) -> u8 {
        let largest = self.starts.last().copied().unwrap_or(0);
        let width = (4 - largest.leading_zeros() / 8).max(1) as u8;
        for start in self.starts.iter().skip(1) {
            out.extend(start.to_le_bytes().iter().take(width.into()));
        }
        out.extend_from_slice(&self.bytes);
        width
    }
}

/// The blocks of one label name, over bytes that may be wrong.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blocks<'a> {
    offsets: &'a [u8],
    width: usize,
    count: usize,
    bytes: &'a [u8],
    /// Where `bytes` begin in their section, for errors.
    base: usize,
}

impl<'a> Blocks<'a> {
    /// `region` holds the blocks of `entries` entries and stands at `base` of its section.
    pub(super) fn new(region: &'a [u8], entries: usize, width: u8, base: usize) -> Result<Self, Corrupt> {
        let count = entries.div_ceil(ENTRIES_PER_BLOCK);
        let width = usize::from(width);
        let offset_bytes = width
            .checked_mul(count.saturating_sub(1))
            .filter(|_| (1..=4).contains(&width));
        let split = offset_bytes.and_then(|bytes| region.split_at_checked(bytes));
        let (offsets, bytes) = split.ok_or_else(|| Corrupt::new("block offsets", base))?;
        Ok(Self {
            offsets,
            width,
            count,
            bytes,
            base: base + offsets.len(),
        })
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    fn start(&self, block: usize) -> Option<usize> {
        if block == 0 {
            return Some(0);
        }
        let at = (block - 1) * self.width;
        let mut offset = [0; 4];
        offset
            .get_mut(..self.width)?
            .copy_from_slice(self.offsets.get(at..at + self.width)?);
        Some(u32::from_le_bytes(offset) as usize)
    }

    /// The bytes of a block.
    pub(super) fn get(&self, block: usize) -> Result<&'a [u8], Corrupt> {
        let range = || {
            let end = if block + 1 < self.count {
                self.start(block + 1)?
            } else {
                self.bytes.len()
            };
            self.bytes.get(self.start(block)?..end)
        };
        range().ok_or_else(|| Corrupt::new("block", self.base))
    }

    /// An error about what stands in a block.
    pub(super) fn corrupt(&self, what: &'static str) -> Corrupt {
        Corrupt::new(what, self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_reads_back() {
        for size in [1usize, 20, 300, 70_000] {
            let mut writer = BlocksWriter::default();
            for entry in 0..ENTRIES_PER_BLOCK * 3 + 1 {
                assert_eq!(writer.begin_entry(), entry % ENTRIES_PER_BLOCK == 0);
                writer.bytes.extend(std::iter::repeat_n(entry as u8, size));
            }
            let mut out = Vec::new();
            let width = writer.finish(&mut out);
            let blocks = Blocks::new(&out, ENTRIES_PER_BLOCK * 3 + 1, width, 0).unwrap();
            assert_eq!(blocks.count(), 4);
            assert_eq!(blocks.get(1).unwrap().len(), ENTRIES_PER_BLOCK * size);
            assert_eq!(blocks.get(3), Ok(vec![48u8; size].as_slice()));
        }
    }
}
