//! Functions of the floats of a window: aggregations over time.

use super::Call;
use super::histogram_sums::{HistogramMean, HistogramSum, HistogramTotal};
use super::sums::{Mean, quantile};
use crate::base::kahan::Compensated;
use crate::model::float_histogram::FloatHistogram;
use crate::promql::annotations::{Annotation, HistogramOperation as Operation};
use crate::promql::value::Cell;
use crate::promql::window::Window;
use std::sync::Arc;

/// The floats of a window, for functions that know only these. Says so when there are histograms too.
fn floats<'w>(call: &Call<'_>, window: &Window<'w>) -> Option<&'w [f64]> {
    if window.floats.values.is_empty() {
        return None;
    }
    if !window.histograms.values.is_empty() {
        call.note_metric(window, call.window_span(), |metric| {
            Annotation::IgnoredInMixedRange { metric }
        });
    }
    Some(window.floats.values)
}

/// Whether there are floats and histograms, which is said then.
pub(super) fn is_mixed(call: &Call<'_>, window: &Window<'_>) -> bool {
    let mixed = !window.floats.values.is_empty() && !window.histograms.values.is_empty();
    if mixed {
        call.note_metric(window, call.window_span(), |metric| {
            Annotation::MixedFloatsHistograms { metric }
        });
    }
    mixed
}

fn total_of_histograms(call: &Call<'_>, window: &Window<'_>, mut total: impl HistogramTotal) -> Cell {
    let values: &[Arc<FloatHistogram>] = window.histograms.values;
    let failed = values
        .iter()
        .try_for_each(|histogram| total.add(histogram))
        .is_err();
    let seen = total.seen();
    let span = call.window_span();
    if failed {
        call.note_metric(window, span, |metric| Annotation::MixedExponentialCustom {
            metric,
        });
        return Cell::Empty;
    }
    let value = total.value();
    if seen.is_collision() {
        call.annotate(
            Annotation::ResetCollision {
                operation: Operation::Aggregation,
            },
            span,
        );
    }
    if seen.bounds_reconciled {
        call.annotate(
            Annotation::MismatchedCustomBuckets {
                operation: Operation::Aggregation,
            },
            span,
        );
    }
    value.map_or(Cell::Empty, Cell::from)
}

pub(super) fn sum(call: &Call<'_>, _step: usize, window: &Window<'_>) -> Cell {
    if is_mixed(call, window) {
        return Cell::Empty;
    }
    if window.floats.values.is_empty() {
        return total_of_histograms(call, window, HistogramSum::default());
    }
    Cell::Float(total(window.floats.values))
}

/// The compensated sum.
pub(super) fn total(values: &[f64]) -> f64 {
    let mut sum = Compensated::default();
    values.iter().for_each(|value| sum.add(*value));
    sum.total()
}

pub(super) fn avg(call: &Call<'_>, _step: usize, window: &Window<'_>) -> Cell {
    if is_mixed(call, window) {
        return Cell::Empty;
    }
    if window.floats.values.is_empty() {
        return total_of_histograms(call, window, HistogramMean::default());
    }
    let mut mean = Mean::default();
    window.floats.values.iter().for_each(|value| mean.add(*value));
    Cell::Float(mean.value())
}

pub(super) fn count(_call: &Call<'_>, _step: usize, window: &Window<'_>) -> Cell {
    Cell::Float((window.floats.values.len() + window.histograms.values.len()) as f64)
}

pub(super) fn present(_call: &Call<'_>, _step: usize, _window: &Window<'_>) -> Cell {
    Cell::Float(1.0)
}

pub(super) fn first(_call: &Call<'_>, _step: usize, window: &Window<'_>) -> Cell {
    let float = window
        .floats
        .timestamps_ms
        .first()
        .zip(window.floats.values.first());
    let histogram = window
        .histograms
        .timestamps_ms
        .first()
        .zip(window.histograms.values.first());
    match (float, histogram) {
        (Some((at, value)), Some((other, _))) if at < other => Cell::Float(*value),
        (_, Some((_, histogram))) => Cell::Histogram(histogram.clone()),
        (Some((_, value)), None) => Cell::Float(*value),
        (None, None) => Cell::Empty,
    }
}

pub(super) fn last(_call: &Call<'_>, _step: usize, window: &Window<'_>) -> Cell {
    let float = window
        .floats
        .timestamps_ms
        .last()
        .zip(window.floats.values.last());
    let histogram = window
        .histograms
        .timestamps_ms
        .last()
        .zip(window.histograms.values.last());
    match (float, histogram) {
        (Some((at, value)), Some((other, _))) if other < at => Cell::Float(*value),
        (_, Some((_, histogram))) => Cell::Histogram(histogram.clone()),
        (Some((_, value)), None) => Cell::Float(*value),
        (None, None) => Cell::Empty,
    }
}

