//! How samples that come in are stored, in whatever format they are written: good ones are, and of the others it is told which and why.
//!
//! A body may be a stream of any length. It is stored in pieces of whole lines, each on a blocking thread, so that it takes no more
//! memory than a piece does. Samples take the way of every sample: relabelling, the journal of refusals and quotas hold for them.

use super::auth::Caller;
use super::error::ApiError;
use super::native::body::Arriving;
use super::native::refusal::Refusal;
use super::remote_write::asked_durability;
use super::state::App;
use super::tenant::Tenant;
use crate::config::{Config, Http};
use crate::db::{Batch, Db};
use crate::head::report::{CommitReport, Durability, Reject};
use crate::model::exemplar::Exemplar;
use crate::model::labels::{Labels, LabelsRef};
use crate::model::metadata::MetadataRef;
use crate::model::sample::{self, Sample};
use crate::remote::intake::{Intake, Verdict};
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Lines are stored as soon as there are so many bytes of them.
const PIECE_BYTES: usize = 1 << 20;
/// A batch is stored when it takes about so much: a short text can say long labels many times.
const BATCH_BYTES: usize = 32 << 20;
/// About what a sample takes in a batch besides.
const ENTRY_BYTES: usize = 96;
/// About what a bucket of a histogram takes.
const BUCKET_BYTES: usize = 16;
/// Refusals that are told one by one.
const REFUSALS_SHOWN: usize = 100;

/// Who writes, and how.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) app: Arc<App>,
    pub(super) tenant: Arc<Tenant>,
    pub(super) config: Arc<Config>,
    sender: String,
    durability: Option<Durability>,
}

/// Stores the complete lines of a text, which ends the body or not, and returns how many bytes they have.
pub(super) type Store<S> = fn(&Writer, &[u8], bool, &mut S, &mut Tally) -> Result<usize, ApiError>;

/// What became of what was sent so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// Points or lines that were begun.
    pub(super) begun: u64,
    /// Samples.
    pub(super) stored: u64,
    /// Left out by a rule of relabelling.
    pub(super) dropped: u64,
    /// Values that are none of samples, as texts.
    pub(super) left_out: u64,
    pub(super) failed: u64,
    /// The first ones, by the number of the point or line, from 0.
    refusals: Vec<(u64, Refusal)>,
    /// The first of them that the database said.
    pub(super) rejected: Option<Reject>,
    pub(super) durability: Durability,
}

impl Tally {
    fn fail(&mut self, number: u64, refusal: impl FnOnce() -> Refusal) {
        self.failed += 1;
        if self.refusals.len() < REFUSALS_SHOWN {
            self.refusals.push((number, refusal()));
        }
    }

    fn reject(&mut self, number: u64, reason: Reject) {
        self.rejected.get_or_insert(reason);
        self.fail(number, || refused(reason));
    }

    /// Takes what became of a batch; `numbers` are those of the points or lines of its entries, `unstaged` what it did not take.
    fn note(&mut self, report: &CommitReport, numbers: &[u64], unstaged: usize) {
        self.stored += report.accepted as u64;
        self.durability = report.durability;
        for (entry, reason) in &report.refused {
            let number = numbers.get(*entry as usize).copied().unwrap_or(u64::MAX);
            self.reject(number, *reason);
        }
        // A report names only so many.
        let unnamed = report
            .rejected_count()
            .saturating_sub(unstaged + report.refused.len());
        self.failed += unnamed as u64;
    }

    /// The first refusals as a list of objects, in order of the points or lines, which are called `place` and count from `first`.
    pub(super) fn told(&mut self, place: &str, first: u64) -> Vec<Value> {
        self.refusals.sort_by_key(|refusal| refusal.0);
        let refusals = self.refusals.iter();
        let items = refusals.map(|(number, refusal)| refusal.as_item(place, number + first));
        items.collect()
    }
}

impl Writer {
    pub(super) fn new(
        app: Arc<App>,
        tenant: Arc<Tenant>,
        caller: &Caller,
        headers: &HeaderMap,
    ) -> Result<Self, ApiError> {
        let config = app.config.load_full();
        let sender = caller.sender().to_owned();
        let db = tenant.db()?;
        db.check_milliseconds()?;
        tenant.check_quota(&config, &sender, db.now_ms())?;
        Ok(Self {
            durability: asked_durability(headers)?,
            app,
            tenant,
            config,
            sender,
        })
    }

    pub(super) fn limits(&self) -> Http {
        self.config.http_of(&self.tenant.name)
    }

