//! Decoders of whole files, each put on a disk in memory. Where a checksum would stop a changed file at the door, the
//! file is tried as it is and once more with its checksums made right, so that what stands behind them is reached.

use super::decoders::{Ignore, batch_payload, walk_index};
use crate::base::bytes::{Corrupt, Cursor};
use crate::base::hash;
use crate::engine::backup_list::BackupList;
use crate::engine::manifest::Manifest;
use crate::head::Head;
use crate::head::limits::Limits;
use crate::head::overwrite::OverwriteRules;
use crate::head::recover::Replayer;
use crate::head::slab::Generation;
use crate::io::{Fs, FsError, SimFs};
use crate::segment::layout::{ENTRY_BYTES, FOOTER_BYTES, HEADER_BYTES};
use crate::segment::reader::Segment;
use crate::wal::{self, Gap, Record, ReplayFrom, Visitor, batch_decode};
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

/// A disk with one file.
fn disk_with(path: &Path, bytes: &[u8]) -> Result<Arc<dyn Fs>, FsError> {
    let fs = SimFs::new();
    fs.create_dir_all(path.parent().unwrap_or(Path::new("")))?;
    fs.create_new(path)?.write_at(0, bytes)?;
    Ok(Arc::new(fs))
}

/// A segment: opened, verified, and read in every way.
pub fn segment(bytes: &[u8]) {
    read_segment(bytes);
    let mut resealed = bytes.to_vec();
    if reseal_segment(&mut resealed).is_some() && resealed != bytes {
        read_segment(&resealed);
    }
}

fn read_segment(bytes: &[u8]) {
    let path = Path::new("db/segment-0000000000000001.seg");
    let Ok(fs) = disk_with(path, bytes) else { return };
    let Ok(segment) = Segment::open(&fs, path, 1, false) else {
        return;
    };
    // More rows than bytes cannot be meant, and reading each of them would take its time.
    if segment.rows() as usize > bytes.len() {
        return;
    }
    let _ = segment.verify();
    let _ = segment.exemplars();
    let _ = segment.metadata();
    let _ = segment.sketch();
    for row in 0..segment.rows().saturating_add(2) {
        let _ = segment.time_bounds(row);
        let _ = segment.hash(row);
    }
    let _ = segment.slices_within(i64::MIN, i64::MAX);
    if let Ok(index) = segment.index() {
        walk_index(&index);
    }
}

/// Makes the checksums of header, sections and table right; `None` when there is no table to be found.
fn reseal_segment(bytes: &mut [u8]) -> Option<()> {
    let footer = bytes.len().checked_sub(FOOTER_BYTES)?;
    let mut cursor = Cursor::new(bytes.get(footer..)?);
    let table = usize::try_from(cursor.u64("table").ok()?).ok()?;
    let count = cursor.u32("sections").ok()? as usize;
    if table.checked_add(count.checked_mul(ENTRY_BYTES)?)? != footer {
        return None;
    }
    for number in 0..count {
        let entry = table + number * ENTRY_BYTES;
        let mut cursor = Cursor::new(bytes.get(entry + 8..entry + ENTRY_BYTES)?);
        let offset = usize::try_from(cursor.u64("offset").ok()?).ok()?;
        let length = usize::try_from(cursor.u64("length").ok()?).ok()?;
        let Some(stored) = bytes.get(offset..offset.checked_add(length)?) else {
            continue;
        };
        let checksum = hash::checksum(stored);
        put(bytes, entry + ENTRY_BYTES - 8, checksum)?;
    }
    let checksum = hash::checksum(bytes.get(table..footer + 16)?);
    put(bytes, footer + 16, checksum)?;
    let checksum = hash::checksum(bytes.get(..HEADER_BYTES - 8)?);
    put(bytes, HEADER_BYTES - 8, checksum)
}

fn put(bytes: &mut [u8], at: usize, checksum: u64) -> Option<()> {
    bytes
        .get_mut(at..at + 8)?
        .copy_from_slice(&checksum.to_le_bytes());
    Some(())
}

/// The list of a backup.
pub fn backup_list(bytes: &[u8]) {
    let _ = BackupList::decode(bytes);
    let mut resealed = bytes.to_vec();
    if let Some(end) = bytes.len().checked_sub(8) {
        let checksum = hash::checksum(&bytes[..end]);
        if put(&mut resealed, end, checksum).is_some() {
            let _ = BackupList::decode(&resealed);
        }
    }
}

/// A manifest.
pub fn manifest(bytes: &[u8]) {
    let _ = Manifest::decode(bytes);
    let mut resealed = bytes.to_vec();
    if let Some(end) = bytes.len().checked_sub(8) {
        let checksum = hash::checksum(&bytes[..end]);
        if put(&mut resealed, end, checksum).is_some() {
            let _ = Manifest::decode(&resealed);
        }
    }
}

/// Takes records as the engine does, without a head behind them.
struct Records;

impl Visitor for Records {
    type Error = Infallible;

    fn record(&mut self, record: Record<'_>) -> Result<(), Infallible> {
        batch_payload(record.payload);
        Ok(())
    }

    fn gap(&mut self, _: &Gap) -> Result<(), Infallible> {
        Ok(())
    }
}

/// A log file, the only one.
pub fn wal(bytes: &[u8]) {
    let dir = Path::new("db");
    let Ok(fs) = disk_with(&dir.join(wal::file_name(1)), bytes) else {
        return;
    };
    let from = ReplayFrom { sequence: 1, lsn: 1 };
    let _ = wal::replay(&*fs, dir, from, &mut Records);
}

/// A checkpoint file.
pub fn checkpoint(bytes: &[u8]) {
    let path = Path::new("db/checkpoint-0000000000000001.ckpt");
    if let Ok(fs) = disk_with(path, bytes) {
        let _ = wal::read_checkpoint(&*fs, path, &mut Records);
    }
}

/// Payloads of records, each behind a u16 length, applied to a head one after the other.
pub fn replay(bytes: &[u8]) {
    let live = Arc::new(Generation::new(1, 1, 0));
    let head = Head::new(Limits::default(), OverwriteRules::default(), live);
    let mut replayer = Replayer::new(&head);
    replayer.begin_file();
    let mut cursor = Cursor::new(bytes);
    for lsn in 1..=1_000 {
        let Ok(length) = cursor.u16("length of a payload") else {
            return;
        };
        let Ok(payload) = cursor.take(usize::from(length), "payload") else {
            return;
        };
        let applied: Result<(), Corrupt> = replayer.record(lsn, payload);
        if applied.is_err() {
            replayer.gap();
        }
    }
    let _ = batch_decode::decode(cursor.rest(), &mut batch_decode::Chains::default(), &mut Ignore);
}
