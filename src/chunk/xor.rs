//! XOR chunks: floats with their timestamps.
//!
//! | bytes or bits | meaning |
//! |---|---|
//! | 2 bytes, big-endian | number of samples |
//! | zig-zag LEB128, 8 bytes | first sample: timestamp, value |
//! | LEB128, XOR code | second sample: difference of the timestamps (modulo 2^64), value |
//! | delta-of-delta code, XOR code | every further sample |
//!
//! Delta-of-delta codes: `0` for 0, `10` and 14 bits, `110` and 17 bits, `1110` and 20 bits, `1111` and 64 bits. A
//! code of n bits holds -(2^(n-1) - 1) to 2^(n-1). The XOR code is described in `base::xor_window`. Everything from the first
//! sample on is one stream of bits. Timestamp arithmetic wraps, so that any order of timestamps can be written.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use crate::base::bits::{BitReader, BitWriter, PEEK_BITS};
use crate::base::bytes::Corrupt;
use crate::base::varint;
use crate::base::xor_window::Window;
use std::mem;
use std::sync::Arc;

/// Bytes before the first sample.
const HEADER_LEN: usize = 2;
/// From so many unchanged samples on they are decoded together.
const UNCHANGED_MIN: u32 = 4;
/// Bytes reserved with the first sample.
const FIRST_BYTES: usize = 32;

/// An open chunk: its bytes and what the next sample is coded against. 56 bytes, because every series has one.
///
/// The count stands here and comes into the header when the chunk is copied: an append mostly touches nothing on the
/// heap, which would be a cache miss per sample.
#[derive(Debug, Clone, Default)]
pub(crate) struct XorAppender {
    /// The header's place, then the stream.
    bytes: Vec<u8>,
    timestamp: i64,
    /// Difference of the last two timestamps.
    delta: u64,
    value: u64,
    window: Window,
    /// Unused bits of the last byte.
    free: u8,
    count: u16,
}

/// Where the next sample joins an open chunk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seam {
    /// Difference of the last two timestamps, 0 if there is one.
    pub(crate) delta: u64,
    pub(crate) window: Window,
    /// Unused bits of the last byte.
    pub(crate) free: u8,
}

impl XorAppender {
    /// A chunk without samples. It allocates nothing before the first.
    #[cfg(test)]
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Continues a chunk that is not empty as if it had never been put away, without reading it: `last` and `seam` are
    /// what they were. Of any other arguments comes a chunk that does not decode, or to something else.
    pub(crate) fn resume(bytes: &[u8], last: (i64, u64), seam: Seam) -> Result<Self, Corrupt> {
        let total = XorIter::new(bytes)?.total;
        if total == 0 || usize::from(total) > samples_max(bytes.len()) {
            return Err(Corrupt::new("xor sample count", 0));
        }
        let unused = bytes.last().map(|byte| byte.trailing_zeros());
        if seam.free > 7 || unused.is_none_or(|unused| unused < u32::from(seam.free)) {
            return Err(Corrupt::new("unused bits of an xor chunk", bytes.len()));
        }
        Ok(Self {
            bytes: bytes.to_vec(),
            timestamp: last.0,
            delta: seam.delta,
            value: last.1,
            window: seam.window,
            free: seam.free,
            count: total,
        })
    }

    /// What [`XorAppender::resume`] needs beside the chunk and its last sample.
    pub(crate) fn seam(&self) -> Seam {
        Seam {
            delta: self.delta,
            window: self.window,
            free: self.free,
        }
    }

    /// Appends a sample. A chunk holds at most 65,535.
    #[inline]
    pub(crate) fn append(&mut self, timestamp: i64, value: u64) {
        let count = self.count;
        self.count = count
            .checked_add(1)
            .expect("BUG: more than 65,535 samples in a chunk");
        let delta = timestamp.wrapping_sub(self.timestamp) as u64;
        let unchanged = delta == self.delta && value == self.value && count > 1;
        // Two thirds of all samples are unchanged, and two zero bits mostly fit the last byte.
        if unchanged && self.free >= 2 {
            self.free -= 2;
        } else {
            self.write(count, timestamp, value);
        }
        self.delta = if count == 0 { 0 } else { delta };
        self.timestamp = timestamp;
        self.value = value;
    }

