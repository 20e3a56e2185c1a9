//! The chunks of Prometheus, byte for byte: XOR (encoding 1), histogram (2) and float histogram (3).
//!
//! A chunk is one series' run of samples, as remote read sends it and as the head keeps it. What is written here
//! equals what Prometheus 3.5 writes for the same samples cut at the same places; `tests/golden/chunks` holds the
//! evidence. Chunks carry no checksum and no start timestamps.

mod buckets;
pub(crate) mod cell;
pub(crate) mod histogram;
pub(crate) mod histogram_iter;
mod layout;
mod track;
mod varbit;
pub(crate) mod xor;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;

/// Number of an XOR chunk on the wire.
pub(crate) const ENCODING_XOR: u8 = 1;
/// Number of an integer histogram chunk on the wire.
pub(crate) const ENCODING_HISTOGRAM: u8 = 2;
/// Number of a float histogram chunk on the wire.
pub(crate) const ENCODING_FLOAT_HISTOGRAM: u8 = 3;
