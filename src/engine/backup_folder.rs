//! A folder that has backups and snapshots, each in a folder of its own: what is there, and which backups one leans on.

use super::backup_list::{BackupList, Place};
use super::error::Error;
use crate::io::Fs;
use crate::segment::names;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BackupInfo {
    /// Its folder's name.
    pub(crate) name: String,
    id: u128,
    since: u128,
    /// Time range that was asked for, in the unit of its database.
    pub(crate) range: (i64, i64),
    /// Everything up to this log record is in it.
    pub(crate) lsn: u64,
    /// Segments that it shows, and those of them that it holds itself, with their bytes.
    pub(crate) segments: usize,
    pub(crate) segments_here: usize,
    pub(crate) bytes_here: u64,
    /// Samples in all of its segments.
    pub(crate) samples: u64,
    /// Entries of logs, events and columns, if it has any.
    pub(crate) records: Option<u64>,
}

impl BackupInfo {
    fn of(name: &str, list: &BackupList) -> Self {
        let segments = &list.manifest.segments;
        let here = || {
            let files = segments.iter().zip(&list.files);
            files.filter(|(_, file)| file.place == Place::Here)
        };
        Self {
            name: name.to_owned(),
            id: list.id,
            since: list.since,
            range: (list.from, list.to),
            lsn: list.manifest.flushed_lsn,
            segments: segments.len(),
            segments_here: here().count(),
            bytes_here: here().map(|(entry, _)| entry.bytes).sum(),
            samples: segments.iter().map(|entry| entry.samples).sum(),
            records: list.records,
        }
    }

    /// Whether it leans on an earlier one.
    pub(crate) fn is_incremental(&self) -> bool {
        self.since != 0
    }

    /// Whether it leans on this one.
    pub(crate) fn leans_on(&self, other: &Self) -> bool {
        self.is_incremental() && self.since == other.id
    }
}

/// The backups in `dir`, by name, and what is in the way of reading others. None if there is no such folder.
pub(crate) fn backups_in(fs: &Arc<dyn Fs>, dir: &Path) -> Result<(Vec<BackupInfo>, Vec<String>), Error> {
    let (mut backups, mut faults) = (Vec::new(), Vec::new());
    if !fs.exists(dir)? {
        return Ok((backups, faults));
    }
    for name in fs.list(dir)? {
        match BackupList::read(fs, &dir.join(&name)) {
            Ok(list) => backups.push(BackupInfo::of(&name, &list)),
            // Never finished, or no backup.
            Err(Error::Fs(error)) if error.is_not_found() => {}
            Err(error) => faults.push(error.to_string()),
        }
    }
    Ok((backups, faults))
}

/// The folders in `dir` of the backup of that name and of those that it leans on, the first one first, with what the last one
/// says.
pub(crate) fn chain_of(
    fs: &Arc<dyn Fs>,
    dir: &Path,
    name: &str,
) -> Result<(Vec<PathBuf>, BackupInfo), Error> {
    let list = match BackupList::read(fs, &dir.join(name)) {
        Err(Error::Fs(error)) if error.is_not_found() => return Err(Error::NotFound(dir.join(name))),
        other => other?,
    };
    let wanted = BackupInfo::of(name, &list);
    let (all, _) = backups_in(fs, dir)?;
    let mut chain = vec![wanted.clone()];
    while let Some(last) = chain.last().filter(|last| last.is_incremental()) {
        // Ids are made of what the earlier one says, so that a chain has no rings; a forged one ends here all the same.
        let before = all.iter().find(|one| last.leans_on(one));
        let before = before.filter(|_| chain.len() <= all.len());
        let Some(before) = before else {
            let what = format!("the backup {} leans on one that is not in this folder", last.name);
            return Err(Error::InvalidOptions(what));
        };
        chain.push(before.clone());
    }
    let folders = chain.iter().rev().map(|one| dir.join(&one.name));
    Ok((folders.collect(), wanted))
}

/// A snapshot, as far as its folder tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SnapshotInfo {
    /// Its folder's name.
    pub(crate) name: String,
    /// Whether it was finished.
    pub(crate) is_whole: bool,
    pub(crate) files: usize,
    /// Bytes of its files, those that other folders have as well included; without logs, events and columns.
    pub(crate) bytes: u64,
}

/// The snapshots in `dir`, by name. None if there is no such folder.
pub(crate) fn snapshots_in(fs: &Arc<dyn Fs>, dir: &Path) -> Result<Vec<SnapshotInfo>, Error> {
    if !fs.exists(dir)? {
        return Ok(Vec::new());
    }
    let mut snapshots = Vec::new();
    for name in fs.list(dir)? {
        // What is no folder is no snapshot, and one may go while this walks.
        let Ok(files) = fs.list(&dir.join(&name)) else {
            continue;
        };
        let bytes = files.iter().filter(|file| *file != names::RECORDS);
        let bytes = bytes.map(|file| fs.file_len(&dir.join(&name).join(file)).unwrap_or(0));
        snapshots.push(SnapshotInfo {
            is_whole: files.iter().any(|file| file == names::MANIFEST),
            bytes: bytes.sum(),
            files: files.len(),
            name,
        });
    }
    Ok(snapshots)
}
