//! Columns of 64-bit words over the samples of a run, coded one behind the other.
//!
//! First the first word of every column, as zig-zag difference to the column before, then the rest of every column,
//! each part as one adaptive code (`coder`). The rest is, by the mode of 2 bits in front:
//!
//! | mode | number to code |
//! |---|---|
//! | 0, rising | difference to the word before, which is never negative |
//! | 1, level | the word itself |
//! | 2, signed | difference to the word before |
//! | 3, raw | none of the above: per column 64 bits of the first word, then XOR codes against the word before |
//!
//! The number is coded relative to a running mean of the numbers before it, which goes on from column to column,
//! because neighbouring buckets behave alike. Rising and level numbers are folded: what lies within twice the mean
//! alternates around it, what lies above is itself.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::coder::{Decoder, Encoder};
use crate::base::bits::{BitReader, BitWriter};
use crate::base::varint::{unzigzag, zigzag};
use crate::base::xor_window::Window;

/// The mean of a column is kept in 256ths.
const MEAN_SHIFT: u32 = 8;
/// Numbers are cut to this before they enter the mean.
const MEAN_INPUT_MAX: i64 = 1 << 50;
/// Means the adaptive codes begin with, for first words and for the rest.
const FIRST_MEAN: u64 = 4;
const REST_MEAN: u64 = 1;

/// Words of several columns with equally many samples, column after column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns {
    /// Samples per column, at least one.
    pub(super) samples: usize,
    pub(super) words: Vec<u64>,
}

/// What is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Rising = 0,
    Level = 1,
    Signed = 2,
    Raw = 3,
}

impl Mode {
    fn of(number: u64) -> Self {
        match number {
            0 => Self::Rising,
            1 => Self::Level,
            2 => Self::Signed,
            _ => Self::Raw,
        }
    }
}

/// The running mean of a column's numbers.
#[derive(Debug, Clone, Copy, Default)]
struct Mean(i64);

impl Mean {
    #[inline]
    fn rounded(self) -> i64 {
        (self.0 + (1 << (MEAN_SHIFT - 1))) >> MEAN_SHIFT
    }

    /// Follows fast at the start of a column, `index` being the sample's.
    #[inline]
    fn saw(&mut self, number: i64, index: usize) {
        let speed = index.clamp(1, 4) as u32;
        let number = number.clamp(-MEAN_INPUT_MAX, MEAN_INPUT_MAX);
        self.0 += ((number << MEAN_SHIFT) - self.0) >> speed;
    }
}

#[inline]
fn fold(number: u64, mean: u64) -> u64 {
    if number <= 2 * mean {
        zigzag(number.wrapping_sub(mean) as i64)
    } else {
        number
    }
}

#[inline]
fn unfold(folded: u64, mean: u64) -> u64 {
    if folded <= 2 * mean {
        mean.wrapping_add(unzigzag(folded) as u64)
    } else {
        folded
    }
}

impl Columns {
    /// Writes the columns in the shortest mode. Columns of `floats` are bits, whose differences say little.
    pub(super) fn write(&self, out: &mut BitWriter, floats: bool) {
        let rising = self
            .words
            .chunks_exact(self.samples)
            .all(|column| column.is_sorted_by(|before, after| after.wrapping_sub(*before) as i64 >= 0));
        let modes: &[Mode] = match (rising, floats) {
            // Counters need no trial.
            (true, false) => &[Mode::Rising],
            (true, true) => &[Mode::Rising, Mode::Raw],
            (false, false) => &[Mode::Level, Mode::Signed],
            (false, true) => &[Mode::Level, Mode::Signed, Mode::Raw],
        };
        shortest(out, modes, |out, &mode| {
            out.short(mode as u64, 2);
            self.write_in(out, mode);
        });
    }

    fn write_in(&self, out: &mut BitWriter, mode: Mode) {
        if mode == Mode::Raw {
            return self.write_xor(out);
        }
        let mut firsts = Encoder::new(FIRST_MEAN);
        let mut before = 0u64;
        for &word in self.words.iter().step_by(self.samples) {
            firsts.put(out, zigzag(word.wrapping_sub(before) as i64));
            before = word;
        }
        firsts.finish(out);
        let mut rest = Encoder::new(REST_MEAN);
        let mut mean = Mean::default();
        for column in self.words.chunks_exact(self.samples) {
            let pairs = column.iter().zip(column.iter().skip(1));
            for (index, (&before, &word)) in pairs.enumerate() {
                let number = if mode == Mode::Level {
                    word
                } else {
                    word.wrapping_sub(before)
                };
                let code = if mode == Mode::Signed {
                    zigzag((number as i64).wrapping_sub(mean.rounded()))
                } else {
                    fold(number, mean.rounded().unsigned_abs())
                };
                rest.put(out, code);
                mean.saw(bounded(number, mode), index + 1);
            }
        }
        rest.finish(out);
    }

