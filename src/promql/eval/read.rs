//! Reading series from the source. A select that the query makes more than once is read once and kept until its last use.

use super::Evaluator;
use super::error::EvalError;
use crate::model::float_histogram::FloatHistogram;
use crate::model::histogram::ResetHint;
use crate::model::matcher::Matcher;
use crate::model::sample::STALE_NAN_BITS;
use crate::promql::annotations::Annotation;
use crate::promql::ast::Span;
use crate::promql::eval::Map;
use crate::promql::source::{FloatColumn, HistogramColumn, Select, SeriesSamples};
use crate::promql::value::histogram_weight;
use std::rc::Rc;
use std::sync::Arc;

/// What tells one select from another: all but the hints.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SelectKey {
    matchers: Vec<Matcher>,
    start_ms: i64,
    end_ms: i64,
}

impl SelectKey {
    pub(super) fn of(select: &Select) -> Self {
        Self {
            matchers: select.matchers.clone(),
            start_ms: select.start_ms,
            end_ms: select.end_ms,
        }
    }
}

/// Selects that the query makes more than once.
#[derive(Debug, Default)]
pub(super) struct Shared {
    reads: Map<SelectKey, SharedRead>,
}

#[derive(Debug)]
struct SharedRead {
    uses_left: usize,
    series: Option<Rc<Vec<SeriesSamples>>>,
}

impl Shared {
    /// Announces the selects of a query, each as often as it will be made.
    pub(super) fn new(selects: Vec<SelectKey>) -> Self {
        let mut reads = Map::default();
        for key in selects {
            let none = SharedRead {
                uses_left: 0,
                series: None,
            };
            reads.entry(key).or_insert(none).uses_left += 1;
        }
        reads.retain(|_, read| read.uses_left > 1);
        Self { reads }
    }

    /// One use of a select is gone. Where none is left, or one of what was not read yet, nothing is kept.
    pub(super) fn release(&mut self, key: &SelectKey) {
        let Some(read) = self.reads.get_mut(key) else {
            return;
        };
        read.uses_left = read.uses_left.saturating_sub(1);
        let kept = usize::from(read.series.is_none());
        if read.uses_left <= kept {
            self.reads.remove(key);
        }
    }
}

impl Evaluator<'_> {
    /// Reads the series of a select; each is given to `each` with the samples, stale markers included.
    pub(super) fn read(
        &self,
        select: &Select,
        each: &mut dyn FnMut(&mut SeriesSamples) -> Result<(), EvalError>,
    ) -> Result<(), EvalError> {
        if select.end_ms < select.start_ms {
            return Ok(());
        }
        let only_counts = self.only_counts.get();
        let mut each = |series: &mut SeriesSamples| {
            if only_counts {
                reveal_resets(&mut series.histograms);
            }
            each(series)
        };
        let key = SelectKey::of(select);
        if !self.shared.borrow().reads.contains_key(&key) {
            return self.read_source(select, &mut each);
        }
        let known = self
            .shared
            .borrow()
            .reads
            .get(&key)
            .and_then(|read| read.series.clone());
        let series = match known {
            Some(series) => series,
            None => Rc::new(self.read_all(select)?),
        };
        let mut scratch = SeriesSamples::default();
        for one in series.iter() {
            scratch.clone_from(one);
            self.budget.check()?;
            each(&mut scratch)?;
        }
        let mut shared = self.shared.borrow_mut();
        if let Some(read) = shared.reads.get_mut(&key) {
            read.series = Some(series);
        }
        shared.release(&key);
        Ok(())
    }

    fn read_all(&self, select: &Select) -> Result<Vec<SeriesSamples>, EvalError> {
        let mut all = Vec::new();
        let mut held = self.budget.hold();
        self.read_source(select, &mut |series| {
            held.add(weight(series))?;
            all.push(series.clone());
            Ok(())
        })?;
        held.keep();
        Ok(all)
    }

    fn read_source(
        &self,
        select: &Select,
        each: &mut dyn FnMut(&mut SeriesSamples) -> Result<(), EvalError>,
    ) -> Result<(), EvalError> {
        let mut set = self.source.select(select)?;
        let mut series = SeriesSamples::default();
        loop {
            self.budget.check()?;
            series.clear();
            if !set.next(&mut series)? {
                break;
            }
            let mut held = self.budget.hold();
            held.add(weight(&series))?;
            self.budget.read(series.len());
            each(&mut series)?;
        }
        for warning in set.warnings() {
            self.annotations
                .borrow_mut()
                .add(Annotation::Source(warning), Span::default());
        }
        Ok(())
    }
}

/// Finds out for each histogram whether there was a reset, where that is not known. Prometheus does so while it reads histograms
/// for their counts only.
pub(super) fn reveal_resets(histograms: &mut HistogramColumn) {
    let mut before: Option<Arc<FloatHistogram>> = None;
    for value in &mut histograms.values {
        if value.is_stale() {
            continue;
        }
        let known = Arc::clone(value);
        if value.reset_hint == ResetHint::Unknown
            && let Some(before) = &before
        {
            let is_reset = value.is_reset_from(before);
            let hint = if is_reset {
                ResetHint::Reset
            } else {
                ResetHint::NotReset
            };
            Arc::make_mut(value).reset_hint = hint;
        }
        before = Some(known);
    }
}

pub(super) fn weight(series: &SeriesSamples) -> usize {
    let histograms = series.histograms.values.iter();
    series.floats.values.len()
        + histograms
            .map(|histogram| histogram_weight(histogram))
            .sum::<usize>()
}

/// Takes the stale markers out.
pub(super) fn drop_stale(series: &mut SeriesSamples) {
    drop_stale_floats(&mut series.floats);
    drop_stale_histograms(&mut series.histograms);
}

fn drop_stale_floats(floats: &mut FloatColumn) {
    let is_stale = |value: &f64| value.to_bits() == STALE_NAN_BITS;
    // Without an early end, so that several are compared at once.
    let any = floats
        .values
        .iter()
        .fold(false, |any, value| any | is_stale(value));
    if any {
        let stale: Vec<bool> = floats.values.iter().map(is_stale).collect();
        retain(&mut floats.timestamps_ms, &stale);
        retain(&mut floats.starts_ms, &stale);
        retain(&mut floats.values, &stale);
    }
}

fn drop_stale_histograms(histograms: &mut HistogramColumn) {
    if histograms.values.is_empty() {
        return;
    }
    let stale: Vec<bool> = histograms
        .values
        .iter()
        .map(|histogram| histogram.sum.to_bits() == STALE_NAN_BITS)
        .collect();
    if stale.contains(&true) {
        retain(&mut histograms.timestamps_ms, &stale);
        retain(&mut histograms.starts_ms, &stale);
        retain(&mut histograms.values, &stale);
    }
}

fn retain<T>(values: &mut Vec<T>, dropped: &[bool]) {
    let mut dropped = dropped.iter();
    values.retain(|_| !dropped.next().copied().unwrap_or(false));
}
