//! Functions over all windows of a series of floats at once. Windows of neighbouring steps overlap, which makes them cheaper
//! together than one by one; the answers are the same to the bit.
//!
//! Sums cannot slide: what rounding does depends on where a sum begins. So several windows are summed side by side, each as it
//! would be alone. Maxima and minima slide.

use super::rate::{self, Kind, Stretch};
use super::sums::Mean;
use super::{Call, over_time};
use crate::base::kahan::Compensated;
use crate::promql::value::Cell;
use std::ops::Range;

/// A series and its windows. There are no histograms, no start timestamps and no stale markers.
#[derive(Debug)]
pub(crate) struct Sweep<'s> {
    pub(crate) values: &'s [f64],
    pub(crate) shape: &'s mut Shape,
    /// The steps that are swept.
    pub(crate) steps: Range<usize>,
}

/// Windows and the times of the samples in them. Series that are scraped together share it.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    /// Of each step the end of its window.
    ends_ms: Vec<i64>,
    range_ms: i64,
    pub(super) timestamps_ms: Vec<i64>,
    /// Of each sample how many it stands for; empty when it is one each.
    counts: Vec<u32>,
    /// How many those before each sample stand for, and at the end how many all of them do. Empty as `counts` is.
    counts_before: Vec<u64>,
    /// Of each step the samples within its window: from the first up to, not including, the last index.
    reaches: Vec<(usize, usize)>,
    /// Samples of all windows together.
    samples: usize,
    /// What rates need of it, once it was asked for.
    stretches: Vec<Option<Stretch>>,
}

impl Shape {
    /// Windows of so long a range with these ends, which do not fall.
    pub(crate) fn new(ends_ms: Vec<i64>, range_ms: i64) -> Self {
        Self {
            ends_ms,
            range_ms,
            ..Self::default()
        }
    }

    /// Lays the windows over the samples of a series. `counts` says how many each stands for, and is empty when it is one each.
    pub(crate) fn lay(&mut self, timestamps_ms: &[i64], counts: &[u32]) {
        let is_same = self.timestamps_ms == timestamps_ms && self.counts == counts;
        if is_same && self.reaches.len() == self.ends_ms.len() {
            return;
        }
        self.timestamps_ms.clear();
        self.timestamps_ms.extend_from_slice(timestamps_ms);
        self.count(counts);
        self.reaches.clear();
        self.stretches.clear();
        self.samples = 0;
        let (mut from, mut to) = (0, 0);
        for end_ms in &self.ends_ms {
            let open_start_ms = end_ms.saturating_sub(self.range_ms);
            while timestamps_ms.get(to).is_some_and(|at| at <= end_ms) {
                to += 1;
            }
            while from < to && timestamps_ms.get(from).is_some_and(|at| *at <= open_start_ms) {
                from += 1;
            }
            self.samples += to - from;
            self.reaches.push((from, to));
        }
    }

    fn count(&mut self, counts: &[u32]) {
        self.counts.clear();
        self.counts.extend_from_slice(counts);
        self.counts_before.clear();
        if counts.is_empty() {
            return;
        }
        let mut before = 0;
        self.counts_before.push(before);
        self.counts_before.extend(counts.iter().map(|count| {
            before += u64::from(*count);
            before
        }));
    }

    /// How many the samples from the first up to, not including, the last index stand for.
    fn count_of(&self, (from, to): (usize, usize)) -> usize {
        match (self.counts_before.get(from), self.counts_before.get(to)) {
            (Some(before), Some(all)) => (all - before) as usize,
            _ => to - from,
        }
    }

    /// Samples of all windows together.
    pub(crate) fn samples(&self) -> usize {
        self.samples
    }

    /// The steps from one on whose windows have at most so many samples together; one in any case.
    pub(crate) fn piece(&self, from: usize, samples_max: usize) -> Range<usize> {
        let mut samples = 0;
        let windows = self.reaches.get(from..).unwrap_or_default().iter();
        let fitting = windows.take_while(|(from, to)| {
            samples += to - from;
            samples <= samples_max
        });
        from..from + fitting.count().max(1)
    }

    /// Samples in the window of a step.
    pub(crate) fn samples_at(&self, step: usize) -> usize {
        self.reaches.get(step).map_or(0, |(from, to)| to - from)
    }

