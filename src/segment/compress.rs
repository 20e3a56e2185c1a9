//! The compressor of sections and data: none, snappy or zstd.

use crate::base::bytes::Corrupt;
use std::cell::RefCell;
use zstd::bulk::{Compressor as ZstdCompressor, Decompressor as ZstdDecompressor};

/// How bytes are compressed. What does not get smaller is stored as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
#[non_exhaustive]
pub enum Compressor {
    /// Not at all.
    None = 0,
    /// Snappy block format.
    Snappy = 1,
    /// Zstandard, level 3.
    #[default]
    Zstd = 2,
}

const ZSTD_LEVEL: i32 = 3;

/// Largest size of anything that is decompressed in one piece.
pub(crate) const RAW_BYTES_MAX: usize = 1 << 31;

impl Compressor {
    pub(crate) fn from_u8(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::None),
            1 => Some(Self::Snappy),
            2 => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The bytes to store and how they were compressed.
    pub(crate) fn compress(self, raw: &[u8]) -> (Self, Vec<u8>) {
        let compressed = match self {
            Self::None => None,
            Self::Snappy => snap::raw::Encoder::new().compress_vec(raw).ok(),
            Self::Zstd => zstd_compress(raw),
        };
        match compressed {
            Some(compressed) if compressed.len() < raw.len() => (self, compressed),
            _ => (Self::None, raw.to_vec()),
        }
    }

    /// The bytes that were compressed, exactly `raw_length` of them.
    pub(crate) fn decompress(self, stored: &[u8], raw_length: usize) -> Result<Vec<u8>, Corrupt> {
        if raw_length > RAW_BYTES_MAX {
            return Err(Corrupt::new("length of compressed data", 0));
        }
        let raw = match self {
            Self::None => Some(stored.to_vec()),
            Self::Snappy => snap::raw::decompress_len(stored)
                .ok()
                .filter(|length| *length == raw_length)
                .and_then(|_| snap::raw::Decoder::new().decompress_vec(stored).ok()),
            Self::Zstd => zstd_decompress(stored, raw_length),
        };
        raw.filter(|raw| raw.len() == raw_length)
            .ok_or(Corrupt::new("compressed data", 0))
    }
}

// To make a context costs more than to unpack a group of samples with it. What it holds between two calls is of no account.
thread_local! {
    static COMPRESSOR: RefCell<Option<ZstdCompressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<ZstdDecompressor<'static>>> = const { RefCell::new(None) };
}

fn zstd_compress(raw: &[u8]) -> Option<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|context| {
        if context.is_none() {
            *context = ZstdCompressor::new(ZSTD_LEVEL).ok();
        }
        context.as_mut()?.compress(raw).ok()
    })
}

fn zstd_decompress(stored: &[u8], raw_length: usize) -> Option<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|context| {
        if context.is_none() {
            *context = ZstdDecompressor::new().ok();
        }
        context.as_mut()?.decompress(stored, raw_length).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_compressor_gives_back_what_it_got() {
        let raw: Vec<u8> = (0..10_000u32).map(|number| (number / 100) as u8).collect();
        for compressor in [Compressor::None, Compressor::Snappy, Compressor::Zstd] {
            let (used, stored) = compressor.compress(&raw);
            assert_eq!(used, compressor);
            assert_eq!(used.decompress(&stored, raw.len()).as_deref(), Ok(raw.as_slice()));
            assert!(used.decompress(&stored, raw.len() + 1).is_err());
        }
        assert_eq!(Compressor::Zstd.compress(&[1, 2, 3]).0, Compressor::None);
    }
}
