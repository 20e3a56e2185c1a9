//! Writes protobuf messages to a buffer, field by field. What is zero or empty is left out, as version 3 of the language has
//! it; -0.0 is not zero.

use crate::base::varint;

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;

/// A field's number and what it holds.
#[inline]
fn key(out: &mut Vec<u8>, number: u32, kind: u8) {
    varint::write_u64(out, u64::from(number << 3) | u64::from(kind));
}

#[inline]
pub(crate) fn uint(out: &mut Vec<u8>, number: u32, value: u64) {
    if value != 0 {
        uint_always(out, number, value);
    }
}

/// For fields that say something when they are zero.
#[inline]
pub(crate) fn uint_always(out: &mut Vec<u8>, number: u32, value: u64) {
    key(out, number, VARINT);
    varint::write_u64(out, value);
}

#[inline]
pub(crate) fn double(out: &mut Vec<u8>, number: u32, bits: u64) {
    if bits != 0 {
        double_always(out, number, bits);
    }
}

#[inline]
pub(crate) fn double_always(out: &mut Vec<u8>, number: u32, bits: u64) {
    key(out, number, FIXED64);
    out.extend_from_slice(&bits.to_le_bytes());
}

#[inline]
pub(crate) fn bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    if !bytes.is_empty() {
        key(out, number, BYTES);
        varint::write_bytes(out, bytes);
    }
}

/// A field that `write` fills: a message, or packed numbers. Its length comes before it once it is known; only what is
/// longer than 127 bytes has to be moved for that.
#[inline]
pub(crate) fn nested(out: &mut Vec<u8>, number: u32, write: impl FnOnce(&mut Vec<u8>)) {
    let at = begin(out, number);
    write(out);
    end(out, at);
}

/// Begins a field whose content follows, and says where.
#[inline]
pub(crate) fn begin(out: &mut Vec<u8>, number: u32) -> usize {
    key(out, number, BYTES);
    out.push(0);
    out.len()
}

/// Ends the field whose content begins at `at`.
#[inline]
pub(crate) fn end(out: &mut Vec<u8>, at: usize) {
    let length = out.len().saturating_sub(at) as u64;
    if length < 0x80 {
        if let Some(place) = out.get_mut(at - 1) {
            *place = length as u8;
        }
        return;
    }
    let mut prefix = Vec::with_capacity(varint::MAX_LEN);
    varint::write_u64(&mut prefix, length);
    out.splice(at - 1..at, prefix);
}

/// Bytes of a number as a varint.
#[inline]
pub(crate) fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Bytes of [`uint`].
#[inline]
pub(crate) fn uint_len(number: u32, value: u64) -> usize {
    match value {
        0 => 0,
        value => varint_len(u64::from(number << 3)) + varint_len(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_what_is_written() {
        for value in [0, 1, 127, 128, 16_383, 16_384, 1 << 40, i64::MIN as u64, u64::MAX] {
            let mut out = Vec::new();
            varint::write_u64(&mut out, value);
            assert_eq!(varint_len(value), out.len(), "{value}");
            out.clear();
            uint(&mut out, 16, value);
            assert_eq!(uint_len(16, value), out.len(), "{value}");
        }
    }

    #[test]
    fn a_field_is_as_long_as_it_says() {
        for length in [0, 1, 127, 128, 20_000] {
            let (mut direct, mut grown) = (vec![7], vec![7]);
            bytes(&mut direct, 3, &vec![9; length]);
            nested(&mut grown, 3, |out| out.resize(out.len() + length, 9));
            if length == 0 {
                direct.extend_from_slice(&[3 << 3 | BYTES, 0]);
            }
            assert_eq!(direct, grown, "{length} bytes");
        }
    }
}