    #[inline]
    fn write(&mut self, count: u16, timestamp: i64, value: u64) {
        let mut stream = BitWriter {
            bytes: mem::take(&mut self.bytes),
            free: self.free,
        };
        if count > 1 {
            self.write_next(&mut stream, timestamp.wrapping_sub(self.timestamp) as u64, value);
        } else {
            self.write_early(&mut stream, count, timestamp, value);
        }
        self.bytes = stream.bytes;
        self.free = stream.free;
    }

    /// The first two samples, whose timestamps are whole bytes.
    fn write_early(&mut self, stream: &mut BitWriter, count: u16, timestamp: i64, value: u64) {
        if count == 0 {
            stream.bytes.clear();
            stream.bytes.reserve_exact(FIRST_BYTES);
            stream.bytes.extend_from_slice(&[0; HEADER_LEN]);
            varint::write_i64(&mut stream.bytes, timestamp);
            stream.bits(value, 64);
        } else {
            varint::write_u64(&mut stream.bytes, timestamp.wrapping_sub(self.timestamp) as u64);
            self.window.write(stream, self.value, value);
        }
    }

    /// Both codes of a sample in one write when they are short, as they mostly are.
    #[inline]
    fn write_next(&mut self, stream: &mut BitWriter, delta: u64, value: u64) {
        let (time_code, time_bits) = match delta.wrapping_sub(self.delta) as i64 {
            0 => (0, 1),
            step @ -8191..=8192 => (0b10 << 14 | step as u64 & 0x3fff, 16),
            step @ -65_535..=65_536 => (0b110 << 17 | step as u64 & 0x1_ffff, 20),
            step @ -524_287..=524_288 => (0b1110 << 20 | step as u64 & 0xf_ffff, 24),
            step => {
                stream.short(0b1111, 4);
                stream.bits(step as u64, 64);
                (0, 0)
            }
        };
        let coded = self.window.code(self.value, value);
        let head = time_code << coded.head_bits | coded.head;
        let head_bits = time_bits + coded.head_bits;
        let all_bits = head_bits + coded.tail_bits;
        if all_bits < PEEK_BITS {
            stream.short(head << coded.tail_bits | coded.tail, all_bits);
        } else {
            stream.short(head, head_bits);
            stream.bits(coded.tail, coded.tail_bits);
        }
    }

    /// Begins a new chunk in the memory of this one.
    pub(crate) fn clear(&mut self) {
        let mut bytes = mem::take(&mut self.bytes);
        bytes.clear();
        *self = Self {
            bytes,
            ..Self::default()
        };
    }

    /// Number of samples.
    #[inline]
    pub(crate) fn count(&self) -> u16 {
        self.count
    }

    /// Reads where the next append will write; the result means nothing.
    #[inline]
    pub(crate) fn touch(&self) -> u64 {
        self.bytes.last().copied().map_or(0, u64::from) ^ self.value
    }

    /// Timestamp and value bits of the last sample; zeros in an empty chunk.
    #[inline]
    pub(crate) fn last(&self) -> (i64, u64) {
        (self.timestamp, self.value)
    }

    /// The chunk in two parts: the header and everything behind it.
    #[inline]
    pub(crate) fn parts(&self) -> ([u8; HEADER_LEN], &[u8]) {
        (
            self.count.to_be_bytes(),
            self.bytes.get(HEADER_LEN..).unwrap_or(&[]),
        )
    }

    /// The chunk, which has a sample at least.
    pub(crate) fn complete(&mut self) -> &[u8] {
        if let Some(header) = self.bytes.first_chunk_mut() {
            *header = self.count.to_be_bytes();
        }
        &self.bytes
    }

    /// A copy of the chunk.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let (header, stream) = self.parts();
        [&header, stream].concat()
    }

    /// A copy of the chunk that can be shared.
    pub(crate) fn to_shared(&self) -> Arc<[u8]> {
        let mut shared: Arc<[u8]> = match self.count {
            0 => Arc::new([0; HEADER_LEN]),
            _ => self.bytes.as_slice().into(),
        };
        let header = Arc::get_mut(&mut shared).and_then(|bytes| bytes.first_chunk_mut());
        *header.expect("BUG: a chunk without a header") = self.count.to_be_bytes();
        shared
    }

    /// Appends all samples to two columns, without a copy of the chunk.
    pub(crate) fn decode_into(
        &self,
        timestamps: &mut Vec<i64>,
        values: &mut Vec<u64>,
    ) -> Result<(), Corrupt> {
        let (_, stream) = self.parts();
        let iter = XorIter {
            total: self.count,
            ..XorIter::over(stream)
        };
        decode_all(iter, timestamps, values)
    }

    /// Bytes reserved on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