    /// Begins to store a piece of what is sent.
    pub(super) fn begin<'w>(&'w self, tally: &'w mut Tally) -> Result<Piece<'w>, ApiError> {
        let db = self.tenant.db()?;
        Ok(Piece {
            now_ms: db.now_ms(),
            intake: self.tenant.intake.load_full(),
            writer: self,
            batch: self.batch(db),
            numbers: Vec::new(),
            last: (Vec::new(), Verdict::AsSent),
            unstaged: 0,
            dropped_before: tally.dropped,
            staged_bytes: 0,
            fault: None,
            tally,
        })
    }

    fn batch(&self, db: &Db) -> Batch {
        let mut batch = db.batch();
        if let Some(durability) = self.durability {
            batch.durability(durability);
        }
        batch
    }

    /// Stores a body as it arrives, of which `text` is there already, with whether this is all. No line has more than
    /// `line_bytes_max`.
    pub(super) async fn store_stream<S: Send + 'static>(
        self: &Arc<Self>,
        arriving: &mut Arriving<'_>,
        (mut text, mut is_end): (Vec<u8>, bool),
        line_bytes_max: usize,
        mut state: S,
        store: Store<S>,
    ) -> Result<(S, Tally), Refusal> {
        let (mut tally, mut rest_bytes) = (Tally::default(), 0);
        loop {
            while !is_end && text.len() < rest_bytes + PIECE_BYTES {
                let stored = tally.stored;
                let more = arriving.more(&mut text).await;
                is_end = !more.map_err(|refusal| refusal.with("stored", stored.into()))?;
            }
            let (writer, before) = (self.clone(), tally.stored);
            let work = move || {
                let read = store(&writer, &text, is_end, &mut state, &mut tally)?;
                text.drain(..read.min(text.len()));
                Ok((text, state, tally))
            };
            let done = self.app.work(work).await;
            (text, state, tally) =
                done.map_err(|error| Refusal::from(error).with("stored", before.into()))?;
            if is_end {
                return Ok((state, tally));
            }
            rest_bytes = text.len();
            if rest_bytes > line_bytes_max {
                let message = format!("a line has more than {line_bytes_max} bytes");
                let hint = "send less on a line; those before it are stored";
                let refusal = Refusal::field("bad_line", "", message, hint);
                return Err(refusal.with("stored", tally.stored.into()));
            }
        }
    }
}

/// Samples that are stored together.
#[derive(Debug)]
pub(super) struct Piece<'w> {
    pub(super) now_ms: i64,
    writer: &'w Writer,
    tally: &'w mut Tally,
    intake: Arc<Intake>,
    batch: Batch,
    /// Of each entry of the batch, the number of its point or line.
    numbers: Vec<u64>,
    /// The last labels, and what becomes of their series.
    last: (Vec<u8>, Verdict),
    /// Entries that no batch takes.
    unstaged: usize,
    dropped_before: u64,
    /// About what the batch takes.
    staged_bytes: usize,
    /// Why a part of it could not be stored; nothing more is then.
    fault: Option<ApiError>,
}

