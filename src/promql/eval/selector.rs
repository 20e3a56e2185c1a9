//! Instant selectors: at each step the newest sample of a series, unless it is too old or a stale marker.

use super::error::EvalError;
use super::plan::References;
use super::{Evaluator, Sink};
use crate::model::sample::STALE_NAN_BITS;
use crate::promql::ast::VectorSelector;
use crate::promql::source::{Hints, Select, SeriesSamples};
use crate::promql::value::{Cell, Row, Steps};

/// The newest sample at a step: when it is from, and what it is.
pub(super) enum Newest {
    Float(usize),
    Histogram(usize),
}

/// What a cell is made of.
type OfNewest<'c> = &'c dyn Fn(&SeriesSamples, Newest) -> Cell;

/// Finds the newest samples of a series for steps in order.
struct Newests<'s> {
    series: &'s SeriesSamples,
    lookback_ms: i64,
    /// How many floats and histograms are not newer than the last moment asked for.
    floats: usize,
    histograms: usize,
}

impl<'s> Newests<'s> {
    fn new(series: &'s SeriesSamples, lookback_ms: i64) -> Self {
        Self {
            series,
            lookback_ms,
            floats: 0,
            histograms: 0,
        }
    }

    /// The newest sample at a moment, which is not before the one asked for last.
    fn at(&mut self, moment_ms: i64) -> Option<Newest> {
        let floats = &self.series.floats.timestamps_ms;
        let histograms = &self.series.histograms.timestamps_ms;
        advance(floats, &mut self.floats, moment_ms);
        advance(histograms, &mut self.histograms, moment_ms);
        let oldest_ms = moment_ms.saturating_sub(self.lookback_ms);
        let recent = |timestamps: &[i64], count: usize| {
            let index = count.checked_sub(1)?;
            (timestamps[index] > oldest_ms).then(|| (timestamps[index], index))
        };
        let float = recent(floats, self.floats);
        let histogram = recent(histograms, self.histograms);
        match (float, histogram) {
            (Some(float), Some(histogram)) if histogram.0 > float.0 => self.live_histogram(histogram.1),
            (Some(float), _) => self.live_float(float.1),
            (None, Some(histogram)) => self.live_histogram(histogram.1),
            (None, None) => None,
        }
    }

    fn live_float(&self, index: usize) -> Option<Newest> {
        let is_stale = self.series.floats.values[index].to_bits() == STALE_NAN_BITS;
        (!is_stale).then_some(Newest::Float(index))
    }

    fn live_histogram(&self, index: usize) -> Option<Newest> {
        let is_stale = self.series.histograms.values[index].sum.to_bits() == STALE_NAN_BITS;
        (!is_stale).then_some(Newest::Histogram(index))
    }
}

fn advance(timestamps_ms: &[i64], count: &mut usize, moment_ms: i64) {
    while timestamps_ms
        .get(*count)
        .is_some_and(|timestamp| *timestamp <= moment_ms)
    {
        *count += 1;
    }
}

impl Evaluator<'_> {
    pub(super) fn select_instant(
        &self,
        selector: &VectorSelector,
        steps: Steps,
        sink: Sink<'_>,
    ) -> Result<(), EvalError> {
        if selector.smoothed {
            return self.select_smoothed(selector, steps, sink);
        }
        let value = |series: &SeriesSamples, newest| match newest {
            Newest::Float(index) => Cell::Float(series.floats.values[index]),
            Newest::Histogram(index) => Cell::Histogram(series.histograms.values[index].clone()),
        };
        self.select_newest(selector, steps, &value, sink)
    }

    /// The times of the newest samples, in seconds, instead of their values.
    pub(super) fn select_timestamps(
        &self,
        selector: &VectorSelector,
        steps: Steps,
        sink: Sink<'_>,
    ) -> Result<(), EvalError> {
        let seconds = |series: &SeriesSamples, newest| {
            let timestamp_ms = match newest {
                Newest::Float(index) => series.floats.timestamps_ms[index],
                Newest::Histogram(index) => series.histograms.timestamps_ms[index],
            };
            Cell::Float(timestamp_ms as f64 / 1000.0)
        };
        self.select_newest(selector, steps, &seconds, sink)
    }

    /// The start timestamps of the newest samples, in seconds, instead of their values.
    pub(super) fn select_starts(
        &self,
        selector: &VectorSelector,
        steps: Steps,
        sink: Sink<'_>,
    ) -> Result<(), EvalError> {
        let hints = Hints {
            start_timestamps: true,
            ..self.hints()
        };
        let select = self.instant_select(selector, steps, hints);
        let seconds = |series: &SeriesSamples, newest| {
            let start_ms = match newest {
                Newest::Float(index) => series.floats.starts_ms.get(index),
                Newest::Histogram(index) => series.histograms.starts_ms.get(index),
            };
            Cell::Float(start_ms.copied().unwrap_or(0) as f64 / 1000.0)
        };
        self.newest_rows(&select, selector.references(steps), steps, &seconds, sink)
    }

    /// Rows made of the newest sample at each step.
    pub(super) fn newest_rows(
        &self,
        select: &Select,
        references: References,
        steps: Steps,
        cell: OfNewest<'_>,
        sink: Sink<'_>,
    ) -> Result<(), EvalError> {
        self.read(select, &mut |series| {
            let series = (&*series, self.options.lookback_ms);
            self.newest_row(series, references, steps, cell, sink)
        })
    }

    /// The same of a selector, from thinned series where the source has them.
    fn select_newest(
        &self,
        selector: &VectorSelector,
        steps: Steps,
        cell: OfNewest<'_>,
        sink: Sink<'_>,
    ) -> Result<(), EvalError> {
        let references = selector.references(steps);
        let mut each = |series: &SeriesSamples, lookback_ms| {
            self.newest_row((series, lookback_ms), references, steps, cell, sink)
        };
        if self.thinned_newest(selector, steps, &mut each)? {
            return Ok(());
        }
        let select = self.instant_select(selector, steps, self.hints());
        self.read(&select, &mut |series| each(series, self.options.lookback_ms))
    }

    fn newest_row(
        &self,
        (series, lookback_ms): (&SeriesSamples, i64),
        references: References,
        steps: Steps,
        cell: OfNewest<'_>,
        sink: Sink<'_>,
    ) -> Result<(), EvalError> {
        let mut newests = Newests::new(series, lookback_ms);
        let mut any = false;
        let mut cells = self.cells(steps);
        cells.extend(
            (0..steps.count).map(|step| match newests.at(references.at(step)) {
                Some(newest) => {
                    any = true;
                    cell(series, newest)
                }
                None => Cell::Empty,
            }),
        );
        if !any {
            return Ok(());
        }
        let row = Row {
            labels: series.labels.clone(),
            drop_name: false,
            cells,
        };
        self.tally.add_row(&row);
        sink(row)
    }
}
