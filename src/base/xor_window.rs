//! XOR coding of a 64-bit value against the value before it, as Prometheus does it for floats.
//!
//! | bits | meaning |
//! |---|---|
//! | `0` | same value |
//! | `10`, then the window | the bits that differ lie within the window of an earlier value |
//! | `11`, 5 bits leading, 6 bits length (0 means 64), then the bits | a new window |
//!
//! The window is what remains between the leading and trailing zeros of the XOR; leading zeros are counted to 31.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::bits::{BitReader, BitWriter};

/// Leading zeros of a window that was not set yet.
const UNSET: u8 = 0xff;
/// Most leading zeros that five bits hold.
const LEADING_MAX: u32 = 31;

/// The window of the last value that set one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    leading: u8,
    trailing: u8,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            leading: UNSET,
            trailing: 0,
        }
    }
}

/// The bits of one value: `head` and, when they do not fit one write, `tail`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Coded {
    pub(crate) head: u64,
    pub(crate) head_bits: u32,
    pub(crate) tail: u64,
    pub(crate) tail_bits: u32,
}

impl Window {
    /// The window as one word.
    pub(crate) fn pack(self) -> u64 {
        u64::from(self.leading) << 8 | u64::from(self.trailing)
    }

    pub(crate) fn unpack(word: u64) -> Self {
        Self {
            leading: (word >> 8) as u8,
            trailing: word as u8,
        }
    }

    /// Leading and trailing zeros; 255 and 0 before the first value that set a window.
    pub(crate) fn parts(self) -> [u8; 2] {
        [self.leading, self.trailing]
    }

    /// The window of these parts, `None` when there can be no such window.
    pub(crate) fn from_parts([leading, trailing]: [u8; 2]) -> Option<Self> {
        let is_set = u32::from(leading) <= LEADING_MAX && leading + trailing.min(64) < 64;
        (is_set || leading == UNSET && trailing == 0).then_some(Self { leading, trailing })
    }

    /// The code of `new` after `old`.
    #[inline]
    pub(crate) fn code(&mut self, old: u64, new: u64) -> Coded {
        let xor = old ^ new;
        if xor == 0 {
            return coded(0, 1, 0, 0);
        }
        let leading = xor.leading_zeros().min(LEADING_MAX);
        let trailing = xor.trailing_zeros();
        if leading >= u32::from(self.leading) && trailing >= u32::from(self.trailing) {
            let bits = 64 - u32::from(self.leading) - u32::from(self.trailing);
            return coded(0b10, 2, xor >> self.trailing, bits);
        }
        self.leading = leading as u8;
        self.trailing = trailing as u8;
        let bits = 64 - leading - trailing;
        let head = 0b11 << 11 | u64::from(leading) << 6 | u64::from(bits & 63);
        coded(head, 13, xor >> trailing, bits)
    }

    #[inline]
    pub(crate) fn write(&mut self, out: &mut BitWriter, old: u64, new: u64) {
        let coded = self.code(old, new);
        out.short(coded.head, coded.head_bits);
        out.bits(coded.tail, coded.tail_bits);
    }

    /// The value after `old`; `None` when the code is not valid. Bits beyond the end of the stream read as zero.
    #[inline]
    pub(crate) fn read(&mut self, input: &mut BitReader<'_>, old: u64) -> Option<u64> {
        self.read_behind(input, input.peek(), 0, old)
    }

    /// As [`Window::read`], where `next` was peeked and its first `used` bits belong to something else. The head of
    /// the code must lie within `next`.
    #[inline(always)]
    pub(crate) fn read_behind(
        &mut self,
        input: &mut BitReader<'_>,
        next: u64,
        used: u32,
        old: u64,
    ) -> Option<u64> {
        let code = next << used;
        if code >> 63 == 0 {
            input.skip(used + 1);
            return Some(old);
        }
        if self.leading == UNSET {
            // A chunk that Prometheus continued after a restart may use the full window without ever setting it.
            self.leading = 0;
        }
        // A branch, because the way to the next code is the longest chain of a decoder: as long as the guess is right it
        // does not wait for the window.
        if code >> 62 == 0b11 {
            *self = Self::fresh(code);
            input.skip(used + 13);
        } else {
            input.skip(used + 2);
        }
        let bits = 64u32.checked_sub(u32::from(self.leading) + u32::from(self.trailing))?;
        Some(old ^ input.take(bits) << self.trailing)
    }

    /// The window that a code sets; one that is not valid is wider than 64 bits.
    #[inline(always)]
    fn fresh(code: u64) -> Self {
        let leading = (code >> 57 & 31) as u8;
        let length = ((code >> 51).wrapping_sub(1) & 63) as u8 + 1;
        Self {
            leading,
            trailing: (64 - leading).wrapping_sub(length),
        }
    }
}

#[inline]
fn coded(head: u64, head_bits: u32, tail: u64, tail_bits: u32) -> Coded {
    Coded {
        head,
        head_bits,
        tail,
        tail_bits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_beyond_64_bits_is_refused() {
        // 11, leading 31, length 63.
        let bytes = [0b1111_1111, 0b1111_1000, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(Window::default().read(&mut BitReader::new(&bytes), 0), None);
    }

    #[test]
    fn the_full_window_needs_no_setting() {
        let mut writer = BitWriter::default();
        writer.short(0b10, 2);
        writer.bits(77, 64);
        let mut window = Window::default();
        assert_eq!(window.read(&mut BitReader::new(&writer.bytes), 0), Some(77));
        assert_eq!(
            window,
            Window {
                leading: 0,
                trailing: 0
            }
        );
    }
}
