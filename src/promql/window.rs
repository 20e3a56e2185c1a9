//! The samples of one series within a range, at one step.

use crate::model::float_histogram::FloatHistogram;
use crate::model::labels::Labels;
use std::sync::Arc;

/// What a range function is given. Stale markers are not among the samples.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window<'a> {
    pub(crate) labels: &'a Labels,
    pub(crate) floats: Floats<'a>,
    pub(crate) histograms: Histograms<'a>,
    /// Bounds of the range: `(start_ms, end_ms]`. With `anchored` and `smoothed` samples may lie outside.
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
    pub(crate) kind: WindowKind,
}

/// Which samples belong to a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum WindowKind {
    /// Those within the range.
    #[default]
    Plain,
    /// Also the last one before.
    Anchored,
    /// Also the last one before and the first one behind.
    Smoothed,
}

/// Floats of a window, as columns of one length.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Floats<'a> {
    pub(crate) timestamps_ms: &'a [i64],
    pub(crate) values: &'a [f64],
    /// 0 where unknown. Empty when start timestamps are not used.
    pub(crate) starts_ms: &'a [i64],
    /// Where a value is smaller than the one before, when that was found out for the whole series.
    pub(crate) falls: Option<Falls<'a>>,
}

/// The falls of a window, found once for all windows of a series.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Falls<'a> {
    /// Indexes in the series, ascending.
    pub(crate) at: &'a [usize],
    /// The index in the series of the window's first value.
    pub(crate) first: usize,
}

/// Histograms of a window, as columns of one length.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Histograms<'a> {
    pub(crate) timestamps_ms: &'a [i64],
    pub(crate) values: &'a [Arc<FloatHistogram>],
    /// 0 where unknown. Empty when start timestamps are not used.
    pub(crate) starts_ms: &'a [i64],
}
