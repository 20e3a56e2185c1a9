//! Functions over thinned series: what has to be known of the stretches that windows are made of, and the answer made of that.
//!
//! What is told of a stretch lies within it, so the windows that are laid over what is told have of each stretch all or nothing.
//! Most functions are then what they are over samples: the largest of maxima, the first of firsts.

use super::Call;
use super::sweep::{self, OfSweep, Sweep, falls_of};
use crate::promql::source::Aspect;
use crate::promql::value::Cell;

/// What the function of that name has to know of stretches. `None` when only the samples will do.
pub(crate) fn aspect_of(name: &str) -> Option<Aspect> {
    Some(match name {
        "absent_over_time" | "count_over_time" | "present_over_time" => Aspect::Count,
        "avg_over_time" | "sum_over_time" => Aspect::Sum,
        "delta" | "increase" | "rate" | "resets" => Aspect::Change,
        "first_over_time" | "ts_of_first_over_time" => Aspect::First,
        "last_over_time" | "ts_of_last_over_time" => Aspect::Last,
        "max_over_time" => Aspect::Max,
        "min_over_time" => Aspect::Min,
        _ => return None,
    })
}

/// The function of that name over all windows of a thinned series, where it gives each series a row.
pub(crate) fn of_thinned(name: &str) -> Option<OfSweep> {
    Some(match name {
        "avg_over_time" => sweep::avg,
        "count_over_time" => count,
        "delta" => sweep::delta,
        "first_over_time" => first,
        "increase" => sweep::increase,
        "last_over_time" => last,
        "max_over_time" => sweep::max,
        "min_over_time" => sweep::min,
        "present_over_time" => present,
        "rate" => sweep::rate,
        "resets" => resets,
        "sum_over_time" => sweep::sum,
        "ts_of_first_over_time" => ts_of_first,
        "ts_of_last_over_time" => ts_of_last,
        _ => return None,
    })
}

/// The sum of counts, which are whole numbers far below 2^53: so it may be taken as a difference.
fn count(_call: &Call<'_>, sweep: &mut Sweep<'_>, out: &mut Vec<Cell>) {
    let (start, end) = sweep.extent();
    let mut total = 0.0;
    let mut totals = vec![total];
    totals.extend(sweep.values_of((start, end)).iter().map(|count| {
        total += count;
        total
    }));
    let total_at = |at: usize| totals.get(at - start).copied().unwrap_or(total);
    sweep.each(out, |(from, to)| Cell::Float(total_at(to) - total_at(from)));
}

fn present(_call: &Call<'_>, sweep: &mut Sweep<'_>, out: &mut Vec<Cell>) {
    sweep.each(out, |_| Cell::Float(1.0));
}

/// The value of one sample of each window, or its time.
fn one_each(sweep: &Sweep<'_>, out: &mut Vec<Cell>, index: impl Fn((usize, usize)) -> usize, is_time: bool) {
    let values = sweep.values;
    let seconds = |at: &i64| *at as f64 / 1000.0;
    sweep.each(out, |reach| {
        let at = index(reach);
        let found = if is_time {
            sweep.shape.timestamps_ms.get(at).map(seconds)
        } else {
            values.get(at).copied()
        };
        found.map_or(Cell::Empty, Cell::Float)
    });
}

fn first(_call: &Call<'_>, sweep: &mut Sweep<'_>, out: &mut Vec<Cell>) {
    one_each(sweep, out, |(from, _)| from, false);
}

fn last(_call: &Call<'_>, sweep: &mut Sweep<'_>, out: &mut Vec<Cell>) {
    one_each(sweep, out, |(_, to)| to - 1, false);
}

fn ts_of_first(_call: &Call<'_>, sweep: &mut Sweep<'_>, out: &mut Vec<Cell>) {
    one_each(sweep, out, |(from, _)| from, true);
}

fn ts_of_last(_call: &Call<'_>, sweep: &mut Sweep<'_>, out: &mut Vec<Cell>) {
    one_each(sweep, out, |(_, to)| to - 1, true);
}

/// How often the value falls between two samples of a window.
fn resets(_call: &Call<'_>, sweep: &mut Sweep<'_>, out: &mut Vec<Cell>) {
    let falls = falls_of(sweep);
    let (mut before, mut seen) = (0, 0);
    sweep.each(out, |(from, to)| {
        // A fall to the first sample of a window is none within.
        while falls.get(before).is_some_and(|at| *at <= from) {
            before += 1;
        }
        seen = seen.max(before);
        while falls.get(seen).is_some_and(|at| *at < to) {
            seen += 1;
        }
        Cell::Float((seen - before) as f64)
    });
}
