//! The storage engine: head, log and segments as one, behind plain synchronous calls.
//!
//! The way in is `append`: admission and log under the writer's lock, durability by group commit. Behind it `step` does
//! one piece of work at a time: flush, eviction, checkpoint. The way out is `select`: one view, the matching series of
//! its segments and generations joined in label order, first writer wins.

mod append;
pub(crate) mod attach;
pub(crate) mod background;
pub(crate) mod backup;
#[cfg(feature = "server")]
pub(crate) mod backup_folder;
pub(crate) mod backup_list;
pub(crate) mod beside;
pub(crate) mod cardinality;
mod checkpoint;
mod choice;
pub(crate) mod chunks;
mod compact;
pub(crate) mod counters;
pub(crate) mod cover;
pub(crate) mod deletions;
pub(crate) mod doctor;
pub(crate) mod due;
pub(crate) mod error;
mod events;
mod flush;
mod folder;
mod frozen_source;
#[cfg(feature = "server")]
pub(crate) mod head_labels;
pub(crate) mod inventory;
pub(crate) mod jobs;
mod late;
pub(crate) mod listing;
pub(crate) mod manifest;
mod masks;
pub(crate) mod merge;
#[cfg(feature = "server")]
pub(crate) mod metric_sizes;
mod new_segment;
mod open;
mod open_segments;
pub(crate) mod options;
mod pick;
mod precision;
pub(crate) mod progress;
pub(crate) mod restore;
pub(crate) mod retention;
mod rolling;
pub(crate) mod rollup_info;
pub(crate) mod rollups;
pub(crate) mod select;
pub(crate) mod series;
pub(crate) mod snapshot;
pub(crate) mod stats;
mod step;
pub(crate) mod thinned;
mod tile_choice;
pub(crate) mod tile_plan;
mod tiles;
pub(crate) mod verify;
mod view;

use self::background::Kick;
use self::beside::Beside;
use self::compact::Compaction;
use self::counters::Counters;
use self::error::Error;
use self::jobs::Jobs;
use self::manifest::Manifest;
use self::options::{Options, Precision};
use self::rolling::{Rolling, UnderWay};
use self::rollups::RollupRule;
use self::view::View;
use crate::head::Head;
use crate::head::freeze::Frozen;
use crate::head::read::Pin;
use crate::index::LabelMatcher;
use crate::index::compiled::CompiledPatterns;
use crate::io::FolderLock;
use crate::segment::reader::Quarantined;
use crate::wal::{Gap, GroupCommit};
use arc_swap::ArcSwap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// An open database.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) options: Options,
    pub(crate) precision: Precision,
    head: Head,
    /// Of reads; they come again.
    patterns: CompiledPatterns,
    view: ArcSwap<View>,
    manifest: Mutex<Manifest>,
    /// Shared with the log; `None` without one.
    commit: Option<Arc<GroupCommit>>,
    /// Why writing stopped.
    poison: OnceLock<String>,
    closed: AtomicBool,
    maintenance: Mutex<Maintenance>,
    /// A batch asked to be durable soon.
    sync_wanted: AtomicBool,
    /// Log bytes since the last checkpoint or flush.
    log_bytes: AtomicU64,
    recovery: RecoveryReport,
    /// Matchers, number and time of each rule.
    retention_rules: Vec<(Vec<LabelMatcher>, u64, Duration)>,
    rollups: Vec<RollupRule>,
    /// The tile that is being made.
    under_way: Mutex<Option<UnderWay>>,
    /// Ordinary samples that merges found to lose against earlier ones with other bits.
    late_conflicts: AtomicU64,
    counters: Counters,
    jobs: Arc<Jobs>,
    /// The latest time by which the age of a deletion was judged.
    latest_ms: AtomicI64,
    /// Wakes the background thread.
    pub(crate) kick: Kick,
    beside: OnceLock<Arc<dyn Beside>>,
    _lock: Option<FolderLock>,
}

/// What `step` has under way; its lock lets one step run at a time.
#[derive(Debug, Default)]
struct Maintenance {
    frozen: Option<Frozen>,
    /// The next slab whose stopped series leave memory.
    evict_from: Option<usize>,
    checkpoint_bytes: u64,
    /// When the live generation was first seen with samples: its number and the time in milliseconds.
    live_since: (u64, i64),
    /// It was said that flushes wait for more samples than the options ask for.
    is_floor_told: bool,
    compaction: Compaction,
    rolling: Rolling,
}

