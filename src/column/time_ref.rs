//! References to time columns: which rows of a column a series has, what it misses and what it has besides.
//!
//! In a group, a reference that differs from that of the series before is stored as
//!
//! ```text
//! control   uvarint  bit 0  the same rows as the reference stored before (at first: none, from row 0)
//!                    bit 1  rows are missing or there are extra timestamps
//!                    rest   zig-zag of column - column of the reference stored before (at first: 0)
//! from      ivarint  without bit 0: number of the first column row - that of the reference stored before
//! end       ivarint  without bit 0: number of the row behind the last - that of the reference stored before;
//!                    the span, missing rows included, has at most 65,536 rows
//! missing            with bit 1; may be none
//!   count   uvarint  runs of missing rows
//!   gap     uvarint  per run: rows present since the end of the run before (or since `from`)
//!   run     uvarint  per run: rows missing, at least 1
//! extras             with bit 1; may be none
//!   count   uvarint
//!   skip    uvarint  per extra: column rows (missing ones included) between the extra before (or `from`) and this
//!   offset  ivarint  per extra: its timestamp - that of the column row just before it (at `from`: of row `from`)
//! ```

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::{ROWS_MAX, TimeColumn};
use crate::base::bytes::{Corrupt, Cursor};
use crate::base::varint;

/// The timestamps of one series in one slice, as rows of a shared column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TimeRef {
    pub(crate) column: u32,
    /// Number of the first row; below zero where the column grew at its front.
    pub(crate) from: i32,
    /// Rows spanned, missing ones included.
    pub(crate) length: u32,
    pub(super) missing: Vec<MissingRun>,
    pub(super) extras: Vec<Extra>,
}

/// Rows of the span that the series does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MissingRun {
    /// First row, counted from the start of the span.
    pub(super) start: u32,
    pub(super) rows: u32,
}

/// A timestamp of the series that its column does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extra {
    /// Rows of the span before it, missing ones included.
    pub(super) skip: u32,
    /// Distance to the column row before it; to the first row of the span when `skip` is 0.
    pub(super) offset: i64,
}

impl TimeRef {
    /// Number of timestamps.
    pub(crate) fn rows(&self) -> usize {
        let missing: u32 = self.missing.iter().map(|run| run.rows).sum();
        self.length.saturating_sub(missing) as usize + self.extras.len()
    }

    /// Appends the timestamps this reference stands for, given its decoded column.
    pub(crate) fn materialize(&self, column: &TimeColumn, out: &mut Vec<i64>) -> Result<(), Corrupt> {
        let span = self
            .span(column)
            .ok_or(Corrupt::new("rows of a time reference", 0))?;
        if self.missing.is_empty() && self.extras.is_empty() {
            out.extend_from_slice(span);
            return Ok(());
        }
        let mut extras = self.extras.iter().peekable();
        let mut missing = self.missing.iter().peekable();
        for row in 0..=self.length {
            while let Some(extra) = extras.next_if(|extra| extra.skip == row) {
                let anchor = span.get(row.saturating_sub(1) as usize).or(span.first());
                let anchor = anchor.ok_or(Corrupt::new("extra of an empty time reference", 0))?;
                out.push(anchor.wrapping_add(extra.offset));
            }
            while missing.next_if(|run| run.start + run.rows <= row).is_some() {}
            if missing.peek().is_none_or(|run| row < run.start) {
                out.extend(span.get(row as usize));
            }
        }
        Ok(())
    }

