//! Columns and what is told of them, against the samples they were made of.

use super::columns::{Extreme, Roller};
use super::tell::{Asked, RowCursor, Teller, TileRow, Told};
use super::{COLUMNS, Column, Grid};
use crate::base::kahan::Compensated;
use crate::base::spans::Spans;
use crate::model::sample::STALE_NAN_BITS;
use crate::model::samples::Samples;
use proptest::prelude::*;

const WIDTH: i64 = 10;
const END: i64 = 200;

fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => (0i32..6).prop_map(|value| f64::from(value).to_bits()),
        4 => (-3.0f64..3.0).prop_map(f64::to_bits),
        1 => Just((-0.0f64).to_bits()),
        1 => Just(f64::NAN.to_bits()),
        1 => Just(f64::INFINITY.to_bits()),
        1 => Just(f64::MAX.to_bits()),
        1 => Just(STALE_NAN_BITS),
    ]
}

/// Samples with gaps; mostly those of a counter.
fn samples() -> impl Strategy<Value = Samples> {
    let one = (prop_oneof![4 => 1i64..4, 1 => 1i64..40], value(), 0u8..10);
    (proptest::collection::vec(one, 0..60), any::<bool>()).prop_map(|(steps, is_counter)| {
        let mut samples = Samples::default();
        let (mut time, mut total) = (0, 0.0);
        for (pause, bits, reset) in steps {
            time += pause;
            if time > END {
                break;
            }
            total = if reset == 0 { 0.1 } else { total + 0.7 };
            samples.timestamps.push(time);
            samples.bits.push(if is_counter && bits != STALE_NAN_BITS {
                f64::to_bits(total)
            } else {
                bits
            });
        }
        samples
    })
}

/// Cuts, some of them within windows, and spans in which samples are read.
fn cuts() -> impl Strategy<Value = (Vec<i64>, Spans)> {
    let cut = prop_oneof![4 => (0i64..=END / WIDTH).prop_map(|window| window * WIDTH), 1 => 0i64..=END];
    let raw = proptest::collection::vec(0i64..END / WIDTH, 0..4);
    (proptest::collection::vec(cut, 2..12), raw).prop_map(|(mut cuts, raw)| {
        cuts.extend([0, END]);
        cuts.sort_unstable();
        cuts.dedup();
        let mut spans = Spans::default();
        raw.into_iter()
            .for_each(|window| spans.insert(window * WIDTH, (window + 1) * WIDTH));
        (cuts, spans)
    })
}

/// Tells from columns, and from samples in the spans and where there must be.
fn told_from_columns(samples: &Samples, asked: Asked, cuts: &[i64], raw: &Spans) -> Told {
    let grid = Grid::new(WIDTH, 1);
    let mut columns = vec![Samples::default(); COLUMNS];
    Roller::default().roll(samples, grid, (0, END), &mut columns);
    let mut row = TileRow::default();
    for column in asked.columns() {
        *row.column_mut(*column) = columns[*column as usize].clone();
    }
    let mut raw = raw.clone();
    grid.parted(cuts)
        .iter()
        .for_each(|(from, to)| raw.insert(from, to));
    row.untold(asked, grid)
        .spans
        .iter()
        .for_each(|(from, to)| raw.insert(from, to));
    let mut told = Told::default();
    let mut teller = Teller::new(cuts, asked, &mut told);
    let mut cursor = RowCursor::default();
    for (from, to) in raw.iter() {
        teller.windows(&row, &mut cursor, from);
        for (time, bits) in samples.timestamps.iter().zip(&samples.bits) {
            if from < *time && *time <= to {
                teller.sample(*time, *bits);
            }
        }
        cursor.skip(&row, to);
    }
    teller.windows(&row, &mut cursor, END);
    teller.finish();
    told
}

/// The samples of each stretch, without stale markers unless they are wanted.
fn stretches(samples: &Samples, cuts: &[i64], with_stale: bool) -> Vec<(i64, Vec<(i64, u64)>)> {
    let within = |pair: &[i64]| {
        let all = samples
            .timestamps
            .iter()
            .copied()
            .zip(samples.bits.iter().copied());
        let within = all.filter(|one| pair[0] < one.0 && one.0 <= pair[1]);
        (
            pair[1],
            within
                .filter(|one| with_stale || one.1 != STALE_NAN_BITS)
                .collect(),
        )
    };
    cuts.windows(2).map(within).collect()
}

fn naive(samples: &Samples, asked: Asked, cuts: &[i64]) -> Vec<(i64, u64)> {
    let float = |one: &(i64, u64)| f64::from_bits(one.1);
    let extreme = |of: Extreme, all: &[(i64, u64)]| {
        all.iter()
            .map(float)
            .fold(None, |best, value| Some(of.best(best, value)))
    };
    let stretches = stretches(samples, cuts, asked == Asked::Newest);
    let tell = |(end, all): (i64, Vec<(i64, u64)>)| match asked {
        Asked::Newest | Asked::Last => all.last().copied(),
        Asked::First => all.first().copied(),
        Asked::Count => (!all.is_empty()).then(|| (end, (all.len() as f64).to_bits())),
        Asked::Min => Some((end, extreme(Extreme::Min, &all)?.to_bits())),
        Asked::Max => Some((end, extreme(Extreme::Max, &all)?.to_bits())),
        Asked::Sum | Asked::Mean | Asked::Change => None,
    };
    stretches.into_iter().filter_map(tell).collect()
}