/// What opening found.
#[derive(Debug, Default, Clone)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// Bytes of the log that were replayed, the checkpoint not among them.
    pub log_bytes: u64,
    /// Log records that were replayed, those of the checkpoint included.
    pub records: u64,
    /// Samples that were replayed.
    pub samples: u64,
    /// Samples that were lost with damaged records.
    pub lost_samples: u64,
    /// Damage to the log below what was durable, in words.
    pub gaps: Vec<String>,
    /// Bytes dropped behind the end of the log: records nobody was promised.
    pub torn_bytes: u64,
    /// Segments that do not open.
    pub quarantined: Vec<Quarantined>,
}

impl Engine {
    /// The folder; that of a database in memory is a name in its own file system.
    fn dir(&self) -> &Path {
        self.options.dir.as_deref().unwrap_or(Path::new(""))
    }

    /// There is no log and no disk: nothing outlives the last handle.
    fn is_in_memory(&self) -> bool {
        self.options.dir.is_none()
    }

    /// Refuses what needs files that others can see.
    fn check_on_disk(&self, what: &str) -> Result<(), Error> {
        if self.is_in_memory() {
            return Err(Error::InvalidOptions(format!("{what} a database in memory")));
        }
        Ok(())
    }

    /// Refuses when nothing may be written.
    fn check_writable(&self) -> Result<(), Error> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::Closed);
        }
        if self.options.read_only {
            return Err(Error::ReadOnly);
        }
        match self.poison.get() {
            Some(reason) => Err(Error::Poisoned(reason.clone())),
            None => Ok(()),
        }
    }

    /// Stops all writing until the database is opened again.
    fn poison(&self, reason: &str) {
        if self.poison.set(reason.to_owned()).is_ok() {
            tracing::error!(reason, "writing stopped until the database is opened again");
        }
    }

    /// Passes an error on; one that says that the disk cannot be trusted stops writing first.
    fn poisoning(&self, error: Error) -> Error {
        match &error {
            Error::OutOfSpace(_) | Error::Poisoned(_) => {}
            other => self.poison(&other.to_string()),
        }
        error
    }

    /// What tells this database from others.
    pub(crate) fn database_id(&self) -> u128 {
        self.lock_manifest().database_id
    }

    fn lock_manifest(&self) -> MutexGuard<'_, Manifest> {
        self.manifest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_maintenance(&self) -> MutexGuard<'_, Maintenance> {
        self.maintenance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the view by a changed copy.
    fn change_view(&self, change: impl Fn(&View) -> View) {
        self.view.rcu(|view| change(view));
    }

    /// The view, and a pin taken before it: what is not in the view's segments stays in the head meanwhile.
    fn pinned_view(&self) -> (Pin, Arc<View>) {
        let pin = self.head.pin();
        (pin, self.view.load_full())
    }

    /// Now, in the database's unit.
    pub(crate) fn now(&self) -> i64 {
        self.precision.from_millis(self.options.clock.now_ms())
    }

    /// Makes everything written so far durable.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        if let Some(commit) = &self.commit {
            commit.sync_now().map_err(|error| self.poisoning(error.into()))?;
        }
        Ok(())
    }

    pub(crate) fn recovery(&self) -> &RecoveryReport {
        &self.recovery
    }

    /// Makes everything durable and refuses what comes after. What is in the head stays in the log, which the next
    /// opening replays.
    pub(crate) fn close(&self) -> Result<(), Error> {
        if self.closed.swap(true, Ordering::AcqRel) || self.options.read_only {
            return Ok(());
        }
        if let Some(reason) = self.poison.get() {
            return Err(Error::Poisoned(reason.clone()));
        }
        drop(self.lock_maintenance());
        self.sync()?;
        if let Some(commit) = &self.commit {
            // A commit that was under way when the flag was set ended before this lock is given.
            let mut writer = self.head.lock_writer();
            commit.sync_now().map_err(|error| self.poisoning(error.into()))?;
            writer
                .mark_if_quiet(commit)
                .map_err(|error| self.poisoning(error.into()))?;
        }
        self.sync()
    }
}

impl RecoveryReport {
    fn note_gap(&mut self, gap: &Gap) {
        let text = format!(
            "{}: bytes {}..{} are damaged, log records {}..{} are lost",
            gap.path.display(),
            gap.offsets.start,
            gap.offsets.end,
            gap.lsns.start,
            gap.lsns.end
        );
        tracing::error!(gap = text, "the log is damaged");
        self.gaps.push(text);
    }
}
