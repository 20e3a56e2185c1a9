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
}

/// Histograms of a window, as columns of one length.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Histograms<'a> {
    pub(crate) timestamps_ms: &'a [i64],
    pub(crate) values: &'a [Arc<FloatHistogram>],
    /// 0 where unknown. Empty when start timestamps are not used.
    pub(crate) starts_ms: &'a [i64],
}
