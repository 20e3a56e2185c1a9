//! Restoring: the files of a backup, and of those that it leans on, as a database in a new folder.

use super::backup_list::{HeldFile, Link, find_file, read_chain};
use super::beside::RestoreBeside;
use super::error::Error;
use super::folder::{NewFolder, fresh_id};
use super::manifest::{Manifest, SegmentEntry};
use super::options::Options;
use crate::io::{copy_file, remove_tree};
use crate::segment::names;
use std::path::{Path, PathBuf};

/// What a restore brought.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestoreReport {
    /// Everything up to this log record of the database that was backed up is there, as far as the range goes.
    pub lsn: u64,
    /// Segments that were copied.
    pub segments: usize,
    /// Bytes of these.
    pub bytes: u64,
    /// Entries of logs, events and columns that were copied, those of their indexes included.
    pub records: u64,
    /// Files of the backup that are missing or not what they were, in words. The rest is there.
    pub faults: Vec<String>,
}

impl RestoreReport {
    /// Whether every file of the backup came back as it was.
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }
}

/// Makes the database that the last backup of `chain` describes, in the folder that `options` name.
pub(crate) fn restore(
    chain: &[PathBuf],
    options: &Options,
    beside: RestoreBeside,
) -> Result<RestoreReport, Error> {
    let Some(target) = options.dir.as_deref().filter(|_| !options.read_only) else {
        return Err(Error::InvalidOptions(
            "a restore needs a folder to write to".into(),
        ));
    };
    let links = read_chain(chain, options)?;
    let Some(last) = links.last() else {
        return Err(Error::InvalidOptions("a restore from no backup".into()));
    };
    let folder = NewFolder::begin(&options.fs, target)?;
    let mut report = RestoreReport {
        lsn: last.list.manifest.flushed_lsn,
        ..RestoreReport::default()
    };
    for (entry, held) in last.list.manifest.segments.iter().zip(&last.list.files) {
        bring(&links, entry, *held, (options, target), &mut report)?;
    }
    if last.list.records.is_some() {
        match beside(&options.fs, last.dir, target) {
            Ok(records) => report.records = records,
            Err(error @ Error::OutOfSpace(_)) => return Err(error),
            Err(error) => {
                report.faults.push(error.to_string());
                remove_tree(&*options.fs, &target.join(names::RECORDS))?;
            }
        }
    }
    let manifest = Manifest {
        database_id: fresh_id(options, last.list.manifest.database_id, target),
        ..last.list.manifest.clone()
    };
    folder.secure()?;
    manifest.write(&options.fs, target)?;
    folder.keep();
    Ok(report)
}

/// Copies the file of one segment from the backup that holds it. One that is missing or damaged is told of: the
/// manifest names it, and the database says what it lacks.
fn bring(
    links: &[Link<'_>],
    entry: &SegmentEntry,
    held: HeldFile,
    (options, target): (&Options, &Path),
    report: &mut RestoreReport,
) -> Result<(), Error> {
    let to = names::segment(target, entry.sequence);
    if let Some(from) = find_file(links, entry) {
        match copy_file(&options.fs, &from, &to, None) {
            Ok(copied) => {
                report.segments += 1;
                report.bytes += copied.bytes;
                if copied.checksum != held.checksum || copied.bytes != entry.bytes {
                    let file = from.display();
                    report
                        .faults
                        .push(format!("{file}: not the bytes that were backed up"));
                }
            }
            Err(error) if error.is_not_found() => report.faults.push(error.to_string()),
            Err(error) => return Err(error.into()),
        }
        return Ok(());
    }
    let name = to.file_name().unwrap_or_default().to_string_lossy().into_owned();
    report.faults.push(format!("{name}: in none of the backups"));
    Ok(())
}
