//! Small numbers as bits: an adaptive code for columns and a plain one for headers.
//!
//! The adaptive code learns from the numbers it has seen, so a column needs no header of its own, which is what makes
//! short runs cheap. It is a Golomb-Rice code whose parameter follows the mean, and between zeros a run-length code
//! whose parameter follows the length of the runs.
//!
//! | bits | meaning |
//! |---|---|
//! | while runs are not expected: Rice code | the number |
//! | while runs of 2^k zeros are expected: `0` | 2^k zeros, or zeros to the end of the column |
//! | `1`, k bits, Rice code | that many zeros, then the number behind them, less one |
//!
//! Rice code with parameter r of n: n >> r ones (at most 9), a zero, the low r bits of n; or 10 ones and a sized
//! number. A sized number is 6 bits of its length less one and its bits. A header number is an Elias gamma code: of
//! n + 1 without its highest bit, the length as that many zeros, a one, the bits.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use crate::base::bits::{BitReader, BitWriter};

/// Ones of a Rice code that announce a sized number.
const ESCAPE_ONES: u32 = 10;
/// The mean is kept in 256ths.
const MEAN_SHIFT: u32 = 8;
/// How fast the mean follows: an eighth of the difference.
const MEAN_SPEED: u32 = 3;
/// Numbers are cut to this before they enter the mean.
const MEAN_INPUT_MAX: u64 = 1 << 50;
/// The run parameter is kept in eighths.
const RUN_SHIFT: u32 = 3;
/// Largest run parameter, in eighths.
const RUN_SCALE_MAX: u32 = 14 << RUN_SHIFT;
/// Changes of the run parameter, in eighths: a whole run came, a run was cut short; a zero or another number came
/// while no runs were expected.
const RUN_WHOLE: u32 = 4;
const RUN_CUT: u32 = 6;
const RUN_ZERO: u32 = 3;
const RUN_OTHER: u32 = 3;

/// What the adaptive code has learnt; the same on both sides.
#[derive(Debug, Clone)]
struct Learnt {
    mean: u64,
    run_scale: u32,
}

impl Learnt {
    fn new(mean: u64) -> Self {
        Self {
            mean: mean << MEAN_SHIFT,
            run_scale: 0,
        }
    }

    #[inline]
    fn rice(&self) -> u32 {
        // 5/4 of the mean, for numbers that spread less than geometrically.
        let scaled = (self.mean + self.mean / 4) >> MEAN_SHIFT;
        scaled.checked_ilog2().unwrap_or(0)
    }

    #[inline]
    fn run(&self) -> u32 {
        self.run_scale >> RUN_SHIFT
    }

    #[inline]
    fn saw(&mut self, number: u64) {
        let number = number.min(MEAN_INPUT_MAX);
        self.mean = self.mean - (self.mean >> MEAN_SPEED) + (number << (MEAN_SHIFT - MEAN_SPEED));
        // A number far above the mean is the first of many.
        self.mean = self.mean.max(number << (MEAN_SHIFT - 2));
    }

    #[inline]
    fn saw_without_runs(&mut self, number: u64) {
        self.saw(number);
        self.run_scale = if number == 0 {
            self.run_scale + RUN_ZERO
        } else {
            self.run_scale.saturating_sub(RUN_OTHER)
        };
    }

    #[inline]
    fn saw_whole_run(&mut self) {
        self.run_scale = (self.run_scale + RUN_WHOLE).min(RUN_SCALE_MAX);
    }

    #[inline]
    fn saw_cut_run(&mut self) {
        self.run_scale = self.run_scale.saturating_sub(RUN_CUT);
    }
}

/// Writes a column of numbers.
#[derive(Debug)]
pub(super) struct Encoder {
    learnt: Learnt,
    /// Zeros seen and not written yet.
    zeros: u64,
}

impl Encoder {
    pub(super) fn new(mean: u64) -> Self {
        Self {
            learnt: Learnt::new(mean),
            zeros: 0,
        }
    }

    #[inline]
    pub(super) fn put(&mut self, out: &mut BitWriter, number: u64) {
        let run = self.learnt.run();
        if run == 0 {
            write_rice(out, number, self.learnt.rice());
            self.learnt.saw_without_runs(number);
        } else if number > 0 {
            out.short(1 << run | self.zeros, run + 1);
            self.zeros = 0;
            self.learnt.saw_cut_run();
            write_rice(out, number - 1, self.learnt.rice());
            self.learnt.saw(number - 1);
        } else {
            self.zeros += 1;
            if self.zeros == 1 << run {
                out.short(0, 1);
                self.zeros = 0;
                self.learnt.saw_whole_run();
            }
        }
    }

    /// Ends the column.
    pub(super) fn finish(self, out: &mut BitWriter) {
        if self.zeros > 0 {
            out.short(0, 1);
        }
    }
}

/// Reads a column of numbers; the reader knows how many they are.
#[derive(Debug)]
pub(super) struct Decoder {
    learnt: Learnt,
    /// Zeros to come.
    zeros: u64,
    /// Whether a number that is not zero follows them.
    number_follows: bool,
}

