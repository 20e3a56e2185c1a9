//! A checked cursor over bytes that came from disk or network, and the error every decoder returns.
//!
//! Nothing here panics on any input: a read past the end is a [`Corrupt`] error that says what was being read
//! and at which offset.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::varint;

/// Bytes that do not decode: what was expected and at which offset of the decoded buffer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("corrupt data at offset {offset}: {what}")]
pub struct Corrupt {
    /// What was being decoded.
    pub what: &'static str,
    /// Offset in the buffer given to the decoder.
    pub offset: u64,
}

impl Corrupt {
    /// An error for `what` at `offset`.
    pub(crate) fn new(what: &'static str, offset: usize) -> Self {
        Self {
            what,
            offset: offset as u64,
        }
    }
}

/// A position in a byte slice; every read is checked.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub(crate) fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    pub(crate) fn corrupt(&self, what: &'static str) -> Corrupt {
        Corrupt::new(what, self.position)
    }

    /// The bytes not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.position..).unwrap_or(&[])
    }

    pub(crate) fn take(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], Corrupt> {
        let end = self
            .position
            .checked_add(length)
            .ok_or_else(|| self.corrupt(what))?;
        let slice = self
            .bytes
            .get(self.position..end)
            .ok_or_else(|| self.corrupt(what))?;
        self.position = end;
        Ok(slice)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Corrupt> {
        let at = self.position;
        self.take(N, what)?.try_into().map_err(|_| Corrupt::new(what, at))
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, Corrupt> {
        Ok(self.array::<1>(what)?[0])
    }

    pub(crate) fn u16(&mut self, what: &'static str) -> Result<u16, Corrupt> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, Corrupt> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, Corrupt> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn i64(&mut self, what: &'static str) -> Result<i64, Corrupt> {
        Ok(i64::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u16_be(&mut self, what: &'static str) -> Result<u16, Corrupt> {
        Ok(u16::from_be_bytes(self.array(what)?))
    }

    pub(crate) fn u32_be(&mut self, what: &'static str) -> Result<u32, Corrupt> {
        Ok(u32::from_be_bytes(self.array(what)?))
    }

    pub(crate) fn u64_be(&mut self, what: &'static str) -> Result<u64, Corrupt> {
        Ok(u64::from_be_bytes(self.array(what)?))
    }

    pub(crate) fn u128(&mut self, what: &'static str) -> Result<u128, Corrupt> {
        Ok(u128::from_le_bytes(self.array(what)?))
    }

    /// An unsigned LEB128 integer.
    #[inline]
    pub(crate) fn uvarint(&mut self, what: &'static str) -> Result<u64, Corrupt> {
        let rest = self.rest();
        // One-byte values are by far the most common.
        if let Some(&byte) = rest.first()
            && byte < 0x80
        {
            self.position += 1;
            return Ok(u64::from(byte));
        }
        let (value, used) = varint::read_u64(rest).ok_or_else(|| self.corrupt(what))?;
        self.position += used;
        Ok(value)
    }

    /// A zig-zag LEB128 integer.
    #[inline]
    pub(crate) fn ivarint(&mut self, what: &'static str) -> Result<i64, Corrupt> {
        Ok(varint::unzigzag(self.uvarint(what)?))
    }

    /// A length as `usize`, refused when it is larger than `limit`.
    pub(crate) fn length(&mut self, limit: usize, what: &'static str) -> Result<usize, Corrupt> {
        let at = self.position;
        let value = self.uvarint(what)?;
        match usize::try_from(value) {
            Ok(length) if length <= limit => Ok(length),
            _ => Err(Corrupt::new(what, at)),
        }
    }

    /// Bytes behind their length.
    pub(crate) fn length_prefixed(&mut self, what: &'static str) -> Result<&'a [u8], Corrupt> {
        let length = self.length(self.remaining(), what)?;
        self.take(length, what)
    }

    /// Text behind its length.
    pub(crate) fn text(&mut self, what: &'static str) -> Result<&'a str, Corrupt> {
        let at = self.position;
        std::str::from_utf8(self.length_prefixed(what)?).map_err(|_| Corrupt::new(what, at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_past_the_end_name_what_and_where() {
        let mut cursor = Cursor::new(&[1, 2, 3]);
        assert_eq!(cursor.u16("first"), Ok(0x0201));
        assert_eq!(
            cursor.u16("second"),
            Err(Corrupt {
                what: "second",
                offset: 2
            })
        );
        assert_eq!(cursor.u8("third"), Ok(3));
        assert!(cursor.is_empty());
    }

    #[test]
    fn a_length_beyond_the_buffer_is_refused() {
        let mut cursor = Cursor::new(&[200, 1, 0]);
        assert!(cursor.length_prefixed("name").is_err());
        let mut cursor = Cursor::new(&[2, b'o', b'k']);
        assert_eq!(cursor.text("name"), Ok("ok"));
        let mut cursor = Cursor::new(&[1, 0xff]);
        assert!(cursor.text("name").is_err());
    }
}
