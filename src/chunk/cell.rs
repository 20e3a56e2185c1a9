//! One count of a histogram over time: integers as differences of differences, floats by XOR.
//!
//! Both kinds keep their counts as 64-bit words here, so that one path writes and reads both chunks: an integer as
//! its two's complement, a float as its bits. Buckets are as the model has them: integers relative to the bucket
//! before, floats absolute.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::varbit;
use crate::base::bits::{BitReader, BitWriter};
use crate::base::xor_window::Window;

/// What the counts of a chunk are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Integers.
    Int,
    /// Floats.
    Float,
}

/// The last word of a count and what the next is coded against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Cell {
    pub(super) word: u64,
    /// Integers: the last difference. Floats: the packed window.
    memory: u64,
}

impl Kind {
    /// A count or zero count in the first sample of a chunk.
    pub(super) fn write_first_count(self, out: &mut BitWriter, word: u64) -> Cell {
        match self {
            Self::Int => varbit::write_u64(out, word),
            Self::Float => out.bits(word, 64),
        }
        self.cell(word)
    }

    /// A bucket in the first sample of a chunk.
    pub(super) fn write_first_bucket(self, out: &mut BitWriter, word: u64) -> Cell {
        match self {
            Self::Int => varbit::write_i64(out, word as i64),
            Self::Float => out.bits(word, 64),
        }
        self.cell(word)
    }

    pub(super) fn read_first_count(self, input: &mut BitReader<'_>) -> Cell {
        self.cell(match self {
            Self::Int => varbit::read_u64(input),
            Self::Float => input.take(64),
        })
    }

    pub(super) fn read_first_bucket(self, input: &mut BitReader<'_>) -> Cell {
        self.cell(match self {
            Self::Int => varbit::read_i64(input) as u64,
            Self::Float => input.take(64),
        })
    }

    fn cell(self, word: u64) -> Cell {
        Cell {
            word,
            memory: match self {
                Self::Int => 0,
                Self::Float => Window::default().pack(),
            },
        }
    }

    /// A count in any later sample.
    #[inline]
    pub(super) fn write_next(self, out: &mut BitWriter, cell: &mut Cell, word: u64) {
        match self {
            Self::Int => {
                let delta = word.wrapping_sub(cell.word);
                varbit::write_i64(out, delta.wrapping_sub(cell.memory) as i64);
                cell.memory = delta;
            }
            Self::Float => {
                let mut window = Window::unpack(cell.memory);
                window.write(out, cell.word, word);
                cell.memory = window.pack();
            }
        }
        cell.word = word;
    }

    /// `None` when the code is not valid.
    #[inline]
    pub(super) fn read_next(self, input: &mut BitReader<'_>, cell: &mut Cell) -> Option<()> {
        match self {
            Self::Int => {
                cell.memory = cell.memory.wrapping_add(varbit::read_i64(input) as u64);
                cell.word = cell.word.wrapping_add(cell.memory);
            }
            Self::Float => {
                let mut window = Window::unpack(cell.memory);
                cell.word = window.read(input, cell.word)?;
                cell.memory = window.pack();
            }
        }
        Some(())
    }

    /// Buckets as absolute counts.
    pub(super) fn absolute(self, buckets: impl Iterator<Item = u64>) -> impl Iterator<Item = u64> {
        buckets.scan(0u64, move |count, word| {
            *count = match self {
                Self::Int => count.wrapping_add(word),
                Self::Float => word,
            };
            Some(*count)
        })
    }

    /// Absolute counts as buckets.
    pub(super) fn relative(self, counts: impl Iterator<Item = u64>) -> Vec<u64> {
        let mut before = 0;
        counts
            .map(|count| match self {
                Self::Int => count.wrapping_sub(std::mem::replace(&mut before, count)),
                Self::Float => count,
            })
            .collect()
    }

    /// Whether a bucket's absolute count fell.
    pub(super) fn falls(self, before: u64, after: u64) -> bool {
        match self {
            Self::Int => (after as i64) < before as i64,
            Self::Float => f64::from_bits(after) < f64::from_bits(before),
        }
    }

    /// Whether the count or the zero count fell, which are unsigned.
    pub(super) fn count_falls(self, before: u64, after: u64) -> bool {
        match self {
            Self::Int => after < before,
            Self::Float => self.falls(before, after),
        }
    }

    pub(super) fn is_zero(self, count: u64) -> bool {
        match self {
            Self::Int => count == 0,
            Self::Float => f64::from_bits(count) == 0.0,
        }
    }
}
