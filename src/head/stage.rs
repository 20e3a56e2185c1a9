//! A batch before it is committed: label sets copied and hashed, samples in order of arrival.
//!
//! Everything that needs no lock is done here, so that the time under the writer's lock is short.

use super::report::{CommitReport, Reject};
use crate::base::hash;
use crate::model::exemplar::Exemplar;
use crate::model::histogram::Histogram;
use crate::model::labels::{LabelHash, Labels, LabelsRef};
use crate::model::metadata::Metadata;
use std::ops::Range;
use std::sync::Arc;

/// What an entry brings to its series.
#[derive(Debug, Clone)]
pub(crate) enum Payload {
    Float(u64),
    Histogram(Arc<Histogram>),
    Exemplar(Arc<Exemplar>),
}

/// One entry of a batch.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) hash: LabelHash,
    labels_start: u32,
    labels_end: u32,
    pub(crate) timestamp: i64,
    /// 0 = not known.
    pub(crate) start_timestamp: i64,
    pub(crate) payload: Payload,
}

/// A batch that is being put together.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    labels: Vec<u8>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) metadata: Vec<(String, Metadata)>,
    /// Refusals that were clear before the commit.
    pub(crate) report: CommitReport,
    /// Bytes of histograms, exemplars and metadata in the log, at most.
    extra_log_bytes: usize,
}

/// Buckets that a stored histogram may have.
const HISTOGRAM_BUCKETS_MAX: usize = 4096;

/// Bytes of label text one batch may hold; offsets are 32 bits.
const LABEL_BYTES_MAX: usize = 1 << 31;

impl Stage {
    pub(crate) fn clear(&mut self) {
        self.labels.clear();
        self.entries.clear();
        self.metadata.clear();
        self.report = CommitReport::default();
        self.extra_log_bytes = 0;
    }

    #[inline]
    pub(crate) fn push(
        &mut self,
        labels: LabelsRef<'_>,
        timestamp: i64,
        start_timestamp: i64,
        payload: Payload,
    ) {
        let bytes = labels.as_bytes();
        if let Some(last) = self.entries.last()
            && self
                .labels
                .get(last.labels_start as usize..last.labels_end as usize)
                == Some(bytes)
        {
            let entry = Entry {
                timestamp,
                start_timestamp,
                payload,
                ..*last
            };
            self.entries.push(entry);
            return;
        }
        if self.labels.len() + bytes.len() > LABEL_BYTES_MAX {
            return self.report.reject(Reject::InvalidLabels, || {
                "more than 2 GiB of labels in one batch".into()
            });
        }
        let hash = LabelHash(hash::hash_128(bytes));
        let labels_start = self.labels.len() as u32;
        self.labels.extend_from_slice(bytes);
        let labels_end = self.labels.len() as u32;
        self.entries.push(Entry {
            hash,
            labels_start,
            labels_end,
            timestamp,
            start_timestamp,
            payload,
        });
    }

    pub(crate) fn push_histogram(
        &mut self,
        labels: LabelsRef<'_>,
        timestamp: i64,
        start_timestamp: i64,
        histogram: Histogram,
    ) {
        let fault = match histogram.validate() {
            Err(error) => Some(error.to_string()),
            Ok(()) if bucket_count(&histogram) > HISTOGRAM_BUCKETS_MAX => {
                Some(format!("more than {HISTOGRAM_BUCKETS_MAX} buckets"))
            }
            Ok(()) => None,
        };
        if let Some(fault) = fault {
            let labels = Labels::from_canonical(labels.as_bytes());
            return self.report.reject(Reject::InvalidHistogram, || {
                format!("{labels} at {timestamp}: {fault}")
            });
        }
        let histogram = histogram.with_canonical_spans().reduced();
        let buckets =
            histogram.positive_spans.len() * 4 + histogram.custom_values.len() + bucket_count(&histogram);
        self.extra_log_bytes += 128 + 10 * (buckets + histogram.negative_spans.len() * 4);
        self.push(
            labels,
            timestamp,
            start_timestamp,
            Payload::Histogram(Arc::new(histogram)),
        );
    }

    pub(crate) fn push_exemplar(&mut self, labels: LabelsRef<'_>, exemplar: Exemplar) {
        self.extra_log_bytes += 64 + exemplar.labels.as_bytes().len();
        self.push(
            labels,
            exemplar.timestamp,
            0,
            Payload::Exemplar(Arc::new(exemplar)),
        );
    }

    pub(crate) fn push_metadata(&mut self, metric: &str, metadata: Metadata) {
        self.extra_log_bytes += 64 + metric.len() + metadata.help.len() + metadata.unit.len();
        self.metadata.push((metric.to_owned(), metadata));
    }

    pub(crate) fn labels_of(&self, entry: &Entry) -> LabelsRef<'_> {
        let range: Range<usize> = entry.labels_start as usize..entry.labels_end as usize;
        LabelsRef::new(self.labels.get(range).unwrap_or(&[]))
    }

    /// The labels of an entry in words, for a refusal.
    pub(crate) fn describe(&self, entry: &Entry) -> String {
        format!(
            "{} at {}",
            Labels::from_canonical(self.labels_of(entry).as_bytes()),
            entry.timestamp
        )
    }

    /// What the commit can at most write to the log: every series and pair may have to be defined anew. A pair takes at
    /// least four bytes of a label set; its definition takes five bytes more than its text, the reference to it five.
    pub(crate) fn log_bytes_max(&self) -> u64 {
        (256 + 64 * self.entries.len() + 4 * self.labels.len() + self.extra_log_bytes) as u64
    }
}

fn bucket_count(histogram: &Histogram) -> usize {
    use crate::model::histogram::Counts;
    match &histogram.counts {
        Counts::Int {
            positive, negative, ..
        } => positive.len() + negative.len(),
        Counts::Float {
            positive, negative, ..
        } => positive.len() + negative.len(),
    }
}
