//! What a manifest names, looked at: segments, checkpoint, log, and every other name in the folder.

use super::super::error::Error;
use super::super::manifest::{Manifest, SegmentEntry};
use super::{Diagnosis, Remedy};
use crate::io::{self, FsError};
use crate::segment::names;
use crate::segment::reader::{Segment, SegmentError};
use crate::segment::rebuild::Patient;
use crate::wal::{self, Gap, Record, ReplayError, ReplayFrom, Visitor};
use std::convert::Infallible;
use std::io::ErrorKind;
use std::path::PathBuf;

impl Diagnosis {
    pub(super) fn check_segments(&mut self, manifest: &Manifest) -> Result<(), Error> {
        for entry in &manifest.segments {
            self.check_segment(manifest, entry)?;
        }
        Ok(())
    }

    fn check_segment(&mut self, manifest: &Manifest, entry: &SegmentEntry) -> Result<(), Error> {
        let path = names::segment(&self.dir, entry.sequence);
        let time = Some((entry.time_min, entry.time_max));
        let what = match Patient::open(&self.options.fs, &path, entry.sequence, self.options.mmap) {
            Ok(patient) if patient.segment.meta.ulid == entry.ulid => {
                let anew = patient.derivable();
                if anew.is_empty() {
                    self.check_parts(&patient.segment);
                } else {
                    let what = format!("damaged: {}", anew.join(", "));
                    self.find(&path, time, what, Remedy::RebuildSegment);
                }
                return Ok(());
            }
            Ok(_) => "another segment than the manifest names".to_owned(),
            Err(error) => error.to_string(),
        };
        let remedy = match self.find_elsewhere(manifest, entry)? {
            Some(from) => Remedy::PutBack(from),
            None => Remedy::None,
        };
        self.find(&path, time, what, remedy);
        Ok(())
    }

    /// Every checksum and every sample of a segment that opens.
    fn check_parts(&mut self, segment: &Segment) {
        let path = segment.path().to_owned();
        let check = segment.verify();
        let mut parts = segment.quarantined();
        parts.sort_by_key(|part| part.place);
        for part in &parts {
            let time = Some((part.time_min, part.time_max));
            self.find(&path, time, part.reason.clone(), Remedy::None);
        }
        let is_new = |fault: &String| !parts.iter().any(|part| part.reason == *fault);
        let time = Some((segment.meta.time_min, segment.meta.time_max));
        for fault in check.faults.into_iter().filter(is_new) {
            self.find(&path, time, fault, Remedy::None);
        }
    }

    /// A whole file of that segment under a name that nothing else needs.
    fn find_elsewhere(&self, manifest: &Manifest, entry: &SegmentEntry) -> Result<Option<PathBuf>, Error> {
        let fs = &self.options.fs;
        let is_named = |name: &String| {
            let sequence = names::segment_sequence(name);
            sequence.is_some_and(|sequence| manifest.segments.iter().any(|one| one.sequence == sequence))
        };
        let names = fs.list(&self.dir)?.into_iter();
        let unnamed = names
            .filter(|name| names::segment_sequence(name).is_some() && !is_named(name))
            .map(|name| self.dir.join(name));
        let put_aside = self.quarantine.iter().map(|file| file.0.clone());
        for path in unnamed.chain(put_aside) {
            match Segment::open(fs, &path, entry.sequence, self.options.mmap) {
                Ok(segment) if segment.meta.ulid == entry.ulid && segment.verify().faults.is_empty() => {
                    return Ok(Some(path));
                }
                Ok(_) | Err(SegmentError::Corrupt(_)) => {}
                Err(SegmentError::Fs(error)) => {
                    tracing::debug!(%error, "a file that might stand in for a segment cannot be read");
                }
            }
        }
        Ok(None)
    }

