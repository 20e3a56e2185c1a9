//! One block: up to 248 integers, as a frame of reference with patched exceptions, or sparse.
//!
//! ```text
//! head        u8      bits 0-5  shape: 0-56 = width of a packed value, 57 = width 64, 58 = sparse
//!                     bits 6-7  base: 0 = zero, 1 = symmetric, 2 = stored, 3 = that of the column's block before
//! inner head  u8      only if sparse: shape and base of the values that are not zero; the first head's base is 0
//! base        ivarint only if stored
//! bitmap      bytes   only if sparse: one bit a row, lowest first, set where the value is not zero
//! packed      bytes   value - base of every row (sparse: of every set bit), `width` bits each
//! exceptions          only if the column says that its blocks carry them
//!   count     u8      bits 0-6; bit 7: the highs are packed
//!   positions         indices into the packed values: u8 each, or where a bitmap of the packed values is
//!                     shorter, that bitmap
//!   highs             one per position, added to the packed value after a shift by `width`;
//!                     ivarint each, or with bit 7 a u8 width and that many bits each of zig-zag(high) - 1
//! ```
//!
//! The symmetric base is -2^(width-1), 0 at width 0: then the packed value is as wide as its two's complement.
//! All additions wrap, so any 64-bit integer can be stored.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::bitpack::{BLOCK_ROWS_MAX, BlockBuffer, packed_len, unpack};
use crate::base::bytes::{Corrupt, Cursor};
use crate::base::varint;

pub(super) const SHAPE_WIDTH_64: u8 = 57;
pub(super) const SHAPE_SPARSE: u8 = 58;

/// Flag of the exception count.
pub(super) const EXCEPTIONS_PACKED: u8 = 1 << 7;

/// The most exceptions of a block.
pub(super) const EXCEPTIONS_MAX: usize = 127;

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
        let mut bitmap = Bitmap::default();
        self.read_packed(cursor, head, rows, Some(&mut bitmap), &mut packed)?;
        out.fill(0);
        for (row, value) in bitmap.rows().zip(&packed) {
            if let Some(target) = out.get_mut(usize::from(row)) {
                *target = *value;
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
        bitmap: Option<&mut Bitmap>,
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
            Some(bitmap) => bitmap.read(cursor, rows)?,
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

/// One bit for each row of a block.
#[derive(Default)]
struct Bitmap([u64; BLOCK_ROWS_MAX / 64]);

impl Bitmap {
    /// Reads the bits of `rows` rows and answers how many are set.
    fn read(&mut self, cursor: &mut Cursor<'_>, rows: usize) -> Result<usize, Corrupt> {
        let bytes = cursor.take(rows.div_ceil(8), "bitmap of a block")?;
        let mut padded = [0u8; BLOCK_ROWS_MAX / 8];
        match padded.get_mut(..bytes.len()) {
            Some(start) => start.copy_from_slice(bytes),
            None => return Err(cursor.corrupt("rows of a block")),
        }
        for (word, bytes) in self.0.iter_mut().zip(padded.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        let set: u32 = self.0.iter().map(|word| word.count_ones()).sum();
        if set as usize > rows {
            return Err(cursor.corrupt("bitmap of a block"));
        }
        Ok(set as usize)
    }

    /// Where the set bits are.
    fn rows(&self) -> impl Iterator<Item = u8> {
        self.0.iter().zip([0u8, 64, 128, 192]).flat_map(|(&word, start)| {
            let mut word = word;
            std::iter::from_fn(move || {
                let bit = (word != 0).then(|| start + word.trailing_zeros() as u8)?;
                word &= word - 1;
                Some(bit)
            })
        })
    }
}

fn patch(cursor: &mut Cursor<'_>, width: u32, count: usize, out: &mut BlockBuffer) -> Result<(), Corrupt> {
    let head = cursor.u8("exception count of a block")?;
    if head == 0 {
        return Ok(());
    }
    let exceptions = usize::from(head & !EXCEPTIONS_PACKED);
    let mut bitmap = Bitmap::default();
    let mut positions = [0; EXCEPTIONS_MAX];
    if exceptions > count.div_ceil(8) {
        bitmap.read(cursor, count)?;
        positions
            .iter_mut()
            .zip(bitmap.rows())
            .for_each(|(position, row)| *position = row);
    } else {
        let bytes = cursor.take(exceptions, "exception positions of a block")?;
        positions
            .iter_mut()
            .zip(bytes)
            .for_each(|(position, &byte)| *position = byte);
    }
    let mut highs = [0; BLOCK_ROWS_MAX];
    if head & EXCEPTIONS_PACKED != 0 {
        let width = u32::from(cursor.u8("exception width of a block")?);
        unpack(cursor.rest(), width, exceptions, 1, &mut highs)
            .ok_or_else(|| cursor.corrupt("exceptions of a block"))?;
        cursor.take(packed_len(exceptions, width), "exceptions of a block")?;
    } else {
        for high in highs.iter_mut().take(exceptions) {
            *high = cursor.uvarint("exception of a block")? as i64;
        }
    }
    for (&position, &high) in positions.iter().zip(&highs).take(exceptions) {
        let high = varint::unzigzag(high as u64);
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
