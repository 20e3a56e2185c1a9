//! Cardinality over any range of time: the sketches of segments and head, merged, and the difference of two ranges.

use super::Engine;
use super::error::Error;
use super::select::{Warning, bounds, warning};
use super::view::View;
use crate::base::hash;
use crate::base::texts::Texts;
use crate::index::SegmentIndexWriter;
use crate::model::labels::LabelsRef;
use crate::segment::reader::Segment;
use crate::sketch::{Change, Distinct, LabelGrowth, MetricGrowth, Sketch};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::RangeBounds;

/// Series of the head whose labels are copied at once.
const LABELS_AT_ONCE: usize = 1_024;

/// How many distinct series there are in a range of time.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CardinalityEstimate {
    /// All series.
    pub series: Distinct,
    /// By label name, those with most values.
    pub label_names: BTreeMap<String, LabelCardinality>,
    /// Series by metric, those with most.
    pub metrics: BTreeMap<String, Distinct>,
    /// How many series a metric can have that is not listed; 0 when all are.
    pub unlisted_at_most: u64,
    /// What could not be read.
    pub warnings: Vec<Warning>,
}

/// Series and values of a label name.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LabelCardinality {
    /// Series that have the label.
    pub series: Distinct,
    /// Its values.
    pub values: Distinct,
    /// Values that several series have, most first, with the number of series in the segment, or the head, that has
    /// most of them.
    pub top: Vec<(String, u64)>,
}

/// What grew between two ranges of time.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Growth {
    /// All series.
    pub series: Change,
    /// Metrics that got series, most first.
    pub metrics: Vec<MetricGrowth>,
    /// Label names that got series or values: first those to blame for most series.
    pub label_names: Vec<LabelGrowth>,
    /// What could not be read.
    pub warnings: Vec<Warning>,
}

impl Engine {
    /// Distinct series in `range`.
    pub(crate) fn cardinality_between(
        &self,
        range: impl RangeBounds<i64>,
    ) -> Result<CardinalityEstimate, Error> {
        let mut warnings = Vec::new();
        let (_pin, view) = self.pinned_view();
        let sketch = self.sketch_between(&view, &range, &mut warnings);
        let all = sketch.series.distinct();
        let label_names = sketch.names.entries.into_iter().map(|(name, entry)| {
            let mut series = entry.series.distinct();
            series.at_most = series.at_most.min(all.at_most);
            series.estimate = series.estimate.min(all.at_most);
            let mut top: Vec<(String, u64)> = entry.top.into_iter().collect();
            top.sort_by_key(|(_, series)| Reverse(*series));
            let values = entry.values.distinct();
            (name, LabelCardinality { series, values, top })
        });
        let metrics = sketch.metrics.entries.into_iter();
        Ok(CardinalityEstimate {
            series: all,
            label_names: label_names.collect(),
            metrics: metrics
                .map(|(metric, entry)| (metric, entry.series.distinct()))
                .collect(),
            unlisted_at_most: sketch.metrics.cut,
            warnings,
        })
    }

    /// What is in `after` and was not in `before`.
    pub(crate) fn growth(
        &self,
        before: impl RangeBounds<i64>,
        after: impl RangeBounds<i64>,
    ) -> Result<Growth, Error> {
        let mut warnings = Vec::new();
        let (_pin, view) = self.pinned_view();
        let before = self.sketch_between(&view, &before, &mut warnings);
        let after = self.sketch_between(&view, &after, &mut warnings);
        let metrics = before.metrics_grown(&after);
        let mut distinct: Vec<Warning> = Vec::new();
        for warning in warnings {
            if !distinct.contains(&warning) {
                distinct.push(warning);
            }
        }
        Ok(Growth {
            series: before.change_of_series(&after),
            label_names: before.labels_grown(&after, &metrics),
            metrics,
            warnings: distinct,
        })
    }

    fn sketch_between(
        &self,
        view: &View,
        range: &impl RangeBounds<i64>,
        warnings: &mut Vec<Warning>,
    ) -> Sketch {
        let mut all = Sketch::default();
        let Some((from, to)) = bounds(range) else {
            return all;
        };
        warnings.extend(self.lost_at_opening(from, to));
        for segment in view.segments_within(from, to) {
            if let Some(sketch) = sketch_of(segment, (from, to), warnings) {
                all.merge(&sketch);
            }
        }
        if view.head_is_within(from, to) {
            all.merge(&self.sketch_of_head(view, (from, to)));
        }
        all
    }

    /// The series that the head has in the range.
    fn sketch_of_head(&self, view: &View, range: (i64, i64)) -> Sketch {
        let mut selection = self.head.select(&[], false);
        let (mut rows, mut hashes) = (SegmentIndexWriter::new(), Vec::new());
        let mut labels = Texts::default();
        for start in (0..selection.len()).step_by(LABELS_AT_ONCE) {
            let positions = start..selection.len().min(start + LABELS_AT_ONCE);
            selection.labels(&self.head, positions.clone(), &mut labels);
            for (position, of_series) in positions.zip(labels.iter()) {
                let id = selection.id(position);
                if id.is_some_and(|id| self.is_in_head(view, id, range)) {
                    hashes.extend_from_slice(&hash::hash_128(of_series).to_le_bytes());
                    rows.push(LabelsRef::new(of_series));
                }
            }
        }
        Sketch::of(&rows, &hashes)
    }
}

/// The sealed sketch where the whole segment lies in the range, and one of its rows otherwise. A damaged sketch is told
/// of and does no harm as long as the index is sound.
fn sketch_of(segment: &Segment, (from, to): (i64, i64), warnings: &mut Vec<Warning>) -> Option<Sketch> {
    if from <= segment.meta.time_min && segment.meta.time_max <= to {
        match segment.sketch() {
            Ok(Some(sketch)) => return Some(sketch),
            Ok(None) => {}
            Err(error) => warnings.push(warning(segment, &error)),
        }
    }
    match segment.sketch_of_rows(from, to) {
        Ok(sketch) => Some(sketch),
        Err(error) => {
            warnings.push(warning(segment, &error));
            None
        }
    }
}
