//! Integers of eight sizes behind a unary prefix, as histogram chunks write them.
//!
//! | prefix | bits behind it |
//! |---|---|
//! | `0` | none, the value is 0 |
//! | `10`, `110`, `1110`, `11110` | 3, 6, 9, 12 |
//! | `111110`, `1111110`, `11111110` | 18, 25, 56 |
//! | `11111111` | 64 |
//!
//! Signed values of n bits go from -(2^(n-1) - 1) to 2^(n-1). Reads beyond the end of the stream give zero bits.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::xor::signed;
use crate::base::bits::{BitReader, BitWriter, PEEK_BITS};

/// Prefix, its length, and the bits of a value that needs `bits` bits.
#[inline]
fn class(bits: u32) -> (u64, u32, u32) {
    match bits {
        0..=3 => (0b10, 2, 3),
        4..=6 => (0b110, 3, 6),
        7..=9 => (0b1110, 4, 9),
        10..=12 => (0b1_1110, 5, 12),
        13..=18 => (0b11_1110, 6, 18),
        19..=25 => (0b111_1110, 7, 25),
        26..=56 => (0b1111_1110, 8, 56),
        _ => (0b1111_1111, 8, 64),
    }
}

#[inline]
fn write(out: &mut BitWriter, value: u64, bits_needed: u32) {
    if value == 0 {
        out.short(0, 1);
        return;
    }
    let (prefix, prefix_bits, bits) = class(bits_needed);
    if prefix_bits + bits < PEEK_BITS {
        out.short(prefix << bits | value & !(u64::MAX << bits), prefix_bits + bits);
    } else {
        out.short(prefix, prefix_bits);
        out.bits(value, bits);
    }
}

#[inline]
pub(super) fn write_u64(out: &mut BitWriter, value: u64) {
    write(out, value, 64 - value.leading_zeros());
}

#[inline]
pub(super) fn write_i64(out: &mut BitWriter, value: i64) {
    let magnitude = if value > 0 {
        value as u64 - 1
    } else {
        value.unsigned_abs()
    };
    write(out, value as u64, 65 - magnitude.leading_zeros());
}

/// The bits of the value, and how many they are.
#[inline]
fn read(input: &mut BitReader<'_>) -> (u64, u32) {
    let next = input.peek();
    let bits = match next.leading_ones() {
        0 => {
            input.skip(1);
            return (0, 64);
        }
        1 => 3,
        2 => 6,
        3 => 9,
        4 => 12,
        5 => 18,
        6 => 25,
        7 => 56,
        _ => 64,
    };
    let prefix_bits = (next.leading_ones() + 1).min(8);
    input.skip(prefix_bits);
    if prefix_bits + bits > PEEK_BITS {
        return (input.take(bits), bits);
    }
    input.skip(bits);
    (next << prefix_bits >> (64 - bits), bits)
}

#[inline]
pub(super) fn read_u64(input: &mut BitReader<'_>) -> u64 {
    read(input).0
}

#[inline]
pub(super) fn read_i64(input: &mut BitReader<'_>) -> i64 {
    match read(input) {
        (value, 64) => value as i64,
        (value, bits) => signed(value, bits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(values in proptest::collection::vec((any::<u64>(), 0u32..64), 0..50)) {
            let mut out = BitWriter::default();
            for &(value, shift) in &values {
                write_u64(&mut out, value >> shift);
                write_i64(&mut out, value as i64 >> shift);
            }
            let mut input = BitReader::new(&out.bytes);
            for &(value, shift) in &values {
                prop_assert_eq!(read_u64(&mut input), value >> shift);
                prop_assert_eq!(read_i64(&mut input), value as i64 >> shift);
            }
            prop_assert!(!input.overrun());
        }
    }

    #[test]
    fn sizes_at_the_edges() {
        let size = |value| {
            let mut out = BitWriter::default();
            write_i64(&mut out, value);
            out.bytes.len() * 8 - usize::from(out.free)
        };
        let edges = [
            0,
            1,
            4,
            5,
            32,
            33,
            256,
            257,
            2048,
            2049,
            131_072,
            131_073,
            1 << 24,
            (1 << 24) + 1,
        ];
        assert_eq!(
            edges.map(size),
            [1, 5, 5, 9, 9, 13, 13, 17, 17, 24, 24, 32, 32, 64]
        );
        let edges = [
            -3,
            -4,
            -31,
            -32,
            -255,
            -256,
            -(1 << 55) + 1,
            -(1 << 55),
            i64::MIN,
            i64::MAX,
        ];
        assert_eq!(edges.map(size), [5, 9, 9, 13, 13, 17, 64, 72, 72, 72]);
        assert_eq!(size(1 << 55), 64);
    }
}