    fn write_xor(&self, out: &mut BitWriter) {
        for column in self.words.chunks_exact(self.samples) {
            let mut window = Window::default();
            let mut before = None;
            for &word in column {
                match before {
                    None => out.bits(word, 64),
                    Some(before) => window.write(out, before, word),
                }
                before = Some(word);
            }
        }
    }

    /// Reads `columns` columns; `None` when the bits are not valid or end.
    pub(super) fn read(input: &mut BitReader<'_>, columns: usize, samples: usize) -> Option<Self> {
        let mode = Mode::of(input.take(2));
        let mut words = Vec::with_capacity(columns * samples);
        if mode == Mode::Raw {
            read_xor(input, columns, samples, &mut words)?;
            return Some(Self { samples, words });
        }
        let mut decoder = Decoder::new(FIRST_MEAN);
        let mut before = 0u64;
        let mut firsts = Vec::with_capacity(columns);
        for _ in 0..columns {
            before = before.wrapping_add(unzigzag(decoder.get(input)) as u64);
            firsts.push(before);
        }
        let mut rest = Decoder::new(REST_MEAN);
        let mut mean = Mean::default();
        for first in firsts {
            words.push(first);
            let mut before = first;
            for index in 1..samples {
                let code = rest.get(input);
                let number = if mode == Mode::Signed {
                    unzigzag(code).wrapping_add(mean.rounded()) as u64
                } else {
                    unfold(code, mean.rounded().unsigned_abs())
                };
                mean.saw(bounded(number, mode), index);
                before = if mode == Mode::Level {
                    number
                } else {
                    before.wrapping_add(number)
                };
                words.push(before);
            }
            if input.overrun() {
                return None;
            }
        }
        (!input.overrun()).then_some(Self { samples, words })
    }
}

/// The number as the mean sees it: never negative where it is unsigned.
#[inline]
fn bounded(number: u64, mode: Mode) -> i64 {
    if mode == Mode::Signed {
        number as i64
    } else {
        i64::try_from(number).unwrap_or(i64::MAX)
    }
}

fn read_xor(input: &mut BitReader<'_>, columns: usize, samples: usize, words: &mut Vec<u64>) -> Option<()> {
    for _ in 0..columns {
        let mut window = Window::default();
        let mut word = input.take(64);
        words.push(word);
        for _ in 1..samples {
            word = window.read(input, word)?;
            words.push(word);
        }
        if input.overrun() {
            return None;
        }
    }
    Some(())
}

/// Writes with the choice that takes fewest bits.
pub(super) fn shortest<T>(out: &mut BitWriter, choices: &[T], write: impl Fn(&mut BitWriter, &T)) {
    if let [only] = choices {
        return write(out, only);
    }
    let written = choices.iter().map(|choice| {
        let mut trial = BitWriter::default();
        write(&mut trial, choice);
        trial
    });
    if let Some(best) = written.min_by_key(BitWriter::bit_len) {
        out.append(&best);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn word() -> impl Strategy<Value = u64> {
        prop_oneof![
            4 => 0u64..20,
            2 => 1_000_000u64..1_000_100,
            1 => any::<u64>(),
            1 => any::<f64>().prop_map(f64::to_bits),
        ]
    }

    proptest! {
        #[test]
        fn round_trip(samples in 1usize..20, words in proptest::collection::vec(word(), 0..200), rising: bool) {
            let mut words = words;
            words.truncate(words.len() / samples * samples);
            if rising {
                words.chunks_exact_mut(samples).for_each(<[u64]>::sort_unstable);
            }
            let columns = Columns { samples, words };
            let count = columns.words.len() / samples;
            for floats in [false, true] {
                let mut out = BitWriter::default();
                columns.write(&mut out, floats);
                let mut input = BitReader::new(&out.bytes);
                prop_assert_eq!(Columns::read(&mut input, count, samples), Some(columns.clone()));
                prop_assert!(input.remaining() < 8);
            }
        }

        #[test]
        fn folding_is_one_to_one(number: u64, shift in 0u32..64, mean in 0u64..1 << 51) {
            for number in [number >> shift, mean.wrapping_add(number >> shift)] {
                prop_assert_eq!(unfold(fold(number, mean), mean), number);
            }
        }
    }
}
