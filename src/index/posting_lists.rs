//! The postings section: for each label name the rows that have it, and for each of its values the rows of the pair.
//!
//! ```text
//! directory   for each name, in the order of the symbols:
//!   width     u8: bytes per block offset, 1 to 4
//!   length    varint: bytes of the name's lists
//! lists       of one name after the other, each:
//!   presence  the list of the rows that have the label
//!   values    blocks of 16 lists, one list per value (see `index/blocks.rs`)
//! ```
//!
//! A list begins with a varint: its lowest two bits are the kind, the rest is its first row less that of the list
//! before (less 0 for the presence and the first list of a block), zig-zag.
//!
//! ```text
//! kind 0   the first row is the only one
//! kind 1   varint n: n + 2 consecutive rows
//! kind 2   varint row count, varint byte length, then steps (see `index/steps.rs`)
//! kind 3   varint row count, varint byte length, then a roaring bitmap in its portable serialisation
//! ```

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::blocks::{Blocks, BlocksWriter, ENTRIES_PER_BLOCK};
use super::roaring_window::{CONTAINER_BYTES_MAX, roaring_window};
use super::rows::RowUnion;
use super::steps::{self, Steps};
use crate::base::bytes::{Corrupt, Cursor};
use crate::base::varint;
use roaring::RoaringBitmap;
use std::ops::{Range, RangeInclusive};

const KIND_ONE: u64 = 0;
const KIND_RUN: u64 = 1;
const KIND_STEPS: u64 = 2;
const KIND_ROARING: u64 = 3;

const EVERY_ROW: RangeInclusive<u32> = 0..=u32::MAX;
/// Fewer rows than this are never a bitmap.
const ROARING_ROWS_MIN: usize = 64;

/// Collects the lists of a segment, name by name.
#[derive(Debug, Default)]
pub(super) struct PostingsWriter {
    directory: Vec<u8>,
    lists: Vec<u8>,
}

/// The lists of one name.
#[derive(Debug, Default)]
pub(super) struct NameListsWriter {
    blocks: BlocksWriter,
    before: u32,
    presence: RowUnion,
}

impl NameListsWriter {
    /// Adds the rows of the next value, ascending and not empty.
    pub(super) fn push_value(&mut self, rows: &[u32]) {
        if self.blocks.begin_entry() {
            self.before = 0;
        }
        write_list(&mut self.blocks.bytes, self.before, rows);
        self.before = rows.first().copied().unwrap_or(0);
        rows.iter().for_each(|&row| self.presence.push(row));
    }
}

impl PostingsWriter {
    /// Adds the lists of the next name.
    pub(super) fn push_name(&mut self, name: NameListsWriter) {
        let start = self.lists.len();
        let presence: Vec<u32> = name.presence.finish().iter().collect();
        write_list(&mut self.lists, 0, &presence);
        let width = name.blocks.finish(&mut self.lists);
        self.directory.push(width);
        varint::write_u64(&mut self.directory, (self.lists.len() - start) as u64);
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.directory.extend_from_slice(&self.lists);
        self.directory
    }
}

fn write_list(out: &mut Vec<u8>, before: u32, rows: &[u32]) {
    let (Some(&first), Some(&last)) = (rows.first(), rows.last()) else {
        return;
    };
    let mut head = |kind: u64| {
        let step = varint::zigzag(i64::from(first) - i64::from(before));
        varint::write_u64(out, step << 2 | kind);
    };
    if rows.len() == 1 {
        return head(KIND_ONE);
    }
    if (last - first) as usize == rows.len() - 1 {
        head(KIND_RUN);
        return varint::write_u64(out, rows.len() as u64 - 2);
    }
    let steps = steps::encode(rows);
    let bitmap = (rows.len() >= ROARING_ROWS_MIN).then(|| roaring_of(rows));
    let (kind, bytes) = match bitmap {
        Some(bitmap) if bitmap.len() < steps.len() => (KIND_ROARING, bitmap),
        _ => (KIND_STEPS, steps),
    };
    head(kind);
    varint::write_u64(out, rows.len() as u64);
    varint::write_bytes(out, &bytes);
}

fn roaring_of(rows: &[u32]) -> Vec<u8> {
    let mut bitmap: RoaringBitmap = rows.iter().copied().collect();
    bitmap.optimize();
    let mut bytes = Vec::with_capacity(bitmap.serialized_size());
    bitmap
        .serialize_into(&mut bytes)
        .expect("BUG: writing to a vector failed");
    bytes
}

/// Where the lists of a name stand.
#[derive(Debug)]
pub(super) struct NamePostings {
    width: u8,
    lists: Range<usize>,
}