fn seconds(timestamp_ms: Option<&i64>) -> Cell {
    timestamp_ms.map_or(Cell::Empty, |timestamp_ms| {
        Cell::Float(*timestamp_ms as f64 / 1000.0)
    })
}

pub(super) fn ts_of_first(_call: &Call<'_>, _step: usize, window: &Window<'_>) -> Cell {
    let firsts = [
        window.floats.timestamps_ms.first(),
        window.histograms.timestamps_ms.first(),
    ];
    seconds(firsts.into_iter().flatten().min())
}

pub(super) fn ts_of_last(_call: &Call<'_>, _step: usize, window: &Window<'_>) -> Cell {
    let lasts = [
        window.floats.timestamps_ms.last(),
        window.histograms.timestamps_ms.last(),
    ];
    seconds(lasts.into_iter().flatten().max())
}

/// The index of the value that wins over all before it. Any number wins over NaN.
fn best(values: &[f64], wins: impl Fn(f64, f64) -> bool) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if wins(*value, values[best]) || values[best].is_nan() {
            best = index;
        }
    }
    best
}

pub(super) fn max(call: &Call<'_>, _step: usize, window: &Window<'_>) -> Cell {
    let Some(values) = floats(call, window) else {
        return Cell::Empty;
    };
    Cell::Float(values[best(values, |value, most| value > most)])
}

pub(super) fn min(call: &Call<'_>, _step: usize, window: &Window<'_>) -> Cell {
    let Some(values) = floats(call, window) else {
        return Cell::Empty;
    };
    Cell::Float(values[best(values, |value, least| value < least)])
}

pub(super) fn ts_of_max(call: &Call<'_>, _step: usize, window: &Window<'_>) -> Cell {
    let Some(values) = floats(call, window) else {
        return Cell::Empty;
    };
    seconds(
        window
            .floats
            .timestamps_ms
            .get(best(values, |value, most| value >= most)),
    )
}

pub(super) fn ts_of_min(call: &Call<'_>, _step: usize, window: &Window<'_>) -> Cell {
    let Some(values) = floats(call, window) else {
        return Cell::Empty;
    };
    seconds(
        window
            .floats
            .timestamps_ms
            .get(best(values, |value, least| value <= least)),
    )
}

fn variance(values: &[f64]) -> f64 {
    let mut count = 0.0;
    let (mut mean, mut squares) = (Compensated::default(), Compensated::default());
    for value in values {
        count += 1.0;
        let delta = value - mean.total();
        mean.add(delta / count);
        squares.add(delta * (value - mean.total()));
    }
    squares.total() / count
}

pub(super) fn stdvar(call: &Call<'_>, _step: usize, window: &Window<'_>) -> Cell {
    floats(call, window).map_or(Cell::Empty, |values| Cell::Float(variance(values)))
}

pub(super) fn stddev(call: &Call<'_>, _step: usize, window: &Window<'_>) -> Cell {
    floats(call, window).map_or(Cell::Empty, |values| Cell::Float(variance(values).sqrt()))
}

pub(super) fn quantile_over_time(call: &Call<'_>, step: usize, window: &Window<'_>) -> Cell {
    if window.floats.values.is_empty() {
        return Cell::Empty;
    }
    let q = call.scalar(0, step).unwrap_or(f64::NAN);
    if !(0.0..=1.0).contains(&q) {
        call.annotate(Annotation::InvalidQuantile { quantile: q }, call.span(0));
    }
    if !window.histograms.values.is_empty() {
        // The position is that of the first argument, as upstream has it.
        call.note_metric(window, call.span(0), |metric| Annotation::IgnoredInMixedRange {
            metric,
        });
    }
    Cell::Float(call.with_scratch(window.floats.values, |values| quantile(q, values)))
}

pub(super) fn mad(call: &Call<'_>, _step: usize, window: &Window<'_>) -> Cell {
    let Some(values) = floats(call, window) else {
        return Cell::Empty;
    };
    if values.iter().any(|value| value.is_nan()) {
        return Cell::Float(f64::NAN);
    }
    Cell::Float(call.with_scratch(values, |values| {
        let median = quantile(0.5, values);
        values
            .iter_mut()
            .for_each(|value| *value = (*value - median).abs());
        quantile(0.5, values)
    }))
}
