//! The library's face: a database handle, batches, and what reading gives back.

mod aggregates;
mod ahead;
mod batch;
mod beside;
mod blocks;
mod columns;
mod iot;
mod iot_store;
mod query;
mod records;
mod rollups;
mod thinned;
mod virtual_series;

pub use aggregates::AggregateInfo;
pub use batch::Batch;
pub use blocks::{
    BlockExport, BlockExportOptions, BlockImport, BlockImportOptions, BlockProgress, RefusedSamples,
};
pub use columns::{ColumnBatch, Columns};
pub use iot::{AggregatedPoint, Aggregation, MetricPoint, TimeSeriesQuery};
pub use iot_store::TimeSeriesStore;
pub use records::{Events, Logs};

use self::beside::Keeper;
use crate::engine::Engine;
use crate::engine::RecoveryReport;
use crate::engine::attach::AttachReport;
use crate::engine::background::Background;
use crate::engine::backup::BackupReport;
use crate::engine::cardinality::{CardinalityEstimate, Growth};
use crate::engine::chunks::ChunkCursor;
use crate::engine::deletions::DeletionInfo;
use crate::engine::doctor::{self, Diagnosis};
use crate::engine::due::Upkeep;
use crate::engine::error::Error;
#[cfg(feature = "server")]
use crate::engine::head_labels::HeadLabels;
use crate::engine::inventory::SegmentInfo;
use crate::engine::listing::{ListEnd, ListOptions, Listed, Listing, SeriesCount};
#[cfg(feature = "server")]
use crate::engine::metric_sizes::MetricSizes;
use crate::engine::options::{Options, Precision};
use crate::engine::restore::{self, RestoreReport};
use crate::engine::retention::RetentionReport;
use crate::engine::select::SeriesCursor;
use crate::engine::snapshot::SnapshotReport;
use crate::engine::stats::{CardinalityReport, Stats};
use crate::engine::verify::VerifyReport;
use crate::head::HeadMemory;
use crate::head::report::{CommitReport, Durability};
use crate::head::stage::{Incoming, LabelSource, Stage};
use crate::io::FsError;
use crate::model::deletion::Selector;
use crate::model::exemplar::Exemplar;
use crate::model::labels::Labels;
use crate::model::matcher::Matcher;
use crate::model::metadata::Metadata;
use std::collections::BTreeMap;
use std::ops::RangeBounds;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A database. Clones are handles of the same database; it ends when the last one is dropped, or with [`Db::close`].
///
/// ```
/// use narthex::{Db, Matcher, Options, labels};
///
/// # fn main() -> Result<(), narthex::Error> {
/// let db = Db::open(Options::in_memory())?;
/// let mut batch = db.batch();
/// batch.push(&labels! { "__name__" => "cpu_busy", "host" => "a" }, 1_700_000_000_000, 0.42);
/// assert_eq!(batch.commit()?.accepted, 1);
/// for series in db.select(&[Matcher::eq("__name__", "cpu_busy")], ..)? {
///     let series = series?;
///     assert_eq!(series.samples().count(), 1);
/// }
/// # db.close()
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Db {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Stops its threads before the engine goes.
    background: Mutex<Option<Background>>,
    engine: Arc<Engine>,
    /// Logs, events and columns.
    keeper: Arc<Keeper>,
    /// Memory of batches that were committed, for the next ones.
    stages: Mutex<Vec<Stage>>,
}

/// Stages kept for reuse.
const STAGES_KEPT: usize = 16;