/// Reads the directory of a section with lists for `names` names.
pub(super) fn read_directory(section: &[u8], names: usize) -> Result<Vec<NamePostings>, Corrupt> {
    let mut cursor = Cursor::new(section);
    let mut directory = Vec::with_capacity(names.min(section.len()));
    let mut end = 0usize;
    for _ in 0..names {
        let width = cursor.u8("offset width")?;
        let length = cursor.length(section.len(), "length of the lists")?;
        let start = end;
        end = start
            .checked_add(length)
            .ok_or_else(|| cursor.corrupt("length of the lists"))?;
        directory.push(NamePostings {
            width,
            lists: start..end,
        });
    }
    let base = cursor.position();
    if cursor.remaining() != end {
        return Err(cursor.corrupt("postings do not fill their section"));
    }
    for name in &mut directory {
        name.lists = base + name.lists.start..base + name.lists.end;
    }
    Ok(directory)
}

/// The lists of one name, over bytes that may be wrong.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lists<'a> {
    presence: List<'a>,
    blocks: Blocks<'a>,
    row_count: u32,
}

impl<'a> Lists<'a> {
    pub(super) fn new(
        section: &'a [u8],
        name: &NamePostings,
        value_count: u32,
        row_count: u32,
    ) -> Result<Self, Corrupt> {
        let range = name.lists.clone();
        let region = section
            .get(range.clone())
            .ok_or_else(|| Corrupt::new("lists", range.start))?;
        let mut cursor = Cursor::new(region);
        let presence = List::read(&mut cursor, 0)?;
        let base = range.start + cursor.position();
        let blocks = Blocks::new(cursor.rest(), value_count as usize, name.width, base)?;
        Ok(Self {
            presence,
            blocks,
            row_count,
        })
    }

    /// Adds the rows that have the label.
    pub(super) fn add_presence(&self, union: &mut RowUnion) -> Result<(), Corrupt> {
        self.presence.add_to(self.row_count, &EVERY_ROW, union)
    }

    /// How many rows have the label.
    pub(super) fn presence_len(&self) -> u64 {
        self.presence.count
    }

    /// A cursor over the lists, from that of the value with this rank on.
    pub(super) fn cursor_at(&self, rank: u32) -> Result<ListCursor<'a>, Corrupt> {
        let block = rank as usize / ENTRIES_PER_BLOCK;
        let mut cursor = ListCursor {
            lists: *self,
            rank: (block * ENTRIES_PER_BLOCK) as u32,
            rest: Cursor::new(&[]),
            before: 0,
        };
        while cursor.rank < rank {
            cursor.next()?;
        }
        Ok(cursor)
    }
}

/// Walks over the lists of a name, in order of the values.
#[derive(Debug, Clone)]
pub(super) struct ListCursor<'a> {
    lists: Lists<'a>,
    rank: u32,
    rest: Cursor<'a>,
    before: u32,
}

impl<'a> ListCursor<'a> {
    /// Goes to the list of the value with this rank, from where it stands if that is not behind it.
    pub(super) fn seek(&mut self, rank: u32) -> Result<List<'a>, Corrupt> {
        let same_block = self.rank as usize / ENTRIES_PER_BLOCK == rank as usize / ENTRIES_PER_BLOCK;
        if self.rank > rank || !same_block {
            *self = self.lists.cursor_at(rank)?;
        }
        while self.rank < rank {
            self.next()?;
        }
        self.next()
    }

    /// The next list.
    pub(super) fn next(&mut self) -> Result<List<'a>, Corrupt> {
        if (self.rank as usize).is_multiple_of(ENTRIES_PER_BLOCK) {
            self.rest = Cursor::new(self.lists.blocks.get(self.rank as usize / ENTRIES_PER_BLOCK)?);
            self.before = 0;
        }
        let list = List::read(&mut self.rest, self.before)?;
        self.before = list.first;
        self.rank = self.rank.saturating_add(1);
        Ok(list)
    }

    /// As [`ListCursor::add`], at least the rows within `range`.
    pub(super) fn add_within(
        &self,
        list: &List<'a>,
        range: RangeInclusive<u32>,
        union: &mut RowUnion,
    ) -> Result<(), Corrupt> {
        let window = (list.kind == KIND_ROARING).then(|| roaring_window(list.bytes, &range));
        let list = List {
            bytes: window.as_ref().and_then(Option::as_deref).unwrap_or(list.bytes),
            ..*list
        };
        list.add_to(self.lists.row_count, &range, union)
    }

    /// Adds the rows of a list to `union`.
    pub(super) fn add(&self, list: &List<'a>, union: &mut RowUnion) -> Result<(), Corrupt> {
        list.add_to(self.lists.row_count, &EVERY_ROW, union)
    }
}

/// One list, not yet decoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct List<'a> {
    first: u32,
    kind: u64,
    /// How many rows the list says it has.
    pub(super) count: u64,
    bytes: &'a [u8],
}

