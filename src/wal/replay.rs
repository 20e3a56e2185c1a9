//! Reads the whole log back, in order and in bounded memory; the rules stand in the module's page.
//!
//! Only the last file can have a torn tail: all others were synced before the next one's header was written, which
//! therefore says where they end. So D is looked for only in the last file, and only when broken bytes were met.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::frame::{ALIGNMENT, FileHeader, FileKind, KIND_MARK, RECORDS_START};
use super::scan::{Frames, max_records, read_file_header};
use super::{Lsn, WalError, WalOptions, WalWriter, file_name, list_files, tail};
use crate::io::{Fs, FsError, is_temp_name};

/// A record as it was appended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    /// Its number in the log; in a checkpoint its number in the file, from 1.
    pub(crate) lsn: Lsn,
    /// Sequence number of its file.
    pub(crate) sequence: u64,
    pub(crate) kind: u8,
    pub(crate) payload: &'a [u8],
}

/// Records that were durable and cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gap {
    /// The damaged file; where one is missing, the one that should be there or the one after it.
    pub(crate) path: PathBuf,
    /// The broken bytes.
    pub(crate) offsets: Range<u64>,
    /// The lost records. Where a whole file is lost and nothing says how many it had, as many as it could hold.
    pub(crate) lsns: Range<Lsn>,
}

/// Bytes behind the last record of the log that were dropped: of no record there was anything promised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tail {
    /// The last file.
    pub(crate) path: PathBuf,
    /// From the end of the last record to the last byte that is not zero.
    pub(crate) offsets: Range<u64>,
}

/// Who takes the records.
pub(crate) trait Visitor {
    /// Why it takes no more.
    type Error: std::error::Error;

    /// Takes the next record.
    fn record(&mut self, record: Record<'_>) -> Result<(), Self::Error>;

    /// Learns that records are missing here: what builds on earlier ones must start anew.
    fn gap(&mut self, gap: &Gap) -> Result<(), Self::Error>;
}

/// Why a replay stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplayError<E> {
    /// A file could not be read. Nothing is dropped for that: it may be readable the next time.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// The visitor refused a record.
    #[error("{0}")]
    Visitor(E),
}

/// Where a replay starts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReplayFrom {
    /// Files below are ignored. The file itself must be there, unless it is 0.
    pub(crate) sequence: u64,
    /// Records below are skipped.
    pub(crate) lsn: Lsn,
}

/// What a replay found.
#[derive(Debug)]
pub(crate) struct Replayed {
    /// The LSN of the next record to be written.
    pub(crate) next_lsn: Lsn,
    /// The sequence number of the next file.
    pub(crate) next_sequence: u64,
    /// The last LSN known to be durable: D of the module's page.
    pub(crate) durable_lsn: Lsn,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) tail: Option<Tail>,
    /// Records shown to the visitor.
    pub(crate) records: u64,
    /// Bytes of these records.
    pub(crate) bytes: u64,
    /// The last file, and where its records end.
    last: Option<(PathBuf, FileHeader, u64)>,
}

struct LogFile {
    sequence: u64,
    path: PathBuf,
    /// `None` when no copy can be read.
    header: Option<FileHeader>,
}

/// One pass over records in order.
pub(super) struct Pass<'v, V> {
    pub(super) visitor: &'v mut V,
    /// The next LSN wanted.
    pub(super) expected: Lsn,
    pub(super) durable: Lsn,
    pub(super) gaps: Vec<Gap>,
    pub(super) tail: Option<Tail>,
    pub(super) records: u64,
    pub(super) bytes: u64,
}

/// A file within a pass.
struct Source<'a> {
    path: &'a Path,
    sequence: u64,
    frames: Frames,
    position: u64,
    /// Records from this LSN on are in the next file, and all below are durable; `None` for the last file.
    limit: Option<Lsn>,
    /// Every record of the file has been asked what was durable.
    is_surveyed: bool,
}

