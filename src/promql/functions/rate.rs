//! `rate`, `increase` and `delta` over floats, and what they share with the same over histograms.
//!
//! The change between the first and the last sample is extrapolated to the edges of the window, unless a start timestamp
//! says where the counter began. With `anchored` and `smoothed` the window has a value at its edges instead.

use super::Call;
use super::histogram_rate;
use super::interpolate::interpolate;
use super::over_time::is_mixed;
use crate::model::float_histogram::FloatHistogram;
use crate::promql::annotations::Annotation;
use crate::promql::value::Cell;
use crate::promql::window::{Floats, Window, WindowKind};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    /// A fall of the value is a reset.
    pub(super) is_counter: bool,
    /// Per second.
    pub(super) is_rate: bool,
}

pub(super) const RATE: Kind = Kind {
    is_counter: true,
    is_rate: true,
};

pub(super) const INCREASE: Kind = Kind {
    is_counter: true,
    is_rate: false,
};

pub(super) const DELTA: Kind = Kind {
    is_counter: false,
    is_rate: false,
};

pub(super) fn rate(call: &Call<'_>, _step: usize, window: &Window<'_>) -> Cell {
    change(call, window, RATE)
}

pub(super) fn increase(call: &Call<'_>, _step: usize, window: &Window<'_>) -> Cell {
    change(call, window, INCREASE)
}

pub(super) fn delta(call: &Call<'_>, _step: usize, window: &Window<'_>) -> Cell {
    change(call, window, DELTA)
}

fn change(call: &Call<'_>, window: &Window<'_>, kind: Kind) -> Cell {
    if is_mixed(call, window) {
        return Cell::Empty;
    }
    let has_floats = !window.floats.values.is_empty();
    match window.kind {
        WindowKind::Plain if has_floats => plain(call, window, kind),
        WindowKind::Plain => histogram_rate::plain(call, window, kind),
        _ if has_floats => extended(window, kind).map_or(Cell::Empty, Cell::Float),
        _ => histogram_rate::extended(call, window, kind).map_or(Cell::Empty, Cell::from),
    }
}

/// The seconds of a window, whole seconds and the rest apart, as Go counts them.
pub(super) fn range_s((start_ms, end_ms): (i64, i64)) -> f64 {
    let range_ms = end_ms - start_ms;
    (range_ms / 1000) as f64 + (range_ms % 1000 * 1_000_000) as f64 / 1e9
}

/// Whether a start timestamp says that the counter began anew between two samples, each given with its start.
pub(super) fn is_start_reset(before: (i64, i64), now: (i64, i64)) -> bool {
    let (before_start_ms, before_ms) = before;
    let (start_ms, now_ms) = now;
    // 0 is unknown, behind the sample is nonsense, and at the sample is how OpenTelemetry says unknown.
    if start_ms == 0 || start_ms >= now_ms || start_ms < before_ms {
        return false;
    }
    // A start right at the sample before is a delta, unless that sample's own start is unknown.
    start_ms > before_ms || (before_start_ms != 0 && before_start_ms < before_ms)
}

/// Whether the start of a sample lies within the time of another sample.
pub(super) fn starts_overlap(before: (i64, i64), start_ms: i64) -> bool {
    start_ms != 0 && start_ms < before.1 && start_ms != before.0
}

/// Says so, once, when start timestamps of neighbours contradict each other.
pub(super) fn note_overlap(call: &Call<'_>, window: &Window<'_>, timestamps_ms: &[i64], starts_ms: &[i64]) {
    let pairs = starts_ms.windows(2).zip(timestamps_ms);
    let mut overlaps = pairs.map(|(starts, before_ms)| starts_overlap((starts[0], *before_ms), starts[1]));
    if overlaps.any(|overlap| overlap) {
        call.note_metric(window, call.window_span(), |metric| {
            Annotation::StartTimeOverlap { metric }
        });
    }
}

/// The sum of the values right before resets, which is what the resets took away.
fn lost_by_resets(floats: Floats<'_>, change: f64) -> f64 {
    let mut change = change;
    if floats.starts_ms.is_empty() {
        for pair in floats.values.windows(2) {
            if pair[1] < pair[0] {
                change += pair[0];
            }
        }
        return change;
    }
    let samples = || {
        floats
            .starts_ms
            .iter()
            .copied()
            .zip(floats.timestamps_ms.iter().copied())
    };
    for ((pair, before), now) in floats.values.windows(2).zip(samples()).zip(samples().skip(1)) {
        if pair[1] < pair[0] || is_start_reset(before, now) {
            change += pair[0];
        }
    }
    change
}

