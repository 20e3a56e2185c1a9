//! The series section: the label pairs of every row, as ranks of the values.
//!
//! ```text
//! row count       u32
//! compression     u8: 0 none, 1 zstd; then three zero bytes
//! schema count    u32
//! schema length   u32: bytes of all schemas
//! schema ends     schema count x u32: where each schema ends
//! schemas         each: the numbers of its label names, ascending; varints, from the second on less the one before
//! frame ends      one u64 per 1,024 rows: where each frame ends, counted from the end of this list
//! frames
//! ```
//!
//! A schema is the list of names that a row has. A frame holds 1,024 rows (the last one what is left) in blocks of 32:
//!
//! ```text
//! raw length      varint, only when the section is compressed: bytes of what follows when decompressed, 0 when it
//!                 is stored as it is
//! block lengths   a varint for every block but the last
//! blocks
//! ```
//!
//! A row is written against the row before it, the first row of a block against a row without labels:
//!
//! ```text
//! token           varint: 2 x mask when the schema is that of the row before, else 2 x schema + 1 and a varint mask
//! more masks      a varint per further 32 columns
//! ranks           a varint for each column in the mask, in order of the columns: the rank less that of the same name
//!                 in the row before (less 0 when it has no such name), zig-zag
//! ```
//!
//! Columns count from the last: bit 0 of the first mask is the last label, since in sorted rows the last labels change
//! most. A column that is not in the mask has the rank it is written against.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use crate::base::bytes::{Corrupt, Cursor};
use crate::base::varint;
use std::cell::RefCell;
use std::ops::Range;
use zstd::bulk::Decompressor;

/// Rows that are compressed together.
pub(super) const ROWS_PER_FRAME: usize = 1_024;
/// Rows that are written against one another.
pub(super) const ROWS_PER_BLOCK: usize = 32;
/// A frame of more bytes is stored as it is, and none is decompressed to more.
const RAW_FRAME_BYTES_MAX: usize = 1 << 20;
const ZSTD_LEVEL: i32 = 3;
const COLUMNS_PER_MASK: usize = 32;
/// Label names that a row may have.
const COLUMNS_MAX: usize = 1 << 16;

/// How the series table is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Compression {
    /// As written: fastest to read.
    None,
    /// zstd per 1,024 rows: a third to a sixth of the size, and 3 us more for a single row.
    #[default]
    Zstd,
}

/// A row: its schema, and a rank per name of the schema.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) schema: Option<u32>,
    /// Number and rank per label, in order of the names.
    pub(super) cells: Vec<(u32, u32)>,
}

/// Writes rows in order.
#[derive(Debug)]
pub(super) struct SeriesTableWriter {
    compression: Compression,
    rows: u32,
    frame_ends: Vec<u64>,
    frames: Vec<u8>,
    block_lengths: Vec<usize>,
    blocks: Vec<u8>,
    block_start: usize,
    before: Row,
}

impl SeriesTableWriter {
    pub(super) fn new(compression: Compression) -> Self {
        Self {
            compression,
            rows: 0,
            frame_ends: Vec::new(),
            frames: Vec::new(),
            block_lengths: Vec::new(),
            blocks: Vec::new(),
            block_start: 0,
            before: Row::default(),
        }
    }

    pub(super) fn push(&mut self, row: &Row) {
        if (self.rows as usize).is_multiple_of(ROWS_PER_BLOCK) {
            self.end_block();
            if (self.rows as usize).is_multiple_of(ROWS_PER_FRAME) {
                self.end_frame();
            }
            self.before = Row::default();
        }
        write_row(&mut self.blocks, &self.before, row);
        self.before.clone_from(row);
        self.rows += 1;
    }

    fn end_block(&mut self) {
        if self.blocks.len() > self.block_start {
            self.block_lengths.push(self.blocks.len() - self.block_start);
            self.block_start = self.blocks.len();
        }
    }

    fn end_frame(&mut self) {
        let Some((_, but_last)) = self.block_lengths.split_last() else {
            return;
        };
        let mut raw = Vec::with_capacity(self.blocks.len() + 64);
        but_last
            .iter()
            .for_each(|length| varint::write_u64(&mut raw, *length as u64));
        raw.append(&mut self.blocks);
        self.block_lengths.clear();
        self.block_start = 0;
        if self.compression == Compression::Zstd {
            self.compress(&raw);
        } else {
            self.frames.extend_from_slice(&raw);
        }
        self.frame_ends.push(self.frames.len() as u64);
    }

    fn compress(&mut self, raw: &[u8]) {
        let packed = zstd::bulk::compress(raw, ZSTD_LEVEL).ok();
        match packed.filter(|packed| packed.len() < raw.len() && raw.len() <= RAW_FRAME_BYTES_MAX) {
            Some(packed) => {
                varint::write_u64(&mut self.frames, raw.len() as u64);
                self.frames.extend_from_slice(&packed);
            }
            None => {
                self.frames.push(0);
                self.frames.extend_from_slice(raw);
            }
        }
    }