impl Piece<'_> {
    /// The next point or line begins.
    pub(super) fn next(&mut self) {
        self.tally.begun += 1;
    }

    fn number(&self) -> u64 {
        self.tally.begun.saturating_sub(1)
    }

    /// It is none.
    pub(super) fn refuse(&mut self, refusal: impl FnOnce() -> Refusal) {
        let number = self.number();
        self.tally.fail(number, refusal);
    }

    /// Something of it is no sample.
    pub(super) fn leave_out(&mut self) {
        self.tally.left_out += 1;
    }

    pub(super) fn sample(&mut self, labels: LabelsRef<'_>, time_ms: i64, value: f64) {
        if self.fault.is_some() {
            return;
        }
        let before = self.batch.len();
        match self.verdict(labels) {
            Verdict::AsSent => self.batch.push_ref(labels, time_ms, value),
            Verdict::Changed(labels) => self.batch.push_ref(LabelsRef::new(&labels), time_ms, value),
            Verdict::Dropped => return self.tally.dropped += 1,
        }
        self.note_staged(before, labels.as_bytes().len());
    }

    /// A sample of any kind, with its start.
    pub(super) fn whole_sample(&mut self, labels: &Labels, sample: &Sample) {
        if self.fault.is_some() {
            return;
        }
        let before = self.batch.len();
        match self.verdict(labels.as_ref()) {
            Verdict::AsSent => self.batch.push_sample(labels, sample),
            Verdict::Changed(labels) => self.batch.push_sample(&Labels::from_canonical(&*labels), sample),
            Verdict::Dropped => return self.tally.dropped += 1,
        }
        let value_bytes = match &sample.value {
            sample::Value::Float(_) => 0,
            sample::Value::Histogram(histogram) => BUCKET_BYTES * histogram.bucket_count(),
        };
        self.note_staged(before, labels.as_bytes().len() + value_bytes);
    }

    /// Whose the entry is that the batch took, if it took one.
    fn note_staged(&mut self, before: usize, bytes: usize) {
        match self.batch.len() > before {
            true => self.numbers.push(self.number()),
            // Its labels are too long for any batch.
            false => {
                self.unstaged += 1;
                let number = self.number();
                self.tally.reject(number, Reject::InvalidLabels);
            }
        }
        self.staged_bytes += bytes + ENTRY_BYTES;
        if self.staged_bytes > BATCH_BYTES && self.fault.is_none() {
            self.fault = self.flush().err();
        }
    }

    pub(super) fn exemplar(&mut self, labels: LabelsRef<'_>, own: Labels, timestamp: i64, value: f64) {
        let labels = match self.verdict(labels) {
            Verdict::AsSent => Labels::from_canonical(labels.as_bytes()),
            Verdict::Changed(labels) => Labels::from_canonical(&*labels),
            Verdict::Dropped => return,
        };
        let exemplar = Exemplar {
            labels: own,
            timestamp,
            value,
        };
        self.batch.push_exemplar(&labels, &exemplar);
        self.numbers.resize(self.batch.len(), self.number());
    }

    pub(super) fn metadata(&mut self, metric: &str, metadata: MetadataRef<'_>) {
        self.batch.push_metadata(metric, &metadata.to_owned());
    }

    /// What becomes of a series.
    fn verdict(&mut self, labels: LabelsRef<'_>) -> Verdict {
        if self.intake.is_empty() {
            return Verdict::AsSent;
        }
        let bytes = labels.as_bytes();
        if self.last.0 != bytes || self.last.0.is_empty() {
            self.last.0.clear();
            self.last.0.extend_from_slice(bytes);
            let key = Labels::from_canonical(bytes).hash().0;
            self.last.1 = self.intake.judge(key, self.now_ms, |out| {
                out.extend_from_slice(bytes);
                Ok(())
            });
        }
        self.last.1.clone()
    }

    /// Stores what is there.
    pub(super) fn commit(mut self) -> Result<(), ApiError> {
        match self.fault.take() {
            Some(fault) => Err(fault),
            None => self.flush(),
        }
    }

    fn flush(&mut self) -> Result<(), ApiError> {
        let empty = self.writer.batch(self.writer.tenant.db()?);
        let report = std::mem::replace(&mut self.batch, empty).commit()?;
        let Writer {
            app,
            tenant,
            config,
            sender,
            ..
        } = self.writer;
        let dropped = self.tally.dropped - self.dropped_before;
        app.metrics.left_out.fetch_add(dropped, Relaxed);
        tenant.journal.note(sender, &report.rejected, self.now_ms);
        tenant.charge(config, sender, report.accepted, self.now_ms);
        self.tally.note(&report, &self.numbers, self.unstaged);
        self.numbers.clear();
        (self.unstaged, self.staged_bytes) = (0, 0);
        self.dropped_before = self.tally.dropped;
        Ok(())
    }
}

/// Why a sample that is one is not stored.
pub(super) fn refused(reason: Reject) -> Refusal {
    let (status, message, field, hint) = match reason {
        Reject::Conflict => (
            StatusCode::CONFLICT,
            "another value is stored at this time",
            "timestamp",
            "PUT /api/v1/series/{series_key}/datapoints/{timestamp} replaces it",
        ),
        Reject::TooFarInFuture => (
            StatusCode::BAD_REQUEST,
            "the time is too far in the future",
            "timestamp",
            "the setting future_limit says how far it may be; is the precision right?",
        ),
        Reject::LabelNameTooLong | Reject::LabelValueTooLong | Reject::TooManyLabels => (
            StatusCode::BAD_REQUEST,
            "there are too many tags, or one of them is too long",
            "tags",
            "the settings below limits say how long they may be",
        ),
        Reject::SeriesLimit => (
            StatusCode::BAD_REQUEST,
            "there are as many series as there may be",
            "tags",
            "the setting limits.series says how many; are there tags of which each point has another one?",
        ),
        _ => (
            StatusCode::BAD_REQUEST,
            "the series cannot be stored",
            "series_key",
            "see docs/http_api.md",
        ),
    };
    let error = ApiError::new(status, "bad_data", message);
    Refusal::detailed(error, reason.as_str(), field, hint)
}
