//! The union of many small lists of rows, built without a bitmap operation per list.

use roaring::RoaringBitmap;

/// Collects rows, runs and bitmaps; the union comes at the end.
#[derive(Debug, Default)]
pub(super) struct RowUnion {
    loose: Vec<u32>,
    runs: Vec<(u32, u32)>,
    rows_in_runs: u64,
    bitmaps: RoaringBitmap,
}

impl RowUnion {
    #[inline]
    pub(super) fn push(&mut self, row: u32) {
        self.loose.push(row);
    }

    /// Adds `first` to `last`, both included.
    #[inline]
    pub(super) fn push_run(&mut self, first: u32, last: u32) {
        if first == last {
            self.loose.push(first);
        } else {
            self.rows_in_runs += u64::from(last - first) + 1;
            self.runs.push((first, last));
        }
    }

    pub(super) fn push_bitmap(&mut self, bitmap: &RoaringBitmap) {
        self.bitmaps |= bitmap;
    }

    /// As [`RowUnion::push_bitmap`], without a copy when it is the first.
    pub(super) fn take_bitmap(&mut self, bitmap: RoaringBitmap) {
        if self.bitmaps.is_empty() {
            self.bitmaps = bitmap;
        } else {
            self.bitmaps |= bitmap;
        }
    }

    pub(super) fn finish(mut self) -> RoaringBitmap {
        let highest_loose = self.loose.iter().max().copied();
        let highest_run = self.runs.iter().map(|run| run.1).max();
        let Some(highest) = highest_loose.max(highest_run) else {
            return self.bitmaps;
        };
        // Many pieces set bits faster than they sort; few pieces should not clear a large field of bits.
        let pieces = (self.loose.len() + self.runs.len()) as u64;
        let rows = if pieces > 64 && pieces * 64 > u64::from(highest) {
            self.dense(highest)
        } else {
            self.sparse()
        };
        if self.bitmaps.is_empty() {
            rows
        } else {
            self.bitmaps | rows
        }
    }

    fn dense(&self, highest: u32) -> RoaringBitmap {
        let mut field = vec![0u8; highest as usize / 8 + 1];
        for &row in &self.loose {
            field[row as usize / 8] |= 1 << (row % 8);
        }
        for &(first, last) in &self.runs {
            set_run(&mut field, first as usize, last as usize);
        }
        RoaringBitmap::from_lsb0_bytes(0, &field)
    }

    fn sparse(&mut self) -> RoaringBitmap {
        self.loose.sort_unstable();
        self.loose.dedup();
        let mut rows: RoaringBitmap = self.loose.drain(..).collect();
        for &(first, last) in &self.runs {
            rows.insert_range(first..=last);
        }
        rows
    }
}

fn set_run(field: &mut [u8], first: usize, last: usize) {
    let (first_byte, last_byte) = (first / 8, last / 8);
    let head = 0xffu8 << (first % 8);
    let tail = 0xffu8 >> (7 - last % 8);
    if first_byte == last_byte {
        field[first_byte] |= head & tail;
    } else {
        field[first_byte] |= head;
        field[first_byte + 1..last_byte].fill(0xff);
        field[last_byte] |= tail;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn as_a_set(
            loose in proptest::collection::vec(0u32..70_000, 0..300),
            runs in proptest::collection::vec((0u32..70_000, 0u32..200), 0..50),
            bitmap in proptest::collection::btree_set(0u32..70_000, 0..20),
        ) {
            let mut union = RowUnion::default();
            let mut twin: BTreeSet<u32> = bitmap.clone();
            loose.iter().for_each(|&row| union.push(row));
            twin.extend(&loose);
            for &(first, more) in &runs {
                union.push_run(first, first + more);
                twin.extend(first..=first + more);
            }
            union.push_bitmap(&bitmap.into_iter().collect());
            prop_assert!(union.finish().iter().eq(twin));
        }
    }
}