impl Db {
    /// Opens or creates a database.
    pub fn open(options: Options) -> Result<Self, Error> {
        aggregates::check(&options)?;
        let background = options.background && !options.read_only;
        let engine = Arc::new(Engine::open(options)?);
        let keeper = Arc::new(Keeper::open(&engine.options, engine.precision));
        engine.set_beside(keeper.clone());
        let background = if background {
            let started = Background::start(engine.clone());
            Some(started.map_err(|source| {
                FsError::new(
                    "start a thread for",
                    engine.options.dir.clone().unwrap_or_default(),
                    source,
                )
            })?)
        } else {
            None
        };
        let shared = Shared {
            background: Mutex::new(background),
            engine,
            keeper,
            stages: Mutex::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Opens an existing database for reading, also beside a process that writes to it.
    pub fn open_read_only(dir: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open(Options::new(dir).read_only(true))
    }

    fn engine(&self) -> &Arc<Engine> {
        &self.shared.engine
    }

    /// Whether it may have threads of its own.
    fn starts_threads(&self) -> bool {
        self.engine().options.background
    }

    fn keeper(&self) -> &Keeper {
        &self.shared.keeper
    }

    /// Milliseconds since 1970 by the database's clock.
    #[cfg(feature = "server")]
    pub(crate) fn now_ms(&self) -> i64 {
        self.engine().options.clock.now_ms()
    }

    /// Memory of recent samples beyond which they are flushed.
    #[cfg(feature = "server")]
    pub(crate) fn head_bytes_max(&self) -> u64 {
        self.engine().options.head_bytes_max
    }

    /// An empty batch.
    pub fn batch(&self) -> Batch {
        Batch::new(self.clone(), self.take_stage(), self.engine().options.durability)
    }

    pub(crate) fn take_stage(&self) -> Stage {
        let mut stages = self.shared.stages.lock().unwrap_or_else(PoisonError::into_inner);
        stages.pop().unwrap_or_default()
    }

    /// Writes what is staged; `durability` is the database's own unless it is given.
    pub(crate) fn commit_staged(
        &self,
        stage: &mut Stage,
        source: Option<&dyn LabelSource>,
        durability: Option<Durability>,
    ) -> Result<CommitReport, Error> {
        stage.seal();
        let durability = durability.unwrap_or(self.engine().options.durability);
        self.engine().append(Incoming { stage, source }, durability)
    }

    pub(crate) fn keep_stage(&self, mut stage: Stage) {
        stage.clear();
        let mut stages = self.shared.stages.lock().unwrap_or_else(PoisonError::into_inner);
        if stages.len() < STAGES_KEPT {
            stages.push(stage);
        }
    }

    /// The series that match all of `matchers` and have samples in `range`, in label order, with these samples.
    /// Timestamps are in the unit of the database.
    pub fn select(&self, matchers: &[Matcher], range: impl RangeBounds<i64>) -> Result<SeriesCursor, Error> {
        self.engine().select(matchers, range)
    }

    /// As [`Db::select`], as raw Prometheus chunks.
    pub fn select_chunks(
        &self,
        matchers: &[Matcher],
        range: impl RangeBounds<i64>,
    ) -> Result<ChunkCursor, Error> {
        Ok(ChunkCursor::new(self.engine().select(matchers, range)?))
    }

    /// The label sets of matching series with samples in `range`, in label order. Segments are not decoded for this: a
    /// series counts whose first and last sample in a segment enclose a part of the range.
    pub fn series(
        &self,
        matchers: &[Matcher],
        range: impl RangeBounds<i64>,
        options: ListOptions<'_>,
    ) -> Result<Listing<Labels>, Error> {
        let mut items = Vec::new();
        let each = |labels: &[u8]| items.push(Labels::from_canonical(labels));
        let end = self.list(Listed::Series, matchers, range, options, each)?;
        Ok(end.listing(items))
    }

    /// How many series match all of `matchers` and have samples in `range`, without listing them. See [`Db::series`]
    /// for what counts.
    pub fn count_series(
        &self,
        matchers: &[Matcher],
        range: impl RangeBounds<i64>,
    ) -> Result<SeriesCount, Error> {
        self.engine().count_series(matchers, range)
    }

    /// The label names of matching series with samples in `range`, sorted. See [`Db::series`] for what counts.
    pub fn label_names(
        &self,
        matchers: &[Matcher],
        range: impl RangeBounds<i64>,
        options: ListOptions<'_>,
    ) -> Result<Listing<String>, Error> {
        self.texts(Listed::Names, matchers, range, options)
    }

    /// The values of a label of matching series with samples in `range`, sorted. See [`Db::series`] for what counts.
    pub fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        range: impl RangeBounds<i64>,
        options: ListOptions<'_>,
    ) -> Result<Listing<String>, Error> {
        self.texts(Listed::Values(name), matchers, range, options)
    }

    /// Calls `each` with the bytes of what is listed, in order.
    pub(crate) fn list(
        &self,
        listed: Listed<'_>,
        matchers: &[Matcher],
        range: impl RangeBounds<i64>,
        options: ListOptions<'_>,
        each: impl FnMut(&[u8]),
    ) -> Result<ListEnd, Error> {
        aggregates::list(self, listed, matchers, range, options, each)
    }

    /// The exemplars of matching series in `range`, series in label order, exemplars in order of time.
    pub fn exemplars(
        &self,
        matchers: &[Matcher],
        range: impl RangeBounds<i64>,
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, Error> {
        self.engine().exemplars(matchers, range)
    }

    /// What was said of metrics, with history: by metric, each change with the time at which it came.
    pub fn metadata(&self, metric: Option<&str>) -> BTreeMap<String, Vec<(i64, Metadata)>> {
        aggregates::metadata(self, metric)
    }

    /// Hides the samples that matching series have within `range`, at once and for every reader that comes after: in
    /// samples, exemplars and listings. What is written later is visible, wherever its timestamp lies. Durable as the
    /// database's policy says. Returns the id by which [`Db::undelete`] withdraws it.
    pub fn delete(&self, matchers: &[Matcher], range: impl RangeBounds<i64>) -> Result<u64, Error> {
        let selector = Selector::Matchers(matchers.to_vec());
        self.engine()
            .delete(selector, range, self.engine().options.durability)
    }

    /// The same for the one series that has exactly these labels; a range of one timestamp deletes a point.
    pub fn delete_series(&self, labels: &Labels, range: impl RangeBounds<i64>) -> Result<u64, Error> {
        let selector = Selector::Series(labels.clone());
        self.engine()
            .delete(selector, range, self.engine().options.durability)
    }

    /// Withdraws a deletion: what it hid shows again wherever nothing was written since. `false` when there is no such
    /// deletion that can be withdrawn: it was before, its window is over (see [`Options::undelete_window`]), or all that it
    /// hid is gone.
    pub fn undelete(&self, id: u64) -> Result<bool, Error> {
        self.engine().undelete(id, self.engine().options.durability)
    }

    /// The deletions that still hide something or could be withdrawn, oldest first.
    pub fn deletions(&self) -> Vec<DeletionInfo> {
        self.engine().deletions()
    }

    /// Writes everything in memory to a segment.
    pub fn flush(&self) -> Result<(), Error> {
        self.engine().flush()
    }

    /// Merges segments as far as it can be done: into one for each stretch of time that the longest segments have.
    pub fn compact(&self) -> Result<(), Error> {
        self.engine().compact_all()
    }

    /// The same with the segments that reach into `range`. Those outside of it stay as they are, so that an old stretch of
    /// time can be put in order without writing all others again.
    pub fn compact_range(&self, range: impl RangeBounds<i64>) -> Result<(), Error> {
        self.engine().compact_range(range)
    }

    /// Looks for merges with the next step, however short ago that was done.
    #[cfg(feature = "server")]
    pub(crate) fn look_for_merges(&self) {
        self.engine().look_for_merges();
    }

    /// Does at most one piece of background work, and says whether there was any. For databases opened without
    /// background threads.
    pub fn step(&self) -> Result<bool, Error> {
        self.engine().tick()?;
        self.engine().step()
    }

    /// Makes everything written so far survive a power loss, whatever the policy.
    pub fn sync(&self) -> Result<(), Error> {
        self.engine().sync()?;
        Ok(self.keeper().records.sync()?)
    }

    /// Makes everything durable and ends the database for all its handles. What is in memory stays in the log; the next
    /// opening reads it from there.
    pub fn close(self) -> Result<(), Error> {
        let background = self
            .shared
            .background
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(background);
        let closed = self.engine().close();
        let records = self.keeper().records.close();
        closed.and(records.map_err(Error::from))
    }

    /// Makes a snapshot of this moment in `dir`, which must be empty or not be there: a database of its own, durable
    /// when this returns. Segments are linked where the file system can, and copied otherwise. Writers wait for one sync,
    /// readers not at all.
    pub fn snapshot(&self, dir: impl AsRef<Path>) -> Result<SnapshotReport, Error> {
        self.engine().snapshot(dir.as_ref())
    }

    /// Flushes, and copies the segments that overlap `range` to `dir`, which must be empty or not be there. Every copy
    /// is read back. `since` names an earlier backup; what that one holds is not copied again.
    pub fn backup(
        &self,
        dir: impl AsRef<Path>,
        range: impl RangeBounds<i64>,
        since: Option<&Path>,
    ) -> Result<BackupReport, Error> {
        self.engine().backup(dir.as_ref(), range, since)
    }

    /// Makes a database from a backup, in the folder that `options` name, which must be empty or not be there. `chain`
    /// is a full backup and those that lean on it, each on the one before; the database is that of the last one.
    pub fn restore(chain: &[impl AsRef<Path>], options: &Options) -> Result<RestoreReport, Error> {
        let chain: Vec<PathBuf> = chain.iter().map(|dir| dir.as_ref().to_owned()).collect();
        restore::restore(&chain, options, beside::restore)
    }

    /// Attaches a backup to this database while it runs: what it shows, its deletions applied, is there at once and durable
    /// when this returns, as if it were written now. What was there before wins over it, but for its corrections. `chain`
    /// is as for [`Db::restore`]; a backup that is damaged or does not fit is refused and changes nothing.
    pub fn attach(&self, chain: &[impl AsRef<Path>]) -> Result<AttachReport, Error> {
        let chain: Vec<PathBuf> = chain.iter().map(|dir| dir.as_ref().to_owned()).collect();
        self.engine().attach(&chain)
    }

    /// Examines the folder that `options` name, without opening or changing it: what is wrong, and what
    /// [`Diagnosis::repair`] can do about it. Takes the folder's lock unless the options are read-only.
    pub fn doctor(options: &Options) -> Result<Diagnosis, Error> {
        doctor::examine(options)
    }

    /// Counts and sizes.
    pub fn stats(&self) -> Result<Stats, Error> {
        self.engine().stats()
    }

    /// What the database does now, did lately, and will do next. Waits for no work.
    pub fn upkeep(&self) -> Upkeep {
        self.engine().upkeep()
    }

    /// What retention keeps of the samples, and what it drops next.
    pub fn retention(&self) -> Result<RetentionReport, Error> {
        self.engine().retention_report()
    }

    /// The segments with samples, in order of their LSNs.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.engine().segments()
    }

    /// Series by metric and by label name.
    pub fn cardinality(&self) -> Result<CardinalityReport, Error> {
        self.engine().cardinality()
    }

    /// The labels that the series in memory have most of, at most `most` in each list.
    #[cfg(feature = "server")]
    pub(crate) fn head_labels(&self, most: usize) -> HeadLabels {
        self.engine().head_labels(most)
    }

    /// How many distinct series there are in `range`, also by metric and by label name with its values; a series counts
    /// once, wherever it is. Estimated from the sketches that segments hold, so that it takes milliseconds, and from
    /// series' labels and time bounds where a segment lies in the range in part only, or is small.
    ///
    /// What a deletion hides in a segment counts until a merge has applied the deletion.
    pub fn cardinality_between(&self, range: impl RangeBounds<i64>) -> Result<CardinalityEstimate, Error> {
        self.engine().cardinality_between(range)
    }

    /// What grew from the time `before` to the time `after`: which metrics got series, and which label is to blame. See
    /// [`Db::cardinality_between`] for what counts.
    pub fn growth(
        &self,
        before: impl RangeBounds<i64>,
        after: impl RangeBounds<i64>,
    ) -> Result<Growth, Error> {
        self.engine().growth(before, after)
    }

    /// What each metric takes in segments, estimated.
    #[cfg(feature = "server")]
    pub(crate) fn metric_sizes(&self) -> MetricSizes {
        self.engine().metric_sizes()
    }

    /// Memory of the head by part.
    pub fn memory(&self) -> HeadMemory {
        self.engine().memory()
    }

    /// Reads every checksum.
    pub fn verify(&self) -> Result<VerifyReport, Error> {
        let mut report = self.engine().verify()?;
        if !self.engine().options.read_only {
            match self.keeper().records.verify() {
                Ok(check) => {
                    report.records = check.logs + check.events + check.columns;
                    report.faults.extend(check.faults);
                }
                Err(error) => report.faults.push(error.to_string()),
            }
        }
        Ok(report)
    }

    /// What opening found.
    pub fn recovery(&self) -> &RecoveryReport {
        self.engine().recovery()
    }

    /// The unit of this database's timestamps.
    pub fn precision(&self) -> Precision {
        self.engine().precision
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        drop(
            self.background
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        if let Err(error) = self.engine.close() {
            tracing::error!(%error, "closing the database failed");
        }
        if let Err(error) = self.keeper.records.close() {
            tracing::error!(%error, "closing logs, events and columns failed");
        }
    }
}