/// Shows every record of the log in `dir` to `visitor`. Beside a process that writes, files may go or be cut while they
/// are read; such a reader tries again after an error.
pub(crate) fn replay<V: Visitor>(
    fs: &dyn Fs,
    dir: &Path,
    from: ReplayFrom,
    visitor: &mut V,
) -> Result<Replayed, ReplayError<V::Error>> {
    let files = open_files(fs, dir, from.sequence)?;
    let mut pass = Pass::new(visitor, from.lsn);
    if from.sequence > 0 && files.first().is_none_or(|file| file.sequence != from.sequence) {
        pass.report(&dir.join(file_name(from.sequence)), 0..0, from.lsn..from.lsn)?;
    }
    let mut last = None;
    let mut lost: Vec<&LogFile> = Vec::new();
    for (index, file) in files.iter().enumerate() {
        let Some(header) = &file.header else {
            lost.push(file);
            continue;
        };
        let damaged = lost.pop().unwrap_or(file);
        let damaged_bytes = if damaged.header.is_none() {
            fs.file_len(&damaged.path)?
        } else {
            0
        };
        pass.skip_to(header.start_lsn, &damaged.path, 0..damaged_bytes)?;
        lost.clear();
        let later = files
            .iter()
            .skip(index + 1)
            .filter_map(|file| file.header.as_ref());
        let limit = later.map(|header| header.start_lsn).min();
        let end = pass.read_file(fs, &file.path, header, limit)?;
        last = Some((file.path.clone(), header.clone(), end));
    }
    for file in lost {
        let file_bytes = fs.file_len(&file.path)?;
        let bound = pass.expected.saturating_add(max_records(file_bytes));
        pass.skip_to(bound, &file.path, 0..file_bytes)?;
        pass.durable = pass.expected - 1;
    }
    Ok(Replayed {
        next_lsn: pass.expected,
        next_sequence: files.last().map_or(from.sequence, |file| file.sequence) + 1,
        durable_lsn: pass.durable,
        gaps: pass.gaps,
        tail: pass.tail,
        records: pass.records,
        bytes: pass.bytes,
        last,
    })
}

fn open_files(fs: &dyn Fs, dir: &Path, first_sequence: u64) -> Result<Vec<LogFile>, FsError> {
    let files = list_files(fs, dir)?
        .into_iter()
        .filter(|(sequence, _)| *sequence >= first_sequence);
    files
        .map(|(sequence, path)| {
            let header = read_file_header(fs, &path, FileKind::Log)?;
            Ok(LogFile {
                sequence,
                header: header.filter(|header| header.sequence == sequence),
                path,
            })
        })
        .collect()
}

impl Replayed {
    /// Secures what was read and starts a new file for what comes. May be called again when there was no space.
    pub(crate) fn resume(
        &self,
        fs: &Arc<dyn Fs>,
        dir: &Path,
        options: WalOptions,
    ) -> Result<WalWriter, WalError> {
        self.secure(fs, dir).map_err(WalError::from_opening)?;
        WalWriter::create(fs, dir, options, self.next_sequence, self.next_lsn)
    }

    /// Makes the replayed records durable. Those not known to be are written again over themselves.
    fn secure(&self, fs: &Arc<dyn Fs>, dir: &Path) -> Result<(), FsError> {
        for name in fs.list(dir)?.iter().filter(|name| is_temp_name(name)) {
            fs.remove(&dir.join(name))?;
        }
        let Some((path, header, end)) = &self.last else {
            return Ok(());
        };
        if self.durable_lsn + 1 >= self.next_lsn {
            return Ok(());
        }
        let mut frames = Frames::open(&**fs, path, header)?;
        let mut start = RECORDS_START;
        while let Some((place, header)) = frames.next_header(start)? {
            if header.lsn > self.durable_lsn {
                start = place;
                break;
            }
            start = place + header.record_bytes() as u64;
        }
        tail::rewrite(fs, path, start..*end)
    }
}

impl<'v, V: Visitor> Pass<'v, V> {
    pub(super) fn new(visitor: &'v mut V, expected: Lsn) -> Self {
        Self {
            visitor,
            expected,
            durable: expected.saturating_sub(1),
            gaps: Vec::new(),
            tail: None,
            records: 0,
            bytes: 0,
        }
    }

    fn report(
        &mut self,
        path: &Path,
        offsets: Range<u64>,
        lsns: Range<Lsn>,
    ) -> Result<(), ReplayError<V::Error>> {
        let gap = Gap {
            path: path.to_owned(),
            offsets,
            lsns,
        };
        self.visitor.gap(&gap).map_err(ReplayError::Visitor)?;
        match self.gaps.last_mut() {
            Some(last) if last.path == gap.path && last.lsns.end == gap.lsns.start => {
                last.lsns.end = gap.lsns.end;
                last.offsets.end = gap.offsets.end;
            }
            _ => self.gaps.push(gap),
        }
        Ok(())
    }

