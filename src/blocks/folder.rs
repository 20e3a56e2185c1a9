//! What there is to read: one block, or the data folder of a Prometheus with its blocks and its logs.

use super::BlockError;
use super::meta::{BlockMeta, META_NAME, Ulid};
use super::wal_read::Log;
use crate::io::{Fs, FsError, LockGuard};
use crate::segment::reader::CorruptFile;
use std::collections::HashSet;
use std::io::{Error as IoError, ErrorKind};
use std::path::{Path, PathBuf};

/// Locked by a Prometheus as long as it runs.
const LOCK: &str = "lock";
const LOG: &str = "wal";
const LATE_LOG: &str = "wbl";

/// Blocks and logs that were found.
#[derive(Debug, Default)]
pub(crate) struct DataFolder {
    /// In order of time.
    pub(crate) blocks: Vec<(PathBuf, BlockMeta)>,
    /// Blocks that were merged into some of these and not yet removed.
    merged: Vec<(PathBuf, BlockMeta)>,
    /// Blocks whose description cannot be read.
    pub(crate) faults: Vec<CorruptFile>,
    pub(crate) logs: Vec<FolderLogs>,
    /// Held as long as the folders are read, so that no Prometheus begins to write to them.
    locks: Vec<Box<dyn LockGuard>>,
}

/// The logs of a data folder.
#[derive(Debug)]
pub(crate) struct FolderLogs {
    dir: PathBuf,
    pub(crate) log: Log,
    /// Of what came out of order.
    pub(crate) late: Log,
}

impl DataFolder {
    fn add_block(&mut self, fs: &dyn Fs, dir: &Path) -> Result<(), BlockError> {
        match BlockMeta::read(fs, dir) {
            Ok(meta) => self.blocks.push((dir.to_owned(), meta)),
            Err(BlockError::Corrupt(fault)) => self.faults.push(fault),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn add(&mut self, fs: &dyn Fs, dir: &Path) -> Result<bool, BlockError> {
        if fs.exists(&dir.join(META_NAME))? {
            self.add_block(fs, dir)?;
            return Ok(true);
        }
        self.lock(fs, dir)?;
        let mut is_any = false;
        for name in fs.list(dir)? {
            let path = dir.join(&name);
            if Ulid::parse(&name).is_some() && fs.exists(&path.join(META_NAME))? {
                self.add_block(fs, &path)?;
                is_any = true;
            }
        }
        let log = Log::find(fs, &dir.join(LOG))?;
        let late = Log::find(fs, &dir.join(LATE_LOG))?;
        is_any |= !log.is_empty() || !late.is_empty();
        let dir = dir.to_owned();
        self.logs.push(FolderLogs { dir, log, late });
        Ok(is_any)
    }

    /// Refuses a folder that a Prometheus writes to. Where its lock may not be opened, as in a copy that may only be read,
    /// there is none.
    fn lock(&mut self, fs: &dyn Fs, dir: &Path) -> Result<(), BlockError> {
        let path = dir.join(LOCK);
        if !fs.exists(&path)? {
            return Ok(());
        }
        match fs.try_lock(&path) {
            Ok(guard) => self.locks.push(guard),
            Err(error) if error.source.kind() == ErrorKind::WouldBlock => {
                let what = "a Prometheus runs on this folder: stop it, or take a snapshot by its admin API";
                let source = IoError::new(ErrorKind::WouldBlock, what);
                return Err(FsError::new("lock", path, source).into());
            }
            Err(_) => {}
        }
        Ok(())
    }

    /// Puts blocks aside that were merged into others, which Prometheus removes when it is next to it.
    fn set_parents_aside(&mut self) {
        let parents: HashSet<Ulid> = self
            .blocks
            .iter()
            .flat_map(|block| block.1.parents.iter().copied())
            .collect();
        let all = std::mem::take(&mut self.blocks).into_iter();
        (self.merged, self.blocks) = all.partition(|block| parents.contains(&block.1.ulid));
        self.blocks
            .sort_by_key(|(_, meta)| (meta.time_min, meta.time_end, meta.ulid));
    }

    /// The blocks that were merged into this one and are still there, in its place.
    pub(crate) fn parents_of(&mut self, meta: &BlockMeta) -> Vec<(PathBuf, BlockMeta)> {
        let all = std::mem::take(&mut self.merged).into_iter();
        let (parents, others) = all.partition(|block| meta.parents.contains(&block.1.ulid));
        self.merged = others;
        parents
    }

    /// The time from which on the log of a folder is needed: the end of its newest block of samples that came in order.
    pub(crate) fn log_floor(&self, logs: &FolderLogs) -> i64 {
        let of_folder = self
            .blocks
            .iter()
            .filter(|block| block.0.parent() == Some(&logs.dir));
        let in_order = of_folder.filter(|block| !block.1.is_out_of_order);
        in_order.map(|block| block.1.time_end).max().unwrap_or(i64::MIN)
    }
}

/// What the folders hold; the first one that holds nothing is named.
pub(crate) fn find(fs: &dyn Fs, dirs: &[PathBuf]) -> Result<Result<DataFolder, PathBuf>, BlockError> {
    let mut found = DataFolder::default();
    for dir in dirs {
        if !found.add(fs, dir)? {
            return Ok(Err(dir.clone()));
        }
    }
    found.set_parents_aside();
    Ok(Ok(found))
}
