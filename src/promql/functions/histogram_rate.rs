//! `rate`, `increase` and `delta` over native histograms.

use super::Call;
use super::interpolate::{Reconciled, interpolate_histograms};
use super::rate::{self, Kind, Reach, is_start_reset};
use crate::model::float_histogram::FloatHistogram;
use crate::model::histogram::ResetHint;
use crate::promql::annotations::{Annotation, HistogramOperation as Operation};
use crate::promql::value::Cell;
use crate::promql::window::{Histograms, Window, WindowKind};
use std::sync::Arc;

/// Notes for one window.
struct Notes<'c, 'a, 'w> {
    call: &'c Call<'a>,
    window: &'c Window<'w>,
}

impl Notes<'_, '_, '_> {
    fn note(&self, annotation: impl FnOnce(String) -> Annotation) {
        self.call
            .note_metric(self.window, self.call.window_span(), annotation);
    }

    fn not_counter(&self) {
        self.note(|metric| Annotation::NativeNotCounter { metric });
    }

    fn not_gauge(&self) {
        self.note(|metric| Annotation::NativeNotGauge { metric });
    }

    /// Exponential and custom buckets cannot be combined.
    fn incompatible(&self) {
        self.note(|metric| Annotation::MixedExponentialCustom { metric });
    }

    fn reconciled(&self, operation: Operation) {
        self.call.annotate(
            Annotation::MismatchedCustomBuckets { operation },
            self.call.window_span(),
        );
    }

    /// `None`, and a note, when the two do not go together.
    fn add(&self, into: &mut FloatHistogram, other: &FloatHistogram) -> Option<()> {
        match into.add(other) {
            Ok(done) if done.custom_bounds => self.reconciled(Operation::Addition),
            Ok(_) => {}
            Err(_) => {
                self.incompatible();
                return None;
            }
        }
        Some(())
    }

    fn sub(&self, from: &mut FloatHistogram, other: &FloatHistogram) -> Option<()> {
        match from.sub(other) {
            Ok(done) if done.custom_bounds => self.reconciled(Operation::Subtraction),
            Ok(_) => {}
            Err(_) => {
                self.incompatible();
                return None;
            }
        }
        Some(())
    }
}

pub(super) fn plain(call: &Call<'_>, window: &Window<'_>, kind: Kind) -> Cell {
    let Histograms {
        timestamps_ms,
        values,
        starts_ms,
    } = window.histograms;
    let notes = Notes { call, window };
    let mut change = None;
    if values.len() > 1 {
        change = between(&notes, window.histograms, kind);
        if change.is_none() {
            return Cell::Empty;
        }
    }
    let bounds_ms = (window.start_ms, window.end_ms);
    let (Some(mut reach), Some(first)) = (
        Reach::new(bounds_ms, timestamps_ms, starts_ms, kind),
        values.first(),
    ) else {
        return Cell::Empty;
    };
    if reach.is_known_start {
        match &mut change {
            None => change = Some(FloatHistogram::clone(first)),
            Some(change) => {
                if notes.add(change, first).is_none() {
                    return Cell::Empty;
                }
            }
        }
    } else if kind.is_counter
        && let Some(share) = change
            .as_ref()
            .and_then(|change| rate::share_at_first(first, change))
    {
        reach.limit_to_zero(share);
    }
    let Some(mut change) = change else {
        return Cell::Empty;
    };
    change.mul(reach.factor(bounds_ms, kind));
    change.into()
}

/// Whether the histogram at `index` began anew behind the one before.
fn is_reset(histograms: Histograms<'_>, index: usize, before: &FloatHistogram) -> bool {
    let at = |index: usize| {
        let start_ms = histograms.starts_ms.get(index)?;
        Some((*start_ms, *histograms.timestamps_ms.get(index)?))
    };
    let by_start = at(index - 1)
        .zip(at(index))
        .is_some_and(|(before, now)| is_start_reset(before, now));
    by_start || histograms.values[index].is_reset_from(before)
}

