//! The integer column: any list of 64-bit integers, given how many there are.
//!
//! ```text
//! head     u8       bits 0-1  order: 0 plain, 1 deltas, 2 deltas of deltas, 3 distances to a line
//!                   bit  2    values have a common divisor
//!                   bit  3    blocks carry exceptions
//!                   bits 4-7  free for the owner of the column
//! divisor  uvarint  only with bit 2; at least 2
//! first    ivarint  only with an order other than 0 or with bit 2: the first value
//! step     ivarint  only with orders 2 and 3: the first delta; the slope of the line (both divided by the divisor)
//! blocks            of what is left, see the block layout
//! ```
//!
//! With a divisor g, value i is `first + g * y[i]` and the order applies to y, whose first is 0. Left for the blocks
//! are n rows (order 0), n - 1 (orders 1 and 3) or n - 2 (order 2). m rows make ceil(m / 248) blocks of
//! ceil(m / blocks) rows each, the last one with what is left.
//! All arithmetic wraps.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::bitpack::{BLOCK_ROWS_MAX, BlockBuffer};
use super::blocks::BlockReader;
use crate::base::bytes::{Corrupt, Cursor};

/// Most rows of a block. Longer blocks save heads and bases, but positions of exceptions must fit a byte.
const ROWS_PER_BLOCK_MAX: usize = 248;

pub(super) const HEAD_DIVISOR: u8 = 1 << 2;
pub(super) const HEAD_EXCEPTIONS: u8 = 1 << 3;

/// Rows of every block but the last, when `rows` rows are cut in blocks.
pub(super) fn block_rows(rows: usize) -> usize {
    let blocks = rows.div_ceil(ROWS_PER_BLOCK_MAX).max(1);
    rows.div_ceil(blocks).max(1)
}

/// Decodes a column of `rows` values to the end of `out`. Answers the owner's four bits.
pub(super) fn decode(cursor: &mut Cursor<'_>, rows: usize, out: &mut Vec<i64>) -> Result<u8, Corrupt> {
    if rows == 0 {
        return Ok(0);
    }
    let head = cursor.u8("column head")?;
    let divisor = match head & HEAD_DIVISOR {
        0 => 1,
        _ => cursor.uvarint("divisor of a column")?,
    } as i64;
    let order = head & 3;
    let first = match order {
        0 if divisor == 1 => 0,
        _ => cursor.ivarint("first value of a column")?,
    };
    let mut blocks = Blocks::new(cursor, head);
    match order {
        0 => blocks.decode(rows, out, |packed| {
            for value in packed {
                *value = first.wrapping_add(value.wrapping_mul(divisor));
            }
        })?,
        1 => {
            out.push(first);
            blocks.decode(rows - 1, out, running_sum(first, divisor))?;
        }
        2 => {
            let step = blocks.step(rows, divisor)?;
            out.push(first);
            if rows > 1 {
                out.push(first.wrapping_add(step));
                blocks.decode(
                    rows - 2,
                    out,
                    running_sums(first.wrapping_add(step), step, divisor),
                )?;
            }
        }
        _ => {
            let step = blocks.step(rows, divisor)?;
            out.push(first);
            blocks.decode(rows - 1, out, above_line(first, step, divisor))?;
        }
    }
    Ok(head >> 4)
}

fn running_sum(mut value: i64, divisor: i64) -> impl FnMut(&mut [i64]) {
    move |deltas| {
        for delta in deltas {
            value = value.wrapping_add(delta.wrapping_mul(divisor));
            *delta = value;
        }
    }
}

fn running_sums(mut value: i64, mut delta: i64, divisor: i64) -> impl FnMut(&mut [i64]) {
    move |seconds| {
        for second in seconds {
            delta = delta.wrapping_add(second.wrapping_mul(divisor));
            value = value.wrapping_add(delta);
            *second = value;
        }
    }
}

fn above_line(mut line: i64, step: i64, divisor: i64) -> impl FnMut(&mut [i64]) {
    move |distances| {
        for distance in distances {
            line = line.wrapping_add(step);
            *distance = line.wrapping_add(distance.wrapping_mul(divisor));
        }
    }
}

struct Blocks<'c, 'a> {
    cursor: &'c mut Cursor<'a>,
    reader: BlockReader,
}

impl<'c, 'a> Blocks<'c, 'a> {
    fn new(cursor: &'c mut Cursor<'a>, head: u8) -> Self {
        let reader = BlockReader::new(head & HEAD_EXCEPTIONS != 0);
        Self { cursor, reader }
    }

    fn step(&mut self, rows: usize, divisor: i64) -> Result<i64, Corrupt> {
        if rows < 2 {
            return Ok(0);
        }
        Ok(self.cursor.ivarint("step of a column")?.wrapping_mul(divisor))
    }

    /// Decodes `rows` values block by block, passing each block through `restore`.
    #[inline]
    fn decode(
        &mut self,
        rows: usize,
        out: &mut Vec<i64>,
        mut restore: impl FnMut(&mut [i64]),
    ) -> Result<(), Corrupt> {
        let mut buffer: BlockBuffer = [0; BLOCK_ROWS_MAX];
        let per_block = block_rows(rows);
        let mut left = rows;
        while left > 0 {
            let now = left.min(per_block);
            self.reader.read(self.cursor, now, &mut buffer)?;
            let Some(block) = buffer.get_mut(..now) else {
                return Err(self.cursor.corrupt("rows of a block"));
            };
            restore(block);
            out.extend_from_slice(block);
            left -= now;
        }
        Ok(())
    }
}
