//! Cardinality sketches: how many distinct series and values a segment has, in few bytes, so that those of several
//! segments add up to an answer without a series being counted twice.
//!
//! A [`Sketch`] is made of the label pairs and hashes of rows, sealed into segments, and merged with others. Beside each
//! estimate stands what is known for certain, so that an answer from one segment is exact.

mod change;
mod codec;
pub(crate) mod hll;
mod make;
mod tally;
#[cfg(test)]
mod tests;

pub use change::{Change, LabelGrowth, MetricGrowth};
pub use tally::Distinct;

use self::hll::Hll;
use self::tally::Tally;
use std::collections::BTreeMap;

/// Label names and metrics of rows that get into their sketch; the largest ones do.
const NAMES_MAX: usize = 256;
const METRICS_MAX: usize = 1_024;
/// Metrics of which the values of each label are sketched as well.
const DETAILED_MAX: usize = 64;
/// Values of a label name that are listed with their numbers of series.
const TOP_VALUES: usize = 8;

/// Bits of the register number, for all series, for names and metrics, and for the labels of a metric. The standard
/// error is 1.04 by the square root of the number of registers: 1.6, 3.3 and 6.5 %.
const WHOLE_BITS: u32 = 12;
const PART_BITS: u32 = 10;
const DETAIL_BITS: u32 = 8;

/// What is known of the series of one segment, or of several and the head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sketch {
    pub(crate) series: Tally,
    pub(crate) names: Kept<NameSketch>,
    pub(crate) metrics: Kept<MetricSketch>,
}

/// The largest entries by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept<T> {
    pub(crate) entries: BTreeMap<String, T>,
    /// How large an entry that is not among them can be: values of a label name, series of a metric.
    pub(crate) cut: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NameSketch {
    pub(crate) series: Tally,
    pub(crate) values: Tally,
    /// Values that most series have, with the number of those in the segment where there are most.
    pub(crate) top: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MetricSketch {
    pub(crate) series: Tally,
    /// Values by label name, for large metrics.
    pub(crate) labels: BTreeMap<String, Hll>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            cut: 0,
        }
    }
}

impl Default for Sketch {
    fn default() -> Self {
        Self {
            series: Tally::none(WHOLE_BITS),
            names: Kept::default(),
            metrics: Kept::default(),
        }
    }
}

impl Sketch {
    /// Adds what another one knows.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.series.merge(&other.series);
        self.names.merge(&other.names);
        self.metrics.merge(&other.metrics);
    }
}

/// What is kept of one name, in one segment or in several.
pub(crate) trait Entry: Clone {
    fn merge(&mut self, other: &Self);
    /// Takes in a segment that has none of it, or has it among what was cut off at this size.
    fn widen(&mut self, cut: u64);
}

impl<T: Entry> Kept<T> {
    fn merge(&mut self, other: &Self) {
        for (name, entry) in &mut self.entries {
            match other.entries.get(name) {
                Some(found) => entry.merge(found),
                None => entry.widen(other.cut),
            }
        }
        for (name, found) in &other.entries {
            if !self.entries.contains_key(name) {
                let mut entry = found.clone();
                entry.widen(self.cut);
                self.entries.insert(name.clone(), entry);
            }
        }
        self.cut = self.cut.saturating_add(other.cut);
    }
}

impl Entry for NameSketch {
    fn merge(&mut self, other: &Self) {
        self.series.merge(&other.series);
        self.values.merge(&other.values);
        for (value, series) in &other.top {
            let most = self.top.entry(value.clone()).or_default();
            *most = (*most).max(*series);
        }
    }

    /// Names are cut by their values, which says nothing about their series.
    fn widen(&mut self, cut: u64) {
        self.values.widen(cut);
        if cut > 0 {
            self.series.widen(u64::MAX);
        }
    }
}

impl Entry for MetricSketch {
    fn merge(&mut self, other: &Self) {
        self.series.merge(&other.series);
        for (name, values) in &other.labels {
            match self.labels.get_mut(name) {
                Some(known) => known.merge(values),
                None => {
                    self.labels.insert(name.clone(), values.clone());
                }
            }
        }
    }

    fn widen(&mut self, cut: u64) {
        self.series.widen(cut);
    }
}
