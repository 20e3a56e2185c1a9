//! One block: up to 192 integers, as a frame of reference with patched exceptions, or sparse.
//!
//! ```text
//! head        u8      bits 0-5  shape: 0-56 = width of a packed value, 57 = width 64, 58 = sparse
//!                     bits 6-7  base: 0 = zero, 1 = symmetric, 2 = stored, 3 = that of the column's block before
//! inner head  u8      only if sparse: shape and base of the values that are not zero; the first head's base is 0
//! base        ivarint only if stored
//! bitmap      bytes   only if sparse: one bit a row, lowest first, set where the value is not zero
//! packed      bytes   value - base of every row (sparse: of every set bit), `width` bits each
//! exceptions          only if the column says that its blocks carry them
//!   count     u8
//!   positions u8 each index into the packed values
//!   highs     ivarint each, added to the packed value after a shift by `width`
//! ```
//!
//! The symmetric base is -2^(width-1), 0 at width 0: then the packed value is as wide as its two's complement.
//! All additions wrap, so any 64-bit integer can be stored.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::bitpack::{BLOCK_ROWS_MAX, BlockBuffer, packed_len, unpack};
use crate::base::bytes::{Corrupt, Cursor};

pub(super) const SHAPE_WIDTH_64: u8 = 57;
pub(super) const SHAPE_SPARSE: u8 = 58;

/// How a block's base is known; the discriminants are the bits on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BaseKind {
    Zero = 0,
    Symmetric = 1,
    Stored = 2,
    Previous = 3,
}

/// The base of the symmetric kind.
#[inline]
pub(super) fn symmetric_base(width: u32) -> i64 {
    if width == 0 { 0 } else { i64::MIN >> (64 - width) }
}

/// Reads the blocks of one column, one after the other.
#[derive(Debug)]
pub(super) struct BlockReader {
    has_exceptions: bool,
    previous_base: i64,
}

impl BlockReader {
    pub(super) fn new(has_exceptions: bool) -> Self {
        Self {
            has_exceptions,
            previous_base: 0,
        }
    }

    /// Decodes `rows` values to the start of `out`; what `out` holds behind them is unspecified.
    pub(super) fn read(
        &mut self,
        cursor: &mut Cursor<'_>,
        rows: usize,
        out: &mut BlockBuffer,
    ) -> Result<(), Corrupt> {
        let head = cursor.u8("block head")?;
        if head & 0x3f != SHAPE_SPARSE {
            return self.read_packed(cursor, head, rows, None, out);
        }
        if head != SHAPE_SPARSE {
            return Err(cursor.corrupt("base of a sparse block"));
        }
        let inner = cursor.u8("inner head of a sparse block")?;
        self.read_sparse(cursor, inner, rows, out)
    }

    fn read_sparse(
        &mut self,
        cursor: &mut Cursor<'_>,
        head: u8,
        rows: usize,
        out: &mut BlockBuffer,
    ) -> Result<(), Corrupt> {
        let mut packed = [0; BLOCK_ROWS_MAX];
        let mut bitmap = [0u8; BLOCK_ROWS_MAX / 8];
        self.read_packed(cursor, head, rows, Some(&mut bitmap), &mut packed)?;
        out.fill(0);
        let mut values = packed.iter();
        let (words, _) = bitmap.as_chunks::<8>();
        for (word, rows) in words.iter().zip(out.as_chunks_mut::<64>().0) {
            let mut word = u64::from_le_bytes(*word);
            while word != 0 {
                if let (Some(row), Some(value)) =
                    (rows.get_mut(word.trailing_zeros() as usize), values.next())
                {
                    *row = *value;
                }
                word &= word - 1;
            }
        }
        Ok(())
    }

    /// Reads base, bitmap (into `bitmap`, when there is one), packed values and exceptions.
    fn read_packed(
        &mut self,
        cursor: &mut Cursor<'_>,
        head: u8,
        rows: usize,
        bitmap: Option<&mut [u8; BLOCK_ROWS_MAX / 8]>,
        out: &mut BlockBuffer,
    ) -> Result<(), Corrupt> {
        let width = match head & 0x3f {
            SHAPE_WIDTH_64 => 64,
            shape if shape < SHAPE_WIDTH_64 => u32::from(shape),
            _ => return Err(cursor.corrupt("shape of a block")),
        };
        let base = match head >> 6 {
            0 => 0,
            1 => symmetric_base(width),
            2 => cursor.ivarint("base of a block")?,
            _ => self.previous_base,
        };
        self.previous_base = base;
        let count = match bitmap {
            Some(bitmap) => read_bitmap(cursor, rows, bitmap)?,
            None => rows,
        };
        unpack(cursor.rest(), width, count, base as u64, out)
            .ok_or_else(|| cursor.corrupt("packed values of a block"))?;
        cursor.take(packed_len(count, width), "packed values of a block")?;
        if self.has_exceptions {
            patch(cursor, width, count, out)?;
        }
        Ok(())
    }
}

/// Reads the bitmap of `rows` rows and counts its bits.
fn read_bitmap(
    cursor: &mut Cursor<'_>,
    rows: usize,
    bitmap: &mut [u8; BLOCK_ROWS_MAX / 8],
) -> Result<usize, Corrupt> {
    let bytes = cursor.take(rows.div_ceil(8), "bitmap of a sparse block")?;
    let Some(target) = bitmap.get_mut(..bytes.len()) else {
        return Err(cursor.corrupt("rows of a block"));
    };
    target.copy_from_slice(bytes);
    let set: usize = bytes.iter().map(|byte| byte.count_ones() as usize).sum();
    if set > rows {
        return Err(cursor.corrupt("bitmap of a sparse block"));
    }
    Ok(set)
}

fn patch(cursor: &mut Cursor<'_>, width: u32, count: usize, out: &mut BlockBuffer) -> Result<(), Corrupt> {
    let exceptions = cursor.u8("exception count of a block")?;
    if exceptions == 0 {
        return Ok(());
    }
    let positions = cursor.take(usize::from(exceptions), "exception positions of a block")?;
    for &position in positions {
        let high = cursor.ivarint("exception of a block")?;
        let high = high
            .checked_shl(width)
            .ok_or_else(|| cursor.corrupt("exception of a block"))?;
        match out
            .get_mut(..count)
            .and_then(|rows| rows.get_mut(usize::from(position)))
        {
            Some(row) => *row = row.wrapping_add(high),
            None => return Err(cursor.corrupt("exception position of a block")),
        }
    }
    Ok(())
}
