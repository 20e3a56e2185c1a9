//! Appends records to the log, one write to the operating system each.
//!
//! Space is reserved ahead in steps, so a full disk shows before a byte of the record is written. A new file is made
//! under a temporary name with its header synced, and only then renamed: a file with a log's name always has a header,
//! and a half-made one can never void records of the file before it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::frame::{self, FILE_HEADER_OFFSETS, FileHeader, FileKind, KIND_MARK, RECORDS_START, Stamp};
use super::{GroupCommit, Lsn, MAX_PAYLOAD_BYTES, WalError, file_name};
use crate::io::{File, Fs, FsError};

/// What a record takes beside its payload, at most.
const RECORD_OVERHEAD_BYTES: u64 = 64;

/// A file that holds less than this share of its length is young.
const YOUNG_SHARE: u64 = 4;

/// How the log is written.
#[derive(Debug, Clone)]
pub(crate) struct WalOptions {
    /// A file that has reached this length wants to be rotated.
    pub(crate) file_bytes: u64,
    /// Space is reserved in steps of this many bytes.
    pub(crate) step_bytes: u64,
    /// Tells the files of one database from those of another.
    pub(crate) database_id: u128,
    /// A number unlike that of any earlier opening.
    pub(crate) nonce: u64,
}

impl Default for WalOptions {
    fn default() -> Self {
        Self {
            file_bytes: 64 << 20,
            step_bytes: 8 << 20,
            database_id: 0,
            nonce: 0,
        }
    }
}

/// The end of the log. One thread appends at a time.
#[derive(Debug)]
pub(crate) struct WalWriter {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    options: WalOptions,
    commit: Arc<GroupCommit>,
    current: Current,
    next_lsn: Lsn,
    /// The record being written.
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Current {
    file: Arc<dyn File>,
    sequence: u64,
    start_lsn: Lsn,
    epoch: u64,
    /// Where the next record goes.
    position: u64,
    reserved_bytes: u64,
}

/// Sorts a failure that left nothing behind: a full disk is no reason to stop for good.
fn refuse(error: FsError, commit: Option<&GroupCommit>) -> WalError {
    match commit {
        Some(commit) if !error.is_out_of_space() => commit.poison(error),
        _ => WalError::from_opening(error),
    }
}

/// Makes a log file with a synced header under a temporary name.
fn prepare(
    fs: &dyn Fs,
    temp: &Path,
    options: &WalOptions,
    header: &FileHeader,
) -> Result<(Arc<dyn File>, u64), FsError> {
    if fs.exists(temp)? {
        fs.remove(temp)?;
    }
    let file = fs.create_new(temp)?;
    let reserved_bytes = options.step_bytes.max(RECORDS_START);
    file.preallocate(reserved_bytes)?;
    for offset in FILE_HEADER_OFFSETS {
        file.write_at(offset, &header.encode())?;
    }
    file.sync_data()?;
    Ok((file, reserved_bytes))
}

impl Current {
    /// Makes the file `sequence` that starts with `start_lsn`. Everything before must be durable.
    fn create(
        fs: &dyn Fs,
        dir: &Path,
        options: &WalOptions,
        sequence: u64,
        start_lsn: Lsn,
        commit: Option<&GroupCommit>,
    ) -> Result<Self, WalError> {
        let path = dir.join(file_name(sequence));
        let temp = path.with_extension("log.tmp");
        let header = FileHeader {
            kind: FileKind::Log,
            sequence,
            epoch: frame::epoch(FileKind::Log, options.database_id, sequence, options.nonce),
            start_lsn,
            record_count: 0,
        };
        let prepared = prepare(fs, &temp, options, &header).and_then(|prepared| {
            fs.rename(&temp, &path)?;
            Ok(prepared)
        });
        let (file, reserved_bytes) = prepared.map_err(|error| {
            // What stays behind is removed at the next attempt or opening.
            drop(fs.remove(&temp));
            refuse(error, commit)
        })?;
        // The new name may or may not be there after a crash, and it voids what the old file would get from now on.
        fs.sync_dir(dir).map_err(|error| match commit {
            Some(commit) => commit.poison(error),
            None => WalError::from_opening(error),
        })?;
        Ok(Self {
            file,
            sequence,
            start_lsn,
            epoch: header.epoch,
            position: RECORDS_START,
            reserved_bytes,
        })
    }
}

impl WalWriter {
    /// Starts the file `sequence` of the log in `dir`, which exists. The first record gets `next_lsn`; all before it
    /// must be durable. After a replay this is called by [`Replayed::resume`](super::Replayed::resume).
    pub(crate) fn create(
        fs: &Arc<dyn Fs>,
        dir: &Path,
        options: WalOptions,
        sequence: u64,
        next_lsn: Lsn,
    ) -> Result<Self, WalError> {
        let current = Current::create(&**fs, dir, &options, sequence, next_lsn, None)?;
        let commit = Arc::new(GroupCommit::new(Arc::clone(&current.file), next_lsn - 1));
        Ok(Self {
            fs: Arc::clone(fs),
            dir: dir.to_owned(),
            options,
            commit,
            current,
            next_lsn,
            scratch: Vec::new(),
        })
    }

