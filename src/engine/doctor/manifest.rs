//! A manifest from what segments, checkpoint and log say of themselves.
//!
//! What nothing else knows is lost with a manifest: the deletions whose records are not in the log any more.

use super::super::error::Error;
use super::super::folder::fresh_id;
use super::super::manifest::{self, Manifest, SegmentEntry};
use super::super::options::Precision;
use super::super::tiles::Late;
use super::{Diagnosis, Remedy};
use crate::segment::names;
use crate::segment::reader::Segment;
use crate::segment::rebuild::Patient;
use crate::wal;
use std::cmp::Reverse;
use std::path::PathBuf;

/// The log as far as it is there.
#[derive(Debug, Default)]
struct LogFiles {
    floor: u64,
    checkpoint: u64,
    /// The first LSN that checkpoint and log together do not owe to segments.
    first_lsn: Option<u64>,
}

/// Adds rollups, the newest of each time. Whether they still hold nobody knows, so they count as outdated where there are
/// samples to make them anew.
fn add_tiles(manifest: &mut Manifest, tiles: &[Segment]) {
    let mut entries: Vec<SegmentEntry> = tiles.iter().map(SegmentEntry::of).collect();
    entries.sort_by_key(|entry| Reverse(entry.sequence));
    let mut kept: Vec<SegmentEntry> = Vec::new();
    for entry in entries {
        let is_same = |other: &SegmentEntry| {
            other.resolution == entry.resolution
                && other.time_min <= entry.time_max
                && entry.time_min <= other.time_max
        };
        if !kept.iter().any(is_same) {
            kept.push(entry);
        }
    }
    for entry in &mut kept {
        entry.lsn_first = 0;
        manifest.late.push(Late {
            lsn: 1,
            ..Late::of(entry)
        });
    }
    manifest.segments.extend(kept);
    let by_lsn = |entry: &SegmentEntry| (entry.lsn_last, entry.time_min);
    manifest.segments.sort_by_key(by_lsn);
}

impl Diagnosis {
    /// Reads the manifest, or plans another one.
    pub(super) fn find_manifest(&mut self) -> Result<(), Error> {
        let path = self.dir.join(names::MANIFEST);
        let what = match Manifest::read(&self.options.fs, &self.dir) {
            Ok(Some(manifest)) => {
                self.manifest = Some(manifest);
                return Ok(());
            }
            Ok(None) => "is missing".to_owned(),
            Err(Error::Corrupt(error)) if error.what == manifest::NEWER => {
                self.find(&path, None, error.to_string(), Remedy::None);
                return Ok(());
            }
            Err(Error::Corrupt(error)) => error.to_string(),
            Err(error) => return Err(error),
        };
        let living = self.living_segments()?;
        let (tiles, segments): (Vec<Segment>, Vec<Segment>) = living
            .into_iter()
            .partition(|segment| segment.windows().is_some());
        let log = self.find_log()?;
        if segments.is_empty() && tiles.is_empty() && log.floor == 0 {
            return Err(Error::NotFound(self.dir.clone()));
        }
        let Some(precision) = self.find_precision(&segments)? else {
            let what = format!("{what}, and nothing tells the unit of timestamps: it must be given");
            self.find(&path, None, what, Remedy::None);
            return Ok(());
        };
        self.find(&path, None, what, Remedy::RebuildManifest);
        self.find_losses(&segments, &log);
        let mut manifest = self.assemble(&segments, &log, precision)?;
        // Nobody knows what retention took; before the oldest sample there is none.
        let oldest = segments.iter().map(|segment| segment.meta.time_min).min();
        let newest_tile = tiles.iter().filter_map(|tile| Some(tile.windows()?.to)).max();
        let gone = oldest.map(|oldest| oldest.saturating_sub(1)).or(newest_tile);
        manifest.gone = gone.filter(|_| !tiles.is_empty()).unwrap_or(i64::MIN);
        add_tiles(&mut manifest, &tiles);
        self.manifest = Some(manifest);
        Ok(())
    }

    fn assemble(
        &self,
        segments: &[Segment],
        log: &LogFiles,
        precision: Precision,
    ) -> Result<Manifest, Error> {
        let newest = segments.last().map_or(0, |segment| segment.meta.lsn_last);
        let flushed_lsn = match log.first_lsn {
            Some(first) if log.checkpoint == 0 => first - 1,
            Some(first) => newest.min(first - 1),
            None => newest,
        };
        let origin = segments.last().map_or(0, |segment| segment.meta.writer_id);
        let created = segments.iter().map(|segment| segment.meta.created_ms).min();
        Ok(Manifest {
            // The writer of a segment may be the database that this one is a snapshot of.
            database_id: fresh_id(&self.options, origin, &self.dir),
            precision,
            created_ms: created.unwrap_or_else(|| self.options.clock.now_ms()),
            next_sequence: self.next_sequence()?,
            flushed_lsn,
            log_floor: log.floor,
            checkpoint: log.checkpoint,
            segments: segments.iter().map(SegmentEntry::of).collect(),
            ..Manifest::default()
        })
    }

