//! A backup: the segments of a time range as copies, in a folder of their own, each verified after it was written.
//!
//! It begins with a flush, so that everything acknowledged before is in segments; the log is not part of it. What an
//! earlier backup holds is not copied again, but named.

use super::backup_list::{BackupList, HeldFile, Place};
use super::beside::Held;
use super::error::Error;
use super::folder::NewFolder;
use super::jobs::{JobKind, JobSums};
use super::manifest::{Manifest, SegmentEntry};
use super::select::bounds;
use super::{Engine, deletions};
use crate::base::hash;
use crate::io::copy_file;
use crate::segment::names;
use crate::segment::reader::Segment;
use std::io::{Error as IoError, ErrorKind};
use std::ops::RangeBounds;
use std::path::Path;
use std::sync::Arc;

/// What a backup consists of.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupReport {
    /// Everything up to this log record is in it, as far as the range goes, and nothing after.
    pub lsn: u64,
    /// Segments that were copied.
    pub segments_copied: usize,
    /// Bytes of these.
    pub bytes_copied: u64,
    /// Segments that the earlier backup holds.
    pub segments_known: usize,
    /// Entries of logs, events and columns that were copied, those of their indexes included.
    pub records: u64,
    /// Damage that was found in the copies, in words, with file and offset. What is sound around it is in the backup.
    pub faults: Vec<String>,
}

impl BackupReport {
    /// Whether everything in the range was whole and was copied.
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }
}

/// What a backup is made of. While the segments are held their files stay.
#[derive(Debug)]
struct Moment {
    /// Of a database that has nothing but segments.
    manifest: Manifest,
    beside: Result<Option<Box<dyn Held>>, Error>,
    _segments: Vec<Arc<Segment>>,
}

impl Engine {
    /// Copies the segments that overlap `range`, but for those that the backup in `since` holds, to `target`.
    pub(crate) fn backup(
        &self,
        target: &Path,
        range: impl RangeBounds<i64>,
        since: Option<&Path>,
    ) -> Result<BackupReport, Error> {
        let sums = |report: &BackupReport| JobSums {
            segments: report.segments_copied as u64,
            bytes: Some(report.bytes_copied),
            ..JobSums::default()
        };
        self.as_job(
            JobKind::Backup,
            || self.take_backup(target, bounds(&range), since),
            sums,
        )
    }

    fn take_backup(
        &self,
        target: &Path,
        range: Option<(i64, i64)>,
        since: Option<&Path>,
    ) -> Result<BackupReport, Error> {
        self.check_writable()?;
        self.check_on_disk("a backup of")?;
        let dir = self.dir();
        let Some((from, to)) = range else {
            return Err(Error::InvalidOptions("a backup of an empty time range".into()));
        };
        let fs = &self.options.fs;
        let earlier = since.map(|since| BackupList::read(fs, since)).transpose()?;
        let folder = NewFolder::begin(fs, target)?;
        let mut moment = self.backup_moment()?;
        let is_wanted = |entry: &SegmentEntry| {
            // One without any time has metadata only.
            entry.time_min > entry.time_max || (entry.time_min <= to && entry.time_max >= from)
        };
        moment.manifest.segments.retain(is_wanted);
        let mut report = BackupReport {
            lsn: moment.manifest.flushed_lsn,
            ..BackupReport::default()
        };
        self.check_space(target, &moment.manifest, earlier.as_ref())?;
        let mut files = Vec::with_capacity(moment.manifest.segments.len());
        for entry in &moment.manifest.segments {
            let held = earlier.as_ref().and_then(|earlier| earlier.held(entry.ulid));
            files.push(match held {
                Some(held) => {
                    report.segments_known += 1;
                    HeldFile {
                        place: Place::Earlier,
                        ..held
                    }
                }
                None => self.take_verified(dir, target, entry.sequence, &mut report)?,
            });
        }
        let records = match &moment.beside {
            Ok(None) => None,
            Ok(Some(beside)) => Some(beside.dump_to(fs, target, (from, to))?),
            Err(error) => {
                report.faults.push(error.to_string());
                None
            }
        };
        report.records = records.unwrap_or(0);
        let since = earlier.as_ref().map_or(0, |earlier| earlier.id);
        let now_ms = self.options.clock.now_ms();
        let unique = format!(
            "{} {} {since} {now_ms} {from} {to} {}",
            moment.manifest.database_id,
            report.lsn,
            target.display()
        );
        let list = BackupList {
            id: hash::hash_128(unique.as_bytes()),
            since,
            from,
            to,
            records,
            files,
            manifest: moment.manifest,
        };
        folder.secure()?;
        list.write(fs, target)?;
        folder.keep();
        Ok(report)
    }

