//! Functions that compare each sample of a window with the one before: `changes`, `resets`, `irate`, `idelta`.

use super::Call;
use super::rate::is_start_reset;
use crate::model::float_histogram::FloatHistogram;
use crate::model::histogram::ResetHint;
use crate::promql::annotations::{Annotation, HistogramOperation as Operation};
use crate::promql::value::Cell;
use crate::promql::window::{Window, WindowKind};
use std::sync::Arc;

/// A sample of either kind.
#[derive(Clone, Copy)]
struct Sample<'w> {
    timestamp_ms: i64,
    start_ms: i64,
    value: Value<'w>,
}

#[derive(Clone, Copy)]
enum Value<'w> {
    Float(f64),
    Histogram(&'w Arc<FloatHistogram>),
}

/// The samples of a window, in order of time.
struct Samples<'w> {
    window: Window<'w>,
    float: usize,
    histogram: usize,
}

impl<'w> Iterator for Samples<'w> {
    type Item = Sample<'w>;

    fn next(&mut self) -> Option<Sample<'w>> {
        let (floats, histograms) = (self.window.floats, self.window.histograms);
        let float_at = floats.timestamps_ms.get(self.float);
        let histogram_at = histograms.timestamps_ms.get(self.histogram);
        let is_float = match (float_at, histogram_at) {
            (Some(float), Some(histogram)) => float < histogram,
            (one, _) => one.is_some(),
        };
        if is_float {
            let index = self.float;
            self.float += 1;
            return Some(Sample {
                timestamp_ms: *float_at?,
                start_ms: floats.starts_ms.get(index).copied().unwrap_or(0),
                value: Value::Float(*floats.values.get(index)?),
            });
        }
        let index = self.histogram;
        self.histogram += 1;
        Some(Sample {
            timestamp_ms: *histogram_at?,
            start_ms: histograms.starts_ms.get(index).copied().unwrap_or(0),
            value: Value::Histogram(histograms.values.get(index)?),
        })
    }
}

/// The samples that are compared. `None` when an anchored window has none behind its start.
fn compared<'w>(window: &Window<'w>) -> Option<Samples<'w>> {
    let mut samples = Samples {
        window: *window,
        float: 0,
        histogram: 0,
    };
    if window.kind != WindowKind::Anchored {
        return Some(samples);
    }
    // The anchor is the newest sample up to the start, of whatever kind.
    let before = |timestamps: &[i64]| timestamps.partition_point(|timestamp| *timestamp <= window.start_ms);
    let (floats, histograms) = (&window.floats.timestamps_ms, &window.histograms.timestamps_ms);
    (samples.float, samples.histogram) = (before(floats), before(histograms));
    if samples.float >= floats.len() && samples.histogram >= histograms.len() {
        return None;
    }
    let last_float = samples.float.checked_sub(1).map(|index| floats[index]);
    let last_histogram = samples.histogram.checked_sub(1).map(|index| histograms[index]);
    match (last_float, last_histogram) {
        (None, None) => {}
        (Some(float), Some(histogram)) if float < histogram => samples.histogram -= 1,
        (Some(_), _) => samples.float -= 1,
        (None, Some(_)) => samples.histogram -= 1,
    }
    Some(samples)
}

/// How many samples differ from the one before.
fn count(window: &Window<'_>, differ: impl Fn(&Sample<'_>, &Sample<'_>) -> bool) -> Cell {
    let Some(mut samples) = compared(window) else {
        return Cell::Empty;
    };
    let Some(mut before) = samples.next() else {
        return Cell::Empty;
    };
    let mut count = 0;
    for sample in samples {
        count += usize::from(differ(&before, &sample));
        before = sample;
    }
    Cell::Float(count as f64)
}

pub(super) fn changes(_call: &Call<'_>, _step: usize, window: &Window<'_>) -> Cell {
    count(window, |before, sample| match (before.value, sample.value) {
        (Value::Float(before), Value::Float(now)) => now != before && !(now.is_nan() && before.is_nan()),
        (Value::Histogram(before), Value::Histogram(now)) => now != before,
        _ => true,
    })
}

