//! Many short texts in few allocations: chunks that never move, and lists of freed places by size.
//!
//! Growth never copies what is there, so that adding a text takes the same time at a million texts as at ten. A text
//! takes a whole number of 4-byte units; a freed place is taken again by the next text of as many units, which suits
//! names that come and go with the same shape (pods, containers).

use std::collections::BTreeMap;

const UNIT_BYTES: usize = 4;
/// A chunk is 256 KiB; an address is its number and the unit within it.
const CHUNK_UNITS: usize = 1 << CHUNK_BITS;
const CHUNK_BITS: u32 = 16;
const CHUNK_BYTES: usize = CHUNK_UNITS * UNIT_BYTES;

/// Where a text stands. Only the arena that gave it out knows it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TextRef {
    at: u32,
    len: u32,
}

#[derive(Debug, Default)]
pub(super) struct TextArena {
    chunks: Vec<Vec<u8>>,
    /// The chunk that takes new texts.
    current: usize,
    /// Chunks whose only, oversized text was removed.
    empty_chunks: Vec<usize>,
    /// Freed places by their size in units.
    free: BTreeMap<usize, Vec<u32>>,
}

fn units_of(len: usize) -> usize {
    len.div_ceil(UNIT_BYTES).max(1)
}

fn split(at: u32) -> (usize, usize) {
    (
        (at >> CHUNK_BITS) as usize,
        (at as usize & (CHUNK_UNITS - 1)) * UNIT_BYTES,
    )
}

impl TextArena {
    /// Keeps a copy of `text`. At most 16 GiB in all.
    pub(super) fn insert(&mut self, text: &str) -> TextRef {
        let len = u32::try_from(text.len()).expect("BUG: a label text of 4 GiB");
        let units = units_of(text.len());
        let at = if let Some(at) = self.free.get_mut(&units).and_then(Vec::pop) {
            let (chunk, from) = split(at);
            self.chunks[chunk][from..from + text.len()].copy_from_slice(text.as_bytes());
            at
        } else if units > CHUNK_UNITS {
            let chunk = self.add_chunk(text.as_bytes().to_vec());
            address(chunk, 0)
        } else {
            self.append(text, units)
        };
        TextRef { at, len }
    }

    fn append(&mut self, text: &str, units: usize) -> u32 {
        let has_room = |chunk: &Vec<u8>| chunk.len() + units * UNIT_BYTES <= CHUNK_BYTES;
        if !self
            .chunks
            .get(self.current)
            .is_some_and(|chunk| chunk.capacity() >= CHUNK_BYTES && has_room(chunk))
        {
            self.current = self.add_chunk(Vec::with_capacity(CHUNK_BYTES));
        }
        let chunk = &mut self.chunks[self.current];
        let from = chunk.len();
        chunk.extend_from_slice(text.as_bytes());
        chunk.resize(from + units * UNIT_BYTES, 0);
        address(self.current, from / UNIT_BYTES)
    }

    fn add_chunk(&mut self, chunk: Vec<u8>) -> usize {
        if let Some(index) = self.empty_chunks.pop() {
            self.chunks[index] = chunk;
            return index;
        }
        self.chunks.push(chunk);
        self.chunks.len() - 1
    }

    #[inline]
    pub(super) fn bytes(&self, text: TextRef) -> &[u8] {
        let (chunk, from) = split(text.at);
        &self.chunks[chunk][from..from + text.len as usize]
    }

    pub(super) fn get(&self, text: TextRef) -> &str {
        std::str::from_utf8(self.bytes(text)).expect("BUG: a text was overwritten")
    }

    /// Gives the place of `text` free; it must not be asked for again.
    pub(super) fn remove(&mut self, text: TextRef) {
        let units = units_of(text.len as usize);
        if units > CHUNK_UNITS {
            let (chunk, _) = split(text.at);
            self.chunks[chunk] = Vec::new();
            self.empty_chunks.push(chunk);
        } else {
            self.free.entry(units).or_default().push(text.at);
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let chunks: usize = self.chunks.iter().map(Vec::capacity).sum();
        let free: usize = self.free.values().map(|places| 4 * places.capacity() + 48).sum();
        chunks + free + self.chunks.capacity() * size_of::<Vec<u8>>()
    }
}

fn address(chunk: usize, unit: usize) -> u32 {
    let chunk = u16::try_from(chunk).expect("BUG: 16 GiB of label text");
    (u32::from(chunk) << CHUNK_BITS) | unit as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn texts_keep_their_content(steps in proptest::collection::vec(("[a-zé]{0,9}", any::<bool>()), 0..200)) {
            let mut arena = TextArena::default();
            let mut kept: Vec<(TextRef, String)> = Vec::new();
            for (text, removes) in steps {
                if removes && !kept.is_empty() {
                    let (place, _) = kept.swap_remove(text.len() % kept.len());
                    arena.remove(place);
                }
                kept.push((arena.insert(&text), text));
                for (place, text) in &kept {
                    prop_assert_eq!(arena.get(*place), text);
                }
            }
        }
    }

    #[test]
    fn long_texts_have_a_chunk_of_their_own() {
        let mut arena = TextArena::default();
        let long = "x".repeat(CHUNK_BYTES + 1);
        let short = arena.insert("short");
        let first = arena.insert(&long);
        assert_eq!(arena.get(first), long);
        arena.remove(first);
        let again = arena.insert(&long);
        let exact = arena.insert(&"y".repeat(CHUNK_BYTES));
        assert_eq!(
            (arena.get(again).len(), arena.get(exact).len()),
            (CHUNK_BYTES + 1, CHUNK_BYTES)
        );
        assert_eq!(arena.get(short), "short");
        assert_eq!(arena.chunks.len(), 3);
    }

    #[test]
    fn freed_places_are_used_again() {
        let mut arena = TextArena::default();
        for round in 0..100_000 {
            let place = arena.insert(&format!("pod-{round:08}"));
            arena.remove(place);
        }
        assert_eq!(arena.chunks.len(), 1);
        assert_eq!(arena.chunks[0].len(), 12);
    }
}
