//! An exemplar: one measured event, with labels of its own (a trace id), beside the series it belongs to.

use super::labels::Labels;

/// One measured event of a series.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    /// The exemplar's own labels, such as `trace_id`.
    pub labels: Labels,
    /// In the database's unit of time.
    pub timestamp: i64,
    /// The measured value.
    pub value: f64,
}
