//! HyperLogLog: counts distinct hashes with one small register for each of a power of two of classes of hashes.
//!
//! A register keeps the longest run of zeros that a hash of its class began with, plus one. Registers of two sets are
//! merged by taking the larger one, whatever the sets have in common. The estimate is Ertl's improved raw estimator
//! ("New cardinality estimation algorithms for HyperLogLog sketches", 2017), which needs no tables and holds from
//! nothing to 2^64; its standard error is 1.04 by the square root of the number of registers.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use crate::base::bits::{BitReader, BitWriter};
use crate::base::bytes::{Corrupt, Cursor};
use crate::base::varint;

/// The largest number of bits of a register's number.
const BITS_MAX: u32 = 16;

/// The registers of a set of hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hll {
    registers: Box<[u8]>,
}

impl Hll {
    /// The empty set, with 2^`bits` registers.
    pub(crate) fn new(bits: u32) -> Self {
        debug_assert!((4..=BITS_MAX).contains(&bits));
        Self {
            registers: vec![0; 1 << bits].into(),
        }
    }

    /// The empty set, with as many registers.
    pub(crate) fn emptied(&self) -> Self {
        Self::new(self.bits())
    }

    fn bits(&self) -> u32 {
        self.registers.len().trailing_zeros()
    }

    /// Adds a hash of 64 good bits.
    #[inline]
    pub(crate) fn add(&mut self, hash: u64) {
        let bits = self.bits();
        let rank = ((hash << bits).leading_zeros() + 1).min(rank_max(bits));
        if let Some(register) = self.registers.get_mut((hash >> (64 - bits)) as usize) {
            *register = (*register).max(rank as u8);
        }
    }

    /// Makes this the union of both, which have as many registers.
    pub(crate) fn merge(&mut self, other: &Self) {
        debug_assert_eq!(self.registers.len(), other.registers.len());
        for (register, found) in self.registers.iter_mut().zip(&other.registers) {
            *register = (*register).max(*found);
        }
    }

    /// The same set with fewer registers, as if it had been made with them.
    pub(crate) fn fold(&self, bits: u32) -> Self {
        let mut folded = Self::new(bits);
        let less = self.bits().saturating_sub(bits);
        for (number, rank) in (0u32..).zip(&self.registers) {
            // The low bits of a number are those that a hash begins with where there are fewer registers.
            let begin = number & ((1 << less) - 1);
            let rank = match begin.checked_ilog2() {
                _ if *rank == 0 => continue,
                Some(highest) => (less - highest) as u8,
                None => *rank + less as u8,
            };
            if let Some(register) = folded.registers.get_mut((number >> less) as usize) {
                *register = (*register).max(rank);
            }
        }
        folded
    }

    /// How many distinct hashes there are, more or less.
    pub(crate) fn estimate(&self) -> u64 {
        let (bits, registers) = (self.bits(), self.registers.len() as f64);
        let mut counts = [0u32; u8::MAX as usize + 1];
        for register in &self.registers {
            if let Some(count) = counts.get_mut(usize::from(*register)) {
                *count += 1;
            }
        }
        let of = |rank: u32| f64::from(counts.get(rank as usize).copied().unwrap_or(0));
        let most = rank_max(bits);
        let mut sum = registers * tau(1.0 - of(most) / registers);
        for rank in (1..most).rev() {
            sum = 0.5 * (sum + of(rank));
        }
        sum += registers * sigma(of(0) / registers);
        let constant = 0.5 / std::f64::consts::LN_2;
        (constant * registers * registers / sum).round() as u64
    }
}

/// The rank of a hash of which nothing but zeros is left.
fn rank_max(bits: u32) -> u32 {
    64 - bits + 1
}

fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut factor, mut sum) = (1.0, x);
    loop {
        x *= x;
        let before = sum;
        sum += x * factor;
        factor += factor;
        if sum.to_bits() == before.to_bits() {
            return sum;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut factor, mut sum) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = sum;
        factor *= 0.5;
        sum -= (1.0 - x) * (1.0 - x) * factor;
        if sum.to_bits() == before.to_bits() {
            return sum / 3.0;
        }
    }
}