fn within(told: &Told, from: i64, to: i64) -> Vec<(i64, f64, u32)> {
    let all = told.timestamps.iter().zip(&told.bits).zip(&told.counts);
    let all = all.map(|((time, bits), count)| (*time, f64::from_bits(*bits), *count));
    all.filter(|one| from < one.0 && one.0 <= to).collect()
}

/// The sum of a stretch and how many samples it has.
fn check_sums(samples: &Samples, cuts: &[i64], told: &Told) -> Result<(), TestCaseError> {
    for ((end, all), pair) in stretches(samples, cuts, false).into_iter().zip(cuts.windows(2)) {
        let parts = within(told, pair[0], end);
        prop_assert_eq!(parts.iter().map(|part| part.2 as usize).sum::<usize>(), all.len());
        prop_assert!(parts.iter().all(|part| part.1.is_finite() || part.2 == 1));
        let add = |mut sum: Compensated, value: f64| {
            sum.add(value);
            sum
        };
        let wanted = all.iter().map(|one| f64::from_bits(one.1));
        let size: f64 = wanted.clone().map(f64::abs).sum();
        let wanted = wanted.fold(Compensated::default(), add).total();
        let found = parts
            .iter()
            .map(|part| part.1)
            .fold(Compensated::default(), add)
            .total();
        let is_near = (wanted - found).abs() <= size * 2f64.powi(-51);
        let is_same = wanted.to_bits() == found.to_bits() || (wanted.is_nan() && found.is_nan());
        prop_assert!(is_same || is_near || !size.is_finite(), "{} {}", wanted, found);
    }
    Ok(())
}

fn falls(values: impl Iterator<Item = f64>) -> Vec<(f64, f64)> {
    let values: Vec<f64> = values.collect();
    let falls = values.windows(2).filter(|pair| pair[1] < pair[0]);
    falls.map(|pair| (pair[0], pair[1])).collect()
}

fn check_changes(samples: &Samples, cuts: &[i64], told: &Told) -> Result<(), TestCaseError> {
    for ((end, all), pair) in stretches(samples, cuts, false).into_iter().zip(cuts.windows(2)) {
        let parts = within(told, pair[0], end);
        prop_assert_eq!(parts.iter().map(|part| part.2 as usize).sum::<usize>(), all.len());
        let ends = |time: Option<(i64, u64)>| time.map(|one| (one.0, one.1));
        let parts_ends = |part: Option<&(i64, f64, u32)>| part.map(|one| (one.0, one.1.to_bits()));
        prop_assert_eq!(parts_ends(parts.first()), ends(all.first().copied()));
        prop_assert_eq!(parts_ends(parts.last()), ends(all.last().copied()));
    }
    let live = samples.bits.iter().filter(|bits| **bits != STALE_NAN_BITS);
    let wanted = falls(live.map(|bits| f64::from_bits(*bits)));
    let found = falls(told.bits.iter().map(|bits| f64::from_bits(*bits)));
    prop_assert_eq!(found, wanted);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]
    #[test]
    fn columns_tell_what_samples_do(samples in samples(), (cuts, raw) in cuts()) {
        for asked in [Asked::Newest, Asked::First, Asked::Last, Asked::Count, Asked::Min, Asked::Max] {
            let told = told_from_columns(&samples, asked, &cuts, &raw);
            let found: Vec<(i64, u64)> = told.timestamps.iter().copied().zip(told.bits.iter().copied()).collect();
            prop_assert_eq!(found, naive(&samples, asked, &cuts), "{:?}", asked);
        }
        check_sums(&samples, &cuts, &told_from_columns(&samples, Asked::Sum, &cuts, &raw))?;
        check_changes(&samples, &cuts, &told_from_columns(&samples, Asked::Change, &cuts, &raw))?;
    }
}

#[test]
fn a_counter_needs_no_extremes_and_little_else() {
    let mut samples = Samples::default();
    for step in 1..=40 {
        samples.timestamps.push(step * 5);
        samples.bits.push((step as f64).to_bits());
    }
    let mut columns = vec![Samples::default(); COLUMNS];
    Roller::default().roll(&samples, Grid::new(50, 1), (0, 200), &mut columns);
    let lengths: Vec<usize> = columns.iter().map(Samples::len).collect();
    assert_eq!(lengths, [8, 4, 4, 0, 0]);
    assert_eq!(columns[Column::Counts as usize].bits, [10f64.to_bits(); 4]);
}
