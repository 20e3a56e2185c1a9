//! The keys of logs and events: time first, then a number that nothing else has. Bytes are described in
//! docs/format/records.md.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::error::RecordError;
use super::store::KeyRange;
use crate::base::bytes::{Corrupt, Cursor};

/// Bytes of a position.
const POSITION_BYTES: usize = 16;
/// Longest name of a device or column in bytes.
pub(crate) const NAME_BYTES_MAX: usize = 1024;

/// Where a record stands among all of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) time: i64,
    pub(crate) number: u64,
}

impl Position {
    /// The first that a record of this time can have.
    pub(crate) fn first_of(time: i64) -> Self {
        Self { time, number: 0 }
    }

    /// Big-endian with the sign of the time turned round, so that the order of bytes is the order of positions.
    pub(crate) fn encode(self, out: &mut Vec<u8>) {
        let time = self.time.cast_unsigned() ^ (1 << 63);
        out.extend_from_slice(&time.to_be_bytes());
        out.extend_from_slice(&self.number.to_be_bytes());
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Corrupt> {
        let mut cursor = Cursor::new(bytes);
        let what = "key of a record";
        // The cursor reads little-endian.
        let time = cursor.u64(what)?.swap_bytes();
        let number = cursor.u64(what)?.swap_bytes();
        if !cursor.is_empty() {
            return Err(cursor.corrupt(what));
        }
        let time = (time ^ (1 << 63)).cast_signed();
        Ok(Self { time, number })
    }

    /// As a caller gets it, to go on from.
    pub(crate) fn token(self) -> String {
        let Self { time, number } = self;
        format!("{:016x}{number:016x}", time.cast_unsigned())
    }

    pub(crate) fn from_token(token: &str) -> Result<Self, RecordError> {
        let parse = || {
            let (time, number) = token.split_at_checked(16)?;
            let hex = |text: &str| {
                let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
                is_hex.then(|| u64::from_str_radix(text, 16).ok()).flatten()
            };
            Some(Self {
                time: hex(time)?.cast_signed(),
                number: hex(number)?,
            })
        };
        parse().ok_or_else(|| RecordError::Invalid(format!("{token:?} is no cursor of an earlier page")))
    }
}

/// A name before what is sorted under it: its length, big-endian, and its bytes.
pub(crate) fn name_prefix(name: &str) -> Result<Vec<u8>, RecordError> {
    match u16::try_from(name.len()) {
        Ok(length) if name.len() <= NAME_BYTES_MAX => {
            let mut out = length.to_be_bytes().to_vec();
            out.extend_from_slice(name.as_bytes());
            Ok(out)
        }
        _ => {
            let start: String = name.chars().take(32).collect();
            Err(RecordError::Invalid(format!(
                "the name {start}... has {} bytes, more than {NAME_BYTES_MAX}",
                name.len()
            )))
        }
    }
}

/// The name at the front of a key, and the rest.
pub(crate) fn split_name(key: &[u8]) -> Result<(&str, &[u8]), Corrupt> {
    let mut cursor = Cursor::new(key);
    let length = cursor.u16("length of a name")?.swap_bytes();
    let name = cursor.take(usize::from(length), "name")?;
    let name = std::str::from_utf8(name).map_err(|_| Corrupt::new("name", 2))?;
    Ok((name, cursor.rest()))
}

/// The first bytes behind all that begin with `prefix`, which has a byte below 0xff.
pub(crate) fn behind(prefix: &[u8]) -> Vec<u8> {
    let mut out = prefix.to_vec();
    while let Some(last) = out.pop() {
        if last < 0xff {
            out.push(last + 1);
            return out;
        }
    }
    super::store::END.to_vec()
}

/// The keys that begin with `prefix` and go on with a position from `first` to `last`, both included. Left out are `after`
/// and what was passed before it.
pub(crate) fn positions(
    prefix: &[u8],
    (first, last): (i64, i64),
    newest_first: bool,
    after: Option<Position>,
) -> KeyRange {
    let key = |position: Position| {
        let mut key = prefix.to_vec();
        position.encode(&mut key);
        key
    };
    let next = |position: Position| {
        let mut key = key(position);
        key.push(0);
        key
    };
    let end = Position {
        time: last,
        number: u64::MAX,
    };
    let mut range = KeyRange {
        from: key(Position::first_of(first)),
        to: next(end),
    };
    match after {
        Some(after) if newest_first => range.to = range.to.min(key(after)),
        Some(after) => range.from = range.from.max(next(after)),
        None => {}
    }
    range
}

/// The position at the end of a key.
pub(crate) fn position_at_end(key: &[u8]) -> Result<Position, Corrupt> {
    let start = key.len().checked_sub(POSITION_BYTES);
    let bytes = start.and_then(|start| key.get(start..));
    Position::decode(bytes.ok_or_else(|| Corrupt::new("key of a record", 0))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(position: Position) -> Vec<u8> {
        let mut out = Vec::new();
        position.encode(&mut out);
        out
    }

    proptest! {
        #[test]
        fn round_trip_and_order(a: (i64, u64), b: (i64, u64)) {
            let position = |(time, number)| Position { time, number };
            let (a, b) = (position(a), position(b));
            prop_assert_eq!(Position::decode(&key(a)), Ok(a));
            prop_assert_eq!(Position::from_token(&a.token()), Ok(a));
            prop_assert_eq!(key(a).cmp(&key(b)), a.cmp(&b));
            let mut long = name_prefix("device").expect("a short name");
            a.encode(&mut long);
            prop_assert_eq!(position_at_end(&long), Ok(a));
            let rest = key(a);
            prop_assert_eq!(split_name(&long), Ok(("device", rest.as_slice())));
        }

        #[test]
        fn any_bytes_return(bytes: Vec<u8>, text: String) {
            let _ = Position::decode(&bytes);
            let _ = position_at_end(&bytes);
            let _ = split_name(&bytes);
            let _ = Position::from_token(&text);
        }

        #[test]
        fn what_is_behind_a_prefix_is_behind_all_of_it(prefix: Vec<u8>, rest: Vec<u8>) {
            prop_assume!(prefix.iter().any(|byte| *byte < 0xff));
            let whole = [prefix.clone(), rest].concat();
            prop_assert!(whole < behind(&prefix) && prefix < behind(&prefix));
        }
    }

    #[test]
    fn the_ends_of_time_are_in_the_range() {
        let all = positions(b"", (i64::MIN, i64::MAX), true, None);
        for time in [i64::MIN, -1, 0, i64::MAX] {
            let last = Position {
                time,
                number: u64::MAX,
            };
            for position in [Position::first_of(time), last] {
                assert!(all.from <= key(position) && key(position) < all.to);
            }
        }
    }

    #[test]
    fn a_cursor_leaves_out_what_was_given() {
        let at = |time, number| Position { time, number };
        let after = Some(at(5, 1));
        let older = positions(b"", (0, 9), true, after);
        assert!(key(at(5, 0)) < older.to && key(at(5, 1)) >= older.to);
        let newer = positions(b"", (0, 9), false, after);
        assert!(key(at(5, 1)) < newer.from && key(at(5, 2)) >= newer.from);
    }
}
