//! What a commit did, and why samples were refused.

use std::fmt;

/// Why something in a batch was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reject {
    /// The series has another value at this timestamp.
    Conflict,
    /// The timestamp lies further in the future than the database allows.
    TooFarInFuture,
    /// A label name is longer than allowed.
    LabelNameTooLong,
    /// A label value is longer than allowed.
    LabelValueTooLong,
    /// The series has more labels than allowed.
    TooManyLabels,
    /// The database holds as many series as it may.
    SeriesLimit,
    /// The labels are not a label set: none at all, an empty or duplicate name, or not UTF-8.
    InvalidLabels,
    /// The histogram's counts and spans contradict each other.
    InvalidHistogram,
    /// The exemplar's labels are too long, or no label set.
    InvalidExemplar,
    /// The series has no sample, or floats and histograms in one request.
    InvalidSeries,
}

impl Reject {
    /// Every reason, in the order of the enum.
    pub const ALL: [Self; 10] = [
        Self::Conflict,
        Self::TooFarInFuture,
        Self::LabelNameTooLong,
        Self::LabelValueTooLong,
        Self::TooManyLabels,
        Self::SeriesLimit,
        Self::InvalidLabels,
        Self::InvalidHistogram,
        Self::InvalidExemplar,
        Self::InvalidSeries,
    ];

    /// A short name for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::TooFarInFuture => "too_far_in_future",
            Self::LabelNameTooLong => "label_name_too_long",
            Self::LabelValueTooLong => "label_value_too_long",
            Self::TooManyLabels => "too_many_labels",
            Self::SeriesLimit => "series_limit",
            Self::InvalidLabels => "invalid_labels",
            Self::InvalidHistogram => "invalid_histogram",
            Self::InvalidExemplar => "invalid_exemplar",
            Self::InvalidSeries => "invalid_series",
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The refusals of a batch for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Why.
    pub reason: Reject,
    /// How many entries of the batch.
    pub count: usize,
    /// The first of them, in words.
    pub example: String,
    /// The same by metric, for the first few metrics of a batch.
    pub metrics: Vec<RefusedMetric>,
}

/// The refusals of a batch for one reason, of one metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedMetric {
    /// The metric's name; empty where the labels name none.
    pub metric: String,
    /// How many entries of the batch.
    pub count: usize,
    /// The first of them, in words.
    pub example: String,
}

/// Metrics that a batch's refusals name for one reason.
const METRICS_NAMED_MAX: usize = 16;

/// Entries that a report names.
const REFUSED_NAMED_MAX: usize = 1 << 16;

/// When a batch counts as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// When it is on the disk: survives the death of the process and a power loss.
    #[default]
    Always,
    /// When the operating system has it, which writes it to the disk at least this often.
    Interval(std::time::Duration),
    /// When the operating system has it, which writes it to the disk when it likes.
    Never,
}

/// What a commit did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommitReport {
    /// Samples that are stored now, with this batch or before: floats, histograms and duplicates.
    pub accepted: usize,
    /// Floats that were new.
    pub floats: usize,
    /// Histograms that were new.
    pub histograms: usize,
    /// Those of the floats and histograms that were corrections.
    pub corrections: usize,
    /// Exemplars that were new.
    pub exemplars: usize,
    /// Exemplars that were there already.
    pub duplicate_exemplars: usize,
    /// Metadata entries that were new.
    pub metadata: usize,
    /// Samples that were there already with the same bits.
    pub duplicates: usize,
    /// Those of the duplicates that are histograms.
    pub duplicate_histograms: usize,
    /// Series that came to be.
    pub new_series: usize,
    /// What was refused, by reason.
    pub rejected: Vec<Rejection>,
    /// Which entries of the batch were refused, the first [`REFUSED_NAMED_MAX`] of them.
    pub(crate) refused: Vec<(u32, Reject)>,
    /// Log sequence number up to which the log must be durable for this batch to be.
    pub lsn: u64,
    /// When this batch counted as stored.
    pub durability: Durability,
}

impl CommitReport {
    /// How many entries were refused.
    pub fn rejected_count(&self) -> usize {
        self.rejected.iter().map(|rejection| rejection.count).sum()
    }

    pub(crate) fn note_duplicate(&mut self, is_histogram: bool) {
        self.duplicates += 1;
        self.duplicate_histograms += usize::from(is_histogram);
    }

    /// Names an entry that is refused.
    pub(crate) fn name_refused(&mut self, entry: usize, reason: Reject) {
        if self.refused.len() < REFUSED_NAMED_MAX {
            self.refused.push((entry as u32, reason));
        }
    }

    /// Counts an entry of `metric` as refused.
    pub(crate) fn reject(&mut self, reason: Reject, metric: &str, example: impl FnOnce() -> String) {
        let place = self.rejected.iter().position(|one| one.reason == reason);
        let place = place.unwrap_or_else(|| {
            self.rejected.push(Rejection {
                reason,
                count: 0,
                example: String::new(),
                metrics: Vec::new(),
            });
            self.rejected.len() - 1
        });
        let Some(rejection) = self.rejected.get_mut(place) else {
            return;
        };
        rejection.count += 1;
        if let Some(known) = rejection.metrics.iter_mut().find(|one| one.metric == metric) {
            known.count += 1;
        } else if rejection.metrics.len() < METRICS_NAMED_MAX {
            let example = example();
            if rejection.count == 1 {
                rejection.example.clone_from(&example);
            }
            rejection.metrics.push(RefusedMetric {
                metric: metric.to_owned(),
                count: 1,
                example,
            });
        }
    }
}
