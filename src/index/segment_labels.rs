//! Label sets of a segment's rows, decoded one after the other.
//!
//! Neighbouring rows share most labels, so the last text of every name is kept. When many values of a name are asked
//! for, all of them are decoded at once, which is cheaper than finding each in its block.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::arena::ValueArena;
use super::segment::SegmentIndex;
use super::series_table::RowCursor;
use super::symbols::Values;
use crate::base::bytes::Corrupt;
use crate::base::varint;
use std::sync::Arc;

/// Values found one by one, as a part of all, before all are decoded.
const ARENA_SHARE: u32 = 8;

/// Reads label sets of a segment.
#[derive(Debug)]
pub(crate) struct LabelCursor<'a> {
    index: SegmentIndex<'a>,
    rows: RowCursor<'a>,
    names: Vec<Option<Box<NameCache<'a>>>>,
}

/// The last value of a name.
#[derive(Debug)]
struct NameCache<'a> {
    values: Values<'a>,
    arena: Option<Arc<ValueArena>>,
    found: u32,
    rank: Option<u32>,
    /// Name and value as they stand in a canonical label set.
    pair: Vec<u8>,
    name_length: usize,
}

impl<'a> LabelCursor<'a> {
    pub(super) fn new(index: SegmentIndex<'a>) -> Self {
        let rows = index.row_cursor();
        let mut names = Vec::new();
        names.resize_with(index.name_count(), || None);
        Self { index, rows, names }
    }

    /// Replaces `out` by the canonical labels of a row.
    pub(crate) fn labels(&mut self, row: u32, out: &mut Vec<u8>) -> Result<(), Corrupt> {
        out.clear();
        self.push_labels(row, out)
    }

    /// Appends the canonical labels of a row.
    pub(crate) fn push_labels(&mut self, row: u32, out: &mut Vec<u8>) -> Result<(), Corrupt> {
        for &(name, rank) in self.rows.seek(self.index.series_layout(), row)? {
            let number = name as usize;
            let place = self
                .names
                .get_mut(number)
                .ok_or_else(|| Corrupt::new("label name of a row", 0))?;
            let cache = match place {
                Some(cache) => cache,
                None => place.insert(Box::new(NameCache::new(&self.index, number)?)),
            };
            out.extend_from_slice(cache.pair(&self.index, number, rank)?);
        }
        Ok(())
    }
}

impl<'a> NameCache<'a> {
    fn new(index: &SegmentIndex<'a>, number: usize) -> Result<Self, Corrupt> {
        let mut pair = Vec::new();
        varint::write_bytes(&mut pair, index.name_text(number)?.as_bytes());
        Ok(Self {
            values: index.values_at(number)?,
            arena: index.cached_arena(number),
            found: 0,
            rank: None,
            name_length: pair.len(),
            pair,
        })
    }

    #[inline]
    fn pair(&mut self, index: &SegmentIndex<'a>, number: usize, rank: u32) -> Result<&[u8], Corrupt> {
        if self.rank != Some(rank) {
            self.rank = None;
            self.find(index, number, rank)?;
            self.rank = Some(rank);
        }
        Ok(&self.pair)
    }

    fn find(&mut self, index: &SegmentIndex<'a>, number: usize, rank: u32) -> Result<(), Corrupt> {
        if rank >= self.values.count() {
            return Err(Corrupt::new("rank of a value", 0));
        }
        self.found += 1;
        if self.arena.is_none() && self.found > 16 + self.values.count() / ARENA_SHARE {
            self.arena = index.cached_arena(number);
            if self.arena.is_none() {
                self.arena = Some(Arc::new(self.values.arena()?));
            }
        }
        self.pair.truncate(self.name_length);
        match self.arena.as_ref().filter(|arena| (rank as usize) < arena.len()) {
            Some(arena) => write_value(&mut self.pair, arena.get(rank as usize)),
            None => write_value(&mut self.pair, self.values.cursor_at(rank)?.text()?),
        }
    }
}

fn write_value(out: &mut Vec<u8>, value: &str) -> Result<(), Corrupt> {
    if value.is_empty() {
        return Err(Corrupt::new("an empty label value", 0));
    }
    varint::write_bytes(out, value.as_bytes());
    Ok(())
}