/// Reads a chunk sample by sample; ends after the first error.
#[derive(Debug, Clone)]
pub(crate) struct XorIter<'a> {
    input: BitReader<'a>,
    /// Samples the header promises.
    total: u16,
    read: u16,
    timestamp: i64,
    delta: u64,
    value: u64,
    window: Window,
}

impl<'a> XorIter<'a> {
    /// Looks at the header only.
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, Corrupt> {
        let (header, rest) = bytes
            .split_first_chunk::<HEADER_LEN>()
            .ok_or(Corrupt::new("xor chunk header", bytes.len()))?;
        Ok(Self {
            total: u16::from_be_bytes(*header),
            ..Self::over(rest)
        })
    }

    /// At the start of the bits after the header, of which there may be any number of samples.
    fn over(stream: &'a [u8]) -> Self {
        Self {
            input: BitReader::new(stream),
            total: 0,
            read: 0,
            timestamp: 0,
            delta: 0,
            value: 0,
            window: Window::default(),
        }
    }

    fn corrupt(&self, what: &'static str) -> Corrupt {
        Corrupt::new(what, HEADER_LEN + self.input.bit_position() / 8)
    }

    /// Reads one sample into the state; `None` when the bits are not valid or end.
    fn step(&mut self) -> Option<()> {
        if self.read > 1 {
            self.step_later()?;
        } else {
            self.step_early()?;
        }
        self.read += 1;
        (!self.input.overrun()).then_some(())
    }

    fn step_early(&mut self) -> Option<()> {
        let number = read_leb128(&mut self.input)?;
        if self.read == 0 {
            self.timestamp = varint::unzigzag(number);
            self.value = self.input.take(64);
        } else {
            self.delta = number;
            self.timestamp = self.timestamp.wrapping_add(number as i64);
            self.value = self.window.read(&mut self.input, self.value)?;
        }
        Some(())
    }

    /// A sample with a delta-of-delta code.
    #[inline]
    fn step_later(&mut self) -> Option<()> {
        let last = (self.timestamp, self.delta, self.value);
        (self.timestamp, self.delta, self.value) = next_sample(&mut self.input, &mut self.window, last)?;
        Some(())
    }
}

impl Iterator for XorIter<'_> {
    type Item = Result<(i64, u64), Corrupt>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.read >= self.total {
            return None;
        }
        if self.step().is_none() {
            self.total = 0;
            return Some(Err(self.corrupt("xor sample")));
        }
        Some(Ok((self.timestamp, self.value)))
    }
}

