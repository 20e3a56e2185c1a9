//! A walk over the fields of a protobuf message, without copies.
//!
//! A message remembers the whole body it lies in, so that errors and ranges give offsets in the body.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use crate::base::bytes::Corrupt;
use crate::base::varint;
use std::ops::Range;

/// What a field holds.
#[derive(Debug, Clone)]
pub(crate) enum Field {
    Varint(u64),
    Fixed64(u64),
    Fixed32,
    /// Text, bytes, a message or packed numbers: where it stands in the body.
    Range(Range<usize>),
}

/// A message, or the rest of one.
#[derive(Debug, Clone)]
pub(crate) struct Message<'a> {
    body: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Message<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self::within(body, 0..body.len())
    }

    /// The message at a range of the body, which is cut to the body.
    #[inline]
    pub(crate) fn within(body: &'a [u8], range: Range<usize>) -> Self {
        let end = range.end.min(body.len());
        Self {
            body,
            at: range.start.min(end),
            end,
        }
    }

    /// Where the next field begins.
    #[inline]
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.at == self.end
    }

    pub(crate) fn corrupt(&self, what: &'static str) -> Corrupt {
        Corrupt::new(what, self.at)
    }

    /// Takes the tag of a field if it is this one, of a single byte. Senders write fields in the same order, so that a guess
    /// saves the way through [`Message::next`].
    #[inline]
    pub(crate) fn take_tag(&mut self, tag: u8) -> bool {
        let is_there = self.at < self.end && self.body.get(self.at) == Some(&tag);
        self.at += usize::from(is_there);
        is_there
    }

    #[inline(always)]
    pub(crate) fn varint(&mut self, what: &'static str) -> Result<u64, Corrupt> {
        let rest = self.body.get(self.at..self.end).unwrap_or(&[]);
        if let Some(byte) = rest.first()
            && *byte < 0x80
        {
            self.at += 1;
            return Ok(u64::from(*byte));
        }
        let (value, used) = varint::read_u64(rest).ok_or_else(|| self.corrupt(what))?;
        self.at += used;
        Ok(value)
    }

    /// Bytes behind their length.
    #[inline]
    pub(crate) fn range(&mut self, what: &'static str) -> Result<Range<usize>, Corrupt> {
        let at = self.at;
        let length = self.varint(what)?;
        if length > (self.end - self.at) as u64 {
            return Err(Corrupt::new(what, at));
        }
        let start = self.at;
        self.at += length as usize;
        Ok(start..self.at)
    }

    #[inline]
    fn fixed<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Corrupt> {
        let bytes = self.body.get(self.at..self.end).unwrap_or(&[]);
        let (found, _) = bytes.split_first_chunk::<N>().ok_or_else(|| self.corrupt(what))?;
        self.at += N;
        Ok(*found)
    }

    #[inline]
    pub(crate) fn fixed64(&mut self, what: &'static str) -> Result<u64, Corrupt> {
        Ok(u64::from_le_bytes(self.fixed(what)?))
    }

    /// The next field's number and what it holds; `None` at the end.
    #[inline(always)]
    pub(crate) fn next(&mut self, what: &'static str) -> Result<Option<(u32, Field)>, Corrupt> {
        if self.is_empty() {
            return Ok(None);
        }
        self.field(what).map(Some)
    }

    fn field(&mut self, what: &'static str) -> Result<(u32, Field), Corrupt> {
        let at = self.at;
        let tag = self.varint(what)?;
        let number = u32::try_from(tag >> 3).unwrap_or(0);
        if number == 0 {
            return Err(Corrupt::new(what, at));
        }
        let field = match tag & 7 {
            0 => Field::Varint(self.varint(what)?),
            1 => Field::Fixed64(self.fixed64(what)?),
            2 => Field::Range(self.range(what)?),
            5 => self.fixed::<4>(what).map(|_| Field::Fixed32)?,
            // Groups were never used here, and are not in version 3 of the language.
            _ => return Err(Corrupt::new(what, at)),
        };
        Ok((number, field))
    }
}

/// The text at a range of the body.
pub(crate) fn bytes_at(body: &[u8], range: Range<usize>) -> &[u8] {
    body.get(range).unwrap_or(&[])
}

/// A text field.
pub(crate) fn text_at<'a>(
    body: &'a [u8],
    range: Range<usize>,
    what: &'static str,
) -> Result<&'a str, Corrupt> {
    let at = range.start;
    std::str::from_utf8(bytes_at(body, range)).map_err(|_| Corrupt::new(what, at))
}

/// Takes the numbers of a repeated varint field, packed or not.
pub(crate) fn repeated_varint(
    body: &[u8],
    field: Field,
    what: &'static str,
    mut each: impl FnMut(u64),
) -> Result<(), Corrupt> {
    match field {
        Field::Varint(value) => each(value),
        Field::Range(range) => {
            let mut numbers = Message::within(body, range);
            while !numbers.is_empty() {
                each(numbers.varint(what)?);
            }
        }
        Field::Fixed64(_) | Field::Fixed32 => return Err(Corrupt::new(what, 0)),
    }
    Ok(())
}

/// Takes the numbers of a repeated double field, packed or not.
pub(crate) fn repeated_double(
    body: &[u8],
    field: Field,
    what: &'static str,
    out: &mut Vec<f64>,
) -> Result<(), Corrupt> {
    match field {
        Field::Fixed64(bits) => out.push(f64::from_bits(bits)),
        Field::Range(range) => {
            let mut numbers = Message::within(body, range);
            while !numbers.is_empty() {
                out.push(f64::from_bits(numbers.fixed64(what)?));
            }
        }
        Field::Varint(_) | Field::Fixed32 => return Err(Corrupt::new(what, 0)),
    }
    Ok(())
}