    fn fill_stretches(&mut self, kind: Kind) {
        if !self.stretches.is_empty() {
            return;
        }
        let mut stretches = std::mem::take(&mut self.stretches);
        let windows = self.reaches.iter().zip(&self.ends_ms);
        stretches.extend(windows.map(|((from, to), end_ms)| {
            let bounds_ms = (end_ms.saturating_sub(self.range_ms), *end_ms);
            let timestamps_ms = self.timestamps_ms.get(*from..*to)?;
            let ends_ms = (*timestamps_ms.first()?, *timestamps_ms.last()?);
            Stretch::new(bounds_ms, ends_ms, self.count_of((*from, *to)), kind)
        }));
        self.stretches = stretches;
    }
}

/// Appends a cell for each step that is swept.
pub(crate) type OfSweep = fn(&Call<'_>, &mut Sweep<'_>, &mut Vec<Cell>);

/// The function of that name over all windows of a series.
pub(crate) fn of_sweep(name: &str) -> Option<OfSweep> {
    Some(match name {
        "avg_over_time" => avg,
        "count_over_time" => count,
        "delta" => delta,
        "increase" => increase,
        "max_over_time" => max,
        "min_over_time" => min,
        "rate" => rate,
        "sum_over_time" => sum,
        _ => return None,
    })
}

impl<'s> Sweep<'s> {
    pub(super) fn values_of(&self, (from, to): (usize, usize)) -> &'s [f64] {
        self.values.get(from..to).unwrap_or_default()
    }

    /// Of each step that is swept the samples within its window.
    fn reaches(&self) -> &[(usize, usize)] {
        self.shape.reaches.get(self.steps.clone()).unwrap_or_default()
    }

    /// All samples that the windows have together, those between them too.
    pub(super) fn extent(&self) -> (usize, usize) {
        let reaches = self.reaches();
        let from = reaches.first().map_or(0, |first| first.0);
        (from, reaches.last().map_or(from, |last| last.1))
    }

    /// Appends what `of_window` makes of each window that is not empty.
    pub(super) fn each(&self, out: &mut Vec<Cell>, mut of_window: impl FnMut((usize, usize)) -> Cell) {
        out.extend(self.reaches().iter().map(|reach| {
            if reach.0 < reach.1 {
                of_window(*reach)
            } else {
                Cell::Empty
            }
        }));
    }
}

/// Windows that are summed side by side.
const LANES: usize = 8;
/// Below it no sum of the samples of a series is infinite.
const SUMMED_MAX: f64 = 1e290;

/// Appends what `finish` makes of the sum of each window and how many samples it stands for. All values are below [`SUMMED_MAX`].
fn totals(sweep: &Sweep<'_>, out: &mut Vec<Cell>, finish: impl Fn(Compensated, usize) -> Cell) {
    for reaches in sweep.reaches().chunks(LANES) {
        let mut lanes: [&[f64]; LANES] = [&[]; LANES];
        for (lane, reach) in lanes.iter_mut().zip(reaches) {
            *lane = sweep.values_of(*reach);
        }
        let shared = lanes[..reaches.len()].iter().map(|lane| lane.len()).min();
        let shared = if reaches.len() == LANES {
            shared.unwrap_or(0)
        } else {
            0
        };
        let (values, lost) = side_by_side(lanes, shared);
        for (at, (lane, reach)) in lanes.iter().zip(reaches).enumerate() {
            let mut sum = Compensated {
                value: values[at],
                lost: lost[at],
            };
            lane[shared..].iter().for_each(|value| sum.add(*value));
            out.push(if lane.is_empty() {
                Cell::Empty
            } else {
                finish(sum, sweep.shape.count_of(*reach))
            });
        }
    }
}

/// The compensated sums of the first `shared` values of all lanes. Written so that the error of an addition is found without
/// asking which summand is larger; it is the same one, as long as nothing is infinite.
fn side_by_side(lanes: [&[f64]; LANES], shared: usize) -> ([f64; LANES], [f64; LANES]) {
    let (mut sums, mut lost) = ([0.0; LANES], [0.0; LANES]);
    let lanes = lanes.map(|lane| lane.get(..shared).unwrap_or_default());
    for at in 0..shared {
        for (lane, values) in lanes.iter().enumerate() {
            let (sum, value) = (sums[lane], values[at]);
            let next = sum + value;
            let added = next - sum;
            lost[lane] += (sum - (next - added)) + (value - added);
            sums[lane] = next;
        }
    }
    (sums, lost)
}