    /// The section; `schemas` are the ascending name numbers of each schema.
    pub(super) fn finish(mut self, schemas: &[Vec<u32>]) -> Vec<u8> {
        self.end_block();
        self.end_frame();
        let mut ends = Vec::new();
        let mut bytes = Vec::new();
        for schema in schemas {
            let mut before = 0;
            for &name in schema {
                varint::write_u64(&mut bytes, u64::from(name - before));
                before = name;
            }
            ends.push(u32::try_from(bytes.len()).expect("BUG: 4 GiB of schemas"));
        }
        let mut out = self.rows.to_le_bytes().to_vec();
        out.extend([u8::from(self.compression == Compression::Zstd), 0, 0, 0]);
        out.extend((schemas.len() as u32).to_le_bytes());
        out.extend((bytes.len() as u32).to_le_bytes());
        ends.iter().for_each(|end| out.extend(end.to_le_bytes()));
        out.extend(bytes);
        self.frame_ends
            .iter()
            .for_each(|end| out.extend(end.to_le_bytes()));
        out.extend(self.frames);
        out
    }
}

fn write_row(out: &mut Vec<u8>, before: &Row, row: &Row) {
    let mut masks = vec![0u64; row.cells.len().div_ceil(COLUMNS_PER_MASK).max(1)];
    let mut ranks = Vec::new();
    let mut earlier = before.cells.iter().peekable();
    for (column, &(name, rank)) in row.cells.iter().enumerate() {
        while earlier.next_if(|cell| cell.0 < name).is_some() {}
        let base = earlier.next_if(|cell| cell.0 == name).map_or(0, |cell| cell.1);
        if rank != base {
            let from_end = row.cells.len() - 1 - column;
            if let Some(mask) = masks.get_mut(from_end / COLUMNS_PER_MASK) {
                *mask |= 1 << (from_end % COLUMNS_PER_MASK);
            }
            varint::write_i64(&mut ranks, i64::from(rank) - i64::from(base));
        }
    }
    let mut masks = masks.into_iter();
    if row.schema == before.schema {
        varint::write_u64(out, masks.next().unwrap_or(0) << 1);
    } else {
        varint::write_u64(out, u64::from(row.schema.unwrap_or(0)) << 1 | 1);
    }
    masks.for_each(|mask| varint::write_u64(out, mask));
    out.extend(ranks);
}

/// Where the parts of the section stand.
#[derive(Debug)]
pub(super) struct SeriesLayout {
    pub(super) row_count: u32,
    compression: Compression,
    schema_ends: Range<usize>,
    schemas: Range<usize>,
    frame_ends: Range<usize>,
    frames: Range<usize>,
}

impl SeriesLayout {
    pub(super) fn read(section: &[u8]) -> Result<Self, Corrupt> {
        let mut cursor = Cursor::new(section);
        let row_count = cursor.u32("row count")?;
        let compression = match cursor.u32("compression")? {
            0 => Compression::None,
            1 => Compression::Zstd,
            _ => return Err(cursor.corrupt("compression")),
        };
        let schema_count = cursor.u32("schema count")? as usize;
        let schema_length = cursor.u32("schema length")? as usize;
        let mut part = |length: Option<usize>, what: &'static str| {
            let start = cursor.position();
            cursor.take(length.unwrap_or(usize::MAX), what)?;
            Ok::<_, Corrupt>(start..cursor.position())
        };
        let schema_ends = part(schema_count.checked_mul(4), "schema ends")?;
        let schemas = part(Some(schema_length), "schemas")?;
        let frame_count = (row_count as usize).div_ceil(ROWS_PER_FRAME);
        let frame_ends = part(frame_count.checked_mul(8), "frame ends")?;
        let frames = frame_ends.end..section.len();
        // Bounds what a list of rows may name: a row takes a byte, or a frame of 1,024 rows the nine of a zstd header.
        let rows_per_byte = if compression == Compression::None {
            1
        } else {
            ROWS_PER_FRAME / 8
        };
        if row_count as usize / rows_per_byte > frames.len() {
            return Err(Corrupt::new("row count", 0));
        }
        Ok(Self {
            row_count,
            compression,
            schema_ends,
            schemas,
            frame_ends,
            frames,
        })
    }
}

/// Reads rows; ascending rows decode each block once.
#[derive(Debug)]
pub(super) struct RowCursor<'a> {
    section: &'a [u8],
    names: u32,
    /// Which frame is loaded, and which of its blocks.
    frame: Option<usize>,
    frame_bytes: FrameBytes<'a>,
    block: Option<usize>,
    /// Where the next row begins in the frame.
    position: usize,
    /// Row after the current one.
    next_row: u32,
    row: Row,
    spare: Vec<(u32, u32)>,
}

