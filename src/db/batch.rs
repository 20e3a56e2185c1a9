//! A batch: what is written together.

use super::Db;
use crate::engine::error::Error;
use crate::head::report::{CommitReport, Durability, Reject};
use crate::head::stage::{Payload, Stage};
use crate::model::exemplar::Exemplar;
use crate::model::histogram::Histogram;
use crate::model::labels::{self, Labels, LabelsRef};
use crate::model::metadata::Metadata;
use crate::model::sample::{Sample, Value};

/// Samples, exemplars and metadata that are written together. Nothing is stored before [`Batch::commit`].
///
/// A sample that is refused is a counted reason in the report and never hinders the others.
#[derive(Debug)]
pub struct Batch {
    db: Db,
    stage: Stage,
    durability: Durability,
    canonical: Vec<u8>,
}

impl Batch {
    pub(super) fn new(db: Db, stage: Stage, durability: Durability) -> Self {
        Self {
            db,
            stage,
            durability,
            canonical: Vec::new(),
        }
    }

    /// When this batch counts as stored, instead of the database's default.
    pub fn durability(&mut self, durability: Durability) -> &mut Self {
        self.durability = durability;
        self
    }

    /// Adds a float.
    #[inline]
    pub fn push(&mut self, labels: &Labels, timestamp: i64, value: f64) {
        self.push_ref(labels.as_ref(), timestamp, value);
    }

    #[inline]
    pub(crate) fn push_ref(&mut self, labels: LabelsRef<'_>, timestamp: i64, value: f64) {
        self.stage
            .push(labels, timestamp, 0, Payload::Float(value.to_bits()));
    }

    /// Adds a float of a series named by pairs in any order; pairs that make no label set are refused in the report.
    pub fn push_pairs(&mut self, pairs: &[(&str, &str)], timestamp: i64, value: f64) {
        self.canonical.clear();
        let mut sorted = pairs.to_vec();
        match labels::canonicalize(&mut sorted, &mut self.canonical) {
            Ok(()) => {
                let labels = LabelsRef::new(&self.canonical);
                self.stage
                    .push(labels, timestamp, 0, Payload::Float(value.to_bits()));
            }
            Err(error) => self
                .stage
                .report
                .reject(Reject::InvalidLabels, "", || format!("{error} at {timestamp}")),
        }
    }

    /// Adds a native histogram.
    pub fn push_histogram(&mut self, labels: &Labels, timestamp: i64, histogram: &Histogram) {
        self.stage
            .push_histogram(labels.as_ref(), timestamp, 0, histogram.clone());
    }

    /// Adds a sample of either kind with its start timestamp.
    pub fn push_sample(&mut self, labels: &Labels, sample: &Sample) {
        let (timestamp, start) = (sample.timestamp, sample.start_timestamp);
        match &sample.value {
            Value::Float(value) => {
                self.stage
                    .push(labels.as_ref(), timestamp, start, Payload::Float(value.to_bits()));
            }
            Value::Histogram(histogram) => {
                self.stage
                    .push_histogram(labels.as_ref(), timestamp, start, Histogram::clone(histogram));
            }
        }
    }

    /// Adds a correction: a float that takes its place in the series whatever is there, now or in segments.
    pub fn correct(&mut self, labels: &Labels, timestamp: i64, value: f64) {
        let sample = Sample {
            timestamp,
            value: Value::Float(value),
            start_timestamp: 0,
        };
        self.correct_sample(labels, &sample);
    }

    /// The same for a sample of either kind, with its start timestamp.
    pub fn correct_sample(&mut self, labels: &Labels, sample: &Sample) {
        self.stage.push_correction(labels.as_ref(), sample);
    }

    /// Adds an exemplar of a series.
    pub fn push_exemplar(&mut self, labels: &Labels, exemplar: &Exemplar) {
        self.stage.push_exemplar(labels.as_ref(), exemplar.clone());
    }

    /// Adds what is known of a metric.
    pub fn push_metadata(&mut self, metric: &str, metadata: &Metadata) {
        self.stage.push_metadata(metric, metadata.as_ref());
    }

    /// Number of samples and exemplars in the batch.
    pub fn len(&self) -> usize {
        self.stage.entries.len()
    }

    /// Whether there is nothing in the batch.
    pub fn is_empty(&self) -> bool {
        self.stage.entries.is_empty() && self.stage.metadata.is_empty()
    }

    /// Writes the batch and returns when it is stored as its durability asks.
    pub fn commit(mut self) -> Result<CommitReport, Error> {
        let report = self
            .db
            .commit_staged(&mut self.stage, None, Some(self.durability));
        self.db.keep_stage(std::mem::take(&mut self.stage));
        report
    }
}
