//! The hashes of the format: XXH3 with 64 bits for checksums and 128 bits for label sets.

use xxhash_rust::{xxh3, xxh64};

/// Checksum of a section, record or group.
#[inline]
pub(crate) fn checksum(bytes: &[u8]) -> u64 {
    xxh3::xxh3_64(bytes)
}

/// Checksum that also covers where the bytes stand, so that bytes left over from another place never look valid.
#[inline]
pub(crate) fn checksum_seeded(bytes: &[u8], seed: u64) -> u64 {
    xxh3::xxh3_64_with_seed(bytes, seed)
}

/// Hash of a canonical label set.
#[inline]
pub(crate) fn hash_128(bytes: &[u8]) -> u128 {
    xxh3::xxh3_128(bytes)
}

/// Hash of a label set as Prometheus makes it: XXH64 of names and values, each behind its length.
pub(crate) fn prometheus_64<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> u64 {
    let mut bytes = Vec::new();
    for text in labels.flat_map(|(name, value)| [name, value]) {
        match u8::try_from(text.len()) {
            Ok(length) if length < u8::MAX => bytes.push(length),
            _ => {
                bytes.push(u8::MAX);
                bytes.extend_from_slice(&(text.len() as u32).to_le_bytes()[..3]);
            }
        }
        bytes.extend_from_slice(text.as_bytes());
    }
    xxh64::xxh64(&bytes, 0)
}
