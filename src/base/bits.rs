//! Most-significant-bit-first bit streams, as Prometheus' chunks use them.
//!
//! Both sides move whole words: the writer stores eight bytes and cuts the vector back to what is used, the reader
//! loads the eight bytes under its position. Reading past the end gives zero bits and is noticed by
//! [`BitReader::overrun`], so that a decoder of many short fields checks once per sample and not once per bit.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

/// Bits that one [`BitReader::peek`] is sure to hold, and the most that [`BitWriter::short`] takes at once.
pub(crate) const PEEK_BITS: u32 = 57;

/// Appends bits to a byte vector. `free` is the number of unused low bits of the last byte (0 to 7).
#[derive(Debug, Clone, Default)]
pub(crate) struct BitWriter {
    pub(crate) bytes: Vec<u8>,
    pub(crate) free: u8,
}

impl BitWriter {
    /// Continues behind the first `used` bits of `bytes`; `None` when there are fewer.
    pub(crate) fn resume(bytes: &[u8], used: usize) -> Option<Self> {
        let mut bytes = bytes.get(..used.div_ceil(8))?.to_vec();
        let free = (used.wrapping_neg() & 7) as u8;
        if let Some(last) = bytes.last_mut() {
            *last &= u8::MAX << free;
        }
        Some(Self { bytes, free })
    }

    /// Bits written so far.
    pub(crate) fn bit_len(&self) -> usize {
        self.bytes.len() * 8 - usize::from(self.free)
    }

    /// Appends all bits of another writer.
    pub(crate) fn append(&mut self, other: &Self) {
        let mut left = other.bit_len();
        for &byte in &other.bytes {
            let count = left.min(8) as u32;
            self.short(u64::from(byte) >> (8 - count), count);
            left -= count as usize;
        }
    }

    #[inline]
    pub(crate) fn bit(&mut self, bit: bool) {
        self.short(u64::from(bit), 1);
    }

    /// Appends the low `count` bits of `value`, highest first; `count` is at most 64.
    #[inline]
    pub(crate) fn bits(&mut self, value: u64, count: u32) {
        if count < PEEK_BITS {
            self.short(value & !(u64::MAX << count), count);
        } else {
            self.short(value >> 32 & !(u64::MAX << (count - 32)), count - 32);
            self.short(value & 0xffff_ffff, 32);
        }
    }

    /// Appends the low `count` bits of `value`, at most 56; the bits above them must be zero.
    #[inline]
    pub(crate) fn short(&mut self, value: u64, count: u32) {
        debug_assert!(count < PEEK_BITS && value >> count == 0);
        if count == 0 {
            return;
        }
        // The last byte is written again with the bits behind it, even when it is full: no branch to mispredict.
        let (last, taken) = match self.bytes.pop() {
            Some(last) => (last, 8 - u32::from(self.free)),
            None => (0, 0),
        };
        let word = u64::from(last) << 56 | value << (64 - count) >> taken;
        self.make_room();
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&word.to_be_bytes());
        let used = taken + count;
        self.bytes.truncate(start + used.div_ceil(8) as usize);
        self.free = (used.wrapping_neg() & 7) as u8;
    }

    /// Room for one word. Grows in small steps, because millions of open chunks pay for what is reserved and unused, and to
    /// sizes that allocators hand out: four from one power of two to the next.
    #[inline]
    fn make_room(&mut self) {
        if self.bytes.capacity() - self.bytes.len() < 8 {
            self.grow();
        }
    }

    #[cold]
    fn grow(&mut self) {
        let least = self.bytes.len().max(self.bytes.capacity()) + 8;
        let target = least.next_multiple_of((least.next_power_of_two() / 8).max(32));
        self.bytes.reserve_exact(target - self.bytes.len());
    }
}

