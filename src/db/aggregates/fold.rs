//! What a function comes to in each window, of what was told of a series.

use crate::base::kahan::Compensated;
use crate::engine::rollups::AggregateFunction;
use crate::promql::functions::sums::Mean;
use crate::rollup::Grid;
use crate::rollup::tell::{Asked, Told};

/// What has to be asked of each window.
pub(super) fn asked(function: AggregateFunction) -> Asked {
    match function {
        AggregateFunction::Avg => Asked::Mean,
        AggregateFunction::Sum => Asked::Sum,
        AggregateFunction::Min => Asked::Min,
        AggregateFunction::Max => Asked::Max,
        AggregateFunction::Count => Asked::Count,
        AggregateFunction::First => Asked::First,
        AggregateFunction::Last => Asked::Last,
        AggregateFunction::Increase => Asked::Change,
    }
}

/// How many windows before the first one have a part in it.
pub(super) fn windows_before(function: AggregateFunction) -> i64 {
    i64::from(function == AggregateFunction::Increase)
}

/// Calls `each` with the end and the value of every window that has one.
pub(super) fn fold(function: AggregateFunction, told: &Told, grid: Grid, mut each: impl FnMut(i64, f64)) {
    let mut before: Option<(i64, f64)> = None;
    let mut at = 0;
    while let Some(time) = told.timestamps.get(at) {
        let end = grid.end_of(*time);
        let length = told.timestamps[at..].partition_point(|time| *time <= end);
        let bits = told.bits.get(at..at + length).unwrap_or_default();
        let values = bits.iter().map(|bits| f64::from_bits(*bits));
        let Some(last) = values.clone().next_back() else {
            return;
        };
        let value = match function {
            AggregateFunction::Sum => {
                let mut sum = Compensated::default();
                values.for_each(|value| sum.add(value));
                sum.total()
            }
            AggregateFunction::Avg => {
                let mut mean = Mean::default();
                let counts = told.counts.get(at..at + length).unwrap_or_default();
                values
                    .zip(counts)
                    .for_each(|(sum, count)| mean.add_sum(sum, f64::from(*count)));
                mean.value()
            }
            AggregateFunction::Increase => {
                let from = before.filter(|before| before.0 == end - grid.width());
                growth(from.into_iter().map(|before| before.1).chain(values))
            }
            // Windows have one value of these.
            AggregateFunction::Min
            | AggregateFunction::Max
            | AggregateFunction::Count
            | AggregateFunction::First
            | AggregateFunction::Last => last,
        };
        each(end, value);
        before = Some((end, last));
        at += length;
    }
}

/// What a counter has grown by: it began anew at nothing where its value falls.
fn growth(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let last = values.clone().last().unwrap_or(0.0);
    let mut later = values.clone();
    let first = later.next().unwrap_or(0.0);
    // Added in this order whatever was left out between two falls.
    values
        .zip(later)
        .filter(|(value, next)| next < value)
        .fold(last - first, |grown, (lost, _)| grown + lost)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(function: AggregateFunction, samples: &[(i64, f64, u32)]) -> Vec<(i64, f64)> {
        let told = Told {
            timestamps: samples.iter().map(|sample| sample.0).collect(),
            bits: samples.iter().map(|sample| sample.1.to_bits()).collect(),
            counts: samples.iter().map(|sample| sample.2).collect(),
        };
        let mut windows = Vec::new();
        fold(function, &told, Grid::new(10, 1), |end, value| {
            windows.push((end, value))
        });
        windows
    }

    #[test]
    fn counters_grow_across_windows_and_resets_but_not_across_gaps() {
        let samples = [
            (3, 5.0, 1),
            (10, 8.0, 1),
            (12, 9.0, 1),
            (18, 2.0, 1),
            (20, 4.0, 1),
            (25, 1.0, 1),
            (41, 100.0, 1),
        ];
        assert_eq!(
            folded(AggregateFunction::Increase, &samples),
            [(10, 3.0), (20, 5.0), (30, 1.0), (50, 0.0)]
        );
    }

    #[test]
    fn sums_that_were_told_in_parts_are_joined() {
        let samples = [(3, 5.0, 2), (4, f64::INFINITY, 1), (10, 8.0, 1), (20, 6.0, 4)];
        assert_eq!(
            folded(AggregateFunction::Sum, &samples),
            [(10, f64::INFINITY), (20, 6.0)]
        );
        assert_eq!(
            folded(AggregateFunction::Avg, &samples),
            [(10, f64::INFINITY), (20, 1.5)]
        );
        let huge = [(1, 1e308, 1), (2, 1e308, 1)];
        assert_eq!(folded(AggregateFunction::Sum, &huge), [(10, f64::INFINITY)]);
        assert_eq!(folded(AggregateFunction::Avg, &huge), [(10, 1e308)]);
    }

    #[test]
    fn samples_stand_at_the_ends_of_their_windows() {
        let samples = [(3, 5.0, 0), (11, 8.0, 0), (30, -1.0, 0)];
        for function in [
            AggregateFunction::First,
            AggregateFunction::Last,
            AggregateFunction::Max,
        ] {
            assert_eq!(folded(function, &samples), [(10, 5.0), (20, 8.0), (30, -1.0)]);
        }
        assert_eq!(folded(AggregateFunction::Min, &[]), []);
    }
}