impl Decoder {
    pub(super) fn new(mean: u64) -> Self {
        Self {
            learnt: Learnt::new(mean),
            zeros: 0,
            number_follows: false,
        }
    }

    #[inline]
    pub(super) fn get(&mut self, input: &mut BitReader<'_>) -> u64 {
        loop {
            if self.zeros > 0 {
                self.zeros -= 1;
                return 0;
            }
            if self.number_follows {
                self.number_follows = false;
                let less_one = read_rice(input, self.learnt.rice());
                self.learnt.saw(less_one);
                return less_one.wrapping_add(1);
            }
            let run = self.learnt.run();
            if run == 0 {
                let number = read_rice(input, self.learnt.rice());
                self.learnt.saw_without_runs(number);
                return number;
            }
            if input.take(1) == 0 {
                self.zeros = 1 << run;
                self.learnt.saw_whole_run();
            } else {
                self.zeros = input.take(run);
                self.learnt.saw_cut_run();
                self.number_follows = true;
            }
        }
    }
}

#[inline]
fn write_rice(out: &mut BitWriter, number: u64, parameter: u32) {
    let quotient = number >> parameter;
    if quotient >= u64::from(ESCAPE_ONES) {
        out.short((1 << ESCAPE_ONES) - 1, ESCAPE_ONES);
        write_sized(out, number);
        return;
    }
    let ones = quotient as u32;
    out.short((1 << (ones + 1)) - 2, ones + 1);
    out.bits(number & !(u64::MAX << parameter), parameter);
}

#[inline]
fn read_rice(input: &mut BitReader<'_>, parameter: u32) -> u64 {
    let ones = input.peek().leading_ones();
    if ones >= ESCAPE_ONES {
        input.skip(ESCAPE_ONES);
        return read_sized(input);
    }
    input.skip(ones + 1);
    u64::from(ones) << parameter | input.take(parameter)
}

/// A number whose size is not known beforehand.
pub(super) fn write_sized(out: &mut BitWriter, number: u64) {
    let bits = number.checked_ilog2().map_or(1, |highest| highest + 1);
    out.short(u64::from(bits - 1), 6);
    out.bits(number, bits);
}

pub(super) fn read_sized(input: &mut BitReader<'_>) -> u64 {
    let bits = input.take(6) as u32 + 1;
    input.take(bits)
}

/// A number that is mostly small.
pub(super) fn write_number(out: &mut BitWriter, number: u64) {
    // Of n + 1, which may need 65 bits.
    let plus_one = u128::from(number) + 1;
    let bits = plus_one.ilog2();
    out.bits(0, bits.min(64));
    out.short(1, 1);
    out.bits(plus_one as u64, bits);
}

/// `None` when no number of 64 bits is there.
pub(super) fn read_number(input: &mut BitReader<'_>) -> Option<u64> {
    let mut zeros = 0;
    while input.bits(1)? == 0 {
        zeros += 1;
        if zeros > 64 {
            return None;
        }
    }
    let low = u128::from(input.take(zeros));
    let plus_one = 1u128 << zeros | low;
    u64::try_from(plus_one - 1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numbers() -> impl Strategy<Value = Vec<u64>> {
        let number = prop_oneof![
            6 => Just(0u64),
            3 => 0u64..10,
            1 => (any::<u64>(), 0u32..64).prop_map(|(number, shift)| number >> shift),
        ];
        proptest::collection::vec(number, 0..300)
    }

    proptest! {
        #[test]
        fn columns_round_trip(columns in proptest::collection::vec((numbers(), 0u64..100), 0..4)) {
            let mut out = BitWriter::default();
            for (column, mean) in &columns {
                let mut encoder = Encoder::new(*mean);
                for &number in column {
                    encoder.put(&mut out, number);
                }
                encoder.finish(&mut out);
            }
            let mut input = BitReader::new(&out.bytes);
            for (column, mean) in &columns {
                let mut decoder = Decoder::new(*mean);
                for &number in column {
                    prop_assert_eq!(decoder.get(&mut input), number);
                }
            }
            prop_assert!(!input.overrun() && input.remaining() < 8);
        }

        #[test]
        fn numbers_round_trip(number: u64, shift in 0u32..64) {
            for number in [number >> shift, u64::MAX - (number >> shift)] {
                let mut out = BitWriter::default();
                write_number(&mut out, number);
                write_sized(&mut out, number);
                let mut input = BitReader::new(&out.bytes);
                prop_assert_eq!(read_number(&mut input), Some(number));
                prop_assert_eq!(read_sized(&mut input), number);
                prop_assert!(!input.overrun() && input.remaining() < 8);
            }
        }
    }

    #[test]
    fn many_zeros_are_nearly_free() {
        let mut out = BitWriter::default();
        let mut encoder = Encoder::new(1);
        for _ in 0..100_000 {
            encoder.put(&mut out, 0);
        }
        encoder.finish(&mut out);
        assert!(out.bytes.len() < 16);
    }
}
