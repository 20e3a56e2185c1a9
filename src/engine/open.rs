//! Opening a database, in numbered steps.

use super::background::Kick;
use super::counters::Counters;
use super::error::Error;
use super::folder::{lock_folder, secure_folder};
use super::jobs::Jobs;
use super::manifest::Manifest;
use super::open_segments::open_segments;
use super::options::Options;
use super::progress::OpenProgress;
use super::view::View;
use super::{Engine, Maintenance, RecoveryReport, deletions, events, rollups};
use crate::base::bytes::Corrupt;
use crate::base::hash;
use crate::head::Head;
use crate::head::limits::Limits;
use crate::head::recover::{ReplayedDeletion, Replayer};
use crate::head::slab::Generation;
use crate::index::compiled::CompiledPatterns;
use crate::io::{self, Fs, FsError, MemoryFs};
use crate::segment::names;
use crate::wal::{self, Gap, Record, ReplayError, ReplayFrom, Replayed, Visitor, WalOptions};
use arc_swap::ArcSwap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock};

/// Times a read-only opening starts again because the writing process removed a file meanwhile.
const READ_ONLY_ATTEMPTS: usize = 100;

/// Damaged bytes of the log that are put aside from one place, at most.
const DAMAGE_KEPT_MAX: u64 = 64 << 20;

impl Engine {
    /// Opens or creates the database that `options` name.
    pub(crate) fn open(options: Options) -> Result<Self, Error> {
        options.check()?;
        match options.dir.clone() {
            None => Self::open_in_memory(options),
            Some(dir) if options.read_only => Self::open_beside_a_writer(&options, &dir),
            Some(dir) => Self::open_folder(options, &dir),
        }
    }

    /// A writing process may flush meanwhile, and remove or cut the log that is being read here. Then the manifest is not
    /// the one that was read first, or a file is not there or shorter than it was, and the opening starts again.
    fn open_beside_a_writer(options: &Options, dir: &Path) -> Result<Self, Error> {
        let mut attempt = 1;
        loop {
            let opened = Self::open_folder(options.clone(), dir);
            let has_moved_on = match &opened {
                Ok(engine) => Manifest::read(&options.fs, dir)?.as_ref() != Some(&*engine.lock_manifest()),
                Err(Error::Fs(error)) => {
                    matches!(
                        error.source.kind(),
                        ErrorKind::NotFound | ErrorKind::UnexpectedEof
                    )
                }
                Err(_) => false,
            };
            if !has_moved_on || attempt == READ_ONLY_ATTEMPTS {
                return opened;
            }
            attempt += 1;
        }
    }

    /// A database like any other, with segments, merges and retention, but without a log, over files in memory.
    fn open_in_memory(options: Options) -> Result<Self, Error> {
        let options = Options {
            fs: Arc::new(MemoryFs::default()),
            ..options
        };
        let manifest = Manifest {
            precision: options.precision.unwrap_or_default(),
            next_sequence: 1,
            ..Manifest::default()
        };
        let live = Arc::new(Generation::new(1, 1, 0));
        let head = Head::new(
            limits(&options, &manifest),
            options.compiled_overwrite_rules()?,
            live.clone(),
        );
        let report = RecoveryReport::default();
        let view = View {
            generations: vec![live],
            gone: manifest.gone,
            ..View::default()
        };
        Self::assemble(options, manifest, head, view, report, None)
    }

