//! The symbols section: the label names of a segment and, for each, its values in order.
//!
//! ```text
//! name count     u32
//! names          in order, each:
//!   name         varint length, bytes
//!   value count  varint, at least 1
//!   width        u8: bytes per block offset, 1 to 4
//!   length       varint: bytes of the name's values
//! values         of one name after the other, each: blocks of 16 values (see `index/blocks.rs`)
//! ```
//!
//! In a block the first value is written in full (varint length, bytes). Each other one begins with a byte: how many
//! bytes it shares with the value before (high four bits) and how many follow (low four bits); where four bits say 15,
//! a varint adds to it, that of the shared bytes first. The bytes that follow come last.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::arena::ValueArena;
use super::blocks::{Blocks, BlocksWriter, ENTRIES_PER_BLOCK};
use crate::base::bytes::{Corrupt, Cursor};
use crate::base::varint;
use std::cmp::Ordering;
use std::ops::Range;

/// Four bits that say "more follows".
const NIBBLE_MAX: usize = 15;

/// Collects the names and values of a segment, in order.
#[derive(Debug, Default)]
pub(super) struct SymbolsWriter {
    names: u32,
    directory: Vec<u8>,
    values: Vec<u8>,
}

impl SymbolsWriter {
    /// Adds a name that sorts behind those before, with its values in order.
    pub(super) fn push_name<'v>(&mut self, name: &str, values: impl ExactSizeIterator<Item = &'v str>) {
        let count = values.len();
        let mut blocks = BlocksWriter::default();
        let mut before: &[u8] = &[];
        for value in values.map(str::as_bytes) {
            if blocks.begin_entry() {
                varint::write_bytes(&mut blocks.bytes, value);
            } else {
                write_suffix(&mut blocks.bytes, before, value);
            }
            before = value;
        }
        let start = self.values.len();
        let width = blocks.finish(&mut self.values);
        varint::write_bytes(&mut self.directory, name.as_bytes());
        varint::write_u64(&mut self.directory, count as u64);
        self.directory.push(width);
        varint::write_u64(&mut self.directory, (self.values.len() - start) as u64);
        self.names += 1;
    }

    pub(super) fn finish(self) -> Vec<u8> {
        let mut out = self.names.to_le_bytes().to_vec();
        out.extend_from_slice(&self.directory);
        out.extend_from_slice(&self.values);
        out
    }
}

fn write_suffix(out: &mut Vec<u8>, before: &[u8], value: &[u8]) {
    let shared = before.iter().zip(value).take_while(|(a, b)| a == b).count();
    let suffix = value.get(shared..).unwrap_or(&[]);
    out.push((shared.min(NIBBLE_MAX) << 4 | suffix.len().min(NIBBLE_MAX)) as u8);
    for count in [shared, suffix.len()] {
        if let Some(more) = count.checked_sub(NIBBLE_MAX) {
            varint::write_u64(out, more as u64);
        }
    }
    out.extend_from_slice(suffix);
}

/// What the directory says of a name.
#[derive(Debug)]
pub(super) struct NameSymbols {
    pub(super) name: Box<str>,
    pub(super) value_count: u32,
    width: u8,
    /// Where the values stand in the section.
    values: Range<usize>,
}

/// Reads the directory, not the values.
pub(super) fn read_names(section: &[u8]) -> Result<Vec<NameSymbols>, Corrupt> {
    let mut cursor = Cursor::new(section);
    let count = cursor.u32("name count")?;
    // A name takes at least five bytes of the section.
    let mut names: Vec<NameSymbols> = Vec::with_capacity((count as usize).min(section.len() / 5));
    let mut end = 0usize;
    for _ in 0..count {
        let name = cursor.text("label name")?;
        if name.is_empty() || names.last().is_some_and(|last| *last.name >= *name) {
            return Err(cursor.corrupt("label names are not in order"));
        }
        let value_count = cursor.length(u32::MAX as usize, "value count")? as u32;
        let width = cursor.u8("offset width")?;
        let length = cursor.length(section.len(), "length of the values")?;
        if value_count == 0 || value_count as usize > length {
            return Err(cursor.corrupt("value count"));
        }
        let start = end;
        end = start
            .checked_add(length)
            .ok_or_else(|| cursor.corrupt("length of the values"))?;
        names.push(NameSymbols {
            name: name.into(),
            value_count,
            width,
            values: start..end,
        });
    }
    let base = cursor.position();
    if cursor.remaining() != end {
        return Err(cursor.corrupt("symbols do not fill their section"));
    }
    for name in &mut names {
        name.values = base + name.values.start..base + name.values.end;
    }
    Ok(names)
}

/// The values of one name; a value's rank is its place in order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Values<'a> {
    blocks: Blocks<'a>,
    count: u32,
}

impl<'a> Values<'a> {
    pub(super) fn new(section: &'a [u8], name: &NameSymbols) -> Result<Self, Corrupt> {
        let range = name.values.clone();
        let region = section
            .get(range.clone())
            .ok_or_else(|| Corrupt::new("values", range.start))?;
        let blocks = Blocks::new(region, name.value_count as usize, name.width, range.start)?;
        Ok(Self {
            blocks,
            count: name.value_count,
        })
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// A cursor at the value with this rank; behind the last it has no value.
    pub(super) fn cursor_at(&self, rank: u32) -> Result<ValueCursor<'a>, Corrupt> {
        let block = rank as usize / ENTRIES_PER_BLOCK;
        let mut cursor = ValueCursor {
            values: *self,
            rank: (block * ENTRIES_PER_BLOCK) as u32,
            rest: Cursor::new(&[]),
            text: Vec::new(),
        };
        cursor.load()?;
        while cursor.rank < rank && !cursor.is_done() {
            cursor.advance()?;
        }
        Ok(cursor)
    }

