//! The time columns of one slice, as read back.
//!
//! ```text
//! count     u32             number of columns
//! base      i64             smallest first timestamp of a column
//! ends      u32 * count     where each column's bytes end, counted from the end of this list
//! columns                   one after the other:
//!   rows    uvarint         1 to 65,536
//!   front   uvarint         rows numbered below zero: the first row has the number -front
//!   first   uvarint         first timestamp - base
//!   span    uvarint         last timestamp - first timestamp
//!   times   integer column  every timestamp - first timestamp; the owner's bits are zero
//! ```
//!
//! Row numbers can be negative because a column may grow at its front while references to its rows are already written.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::{ROWS_MAX, integers};
use crate::base::bytes::{Corrupt, Cursor};

/// A decoded time column: strictly increasing timestamps and the number of the first one.
#[derive(Debug, Clone, Default)]
pub(crate) struct TimeColumn {
    pub(super) first_row: i32,
    pub(crate) times: Vec<i64>,
}

/// What a column spans, known without decoding it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeBounds {
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) rows: usize,
}

/// Reads the time columns of a slice, each on its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ColumnSetReader<'a> {
    base: i64,
    ends: &'a [u8],
    columns: &'a [u8],
}

struct Header {
    bounds: TimeBounds,
    front: usize,
}

impl<'a> ColumnSetReader<'a> {
    /// Looks at the directory only.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, Corrupt> {
        let mut cursor = Cursor::new(bytes);
        let count = cursor.u32("number of time columns")? as usize;
        let base = cursor.i64("base of the time columns")?;
        let length = count
            .checked_mul(4)
            .ok_or_else(|| cursor.corrupt("number of time columns"))?;
        let ends = cursor.take(length, "directory of the time columns")?;
        let columns = cursor.rest();
        Ok(Self { base, ends, columns })
    }

    /// What column `id` spans; does not decode it.
    #[cfg(test)]
    pub(crate) fn bounds(&self, id: u32) -> Result<TimeBounds, Corrupt> {
        Ok(self.header(&mut self.column(id)?)?.bounds)
    }

    /// Decodes column `id` in place of what `out` held.
    pub(crate) fn decode(&self, id: u32, out: &mut TimeColumn) -> Result<(), Corrupt> {
        let mut cursor = self.column(id)?;
        let Header { bounds, front } = self.header(&mut cursor)?;
        out.first_row = -(front as i32);
        out.times.clear();
        integers::decode(&mut cursor, bounds.rows, &mut out.times)?;
        for time in &mut out.times {
            *time = time.wrapping_add(bounds.first);
        }
        let rising = out.times.is_sorted_by(|earlier, later| earlier < later);
        if !rising || out.times.last() != Some(&bounds.last) {
            return Err(cursor.corrupt("order of a time column"));
        }
        Ok(())
    }

    fn column(&self, id: u32) -> Result<Cursor<'a>, Corrupt> {
        let end_of = |index: usize| {
            let at = index.checked_mul(4)?;
            let chunk = self.ends.get(at..)?.first_chunk::<4>()?;
            Some(u32::from_le_bytes(*chunk) as usize)
        };
        let id = id as usize;
        let start = if id == 0 { Some(0) } else { end_of(id - 1) };
        let range = start.zip(end_of(id));
        range
            .and_then(|(start, end)| self.columns.get(start..end))
            .map(Cursor::new)
            .ok_or(Corrupt::new("place of a time column", 0))
    }

    fn header(&self, cursor: &mut Cursor<'a>) -> Result<Header, Corrupt> {
        let rows = cursor.length(ROWS_MAX, "rows of a time column")?;
        let front = cursor.length(ROWS_MAX, "front rows of a time column")?;
        let first = cursor.uvarint("first time of a column")?;
        let span = cursor.uvarint("span of a time column")?;
        let first = self.base.checked_add_unsigned(first);
        let last = first.and_then(|first| first.checked_add_unsigned(span));
        match first.zip(last) {
            Some((first, last)) if rows > 0 => Ok(Header {
                bounds: TimeBounds { first, last, rows },
                front,
            }),
            _ => Err(cursor.corrupt("bounds of a time column")),
        }
    }
}
