//! The columns of a tile, made of the samples of a row.
//!
//! * *Kept* has samples as they are, at their own times: the first and the last of each window, both sides of each fall of the
//!   value if there are few, and a stale marker that ends a window.
//! * *Counts* says at the end of each window how many samples there are, stale markers not counted. The sign is negative where
//!   falls are not told: there are too many for a counter, or there is a NaN. NaN itself stands for a window with histograms.
//! * *Sums* has the compensated sum of each window, *Mins* and *Maxs* the extremes where they are not among what is kept.
//!
//! Of a window with histograms *Kept* has the first and the last one, both sides of resets if these are few, and *Sums* their sum if
//! they have one; that is for when the samples are gone.

use super::Grid;
use crate::base::kahan::Compensated;
use crate::model::float_histogram::{FloatHistogram, HistogramSum};
use crate::model::histogram::Histogram;
use crate::model::sample::STALE_NAN_BITS;
use crate::model::samples::Samples;
use std::sync::Arc;

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
        let mut mixed = samples.histograms.partition_point(|one| one.0 <= from);
        let mut at = samples.timestamps.partition_point(|time| *time <= from);
        loop {
            let float = samples.timestamps.get(at).copied();
            let histogram = samples.histograms.get(mixed).map(|one| one.0);
            let first = float.into_iter().chain(histogram).min();
            let Some(end) = first.filter(|time| *time <= to).map(|time| grid.end_of(time)) else {
                return;
            };
            let (first, first_mixed) = (at, mixed);
            at += count_until(&samples.timestamps[at..], end, |time| *time);
            mixed += count_until(&samples.histograms[mixed..], end, |one| one.0);
            let (times, bits) = (&samples.timestamps[first..at], &samples.bits[first..at]);
            let histograms = &samples.histograms[first_mixed..mixed];
            if histograms.is_empty() {
                let columns = [&mut *kept, &mut *counts, &mut *sums, &mut *mins, &mut *maxs];
                self.roll_window(end, times, bits, columns);
            } else {
                push(counts, end, f64::NAN);
                self.keep_floats(times, bits, kept);
                keep_histograms(histograms, kept);
                sums.histograms.extend(sum_of(histograms).map(|sum| (end, sum)));
            }
        }
    }

    fn roll_window(
        &mut self,
        end: i64,
        times: &[i64],
        bits: &[u64],
        [kept, counts, sums, mins, maxs]: [&mut Samples; COLUMNS],
    ) {
        let is_told = self.keep_floats(times, bits, kept);
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
    }

    /// Keeps floats of a window. Returns whether they tell all falls.
    fn keep_floats(&mut self, times: &[i64], bits: &[u64], kept: &mut Samples) -> bool {
        self.values.clear();
        let live = bits
            .iter()
            .enumerate()
            .filter(|(_, bits)| **bits != STALE_NAN_BITS);
        self.values
            .extend(live.map(|(place, bits)| (place, f64::from_bits(*bits))));
        let is_told = self.keep();
        let stale = bits
            .len()
            .checked_sub(1)
            .filter(|last| bits[*last] == STALE_NAN_BITS);
        for place in self.kept.iter().copied().chain(stale) {
            kept.timestamps.push(times[place]);
            kept.bits.push(bits[place]);
        }
        is_told
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

/// How many of what is in order of time is not behind a time.
fn count_until<T>(all: &[T], to: i64, time: impl Fn(&T) -> i64) -> usize {
    all.iter().take_while(|one| time(one) <= to).count()
}

type Histograms<'a> = &'a [(i64, Arc<Histogram>)];

/// Keeps histograms of a window: the ends, both sides of resets, a stale marker at the end.
fn keep_histograms(all: Histograms<'_>, kept: &mut Samples) {
    let first_kept = kept.histograms.len();
    let live: Vec<&(i64, Arc<Histogram>)> = all.iter().filter(|one| !one.1.is_stale()).collect();
    let floats: Vec<FloatHistogram> = live.iter().map(|one| FloatHistogram::from(&*one.1)).collect();
    let pairs = floats.windows(2).enumerate();
    let resets = pairs
        .filter(|(_, pair)| pair[1].is_reset_from(&pair[0]))
        .map(|(place, _)| place);
    let resets: Vec<usize> = resets.take(FALLS_MAX + 1).collect();
    let told = resets.iter().filter(|_| resets.len() <= FALLS_MAX);
    let sides = told.flat_map(|place| [*place, place + 1]);
    let ends = [0, live.len().saturating_sub(1)];
    let mut places: Vec<usize> = sides.chain(ends).collect();
    places.sort_unstable();
    places.dedup();
    let kept_live = places.iter().filter_map(|place| live.get(*place).copied());
    kept.histograms.extend(kept_live.cloned());
    if let Some(last) = all.last().filter(|last| last.1.is_stale()) {
        kept.histograms.push(last.clone());
    }
    debug_assert!(
        kept.histograms[first_kept..].is_sorted_by_key(|one| one.0),
        "BUG: kept out of order"
    );
}

/// The sum of the histograms that are no stale markers, unless they have none.
fn sum_of(all: Histograms<'_>) -> Option<Arc<Histogram>> {
    let mut live = all
        .iter()
        .filter(|one| !one.1.is_stale())
        .map(|one| FloatHistogram::from(&*one.1));
    let mut sum = HistogramSum::from(&live.next()?);
    live.try_for_each(|one| sum.add(&one).map(drop)).ok()?;
    Some(Arc::new(Histogram::from(&sum.total())))
}