    fn open_folder(options: Options, dir: &Path) -> Result<Self, Error> {
        let fs = options.fs.clone();
        // 1. The folder and its lock.
        let lock = if options.read_only {
            None
        } else {
            Some(lock_folder(&fs, dir)?)
        };
        // 2. The manifest.
        let manifest = match Manifest::read(&fs, dir)? {
            Some(manifest) => manifest,
            None if options.read_only => return Err(Error::NotFound(dir.to_owned())),
            None => create_manifest(&options, dir)?,
        };
        if let Some(precision) = options
            .precision
            .filter(|precision| *precision != manifest.precision)
        {
            let found = manifest.precision;
            return Err(Error::InvalidOptions(format!(
                "the database has {found:?}, not {precision:?}"
            )));
        }
        // 3. What an interrupted write left behind.
        if !options.read_only {
            wal::restore_tails(&*fs, dir)?;
            remove_leftovers(&fs, dir, &manifest)?;
        }
        // 4. The segments.
        let mut report = RecoveryReport::default();
        let (segments, tiles) = open_segments(&options, dir, &manifest, &mut report);
        // 5. The head, from the checkpoint and the log.
        let live = Arc::new(Generation::new(1, manifest.flushed_lsn + 1, manifest.log_floor));
        let head = Head::new(
            limits(&options, &manifest),
            options.compiled_overwrite_rules()?,
            live.clone(),
        );
        head.relearn_metadata(events::metadata_in(&segments));
        let (replayed, deletions) = replay(&options, dir, &manifest, &head, &mut report)?;
        let view = View {
            segments,
            generations: vec![live],
            deletions: deletions::restored(deletions)?.into(),
            tiles: tiles.into(),
            late: manifest.late.as_slice().into(),
            gone: manifest.gone,
        };
        // 6. A new log file for what comes.
        let commit = if options.read_only {
            None
        } else {
            Some(resume(&options, dir, &manifest, &head, &replayed)?)
        };
        let mut engine = Self::assemble(options, manifest, head, view, report, commit)?;
        engine._lock = lock;
        Ok(engine)
    }

    fn assemble(
        options: Options,
        manifest: Manifest,
        head: Head,
        view: View,
        recovery: RecoveryReport,
        commit: Option<Arc<wal::GroupCommit>>,
    ) -> Result<Self, Error> {
        Ok(Self {
            retention_rules: options.compiled_retention_rules()?,
            rollups: rollups::compiled(&options, manifest.precision)?,
            under_way: Mutex::default(),
            late_conflicts: AtomicU64::new(0),
            patterns: CompiledPatterns::default(),
            counters: Counters::default(),
            jobs: Jobs::new(&options.clock),
            latest_ms: AtomicI64::new(i64::MIN),
            precision: manifest.precision,
            options,
            head,
            view: ArcSwap::from_pointee(view),
            manifest: Mutex::new(manifest),
            commit,
            poison: OnceLock::new(),
            closed: AtomicBool::new(false),
            maintenance: Mutex::new(Maintenance::default()),
            sync_wanted: AtomicBool::new(false),
            log_bytes: AtomicU64::new(recovery.log_bytes),
            recovery,
            kick: Kick::default(),
            beside: OnceLock::new(),
            _lock: None,
        })
    }
}

fn limits(options: &Options, manifest: &Manifest) -> Limits {
    let future_max = options.future_limit.map(|limit| manifest.precision.units(limit));
    Limits {
        future_max: future_max.or(options.limits.future_max),
        ..options.limits.clone()
    }
}

fn create_manifest(options: &Options, dir: &Path) -> Result<Manifest, Error> {
    if let Some((_, path)) = wal::list_files(&*options.fs, dir)?.first() {
        let what = "there is a log but no manifest; see `narthex doctor`";
        let source = std::io::Error::new(ErrorKind::InvalidData, what);
        return Err(FsError::new("open", path, source).into());
    }
    let is_data =
        |name: &String| names::segment_sequence(name).is_some() || names::checkpoint_sequence(name).is_some();
    if let Some(name) = options.fs.list(dir)?.into_iter().find(is_data) {
        let what = match names::segment_sequence(&name) {
            Some(_) => "there are segments but no manifest; see `narthex doctor`",
            None => "there is a checkpoint but no manifest; see `narthex doctor`",
        };
        let source = std::io::Error::new(ErrorKind::InvalidData, what);
        return Err(FsError::new("open", dir.join(name), source).into());
    }
    secure_folder(&options.fs, dir)?;
    let created_ms = options.clock.now_ms();
    let unique = match options.identity {
        Some(identity) => format!("{created_ms} {identity}"),
        None => format!("{created_ms} {} {}", std::process::id(), dir.display()),
    };
    let manifest = Manifest {
        database_id: hash::hash_128(unique.as_bytes()),
        precision: options.precision.unwrap_or_default(),
        created_ms,
        next_sequence: 1,
        ..Manifest::default()
    };
    manifest.write(&options.fs, dir)?;
    Ok(manifest)
}