/// The change of floats within a window.
#[inline]
pub(super) fn plain(call: &Call<'_>, window: &Window<'_>, kind: Kind) -> Cell {
    let floats = window.floats;
    let (Some(first), Some(last)) = (floats.values.first(), floats.values.last()) else {
        return Cell::Empty;
    };
    let mut change = last - first;
    if kind.is_counter {
        if !floats.starts_ms.is_empty() {
            note_overlap(call, window, floats.timestamps_ms, floats.starts_ms);
        }
        change = lost_by_resets(floats, change);
    }
    let bounds_ms = (window.start_ms, window.end_ms);
    let Some(mut reach) = Reach::new(bounds_ms, floats.timestamps_ms, floats.starts_ms, kind) else {
        return Cell::Empty;
    };
    if reach.is_known_start {
        change += first;
    } else if kind.is_counter && change > 0.0 && *first >= 0.0 {
        reach.limit_to_zero(first / change);
    }
    Cell::Float(change * reach.factor(bounds_ms, kind))
}

/// How far the samples of a window reach, and how far their change is extrapolated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    sampled_s: f64,
    average_s: f64,
    to_start_s: f64,
    to_end_s: f64,
    /// The counter is known to have begun within the window, at zero.
    pub(super) is_known_start: bool,
}

impl Reach {
    /// `None` when there is one sample, and nothing says what was before it.
    pub(super) fn new(
        bounds_ms: (i64, i64),
        timestamps_ms: &[i64],
        starts_ms: &[i64],
        kind: Kind,
    ) -> Option<Self> {
        let ends_ms = (*timestamps_ms.first()?, *timestamps_ms.last()?);
        let start_ms = starts_ms.first().copied().unwrap_or(0);
        Self::between(bounds_ms, ends_ms, timestamps_ms.len(), start_ms, kind)
    }

    /// The same of so many samples, of which the first and the last are known, and when the counter started.
    fn between(
        (window_start_ms, window_end_ms): (i64, i64),
        (first_ms, last_ms): (i64, i64),
        samples: usize,
        start_ms: i64,
        kind: Kind,
    ) -> Option<Self> {
        let gaps = samples.saturating_sub(1);
        let sampled_s = (last_ms - first_ms) as f64 / 1000.0;
        let average_s = if gaps > 0 { sampled_s / gaps as f64 } else { 0.0 };
        let is_within = start_ms != 0 && start_ms > window_start_ms && start_ms < first_ms;
        let mut reach = Self {
            sampled_s,
            average_s,
            to_start_s: (first_ms - window_start_ms) as f64 / 1000.0,
            to_end_s: (window_end_ms - last_ms) as f64 / 1000.0,
            is_known_start: kind.is_counter && is_within,
        };
        if reach.is_known_start {
            reach.to_start_s = 0.0;
            reach.sampled_s = (last_ms - start_ms) as f64 / 1000.0;
        } else if gaps == 0 {
            return None;
        } else if reach.to_start_s >= reach.threshold_s() {
            reach.to_start_s = average_s / 2.0;
        }
        if reach.to_end_s >= reach.threshold_s() {
            reach.to_end_s = average_s / 2.0;
        }
        Some(reach)
    }

    /// A gap that is longer than this is not one between samples: there the series began or ended.
    fn threshold_s(&self) -> f64 {
        self.average_s * 1.1
    }

    /// A counter was not below zero: the extrapolation ends where the line meets it. `share` is how much of the change
    /// was there at the first sample.
    pub(super) fn limit_to_zero(&mut self, share: f64) {
        let to_zero_s = self.sampled_s * share;
        if to_zero_s < self.to_start_s {
            self.to_start_s = to_zero_s;
        }
    }

    /// What the change is multiplied with.
    pub(super) fn factor(&self, bounds_ms: (i64, i64), kind: Kind) -> f64 {
        let mut factor = 1.0;
        if self.sampled_s != 0.0 {
            factor = (self.sampled_s + self.to_start_s + self.to_end_s) / self.sampled_s;
        }
        if kind.is_rate {
            factor /= range_s(bounds_ms);
        }
        factor
    }
}

/// What can be said of the rate over a window before the values of its samples are known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    reach: Reach,
    bounds_ms: (i64, i64),
    /// As long as nothing bounds the extrapolation.
    factor: f64,
}

/// Products above this are far from what is too small for 53 bits.
const PRODUCT_MIN: f64 = 1e-280;

impl Stretch {
    /// Of so many samples with these ends. `None` when there is one sample.
    pub(super) fn new(
        bounds_ms: (i64, i64),
        ends_ms: (i64, i64),
        samples: usize,
        kind: Kind,
    ) -> Option<Self> {
        let reach = Reach::between(bounds_ms, ends_ms, samples, 0, kind)?;
        Some(Self {
            reach,
            bounds_ms,
            factor: reach.factor(bounds_ms, kind),
        })
    }

