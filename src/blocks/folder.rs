//! What there is to read: one block, or the data folder of a Prometheus with its blocks and its logs.

use super::BlockError;
use super::meta::{BlockMeta, META_NAME, Ulid};
use super::wal_read::Log;
use crate::io::Fs;
use crate::segment::reader::CorruptFile;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

const LOG: &str = "wal";
const LATE_LOG: &str = "wbl";

/// Blocks and logs that were found.
#[derive(Debug, Default)]
pub(crate) struct DataFolder {
    /// In order of time.
    pub(crate) blocks: Vec<(PathBuf, BlockMeta)>,
    /// Blocks whose description cannot be read.
    pub(crate) faults: Vec<CorruptFile>,
    pub(crate) logs: Vec<FolderLogs>,
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

    /// Leaves out blocks that were merged into others, which Prometheus removes when it is next to it.
    fn drop_parents(&mut self) {
        let parents: HashSet<Ulid> = self
            .blocks
            .iter()
            .flat_map(|block| block.1.parents.iter().copied())
            .collect();
        self.blocks.retain(|block| !parents.contains(&block.1.ulid));
        self.blocks
            .sort_by_key(|(_, meta)| (meta.time_min, meta.time_end, meta.ulid));
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
    found.drop_parents();
    Ok(Ok(found))
}