fn are_summable(values: &[f64]) -> bool {
    // Without an early end, so that several are compared at once.
    values
        .iter()
        .fold(true, |all, value| all & (value.abs() < SUMMED_MAX))
}

pub(super) fn avg(_call: &Call<'_>, sweep: &mut Sweep<'_>, out: &mut Vec<Cell>) {
    if are_summable(sweep.values_of(sweep.extent())) {
        return totals(sweep, out, |mut sum, count| {
            sum.divide(count as f64);
            Cell::Float(sum.total())
        });
    }
    sweep.each(out, |reach| {
        let mut mean = Mean::default();
        for (at, value) in (reach.0..).zip(sweep.values_of(reach)) {
            mean.add_sum(*value, sweep.shape.count_of((at, at + 1)) as f64);
        }
        Cell::Float(mean.value())
    });
}

pub(super) fn sum(_call: &Call<'_>, sweep: &mut Sweep<'_>, out: &mut Vec<Cell>) {
    if are_summable(sweep.values_of(sweep.extent())) {
        return totals(sweep, out, |sum, _| Cell::Float(sum.total()));
    }
    sweep.each(out, |reach| Cell::Float(over_time::total(sweep.values_of(reach))));
}

fn count(_call: &Call<'_>, sweep: &mut Sweep<'_>, out: &mut Vec<Cell>) {
    sweep.each(out, |(from, to)| Cell::Float((to - from) as f64));
}

pub(super) fn max(_call: &Call<'_>, sweep: &mut Sweep<'_>, out: &mut Vec<Cell>) {
    slide(sweep, out, |value, most| value > most);
}

pub(super) fn min(_call: &Call<'_>, sweep: &mut Sweep<'_>, out: &mut Vec<Cell>) {
    slide(sweep, out, |value, least| value < least);
}

/// The first value of each window that no other one wins over. NaN loses against every number.
fn slide(sweep: &Sweep<'_>, out: &mut Vec<Cell>, wins: impl Fn(f64, f64) -> bool) {
    // Indexes of values that win once those before them have left, each lost against all before it in the list.
    let mut line: Vec<usize> = Vec::new();
    let mut first = 0;
    let mut seen = 0;
    sweep.each(out, |(from, to)| {
        if seen < from {
            line.clear();
            (first, seen) = (0, from);
        }
        while seen < to {
            let value = sweep.values[seen];
            if !value.is_nan() {
                while line.len() > first && line.last().is_some_and(|last| wins(value, sweep.values[*last])) {
                    line.pop();
                }
                line.push(seen);
            }
            seen += 1;
        }
        while line.get(first).is_some_and(|at| *at < from) {
            first += 1;
        }
        Cell::Float(sweep.values[line.get(first).copied().unwrap_or(to - 1)])
    });
}

pub(super) fn rate(_call: &Call<'_>, sweep: &mut Sweep<'_>, out: &mut Vec<Cell>) {
    changes(sweep, out, rate::RATE);
}

pub(super) fn increase(_call: &Call<'_>, sweep: &mut Sweep<'_>, out: &mut Vec<Cell>) {
    changes(sweep, out, rate::INCREASE);
}

pub(super) fn delta(_call: &Call<'_>, sweep: &mut Sweep<'_>, out: &mut Vec<Cell>) {
    changes(sweep, out, rate::DELTA);
}

fn changes(sweep: &mut Sweep<'_>, out: &mut Vec<Cell>, kind: Kind) {
    sweep.shape.fill_stretches(kind);
    let falls = if kind.is_counter {
        falls_of(sweep)
    } else {
        Vec::new()
    };
    let mut next_fall = 0;
    let stretches = sweep.shape.stretches.get(sweep.steps.clone());
    let windows = sweep.reaches().iter().zip(stretches.unwrap_or_default());
    out.extend(windows.map(|((from, to), stretch)| {
        let values = sweep.values.get(*from..*to).unwrap_or_default();
        let (Some(stretch), Some(first), Some(last)) = (stretch, values.first(), values.last()) else {
            return Cell::Empty;
        };
        while falls.get(next_fall).is_some_and(|at| at <= from) {
            next_fall += 1;
        }
        let within = falls[next_fall..].iter().take_while(|at| *at < to);
        let change = within.fold(last - first, |change, at| change + sweep.values[at - 1]);
        Cell::Float(stretch.rate_of(change, *first, kind))
    }));
}

