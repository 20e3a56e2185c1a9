//! The store in a folder: `fjall`, an LSM tree with a journal of its own, and the only file that knows it.
//!
//! The folder appears with the first write, whole: it is made under another name and renamed, since a process that dies
//! half-way would otherwise leave what does not open. A full disk is met before the journal is, by a look at the free
//! space; if the journal meets it all the same, fjall refuses everything from then on, and is opened again when there
//! is space. A failed sync ends writing until the database is opened again.

use super::error::RecordError;
use super::store::{Change, KeyRange, Space, Store, View, Visit};
use crate::base::bytes::Corrupt;
use crate::io::{Fs, remove_tree};
use crate::segment::names;
use fjall::config::BlockSizePolicy;
use fjall::{Database, Iter, Keyspace, KeyspaceCreateOptions, LsmError, PersistMode, Readable, Snapshot};
use std::fmt;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard};

/// Free space below which nothing is written: what is in memory needs some to be flushed and merged.
const SPACE_FLOOR_BYTES: u64 = 32 << 20;
/// What a space has in memory before it becomes a file.
const MEMTABLE_BYTES: u64 = 16 << 20;
/// Records that are read in order; larger blocks compress better and cost more to read one of.
const BLOCK_BYTES: u32 = 16 << 10;
const CACHE_BYTES: u64 = 32 << 20;
const WORKER_THREADS: usize = 2;

/// What fjall makes of damaged files is its own matter. Where it panics, that is an error here.
fn guarded<T>(dir: &Path, work: impl FnOnce() -> Result<T, RecordError>) -> Result<T, RecordError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(RecordError::Corrupt {
            file: dir.to_owned(),
            offset: 0,
            what: "files on which the store panicked",
        })
    })
}

/// An open tree of each space.
#[derive(Clone)]
struct Trees {
    database: Database,
    spaces: Vec<Keyspace>,
}

impl fmt::Debug for Trees {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trees").finish_non_exhaustive()
    }
}

impl Trees {
    fn open(dir: &Path) -> Result<Self, RecordError> {
        let open = || {
            let builder = Database::builder(dir)
                .worker_threads(WORKER_THREADS)
                .cache_size(CACHE_BYTES);
            let database = builder.open()?;
            let options = || {
                KeyspaceCreateOptions::default()
                    .max_memtable_size(MEMTABLE_BYTES)
                    .data_block_size_policy(BlockSizePolicy::all(BLOCK_BYTES))
            };
            let spaces = Space::ALL.map(|space| database.keyspace(space.name(), options));
            let spaces = spaces.into_iter().collect::<fjall::Result<Vec<_>>>()?;
            Ok(Self { database, spaces })
        };
        guarded(dir, || open().map_err(|error| translate(dir, &error)))
    }

    fn space(&self, space: Space) -> &Keyspace {
        self.spaces
            .get(space as usize)
            .expect("BUG: a tree for each space")
    }

    fn view(&self, dir: &Path) -> TreeView {
        TreeView {
            snapshot: self.database.snapshot(),
            trees: self.clone(),
            dir: dir.to_owned(),
        }
    }
}

/// One state of the trees, which stays while this is held.
pub(crate) struct TreeView {
    // Before the trees, which it leans on.
    snapshot: Snapshot,
    trees: Trees,
    dir: PathBuf,
}

impl fmt::Debug for TreeView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TreeView").field("dir", &self.dir).finish()
    }
}

impl TreeView {
    fn translate(&self, space: Space, error: &fjall::Error) -> RecordError {
        translate(&self.dir.join(space.name()), error)
    }
}

impl View for TreeView {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, RecordError> {
        let found = self.snapshot.get(self.trees.space(space), key);
        let found = found.map_err(|error| self.translate(space, &error))?;
        Ok(found.map(|value| value.to_vec()))
    }

