//! A snapshot: one moment of a running database as a folder that opens as a database of its own.
//!
//! Segments never change, so a second name does for them; what is not in them yet is in the log and the checkpoint,
//! which are copied up to the moment. The copy gets an id of its own: the two databases give out the same numbers from
//! then on, and everything that must differ between them is made of the id.

use super::error::Error;
use super::folder::{NewFolder, fresh_id};
use super::manifest::Manifest;
use super::{Engine, open};
use crate::head::writer::LogEnd;
use crate::io::copy_file;
use crate::segment::names;
use crate::segment::reader::Segment;
use crate::wal::{self, WalWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a snapshot consists of.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotReport {
    /// Everything up to this log record is in it, and nothing after.
    pub lsn: u64,
    /// Segments that share their bytes with the database.
    pub segments_linked: usize,
    /// Segments that were copied, because the file system does not link there.
    pub segments_copied: usize,
    /// Bytes of everything that was copied.
    pub bytes_copied: u64,
    /// Files of the database that are not there to be taken.
    pub missing: Vec<PathBuf>,
}

/// One moment of the database. While the segments are held their files stay.
#[derive(Debug)]
struct Moment {
    manifest: Manifest,
    end: LogEnd,
    _segments: Vec<Arc<Segment>>,
}

impl Engine {
    /// Writes a snapshot of this moment to `target`. It is durable when this returns.
    pub(crate) fn snapshot(&self, target: &Path) -> Result<SnapshotReport, Error> {
        self.check_writable()?;
        self.check_on_disk("a snapshot of")?;
        let dir = self.dir();
        let folder = NewFolder::begin(&self.options.fs, target)?;
        let mut report = SnapshotReport::default();
        let moment = self.moment(dir, target, &mut report)?;
        for entry in &moment.manifest.segments {
            let name = |to_path: fn(&Path, u64) -> PathBuf| {
                (to_path(dir, entry.sequence), to_path(target, entry.sequence))
            };
            self.take_segment(name(names::segment), &mut report)?;
            let (summary, to) = name(names::summary);
            if self.options.fs.exists(&summary)? {
                copy_file(&self.options.fs, &summary, &to, None)?;
            }
        }
        let manifest = Manifest {
            database_id: fresh_id(&self.options, moment.manifest.database_id, target),
            retired: Vec::new(),
            ..moment.manifest
        };
        self.end_log(target, &manifest, moment.end)?;
        folder.secure()?;
        manifest.write(&self.options.fs, target)?;
        folder.keep();
        report.lsn = moment.end.next_lsn - 1;
        Ok(report)
    }

    /// The state of this moment. What a flush or checkpoint would remove, and this copy needs, is copied before either
    /// can run; writers wait for a sync at most.
    fn moment(&self, dir: &Path, target: &Path, report: &mut SnapshotReport) -> Result<Moment, Error> {
        let _maintenance = self.lock_maintenance();
        self.sync()?;
        let end = {
            let writer = self.head.lock_writer();
            self.check_writable()?;
            self.sync()?;
            writer.log_end()
        };
        let manifest = self.lock_manifest().clone();
        if manifest.checkpoint != 0 {
            let path = names::checkpoint(dir, manifest.checkpoint);
            self.take_copy(&path, target, None, report)?;
        }
        for (sequence, path) in wal::list_files(&*self.options.fs, dir)? {
            if (manifest.log_floor..=end.sequence).contains(&sequence) {
                let length = (sequence == end.sequence).then_some(end.file_bytes);
                self.take_copy(&path, target, length, report)?;
            }
        }
        Ok(Moment {
            manifest,
            end,
            _segments: self.view.load().segments.clone(),
        })
    }

    fn take_copy(
        &self,
        path: &Path,
        target: &Path,
        length: Option<u64>,
        report: &mut SnapshotReport,
    ) -> Result<(), Error> {
        let to = target.join(path.file_name().unwrap_or_default());
        match copy_file(&self.options.fs, path, &to, length) {
            Ok(copied) => report.bytes_copied += copied.bytes,
            Err(error) if error.is_not_found() => report.missing.push(path.to_owned()),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// A second name for a segment, or a copy where there cannot be one.
    fn take_segment(&self, (from, to): (PathBuf, PathBuf), report: &mut SnapshotReport) -> Result<(), Error> {
        let fs = &self.options.fs;
        if fs.hard_link(&from, &to).is_ok() {
            report.segments_linked += 1;
            return Ok(());
        }
        match copy_file(fs, &from, &to, None) {
            Ok(copied) => {
                report.segments_copied += 1;
                report.bytes_copied += copied.bytes;
            }
            Err(error) if error.is_not_found() => report.missing.push(from),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Ends the copied log with a file whose header says that everything before it was durable, so that damage to
    /// the last copied record is never taken for a torn tail.
    fn end_log(&self, target: &Path, manifest: &Manifest, end: LogEnd) -> Result<(), Error> {
        let mut options = open::wal_options(&self.options, manifest);
        options.step_bytes = 0;
        let fs = &self.options.fs;
        WalWriter::create(fs, target, options, end.sequence + 1, end.next_lsn)?;
        Ok(())
    }
}