    fn span<'c>(&self, column: &'c TimeColumn) -> Option<&'c [i64]> {
        let start = usize::try_from(i64::from(self.from) - i64::from(column.first_row)).ok()?;
        column.times.get(start..)?.get(..self.length as usize)
    }

    /// Appends the reference as one that follows `previous`.
    pub(super) fn encode(&self, previous: &TimeRef, out: &mut Vec<u8>) {
        let same_span = self.from == previous.from && self.length == previous.length;
        let step = i64::from(self.column) - i64::from(previous.column);
        let patched = !self.missing.is_empty() || !self.extras.is_empty();
        let flags = u64::from(same_span) | u64::from(patched) << 1;
        varint::write_u64(out, varint::zigzag(step) << 2 | flags);
        if !same_span {
            varint::write_i64(out, i64::from(self.from) - i64::from(previous.from));
            varint::write_i64(out, self.end() - previous.end());
        }
        if patched {
            self.encode_patch(out);
        }
    }

    fn encode_patch(&self, out: &mut Vec<u8>) {
        varint::write_u64(out, self.missing.len() as u64);
        let mut end = 0;
        for run in &self.missing {
            varint::write_u64(out, u64::from(run.start - end));
            varint::write_u64(out, u64::from(run.rows));
            end = run.start + run.rows;
        }
        varint::write_u64(out, self.extras.len() as u64);
        let mut before = 0;
        for extra in &self.extras {
            varint::write_u64(out, u64::from(extra.skip - before));
            varint::write_i64(out, extra.offset);
            before = extra.skip;
        }
    }

    /// Reads the reference that follows `previous`.
    pub(super) fn decode(cursor: &mut Cursor<'_>, previous: &TimeRef) -> Result<TimeRef, Corrupt> {
        let control = cursor.uvarint("time reference")?;
        let column = varint::unzigzag(control >> 2).checked_add(i64::from(previous.column));
        let column = column
            .and_then(|column| u32::try_from(column).ok())
            .ok_or_else(|| cursor.corrupt("column of a time reference"))?;
        let mut time = TimeRef {
            column,
            from: previous.from,
            length: previous.length,
            ..TimeRef::default()
        };
        if control & 1 == 0 {
            time.decode_span(cursor, previous)?;
        }
        if control & 2 != 0 {
            time.decode_missing(cursor)?;
            time.decode_extras(cursor)?;
        }
        if time.rows() > ROWS_MAX {
            return Err(cursor.corrupt("rows of a time reference"));
        }
        Ok(time)
    }

    fn decode_span(&mut self, cursor: &mut Cursor<'_>, previous: &TimeRef) -> Result<(), Corrupt> {
        let what = "span of a time reference";
        let from = cursor.ivarint(what)?.checked_add(i64::from(previous.from));
        let end = cursor.ivarint(what)?.checked_add(previous.end());
        let (Some(from), Some(end)) = (from, end) else {
            return Err(cursor.corrupt(what));
        };
        let length = end
            .checked_sub(from)
            .and_then(|length| u32::try_from(length).ok());
        match (i32::try_from(from), length) {
            (Ok(from), Some(length)) if length as usize <= ROWS_MAX => {
                (self.from, self.length) = (from, length);
                Ok(())
            }
            _ => Err(cursor.corrupt(what)),
        }
    }

    /// Number of the row behind the span.
    fn end(&self) -> i64 {
        i64::from(self.from) + i64::from(self.length)
    }

    fn decode_missing(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Corrupt> {
        // A run takes at least two bytes.
        let count = cursor.length(cursor.remaining() / 2, "missing runs of a time reference")?;
        self.missing.reserve_exact(count);
        let mut end = 0;
        for _ in 0..count {
            let start = end + cursor.length(ROWS_MAX, "gap before a missing run")?;
            let rows = cursor.length(ROWS_MAX, "length of a missing run")?;
            end = start + rows;
            if rows == 0 || end > self.length as usize {
                return Err(cursor.corrupt("missing run of a time reference"));
            }
            self.missing.push(MissingRun {
                start: start as u32,
                rows: rows as u32,
            });
        }
        Ok(())
    }

    fn decode_extras(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Corrupt> {
        let count = cursor.length(cursor.remaining() / 2, "extras of a time reference")?;
        self.extras.reserve_exact(count.min(ROWS_MAX));
        let mut skip = 0;
        for _ in 0..count {
            skip += cursor.length(ROWS_MAX, "skip of an extra timestamp")?;
            let offset = cursor.ivarint("offset of an extra timestamp")?;
            if skip > self.length as usize {
                return Err(cursor.corrupt("skip of an extra timestamp"));
            }
            self.extras.push(Extra {
                skip: skip as u32,
                offset,
            });
        }
        Ok(())
    }
}
