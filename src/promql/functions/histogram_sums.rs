//! Totals of histograms for aggregations, and what was noticed on the way.

use crate::model::float_histogram::{FloatHistogram, HistogramMean as Mean, HistogramSum as Sum, Unmixable};
use crate::model::histogram::ResetHint;

/// What was noticed about the histograms of a total.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    reset: bool,
    not_reset: bool,
    /// Custom boundaries differed.
    pub(crate) bounds_reconciled: bool,
}

impl Seen {
    fn note(&mut self, hint: ResetHint) {
        self.reset |= hint == ResetHint::Reset;
        self.not_reset |= hint == ResetHint::NotReset;
    }

    /// Some histograms are known to come after a reset, others to come after none.
    pub(crate) fn is_collision(&self) -> bool {
        self.reset && self.not_reset
    }
}

/// A sum or a mean of histograms.
pub(crate) trait HistogramTotal: Default {
    fn add(&mut self, histogram: &FloatHistogram) -> Result<(), Unmixable>;
    fn seen(&self) -> Seen;
    /// The total, or `None` of nothing.
    fn value(&self) -> Option<FloatHistogram>;
}

#[derive(Debug, Default)]
pub(crate) struct HistogramSum {
    sum: Option<Sum>,
    seen: Seen,
}

impl HistogramTotal for HistogramSum {
    fn add(&mut self, histogram: &FloatHistogram) -> Result<(), Unmixable> {
        self.seen.note(histogram.reset_hint);
        match &mut self.sum {
            None => self.sum = Some(Sum::from(histogram)),
            Some(sum) => self.seen.bounds_reconciled |= sum.add(histogram)?.custom_bounds,
        }
        Ok(())
    }

    fn seen(&self) -> Seen {
        self.seen
    }

    fn value(&self) -> Option<FloatHistogram> {
        self.sum.as_ref().map(Sum::total)
    }
}

#[derive(Debug, Default)]
pub(crate) struct HistogramMean {
    mean: Mean,
    seen: Seen,
}

impl HistogramTotal for HistogramMean {
    fn add(&mut self, histogram: &FloatHistogram) -> Result<(), Unmixable> {
        self.seen.note(histogram.reset_hint);
        self.seen.bounds_reconciled |= self.mean.add(histogram)?.custom_bounds;
        Ok(())
    }

    fn seen(&self) -> Seen {
        self.seen
    }

    fn value(&self) -> Option<FloatHistogram> {
        self.mean.mean()
    }
}
