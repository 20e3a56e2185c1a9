//! A part of a serialised roaring bitmap, cut out without reading the rest: a long list is mostly asked for what it has
//! in common with a few rows close together.
//!
//! The portable format without containers of runs: a cookie, how many containers, a head for each (upper half of its
//! rows, number of rows less one; two bytes each), where each begins, and the containers: two bytes for each row, or
//! 8,192 bytes.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use crate::base::bytes::Cursor;
use std::ops::RangeInclusive;

/// How a serialised bitmap without containers of runs begins.
const ROARING_COOKIE: u32 = 12_346;
/// Bytes of a container as a field of bits, which no list of its rows exceeds.
pub(super) const CONTAINER_BYTES_MAX: usize = 8_192;

/// The containers of a serialised bitmap that may hold rows of `range`, as a serialised bitmap. `None` for one that is
/// wrong or has containers of runs, which say nothing of their length.
pub(super) fn roaring_window(bytes: &[u8], range: &RangeInclusive<u32>) -> Option<Vec<u8>> {
    let mut cursor = Cursor::new(bytes);
    cursor
        .u32("cookie")
        .ok()
        .filter(|cookie| *cookie == ROARING_COOKIE)?;
    let count = cursor.u32("containers").ok()? as usize;
    let mut heads = Cursor::new(cursor.take(count.checked_mul(4)?, "heads of containers").ok()?);
    let mut offsets = Cursor::new(cursor.take(count.checked_mul(4)?, "offsets of containers").ok()?);
    let (mut kept, mut kept_heads, mut containers) = (0u32, Vec::new(), Vec::new());
    for _ in 0..count {
        let (head, offset) = (heads.u32("head").ok()?, offsets.u32("offset").ok()? as usize);
        let (key, rows) = (head & 0xffff, (head >> 16) as usize + 1);
        if (range.start() >> 16..=range.end() >> 16).contains(&key) {
            let length = (2 * rows).min(CONTAINER_BYTES_MAX);
            containers.push(bytes.get(offset..offset.checked_add(length)?)?);
            kept_heads.extend(head.to_le_bytes());
            kept += 1;
        }
    }
    let mut window = [ROARING_COOKIE.to_le_bytes(), kept.to_le_bytes()].concat();
    window.extend(&kept_heads);
    let mut offset = (window.len() + kept_heads.len()) as u32;
    for container in &containers {
        window.extend(offset.to_le_bytes());
        offset += container.len() as u32;
    }
    containers
        .iter()
        .for_each(|container| window.extend_from_slice(container));
    Some(window)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use roaring::RoaringBitmap;
    use std::ops::Bound;

    proptest! {
        #[test]
        fn a_window_has_the_rows_of_its_range(
            rows in proptest::collection::btree_set(0u32..400_000, 1..3_000),
            dense in 0u32..60_000,
            range in (0u32..400_000, 0u32..100_000),
        ) {
            let mut rows: RoaringBitmap = rows.into_iter().collect();
            rows.insert_range(70_000..70_000 + dense);
            let mut bytes = Vec::new();
            rows.serialize_into(&mut bytes).unwrap();
            let range = range.0..=range.0 + range.1;
            if let Some(window) = roaring_window(&bytes, &range) {
                let mut read = RoaringBitmap::deserialize_from(&window[..]).unwrap();
                prop_assert!(read.is_subset(&rows));
                let mut expected = rows.clone();
                for rows in [&mut read, &mut expected] {
                    rows.remove_range(..range.start());
                    rows.remove_range((Bound::Excluded(*range.end()), Bound::Unbounded));
                }
                prop_assert_eq!(read, expected);
            }
            prop_assert!(roaring_window(&bytes[..bytes.len() / 2], &range).is_none_or(|window| window.len() <= bytes.len()));
        }
    }
}
