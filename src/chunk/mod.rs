//! The chunks of Prometheus, byte for byte: XOR (encoding 1), histogram (2) and float histogram (3).
//!
//! A chunk is one series' run of samples, as remote read sends it and as the head keeps it. What is written here
//! equals what Prometheus 3.5 writes for the same samples cut at the same places; `tests/golden/chunks` holds the
//! evidence. Chunks carry no checksum and no start timestamps.

mod buckets;
pub(crate) mod cell;
mod encoding;
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

pub use encoding::Encoding;
pub(crate) use encoding::histogram_samples;
pub(crate) use histogram::{Appended, HistogramAppender, first_header};
pub(crate) use xor::{Seam, XorAppender};
