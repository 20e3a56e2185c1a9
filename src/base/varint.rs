//! LEB128 integers and zig-zag mapping.

/// Longest encoding of a `u64`.
pub(crate) const MAX_LEN: usize = 10;

#[inline]
pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[inline]
pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[inline]
pub(crate) fn write_u64(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[inline]
pub(crate) fn write_i64(out: &mut Vec<u8>, value: i64) {
    write_u64(out, zigzag(value));
}

/// Bytes behind their length.
pub(crate) fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_u64(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// The highest bit of each byte, which says that the value goes on.
const GOES_ON: u64 = 0x8080_8080_8080_8080;

/// The value and the bytes used, or `None` when the bytes end early or the value does not fit 64 bits.
#[inline]
pub(crate) fn read_u64(bytes: &[u8]) -> Option<(u64, usize)> {
    if let Some(word) = bytes.first_chunk() {
        let word = u64::from_le_bytes(*word);
        let ends = !word & GOES_ON;
        if ends != 0 {
            let up_to_end = ends ^ (ends - 1);
            return Some((joined(word & up_to_end), ends.trailing_zeros() as usize / 8 + 1));
        }
    }
    read_by_byte(bytes)
}

/// Eight groups of seven bits without the bits between them.
#[inline]
fn joined(word: u64) -> u64 {
    let pairs = word & 0x007f_007f_007f_007f | (word & 0x7f00_7f00_7f00_7f00) >> 1;
    let fours = pairs & 0x0000_3fff_0000_3fff | (pairs & 0x3fff_0000_3fff_0000) >> 2;
    fours & 0x0fff_ffff | (fours & 0x0fff_ffff_0000_0000) >> 4
}

fn read_by_byte(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0u64;
    for (index, &byte) in bytes.iter().take(MAX_LEN).enumerate() {
        if index == MAX_LEN - 1 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Some((value, index + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(value: u64, shift in 0u32..64, signed: i64) {
            let value = value >> shift;
            let mut out = Vec::new();
            write_u64(&mut out, value);
            prop_assert_eq!(read_u64(&out), Some((value, out.len())));
            let bytes = out.len();
            out.extend_from_slice(&signed.to_le_bytes());
            prop_assert_eq!(read_u64(&out), Some((value, bytes)));
            out.truncate(bytes);
            prop_assert_eq!(read_u64(&out[..out.len() - 1]), None);
            prop_assert_eq!(unzigzag(zigzag(signed)), signed);
        }
    }

    #[test]
    fn eleven_bytes_or_too_large_are_refused() {
        assert_eq!(read_u64(&[0xff; 11]), None);
        assert_eq!(
            read_u64(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]),
            None
        );
    }
}
