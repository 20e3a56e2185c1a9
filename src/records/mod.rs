//! Logs, events and key-value columns: what stands beside the samples, in a store of its own.
//!
//! `store` is the seam to the store, with `disk` (fjall) and `memory` behind it, and `commit` lets writers share a sync.
//! `timeline` has what logs and events share: order by time, order by device, pages, counts, retention. The rest is the
//! three kinds. Bytes are described in docs/format/records.md, promises in docs/durability.md.

pub(crate) mod columns;
mod commit;
mod disk;
mod dump;
pub(crate) mod error;
pub(crate) mod events;
pub(crate) mod logs;
mod memory;
mod position;
pub(crate) mod rank;
mod store;
pub(crate) mod tags;
#[cfg(test)]
mod tests;
mod timeline;
mod verify;

use self::commit::GroupWriter;
use self::disk::{DiskStore, TreeView};
use self::error::RecordError;
use self::memory::MemoryStore;
pub(crate) use self::store::Change;
use self::store::{Space, Store, View};
use self::timeline::Timeline;
use crate::head::report::Durability;
use crate::io::Fs;
use crate::segment::names;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub(crate) use self::dump::{check as check_dump, restore};
pub(crate) use self::timeline::bucket;

/// How records are kept. Times are in the unit of the database.
#[derive(Debug, Clone)]
pub(crate) struct RecordOptions {
    /// The database's folder; `None` = in memory.
    pub(crate) dir: Option<PathBuf>,
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) durability: Durability,
    pub(crate) read_only: bool,
    pub(crate) log_retention: Option<i64>,
    pub(crate) event_retention: Option<i64>,
    /// How far the clock is believed beyond the newest record.
    pub(crate) clock_leap_max: i64,
    pub(crate) column_flush_entries: Option<u64>,
}

/// The records of a database.
#[derive(Debug)]
pub(crate) struct Records {
    options: RecordOptions,
    store: Arc<dyn Store>,
    /// The same, when it is in a folder.
    disk: Option<Arc<DiskStore>>,
    writer: GroupWriter,
    logs: Timeline,
    events: Timeline,
    /// Something was written that no sync covers.
    is_unsynced: AtomicBool,
    /// Changes of columns since they were flushed.
    column_changes: AtomicU64,
    is_closed: AtomicBool,
}

/// One moment of the records, for a copy.
#[derive(Debug)]
pub(crate) struct Held(TreeView);

impl Records {
    /// Opens what is there. What does not open says so when it is asked for, and leaves the samples alone.
    pub(crate) fn open(options: RecordOptions) -> Self {
        let disk = options.dir.as_deref();
        let disk = disk.map(|dir| Arc::new(DiskStore::new(options.fs.clone(), dir)));
        let store: Arc<dyn Store> = match &disk {
            Some(disk) => disk.clone(),
            None => Arc::new(MemoryStore::default()),
        };
        let dir = disk
            .as_ref()
            .map_or_else(PathBuf::new, |disk| disk.dir().to_owned());
        if let Some(disk) = disk.as_ref().filter(|_| !options.read_only)
            && let Err(error) = disk.hold()
        {
            tracing::error!(%error, "logs, events and columns do not open");
        }
        Self {
            options,
            store,
            disk,
            writer: GroupWriter::default(),
            logs: Timeline::new(Space::Logs, Space::LogDevices, &dir),
            events: Timeline::new(Space::Events, Space::EventDevices, &dir),
            is_unsynced: AtomicBool::new(false),
            column_changes: AtomicU64::new(0),
            is_closed: AtomicBool::new(false),
        }
    }

    fn check_open(&self) -> Result<(), RecordError> {
        if self.options.read_only {
            return Err(RecordError::ReadOnly);
        }
        if self.is_closed.load(Ordering::Acquire) {
            return Err(RecordError::Closed);
        }
        Ok(())
    }

