//! Metric metadata with its history: what was said of a metric, and when it changed.

use super::report::CommitReport;
use super::stage::Stage;
use super::writer::Writer;
use super::{Head, MetadataState};
use crate::model::metadata::{Metadata, MetadataRef, MetricType};
use std::collections::BTreeMap;
use std::sync::PoisonError;

/// By metric: changes in order of arrival, each with the time at which it was recorded.
pub(crate) type MetadataHistory = BTreeMap<String, Vec<(i64, Metadata)>>;

/// Adds `entry` unless it is what was said last. Returns whether it was new.
pub(crate) fn record(history: &mut MetadataHistory, metric: &str, time: i64, entry: MetadataRef<'_>) -> bool {
    match history.get_mut(metric) {
        None => {
            history.insert(metric.to_owned(), vec![(time, entry.to_owned())]);
            true
        }
        Some(entries) if entries.last().is_some_and(|last| last.1.as_ref() == entry) => false,
        Some(entries) => {
            entries.push((time, entry.to_owned()));
            true
        }
    }
}

/// The metadata of a batch, its texts one behind the other: senders repeat it with every request, and hardly any is new.
#[derive(Debug, Default)]
pub(crate) struct StagedMetadata {
    text: String,
    entries: Vec<StagedEntry>,
}

/// Where the metric's name, its help and its unit end in the text.
#[derive(Debug)]
struct StagedEntry {
    metric_type: MetricType,
    name_end: usize,
    help_end: usize,
    unit_end: usize,
}

impl StagedMetadata {
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.entries.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn push(&mut self, metric: &str, entry: MetadataRef<'_>) {
        let mut end_of = |text: &str| {
            self.text.push_str(text);
            self.text.len()
        };
        self.entries.push(StagedEntry {
            metric_type: entry.metric_type,
            name_end: end_of(metric),
            help_end: end_of(entry.help),
            unit_end: end_of(entry.unit),
        });
    }

    fn iter(&self) -> impl Iterator<Item = (&str, MetadataRef<'_>)> {
        let mut start = 0;
        self.entries.iter().map(move |entry| {
            let said = MetadataRef {
                metric_type: entry.metric_type,
                help: &self.text[entry.name_end..entry.help_end],
                unit: &self.text[entry.help_end..entry.unit_end],
            };
            let metric = &self.text[start..entry.name_end];
            start = entry.unit_end;
            (metric, said)
        })
    }
}

impl Head {
    /// Metadata read back from the log; the next segment must hold it.
    pub(super) fn restore_metadata(&self, metric: &str, time: i64, entry: Metadata) {
        let mut state = self.metadata.lock().unwrap_or_else(PoisonError::into_inner);
        record(&mut state.all, metric, time, entry.as_ref());
        record(&mut state.live, metric, time, entry.as_ref());
    }

    /// What is known is what segments say, and what the next segment will.
    pub(crate) fn relearn_metadata(&self, in_segments: MetadataHistory) {
        let mut state = self.metadata.lock().unwrap_or_else(PoisonError::into_inner);
        let MetadataState { all, live } = &mut *state;
        *all = in_segments;
        for (metric, entries) in live {
            for (time, entry) in entries {
                record(all, metric, *time, entry.as_ref());
            }
        }
    }

    pub(crate) fn has_no_new_metadata(&self) -> bool {
        self.metadata
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .live
            .is_empty()
    }

    /// Everything known of metrics.
    pub(crate) fn metadata(&self) -> MetadataHistory {
        self.metadata
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .all
            .clone()
    }

    /// Records the metadata of a batch.
    pub(super) fn append_metadata(
        &self,
        writer: &mut Writer,
        stage: &Stage,
        now: i64,
        report: &mut CommitReport,
    ) {
        if stage.metadata.is_empty() {
            return;
        }
        let mut state = self.metadata.lock().unwrap_or_else(PoisonError::into_inner);
        for (metric, entry) in stage.metadata.iter() {
            if record(&mut state.all, metric, now, entry) {
                record(&mut state.live, metric, now, entry);
                report.metadata += 1;
                if writer.file != 0 {
                    writer.encoder.metadata(metric, now, &entry.to_owned());
                }
            }
        }
    }
}