/// The change from the first to the last of at least two histograms, resets made good.
fn between(notes: &Notes<'_, '_, '_>, histograms: Histograms<'_>, kind: Kind) -> Option<FloatHistogram> {
    let values = histograms.values;
    let (first, last) = (values.first()?, values.last()?);
    if kind.is_counter && [first, last].iter().any(|one| one.reset_hint == ResetHint::Gauge) {
        notes.not_counter();
    }
    // A first histogram that was reset away does not matter, nor does its layout.
    let nothing;
    let base: &FloatHistogram = if kind.is_counter && is_reset(histograms, 1, first) {
        let FloatHistogram {
            schema,
            custom_values,
            ..
        } = &*values[1];
        nothing = FloatHistogram {
            schema: *schema,
            custom_values: custom_values.clone(),
            ..FloatHistogram::default()
        };
        &nothing
    } else {
        first
    };
    let custom = base.has_custom_buckets();
    if last.has_custom_buckets() != custom {
        notes.incompatible();
        return None;
    }
    let mut schema = last.schema.min(base.schema);
    if kind.is_counter {
        for middle in &values[1..values.len() - 1] {
            if middle.reset_hint == ResetHint::Gauge {
                notes.not_counter();
            }
            schema = schema.min(middle.schema);
            if middle.has_custom_buckets() != custom {
                notes.incompatible();
                return None;
            }
        }
    }
    let mut change = last.at_schema(schema);
    notes.sub(&mut change, base)?;
    if kind.is_counter {
        rate::note_overlap(
            notes.call,
            notes.window,
            histograms.timestamps_ms,
            histograms.starts_ms,
        );
        let mut before = base;
        for (index, now) in values.iter().enumerate().skip(1) {
            if is_reset(histograms, index, before) {
                notes.add(&mut change, before)?;
            }
            before = now;
        }
    } else if [first, last].iter().any(|one| one.reset_hint != ResetHint::Gauge) {
        notes.not_gauge();
    }
    change.reset_hint = ResetHint::Gauge;
    change.compact();
    Some(change)
}

pub(super) fn extended(call: &Call<'_>, window: &Window<'_>, kind: Kind) -> Option<FloatHistogram> {
    let notes = Notes { call, window };
    let Histograms {
        timestamps_ms,
        values,
        ..
    } = window.histograms;
    let (first, last) = rate::edges(window, timestamps_ms)?;
    let used = values.get(first..=last)?;
    for one in used {
        if one.has_custom_buckets() != used.first()?.has_custom_buckets() {
            notes.incompatible();
            return None;
        }
        if kind.is_counter && one.reset_hint == ResetHint::Gauge {
            notes.not_counter();
        }
    }
    let is_smoothed = window.kind == WindowKind::Smoothed;
    let at = |left: usize, moment_ms: i64| {
        let point = |index: usize| (timestamps_ms[index], &*values[index]);
        match interpolate_histograms(point(left), point(left + 1), moment_ms, kind.is_counter) {
            Ok((value, reconciled)) => {
                note_reconciled(&notes, reconciled);
                Some(value)
            }
            Err(_) => {
                notes.incompatible();
                None
            }
        }
    };
    let left = if is_smoothed && timestamps_ms[first] < window.start_ms {
        at(first, window.start_ms)?
    } else {
        FloatHistogram::clone(&values[first])
    };
    let right = if is_smoothed && last > 0 && timestamps_ms[last] > window.end_ms {
        at(last - 1, window.end_ms)?
    } else {
        FloatHistogram::clone(&values[last])
    };
    if !kind.is_counter
        && [&left, &right]
            .iter()
            .any(|one| one.reset_hint != ResetHint::Gauge)
    {
        notes.not_gauge();
    }
    let mut change = right.clone();
    notes.sub(&mut change, &left)?;
    if kind.is_counter
        && let Some(taken) = taken_by_resets(&notes, (first, last), &left, &right)?
    {
        notes.add(&mut change, &taken)?;
    }
    if kind.is_rate {
        change.div(rate::range_s((window.start_ms, window.end_ms)));
    }
    change.reset_hint = ResetHint::Gauge;
    change.compact();
    Some(change)
}

fn note_reconciled(notes: &Notes<'_, '_, '_>, reconciled: Reconciled) {
    if reconciled.sub {
        notes.reconciled(Operation::Subtraction);
    }
    if reconciled.add {
        notes.reconciled(Operation::Addition);
    }
}

/// The sum of the histograms right before resets; `None` inside when there was no reset, outside when they do not go
/// together.
fn taken_by_resets(
    notes: &Notes<'_, '_, '_>,
    (first, last): (usize, usize),
    left: &FloatHistogram,
    right: &FloatHistogram,
) -> Option<Option<FloatHistogram>> {
    let window = notes.window;
    let Histograms {
        timestamps_ms,
        values,
        ..
    } = window.histograms;
    // The value at the left edge stands for the first sample, that at the right edge for the last one.
    let mut from = first + 1;
    let mut before = left;
    let spans_left_edge = window.kind == WindowKind::Smoothed && timestamps_ms[first] < window.start_ms;
    if spans_left_edge && values.get(from)?.is_reset_from(&values[first]) {
        // A reset between the samples round the edge is in the value at the edge.
        before = &values[from];
        from += 1;
    }
    if from > last {
        return Some(None);
    }
    let mut taken: Option<FloatHistogram> = None;
    let middle: &[Arc<FloatHistogram>] = values.get(from..last).unwrap_or_default();
    for now in middle.iter().map(|now| &**now).chain([right]) {
        if now.is_reset_from(before) {
            match &mut taken {
                None => taken = Some(before.clone()),
                Some(taken) => notes.add(taken, before)?,
            }
        }
        before = now;
    }
    Some(taken)
}
