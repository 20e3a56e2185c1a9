//! Snappy blocks with a cap on what they may grow to.

use super::outcome::RequestError;

/// Decompresses a block into `buffer`, which keeps its memory. The length that the block claims is looked at before
/// anything is allocated.
pub(crate) fn decompress<'a>(
    block: &[u8],
    bytes_max: usize,
    buffer: &'a mut Vec<u8>,
) -> Result<&'a [u8], RequestError> {
    let bad = |error: snap::Error| RequestError::Snappy(error.to_string());
    let bytes = snap::raw::decompress_len(block).map_err(bad)?;
    if bytes > bytes_max {
        return Err(RequestError::TooLarge { bytes, bytes_max });
    }
    if buffer.len() < bytes {
        buffer.resize(bytes, 0);
    }
    let written = snap::raw::Decoder::new().decompress(block, buffer).map_err(bad)?;
    Ok(buffer.get(..written).unwrap_or(&[]))
}