/// Reads a bit stream. `bit` and `bits` answer `None` at the end of the bytes; `peek` and `skip` do not look for it.
#[derive(Debug, Clone)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    /// Bits read so far.
    position: usize,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Bits read so far.
    pub(crate) fn bit_position(&self) -> usize {
        self.position
    }

    /// Bits not read yet.
    pub(crate) fn remaining(&self) -> usize {
        (self.bytes.len() * 8).saturating_sub(self.position)
    }

    /// Whether more bits were skipped than there were.
    #[inline]
    pub(crate) fn overrun(&self) -> bool {
        self.position > self.bytes.len() * 8
    }

    /// The next bits, left-aligned: at least [`PEEK_BITS`] of them, zeros beyond the end.
    #[inline(always)]
    pub(crate) fn peek(&self) -> u64 {
        let at = self.position / 8;
        let word = match self.bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            Some(bytes) => u64::from_be_bytes(*bytes),
            None => last_word(self.bytes, at),
        };
        word << (self.position % 8)
    }

    #[inline(always)]
    pub(crate) fn skip(&mut self, count: u32) {
        self.position += count as usize;
    }

    /// The next `count` bits (at most 64) as the low bits of the result, zeros beyond the end.
    #[inline(always)]
    pub(crate) fn take(&mut self, count: u32) -> u64 {
        if count == 0 {
            return 0;
        }
        let head = self.peek();
        if count <= PEEK_BITS {
            self.skip(count);
            return head >> (64 - count);
        }
        self.skip(32);
        let tail = self.peek();
        self.skip(count - 32);
        head >> 32 << (count - 32) | tail >> (96 - count)
    }

    /// The next `count` bits (at most 64) as the low bits of the result.
    #[inline]
    pub(crate) fn bits(&mut self, count: u32) -> Option<u64> {
        if self.remaining() < count as usize {
            return None;
        }
        Some(self.take(count))
    }
}

/// The word at `at`, of which bytes are missing: zeros behind the last eight or fewer bytes.
#[inline]
fn last_word(bytes: &[u8], at: usize) -> u64 {
    let (word, start) = match bytes.last_chunk::<8>() {
        Some(last) => (u64::from_be_bytes(*last), bytes.len() - 8),
        None => {
            let mut word = [0; 8];
            word.iter_mut().zip(bytes).for_each(|(to, byte)| *to = *byte);
            (u64::from_be_bytes(word), 0)
        }
    };
    let shift = u32::try_from((at - start).saturating_mul(8)).unwrap_or(u32::MAX);
    word.checked_shl(shift).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(items in proptest::collection::vec((any::<u64>(), 0u32..=64), 0..200)) {
            let mut writer = BitWriter::default();
            for &(value, count) in &items {
                writer.bits(value, count);
            }
            let total = items.iter().map(|item| item.1 as usize).sum::<usize>();
            prop_assert_eq!(writer.bytes.len(), total.div_ceil(8));
            let mut reader = BitReader::new(&writer.bytes);
            for &(value, count) in &items {
                let expected = if count == 64 { value } else { value & ((1 << count) - 1) };
                prop_assert_eq!(reader.bits(count), Some(expected));
            }
            prop_assert_eq!(reader.bit_position(), total);
            prop_assert!(reader.remaining() < 8 && !reader.overrun());
            prop_assert_eq!(reader.bits(reader.remaining() as u32 + 1), None);
        }

        #[test]
        fn the_unused_bits_of_the_last_byte_are_zero(value: u64, count in 1u32..=64) {
            let mut writer = BitWriter::default();
            writer.bits(value, count);
            let last = writer.bytes.last().copied().unwrap_or(0);
            prop_assert_eq!(u32::from(last) & ((1 << writer.free) - 1), 0);
        }
    }

    #[test]
    fn bits_beyond_the_end_are_zero_and_noticed() {
        let mut reader = BitReader::new(&[0xff]);
        assert_eq!(reader.take(12), 0xff0);
        assert!(reader.overrun());
        assert_eq!(reader.peek(), 0);
    }
}