    /// Writes what `changes` makes of the first of `count` numbers, as the policy asks.
    fn write(&self, count: u64, changes: impl FnOnce(u64) -> Vec<Change>) -> Result<(), RecordError> {
        self.check_open()?;
        let sync = self.options.durability == Durability::Always;
        self.writer.write(&*self.store, sync, count, changes)?;
        if !sync {
            self.is_unsynced.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Reads one state.
    fn read<T>(&self, reader: impl FnOnce(&dyn View) -> Result<T, RecordError>) -> Result<T, RecordError> {
        self.check_open()?;
        let mut reader = Some(reader);
        let mut answer = None;
        self.store.read(&mut |view| {
            if let Some(reader) = reader.take() {
                answer = Some(reader(view)?);
            }
            Ok(())
        })?;
        Ok(answer.expect("BUG: a store calls its reader"))
    }

    /// Makes everything written so far survive a power loss.
    pub(crate) fn sync(&self) -> Result<(), RecordError> {
        if self.is_unsynced.swap(false, Ordering::AcqRel)
            && let Err(error) = self.store.sync()
        {
            self.is_unsynced.store(true, Ordering::Release);
            return Err(error);
        }
        Ok(())
    }

    /// What is due at every tick: bounded loss under the policy `interval`.
    pub(crate) fn tick(&self) -> Result<(), RecordError> {
        match self.options.durability {
            Durability::Interval(_) => self.sync(),
            Durability::Always | Durability::Never => Ok(()),
        }
    }

    /// Drops a piece of what is too old at `now`. Returns whether there was any.
    pub(crate) fn step(&self, now: i64) -> Result<bool, RecordError> {
        if self.options.read_only {
            return Ok(false);
        }
        let logs = (&self.logs, self.options.log_retention);
        let events = (&self.events, self.options.event_retention);
        Ok(self.retain(logs, now, logs::device_of)? || self.retain(events, now, events::device_of)?)
    }

    fn retain(
        &self,
        (timeline, retention): (&Timeline, Option<i64>),
        now: i64,
        device: fn(&[u8]) -> Result<String, crate::base::bytes::Corrupt>,
    ) -> Result<bool, RecordError> {
        let Some(retention) = retention else {
            return Ok(false);
        };
        let seen = timeline.watermark();
        let found = self.read(|view| {
            let Some(newest) = timeline.newest(view)? else {
                return Ok(None);
            };
            let now = now.min(newest.saturating_add(self.options.clock_leap_max));
            let before = now.saturating_sub(retention);
            timeline.drop_before(view, before, device).map(Some)
        })?;
        let Some((changes, reached)) = found else {
            return Ok(false);
        };
        let is_any = !changes.is_empty();
        if is_any {
            self.write(0, |_| changes)?;
        }
        timeline.nothing_before(seen, reached);
        Ok(is_any)
    }

    /// Makes everything durable and lets go of the files.
    pub(crate) fn close(&self) -> Result<(), RecordError> {
        self.is_closed.store(true, Ordering::Release);
        self.store.close()
    }

    /// This moment of the records; `None` when there are none.
    pub(crate) fn hold(&self) -> Result<Option<Held>, RecordError> {
        self.check_open()?;
        match &self.disk {
            Some(disk) => Ok(disk.hold()?.map(Held)),
            None => Ok(None),
        }
    }
}

impl Held {
    /// Writes them as the records of the database in `target`, durably.
    pub(crate) fn copy_to(&self, target: &Path) -> Result<u64, RecordError> {
        disk::fill(&target.join(names::RECORDS), |sink| disk::pour(&self.0, sink))
    }

    /// Writes them as the file of a backup: logs and events of the times from `times.0` to `times.1`, and all columns.
    pub(crate) fn dump_to(
        &self,
        fs: &Arc<dyn Fs>,
        target: &Path,
        times: (i64, i64),
    ) -> Result<u64, RecordError> {
        dump::write(fs, target, &self.0, times)
    }
}
