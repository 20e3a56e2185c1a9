//! The columns of a tile, made of the samples of a row.
//!
//! * *Kept* has samples as they are, at their own times: the first and the last of each window, both sides of each fall of the
//!   value if there are few, and a stale marker that ends a window.
//! * *Counts* says at the end of each window how many samples there are, stale markers not counted. The sign is negative where
//!   falls are not told: there are too many for a counter, or there is a NaN. NaN itself stands for a window with histograms,
//!   of which nothing else is said.
//! * *Sums* has the compensated sum of each window, *Mins* and *Maxs* the extremes where they are not among what is kept.

use super::Grid;
use crate::base::kahan::Compensated;
use crate::model::sample::STALE_NAN_BITS;
use crate::model::samples::Samples;

/// Columns of a tile.
pub(crate) const COLUMNS: usize = 5;

/// Falls that are told of a window, at most. A counter has hardly more resets.
const FALLS_MAX: usize = 4;

/// A column of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Column {
    Kept = 0,
    Counts = 1,
    Sums = 2,
    Mins = 3,
    Maxs = 4,
}

/// An extreme as the query functions have it: the first of equals, and any number before NaN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extreme {
    Min,
    Max,
}

impl Extreme {
    /// The better one of what was best so far and a value that comes later.
    #[inline]
    pub(crate) fn best(self, best: Option<f64>, value: f64) -> f64 {
        let Some(best) = best else { return value };
        let wins = match self {
            Self::Min => value < best,
            Self::Max => value > best,
        };
        if wins || best.is_nan() { value } else { best }
    }
}

/// Makes the columns of samples; those behind `to` or not behind `from` have no part in it.
#[derive(Debug, Default)]
pub(crate) struct Roller {
    /// The values of the window that are no stale markers, with their places in it.
    values: Vec<(usize, f64)>,
    kept: Vec<usize>,
}

impl Roller {
    pub(crate) fn roll(
        &mut self,
        samples: &Samples,
        grid: Grid,
        (from, to): (i64, i64),
        out: &mut [Samples],
    ) {
        out.iter_mut().for_each(Samples::clear);
        let [kept, counts, sums, mins, maxs] = out else {
            return;
        };
        let mut mixed = samples.histograms.iter().map(|one| grid.end_of(one.0)).peekable();
        let mut at = samples.timestamps.partition_point(|time| *time <= from);
        let end_at = samples.timestamps.partition_point(|time| *time <= to);
        let (mut next, behind) = (i64::MAX, i64::MAX);
        loop {
            if next == behind {
                next = samples
                    .timestamps
                    .get(at)
                    .filter(|_| at < end_at)
                    .map_or(behind, |time| grid.end_of(*time));
            }
            while mixed.next_if(|end| *end <= from).is_some() {}
            let histogram = mixed.peek().copied().filter(|end| *end <= to).unwrap_or(behind);
            let end = next.min(histogram);
            if end == behind {
                return;
            }
            let has_histograms = histogram == end;
            while mixed.next_if_eq(&end).is_some() {}
            let first = at;
            if next == end {
                let times = &samples.timestamps[..end_at];
                at += times[at..].iter().take_while(|time| **time <= end).count();
                next = behind;
            }
            if has_histograms {
                push(counts, end, f64::NAN);
                continue;
            }
            let (times, bits) = (&samples.timestamps[first..at], &samples.bits[first..at]);
            self.roll_window(
                end,
                times,
                bits,
                [&mut *kept, &mut *counts, &mut *sums, &mut *mins, &mut *maxs],
            );
        }
    }

    fn roll_window(
        &mut self,
        end: i64,
        times: &[i64],
        bits: &[u64],
        [kept, counts, sums, mins, maxs]: [&mut Samples; COLUMNS],
    ) {
        self.values.clear();
        let live = bits
            .iter()
            .enumerate()
            .filter(|(_, bits)| **bits != STALE_NAN_BITS);
        self.values
            .extend(live.map(|(place, bits)| (place, f64::from_bits(*bits))));
        let is_told = self.keep();
        let (mut sum, mut min, mut max) = (Compensated::default(), None, None);
        for (_, value) in &self.values {
            sum.add(*value);
            min = Some(Extreme::Min.best(min, *value));
            max = Some(Extreme::Max.best(max, *value));
        }
        for (column, extreme, of) in [(mins, min, Extreme::Min), (maxs, max, Extreme::Max)] {
            let known = self
                .kept
                .iter()
                .filter_map(|place| bits.get(*place))
                .map(|bits| f64::from_bits(*bits));
            let known = known.fold(None, |best, value| Some(of.best(best, value)));
            if let Some(extreme) =
                extreme.filter(|extreme| known.map(f64::to_bits) != Some(extreme.to_bits()))
            {
                push(column, end, extreme);
            }
        }
        if !self.values.is_empty() {
            let count = self.values.len() as f64;
            push(counts, end, if is_told { count } else { -count });
            push(sums, end, sum.total());
        }
        if bits.last() == Some(&STALE_NAN_BITS) {
            self.kept.push(bits.len() - 1);
        }
        for place in &self.kept {
            kept.timestamps.push(times[*place]);
            kept.bits.push(bits[*place]);
        }
    }

    /// Chooses what is kept of the values. Returns whether that tells all falls.
    fn keep(&mut self) -> bool {
        self.kept.clear();
        let falls = || self.values.windows(2).filter(|pair| pair[1].1 < pair[0].1);
        let has_nan = self.values.iter().any(|(_, value)| value.is_nan());
        let is_told = !has_nan && falls().take(FALLS_MAX + 1).count() <= FALLS_MAX;
        let mut keep = |place: usize| {
            if self.kept.last() != Some(&place) {
                self.kept.push(place);
            }
        };
        self.values.first().into_iter().for_each(|first| keep(first.0));
        if is_told {
            falls().flatten().for_each(|side| keep(side.0));
        }
        self.values.last().into_iter().for_each(|last| keep(last.0));
        is_told
    }
}

fn push(column: &mut Samples, end: i64, value: f64) {
    column.timestamps.push(end);
    column.bits.push(value.to_bits());
}