/// Registers as bytes: their number that are not zero, then either only these, with gaps and unary ranks, or all of them
/// as differences to the most frequent one, larger ones first. Gaps and differences are Rice-coded, which is close to how frequent they are.
impl Hll {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let used = self.registers.iter().filter(|register| **register > 0).count();
        varint::write_u64(out, used as u64);
        let mut bits = BitWriter::default();
        if is_list(used, self.registers.len()) {
            let width = gap_width(used, self.registers.len());
            let mut gap = 0;
            for register in &self.registers {
                if *register == 0 {
                    gap += 1;
                    continue;
                }
                write_unary(&mut bits, gap >> width);
                bits.bits(gap, width);
                write_unary(&mut bits, u64::from(*register - 1));
                gap = 0;
            }
        } else {
            let usual = self.most_frequent();
            out.push(usual);
            for register in &self.registers {
                let difference = i64::from(usual) - i64::from(*register);
                let difference = varint::zigzag(difference);
                write_unary(&mut bits, difference >> 1);
                bits.bits(difference, 1);
            }
        }
        varint::write_bytes(out, &bits.bytes);
    }

    /// The smallest of those registers that there are most of.
    fn most_frequent(&self) -> u8 {
        let mut counts = [0u32; u8::MAX as usize + 1];
        for register in &self.registers {
            if let Some(count) = counts.get_mut(usize::from(*register)) {
                *count += 1;
            }
        }
        let ranked = counts.iter().zip(0..=u8::MAX).rev();
        ranked.max_by_key(|entry| *entry.0).map_or(0, |entry| entry.1)
    }

    /// Reads what [`Hll::write`] wrote of 2^`bits` registers.
    pub(crate) fn read(cursor: &mut Cursor<'_>, bits: u32) -> Result<Self, Corrupt> {
        let mut hll = Self::new(bits);
        let (all, most) = (hll.registers.len(), u64::from(rank_max(bits)));
        let used = cursor.length(all, "number of registers")?;
        let at = cursor.position();
        let wrong = || Corrupt::new("registers of a sketch", at);
        if is_list(used, all) {
            let width = gap_width(used, all);
            let mut reader = BitReader::new(cursor.length_prefixed("registers of a sketch")?);
            let mut free = hll.registers.iter_mut();
            for _ in 0..used {
                let gap =
                    read_unary(&mut reader, all as u64).ok_or_else(wrong)? << width | reader.take(width);
                let rank = read_unary(&mut reader, most).ok_or_else(wrong)? + 1;
                let register = free.nth(gap as usize).ok_or_else(wrong)?;
                *register = u8::try_from(rank)
                    .ok()
                    .filter(|rank| u64::from(*rank) <= most)
                    .ok_or_else(wrong)?;
            }
            return if reader.overrun() { Err(wrong()) } else { Ok(hll) };
        }
        let usual = i64::from(cursor.u8("usual register")?);
        let mut reader = BitReader::new(cursor.length_prefixed("registers of a sketch")?);
        for register in &mut hll.registers {
            let high = read_unary(&mut reader, most).ok_or_else(wrong)?;
            let difference = varint::unzigzag(high << 1 | reader.take(1));
            let rank = u8::try_from(usual - difference).map_err(|_| wrong())?;
            *register = Some(rank)
                .filter(|rank| u64::from(*rank) <= most)
                .ok_or_else(wrong)?;
        }
        let found = hll.registers.iter().filter(|register| **register > 0).count();
        if reader.overrun() || found != used {
            return Err(wrong());
        }
        Ok(hll)
    }
}

/// Whether only the registers in use are written.
fn is_list(used: usize, all: usize) -> bool {
    used <= all / 2
}

/// Low bits of a gap: about as many as the usual gap has.
fn gap_width(used: usize, all: usize) -> u32 {
    (all / used.max(1)).ilog2()
}

/// As many zeros, and a one.
fn write_unary(bits: &mut BitWriter, number: u64) {
    let mut left = number;
    while left >= 32 {
        bits.short(0, 32);
        left -= 32;
    }
    bits.short(1, left as u32 + 1);
}

