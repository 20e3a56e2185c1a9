//! The ground floor: clocks, bit and byte readers, variable-length integers and hashes. Knows nothing of metrics.

pub(crate) mod bits;
pub(crate) mod bytes;
pub(crate) mod civil;
pub(crate) mod clock;
pub(crate) mod go_text;
pub(crate) mod hash;
pub(crate) mod kahan;
#[cfg(feature = "server")]
pub(crate) mod keyed;
pub(crate) mod mask;
pub(crate) mod math;
pub(crate) mod spans;
pub(crate) mod texts;
pub(crate) mod varint;
pub(crate) mod xor_window;
