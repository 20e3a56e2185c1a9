//! Writing the end of the log over itself, safely.
//!
//! What replay read but does not know to be durable is written again in place: after a failed sync the page cache may
//! show bytes that are not on the disk and that a mere sync would not write. A power loss meanwhile may leave garbage
//! in the sectors that were being written, and among them may be records that had long been durable and acknowledged.
//! So the bytes first go to a file of their own, `wal-<sequence>.tail`; an opening that finds one writes them again.
//!
//! ```text
//! magic      8 bytes  NTHXTAIL
//! offset     u64      in the log file of that sequence
//! length     u64
//! bytes      length
//! checksum   u64      of everything before, piece by piece: the header, then pieces of 1 MiB, each seeded with the
//!                     checksum before it
//! ```

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::{PREFIX, file_name};
use crate::base::bytes::Cursor;
use crate::base::hash;
use crate::io::{AtomicFile, Fs, FsError};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"NTHXTAIL";
const SUFFIX: &str = ".tail";
const HEADER_BYTES: u64 = 24;
/// Bytes copied at a time.
const PIECE_BYTES: u64 = 1 << 20;

/// Writes a range of the log file `path` over itself and makes it durable.
pub(super) fn rewrite(fs: &Arc<dyn Fs>, path: &Path, range: Range<u64>) -> Result<(), FsError> {
    let tail = path.with_extension("tail");
    let mut header = MAGIC.to_vec();
    header.extend_from_slice(&range.start.to_le_bytes());
    header.extend_from_slice(&(range.end - range.start).to_le_bytes());
    let mut checksum = hash::checksum(&header);
    let mut copy = AtomicFile::create(fs, &tail)?;
    copy.write(&header)?;
    let file = fs.open_read(path)?;
    pieces(range, |at, piece| {
        file.read_at(at, piece)?;
        checksum = hash::checksum_seeded(piece, checksum);
        copy.write(piece)
    })?;
    copy.write(&checksum.to_le_bytes())?;
    copy.finish()?;
    restore(&**fs, &tail, path)
}

/// Finishes what an opening before this one was interrupted in.
pub(crate) fn restore_tails(fs: &dyn Fs, dir: &Path) -> Result<(), FsError> {
    for name in fs.list(dir)? {
        let Some(log) = log_of(dir, &name) else { continue };
        let tail = dir.join(&name);
        if fs.exists(&log)? {
            restore(fs, &tail, &log)?;
        } else {
            fs.remove(&tail)?;
        }
    }
    Ok(())
}

/// Whether a file of this name is the copy of a log's end.
pub(crate) fn is_tail_name(name: &str) -> bool {
    log_of(Path::new(""), name).is_some()
}

/// The log file that a file of this name belongs to.
fn log_of(dir: &Path, name: &str) -> Option<PathBuf> {
    let digits = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    Some(dir.join(file_name(digits.parse().ok()?)))
}

fn restore(fs: &dyn Fs, tail: &Path, log: &Path) -> Result<(), FsError> {
    match check(fs, tail)? {
        Some(range) => {
            let (from, to) = (fs.open_read(tail)?, fs.open_write(log)?);
            let start = range.start;
            pieces(range, |at, piece| {
                from.read_at(HEADER_BYTES + (at - start), piece)?;
                to.write_at(at, piece)
            })?;
            to.sync_data()?;
        }
        None => {
            tracing::error!(file = %tail.display(), "a copy of the log's end is damaged and was not used")
        }
    }
    fs.remove(tail)
}

/// The range of the log file that the copy holds, if it is sound.
fn check(fs: &dyn Fs, tail: &Path) -> Result<Option<Range<u64>>, FsError> {
    let file = fs.open_read(tail)?;
    let size = file.size()?;
    let Some(end) = size.checked_sub(8).filter(|end| *end >= HEADER_BYTES) else {
        return Ok(None);
    };
    let mut header = [0; HEADER_BYTES as usize];
    file.read_at(0, &mut header)?;
    let mut checksum = hash::checksum(&header);
    pieces(HEADER_BYTES..end, |at, piece| {
        file.read_at(at, piece)?;
        checksum = hash::checksum_seeded(piece, checksum);
        Ok(())
    })?;
    let mut stored = [0; 8];
    file.read_at(end, &mut stored)?;
    let mut cursor = Cursor::new(&header);
    let is_magic = cursor
        .take(MAGIC.len(), "magic")
        .is_ok_and(|magic| magic == MAGIC);
    let (Ok(start), Ok(length)) = (cursor.u64("offset"), cursor.u64("length")) else {
        return Ok(None);
    };
    let is_sound = is_magic && length == end - HEADER_BYTES && u64::from_le_bytes(stored) == checksum;
    Ok(start
        .checked_add(length)
        .filter(|_| is_sound)
        .map(|end| start..end))
}

/// Calls `each` with the offset of every piece of `range` and a buffer of its length.
fn pieces(
    range: Range<u64>,
    mut each: impl FnMut(u64, &mut [u8]) -> Result<(), FsError>,
) -> Result<(), FsError> {
    let mut buffer = Vec::new();
    let mut at = range.start;
    while at < range.end {
        buffer.resize((range.end - at).min(PIECE_BYTES) as usize, 0);
        each(at, &mut buffer)?;
        at += buffer.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::{SimFs, read_file, write_file};

    #[test]
    fn a_copy_is_written_back_and_a_damaged_one_is_not() {
        let sim = SimFs::new();
        let fs: Arc<dyn Fs> = Arc::new(sim.clone());
        let dir = Path::new("d");
        fs.create_dir_all(dir).unwrap();
        let (log, tail) = (dir.join(file_name(7)), dir.join("wal-0000000000000007.tail"));
        write_file(&fs, &log, b"0123456789").unwrap();
        rewrite(&fs, &log, 4..9).unwrap();
        assert!(!fs.exists(&tail).unwrap());
        for is_damaged in [false, true] {
            let mut copy = MAGIC.to_vec();
            copy.extend_from_slice(&4u64.to_le_bytes());
            copy.extend_from_slice(&2u64.to_le_bytes());
            let checksum = hash::checksum_seeded(b"xy", hash::checksum(&copy));
            copy.extend_from_slice(if is_damaged { b"zz" } else { b"xy" });
            copy.extend_from_slice(&checksum.to_le_bytes());
            write_file(&fs, &tail, &copy).unwrap();
            restore_tails(&*fs, dir).unwrap();
            assert_eq!(read_file(&*fs, &log).unwrap(), b"0123xy6789");
            assert!(!fs.exists(&tail).unwrap());
        }
    }
}
