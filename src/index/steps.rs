//! The rows of a list as steps from one to the next, with marks on the way in a long list: it is mostly asked for what it
//! has in common with a few rows close together.
//!
//! ```text
//! in fewer than 1,024 bytes:   steps
//! in 1,024 bytes or more:      u32 number of marks, the marks, steps
//! mark                         u32: a row, u32: where its next step begins in the steps
//! step                         a varint s:
//!                                s even   one step of s / 2 + 1
//!                                s odd    a varint n follows: n + 2 steps of (s - 1) / 2 + 1
//! ```

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::rows::RowUnion;
use crate::base::bytes::{Corrupt, Cursor};
use crate::base::varint;
use std::ops::RangeInclusive;

/// From so many bytes on a list has marks.
const MARKED_BYTES_MIN: usize = 1_024;
/// Bytes of steps from one mark to the next, at least.
const MARK_EVERY: usize = 512;
const MARK_LEN: usize = 8;

/// The steps behind the first of `rows`, which are ascending.
pub(super) fn encode(rows: &[u32]) -> Vec<u8> {
    let (mut steps, mut marks) = (Vec::new(), Vec::new());
    let mut row = rows.first().copied().unwrap_or(0);
    let mut next = rows
        .windows(2)
        .filter_map(|two| Some(two.last()? - two.first()?))
        .peekable();
    let mut marked = 0;
    while let Some(step) = next.next() {
        if steps.len() - marked >= MARK_EVERY {
            marked = steps.len();
            marks.extend_from_slice(&row.to_le_bytes());
            marks.extend_from_slice(&(marked as u32).to_le_bytes());
        }
        let mut repeats = 0u32;
        while next.next_if_eq(&step).is_some() {
            repeats += 1;
        }
        row += step * (repeats + 1);
        write_steps(&mut steps, step, repeats);
    }
    if steps.len() < MARKED_BYTES_MIN {
        return steps;
    }
    let count = (marks.len() / MARK_LEN) as u32;
    [&count.to_le_bytes(), &marks[..], &steps].concat()
}

fn write_steps(out: &mut Vec<u8>, step: u32, repeats: u32) {
    let code = u64::from(step - 1) << 1;
    match repeats {
        0 => varint::write_u64(out, code),
        // Twice a one-byte step is as short as its repetition and faster to read.
        1 if code < 0x80 => [code, code].iter().for_each(|code| varint::write_u64(out, *code)),
        _ => {
            varint::write_u64(out, code | 1);
            varint::write_u64(out, u64::from(repeats) - 1);
        }
    }
}

/// A list as it is stored, over bytes that may be wrong.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steps<'a> {
    marks: &'a [u8],
    steps: &'a [u8],
}

