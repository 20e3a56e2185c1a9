//! A batch before it is committed: label sets copied and hashed, samples in order of arrival.
//!
//! Everything that needs no lock is done here, so that the time under the writer's lock is short.

use super::metadata::StagedMetadata;
use super::report::{CommitReport, Reject};
use crate::base::hash;
use crate::model::exemplar::Exemplar;
use crate::model::histogram::Histogram;
use crate::model::labels::{LabelHash, Labels, LabelsRef};
use crate::model::metadata::MetadataRef;
use crate::model::sample::{Sample, Value};
use std::sync::Arc;

/// What an entry brings to its series.
#[derive(Debug, Clone)]
pub(crate) enum Payload {
    Float(u64),
    Histogram(Arc<Histogram>),
    Exemplar(Arc<Exemplar>),
    /// A sample that takes its place whatever is there.
    Correction(Arc<Value>),
    /// What is known to be refused before its labels are known.
    Refused(Box<(Reject, String)>),
}

/// What finds the series of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    /// Its label set, which the stage has a copy of.
    Labels(LabelHash),
    /// A key that the sender's way to write these labels has, always the same in a process. The labels themselves are
    /// asked of the [`LabelSource`] when nothing is known by the key yet.
    Key(u128),
}

/// The label sets of a request that was staged by keys.
pub(crate) trait LabelSource {
    /// Appends the canonical labels of a series of the request to `out`, or says why they are none.
    fn labels(&self, series: u32, out: &mut Vec<u8>) -> Result<(), String>;
}

/// One entry of a batch.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) name: Name,
    /// Where its labels are in the stage, or with a key: the number of its series in the request, and the length of its
    /// labels at most.
    labels_start: u32,
    labels_end: u32,
    pub(crate) timestamp: i64,
    /// 0 = not known.
    pub(crate) start_timestamp: i64,
    pub(crate) payload: Payload,
}

/// A batch as the head sees it.
#[derive(Clone, Copy)]
pub(crate) struct Incoming<'a> {
    pub(crate) stage: &'a Stage,
    /// Where the labels are of entries that were staged by keys.
    pub(crate) source: Option<&'a dyn LabelSource>,
}

impl Incoming<'_> {
    /// Writes the canonical labels of an entry over `out`, or says why there are none.
    pub(crate) fn labels_of(&self, entry: &Entry, out: &mut Vec<u8>) -> Result<(), String> {
        out.clear();
        match (entry.name, self.source) {
            (Name::Labels(_), _) => {
                let range = entry.labels_start as usize..entry.labels_end as usize;
                out.extend_from_slice(self.stage.labels.get(range).unwrap_or(&[]));
                Ok(())
            }
            (Name::Key(_), Some(source)) => source.labels(entry.labels_start, out),
            (Name::Key(_), None) => Err("BUG: a request that is gone".into()),
        }
    }

    /// Counts an entry as refused.
    #[cold]
    pub(crate) fn reject(&self, entry: &Entry, reason: Reject, report: &mut CommitReport) {
        self.reject_because(entry, reason, "", report);
    }

    /// Counts an entry as refused for a fault in words.
    #[cold]
    pub(crate) fn reject_because(
        &self,
        entry: &Entry,
        reason: Reject,
        fault: &str,
        report: &mut CommitReport,
    ) {
        let mut labels = Vec::new();
        let unnamed = self.labels_of(entry, &mut labels).err();
        let labels = Labels::from_canonical(labels);
        let place = |entry: &Entry| std::ptr::from_ref(entry).addr();
        if let Some(first) = self.stage.entries.first() {
            let distance = place(entry).wrapping_sub(place(first));
            report.name_refused(distance / size_of::<Entry>(), reason);
        }
        let (at, gap) = (entry.timestamp, if fault.is_empty() { "" } else { ": " });
        report.reject(reason, labels.metric_name(), || match unnamed {
            None => format!("{labels} at {at}{gap}{fault}"),
            Some(unnamed) => format!("{unnamed} at {at}{gap}{fault}"),
        });
    }
}