#[derive(Debug)]
enum FrameBytes<'a> {
    Stored(&'a [u8]),
    Unpacked(Vec<u8>),
}

impl FrameBytes<'_> {
    fn get(&self) -> &[u8] {
        match self {
            Self::Stored(bytes) => bytes,
            Self::Unpacked(bytes) => bytes,
        }
    }
}

impl<'a> RowCursor<'a> {
    /// `names` is how many label names there are.
    pub(super) fn new(section: &'a [u8], names: u32) -> Self {
        Self {
            section,
            names,
            frame: None,
            frame_bytes: FrameBytes::Stored(&[]),
            block: None,
            position: 0,
            next_row: 0,
            row: Row::default(),
            spare: Vec::new(),
        }
    }

    /// The row's names and ranks.
    pub(super) fn seek(&mut self, layout: &SeriesLayout, row: u32) -> Result<&[(u32, u32)], Corrupt> {
        if row >= layout.row_count {
            return Err(Corrupt::new("a row beyond the last", 0));
        }
        let block = row as usize / ROWS_PER_BLOCK;
        // The current row is `next_row - 1`.
        if self.block != Some(block) || row + 1 < self.next_row {
            self.load_block(layout, block)?;
        }
        while self.next_row <= row {
            if let Err(error) = self.read_row(layout) {
                self.block = None;
                return Err(error);
            }
        }
        Ok(&self.row.cells)
    }

    fn load_block(&mut self, layout: &SeriesLayout, block: usize) -> Result<(), Corrupt> {
        self.block = None;
        let blocks_per_frame = ROWS_PER_FRAME / ROWS_PER_BLOCK;
        let frame = block / blocks_per_frame;
        if self.frame != Some(frame) {
            self.frame = None;
            self.frame_bytes = load_frame(self.section, layout, frame)?;
            self.frame = Some(frame);
        }
        let rows_in_frame = (layout.row_count as usize - frame * ROWS_PER_FRAME).min(ROWS_PER_FRAME);
        let mut cursor = Cursor::new(self.frame_bytes.get());
        let mut start = 0usize;
        let mut skipped = 0;
        for index in 0..rows_in_frame.div_ceil(ROWS_PER_BLOCK) - 1 {
            let length = cursor.length(RAW_FRAME_BYTES_MAX * 64, "block length")?;
            start += length;
            if index < block % blocks_per_frame {
                skipped = start;
            }
        }
        self.position = cursor.position() + skipped;
        self.next_row = (block * ROWS_PER_BLOCK) as u32;
        self.row.schema = None;
        self.row.cells.clear();
        self.block = Some(block);
        Ok(())
    }

    fn read_row(&mut self, layout: &SeriesLayout) -> Result<(), Corrupt> {
        let bytes = self.frame_bytes.get().get(self.position..);
        let mut cursor = Cursor::new(bytes.ok_or_else(|| Corrupt::new("row", self.position))?);
        let token = cursor.uvarint("row token")?;
        let mut mask = token >> 1;
        if token & 1 == 1 {
            let schema = u32::try_from(token >> 1).map_err(|_| cursor.corrupt("schema of a row"))?;
            let names = schema_names(self.section, layout, schema)?;
            rebase(&mut self.row.cells, &mut self.spare, names, self.names)?;
            self.row.schema = Some(schema);
            mask = cursor.uvarint("mask of a row")?;
        } else if self.row.schema.is_none() {
            return Err(cursor.corrupt("the first row of a block has no schema"));
        }
        // Masks come before the ranks, and ranks in the order of the columns: last mask first.
        read_ranks(&mut cursor, &mut self.row.cells, mask)?;
        self.position += cursor.position();
        self.next_row += 1;
        Ok(())
    }
}

fn load_frame<'a>(section: &'a [u8], layout: &SeriesLayout, frame: usize) -> Result<FrameBytes<'a>, Corrupt> {
    let corrupt = || Corrupt::new("frame", layout.frame_ends.start);
    let end_of = |frame: usize| {
        let ends = section.get(layout.frame_ends.clone())?;
        let end = ends.get(frame.checked_mul(8)?..)?.first_chunk::<8>()?;
        usize::try_from(u64::from_le_bytes(*end)).ok()
    };
    let start = if frame == 0 { Some(0) } else { end_of(frame - 1) };
    let frames = section.get(layout.frames.clone()).ok_or_else(corrupt)?;
    let range = start.zip(end_of(frame)).map(|(start, end)| start..end);
    let bytes = range.and_then(|range| frames.get(range)).ok_or_else(corrupt)?;
    if layout.compression == Compression::None {
        return Ok(FrameBytes::Stored(bytes));
    }
    let mut cursor = Cursor::new(bytes);
    let raw_length = cursor.length(RAW_FRAME_BYTES_MAX, "raw length of a frame")?;
    if raw_length == 0 {
        return Ok(FrameBytes::Stored(cursor.rest()));
    }
    decompress(cursor.rest(), raw_length)
        .filter(|raw| raw.len() == raw_length)
        .map(FrameBytes::Unpacked)
        .ok_or_else(corrupt)
}