impl<'a> List<'a> {
    fn read(cursor: &mut Cursor<'a>, before: u32) -> Result<Self, Corrupt> {
        let head = cursor.uvarint("first row of a list")?;
        let first = i64::from(before).checked_add(varint::unzigzag(head >> 2));
        let first = first.and_then(|row| u32::try_from(row).ok());
        let first = first.ok_or_else(|| cursor.corrupt("first row of a list"))?;
        let kind = head & 3;
        let (count, bytes): (u64, &[u8]) = match kind {
            KIND_ONE => (1, &[]),
            KIND_RUN => (cursor.uvarint("rows of a run")?.saturating_add(2), &[]),
            _ => (cursor.uvarint("rows of a list")?, cursor.length_prefixed("list")?),
        };
        Ok(Self {
            first,
            kind,
            count,
            bytes,
        })
    }

    /// Bytes to read for the rows within `range`; none when the list is one row or one run.
    pub(super) fn bytes_within(&self, range: &RangeInclusive<u32>) -> u64 {
        let bytes = self.bytes.len() as u64;
        match (self.kind, Steps::read(self.bytes)) {
            (KIND_ROARING, _) => {
                let containers = (range.end() >> 16).saturating_sub(range.start() >> 16) + 1;
                bytes.min(u64::from(containers) * CONTAINER_BYTES_MAX as u64)
            }
            (KIND_STEPS, Ok(steps)) => steps.bytes_within(range),
            _ => bytes,
        }
    }

    /// Adds the rows within `range`, or more.
    fn add_to(
        &self,
        row_count: u32,
        range: &RangeInclusive<u32>,
        union: &mut RowUnion,
    ) -> Result<(), Corrupt> {
        let corrupt = || Corrupt::new("a list names a row beyond the last", 0);
        if self.first >= row_count {
            return Err(corrupt());
        }
        match self.kind {
            KIND_ONE => union.push(self.first),
            KIND_RUN => {
                let last = u64::from(self.first).saturating_add(self.count - 1);
                let last = u32::try_from(last)
                    .ok()
                    .filter(|last| *last < row_count)
                    .ok_or_else(corrupt)?;
                union.push_run(self.first, last);
            }
            KIND_STEPS => Steps::read(self.bytes)?.add_within(self.first, row_count, range, union)?,
            _ => {
                let bitmap = RoaringBitmap::deserialize_from(self.bytes);
                let bitmap = bitmap.map_err(|_| Corrupt::new("roaring bitmap", 0))?;
                if bitmap.max().is_some_and(|max| max >= row_count) {
                    return Err(corrupt());
                }
                union.take_bitmap(bitmap);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn rows() -> impl Strategy<Value = Vec<u32>> {
        let scattered = proptest::collection::btree_set(0u32..5_000, 1..300);
        let striding = (0u32..100, 1u32..40, 1u32..120)
            .prop_map(|(first, step, count)| (0..count).map(|i| first + i * step).collect::<BTreeSet<_>>());
        prop_oneof![scattered, striding].prop_map(|rows| rows.into_iter().collect())
    }

    fn decode(list: &List<'_>, row_count: u32) -> Vec<u32> {
        let mut union = RowUnion::default();
        list.add_to(row_count, &EVERY_ROW, &mut union).unwrap();
        union.finish().iter().collect()
    }

    proptest! {
        #[test]
        fn lists_read_back(all in proptest::collection::vec(rows(), 1..40)) {
            let mut name = NameListsWriter::default();
            all.iter().for_each(|rows| name.push_value(rows));
            let mut writer = PostingsWriter::default();
            writer.push_name(name);
            let section = writer.finish();
            let directory = read_directory(&section, 1).unwrap();
            let lists = Lists::new(&section, &directory[0], all.len() as u32, 5_000).unwrap();
            let mut cursor = lists.cursor_at(0).unwrap();
            for (rank, rows) in all.iter().enumerate() {
                let list = cursor.next().unwrap();
                prop_assert_eq!(list.count, rows.len() as u64);
                prop_assert_eq!(&decode(&list, 5_000), rows);
                prop_assert!(list.add_to(rows[rows.len() - 1], &EVERY_ROW, &mut RowUnion::default()).is_err());
                let again = lists.cursor_at(0).unwrap().seek(rank as u32).unwrap();
                prop_assert_eq!(&decode(&again, 5_000), rows);
            }
        }
    }

    #[test]
    fn a_regular_list_is_short() {
        let mut out = Vec::new();
        write_list(&mut out, 0, &(0..1_000).map(|i| 7 + i * 300).collect::<Vec<_>>());
        assert_eq!(out.len(), 8);
    }
}