/// A batch that is being put together.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    labels: Vec<u8>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) metadata: StagedMetadata,
    /// Refusals that were clear before the commit.
    pub(crate) report: CommitReport,
    /// Bytes of the labels that stand in the request, at most.
    source_label_bytes: usize,
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
        self.source_label_bytes = 0;
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
            return self.report.reject(Reject::InvalidLabels, "", || {
                "more than 2 GiB of labels in one batch".into()
            });
        }
        if bytes.len() > LABEL_SET_BYTES_MAX {
            return self.report.reject(Reject::InvalidLabels, "", || {
                format!("a label set of {} bytes at {timestamp}", bytes.len())
            });
        }
        let labels_start = self.labels.len() as u32;
        self.labels.extend_from_slice(bytes);
        let labels_end = self.labels.len() as u32;
        self.entries.push(Entry {
            name: Name::Labels(LabelHash::default()),
            labels_start,
            labels_end,
            timestamp,
            start_timestamp,
            payload,
        });
    }

    /// As [`Stage::push`], for the series with that number of a request; [`Stage::name_from`] follows.
    #[cfg_attr(
        not(feature = "server"),
        expect(dead_code, reason = "remote write alone stages by keys")
    )]
    #[inline]
    pub(crate) fn push_keyed(&mut self, number: u32, timestamp: i64, start_timestamp: i64, payload: Payload) {
        if !matches!(payload, Payload::Float(_)) {
            self.payload_log_bytes += payload.log_bytes_max();
        }
        self.entries.push(Entry {
            name: Name::Key(0),
            labels_start: number,
            labels_end: 0,
            timestamp,
            start_timestamp,
            payload,
        });
    }

    /// Names the series of the entries from `first` on by its key; its canonical labels take `label_bytes` at most.
    #[cfg_attr(
        not(feature = "server"),
        expect(dead_code, reason = "remote write alone stages by keys")
    )]
    #[inline]
    pub(crate) fn name_from(&mut self, first: usize, key: u128, label_bytes: usize) {
        for entry in self.entries.iter_mut().skip(first) {
            entry.name = Name::Key(key);
            entry.labels_end = label_bytes as u32;
            self.source_label_bytes += label_bytes;
        }
    }

    /// Gives the entries from `first` on other labels than those of the request.
    #[cfg_attr(
        not(feature = "server"),
        expect(dead_code, reason = "remote write alone stages by keys")
    )]
    pub(crate) fn label_from(&mut self, first: usize, labels: LabelsRef<'_>) {
        let labels_start = self.labels.len() as u32;
        self.labels.extend_from_slice(labels.as_bytes());
        for entry in self.entries.iter_mut().skip(first) {
            entry.name = Name::Labels(LabelHash::default());
            (entry.labels_start, entry.labels_end) = (labels_start, self.labels.len() as u32);
        }
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
        self.report
            .reject(Reject::InvalidHistogram, labels.metric_name(), || {
                format!("{labels} at {timestamp}: {fault}")
            });
    }

    pub(crate) fn push_exemplar(&mut self, labels: LabelsRef<'_>, exemplar: Exemplar) {
        let timestamp = exemplar.timestamp;
        let payload = Payload::Exemplar(Arc::new(exemplar));
        self.payload_log_bytes += payload.log_bytes_max();
        self.push(labels, timestamp, 0, payload);
    }

    pub(crate) fn push_metadata(&mut self, metric: &str, metadata: MetadataRef<'_>) {
        self.metadata_log_bytes += 64 + metric.len() + metadata.help.len() + metadata.unit.len();
        self.metadata.push(metric, metadata);
    }

    /// Hashes the label sets, once all entries are there. The copies stand side by side in the cache then; a hash taken
    /// from the caller's text would wait for each of its cache lines in turn.
    pub(crate) fn seal(&mut self) {
        let (mut labels, mut hash) = (0..0, LabelHash(hash::hash_128(&[])));
        for entry in &mut self.entries {
            let range = entry.labels_start as usize..entry.labels_end as usize;
            if !matches!(entry.name, Name::Labels(_)) {
                continue;
            }
            if labels != range {
                hash = LabelHash(hash::hash_128(self.labels.get(range.clone()).unwrap_or(&[])));
                labels = range;
            }
            entry.name = Name::Labels(hash);
        }
    }

    /// What the commit can at most write to the log: every series and pair may have to be defined anew. A pair takes at
    /// least four bytes of a label set; its definition takes five bytes more than its text, the reference to it five.
    pub(crate) fn log_bytes_max(&self) -> u64 {
        let entries = ENTRY_LOG_BYTES * self.entries.len()
            + 4 * (self.labels.len() + self.source_label_bytes)
            + self.payload_log_bytes;
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
                let labels = match entry.name {
                    Name::Labels(_) => entry.labels_end.saturating_sub(entry.labels_start),
                    Name::Key(_) => entry.labels_end,
                } as usize;
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
    pub(crate) fn refused(reason: Reject, fault: String) -> Self {
        Self::Refused(Box::new((reason, fault)))
    }

    /// A histogram in the form that is stored, or the refusal of one that is invalid.
    #[cfg_attr(
        not(feature = "server"),
        expect(dead_code, reason = "remote write alone stages by keys")
    )]
    pub(crate) fn histogram(histogram: &Histogram) -> Self {
        match checked(histogram) {
            Ok(histogram) => Self::Histogram(Arc::new(histogram)),
            Err(fault) => Self::refused(Reject::InvalidHistogram, fault),
        }
    }

    /// What it adds to an entry in the log, at most.
    fn log_bytes_max(&self) -> usize {
        match self {
            Self::Float(_) | Self::Refused(_) => 0,
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
