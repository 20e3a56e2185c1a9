//! A snapshot: one moment of a running database as a folder that opens as a database of its own.
//!
//! Segments, checkpoints and ended log files never change, so a second name does for them; of the log file that is being
//! written, what is there at the moment is copied. The copy gets an id of its own: the two databases give out the same
//! numbers from then on, and everything that must differ between them is made of the id.

use super::beside::Held;
use super::error::Error;
use super::folder::{NewFolder, fresh_id};
use super::jobs::{JobKind, JobSums};
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
    /// Entries of logs, events and columns that were copied, those of their indexes included.
    pub records: u64,
    /// Files of the database that are not there to be taken.
    pub missing: Vec<PathBuf>,
}

/// One moment of the database. While the segments are held their files stay.
#[derive(Debug)]
struct Moment {
    manifest: Manifest,
    end: LogEnd,
    beside: Option<Box<dyn Held>>,
    _segments: Vec<Arc<Segment>>,
}

/// How a file came into the snapshot.
enum Taken {
    Linked,
    Copied,
}

impl Engine {
    /// Writes a snapshot of this moment to `target`. It is durable when this returns.
    pub(crate) fn snapshot(&self, target: &Path) -> Result<SnapshotReport, Error> {
        let sums = |report: &SnapshotReport| JobSums {
            segments: (report.segments_linked + report.segments_copied) as u64,
            bytes: Some(report.bytes_copied),
            ..JobSums::default()
        };
        self.as_job(JobKind::Snapshot, || self.take_snapshot(target), sums)
    }

    fn take_snapshot(&self, target: &Path) -> Result<SnapshotReport, Error> {
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
            let (from, to) = name(names::segment);
            match self.take(&from, &to, &mut report)? {
                Some(Taken::Linked) => report.segments_linked += 1,
                Some(Taken::Copied) => report.segments_copied += 1,
                None => {}
            }
            let (summary, to) = name(names::summary);
            if self.options.fs.exists(&summary)? {
                copy_file(&self.options.fs, &summary, &to, None)?;
            }
        }
        if let Some(beside) = &moment.beside {
            report.records = beside.copy_to(target)?;
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

    /// The state of this moment. What a flush or checkpoint would remove, and this copy needs, is taken before either
    /// can run; writers do not wait for it.
    fn moment(&self, dir: &Path, target: &Path, report: &mut SnapshotReport) -> Result<Moment, Error> {
        let _maintenance = self.lock_maintenance();
        let (end, beside) = {
            let writer = self.head.lock_writer();
            self.check_writable()?;
            (writer.log_end(), self.hold_beside()?)
        };
        self.sync()?;
        let manifest = self.lock_manifest().clone();
        if manifest.checkpoint != 0 {
            let path = names::checkpoint(dir, manifest.checkpoint);
            self.take(&path, &place_in(target, &path), report)?;
        }
        for (sequence, path) in wal::list_files(&*self.options.fs, dir)? {
            let to = place_in(target, &path);
            if sequence == end.sequence {
                self.copy(&path, &to, Some(end.file_bytes), report)?;
            } else if (manifest.log_floor..end.sequence).contains(&sequence) {
                self.take(&path, &to, report)?;
            }
        }
        Ok(Moment {
            manifest,
            end,
            beside,
            _segments: self.view.load().files(),
        })
    }

    /// A second name for a file that does not change any more, or a copy where there cannot be one. `None`: there is no
    /// such file.
    fn take(&self, from: &Path, to: &Path, report: &mut SnapshotReport) -> Result<Option<Taken>, Error> {
        if self.options.fs.hard_link(from, to).is_ok() {
            return Ok(Some(Taken::Linked));
        }
        self.copy(from, to, None, report)
    }

    fn copy(
        &self,
        from: &Path,
        to: &Path,
        length: Option<u64>,
        report: &mut SnapshotReport,
    ) -> Result<Option<Taken>, Error> {
        match copy_file(&self.options.fs, from, to, length) {
            Ok(copied) => {
                report.bytes_copied += copied.bytes;
                Ok(Some(Taken::Copied))
            }
            Err(error) if error.is_not_found() => {
                report.missing.push(from.to_owned());
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
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

/// The path in `folder` that has the name of `path`.
fn place_in(folder: &Path, path: &Path) -> PathBuf {
    folder.join(path.file_name().unwrap_or_default())
}
