//! Reading histogram chunks, of integers and of floats.
//!
//! | bytes | meaning |
//! |---|---|
//! | 2, big-endian | number of samples |
//! | 1 | reset header in the two highest bits: 0 unknown, 1 no reset, 2 reset, 3 gauge; the others are 0 |
//! | rest | one stream of bits, see `track` |

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::cell::Kind;
use super::track::Track;
use crate::base::bits::BitReader;
use crate::base::bytes::Corrupt;
use crate::model::histogram::{Histogram, ResetHint};

/// Bytes before the layout.
pub(super) const HEADER_LEN: usize = 3;

/// The header's byte for what is known about a reset.
pub(super) fn header_byte(header: ResetHint) -> u8 {
    match header {
        ResetHint::Unknown => 0,
        ResetHint::NotReset => 0b0100_0000,
        ResetHint::Reset => 0b1000_0000,
        ResetHint::Gauge => 0b1100_0000,
    }
}

fn header_of_byte(byte: u8) -> ResetHint {
    match byte >> 6 {
        0 => ResetHint::Unknown,
        1 => ResetHint::NotReset,
        2 => ResetHint::Reset,
        _ => ResetHint::Gauge,
    }
}

/// Reads a chunk sample by sample; ends after the first error.
///
/// The reset hint of a sample is what the chunk alone can prove: gauge in a gauge chunk, no reset from the second
/// sample on, unknown for the first one, because the chunk before may be gone. [`HistogramIter::header`] has what the
/// writer knew.
#[derive(Debug, Clone)]
pub(crate) struct HistogramIter<'a> {
    pub(super) input: BitReader<'a>,
    kind: Kind,
    header: ResetHint,
    /// Samples the header promises.
    total: u16,
    read: u16,
    pub(super) track: Option<Track>,
}

impl<'a> HistogramIter<'a> {
    /// Looks at the header only.
    pub(crate) fn new(bytes: &'a [u8], kind: Kind) -> Result<Self, Corrupt> {
        let (header, rest) = bytes
            .split_first_chunk::<HEADER_LEN>()
            .ok_or(Corrupt::new("histogram chunk header", bytes.len()))?;
        let [high, low, flags] = *header;
        Ok(Self {
            input: BitReader::new(rest),
            kind,
            header: header_of_byte(flags),
            total: u16::from_be_bytes([high, low]),
            read: 0,
            track: None,
        })
    }

    /// What the writer knew about a reset before the first sample, or that this is a gauge.
    pub(crate) fn header(&self) -> ResetHint {
        self.header
    }

    /// Reads one sample into the track.
    pub(super) fn step(&mut self) -> Option<Result<&Track, Corrupt>> {
        if self.read >= self.total {
            return None;
        }
        let valid = match &mut self.track {
            Some(track) => track.read(&mut self.input).is_some(),
            empty => {
                *empty = Track::read_first(&mut self.input, self.kind);
                empty.is_some()
            }
        };
        self.read += 1;
        match &self.track {
            Some(track) if valid => Some(Ok(track)),
            _ => {
                self.total = 0;
                let at = HEADER_LEN + self.input.bit_position() / 8;
                Some(Err(Corrupt::new("histogram sample", at)))
            }
        }
    }

    fn hint(&self) -> ResetHint {
        match self.header {
            ResetHint::Gauge => ResetHint::Gauge,
            _ if self.read > 1 => ResetHint::NotReset,
            _ => ResetHint::Unknown,
        }
    }
}

impl Iterator for HistogramIter<'_> {
    type Item = Result<(i64, Histogram), Corrupt>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(corrupt) = self.step()? {
            return Some(Err(corrupt));
        }
        let hint = self.hint();
        let track = self.track.as_ref()?;
        Some(Ok((track.timestamp, track.histogram(hint).reduced())))
    }
}