    fn scan(
        &self,
        space: Space,
        range: &KeyRange,
        backwards: bool,
        visit: &mut Visit<'_>,
    ) -> Result<(), RecordError> {
        if range.is_empty() {
            return Ok(());
        }
        let keys = range.from.as_slice()..range.to.as_slice();
        let mut found: Iter = self.snapshot.range(self.trees.space(space), keys);
        loop {
            let next = if backwards {
                found.next_back()
            } else {
                found.next()
            };
            let Some(next) = next else { return Ok(()) };
            let (key, value) = next.into_inner().map_err(|error| self.translate(space, &error))?;
            if visit(&key, &value)?.is_break() {
                return Ok(());
            }
        }
    }
}

/// A store that has nothing.
struct Nothing;

impl View for Nothing {
    fn get(&self, _space: Space, _key: &[u8]) -> Result<Option<Vec<u8>>, RecordError> {
        Ok(None)
    }

    fn scan(&self, _: Space, _: &KeyRange, _: bool, _: &mut Visit<'_>) -> Result<(), RecordError> {
        Ok(())
    }
}

/// The store in a folder of the database's folder.
#[derive(Debug)]
pub(crate) struct DiskStore {
    fs: Arc<dyn Fs>,
    /// The database's.
    parent: PathBuf,
    dir: PathBuf,
    trees: RwLock<Option<Trees>>,
    /// The trees refuse everything for lack of space, and are to be opened again.
    is_stale: AtomicBool,
    poison: OnceLock<String>,
    is_closed: AtomicBool,
}

impl DiskStore {
    pub(crate) fn new(fs: Arc<dyn Fs>, parent: &Path) -> Self {
        Self {
            fs,
            parent: parent.to_owned(),
            dir: parent.join(names::RECORDS),
            trees: RwLock::new(None),
            is_stale: AtomicBool::new(false),
            poison: OnceLock::new(),
            is_closed: AtomicBool::new(false),
        }
    }