fn decompress(packed: &[u8], raw_length: usize) -> Option<Vec<u8>> {
    thread_local! {
        // A context takes longer to make than a frame to decompress.
        static CONTEXT: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
    }
    CONTEXT.with_borrow_mut(|context| {
        if context.is_none() {
            *context = Decompressor::new().ok();
        }
        context.as_mut()?.decompress(packed, raw_length).ok()
    })
}

fn schema_names<'a>(section: &'a [u8], layout: &SeriesLayout, schema: u32) -> Result<Cursor<'a>, Corrupt> {
    let corrupt = || Corrupt::new("schema", layout.schemas.start);
    let end_of = |schema: usize| {
        let ends = section.get(layout.schema_ends.clone())?;
        let end = ends.get(schema.checked_mul(4)?..)?.first_chunk::<4>()?;
        Some(u32::from_le_bytes(*end) as usize)
    };
    let start = if schema == 0 {
        Some(0)
    } else {
        end_of(schema as usize - 1)
    };
    let schemas = section.get(layout.schemas.clone()).ok_or_else(corrupt)?;
    let range = start.zip(end_of(schema as usize)).map(|(start, end)| start..end);
    Ok(Cursor::new(
        range.and_then(|range| schemas.get(range)).ok_or_else(corrupt)?,
    ))
}

/// Makes `cells` those of a new schema: ranks of names that were there stay, the others are 0.
fn rebase(
    cells: &mut Vec<(u32, u32)>,
    spare: &mut Vec<(u32, u32)>,
    mut schema: Cursor<'_>,
    names: u32,
) -> Result<(), Corrupt> {
    std::mem::swap(cells, spare);
    cells.clear();
    let mut earlier = spare.iter().peekable();
    let mut name = 0u64;
    while !schema.is_empty() {
        let step = schema.uvarint("name of a schema")?;
        name = name.saturating_add(step);
        let in_order = cells.is_empty() || step > 0;
        if !in_order || name >= u64::from(names) || cells.len() == COLUMNS_MAX {
            return Err(schema.corrupt("name of a schema"));
        }
        let number = name as u32;
        while earlier.next_if(|cell| cell.0 < number).is_some() {}
        let rank = earlier.next_if(|cell| cell.0 == number).map_or(0, |cell| cell.1);
        cells.push((number, rank));
    }
    Ok(())
}

fn read_ranks(cursor: &mut Cursor<'_>, cells: &mut [(u32, u32)], first_mask: u64) -> Result<(), Corrupt> {
    let further = cells.len().div_ceil(COLUMNS_PER_MASK).saturating_sub(1);
    if further == 0 {
        return read_masked(cursor, cells, first_mask);
    }
    let mut masks = vec![first_mask];
    for _ in 0..further {
        masks.push(cursor.uvarint("mask of a row")?);
    }
    // Column groups count from the end, so the last mask is that of the first columns.
    let mut rest = cells;
    for (group, mask) in masks.into_iter().enumerate().rev() {
        let after = group * COLUMNS_PER_MASK;
        let (columns, later) = rest
            .split_at_mut_checked(rest.len().saturating_sub(after))
            .ok_or_else(|| cursor.corrupt("mask"))?;
        read_masked(cursor, columns, mask)?;
        rest = later;
    }
    Ok(())
}

/// Reads a rank for each of at most 32 columns that is in the mask.
#[inline]
fn read_masked(cursor: &mut Cursor<'_>, cells: &mut [(u32, u32)], mask: u64) -> Result<(), Corrupt> {
    if cells.len() < 64 && mask >> cells.len() != 0 {
        return Err(cursor.corrupt("mask of a row"));
    }
    let mut left = mask;
    while left != 0 {
        let bit = 63 - left.leading_zeros() as usize;
        left &= !(1 << bit);
        let column = cells.len() - 1 - bit;
        let step = cursor.ivarint("rank of a value")?;
        let cell = cells
            .get_mut(column)
            .ok_or_else(|| cursor.corrupt("mask of a row"))?;
        let rank = i64::from(cell.1)
            .checked_add(step)
            .and_then(|rank| u32::try_from(rank).ok());
        cell.1 = rank.ok_or_else(|| cursor.corrupt("rank of a value"))?;
    }
    Ok(())
}
