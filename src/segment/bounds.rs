//! First and last timestamp of every row.
//!
//! The series of one target share them, so the section is a dictionary: u32 number of pairs, per pair i64 first and
//! i64 last, then the packed index of each row.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::packed;
use crate::base::bytes::{Corrupt, Cursor};
use hashbrown::HashMap;

const PAIR_BYTES: usize = 16;

pub(crate) fn write(bounds: &[(i64, i64)], out: &mut Vec<u8>) {
    let mut numbers: HashMap<(i64, i64), u32, foldhash::fast::FixedState> = HashMap::default();
    let mut pairs = Vec::new();
    let indices: Vec<u32> = bounds
        .iter()
        .map(|pair| {
            *numbers.entry(*pair).or_insert_with(|| {
                pairs.push(*pair);
                pairs.len() as u32 - 1
            })
        })
        .collect();
    out.extend_from_slice(&(pairs.len() as u32).to_le_bytes());
    for (first, last) in &pairs {
        out.extend_from_slice(&first.to_le_bytes());
        out.extend_from_slice(&last.to_le_bytes());
    }
    packed::write(&indices, out);
}

/// First and last timestamp of `row`.
#[inline]
pub(crate) fn get(section: &[u8], row: u32) -> Result<(i64, i64), Corrupt> {
    let mut cursor = Cursor::new(section);
    let pairs = cursor.u32("number of bounds")? as usize;
    let pairs = cursor.take(pairs.saturating_mul(PAIR_BYTES), "bounds")?;
    let index = packed::get(cursor.rest(), row as usize)? as usize;
    let pair = pairs
        .get(index * PAIR_BYTES..)
        .ok_or_else(|| cursor.corrupt("bounds of a series"))?;
    let mut pair = Cursor::new(pair);
    Ok((pair.i64("first timestamp")?, pair.i64("last timestamp")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_its_own() {
        let bounds = [(0, 9), (-5, 100), (0, 9), (i64::MIN, i64::MAX)];
        let mut section = Vec::new();
        write(&bounds, &mut section);
        for (row, pair) in bounds.iter().enumerate() {
            assert_eq!(get(&section, row as u32), Ok(*pair));
        }
        assert!(get(&section[..10], 0).is_err());
    }
}