    /// Flushes, and takes segments and deletions as of one log record.
    fn backup_moment(&self) -> Result<Moment, Error> {
        let mut maintenance = self.lock_maintenance();
        loop {
            self.flush_frozen(&mut maintenance)?;
            let is_flushed = self.freeze(&mut maintenance)?;
            self.flush_frozen(&mut maintenance)?;
            let (lsn, beside) = {
                let writer = self.head.lock_writer();
                let lsn = match (is_flushed, writer.live_is_empty()) {
                    (true, _) => self.lock_manifest().flushed_lsn,
                    // Deletes write no samples, and stand in the log until the next flush.
                    (false, true) => writer.log_end().next_lsn - 1,
                    (false, false) => continue,
                };
                (lsn, self.hold_beside())
            };
            let view = self.view.load_full();
            let manifest = self.lock_manifest().clone();
            let manifest = Manifest {
                flushed_lsn: lsn,
                log_floor: 0,
                checkpoint: 0,
                deletions: deletions::entries(&view, lsn),
                retired: Vec::new(),
                ..manifest
            };
            return Ok(Moment {
                manifest,
                beside,
                _segments: view.files(),
            });
        }
    }

    /// Refuses before anything is written what would not fit.
    fn check_space(
        &self,
        target: &Path,
        wanted: &Manifest,
        earlier: Option<&BackupList>,
    ) -> Result<(), Error> {
        let is_known =
            |entry: &&SegmentEntry| earlier.is_some_and(|earlier| earlier.held(entry.ulid).is_some());
        let new = wanted.segments.iter().filter(|entry| !is_known(entry));
        let bytes: u64 = new.map(|entry| entry.bytes).sum();
        let available = self.options.fs.available_bytes(target)?;
        if available < bytes {
            return Err(Error::OutOfSpace(format!(
                "{}: {bytes} bytes are needed and {available} are free",
                target.display()
            )));
        }
        Ok(())
    }

    /// Copies a segment and decodes all of the copy. A file that is damaged is worth keeping all the same.
    fn take_verified(
        &self,
        dir: &Path,
        target: &Path,
        sequence: u64,
        report: &mut BackupReport,
    ) -> Result<HeldFile, Error> {
        let fs = &self.options.fs;
        let to = names::segment(target, sequence);
        let copied = match copy_file(fs, &names::segment(dir, sequence), &to, None) {
            Ok(copied) => copied,
            Err(error) if is_of_one_file(&error.source) => {
                report.faults.push(error.to_string());
                return Ok(HeldFile {
                    place: Place::Nowhere,
                    checksum: 0,
                });
            }
            Err(error) => return Err(error.into()),
        };
        report.segments_copied += 1;
        report.bytes_copied += copied.bytes;
        match Segment::open(fs, &to, sequence, self.options.mmap) {
            Ok(segment) => report.faults.extend(segment.verify().faults),
            Err(error) => report.faults.push(error.to_string()),
        }
        Ok(HeldFile {
            place: Place::Here,
            checksum: copied.checksum,
        })
    }
}

/// Whether only this file cannot be had.
fn is_of_one_file(error: &IoError) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof)
}
