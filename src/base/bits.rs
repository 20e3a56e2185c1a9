//! Most-significant-bit-first bit streams, as Prometheus' chunks use them.

#![deny(clippy::unwrap_used)]

/// Appends bits to a byte vector. `free` is the number of unused low bits of the last byte (0 to 7).
#[derive(Debug, Clone, Default)]
pub(crate) struct BitWriter {
    pub(crate) bytes: Vec<u8>,
    pub(crate) free: u8,
}

impl BitWriter {
    #[inline]
    pub(crate) fn bit(&mut self, bit: bool) {
        self.bits(u64::from(bit), 1);
    }

    /// Appends the low `count` bits of `value`, highest first; `count` is at most 64.
    #[inline]
    pub(crate) fn bits(&mut self, value: u64, count: u32) {
        let mut left = count;
        while left > 0 {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            let take = left.min(u32::from(self.free));
            let piece = (value >> (left - take)) & ((1u64 << take) - 1);
            if let Some(last) = self.bytes.last_mut() {
                *last |= (piece << (u32::from(self.free) - take)) as u8;
            }
            self.free -= take as u8;
            left -= take;
        }
    }
}

/// Reads a bit stream through a 64-bit window. Every read answers `None` at the end of the bytes.
#[derive(Debug, Clone)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    /// Next byte to load.
    position: usize,
    /// Bits loaded and not yet read, left-aligned.
    window: u64,
    /// How many bits of `window` are valid.
    valid: u32,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            position: 0,
            window: 0,
            valid: 0,
        }
    }

    /// Bits read so far.
    pub(crate) fn bit_position(&self) -> usize {
        self.position * 8 - self.valid as usize
    }

    /// Loads bytes until at least 57 bits are valid or the bytes end.
    #[inline]
    fn refill(&mut self) {
        if let Some(next) = self
            .bytes
            .get(self.position..)
            .and_then(|rest| rest.first_chunk::<8>())
        {
            let loaded = (64 - self.valid) / 8;
            if self.valid < 64 {
                self.window |= u64::from_be_bytes(*next) >> self.valid;
                self.position += loaded as usize;
                self.valid += loaded * 8;
                // Bits beyond `valid` came from a byte that counts as not loaded.
                if self.valid < 64 {
                    self.window &= !(u64::MAX >> self.valid);
                }
            }
            return;
        }
        while self.valid <= 56 {
            let Some(&byte) = self.bytes.get(self.position) else {
                return;
            };
            self.window |= u64::from(byte) << (56 - self.valid);
            self.position += 1;
            self.valid += 8;
        }
    }

    #[inline]
    pub(crate) fn bit(&mut self) -> Option<bool> {
        if self.valid == 0 {
            self.refill();
            if self.valid == 0 {
                return None;
            }
        }
        let bit = self.window >> 63 == 1;
        self.window <<= 1;
        self.valid -= 1;
        Some(bit)
    }

    /// The next `count` bits (at most 64) as the low bits of the result.
    #[inline]
    pub(crate) fn bits(&mut self, count: u32) -> Option<u64> {
        if count == 0 {
            return Some(0);
        }
        if self.valid < count {
            self.refill();
            if self.valid < count {
                return self.bits_across(count);
            }
        }
        let value = self.window >> (64 - count);
        self.window = if count == 64 { 0 } else { self.window << count };
        self.valid -= count;
        Some(value)
    }

    /// More bits than one window holds, or the end of the stream.
    fn bits_across(&mut self, count: u32) -> Option<u64> {
        let mut value = 0u64;
        for _ in 0..count {
            value = value << 1 | u64::from(self.bit()?);
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(items in proptest::collection::vec((any::<u64>(), 1u32..=64), 0..200)) {
            let mut writer = BitWriter::default();
            for &(value, count) in &items {
                writer.bits(value, count);
            }
            let mut reader = BitReader::new(&writer.bytes);
            for &(value, count) in &items {
                let expected = if count == 64 { value } else { value & ((1 << count) - 1) };
                prop_assert_eq!(reader.bits(count), Some(expected));
            }
            let left = writer.bytes.len() * 8 - reader.bit_position();
            prop_assert!(left < 8);
            prop_assert_eq!(reader.bits(left as u32 + 1), None);
        }
    }
}