/// Temporary files go. Finished files that the manifest does not name are put aside, a checkpoint or log file below the
/// floor is removed: their samples are elsewhere.
fn remove_leftovers(fs: &Arc<dyn Fs>, dir: &Path, manifest: &Manifest) -> Result<(), Error> {
    // Whoever wrote the manifest may have died before its name was durable. If a power loss brought back the one before,
    // what that one names must still be there.
    fs.sync_dir(dir)?;
    let is_retired = |name: &str| {
        let sequence = names::segment_sequence(name).or_else(|| names::summary_sequence(name));
        sequence.is_some_and(|sequence| manifest.retired.contains(&sequence))
    };
    for name in fs.list(dir)? {
        let path = dir.join(&name);
        if io::is_temp_name(&name) || is_retired(&name) {
            fs.remove(&path)?;
        } else if let Some(sequence) = names::segment_sequence(&name)
            && !manifest
                .segments
                .iter()
                .any(|segment| segment.sequence == sequence)
        {
            let quarantine = dir.join(names::QUARANTINE);
            fs.create_dir_all(&quarantine)?;
            fs.rename(&path, &quarantine.join(&name))?;
            tracing::warn!(
                file = name,
                "a segment that the manifest does not name was put aside"
            );
        } else if names::checkpoint_sequence(&name).is_some_and(|sequence| sequence != manifest.checkpoint) {
            fs.remove(&path)?;
        }
    }
    wal::remove_below(&**fs, dir, manifest.log_floor)?;
    Ok(())
}

fn replay(
    options: &Options,
    dir: &Path,
    manifest: &Manifest,
    head: &Head,
    report: &mut RecoveryReport,
) -> Result<(Replayed, Vec<ReplayedDeletion>), Error> {
    let fs = &*options.fs;
    let mut visitor = HeadVisitor {
        replayer: Replayer::new(head),
        sequence: 0,
        gaps: Vec::new(),
        progress: options.progress.as_deref(),
    };
    if let Some(progress) = visitor.progress {
        progress.begin(fs, dir, manifest)?;
    }
    let mut next_lsn = manifest.flushed_lsn + 1;
    if manifest.checkpoint != 0 {
        visitor.replayer.begin_file();
        next_lsn = next_lsn.max(read_checkpoint(
            options,
            dir,
            manifest.checkpoint,
            &mut visitor,
            report,
        )?);
    }
    let known = manifest.deletions.iter();
    let known = known.map(|entry| (entry.lsn, entry.deletion.clone(), entry.withdrawn));
    visitor.replayer.know_deletions(known);
    visitor.sequence = 0;
    let from = ReplayFrom {
        sequence: manifest.log_floor,
        lsn: next_lsn,
    };
    let replayed = wal::replay(fs, dir, from, &mut visitor).map_err(replay_error)?;
    let counts = visitor.replayer.counts.clone();
    visitor.gaps.extend_from_slice(&replayed.gaps);
    for gap in &visitor.gaps {
        report.note_gap(gap);
        if !options.read_only {
            keep_damage(options, dir, gap);
        }
    }
    report.records += replayed.records;
    report.log_bytes = replayed.bytes;
    report.samples = counts.samples;
    report.lost_samples = counts.lost_samples + counts.undefined;
    report.torn_bytes = replayed
        .tail
        .as_ref()
        .map_or(0, |tail| tail.offsets.end - tail.offsets.start);
    Ok((replayed, std::mem::take(&mut visitor.replayer.deletions)))
}

/// Reads the checkpoint and says which LSN comes after it. One that cannot be read is reported and put aside: the log
/// after it is still there.
fn read_checkpoint(
    options: &Options,
    dir: &Path,
    sequence: u64,
    visitor: &mut HeadVisitor<'_>,
    report: &mut RecoveryReport,
) -> Result<u64, Error> {
    let fs = &options.fs;
    let path = names::checkpoint(dir, sequence);
    let error = match wal::read_checkpoint(&**fs, &path, visitor) {
        Ok(checkpoint) if checkpoint.sequence == sequence => {
            visitor.gaps.extend(checkpoint.gaps);
            report.records += checkpoint.records;
            return Ok(checkpoint.start_lsn);
        }
        Ok(checkpoint) => format!("{}: is checkpoint {}", path.display(), checkpoint.sequence),
        Err(ReplayError::Fs(error)) if is_damage(&error) => error.to_string(),
        Err(error) => return Err(replay_error(error)),
    };
    tracing::error!(error, "the checkpoint cannot be read, its samples are lost");
    report.gaps.push(format!("checkpoint lost: {error}"));
    if !options.read_only && fs.exists(&path)? {
        let quarantine = dir.join(names::QUARANTINE);
        fs.create_dir_all(&quarantine)?;
        fs.rename(&path, &quarantine.join(path.file_name().unwrap_or_default()))?;
    }
    Ok(0)
}

