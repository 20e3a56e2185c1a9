//! As much of protobuf as it takes to read an answer: fields one after the other.

use anyhow::{Context, Result, bail};

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field<'a> {
    Varint(u64),
    Fixed(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message, in order. Ends after the first error.
pub struct Fields<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    pub fn new(message: &'a [u8]) -> Self {
        Self { message, at: 0 }
    }

    /// The contents of all fields of this number that hold bytes.
    pub fn of(self, number: u64) -> impl Iterator<Item = Result<&'a [u8]>> {
        self.filter_map(move |field| match field {
            Ok((found, Field::Bytes(bytes))) if found == number => Some(Ok(bytes)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
    }

    fn field(&mut self) -> Result<(u64, Field<'a>)> {
        let key = varint(self.message, &mut self.at)?;
        let field = match key & 7 {
            0 => Field::Varint(varint(self.message, &mut self.at)?),
            1 => {
                let bytes = self.take(8)?;
                Field::Fixed(
                    bytes
                        .iter()
                        .rev()
                        .fold(0, |all, byte| all << 8 | u64::from(*byte)),
                )
            }
            2 => {
                let length = varint(self.message, &mut self.at)?;
                Field::Bytes(self.take(usize::try_from(length)?)?)
            }
            kind => bail!("a field of the kind {kind}"),
        };
        Ok((key >> 3, field))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let rest = self.message.get(self.at..).unwrap_or_default();
        let taken = rest.get(..length).context("a message that is cut off")?;
        self.at += length;
        Ok(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Field<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.message.len() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.at = self.message.len();
        }
        Some(field)
    }
}

/// The number at `at`, which moves behind it.
pub fn varint(bytes: &[u8], at: &mut usize) -> Result<u64> {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = *bytes.get(*at).context("a number that is cut off")?;
        *at += 1;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte < 0x80 {
            return Ok(value);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_in_order_and_a_cut_is_an_error() {
        let message = [0x08, 0xac, 0x02, 0x12, 1, 7, 0x19, 1, 0, 0, 0, 0, 0, 0, 0x80];
        let fields: Vec<_> = Fields::new(&message).map(Result::unwrap).collect();
        let expected = [
            (1, Field::Varint(300)),
            (2, Field::Bytes(&[7])),
            (3, Field::Fixed(1 << 63 | 1)),
        ];
        assert_eq!(fields, expected);
        for end in [1, 2, 4, 5, 7, 14] {
            assert!(Fields::new(&message[..end]).any(|field| field.is_err()), "{end}");
        }
        assert_eq!(
            Fields::new(&message)
                .of(2)
                .map(Result::unwrap)
                .collect::<Vec<_>>(),
            [[7]]
        );
    }
}