    /// The rate of a change that begins at the value `first`.
    #[inline]
    pub(super) fn rate_of(&self, change: f64, first: f64, kind: Kind) -> f64 {
        let is_bounded = kind.is_counter && change > 0.0 && first >= 0.0;
        if !is_bounded {
            return change * self.factor;
        }
        // Zero is mostly too far away to bound anything. That is seen without a division where it is not close.
        let (to_zero, to_start) = (first * self.reach.sampled_s, self.reach.to_start_s * change);
        if to_zero > PRODUCT_MIN && to_zero * 0.999_999 > to_start && to_start.is_finite() {
            return change * self.factor;
        }
        let mut reach = self.reach;
        reach.limit_to_zero(first / change);
        change * reach.factor(self.bounds_ms, kind)
    }
}

/// The samples of an extended window that stand for its edges, as indexes. `None` when none is within.
pub(super) fn edges(window: &Window<'_>, timestamps_ms: &[i64]) -> Option<(usize, usize)> {
    let is_smoothed = window.kind == WindowKind::Smoothed;
    let mut last = timestamps_ms.len().checked_sub(1)?;
    let before_last = &timestamps_ms[..last];
    let first = before_last
        .partition_point(|timestamp| *timestamp <= window.start_ms)
        .saturating_sub(1);
    if is_smoothed {
        last = before_last.partition_point(|timestamp| *timestamp < window.end_ms);
    }
    let is_outside =
        timestamps_ms[last] <= window.start_ms || (is_smoothed && timestamps_ms[first] > window.end_ms);
    (!is_outside).then_some((first, last))
}

fn extended(window: &Window<'_>, kind: Kind) -> Option<f64> {
    let is_smoothed = window.kind == WindowKind::Smoothed;
    let Floats {
        timestamps_ms,
        values,
        ..
    } = window.floats;
    let (mut first, last) = edges(window, timestamps_ms)?;
    let point = |index: usize| (timestamps_ms[index], values[index]);
    let left = if is_smoothed && timestamps_ms[first] < window.start_ms {
        interpolate(point(first), point(first + 1), window.start_ms, kind.is_counter)
    } else {
        values[first]
    };
    let right = if is_smoothed && last > 0 && timestamps_ms[last] > window.end_ms {
        interpolate(point(last - 1), point(last), window.end_ms, kind.is_counter)
    } else {
        values[last]
    };
    let mut change = right - left;
    if kind.is_counter {
        // Resets at the edges are in the values there.
        first += usize::from(timestamps_ms[first] <= window.start_ms);
        let behind = last + usize::from(timestamps_ms[last] < window.end_ms);
        change += taken_by_resets(left, values.get(first..behind).unwrap_or_default(), right);
    }
    Some(if kind.is_rate {
        change / range_s((window.start_ms, window.end_ms))
    } else {
        change
    })
}

fn taken_by_resets(left: f64, between: &[f64], right: f64) -> f64 {
    let mut taken = 0.0;
    let mut before = left;
    for value in between.iter().chain([&right]) {
        if *value < before {
            taken += before;
        }
        before = *value;
    }
    taken
}

/// The number of observations in a histogram bounds the extrapolation as a counter does.
pub(super) fn share_at_first(first: &FloatHistogram, change: &FloatHistogram) -> Option<f64> {
    (change.count > 0.0 && first.count >= 0.0).then(|| first.count / change.count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_tell_resets_but_not_when_they_are_unknown() {
        // (start, time) before, (start, time) now.
        let cases = [
            ((0, 10), (0, 20), false),
            ((5, 10), (5, 20), false),
            ((5, 10), (15, 20), true),
            ((5, 10), (10, 20), true),
            ((0, 10), (10, 20), false),
            ((10, 10), (10, 20), false),
            ((11, 10), (10, 20), false),
            ((5, 10), (20, 20), false),
            ((5, 10), (21, 20), false),
        ];
        for (before, now, wanted) in cases {
            assert_eq!(is_start_reset(before, now), wanted, "{before:?} {now:?}");
        }
    }

    #[test]
    fn resets_are_made_good() {
        assert_eq!(taken_by_resets(1.0, &[3.0, 2.0], 1.0), 5.0);
        let floats = Floats {
            timestamps_ms: &[1, 2, 3],
            values: &[5.0, 1.0, 2.0],
            starts_ms: &[],
        };
        assert_eq!(lost_by_resets(floats, 2.0 - 5.0), 2.0);
    }
}
