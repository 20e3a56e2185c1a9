//! Fixed-width bit packing: the bottom of every column.
//!
//! Values of `width` bits follow each other without gaps, the lowest bit first, in little-endian byte order; the
//! last byte is filled with zero bits. Eight values therefore take exactly `width` bytes, which is what the unpacking
//! loop works on: with the width a compile-time constant, every shift and offset in it is a constant too.
//! Widths are 0 to 56 and 64, so that a value always lies within eight bytes from the byte it begins in.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

/// Room for the values of one block. A multiple of eight: unpacking works on whole eights.
pub(super) const BLOCK_ROWS_MAX: usize = 256;

/// One block of decoded values.
pub(super) type BlockBuffer = [i64; BLOCK_ROWS_MAX];

/// Bytes that `count` values of `width` bits take.
#[inline]
pub(super) fn packed_len(count: usize, width: u32) -> usize {
    (count * width as usize).div_ceil(8)
}

/// The smallest width allowed by the format that holds `value`.
#[inline]
pub(super) fn width_of(value: u64) -> u32 {
    match 64 - value.leading_zeros() {
        wide @ 57.. => wide.max(64),
        narrow => narrow,
    }
}

/// Appends the low `width` bits of every value; higher bits are dropped.
pub(super) fn pack(values: impl Iterator<Item = u64>, width: u32, out: &mut Vec<u8>) {
    if width == 0 {
        return;
    }
    let mask = mask_of(width);
    let (mut word, mut filled) = (0u64, 0u32);
    for value in values {
        let value = value & mask;
        word |= value << filled;
        filled += width;
        if filled >= 64 {
            out.extend_from_slice(&word.to_le_bytes());
            filled -= 64;
            word = if filled == 0 { 0 } else { value >> (width - filled) };
        }
    }
    let tail = word.to_le_bytes();
    out.extend(tail.iter().take(filled.div_ceil(8) as usize));
}

/// Unpacks `count` values of `width` bits from the start of `bytes` and adds `base` to each.
///
/// `None` when the bytes are too few, the count too large or the width not one of the format.
#[inline]
pub(super) fn unpack(bytes: &[u8], width: u32, count: usize, base: u64, out: &mut BlockBuffer) -> Option<()> {
    if count > BLOCK_ROWS_MAX || bytes.len() < packed_len(count, width) {
        return None;
    }
    let whole = out.get_mut(..count.next_multiple_of(8))?;
    // The loop reads whole windows of `width + 8` bytes; near the end of the bytes it needs a padded copy.
    let wanted = whole.len() / 8 * width as usize + 8;
    if bytes.len() >= wanted {
        return unpack_padded(bytes, width, base, whole);
    }
    let mut padded = [0u8; BLOCK_ROWS_MAX * 8 + 8];
    padded.get_mut(..bytes.len())?.copy_from_slice(bytes);
    unpack_padded(&padded, width, base, whole)
}

macro_rules! dispatch_width {
    ($width:expr, $bytes:expr, $base:expr, $out:expr, [$($constant:literal)*]) => {
        match $width {
            0 => $out.fill($base as i64),
            $($constant => unpack_width::<$constant>($bytes, $base, $out),)*
            _ => return None,
        }
    };
}

fn unpack_padded(bytes: &[u8], width: u32, base: u64, out: &mut [i64]) -> Option<()> {
    dispatch_width!(width, bytes, base, out, [
        1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28
        29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 64
    ]);
    Some(())
}

fn unpack_width<const WIDTH: usize>(bytes: &[u8], base: u64, out: &mut [i64]) {
    let mask = mask_of(WIDTH as u32);
    let (eights, _) = out.as_chunks_mut::<8>();
    for (index, eight) in eights.iter_mut().enumerate() {
        let Some(window) = bytes.get(index * WIDTH..index * WIDTH + WIDTH + 8) else {
            return;
        };
        for (lane, slot) in eight.iter_mut().enumerate() {
            let word = window
                .get(lane * WIDTH / 8..)
                .and_then(|rest| rest.first_chunk::<8>())
                .map_or(0, |chunk| u64::from_le_bytes(*chunk));
            *slot = base.wrapping_add((word >> (lane * WIDTH % 8)) & mask) as i64;
        }
    }
}

#[inline]
fn mask_of(width: u32) -> u64 {
    if width == 64 { u64::MAX } else { (1 << width) - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(
            values in proptest::collection::vec(any::<u64>(), 0..=BLOCK_ROWS_MAX),
            width in prop_oneof![0u32..=56, Just(64u32)],
            base: u64,
            slack in 0usize..100,
        ) {
            let mut bytes = Vec::new();
            pack(values.iter().copied(), width, &mut bytes);
            prop_assert_eq!(bytes.len(), packed_len(values.len(), width));
            bytes.resize(bytes.len() + slack, 0xaa);
            let mut out = [0; BLOCK_ROWS_MAX];
            prop_assert!(unpack(&bytes, width, values.len(), base, &mut out).is_some());
            for (value, got) in values.iter().zip(out) {
                prop_assert_eq!(base.wrapping_add(value & mask_of(width)) as i64, got);
            }
        }
    }

    #[test]
    fn widths_outside_the_format_and_short_bytes_are_refused() {
        let mut out = [0; BLOCK_ROWS_MAX];
        assert_eq!(unpack(&[0; 2000], 57, 1, 0, &mut out), None);
        assert_eq!(unpack(&[0; 2000], 65, 1, 0, &mut out), None);
        assert_eq!(unpack(&[0; 2000], 1, BLOCK_ROWS_MAX + 1, 0, &mut out), None);
        assert_eq!(unpack(&[0; 3], 5, 5, 0, &mut out), None);
        assert_eq!(width_of(1 << 56), 64);
        assert_eq!(width_of((1 << 56) - 1), 56);
    }
}
