//! A table in memory that thins its series, from their samples and in the plainest way: what the evaluator makes of thinned series
//! is held against what it makes of the samples. It can also be wrong, to show that this is seen.

use super::source::{
    Aspect, Select, SeriesSamples, SeriesSet, Source, SourceError, ThinnedSeries, ThinnedSet,
};
use super::testing::Table;
use crate::base::kahan::Compensated;
use crate::model::sample::STALE_NAN_BITS;
use std::cell::{Cell, RefCell};

/// What the source says of itself.
pub(crate) const INFO: &str = "stretches were read instead of samples";

/// Numbers that a seed decides (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end.max(1) as u64) as usize
    }

    /// True once in so many times.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// What the source does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    /// The sample behind a fall is not told.
    DropsAfterFalls,
    /// A sample stands for one more than it does.
    Miscounts,
    /// Of equal maxima the last one is told.
    TellsLastOfEquals,
    /// Stale markers are not told.
    HidesStaleMarkers,
    /// Sums are off by some units in the last place.
    RoundsSums,
}

/// A table that is asked with thinning.
#[derive(Debug)]
pub(crate) struct ThinnedTable<'t> {
    table: &'t Table,
    dice: RefCell<Dice>,
    pub(crate) fault: Fault,
    pub(crate) thins_from_ms: i64,
    /// How often it was asked to thin.
    pub(crate) asked: Cell<usize>,
}

impl<'t> ThinnedTable<'t> {
    pub(crate) fn new(table: &'t Table, seed: u64) -> Self {
        Self {
            table,
            dice: RefCell::new(Dice(seed)),
            fault: Fault::Nothing,
            thins_from_ms: 1,
            asked: Cell::default(),
        }
    }

    fn thin(&self, series: &SeriesSamples, cuts_ms: &[i64], aspect: Aspect) -> ThinnedSeries {
        let mut dice = self.dice.borrow_mut();
        let mut thinned = ThinnedSeries::default();
        if !series.histograms.values.is_empty() || dice.once_in(8) {
            thinned.series = series.clone();
            thinned.is_whole = true;
            return thinned;
        }
        thinned.series.labels = series.labels.clone();
        for cut in cuts_ms.windows(2) {
            let within = self.within(series, (cut[0], cut[1]), aspect);
            if within.is_empty() {
                continue;
            }
            for (at_ms, value, count) in self.tell(&within, cut[1], aspect, &mut dice) {
                thinned.series.floats.timestamps_ms.push(at_ms);
                thinned.series.floats.values.push(value);
                if matches!(aspect, Aspect::Sum | Aspect::Change) {
                    thinned.counts.push(count);
                }
            }
        }
        thinned
    }

    /// The samples of a stretch.
    fn within(
        &self,
        series: &SeriesSamples,
        (open_start_ms, end_ms): (i64, i64),
        aspect: Aspect,
    ) -> Vec<(i64, f64)> {
        let floats = &series.floats;
        let all = floats.timestamps_ms.iter().copied();
        let sees_stale = aspect == Aspect::Newest && self.fault != Fault::HidesStaleMarkers;
        all.zip(floats.values.iter().copied())
            .filter(|(at_ms, _)| *at_ms > open_start_ms && *at_ms <= end_ms)
            .filter(|(_, value)| sees_stale || value.to_bits() != STALE_NAN_BITS)
            .collect()
    }

