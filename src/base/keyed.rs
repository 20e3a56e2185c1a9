//! Hashes of what comes from outside, with keys that are drawn once per process: who sends it cannot make two of them meet. Not for
//! what is stored.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use xxhash_rust::xxh3;

/// As long as XXH3's own.
const SECRET_BYTES: usize = 192;

/// Factors by place in a sequence.
const SEQUENCE_FACTORS: usize = 64;

/// Hash of a sequence of keyed hashes: the sum of their halves' products, each with a factor of its place. As the halves are
/// random to who does not know the key, the products are, and no two sequences meet but by luck.
#[derive(Debug)]
pub(crate) struct SequenceHash {
    factors: &'static [(u64, u64); SEQUENCE_FACTORS],
    sum: u128,
    count: usize,
}

impl SequenceHash {
    /// Odd, so that to multiply by it loses nothing.
    const SPREAD: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;

    #[inline]
    pub(crate) fn new() -> Self {
        static FACTORS: OnceLock<[(u64, u64); SEQUENCE_FACTORS]> = OnceLock::new();
        let drawn = || {
            let state = RandomState::new();
            std::array::from_fn(|place| (state.hash_one((place, 0)), state.hash_one((place, 1))))
        };
        Self {
            factors: FACTORS.get_or_init(drawn),
            sum: 0,
            count: 0,
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, hash: u128) {
        let place = self.count % SEQUENCE_FACTORS;
        if place == 0 {
            self.sum = self.spread();
        }
        let (one, other) = self.factors[place];
        let low = u128::from((hash as u64).wrapping_add(one));
        let high = u128::from(((hash >> 64) as u64).wrapping_add(other));
        self.sum = self.sum.wrapping_add(low * high);
        self.count += 1;
    }

    #[inline]
    pub(crate) fn finish(mut self) -> u128 {
        self.sum = self.sum.wrapping_add(self.count as u128);
        self.spread()
    }

    fn spread(&self) -> u128 {
        let spread = self.sum.wrapping_mul(Self::SPREAD);
        spread ^ spread >> 64
    }
}

/// Hash of text from outside, with a secret that is drawn once per process: who sends it cannot make two texts meet. Not
/// for what is stored. A secret and no seed, of which every hash of a longer text would make a secret anew.
#[inline]
pub(crate) fn keyed_128(bytes: &[u8]) -> u128 {
    static SECRET: OnceLock<[u8; SECRET_BYTES]> = OnceLock::new();
    let drawn = || {
        let state = RandomState::new();
        let mut secret = [0; SECRET_BYTES];
        for (place, chunk) in secret.chunks_exact_mut(8).enumerate() {
            chunk.copy_from_slice(&state.hash_one(place).to_le_bytes());
        }
        secret
    };
    xxh3::xxh3_128_with_secret(bytes, SECRET.get_or_init(drawn))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn of(sequence: &[u128]) -> u128 {
        let mut hash = SequenceHash::new();
        sequence.iter().for_each(|one| hash.push(*one));
        hash.finish()
    }

    #[test]
    fn sequences_that_differ_have_hashes_that_differ() {
        let words: Vec<u128> = (0..200u8).map(|word| keyed_128(&[word])).collect();
        let mut seen = HashSet::new();
        for length in 0..words.len() {
            assert!(seen.insert(of(&words[..length])), "{length} words");
            for place in 1..length {
                let mut swapped = words[..length].to_vec();
                swapped.swap(place - 1, place);
                assert!(seen.insert(of(&swapped)), "{length} words, {place} swapped");
            }
        }
        assert_eq!(of(&words), of(&words));
        // What is alike, even nothing at all, still counts.
        assert_eq!(
            (0..200)
                .map(|length| of(&vec![0; length]))
                .collect::<HashSet<_>>()
                .len(),
            200
        );
    }

    /// Tables take their slots and tags from all parts of a hash.
    #[test]
    fn every_bit_of_a_hash_is_set_half_the_time() {
        let hashes: Vec<u128> = (0..4096u32)
            .map(|word| of(&[keyed_128(&word.to_le_bytes())]))
            .collect();
        for bit in 0..128 {
            let set = hashes.iter().filter(|hash| *hash >> bit & 1 == 1).count();
            assert!((1500..2600).contains(&set), "bit {bit} is set in {set} of 4096");
        }
    }
}
