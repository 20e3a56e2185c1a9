//! A batch before it is committed: label sets copied and hashed, samples in order of arrival.
//!
//! Everything that needs no lock is done here, so that the time under the writer's lock is short.

use super::report::{CommitReport, Reject};
use crate::base::hash;
use crate::model::exemplar::Exemplar;
use crate::model::histogram::Histogram;
use crate::model::labels::{LabelHash, Labels, LabelsRef};
use crate::model::metadata::Metadata;
use crate::model::sample::{Sample, Value};
use std::ops::Range;
use std::sync::Arc;

/// What an entry brings to its series.
#[derive(Debug, Clone)]
pub(crate) enum Payload {
    Float(u64),
    Histogram(Arc<Histogram>),
    Exemplar(Arc<Exemplar>),
    /// A sample that takes its place whatever is there.
    Correction(Arc<Value>),
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
    /// Bytes of histograms and exemplars in the log, at most.
    payload_log_bytes: usize,
    /// The same of metadata.
    metadata_log_bytes: usize,
}

/// Buckets that a stored histogram may have.
const HISTOGRAM_BUCKETS_MAX: usize = 4096;

/// Bytes of label text one batch may hold; offsets are 32 bits.
const LABEL_BYTES_MAX: usize = 1 << 31;
/// Bytes of one label set, so that its definition fits a record of the log whatever the limits are.
const LABEL_SET_BYTES_MAX: usize = 4 << 20;

/// What an entry without labels and payload can write to the log, at most.
const ENTRY_LOG_BYTES: usize = 64;

