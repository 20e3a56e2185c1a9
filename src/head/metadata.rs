//! Metric metadata with its history: what was said of a metric, and when it changed.

use super::report::CommitReport;
use super::stage::Stage;
use super::writer::Writer;
use super::{Head, MetadataState};
use crate::model::metadata::Metadata;
use std::collections::BTreeMap;
use std::sync::PoisonError;

/// By metric: changes in order of arrival, each with the time at which it was recorded.
pub(crate) type MetadataHistory = BTreeMap<String, Vec<(i64, Metadata)>>;

/// Adds `entry` unless it is what was said last. Returns whether it was new.
pub(crate) fn record(history: &mut MetadataHistory, metric: &str, time: i64, entry: Metadata) -> bool {
    match history.get_mut(metric) {
        None => {
            history.insert(metric.to_owned(), vec![(time, entry)]);
            true
        }
        Some(entries) if entries.last().is_some_and(|last| last.1 == entry) => false,
        Some(entries) => {
            entries.push((time, entry));
            true
        }
    }
}

impl Head {
    /// Metadata read back from the log; the next segment must hold it.
    pub(super) fn restore_metadata(&self, metric: &str, time: i64, entry: Metadata) {
        let mut state = self.metadata.lock().unwrap_or_else(PoisonError::into_inner);
        record(&mut state.all, metric, time, entry.clone());
        record(&mut state.live, metric, time, entry);
    }

    /// What is known is what segments say, and what the next segment will.
    pub(crate) fn relearn_metadata(&self, in_segments: MetadataHistory) {
        let mut state = self.metadata.lock().unwrap_or_else(PoisonError::into_inner);
        let MetadataState { all, live } = &mut *state;
        *all = in_segments;
        for (metric, entries) in live {
            for (time, entry) in entries {
                record(all, metric, *time, entry.clone());
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
        for (metric, entry) in &stage.metadata {
            if record(&mut state.all, metric, now, entry.clone()) {
                record(&mut state.live, metric, now, entry.clone());
                report.metadata += 1;
                if writer.file != 0 {
                    writer.encoder.metadata(metric, now, entry);
                }
            }
        }
    }
}
