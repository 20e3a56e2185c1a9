//! Functions that put a line or a smooth curve through the floats of a window.

use super::Call;
use crate::base::kahan::Compensated;
use crate::promql::annotations::Annotation;
use crate::promql::eval::error::EvalError;
use crate::promql::value::Cell;
use crate::promql::window::{Floats, Window};

/// The floats of a window that has at least two of them. Says so when histograms are left aside.
fn two_floats<'w>(call: &Call<'_>, window: &Window<'w>) -> Option<Floats<'w>> {
    if !window.floats.values.is_empty() && !window.histograms.values.is_empty() {
        call.note_metric(window, call.window_span(), |metric| {
            Annotation::IgnoredInMixedRange { metric }
        });
    }
    (window.floats.values.len() >= 2).then_some(window.floats)
}

/// A line through points by least squares: its slope, and its value at `origin_ms`.
fn line(floats: Floats<'_>, origin_ms: i64) -> (f64, f64) {
    let first = floats.values.first().copied().unwrap_or(f64::NAN);
    if floats.values[1..].iter().all(|value| *value == first) {
        return if first.is_infinite() {
            (f64::NAN, f64::NAN)
        } else {
            (0.0, first)
        };
    }
    let (mut sum_x, mut sum_y) = (Compensated::default(), Compensated::default());
    let (mut sum_xy, mut sum_xx) = (Compensated::default(), Compensated::default());
    for (timestamp_ms, y) in floats.timestamps_ms.iter().zip(floats.values) {
        let x = (timestamp_ms - origin_ms) as f64 / 1e3;
        sum_x.add(x);
        sum_y.add(*y);
        sum_xy.add(x * y);
        sum_xx.add(x * x);
    }
    let count = floats.values.len() as f64;
    let (sum_x, sum_y) = (sum_x.total(), sum_y.total());
    let covariance = sum_xy.total() - sum_x * sum_y / count;
    let variance = sum_xx.total() - sum_x * sum_x / count;
    let slope = covariance / variance;
    (slope, sum_y / count - slope * sum_x / count)
}

pub(super) fn deriv(call: &Call<'_>, _step: usize, window: &Window<'_>) -> Cell {
    let Some(floats) = two_floats(call, window) else {
        return Cell::Empty;
    };
    // Times near the origin keep the sums exact.
    let origin_ms = floats.timestamps_ms.first().copied().unwrap_or(0);
    Cell::Float(line(floats, origin_ms).0)
}

pub(super) fn predict_linear(call: &Call<'_>, step: usize, window: &Window<'_>) -> Cell {
    let Some(floats) = two_floats(call, window) else {
        return Cell::Empty;
    };
    let ahead_s = call.scalar(1, step).unwrap_or(f64::NAN);
    let (slope, now) = line(floats, call.steps.at(step));
    Cell::Float(slope * ahead_s + now)
}

pub(super) fn double_exponential_smoothing(call: &Call<'_>, step: usize, window: &Window<'_>) -> Cell {
    let factor = |argument: usize, what: &str| {
        let factor = call.scalar(argument, step).unwrap_or(f64::NAN);
        if factor <= 0.0 || factor >= 1.0 {
            call.fail(EvalError::execution(format!(
                "invalid {what} factor. Expected: 0 < {short} < 1, got: {factor:.6}",
                short = if argument == 1 { "sf" } else { "tf" },
            )));
        }
        factor
    };
    let (smoothing, trending) = (factor(1, "smoothing"), factor(2, "trend"));
    let Some(floats) = two_floats(call, window) else {
        return Cell::Empty;
    };
    let values = floats.values;
    let mut before = 0.0;
    let mut smooth = values[0];
    let mut trend = values[1] - values[0];
    for (index, value) in values.iter().enumerate().skip(1) {
        if index > 1 {
            trend = trending * (smooth - before) + (1.0 - trending) * trend;
        }
        let next = smoothing * value + (1.0 - smoothing) * (smooth + trend);
        (before, smooth) = (smooth, next);
    }
    Cell::Float(smooth)
}