impl Stage {
    pub(crate) fn clear(&mut self) {
        self.labels.clear();
        self.entries.clear();
        self.metadata.clear();
        self.report = CommitReport::default();
        self.payload_log_bytes = 0;
        self.metadata_log_bytes = 0;
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
        if bytes.len() > LABEL_SET_BYTES_MAX {
            return self.report.reject(Reject::InvalidLabels, || {
                format!("a label set of {} bytes at {timestamp}", bytes.len())
            });
        }
        let labels_start = self.labels.len() as u32;
        self.labels.extend_from_slice(bytes);
        let labels_end = self.labels.len() as u32;
        self.entries.push(Entry {
            hash: LabelHash::default(),
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
        let histogram = match checked(&histogram) {
            Ok(histogram) => histogram,
            Err(fault) => return self.reject_histogram(labels, timestamp, &fault),
        };
        let payload = Payload::Histogram(Arc::new(histogram));
        self.payload_log_bytes += payload.log_bytes_max();
        self.push(labels, timestamp, start_timestamp, payload);
    }

    pub(crate) fn push_correction(&mut self, labels: LabelsRef<'_>, sample: &Sample) {
        let (timestamp, start_timestamp) = (sample.timestamp, sample.start_timestamp);
        let value = match &sample.value {
            Value::Float(_) => sample.value.clone(),
            Value::Histogram(histogram) => match checked(histogram) {
                Ok(histogram) => Value::Histogram(Arc::new(histogram)),
                Err(fault) => return self.reject_histogram(labels, timestamp, &fault),
            },
        };
        let payload = Payload::Correction(Arc::new(value));
        self.payload_log_bytes += payload.log_bytes_max();
        self.push(labels, timestamp, start_timestamp, payload);
    }

    fn reject_histogram(&mut self, labels: LabelsRef<'_>, timestamp: i64, fault: &str) {
        let labels = Labels::from_canonical(labels.as_bytes());
        self.report.reject(Reject::InvalidHistogram, || {
            format!("{labels} at {timestamp}: {fault}")
        });
    }

    pub(crate) fn push_exemplar(&mut self, labels: LabelsRef<'_>, exemplar: Exemplar) {
        let timestamp = exemplar.timestamp;
        let payload = Payload::Exemplar(Arc::new(exemplar));
        self.payload_log_bytes += payload.log_bytes_max();
        self.push(labels, timestamp, 0, payload);
    }

    pub(crate) fn push_metadata(&mut self, metric: &str, metadata: Metadata) {
        self.metadata_log_bytes += 64 + metric.len() + metadata.help.len() + metadata.unit.len();
        self.metadata.push((metric.to_owned(), metadata));
    }

    /// Hashes the label sets, once all entries are there. The copies stand side by side in the cache then; a hash taken
    /// from the caller's text would wait for each of its cache lines in turn.
    pub(crate) fn seal(&mut self) {
        let (mut labels, mut hash) = (0..0, LabelHash(hash::hash_128(&[])));
        for entry in &mut self.entries {
            let range = entry.labels_start as usize..entry.labels_end as usize;
            if labels != range {
                hash = LabelHash(hash::hash_128(self.labels.get(range.clone()).unwrap_or(&[])));
                labels = range;
            }
            entry.hash = hash;
        }
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
        let entries = ENTRY_LOG_BYTES * self.entries.len() + 4 * self.labels.len() + self.payload_log_bytes;
        (256 + entries + self.metadata_log_bytes) as u64
    }

    /// What the metadata can at most write to the log.
    pub(crate) fn metadata_log_bytes_max(&self) -> usize {
        self.metadata_log_bytes
    }

    /// The entries in pieces, each with what it can at most write to the log: `bytes_max`, if it has more than one.
    pub(crate) fn pieces(&self, bytes_max: usize) -> impl Iterator<Item = (&[Entry], usize)> {
        let mut rest = self.entries.as_slice();
        std::iter::from_fn(move || {
            let (mut bytes, mut count) = (0, 0);
            for entry in rest {
                let labels = self.labels_of(entry).as_bytes().len();
                let more = ENTRY_LOG_BYTES + 4 * labels + entry.payload.log_bytes_max();
                if count > 0 && bytes + more > bytes_max {
                    break;
                }
                (bytes, count) = (bytes + more, count + 1);
            }
            let (piece, behind) = rest.split_at(count);
            rest = behind;
            (count > 0).then_some((piece, bytes))
        })
    }
}

impl Payload {
    /// What it adds to an entry in the log, at most.
    fn log_bytes_max(&self) -> usize {
        match self {
            Self::Float(_) => 0,
            Self::Histogram(histogram) => histogram_log_bytes_max(histogram),
            Self::Correction(value) => match &**value {
                Value::Float(_) => 64,
                Value::Histogram(histogram) => 64 + histogram_log_bytes_max(histogram),
            },
            Self::Exemplar(exemplar) => 64 + exemplar.labels.as_bytes().len(),
        }
    }
}

fn histogram_log_bytes_max(histogram: &Histogram) -> usize {
    let spans = histogram.positive_spans.len() + histogram.negative_spans.len();
    128 + 10 * (4 * spans + histogram.custom_values.len() + bucket_count(histogram))
}

/// The histogram in the form that is stored, or what is wrong with it.
fn checked(histogram: &Histogram) -> Result<Histogram, String> {
    histogram.validate().map_err(|error| error.to_string())?;
    if bucket_count(histogram) > HISTOGRAM_BUCKETS_MAX {
        return Err(format!("more than {HISTOGRAM_BUCKETS_MAX} buckets"));
    }
    Ok(histogram.clone().with_canonical_spans().reduced())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_all_entries_in_order_and_not_too_large() {
        let mut stage = Stage::default();
        for number in 0..1000 {
            let labels = crate::labels! { "n" => &"x".repeat(number % 50) };
            stage.push(labels.as_ref(), number as i64, 0, Payload::Float(0));
        }
        for bytes_max in [1, 500, 4096, usize::MAX] {
            let mut next = 0;
            for (piece, bytes) in stage.pieces(bytes_max) {
                assert!(bytes <= bytes_max || piece.len() == 1);
                for entry in piece {
                    assert_eq!(entry.timestamp, next);
                    next += 1;
                }
            }
            assert_eq!(next, 1000);
        }
        assert_eq!(stage.pieces(usize::MAX).count(), 1);
        assert_eq!(Stage::default().pieces(1).count(), 0);
    }
}