/// Indexes of values that are smaller than the one before.
pub(super) fn falls_of(sweep: &Sweep<'_>) -> Vec<usize> {
    let extent = sweep.extent();
    let values = sweep.values_of(extent);
    let is_fall = |(before, now): (&f64, &f64)| now < before;
    let pairs = || values.iter().zip(values.iter().skip(1));
    // Without an early end, so that several are compared at once. Mostly there is none.
    if !pairs().fold(false, |any, pair| any | is_fall(pair)) {
        return Vec::new();
    }
    let falls = pairs().enumerate().filter(|(_, pair)| is_fall(*pair));
    falls.map(|(index, _)| extent.0 + index + 1).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Implementation;
    use super::*;
    use crate::promql::functions::{implementation, testing};
    use crate::promql::window::{Floats, Histograms, Window, WindowKind};
    use proptest::prelude::*;

    fn values() -> impl Strategy<Value = Vec<f64>> {
        let value = prop_oneof![
            8 => (-1000_i32..1000).prop_map(|value| f64::from(value) / 100.0),
            4 => (0_i32..5).prop_map(f64::from),
            1 => prop::num::f64::ANY,
            1 => Just(0.0),
            1 => Just(-0.0),
        ];
        prop::collection::vec(value, 1..80)
    }

    proptest! {
        /// Windows at once, all of them or in pieces, answer what they answer one by one.
        #[test]
        fn sweeps_are_their_windows(values in values(), step in 1_usize..9, width in 1_i64..40, name in 0_usize..8,
            samples_max in 0_usize..3000) {
            let name = ["avg_over_time", "count_over_time", "delta", "increase", "max_over_time",
                "min_over_time", "rate", "sum_over_time"][name];
            let timestamps_ms: Vec<i64> = (1..=values.len() as i64).map(|at| at * 1000).collect();
            let ends_ms: Vec<i64> = (0..100).map(|at| at * step as i64 * 700).collect();
            let range_ms = width * 900;
            let mut shape = Shape::new(ends_ms.clone(), range_ms);
            shape.lay(&timestamps_ms, &[]);
            let reach = |end_ms: &i64| {
                let from = timestamps_ms.partition_point(|at| *at <= end_ms - range_ms);
                (from, timestamps_ms.partition_point(|at| at <= end_ms).max(from))
            };
            let reaches: Vec<_> = ends_ms.iter().map(reach).collect();
            let labels = crate::model::labels::Labels::default();
            let annotations = std::cell::RefCell::default();
            let call = testing::call(&annotations);
            let mut swept = Vec::new();
            while swept.len() < ends_ms.len() {
                let steps = shape.piece(swept.len(), samples_max);
                let mut sweep = Sweep { values: &values, shape: &mut shape, steps };
                of_sweep(name).expect("a function")(&call, &mut sweep, &mut swept);
            }
            prop_assert_eq!(swept.len(), ends_ms.len());
            let Some(Implementation::Window(of_window)) = implementation(name) else { panic!("no windows") };
            for (step, (from, to)) in reaches.iter().enumerate() {
                let window = Window {
                    labels: &labels,
                    floats: Floats { timestamps_ms: &timestamps_ms[*from..*to], values: &values[*from..*to],
                        starts_ms: &[] },
                    histograms: Histograms::default(),
                    start_ms: ends_ms[step] - range_ms,
                    end_ms: ends_ms[step],
                    kind: WindowKind::Plain,
                };
                let alone = if from == to { Cell::Empty } else { of_window(&call, step, &window) };
                let bits = |cell: &Cell| cell.as_float().map(f64::to_bits);
                prop_assert_eq!(bits(&swept[step]), bits(&alone), "{} step {}", name, step);
            }
        }
    }
}