    /// The segments that say what they are, less those of whose sources a newer one was made, by LSN.
    fn living_segments(&mut self) -> Result<Vec<Segment>, Error> {
        let mut found: Vec<Segment> = Vec::new();
        for name in self.options.fs.list(&self.dir)? {
            let Some(sequence) = names::segment_sequence(&name) else {
                continue;
            };
            let path = self.dir.join(&name);
            match Patient::open(&self.options.fs, &path, sequence, self.options.mmap) {
                Ok(patient) => found.push(patient.segment),
                Err(error) => self.find(&path, None, error.to_string(), Remedy::PutAside),
            }
        }
        let is_within = |one: &Segment, all: &Segment| {
            one.sequence < all.sequence
                && one
                    .meta
                    .sources
                    .iter()
                    .all(|source| all.meta.sources.contains(source))
        };
        let is_living: Vec<bool> = found
            .iter()
            .map(|one| !found.iter().any(|other| is_within(one, other)))
            .collect();
        let mut keep = is_living.into_iter();
        found.retain(|_| keep.next().unwrap_or(true));
        found.sort_by_key(|segment| (segment.meta.lsn_last, segment.meta.time_min));
        Ok(found)
    }

    /// The newest checkpoint whose log file is there, and the first log file that is needed.
    fn find_log(&self) -> Result<LogFiles, Error> {
        let fs = &*self.options.fs;
        let files = wal::list_files(fs, &self.dir)?;
        let mut log = LogFiles::default();
        if let Some((floor, path)) = files.first() {
            log.floor = *floor;
            log.first_lsn = wal::log_start_lsn(fs, path)?;
        }
        for name in fs.list(&self.dir)? {
            let Some(sequence) = names::checkpoint_sequence(&name) else {
                continue;
            };
            let start = wal::checkpoint_start_lsn(fs, &self.dir.join(name))?;
            // Without the log file of its number a flush came after it, and only its removal was interrupted.
            if start.is_some() && files.iter().any(|(file, _)| *file == sequence) {
                log = LogFiles {
                    floor: sequence,
                    checkpoint: sequence,
                    first_lsn: start,
                };
            }
        }
        Ok(log)
    }

    /// The unit of timestamps: as given, or as the page beside a segment says.
    fn find_precision(&self, segments: &[Segment]) -> Result<Option<Precision>, Error> {
        if self.options.precision.is_some() {
            return Ok(self.options.precision);
        }
        let fs = &self.options.fs;
        for segment in segments {
            let path = names::summary(&self.dir, segment.sequence);
            if !fs.exists(&path)? {
                continue;
            }
            let file = fs.open_read(&path)?;
            let mut bytes = vec![0; usize::try_from(file.size()?).unwrap_or(0)];
            file.read_at(0, &mut bytes)?;
            let text = String::from_utf8_lossy(&bytes);
            let said =
                |precision: &Precision| text.contains(&format!("\"timeUnit\": \"{}\"", precision.as_str()));
            let mut all = (0..=u8::MAX).map_while(Precision::from_u8);
            if let Some(precision) = all.find(said) {
                return Ok(Some(precision));
            }
        }
        Ok(None)
    }

    /// What goes with the manifest.
    fn find_losses(&mut self, segments: &[Segment], log: &LogFiles) {
        let path = self.dir.join(names::MANIFEST);
        let Some(newest) = segments.last().map(|segment| segment.meta.lsn_last) else {
            return;
        };
        let first = log.first_lsn.unwrap_or(newest + 1);
        let what = format!(
            "deletions before log record {first} are lost with it: what they hid and no merge has dropped shows again"
        );
        self.find(&path, None, what, Remedy::None);
        if log.checkpoint == 0 && newest + 1 < first {
            let what = format!(
                "log records {}..{first} are in no file, if they held anything",
                newest + 1
            );
            self.find(&path, None, what, Remedy::None);
        }
    }

    /// A number that no segment has had, as far as can be seen.
    pub(super) fn next_sequence(&self) -> Result<u64, Error> {
        let put_aside = self.quarantine.iter().map(|file| file.0.clone());
        let names = self.options.fs.list(&self.dir)?.into_iter().map(PathBuf::from);
        let sequences = names.chain(put_aside).filter_map(|path| {
            let name = path.file_name()?.to_str()?;
            names::segment_sequence(name).or_else(|| names::summary_sequence(name))
        });
        Ok(sequences.max().unwrap_or(0) + 1)
    }
}
