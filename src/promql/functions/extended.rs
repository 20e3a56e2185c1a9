//! The samples of a range vector that is shown as it is: with `anchored` and `smoothed` it begins and ends at its edges.

use super::interpolate::{interpolate, interpolate_histograms};
use super::rate::edges;
use crate::model::float_histogram::FloatHistogram;
use crate::promql::eval::error::EvalError;
use crate::promql::window::{Window, WindowKind};
use std::sync::Arc;

/// Floats and histograms with their times.
pub(crate) type Samples = (Vec<(i64, f64)>, Vec<(i64, Arc<FloatHistogram>)>);

/// The samples of a window, those of extended windows moved to the edges.
pub(crate) fn edge_samples(window: &Window<'_>) -> Result<Samples, EvalError> {
    let floats = window
        .floats
        .timestamps_ms
        .iter()
        .copied()
        .zip(window.floats.values.iter().copied());
    let histograms = window.histograms.timestamps_ms.iter().copied();
    let histograms = histograms.zip(window.histograms.values.iter().cloned());
    let (floats, histograms): Samples = (floats.collect(), histograms.collect());
    if window.kind == WindowKind::Plain {
        return Ok((floats, histograms));
    }
    let floats = moved(window, floats, |left, right, moment_ms| {
        Some(interpolate(
            (left.0, left.1),
            (right.0, right.1),
            moment_ms,
            false,
        ))
    });
    let histograms = moved(window, histograms, |left, right, moment_ms| {
        let between = interpolate_histograms((left.0, &*left.1), (right.0, &*right.1), moment_ms, false);
        between.ok().map(|(histogram, _)| Arc::new(histogram))
    });
    Ok((floats, histograms))
}

/// The samples between the edges of a window, and one at each edge.
fn moved<T: Clone>(
    window: &Window<'_>,
    samples: Vec<(i64, T)>,
    between: impl Fn(&(i64, T), &(i64, T), i64) -> Option<T>,
) -> Vec<(i64, T)> {
    let timestamps_ms: Vec<i64> = samples.iter().map(|sample| sample.0).collect();
    let Some((first, last)) = edges(window, &timestamps_ms) else {
        return Vec::new();
    };
    let is_smoothed = window.kind == WindowKind::Smoothed;
    let left = if is_smoothed && samples[first].0 < window.start_ms {
        between(&samples[first], &samples[first + 1], window.start_ms)
    } else {
        Some(samples[first].1.clone())
    };
    let right = if is_smoothed && last > 0 && samples[last].0 > window.end_ms {
        between(&samples[last - 1], &samples[last], window.end_ms)
    } else {
        Some(samples[last].1.clone())
    };
    let inside = |sample: &&(i64, T)| sample.0 > window.start_ms && sample.0 < window.end_ms;
    let mut all: Vec<(i64, T)> = left.map(|value| (window.start_ms, value)).into_iter().collect();
    all.extend(samples[first..=last].iter().filter(inside).cloned());
    all.extend(right.map(|value| (window.end_ms, value)));
    all
}
