//! Instant selectors with `smoothed`: the value at a step lies on the line between the samples round it.

use super::error::EvalError;
use super::read::drop_stale;
use super::{Evaluator, Sink};
use crate::model::histogram::ResetHint;
use crate::promql::annotations::{Annotation, HistogramOperation};
use crate::promql::ast::VectorSelector;
use crate::promql::functions::interpolate::{interpolate, interpolate_histograms};
use crate::promql::source::SeriesSamples;
use crate::promql::value::{Cell, Row, Steps};
use std::ops::Range;

impl Evaluator<'_> {
    pub(super) fn select_smoothed(
        &self,
        selector: &VectorSelector,
        steps: Steps,
        sink: Sink<'_>,
    ) -> Result<(), EvalError> {
        let select = self.instant_select(selector, steps, self.hints());
        let references = selector.references(steps);
        self.read(&select, &mut |series| {
            drop_stale(series);
            let cells = (0..steps.count).map(|step| self.smoothed(selector, series, references.at(step)));
            let row = Row {
                labels: series.labels.clone(),
                drop_name: false,
                cells: cells.collect(),
            };
            if row.is_empty() {
                return Ok(());
            }
            self.tally.add_row(&row);
            sink(row)
        })
    }

    fn smoothed(&self, selector: &VectorSelector, series: &SeriesSamples, moment_ms: i64) -> Cell {
        let (floats, histograms) = (&series.floats, &series.histograms);
        let float_reach = self.reach(&floats.timestamps_ms, moment_ms);
        let histogram_reach = self.reach(&histograms.timestamps_ms, moment_ms);
        let note = |annotation: Annotation| self.annotations.borrow_mut().add(annotation, selector.span);
        let metric = || series.labels.metric_name().to_owned();
        if !float_reach.is_empty() && !histogram_reach.is_empty() {
            note(Annotation::MixedFloatsHistograms { metric: metric() });
            return Cell::Empty;
        }
        if let Some((left, right)) = neighbours(&floats.timestamps_ms, float_reach, moment_ms) {
            let point = |index: usize| (floats.timestamps_ms[index], floats.values[index]);
            let between = |right| interpolate(point(left), point(right), moment_ms, false);
            return Cell::Float(right.map_or(floats.values[left], between));
        }
        let Some((left, right)) = neighbours(&histograms.timestamps_ms, histogram_reach, moment_ms) else {
            return Cell::Empty;
        };
        let Some(right) = right else {
            return Cell::Histogram(histograms.values[left].clone());
        };
        let point = |index: usize| (histograms.timestamps_ms[index], &*histograms.values[index]);
        if histograms.values[left].has_custom_buckets() != histograms.values[right].has_custom_buckets() {
            note(Annotation::MixedExponentialCustom { metric: metric() });
            return Cell::Empty;
        }
        let is_counter = histograms.values[right].reset_hint != ResetHint::Gauge;
        let Ok((between, reconciled)) =
            interpolate_histograms(point(left), point(right), moment_ms, is_counter)
        else {
            note(Annotation::MixedExponentialCustom { metric: metric() });
            return Cell::Empty;
        };
        if reconciled.sub {
            note(Annotation::MismatchedCustomBuckets {
                operation: HistogramOperation::Subtraction,
            });
        }
        if reconciled.add {
            note(Annotation::MismatchedCustomBuckets {
                operation: HistogramOperation::Addition,
            });
        }
        between.into()
    }

    /// The samples that a step sees: those within the lookback, on both sides.
    fn reach(&self, timestamps_ms: &[i64], moment_ms: i64) -> Range<usize> {
        let lookback_ms = self.options.lookback_ms;
        let (oldest_ms, newest_ms) = (
            moment_ms.saturating_sub(lookback_ms),
            moment_ms.saturating_add(lookback_ms),
        );
        let from = timestamps_ms.partition_point(|timestamp| *timestamp <= oldest_ms);
        from..timestamps_ms.partition_point(|timestamp| *timestamp <= newest_ms)
    }
}

/// The last sample up to a moment and, unless it is right there, the first behind.
fn neighbours(timestamps_ms: &[i64], reach: Range<usize>, moment_ms: i64) -> Option<(usize, Option<usize>)> {
    let seen = timestamps_ms.get(reach.clone())?;
    let behind = reach.start + seen.partition_point(|timestamp| *timestamp <= moment_ms);
    let left = behind.checked_sub(1).filter(|left| *left >= reach.start)?;
    let is_between = timestamps_ms[left] < moment_ms && behind < reach.end;
    Some((left, is_between.then_some(behind)))
}