/// `None` when it is larger than `most`, or the bits end.
#[inline]
fn read_unary(reader: &mut BitReader<'_>, most: u64) -> Option<u64> {
    let mut number = 0;
    loop {
        let zeros = reader.peek().leading_zeros().min(32);
        number += u64::from(zeros);
        if number > most {
            return None;
        }
        if zeros < 32 {
            reader.skip(zeros + 1);
            return Some(number);
        }
        reader.skip(zeros);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::hash;
    use proptest::prelude::*;

    fn of(bits: u32, numbers: impl IntoIterator<Item = u64>) -> Hll {
        let mut hll = Hll::new(bits);
        for number in numbers {
            hll.add(hash::checksum(&number.to_le_bytes()));
        }
        hll
    }

    fn bytes(hll: &Hll) -> Vec<u8> {
        let mut out = Vec::new();
        hll.write(&mut out);
        out
    }

    /// Over sizes from nothing to some hundred thousand the estimate stays within four standard errors, and is off by
    /// less than two of them on the average of squares.
    #[test]
    fn the_error_is_as_stated() {
        for bits in [8, 10, 12] {
            let standard = 1.04 / f64::from(1u32 << bits).sqrt();
            let (mut squares, mut runs) = (0.0, 0.0);
            for seed in 0..12u64 {
                for size in [1, 10, 100, 1_000, 3_000, 10_000, 30_000] {
                    let hll = of(bits, (0..size).map(|number| number << 16 | seed));
                    let error = hll.estimate() as f64 / size as f64 - 1.0;
                    assert!(error.abs() <= 4.0 * standard, "{bits} bits, {size}: {error}");
                    squares += error * error;
                    runs += 1.0;
                }
            }
            let mean = f64::sqrt(squares / runs);
            assert!(mean < standard * 1.1, "{bits} bits: {mean} of {standard}");
        }
        assert_eq!(Hll::new(10).estimate(), 0);
    }

    /// Below a twentieth of the registers the estimate is off by a few at most.
    #[test]
    fn small_sets_are_nearly_exact() {
        for size in 0..50 {
            let estimate = of(10, 0..size).estimate();
            assert!(estimate.abs_diff(size) <= 2, "{estimate} of {size}");
        }
    }

    /// What is on disk stays what it is: a list, a few, and all registers.
    #[test]
    fn golden_bytes() {
        assert_eq!(bytes(&Hll::new(8)), [0, 0]);
        assert_eq!(bytes(&of(8, 0..3)), [3, 4, 193, 157, 43, 160]);
        let full = bytes(&of(12, 0..100_000));
        assert_eq!((full.len(), hash::checksum(&full)), GOLDEN_FULL);
    }

    const GOLDEN_FULL: (usize, u64) = (1_518, 0x56dd_a43e_63cb_6413);

    #[test]
    fn full_registers_take_about_three_bits() {
        for size in [2_000, 5_000, 20_000, 1_000_000] {
            let length = bytes(&of(10, 0..size)).len();
            assert!((320..450).contains(&length), "{size}: {length} bytes");
        }
    }

    proptest! {
        #[test]
        fn merging_is_the_union(
            a in proptest::collection::vec(any::<u64>(), 0..600),
            b in proptest::collection::vec(any::<u64>(), 0..600),
            c in proptest::collection::vec(any::<u64>(), 0..20),
        ) {
            let merged = |sets: &[&Vec<u64>]| {
                let mut all = Hll::new(8);
                sets.iter().for_each(|set| all.merge(&of(8, set.iter().copied())));
                all
            };
            let union = of(8, a.iter().chain(&b).chain(&c).copied());
            for order in [[&a, &b, &c], [&c, &b, &a], [&b, &a, &c]] {
                prop_assert_eq!(&merged(&order), &union);
            }
            let mut right = merged(&[&b, &c]);
            right.merge(&merged(&[&a]));
            prop_assert_eq!(&right, &union);
            let mut twice = union.clone();
            twice.merge(&union);
            prop_assert_eq!(twice, union);
        }

        #[test]
        fn folding_is_as_if_made_with_fewer(size in 0u64..3_000, seed: u64, bits in 4u32..=12) {
            let numbers = || (0..size).map(|number| number ^ seed);
            prop_assert_eq!(of(12, numbers()).fold(bits), of(bits, numbers()));
        }

        #[test]
        fn bytes_give_back_the_registers(size in 0u64..5_000, seed: u64, bits in 4u32..13) {
            let hll = of(bits, (0..size).map(|number| number ^ seed));
            let bytes = bytes(&hll);
            let mut cursor = Cursor::new(&bytes);
            prop_assert_eq!(Hll::read(&mut cursor, bits), Ok(hll));
            prop_assert!(cursor.is_empty());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80), bits in 4u32..9) {
            if let Ok(hll) = Hll::read(&mut Cursor::new(&bytes), bits) {
                hll.estimate();
            }
        }
    }
}
