//! The rows of a series that its column of integers does not give back, with their bits.
//!
//! ```text
//! count    uvarint  runs of neighbouring rows with the same bits
//! gap      uvarint  per run: rows since the end of the run before (since row 0)
//! run      uvarint  per run: (rows - 1) << 3 | code
//! bits     u64      per run with code 7: the bits of the float
//! ```
//!
//! | code | value |
//! |---|---|
//! | 0 | stale marker, 0x7ff0000000000002 |
//! | 1 | Prometheus' NaN, 0x7ff8000000000001 |
//! | 2 | the default NaN of most processors, 0x7ff8000000000000 |
//! | 3 | positive infinity |
//! | 4 | negative infinity |
//! | 5 | -0.0 |
//! | 6 | the bits of the last run with code 7 (at first: 0) |
//! | 7 | stored |

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::decimal::Special;
use crate::base::bytes::{Corrupt, Cursor};
use crate::base::varint;
use crate::model::sample::STALE_NAN_BITS;

/// Bits of the codes 0 to 5.
const KNOWN: [u64; 6] = [
    STALE_NAN_BITS,
    0x7ff8_0000_0000_0001,
    0x7ff8_0000_0000_0000,
    0x7ff0_0000_0000_0000,
    0xfff0_0000_0000_0000,
    0x8000_0000_0000_0000,
];
const CODE_REPEAT: u64 = 6;
const CODE_STORED: u64 = 7;

/// Appends `specials`, which are sorted by row.
pub(super) fn encode(specials: &[Special], out: &mut Vec<u8>) {
    let same_run = |a: &Special, b: &Special| a.row + 1 == b.row && a.bits == b.bits;
    let runs = specials.chunk_by(same_run);
    varint::write_u64(out, runs.clone().count() as u64);
    let (mut end, mut stored) = (0, 0);
    for run in runs {
        let Some(first) = run.first() else { continue };
        let known = KNOWN.iter().position(|&bits| bits == first.bits);
        let code = match known {
            Some(code) => code as u64,
            None if first.bits == stored => CODE_REPEAT,
            None => CODE_STORED,
        };
        varint::write_u64(out, u64::from(first.row - end));
        varint::write_u64(out, (run.len() as u64 - 1) << 3 | code);
        if code == CODE_STORED {
            out.extend_from_slice(&first.bits.to_le_bytes());
            stored = first.bits;
        }
        end = first.row + run.len() as u32;
    }
}

/// Reads specials and puts their bits in place in `values`.
pub(super) fn patch(cursor: &mut Cursor<'_>, values: &mut [u64]) -> Result<(), Corrupt> {
    // A run takes at least two bytes.
    let count = cursor.length(cursor.remaining() / 2, "runs of special values")?;
    let mut rest = values;
    let mut stored = 0;
    for _ in 0..count {
        let gap = cursor.length(rest.len(), "gap before special values")?;
        let run = cursor.uvarint("run of special values")?;
        let bits = match run & 7 {
            CODE_STORED => {
                stored = cursor.u64("bits of special values")?;
                stored
            }
            CODE_REPEAT => stored,
            code => KNOWN.get(code as usize).copied().unwrap_or(0),
        };
        let split = rest.split_at_mut_checked(gap).and_then(|(_, after)| {
            after.split_at_mut_checked(usize::try_from(run >> 3).ok()?.checked_add(1)?)
        });
        let Some((special, after)) = split else {
            return Err(cursor.corrupt("run of special values"));
        };
        special.fill(bits);
        rest = after;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(
            marks in proptest::collection::vec((0usize..3, prop_oneof![
                proptest::sample::select(KNOWN.to_vec()), Just(42), Just(43), Just(0)
            ]), 0..100)
        ) {
            let mut specials = Vec::new();
            let mut expected = Vec::new();
            for (gap, bits) in marks {
                expected.extend(std::iter::repeat_n(7, gap));
                specials.push(Special { row: expected.len() as u32, bits });
                expected.push(bits);
            }
            let mut bytes = Vec::new();
            encode(&specials, &mut bytes);
            let mut values = vec![7; expected.len()];
            prop_assert_eq!(patch(&mut Cursor::new(&bytes), &mut values), Ok(()));
            prop_assert_eq!(values, expected);
        }
    }
}