    /// What waits for durability.
    pub(crate) fn commit(&self) -> &Arc<GroupCommit> {
        &self.commit
    }

    /// The LSN of the next record.
    pub(crate) fn next_lsn(&self) -> Lsn {
        self.next_lsn
    }

    /// The first LSN of the file being written.
    pub(crate) fn start_lsn(&self) -> Lsn {
        self.current.start_lsn
    }

    /// The file being written.
    pub(crate) fn sequence(&self) -> u64 {
        self.current.sequence
    }

    /// Bytes of the file being written that are in use.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.current.position
    }

    /// Whether the file has reached its length.
    pub(crate) fn needs_rotation(&self) -> bool {
        self.current.position >= self.options.file_bytes
    }

    /// Whether the file has most of its length before it.
    pub(crate) fn is_young(&self) -> bool {
        self.current.position <= self.options.file_bytes / YOUNG_SHARE
    }

    /// Hands a record to the operating system and returns its LSN. It survives the death of the process; whether it
    /// survives a power loss is told by [`GroupCommit`]. After an error it was not written. `kind` is 1 to 254.
    pub(crate) fn append(&mut self, kind: u8, payload: &[u8]) -> Result<Lsn, WalError> {
        debug_assert!((1..KIND_MARK).contains(&kind), "BUG: reserved record kind");
        if payload.len() > MAX_PAYLOAD_BYTES {
            return Err(WalError::TooLarge { bytes: payload.len() });
        }
        self.write(kind, payload)
    }

    /// Appends an empty record that tells a replay which LSN is durable by now, so that damage to the last records
    /// before a quiet time is not taken for a torn tail. Replay does not show it.
    pub(crate) fn mark(&mut self) -> Result<Lsn, WalError> {
        self.write(KIND_MARK, &[])
    }

    fn write(&mut self, kind: u8, payload: &[u8]) -> Result<Lsn, WalError> {
        self.commit.check()?;
        let lsn = self.next_lsn;
        let stamp = Stamp {
            epoch: self.current.epoch,
            offset: self.current.position,
            lsn,
            durable_lsn: self.commit.durable_lsn(),
            kind,
        };
        frame::encode_record(&mut self.scratch, stamp, payload);
        let end = self.current.position + self.scratch.len() as u64;
        self.reserve(end)?;
        if let Err(error) = self.current.file.write_at(self.current.position, &self.scratch) {
            return Err(self.take_back(error));
        }
        self.current.position = end;
        self.next_lsn += 1;
        self.commit.set_written(lsn);
        Ok(lsn)
    }

    /// Makes sure that records with this many bytes of payload can be written, a full disk aside that a file system
    /// which copies on write may meet all the same.
    pub(crate) fn reserve_payload(&mut self, bytes: u64) -> Result<(), WalError> {
        self.commit.check()?;
        let records = bytes / MAX_PAYLOAD_BYTES as u64 + 4;
        self.reserve(self.current.position + bytes + records * RECORD_OVERHEAD_BYTES)
    }

    fn reserve(&mut self, end: u64) -> Result<(), WalError> {
        if end > self.current.reserved_bytes {
            let target = end.next_multiple_of(self.options.step_bytes.max(1));
            let reserved = self.current.file.preallocate(target);
            reserved.map_err(|error| refuse(error, Some(&self.commit)))?;
            self.current.reserved_bytes = target;
        }
        Ok(())
    }

    /// A write failed, and any part of the record may be there. A file system that copies on write may be full in
    /// spite of the reservation; then the header is wiped, so that a record that was refused never comes back.
    fn take_back(&self, error: FsError) -> WalError {
        if !error.is_out_of_space() {
            return self.commit.poison(error);
        }
        let wiped = self
            .current
            .file
            .write_at(self.current.position, &[0; frame::RECORD_HEADER_BYTES]);
        match wiped {
            Ok(()) => WalError::OutOfSpace(Arc::new(error)),
            Err(error) => self.commit.poison(error),
        }
    }

    /// Makes the file durable and starts the next one. On a full disk the old file stays in use. Syncing just before,
    /// without the lock on the writer, keeps the wait under that lock short.
    pub(crate) fn rotate(&mut self) -> Result<(), WalError> {
        self.commit.sync_now()?;
        let next = Current::create(
            &*self.fs,
            &self.dir,
            &self.options,
            self.current.sequence + 1,
            self.next_lsn,
            Some(&self.commit),
        )?;
        self.commit.switch(Arc::clone(&next.file));
        let old = std::mem::replace(&mut self.current, next);
        // Only gives back space that was reserved and not used; the zeros there mean nothing.
        drop(old.file.set_len(old.position));
        Ok(())
    }
}
