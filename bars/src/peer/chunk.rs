//! Decodes Prometheus' chunks of floats and of integer histograms, plainly: the other side of the library's encoder.

use super::remote_read::{Cell, HistogramCell};
use anyhow::{Context, Result, bail, ensure};
use narthex::STALE_NAN_BITS;

const XOR: u64 = 1;
const HISTOGRAM: u64 = 2;
const THRESHOLD_RAW: u64 = 255;

/// Appends the samples of a chunk.
pub fn decode(encoding: u64, data: &[u8], out: &mut Vec<(i64, Cell)>) -> Result<()> {
    let (count, rest) = data.split_first_chunk::<2>().context("a chunk without a count")?;
    let count = u16::from_be_bytes(*count);
    match encoding {
        XOR => floats(count, rest, out),
        HISTOGRAM => histograms(count, rest.get(1..).context("a chunk without flags")?, out),
        other => bail!("a chunk of the encoding {other}"),
    }
}

fn floats(count: u16, data: &[u8], out: &mut Vec<(i64, Cell)>) -> Result<()> {
    let mut bits = Bits { data, at: 0 };
    let (mut time, mut delta, mut value) = (0i64, 0i64, Xor::default());
    for number in 0..count {
        match number {
            0 => {
                let raw = bits.varint()?;
                time = (raw >> 1) as i64 ^ -((raw & 1) as i64);
                value.bits = bits.take(64)?;
            }
            1 => delta = bits.varint()? as i64,
            _ => delta += bits.delta_of_delta()?,
        }
        if number > 0 {
            time += delta;
            value.read(&mut bits)?;
        }
        out.push((time, Cell::Float(value.bits)));
    }
    Ok(())
}

/// A number with its first and second differences, as the stream goes on.
#[derive(Default)]
struct Track {
    value: i64,
    delta: i64,
}

impl Track {
    /// The second number comes as its difference, all later ones as the difference of differences.
    fn read(&mut self, bits: &mut Bits<'_>, number: u16) -> Result<i64> {
        match number {
            0 => self.value = bits.signed()?,
            1 => self.delta = bits.signed()?,
            _ => self.delta += bits.signed()?,
        }
        if number > 0 {
            self.value += self.delta;
        }
        Ok(self.value)
    }
}

fn histograms(count: u16, data: &[u8], out: &mut Vec<(i64, Cell)>) -> Result<()> {
    let mut bits = Bits { data, at: 0 };
    if bits.take(8)? == THRESHOLD_RAW {
        bits.take(64)?;
    }
    let schema = bits.signed()?;
    let spans = bits.spans()?;
    ensure!(bits.spans()?.is_empty(), "negative buckets, which nobody sent");
    let length: u64 = spans.iter().map(|span| span.1).sum();
    let mut buckets: Vec<Track> = (0..length).map(|_| Track::default()).collect();
    let (mut time, mut observations, mut zeros) = (Track::default(), Track::default(), Track::default());
    let mut sum = Xor::default();
    for number in 0..count {
        if number == 1 {
            time.delta = bits.unsigned()? as i64;
            time.value += time.delta;
        } else {
            time.read(&mut bits, number)?;
        }
        if number == 0 {
            observations.value = bits.unsigned()? as i64;
            zeros.value = bits.unsigned()? as i64;
            sum.bits = bits.take(64)?;
        } else {
            observations.read(&mut bits, number)?;
            zeros.read(&mut bits, number)?;
            sum.read(&mut bits)?;
        }
        let mut cell = HistogramCell {
            sum: sum.bits,
            count: observations.value as u64,
            zero_count: zeros.value as u64,
            schema,
            positive: Vec::new(),
        };
        let mut counts = Vec::with_capacity(buckets.len());
        if sum.bits != STALE_NAN_BITS {
            let mut before = 0;
            for bucket in &mut buckets {
                before += bucket.read(&mut bits, number)?;
                counts.push(before);
            }
        }
        cell.fill(&spans, counts);
        out.push((time.value, Cell::Histogram(cell)));
    }
    Ok(())
}

/// A float as what changed since the one before.
#[derive(Default)]
struct Xor {
    bits: u64,
    leading: u32,
    trailing: u32,
}

impl Xor {
    fn read(&mut self, bits: &mut Bits<'_>) -> Result<()> {
        if bits.take(1)? == 0 {
            return Ok(());
        }
        if bits.take(1)? == 1 {
            self.leading = bits.take(5)? as u32;
            let length = match bits.take(6)? as u32 {
                0 => 64,
                length => length,
            };
            let both = self.leading + length;
            self.trailing = 64u32.checked_sub(both).context("a float of too many bits")?;
        }
        let length = 64 - self.leading - self.trailing;
        self.bits ^= bits.take(length)? << self.trailing;
        Ok(())
    }
}

/// A stream of bits, the highest of a byte first.
struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// The next `count` bits, 64 at most.
    fn take(&mut self, count: u32) -> Result<u64> {
        if count == 0 {
            return Ok(0);
        }
        let end = self.at + count as usize;
        ensure!(end <= self.data.len() * 8, "a chunk that is cut off");
        let rest = &self.data[self.at / 8..];
        let mut window = [0; 16];
        let length = rest.len().min(16);
        window[..length].copy_from_slice(&rest[..length]);
        let from = (self.at % 8) as u32;
        self.at = end;
        Ok((u128::from_be_bytes(window) << from >> (128 - count)) as u64)
    }

    fn varint(&mut self) -> Result<u64> {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.take(8)?;
            value |= (byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte < 0x80 {
                return Ok(value);
            }
            shift += 7;
        }
    }

    /// How many ones come first, `most` at most; the zero behind them is taken, too.
    fn ones(&mut self, most: u32) -> Result<u32> {
        let mut ones = 0;
        while ones < most && self.take(1)? == 1 {
            ones += 1;
        }
        Ok(ones)
    }

    fn delta_of_delta(&mut self) -> Result<i64> {
        let length = match self.ones(4)? {
            0 => return Ok(0),
            1 => 14,
            2 => 17,
            3 => 20,
            _ => 64,
        };
        Ok(signed(self.take(length)?, length))
    }

    fn class(&mut self) -> Result<u32> {
        Ok([0, 3, 6, 9, 12, 18, 25, 56, 64][self.ones(8)? as usize])
    }

    fn unsigned(&mut self) -> Result<u64> {
        let length = self.class()?;
        self.take(length)
    }

    fn signed(&mut self) -> Result<i64> {
        let length = self.class()?;
        Ok(signed(self.take(length)?, length))
    }

    /// Offset and length of each.
    fn spans(&mut self) -> Result<Vec<(i64, u64)>> {
        let count = self.unsigned()?;
        let span = |_| {
            let length = self.unsigned()?;
            ensure!(length <= 1 << 16, "a span of {length} buckets");
            Ok((self.signed()?, length))
        };
        (0..count).map(span).collect()
    }
}

/// A number of `length` bits, the largest of which is positive.
fn signed(bits: u64, length: u32) -> i64 {
    if length > 0 && length < 64 && bits > 1 << (length - 1) {
        return bits as i64 - (1 << length);
    }
    bits as i64
}
