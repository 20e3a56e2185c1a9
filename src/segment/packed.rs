//! Arrays of small numbers, bit-packed at one width, read at random.
//!
//! u8 width (0 to 32), then the numbers from the lowest bit of the first byte on, then 7 zero bytes so that every
//! number can be read as part of eight bytes.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use crate::base::bytes::Corrupt;

const PADDING: usize = 7;

pub(crate) fn write(numbers: &[u32], out: &mut Vec<u8>) {
    let highest = numbers.iter().copied().max().unwrap_or(0);
    let width = 32 - highest.leading_zeros();
    out.push(width as u8);
    let (mut gathered, mut bits) = (0u64, 0);
    for number in numbers {
        gathered |= u64::from(*number) << bits;
        bits += width;
        while bits >= 8 {
            out.push(gathered as u8);
            gathered >>= 8;
            bits -= 8;
        }
    }
    if bits > 0 {
        out.push(gathered as u8);
    }
    out.extend_from_slice(&[0; PADDING]);
}

/// Bytes of `count` numbers from the start of `bytes`.
#[cfg(test)]
pub(crate) fn length(bytes: &[u8], count: usize) -> Result<usize, Corrupt> {
    let width = usize::from(*bytes.first().ok_or(Corrupt::new("packed numbers", 0))?);
    if width > 32 {
        return Err(Corrupt::new("width of packed numbers", 0));
    }
    let length = 1 + (count * width).div_ceil(8) + PADDING;
    if length > bytes.len() {
        return Err(Corrupt::new("packed numbers", bytes.len()));
    }
    Ok(length)
}

/// The number at `index`.
#[inline]
pub(crate) fn get(bytes: &[u8], index: usize) -> Result<u32, Corrupt> {
    let width = usize::from(*bytes.first().ok_or(Corrupt::new("packed numbers", 0))?);
    if width == 0 {
        return Ok(0);
    }
    let bit = index * width;
    let word = bytes.get(1 + bit / 8..).and_then(|rest| rest.first_chunk::<8>());
    let word = u64::from_le_bytes(*word.ok_or(Corrupt::new("packed number", 1 + bit / 8))?);
    Ok((word >> (bit % 8)) as u32 & ((1u64 << width.min(32)) - 1) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn zeros_take_no_bits() {
        let mut bytes = Vec::new();
        write(&[0], &mut bytes);
        assert_eq!(get(&bytes, 0), Ok(0));
    }

    proptest! {
        #[test]
        fn round_trip(numbers in proptest::collection::vec(any::<u32>(), 0..200), shift in 0u32..32) {
            let numbers: Vec<u32> = numbers.iter().map(|number| number >> shift).collect();
            let mut bytes = Vec::new();
            write(&numbers, &mut bytes);
            prop_assert_eq!(length(&bytes, numbers.len()), Ok(bytes.len()));
            for (index, number) in numbers.iter().enumerate() {
                prop_assert_eq!(get(&bytes, index), Ok(*number));
            }
        }
    }
}