    /// A cursor at the first value that is not below `value`.
    pub(super) fn lower_bound(&self, value: &str) -> Result<ValueCursor<'a>, Corrupt> {
        // The last block whose first value is not above.
        let (mut low, mut high) = (0, self.blocks.count());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.first_of(middle)? <= value.as_bytes() {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let block = low.saturating_sub(1);
        let mut cursor = self.cursor_at((block * ENTRIES_PER_BLOCK) as u32)?;
        while !cursor.is_done() && cursor.bytes() < value.as_bytes() {
            cursor.advance()?;
        }
        Ok(cursor)
    }

    fn first_of(&self, block: usize) -> Result<&'a [u8], Corrupt> {
        Cursor::new(self.blocks.get(block)?).length_prefixed("first value of a block")
    }

    /// The rank of a value.
    pub(super) fn rank_of(&self, value: &str) -> Result<Option<u32>, Corrupt> {
        let cursor = self.lower_bound(value)?;
        let is_it = !cursor.is_done() && cursor.bytes().cmp(value.as_bytes()) == Ordering::Equal;
        Ok(is_it.then_some(cursor.rank))
    }

    /// All values in memory.
    pub(super) fn arena(&self) -> Result<ValueArena, Corrupt> {
        let mut arena = ValueArena::default();
        let mut cursor = self.cursor_at(0)?;
        while !cursor.is_done() {
            if !arena.push(cursor.text()?) {
                return Err(self.blocks.corrupt("values of more than 4 GiB"));
            }
            cursor.advance()?;
        }
        Ok(arena)
    }
}

/// Walks over the values of a name.
#[derive(Debug, Clone)]
pub(super) struct ValueCursor<'a> {
    values: Values<'a>,
    rank: u32,
    /// What follows the current value in its block.
    rest: Cursor<'a>,
    text: Vec<u8>,
}

impl ValueCursor<'_> {
    pub(super) fn is_done(&self) -> bool {
        self.rank >= self.values.count
    }

    pub(super) fn rank(&self) -> u32 {
        self.rank
    }

    /// The value's bytes, not yet known to be text.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.text
    }

    pub(super) fn text(&self) -> Result<&str, Corrupt> {
        std::str::from_utf8(&self.text).map_err(|_| self.values.blocks.corrupt("a value is not UTF-8"))
    }

    /// Goes to the next value.
    #[inline]
    pub(super) fn advance(&mut self) -> Result<(), Corrupt> {
        self.rank = self.rank.saturating_add(1);
        self.load()
    }

    #[inline]
    fn load(&mut self) -> Result<(), Corrupt> {
        if self.is_done() {
            return Ok(());
        }
        if (self.rank as usize).is_multiple_of(ENTRIES_PER_BLOCK) {
            self.rest = Cursor::new(self.values.blocks.get(self.rank as usize / ENTRIES_PER_BLOCK)?);
            self.text.clear();
            self.text
                .extend_from_slice(self.rest.length_prefixed("first value of a block")?);
            return Ok(());
        }
        let lengths = self.rest.u8("value lengths")?;
        let shared = self.count_of(lengths >> 4)?;
        let suffix = self.count_of(lengths & 15)?;
        if shared > self.text.len() {
            return Err(self.values.blocks.corrupt("shared bytes of a value"));
        }
        self.text.truncate(shared);
        self.text.extend_from_slice(self.rest.take(suffix, "value")?);
        Ok(())
    }

    fn count_of(&mut self, nibble: u8) -> Result<usize, Corrupt> {
        let count = usize::from(nibble);
        if count < NIBBLE_MAX {
            return Ok(count);
        }
        Ok(count + self.rest.length(u32::MAX as usize, "value length")?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn write(values: &BTreeSet<String>) -> Vec<u8> {
        let mut writer = SymbolsWriter::default();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        writer.push_name("before", ["x"].into_iter());
        writer.push_name("name", values.into_iter());
        writer.finish()
    }

    proptest! {
        #[test]
        fn values_read_back(
            values in proptest::collection::btree_set("(aaaaaaaaaaaaaaaaaa|)[abé]{0,20}", 1..80),
            probe in "[ab]{0,3}",
        ) {
            let section = write(&values);
            let names = read_names(&section).unwrap();
            let read = Values::new(&section, &names[1]).unwrap();
            prop_assert_eq!(read.count() as usize, values.len());
            for (rank, value) in values.iter().enumerate() {
                prop_assert_eq!(read.rank_of(value), Ok(Some(rank as u32)));
                let cursor = read.cursor_at(rank as u32).unwrap();
                prop_assert_eq!(cursor.text().unwrap(), value);
            }
            let below = values.range(..probe.clone()).count();
            prop_assert_eq!(read.lower_bound(&probe).unwrap().rank() as usize, below);
            let arena = read.arena().unwrap();
            prop_assert!((0..arena.len()).map(|index| arena.get(index)).eq(values.iter().map(String::as_str)));
        }
    }
}