    /// What is told of a stretch: times, values and how many samples each stands for.
    fn tell(
        &self,
        within: &[(i64, f64)],
        end_ms: i64,
        aspect: Aspect,
        dice: &mut Dice,
    ) -> Vec<(i64, f64, u32)> {
        let one = |(at_ms, value): (i64, f64)| (at_ms, value, 1);
        let whole = || within.iter().copied().map(one).collect();
        let first = within[0];
        let last = within[within.len() - 1];
        match aspect {
            Aspect::Newest | Aspect::Last => vec![one(last)],
            Aspect::First => vec![one(first)],
            Aspect::Count => {
                let more = usize::from(self.fault == Fault::Miscounts);
                vec![(end_ms, (within.len() + more) as f64, 1)]
            }
            Aspect::Min => vec![(end_ms, best(within, |value, least| value < least), 1)],
            Aspect::Max if self.fault == Fault::TellsLastOfEquals => {
                vec![(end_ms, best(within, |value, most| value >= most), 1)]
            }
            Aspect::Max => vec![(end_ms, best(within, |value, most| value > most), 1)],
            Aspect::Sum => {
                let mut sum = Compensated::default();
                within.iter().for_each(|(_, value)| sum.add(*value));
                let mut total = sum.total();
                if !total.is_finite() || dice.once_in(3) {
                    return whole();
                }
                if self.fault == Fault::RoundsSums {
                    total *= 1.0 + 16.0 * f64::EPSILON;
                }
                vec![(end_ms, total, within.len() as u32)]
            }
            Aspect::Change if within.iter().any(|(_, value)| value.is_nan()) || dice.once_in(3) => whole(),
            Aspect::Change => self.change(within),
        }
    }

    fn change(&self, within: &[(i64, f64)]) -> Vec<(i64, f64, u32)> {
        let falls_to = |at: usize| at > 0 && within[at].1 < within[at - 1].1;
        let is_kept = |at: &usize| {
            let is_end = *at == 0 || at + 1 == within.len();
            let is_before_fall = at + 1 < within.len() && falls_to(at + 1);
            let is_behind_fall = falls_to(*at) && self.fault != Fault::DropsAfterFalls;
            is_end || is_before_fall || is_behind_fall
        };
        let kept: Vec<usize> = (0..within.len()).filter(is_kept).collect();
        let more = u32::from(self.fault == Fault::Miscounts);
        let ends = kept.iter().copied().skip(1).chain([within.len()]);
        kept.iter()
            .zip(ends)
            .map(|(at, end)| (within[*at].0, within[*at].1, (end - at) as u32 + more))
            .collect()
    }
}

/// The first value that none behind it wins over. NaN loses against every number, and against NaN behind it.
fn best(within: &[(i64, f64)], wins: impl Fn(f64, f64) -> bool) -> f64 {
    let values = within.iter().map(|(_, value)| *value);
    values.fold(f64::NAN, |best, value| {
        if wins(value, best) || best.is_nan() {
            value
        } else {
            best
        }
    })
}

struct Told {
    series: std::vec::IntoIter<ThinnedSeries>,
}

impl ThinnedSet for Told {
    fn next(&mut self, series: &mut ThinnedSeries) -> Result<bool, SourceError> {
        match self.series.next() {
            Some(one) => *series = one,
            None => return Ok(false),
        }
        Ok(true)
    }

    fn warnings(&self) -> Vec<String> {
        vec!["a warning".to_owned()]
    }

    fn infos(&self) -> Vec<String> {
        vec![INFO.to_owned()]
    }
}

impl Source for ThinnedTable<'_> {
    fn select<'a>(&'a self, select: &Select) -> Result<Box<dyn SeriesSet + 'a>, SourceError> {
        self.table.select(select)
    }

    fn thins_from_ms(&self, _start_ms: i64) -> i64 {
        self.thins_from_ms
    }

    fn thinned<'a>(
        &'a self,
        select: &Select,
        cuts_ms: &[i64],
        aspect: Aspect,
    ) -> Result<Option<Box<dyn ThinnedSet + 'a>>, SourceError> {
        self.asked.set(self.asked.get() + 1);
        assert!(cuts_ms.len() > 1 && cuts_ms.windows(2).all(|cut| cut[0] < cut[1]));
        assert_eq!(cuts_ms[0] + 1, select.start_ms, "the stretches are the select");
        assert_eq!(
            cuts_ms[cuts_ms.len() - 1],
            select.end_ms,
            "the stretches are the select"
        );
        let found = self.table.find(select)?;
        let told: Vec<ThinnedSeries> = found.iter().map(|one| self.thin(one, cuts_ms, aspect)).collect();
        Ok(Some(Box::new(Told {
            series: told.into_iter(),
        })))
    }
}
