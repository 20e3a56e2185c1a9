//! What a delete hides: the series it names, within a time range.

use super::labels::Labels;
use super::matcher::Matcher;

/// Which series a deletion is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selector {
    /// All that match.
    Matchers(Vec<Matcher>),
    /// The one with exactly these labels.
    Series(Labels),
}

/// What one delete hides. Everything that was written before it counts, nothing that comes after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deletion {
    pub(crate) selector: Selector,
    /// First and last timestamp, both included.
    pub(crate) from: i64,
    pub(crate) to: i64,
    /// When it was asked for, in milliseconds since 1970.
    pub(crate) created_ms: i64,
}