    /// Gives up the durable records before `lsn` that were not seen.
    fn skip_to(&mut self, lsn: Lsn, path: &Path, offsets: Range<u64>) -> Result<(), ReplayError<V::Error>> {
        if self.expected < lsn {
            self.report(path, offsets, self.expected..lsn)?;
            self.expected = lsn;
        }
        self.durable = self.durable.max(lsn.saturating_sub(1));
        Ok(())
    }

    /// Reads one file up to `limit` and says where its records end.
    pub(super) fn read_file(
        &mut self,
        fs: &dyn Fs,
        path: &Path,
        header: &FileHeader,
        limit: Option<Lsn>,
    ) -> Result<u64, ReplayError<V::Error>> {
        let mut source = Source {
            path,
            sequence: header.sequence,
            frames: Frames::open(fs, path, header)?,
            position: RECORDS_START,
            limit,
            is_surveyed: false,
        };
        while limit.is_none_or(|limit| self.expected < limit) {
            if !self.take(&mut source)? && !self.find_again(&mut source)? {
                break;
            }
        }
        Ok(source.position)
    }

    /// Takes the record at the source's position, if there is one that is not ahead of what is expected.
    fn take(&mut self, source: &mut Source<'_>) -> Result<bool, ReplayError<V::Error>> {
        let Some((header, payload)) = source.frames.record(source.position)? else {
            return Ok(false);
        };
        if header.lsn > self.expected {
            return Ok(false);
        }
        let bytes = header.record_bytes() as u64;
        self.durable = self.durable.max(header.durable_lsn);
        if header.lsn == self.expected {
            self.expected += 1;
            if header.kind != KIND_MARK {
                self.records += 1;
                self.bytes += bytes;
                let record = Record {
                    lsn: header.lsn,
                    sequence: source.sequence,
                    kind: header.kind,
                    payload,
                };
                self.visitor.record(record).map_err(ReplayError::Visitor)?;
            }
        }
        source.position += bytes;
        Ok(true)
    }

    /// There is no fitting record at the source's position: finds the next one and judges what lies between.
    /// `false` at the end of the file's records.
    fn find_again(&mut self, source: &mut Source<'_>) -> Result<bool, ReplayError<V::Error>> {
        let broken = source.position;
        let next = self.next_fitting(source, broken)?;
        if next.is_some() {
            // A process that is writing the file may have finished the record meanwhile.
            source.frames.refresh();
            if self.take(source)? {
                return Ok(true);
            }
        }
        let promised = match source.limit {
            Some(limit) => limit,
            None => self.survey(source, broken)? + 1,
        };
        match next {
            Some((place, lsn)) if lsn <= promised => {
                self.skip_to(lsn, source.path, broken..place)?;
                source.position = place;
                Ok(true)
            }
            _ => {
                let rest = broken..source.frames.file_bytes();
                self.skip_to(promised, source.path, rest)?;
                self.note_tail(source, broken);
                Ok(false)
            }
        }
    }

    /// The next place with the header of a record that is still wanted.
    fn next_fitting(
        &self,
        source: &mut Source<'_>,
        broken: u64,
    ) -> Result<Option<(u64, Lsn)>, ReplayError<V::Error>> {
        let mut at = broken;
        while let Some((place, header)) = source.frames.next_header(at)? {
            let is_ahead = header.lsn > self.expected || place > broken && header.lsn == self.expected;
            if is_ahead {
                return Ok(Some((place, header.lsn)));
            }
            at = place + ALIGNMENT as u64;
        }
        Ok(None)
    }

    /// D, for the last file.
    fn survey(&mut self, source: &mut Source<'_>, from: u64) -> Result<Lsn, ReplayError<V::Error>> {
        if !source.is_surveyed {
            source.is_surveyed = true;
            self.durable = self.durable.max(source.frames.durable_after(from)?);
        }
        Ok(self.durable)
    }

    fn note_tail(&mut self, source: &Source<'_>, from: u64) {
        if source.limit.is_none() && source.frames.nonzero_end > from {
            self.tail = Some(Tail {
                path: source.path.to_owned(),
                offsets: from..source.frames.nonzero_end,
            });
        }
    }
}