    /// Checkpoint and log, read as an opening would.
    pub(super) fn check_log(&mut self, manifest: &Manifest) -> Result<(), Error> {
        let fs = self.options.fs.clone();
        let mut next_lsn = manifest.flushed_lsn + 1;
        if manifest.checkpoint != 0 {
            let path = names::checkpoint(&self.dir, manifest.checkpoint);
            match wal::read_checkpoint(&*fs, &path, &mut Reader) {
                Ok(found) => {
                    next_lsn = next_lsn.max(found.start_lsn);
                    self.find_gaps(&found.gaps, "records");
                }
                Err(ReplayError::Fs(error)) if is_damage(&error) => {
                    self.find(&path, None, error.to_string(), Remedy::None);
                }
                Err(ReplayError::Fs(error)) => return Err(error.into()),
                Err(ReplayError::Visitor(never)) => match never {},
            }
        }
        let from = ReplayFrom {
            sequence: manifest.log_floor,
            lsn: next_lsn,
        };
        match wal::replay(&*fs, &self.dir, from, &mut Reader) {
            Ok(found) => self.find_gaps(&found.gaps, "log records"),
            Err(ReplayError::Fs(error)) => return Err(error.into()),
            Err(ReplayError::Visitor(never)) => match never {},
        }
        Ok(())
    }

    fn find_gaps(&mut self, gaps: &[Gap], records: &str) {
        for gap in gaps {
            let (bytes, lsns) = (&gap.offsets, &gap.lsns);
            let what = if fs_has(self, gap) {
                format!(
                    "corrupt at offset {}: bytes up to {}, {records} {}..{}",
                    bytes.start, bytes.end, lsns.start, lsns.end
                )
            } else {
                format!("is missing, with {records} from {} on", lsns.start)
            };
            self.find(&gap.path, None, what, Remedy::None);
        }
    }

    /// Names that the manifest does not account for.
    pub(super) fn check_names(&mut self, manifest: &Manifest) -> Result<(), Error> {
        for name in self.options.fs.list(&self.dir)? {
            let path = self.dir.join(&name);
            let is_needed = |sequence: u64| manifest.segments.iter().any(|one| one.sequence == sequence);
            let is_retired = |sequence: u64| manifest.retired.contains(&sequence);
            let known = [
                names::MANIFEST,
                names::QUARANTINE,
                names::SNAPSHOTS,
                names::BACKUPS,
                names::RECORDS,
                names::RECORDS_UNFINISHED,
                names::IMPORTED_BLOCKS,
                io::LOCK_NAME,
            ];
            let known = known.contains(&name.as_str());
            if known || names::summary_sequence(&name).is_some() {
                continue;
            }
            if io::is_temp_name(&name) {
                self.find(&path, None, "was never finished", Remedy::Opening);
            } else if wal::is_tail_name(&name) {
                let what = "the copy of a log's end, of an interrupted opening";
                self.find(&path, None, what, Remedy::Opening);
            } else if let Some(sequence) = names::segment_sequence(&name) {
                if is_retired(sequence) {
                    self.find(&path, None, "was merged or dropped", Remedy::Opening);
                } else if !is_needed(sequence) && !self.is_spoken_for(&path) {
                    let what = "a segment that the manifest does not name";
                    self.find(&path, None, what, Remedy::PutAside);
                }
            } else if let Some(sequence) = names::checkpoint_sequence(&name) {
                if sequence != manifest.checkpoint {
                    self.find(&path, None, "a checkpoint that is not needed", Remedy::Opening);
                }
            } else if let Some(sequence) = wal::parse_file_name(&name) {
                if sequence < manifest.log_floor {
                    self.find(&path, None, "log that is in segments", Remedy::Opening);
                }
            } else {
                self.find(&path, None, "not a file of a database", Remedy::LeaveAlone);
            }
        }
        Ok(())
    }

    /// Whether the plan does something with the file already.
    fn is_spoken_for(&self, path: &std::path::Path) -> bool {
        let mut findings = self.findings.iter();
        findings.any(|finding| match &finding.remedy {
            Remedy::PutBack(from) => from == path,
            Remedy::PutAside => finding.file == path,
            _ => false,
        })
    }
}

/// Whether the file that a gap is in is there.
fn fs_has(diagnosis: &Diagnosis, gap: &Gap) -> bool {
    diagnosis.options.fs.exists(&gap.path).unwrap_or(true) && gap.offsets.end > 0
}

/// Whether a file is damaged or gone, rather than unreadable for now.
fn is_damage(error: &FsError) -> bool {
    matches!(error.source.kind(), ErrorKind::InvalidData | ErrorKind::NotFound)
}

/// Takes records for their checksums only.
struct Reader;

impl Visitor for Reader {
    type Error = Infallible;

    fn record(&mut self, _record: Record<'_>) -> Result<(), Infallible> {
        Ok(())
    }

    fn gap(&mut self, _gap: &Gap) -> Result<(), Infallible> {
        Ok(())
    }
}