fn read_leb128(input: &mut BitReader<'_>) -> Option<u64> {
    let mut value = 0u64;
    for index in 0..varint::MAX_LEN {
        let byte = input.bits(8)?;
        if index == varint::MAX_LEN - 1 && byte > 1 {
            return None;
        }
        value |= (byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// The signed number behind a code of `bits` bits, which holds one more positive number than two's complement.
#[inline(always)]
pub(super) fn signed(code: u64, bits: u32) -> i64 {
    if code > 1 << (bits - 1) {
        code.wrapping_sub(1 << bits) as i64
    } else {
        code as i64
    }
}

/// How many samples a chunk of that length can hold: every one but the first takes at least two bits.
fn samples_max(bytes: usize) -> usize {
    bytes * 4 + 1
}

/// Appends all samples of a chunk to two columns; after an error they are as before.
pub(crate) fn decode_into(
    bytes: &[u8],
    timestamps: &mut Vec<i64>,
    values: &mut Vec<u64>,
) -> Result<(), Corrupt> {
    let iter = XorIter::new(bytes)?;
    if usize::from(iter.total) > samples_max(bytes.len()) {
        return Err(iter.corrupt("xor sample count"));
    }
    decode_all(iter, timestamps, values)
}

fn decode_all(
    mut iter: XorIter<'_>,
    timestamps: &mut Vec<i64>,
    values: &mut Vec<u64>,
) -> Result<(), Corrupt> {
    let start = (timestamps.len(), values.len());
    timestamps.resize(start.0 + usize::from(iter.total), 0);
    values.resize(start.1 + usize::from(iter.total), 0);
    let timestamps_new = timestamps.get_mut(start.0..).unwrap_or_default();
    let values_new = values.get_mut(start.1..).unwrap_or_default();
    if decode_rows(&mut iter, timestamps_new, values_new).is_none() {
        timestamps.truncate(start.0);
        values.truncate(start.1);
        return Err(iter.corrupt("xor sample"));
    }
    Ok(())
}

/// As [`XorIter::step`] for every row of two columns of one length, with the state in registers.
fn decode_rows(iter: &mut XorIter<'_>, timestamps: &mut [i64], values: &mut [u64]) -> Option<()> {
    let early = timestamps.len().min(2);
    let (first, mut timestamps) = timestamps.split_at_mut(early);
    let (first_values, mut values) = values.split_at_mut_checked(early)?;
    for (timestamp, value) in first.iter_mut().zip(first_values) {
        iter.step()?;
        (*timestamp, *value) = (iter.timestamp, iter.value);
    }
    let (mut input, mut window) = (iter.input.clone(), iter.window);
    let mut last = (iter.timestamp, iter.delta, iter.value);
    while let ([timestamp, later @ ..], [value, later_values @ ..]) = (timestamps, values) {
        // Two zero bits are a sample with the same distance and value, which most are.
        let unchanged = input.peek().leading_zeros().min(PEEK_BITS - 1) / 2;
        if unchanged < UNCHANGED_MIN {
            last = next_sample(&mut input, &mut window, last)?;
            (*timestamp, *value) = (last.0, last.2);
            (timestamps, values) = (later, later_values);
            continue;
        }
        (*timestamp, *value) = (last.0.wrapping_add(last.1 as i64), last.2);
        last.0 = *timestamp;
        let more = later.len().min(unchanged as usize - 1);
        let (run, rest) = later.split_at_mut(more);
        let (run_values, rest_values) = later_values.split_at_mut_checked(more)?;
        run_values.fill(last.2);
        for timestamp in run {
            last.0 = last.0.wrapping_add(last.1 as i64);
            *timestamp = last.0;
        }
        input.skip(2 * (more as u32 + 1));
        (timestamps, values) = (rest, rest_values);
    }
    iter.input = input;
    (!iter.input.overrun()).then_some(())
}

/// The sample after `(timestamp, delta, value)`, in the same form; not one of the first two.
#[inline(always)]
fn next_sample(
    input: &mut BitReader<'_>,
    window: &mut Window,
    (timestamp, delta, value): (i64, u64, u64),
) -> Option<(i64, u64, u64)> {
    let next = input.peek();
    if next >> 63 == 0 {
        let timestamp = timestamp.wrapping_add(delta as i64);
        let value = window.read_behind(input, next, 1, value)?;
        return Some((timestamp, delta, value));
    }
    let (step, length) = next_step(input.clone());
    input.skip(length);
    let delta = delta.wrapping_add(step as u64);
    let timestamp = timestamp.wrapping_add(delta as i64);
    let value = window.read_behind(input, input.peek(), 0, value)?;
    Some((timestamp, delta, value))
}

/// What a delta-of-delta code that is not the shortest says, and its length. Takes the reader by value, so that the caller's
/// stays in registers.
#[inline(never)]
fn next_step(mut input: BitReader<'_>) -> (i64, u32) {
    let code = input.peek();
    match code.leading_ones() {
        0 => (0, 1),
        1 => (signed(code << 2 >> 50, 14), 16),
        2 => (signed(code << 3 >> 47, 17), 20),
        3 => (signed(code << 4 >> 44, 20), 24),
        _ => {
            input.skip(4);
            (input.take(64) as i64, 68)
        }
    }
}

/// Timestamp of the last sample, `None` for an empty chunk.
#[cfg(test)]
pub(crate) fn last_timestamp(bytes: &[u8]) -> Result<Option<i64>, Corrupt> {
    let mut iter = XorIter::new(bytes)?;
    let mut last = None;
    for sample in iter.by_ref() {
        last = Some(sample?.0);
    }
    Ok(last)
}