/// Whether a file is damaged or gone, rather than unreadable for now. A read that came back short is the latter: no
/// more is ever asked for than the file has.
fn is_damage(error: &FsError) -> bool {
    matches!(error.source.kind(), ErrorKind::InvalidData | ErrorKind::NotFound)
}

/// Copies damaged bytes of the log to the quarantine folder before the log is removed by the next flush.
fn keep_damage(options: &Options, dir: &Path, gap: &Gap) {
    let fs = &options.fs;
    let name = gap
        .path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("log");
    let quarantine = dir.join(names::QUARANTINE);
    let kept = quarantine.join(format!("{name}-at-{:016}.bin", gap.offsets.start));
    let copy = || -> Result<(), FsError> {
        let length = gap
            .offsets
            .end
            .saturating_sub(gap.offsets.start)
            .min(DAMAGE_KEPT_MAX);
        if length == 0 || fs.exists(&kept)? {
            return Ok(());
        }
        let mut bytes = vec![0; length as usize];
        fs.open_read(&dir.join(name))?
            .read_at(gap.offsets.start, &mut bytes)?;
        fs.create_dir_all(&quarantine)?;
        io::write_file(fs, &kept, &bytes)
    };
    if let Err(error) = copy() {
        tracing::warn!(%error, "damaged bytes of the log were not put aside");
    }
}

fn replay_error(error: ReplayError<std::convert::Infallible>) -> Error {
    match error {
        ReplayError::Fs(error) => Error::Fs(error),
        ReplayError::Visitor(never) => match never {},
    }
}

fn resume(
    options: &Options,
    dir: &Path,
    manifest: &Manifest,
    head: &Head,
    replayed: &Replayed,
) -> Result<Arc<wal::GroupCommit>, Error> {
    let log = replayed.resume(&options.fs, dir, wal_options(options, manifest))?;
    let commit = log.commit().clone();
    let mut writer = head.lock_writer();
    writer.attach(log);
    let newest = manifest.segments.iter().map(|segment| segment.time_max).max();
    writer.note_flushed(newest.unwrap_or(i64::MIN));
    Ok(commit)
}

/// How this database's log is written. The nonce differs from opening to opening.
pub(super) fn wal_options(options: &Options, manifest: &Manifest) -> WalOptions {
    let now_ms = options.clock.now_ms();
    let unique = match options.identity {
        Some(identity) => format!("{now_ms} {identity}"),
        None => format!("{now_ms} {} {options:p}", std::process::id()),
    };
    WalOptions {
        file_bytes: options.wal_file_bytes,
        step_bytes: options.wal_step_bytes,
        database_id: manifest.database_id,
        nonce: hash::checksum(unique.as_bytes()),
    }
}

/// Hands the records of the log to the head.
struct HeadVisitor<'a> {
    replayer: Replayer<'a>,
    sequence: u64,
    /// Records whose payload does not decode, then the gaps that the replay itself found.
    gaps: Vec<Gap>,
    progress: Option<&'a OpenProgress>,
}

impl Visitor for HeadVisitor<'_> {
    type Error = std::convert::Infallible;

    fn record(&mut self, record: Record<'_>) -> Result<(), Self::Error> {
        if let Some(progress) = self.progress {
            progress.add(record.payload.len());
        }
        if record.kind == wal::RECORD_BATCH && record.sequence != self.sequence {
            self.sequence = record.sequence;
            self.replayer.begin_file();
        }
        if let Err(Corrupt { what, offset }) = self.replayer.record(record.lsn, record.payload) {
            tracing::error!(lsn = record.lsn, what, offset, "a log record does not decode");
            self.replayer.gap();
            self.gaps.push(Gap {
                path: wal::file_name(record.sequence).into(),
                offsets: offset..record.payload.len() as u64,
                lsns: record.lsn..record.lsn + 1,
            });
        }
        Ok(())
    }

    fn gap(&mut self, _gap: &Gap) -> Result<(), Self::Error> {
        self.replayer.gap();
        Ok(())
    }
}