pub(super) fn resets(_call: &Call<'_>, _step: usize, window: &Window<'_>) -> Cell {
    count(window, |before, sample| match (before.value, sample.value) {
        (Value::Float(value), Value::Float(now)) => now < value || started_anew(before, sample),
        (Value::Histogram(value), Value::Histogram(now)) => {
            started_anew(before, sample) || now.is_reset_from(value)
        }
        _ => true,
    })
}

fn started_anew(before: &Sample<'_>, now: &Sample<'_>) -> bool {
    is_start_reset(
        (before.start_ms, before.timestamp_ms),
        (now.start_ms, now.timestamp_ms),
    )
}

/// The last two samples of a window, the older one first.
fn last_two<'w>(window: &Window<'w>) -> Option<(Sample<'w>, Sample<'w>)> {
    let floats = window.floats.values.len();
    let histograms = window.histograms.values.len();
    let mut last = Samples {
        window: *window,
        float: floats.saturating_sub(2),
        histogram: histograms.saturating_sub(2),
    };
    let mut two = (last.next()?, last.next()?);
    for sample in last {
        two = (two.1, sample);
    }
    Some(two)
}

pub(super) fn irate(call: &Call<'_>, _step: usize, window: &Window<'_>) -> Cell {
    let Some((before, now)) = last_two(window) else {
        return Cell::Empty;
    };
    let interval_ms = now.timestamp_ms - before.timestamp_ms;
    if interval_ms == 0 {
        return Cell::Empty;
    }
    let seconds = interval_ms as f64 / 1000.0;
    match (before.value, now.value) {
        (Value::Float(old), Value::Float(new)) => {
            let is_reset = new < old || started_anew(&before, &now);
            Cell::Float(if is_reset { new } else { new - old } / seconds)
        }
        (Value::Histogram(old), Value::Histogram(new)) => {
            let is_gauge = [old, new].iter().any(|one| one.reset_hint == ResetHint::Gauge);
            if is_gauge {
                call.note_metric(window, call.window_span(), |metric| {
                    Annotation::NativeNotCounter { metric }
                });
            }
            let is_reset = started_anew(&before, &now) || new.is_reset_from(old);
            let Some(mut result) = difference(call, window, if is_reset { None } else { Some(old) }, new)
            else {
                return Cell::Empty;
            };
            result.div(seconds);
            result.into()
        }
        _ => mixed(call, window),
    }
}

pub(super) fn idelta(call: &Call<'_>, _step: usize, window: &Window<'_>) -> Cell {
    let Some((before, now)) = last_two(window) else {
        return Cell::Empty;
    };
    if now.timestamp_ms == before.timestamp_ms {
        return Cell::Empty;
    }
    match (before.value, now.value) {
        (Value::Float(old), Value::Float(new)) => Cell::Float(new - old),
        (Value::Histogram(old), Value::Histogram(new)) => {
            if [old, new].iter().any(|one| one.reset_hint != ResetHint::Gauge) {
                call.note_metric(window, call.window_span(), |metric| Annotation::NativeNotGauge {
                    metric,
                });
            }
            difference(call, window, Some(old), new).map_or(Cell::Empty, Cell::from)
        }
        _ => mixed(call, window),
    }
}

/// What came between two histograms, as a gauge.
fn difference(
    call: &Call<'_>,
    window: &Window<'_>,
    old: Option<&Arc<FloatHistogram>>,
    new: &Arc<FloatHistogram>,
) -> Option<FloatHistogram> {
    let mut result = FloatHistogram::clone(new);
    if let Some(old) = old {
        let span = call.window_span();
        match result.sub(old) {
            Ok(done) if done.custom_bounds => {
                call.annotate(
                    Annotation::MismatchedCustomBuckets {
                        operation: Operation::Subtraction,
                    },
                    span,
                );
            }
            Ok(_) => {}
            Err(_) => {
                call.note_metric(window, span, |metric| Annotation::MixedExponentialCustom {
                    metric,
                });
                return None;
            }
        }
    }
    result.reset_hint = ResetHint::Gauge;
    result.compact();
    Some(result)
}

fn mixed(call: &Call<'_>, window: &Window<'_>) -> Cell {
    call.note_metric(window, call.window_span(), |metric| {
        Annotation::MixedFloatsHistograms { metric }
    });
    Cell::Empty
}
