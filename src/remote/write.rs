//! A write request from its compressed body to what was stored.

use super::histogram::SentHistogram;
use super::intake::{Intake, Verdict};
use super::outcome::{RequestError, Written};
use super::{snappy, write_v1, write_v2};
use crate::base::keyed;
use crate::db::Db;
use crate::engine::error::Error;
use crate::head::report::{CommitReport, Durability, Reject};
use crate::head::stage::{LabelSource, Payload, Stage};
use crate::model::exemplar::Exemplar;
use crate::model::labels::LabelsRef;
use crate::model::metadata::MetadataRef;
use std::sync::Arc;

/// The messages of remote write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
}

/// Why a request was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Engine(#[from] Error),
}

/// What became of a request that was taken.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What was stored or is not to be stored.
    pub(crate) written: Written,
    /// What is not to be stored.
    pub(crate) dropped: Written,
    pub(crate) report: CommitReport,
}

/// A write request.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) version: Version,
    /// The body as it was sent, a snappy block.
    pub(crate) block: &'a [u8],
    /// What the block may grow to.
    pub(crate) bytes_max: usize,
    /// When it counts as stored; `None` is the database's own rule.
    pub(crate) durability: Option<Durability>,
    pub(crate) intake: &'a Intake,
    pub(crate) now_ms: i64,
}

/// Stores a request. `buffer` holds its body meanwhile.
pub(crate) fn write(db: &Db, request: &Request<'_>, buffer: &mut Vec<u8>) -> Result<Outcome, WriteError> {
    db.check_milliseconds()?;
    let body = snappy::decompress(request.block, request.bytes_max, buffer)?;
    let mut stage = db.take_stage();
    let mut sink = Sink {
        stage: &mut stage,
        intake: Some(request.intake).filter(|intake| !intake.is_empty()),
        now_ms: request.now_ms,
        dropped: Written::default(),
    };
    let staged: Result<Box<dyn LabelSource + '_>, _> = match request.version {
        Version::V1 => write_v1::stage(body, &mut sink).map(|source| Box::new(source) as _),
        Version::V2 => write_v2::stage(body, &mut sink).map(|source| Box::new(source) as _),
    };
    let dropped = sink.dropped;
    let committed = staged.map_err(|corrupt| RequestError::Protobuf(corrupt).into());
    let committed = committed.and_then(|source| {
        let report = db.commit_staged(&mut stage, Some(&*source), request.durability);
        report.map_err(WriteError::from)
    });
    db.keep_stage(stage);
    let report = committed?;
    Ok(Outcome {
        written: Written::of(&report).plus(dropped),
        dropped,
        report,
    })
}

/// Takes what a request holds and stages it.
pub(crate) struct Sink<'a> {
    stage: &'a mut Stage,
    /// Rules for series, if there are any.
    intake: Option<&'a Intake>,
    now_ms: i64,
    dropped: Written,
}

/// A series of the request while its entries are staged.
#[derive(Debug)]
pub(crate) struct Series {
    number: u32,
    /// The first of its entries.
    first: usize,
    floats: usize,
    pub(crate) histograms: usize,
}

impl Sink<'_> {
    /// The key of a text.
    #[inline]
    pub(crate) fn key(&self, text: &[u8]) -> u128 {
        keyed::keyed_128(text)
    }

    #[inline]
    pub(crate) fn begin(&self, number: usize) -> Series {
        Series {
            number: number as u32,
            first: self.stage.entries.len(),
            floats: 0,
            histograms: 0,
        }
    }

    #[inline]
    fn push(&mut self, series: &Series, timestamp: i64, start_timestamp: i64, payload: Payload) {
        self.stage
            .push_keyed(series.number, timestamp, start_timestamp, payload);
    }

    #[inline]
    pub(crate) fn float(&mut self, series: &mut Series, timestamp: i64, start_timestamp: i64, bits: u64) {
        series.floats += 1;
        self.push(series, timestamp, start_timestamp, Payload::Float(bits));
    }

    pub(crate) fn histogram(&mut self, series: &mut Series, sent: SentHistogram) {
        series.histograms += 1;
        let payload = Payload::histogram(&sent.histogram);
        self.push(series, sent.timestamp, sent.start_timestamp, payload);
    }

    pub(crate) fn exemplar(&mut self, series: &mut Series, exemplar: Result<Exemplar, String>) {
        let (timestamp, payload) = match exemplar {
            Ok(exemplar) => (exemplar.timestamp, Payload::Exemplar(Arc::new(exemplar))),
            Err(fault) => (0, Payload::refused(Reject::InvalidExemplar, fault)),
        };
        self.push(series, timestamp, 0, payload);
    }

    /// Takes what is said of a metric, if it has a name; whether its series has samples does not matter.
    pub(crate) fn metadata(&mut self, metric: &str, metadata: MetadataRef<'_>) {
        if !metric.is_empty() {
            self.stage.push_metadata(metric, metadata);
        }
    }

    /// Tells what the series' labels are known by, once all of its message is read. They take `label_bytes` at most, and
    /// `labels` decodes them.
    #[inline]
    pub(crate) fn end(
        &mut self,
        series: &Series,
        key: u128,
        label_bytes: usize,
        labels: impl FnOnce(&mut Vec<u8>) -> Result<(), String>,
    ) {
        let verdict = match self.intake {
            None => Verdict::AsSent,
            Some(intake) => intake.judge(key, self.now_ms, labels),
        };
        match verdict {
            Verdict::AsSent => self.stage.name_from(series.first, key, label_bytes),
            Verdict::Changed(labels) => self.stage.label_from(series.first, LabelsRef::new(&labels)),
            Verdict::Dropped => {
                for entry in self.stage.entries.drain(series.first..) {
                    self.dropped.count(&entry.payload);
                }
            }
        }
    }

    /// Gives a start timestamp to the samples of the series that have none.
    pub(crate) fn set_start(&mut self, series: &Series, start_timestamp: i64) {
        if start_timestamp == 0 {
            return;
        }
        for entry in self.stage.entries.iter_mut().skip(series.first) {
            if entry.start_timestamp == 0 && !matches!(entry.payload, Payload::Exemplar(_)) {
                entry.start_timestamp = start_timestamp;
            }
        }
    }

    /// A series of 2.0 has floats or histograms, not both. One with exemplars alone is what Prometheus 3.5 sends.
    pub(crate) fn require_one_kind(&mut self, series: &Series) {
        let refused = |fault: &str| Payload::refused(Reject::InvalidSeries, fault.into());
        if self.stage.entries.len() == series.first {
            self.push(series, 0, 0, refused("a series without a sample"));
        } else if series.floats > 0 && series.histograms > 0 {
            for entry in self.stage.entries.iter_mut().skip(series.first) {
                entry.payload = refused("a series with floats and histograms");
            }
        }
    }
}