    /// The open trees; `None` when there is no store yet and none is to be made.
    fn trees(&self, create: bool) -> Result<Option<RwLockReadGuard<'_, Option<Trees>>>, RecordError> {
        loop {
            if self.is_closed.load(Ordering::Acquire) {
                return Err(RecordError::Closed);
            }
            let trees = self.trees.read().unwrap_or_else(PoisonError::into_inner);
            let is_stale = create && self.is_stale.load(Ordering::Acquire);
            if trees.is_some() && !is_stale {
                return Ok(Some(trees));
            }
            drop(trees);
            if !create && !self.fs.exists(&self.dir)? {
                return Ok(None);
            }
            self.open()?;
        }
    }

    /// Opens the trees, or makes them.
    fn open(&self) -> Result<(), RecordError> {
        if !self.fs.is_of_system() {
            let text = "logs, events and columns need the file system of the operating system";
            return Err(RecordError::Invalid(text.into()));
        }
        let mut trees = self.trees.write().unwrap_or_else(PoisonError::into_inner);
        if self.is_closed.load(Ordering::Acquire) {
            return Err(RecordError::Closed);
        }
        if trees.is_some() && !self.is_stale.load(Ordering::Acquire) {
            return Ok(());
        }
        *trees = None;
        if !self.fs.exists(&self.dir)? {
            self.create()?;
        }
        *trees = Some(Trees::open(&self.dir)?);
        self.is_stale.store(false, Ordering::Release);
        Ok(())
    }

    fn create(&self) -> Result<(), RecordError> {
        let unfinished = self.parent.join(names::RECORDS_UNFINISHED);
        remove_tree(&*self.fs, &unfinished)?;
        let trees = Trees::open(&unfinished)?;
        let synced = trees.database.persist(PersistMode::SyncAll);
        synced.map_err(|error| translate(&unfinished, &error))?;
        drop(trees);
        self.fs.rename(&unfinished, &self.dir)?;
        Ok(self.fs.sync_dir(&self.parent)?)
    }

    fn check_space(&self, bytes: u64) -> Result<(), RecordError> {
        let available = self.fs.available_bytes(&self.parent)?;
        let needed = SPACE_FLOOR_BYTES.saturating_add(bytes.saturating_mul(2));
        if available < needed {
            let place = self.parent.display();
            return Err(RecordError::OutOfSpace(format!(
                "{place}: {needed} bytes are needed and {available} are free"
            )));
        }
        Ok(())
    }

    fn check_writable(&self) -> Result<(), RecordError> {
        match self.poison.get() {
            Some(reason) => Err(RecordError::Poisoned(reason.clone())),
            None => Ok(()),
        }
    }

    fn poisoned(&self, reason: String) -> RecordError {
        if self.poison.set(reason.clone()).is_ok() {
            tracing::error!(
                reason,
                "writing records stopped until the database is opened again"
            );
        }
        RecordError::Poisoned(self.poison.get().cloned().unwrap_or(reason))
    }

    /// What a failed write means. For lack of space the trees are opened again later; what was written is in the journal.
    fn refused(&self, error: &fjall::Error) -> RecordError {
        let error = translate(&self.dir, error);
        let is_space = match &error {
            RecordError::OutOfSpace(_) => true,
            // One of fjall's own threads met something. Whether that was the end of the disk can only be guessed.
            RecordError::Poisoned(_) => self.check_space(SPACE_FLOOR_BYTES).is_err(),
            _ => false,
        };
        if is_space {
            self.is_stale.store(true, Ordering::Release);
            return RecordError::OutOfSpace(error.to_string());
        }
        self.poisoned(error.to_string())
    }

    /// The state of this moment, for a copy; `None` when there is no store.
    pub(crate) fn hold(&self) -> Result<Option<TreeView>, RecordError> {
        let Some(guard) = self.trees(false)? else {
            return Ok(None);
        };
        Ok(guard.as_ref().map(|trees| trees.view(&self.dir)))
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Store for DiskStore {
    fn apply(&self, changes: Vec<Change>, sync: bool) -> Result<(), RecordError> {
        self.check_writable()?;
        let size = |change: &Change| change.key.len() + change.value.as_ref().map_or(0, Vec::len);
        self.check_space(changes.iter().map(size).sum::<usize>() as u64)?;
        let Some(guard) = self.trees(true)? else {
            return Err(RecordError::Closed);
        };
        let Some(trees) = guard.as_ref() else {
            return Err(RecordError::Closed);
        };
        let committed = guarded(&self.dir, || {
            let mut batch = trees.database.batch().durability(Some(PersistMode::Buffer));
            for change in changes {
                let space = trees.space(change.space);
                match change.value {
                    Some(value) => batch.insert(space, change.key, value),
                    None => batch.remove(space, change.key),
                }
            }
            Ok(batch.commit())
        });
        match committed {
            Ok(committed) => committed.map_err(|error| self.refused(&error))?,
            // Whether anything of it was stored is not known.
            Err(error) => return Err(self.poisoned(error.to_string())),
        }
        if sync {
            let synced = trees.database.persist(PersistMode::SyncAll);
            synced.map_err(|error| self.poisoned(translate(&self.dir, &error).to_string()))?;
        }
        Ok(())
    }

    fn read(&self, reader: &mut dyn FnMut(&dyn View) -> Result<(), RecordError>) -> Result<(), RecordError> {
        let view = self.hold()?;
        guarded(&self.dir, || match &view {
            Some(view) => reader(view),
            None => reader(&Nothing),
        })
    }

    fn sync(&self) -> Result<(), RecordError> {
        self.check_writable()?;
        let guard = self.trees.read().unwrap_or_else(PoisonError::into_inner);
        let Some(trees) = guard.as_ref() else {
            return Ok(());
        };
        let synced = trees.database.persist(PersistMode::SyncAll);
        synced.map_err(|error| match translate(&self.dir, &error) {
            // Nothing was tried: the next write opens the trees again.
            RecordError::Poisoned(_) if self.is_stale.load(Ordering::Acquire) => {
                RecordError::OutOfSpace("the journal".into())
            }
            error => self.poisoned(error.to_string()),
        })
    }

    fn flush(&self, space: Space) -> Result<(), RecordError> {
        let guard = self.trees.read().unwrap_or_else(PoisonError::into_inner);
        let Some(trees) = guard.as_ref() else {
            return Ok(());
        };
        let flushed = trees.space(space).rotate_memtable();
        flushed
            .map(|_| ())
            .map_err(|error| translate(&self.dir.join(space.name()), &error))
    }

    fn close(&self) -> Result<(), RecordError> {
        if self.is_closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let synced = self.sync();
        *self.trees.write().unwrap_or_else(PoisonError::into_inner) = None;
        synced
    }
}

/// Takes one key with its value; spaces come in their order, and so do the keys of each.
pub(crate) type Sink<'a> = dyn FnMut(Space, &[u8], &[u8]) -> Result<(), RecordError> + 'a;

/// Makes a new store in `dir` of what `feed` gives, durable when this returns. Says how much it was.
pub(crate) fn fill(
    dir: &Path,
    feed: impl FnOnce(&mut Sink<'_>) -> Result<(), RecordError>,
) -> Result<u64, RecordError> {
    let trees = Trees::open(dir)?;
    let failed = |error: fjall::Error| translate(dir, &error);
    let begun = trees
        .spaces
        .iter()
        .map(|space| Ok((space.start_ingestion()?, Vec::new())));
    let mut filling: Vec<_> = begun.collect::<fjall::Result<_>>().map_err(failed)?;
    let mut count = 0;
    feed(&mut |space, key, value| {
        let Some((ingestion, last)) = filling.get_mut(space as usize) else {
            return Ok(());
        };
        // Out of order they would be found wrongly, or not at all.
        if key <= last.as_slice() {
            let what = Corrupt::new("order of keys", 0);
            return Err(RecordError::corrupt(dir, space.name(), &what));
        }
        *last = key.to_vec();
        count += 1;
        ingestion.write(key, value).map_err(failed)
    })?;
    for (ingestion, _) in filling {
        ingestion.finish().map_err(failed)?;
    }
    trees.database.persist(PersistMode::SyncAll).map_err(failed)?;
    Ok(count)
}

/// Gives all of a view to `sink`.
pub(crate) fn pour(view: &dyn View, sink: &mut Sink<'_>) -> Result<(), RecordError> {
    for space in Space::ALL {
        view.scan(space, &KeyRange::all(), false, &mut |key, value| {
            sink(space, key, value).map(ControlFlow::Continue)
        })?;
    }
    Ok(())
}

/// fjall's errors in our words. `path` is the folder that it was about.
fn translate(path: &Path, error: &fjall::Error) -> RecordError {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(LsmError::Io(error)) => {
            RecordError::io("use", path, error)
        }
        fjall::Error::Poisoned => {
            RecordError::Poisoned(format!("{}: a write in the background failed", path.display()))
        }
        fjall::Error::Locked => RecordError::Locked(path.to_owned()),
        other => RecordError::Io {
            op: "read",
            path: path.to_owned(),
            kind: std::io::ErrorKind::InvalidData,
            text: format!("{other:?}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::is_out_of_space;
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_a_broken_one() {
        let full = fjall::Error::Io(std::io::ErrorKind::StorageFull.into());
        assert!(matches!(
            translate(Path::new("r"), &full),
            RecordError::OutOfSpace(_)
        ));
        let broken = fjall::Error::Io(std::io::Error::other("EIO"));
        assert!(matches!(
            translate(Path::new("r"), &broken),
            RecordError::Io { .. }
        ));
        assert!(is_out_of_space(std::io::ErrorKind::QuotaExceeded));
    }
}
