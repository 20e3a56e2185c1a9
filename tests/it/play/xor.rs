//! A reader of Prometheus' XOR chunks that shares nothing with the one under test.

/// The bits of a chunk, first bit first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn bit(&mut self) -> u64 {
        let byte = self.bytes[self.at / 8];
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        u64::from(bit)
    }

    fn bits(&mut self, count: u32) -> u64 {
        (0..count).fold(0, |all, _| all << 1 | self.bit())
    }

    fn uvarint(&mut self) -> u64 {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.bits(8);
            value |= (byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte < 0x80 {
                break;
            }
        }
        value
    }

    fn varint(&mut self) -> i64 {
        let zigzag = self.uvarint();
        (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64)
    }

    /// A difference of differences: 0, 14, 17, 20 or 64 bits.
    fn delta_of_delta(&mut self) -> i64 {
        let mut ones = 0;
        while ones < 4 && self.bit() == 1 {
            ones += 1;
        }
        let width = match ones {
            0 => return 0,
            1 => 14,
            2 => 17,
            3 => 20,
            _ => return self.bits(64) as i64,
        };
        let value = self.bits(width) as i64;
        if value > 1 << (width - 1) {
            value - (1 << width)
        } else {
            value
        }
    }
}

/// Number of samples a chunk of any encoding says it has.
pub(crate) fn count(chunk: &[u8]) -> usize {
    usize::from(chunk[0]) << 8 | usize::from(chunk[1])
}

/// Timestamps and bits of the values.
pub(crate) fn decode(chunk: &[u8]) -> Vec<(i64, u64)> {
    let mut bits = Bits { bytes: chunk, at: 16 };
    let mut samples = Vec::new();
    let (mut timestamp, mut delta, mut value) = (0i64, 0i64, 0u64);
    let (mut leading, mut trailing) = (0u32, 0u32);
    for index in 0..count(chunk) {
        match index {
            0 => timestamp = bits.varint(),
            1 => delta = bits.uvarint() as i64,
            _ => delta = delta.wrapping_add(bits.delta_of_delta()),
        }
        if index == 0 {
            value = bits.bits(64);
        } else {
            timestamp = timestamp.wrapping_add(delta);
            if bits.bit() == 1 {
                if bits.bit() == 1 {
                    leading = bits.bits(5) as u32;
                    let width = bits.bits(6) as u32;
                    trailing = 64 - leading - if width == 0 { 64 } else { width };
                }
                value ^= bits.bits(64 - leading - trailing) << trailing;
            }
        }
        samples.push((timestamp, value));
    }
    samples
}