impl<'a> Steps<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Corrupt> {
        let mut cursor = Cursor::new(bytes);
        if bytes.len() < MARKED_BYTES_MIN {
            return Ok(Self {
                marks: &[],
                steps: bytes,
            });
        }
        let count = cursor.u32("number of marks")? as usize;
        let marks = cursor.take(count.saturating_mul(MARK_LEN), "marks of a list")?;
        Ok(Self {
            marks,
            steps: cursor.rest(),
        })
    }

    fn mark_count(&self) -> usize {
        self.marks.len() / MARK_LEN
    }

    /// The row at which a mark stands, and where its next step begins.
    fn mark(&self, number: usize) -> Option<(u32, usize)> {
        let bytes = self.marks.get(number * MARK_LEN..)?.first_chunk::<MARK_LEN>()?;
        let word = u64::from_le_bytes(*bytes);
        Some((word as u32, (word >> 32) as usize))
    }

    /// How many marks stand below `row`.
    fn marks_below(&self, row: u32) -> usize {
        let (mut low, mut high) = (0, self.mark_count());
        while low < high {
            let middle = low.midpoint(high);
            match self.mark(middle) {
                Some(mark) if mark.0 < row => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    }

    /// Bytes to read for the rows within `range`.
    pub(super) fn bytes_within(&self, range: &RangeInclusive<u32>) -> u64 {
        let at = |number: usize| self.mark(number).map(|mark| mark.1);
        let start = self
            .marks_below(*range.start())
            .checked_sub(1)
            .and_then(at)
            .unwrap_or(0);
        let end = at(self.marks_below(*range.end())).unwrap_or(self.steps.len());
        end.saturating_sub(start) as u64
    }

    /// Adds the rows within `range`, and a few beside them, of a list that begins with `first` in a segment of so many rows.
    pub(super) fn add_within(
        &self,
        first: u32,
        row_count: u32,
        range: &RangeInclusive<u32>,
        union: &mut RowUnion,
    ) -> Result<(), Corrupt> {
        let mut next_mark = self.marks_below(*range.start());
        let (mut row, mut cursor) = (u64::from(first), Cursor::new(self.steps));
        match next_mark.checked_sub(1).and_then(|number| self.mark(number)) {
            Some((marked, at)) => {
                row = u64::from(marked);
                cursor.take(at, "mark of a list")?;
            }
            None => union.push(first),
        }
        while !cursor.is_empty() && row < u64::from(*range.end()) {
            if let Some((marked, at)) = self.mark(next_mark)
                && at <= cursor.position()
            {
                if (u64::from(marked), at) != (row, cursor.position()) {
                    return Err(cursor.corrupt("mark of a list"));
                }
                next_mark += 1;
            }
            row = add_steps(&mut cursor, row, *range.start(), row_count, union)?;
        }
        Ok(())
    }
}

/// Adds the rows of one code from `start` on; gives back the last.
#[inline]
fn add_steps(
    cursor: &mut Cursor<'_>,
    mut row: u64,
    start: u32,
    row_count: u32,
    union: &mut RowUnion,
) -> Result<u64, Corrupt> {
    let code = cursor.uvarint("step")?;
    let step = (code >> 1) + 1;
    let repeats = match code & 1 {
        0 => 1,
        _ => cursor.uvarint("steps")?.saturating_add(2),
    };
    let end = step
        .checked_mul(repeats)
        .and_then(|distance| row.checked_add(distance));
    let end = end.filter(|end| *end < u64::from(row_count));
    let end = end.ok_or_else(|| cursor.corrupt("a list names a row beyond the last"))?;
    if step == 1 {
        union.push_run(row as u32 + 1, end as u32);
        return Ok(end);
    }
    while row < end {
        row += step;
        if row >= u64::from(start) {
            union.push(row as u32);
        }
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn rows_within(bytes: &[u8], first: u32, range: RangeInclusive<u32>) -> Vec<u32> {
        let mut union = RowUnion::default();
        let steps = Steps::read(bytes).unwrap();
        steps.add_within(first, 1 << 20, &range, &mut union).unwrap();
        union.finish().iter().filter(|row| range.contains(row)).collect()
    }

    proptest! {
        #[test]
        fn a_range_of_a_list_is_read_alone(
            steps in proptest::collection::vec((1u32..80, 1u32..5), 1..4_000),
            range in (0u32..1 << 19, 0u32..20_000),
        ) {
            let mut rows = BTreeSet::from([7]);
            for (step, repeats) in steps {
                for _ in 0..repeats {
                    rows.insert(rows.last().unwrap() + step);
                }
            }
            let all: Vec<u32> = rows.iter().copied().collect();
            let bytes = encode(&all);
            prop_assert_eq!(&rows_within(&bytes, 7, 0..=u32::MAX), &all);
            let range = range.0..=range.0 + range.1;
            let expected: Vec<u32> = rows.range(range.clone()).copied().collect();
            prop_assert_eq!(rows_within(&bytes, 7, range.clone()), expected);
            let steps = Steps::read(&bytes).unwrap();
            prop_assert!(steps.bytes_within(&range) <= bytes.len() as u64);
            // A mark every 512 bytes, so that no range costs more than what is in it and two stretches.
            prop_assert!(steps.bytes_within(&(range.start() + 1..=range.start() + 1)) <= 2 * MARK_EVERY as u64 + 20);
        }
    }

    #[test]
    fn a_mark_in_the_wrong_place_is_noticed() {
        let rows: Vec<u32> = (0..2_000).map(|number| number * number / 7 + number).collect();
        let mut bytes = encode(&rows);
        assert!(bytes.len() > MARKED_BYTES_MIN + MARK_LEN);
        bytes[4] ^= 1;
        let steps = Steps::read(&bytes).unwrap();
        assert!(
            steps
                .add_within(0, 1 << 20, &(0..=u32::MAX), &mut RowUnion::default())
                .is_err()
        );
    }
}
