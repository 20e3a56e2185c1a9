//! The manifest: which segments, which checkpoint and which log files make up the database.
//!
//! It is the one commit point. A flush or a checkpoint takes effect when the new manifest has replaced the old one, and
//! files that it does not name do not exist for the database.
//!
//! ```text
//! magic          8 bytes  NTHXMNF1
//! version        u32
//! incompatible   u32      features; a reader that does not know a bit refuses the file
//! database id    16 bytes
//! precision      u8
//! created        i64      milliseconds since 1970
//! next sequence  u64      of segments
//! flushed LSN    u64      every record up to it is in segments
//! log floor      u64      sequence of the first log file that is needed
//! checkpoint     u64      sequence of the checkpoint that comes before it, 0 = none
//! segments       u32 count, then per segment: u64 sequence, 16 bytes ULID, u64 length of the file,
//!                i64 smallest and i64 largest timestamp, u64 first and u64 last LSN, u8 level, u64 samples,
//!                i64 creation in milliseconds since 1970, u8 flags (bit 0: its data is compressed), u64 rules,
//!                i64 width of windows (0 = samples; not in version 1)
//! deletions      u32 count, then per deletion: u64 LSN, u64 LSN of its undelete or 0, u32 length, the deletion as in
//!                the log
//! retired        u32 count, then u64 sequences: segments that were merged or dropped and may be removed
//! gone           i64      samples up to this time may be gone (not in version 1)
//! late           u32 count, then per entry: u64 LSN, i64 time before the first, i64 last time (not in version 1): what
//!                came to segments in the time of rollups that were made before
//! checksum       u64      of everything before
//! ```

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::error::Error;
use super::options::Precision;
use super::tiles::Late;
use crate::base::bytes::{Corrupt, Cursor};
use crate::base::hash;
use crate::io::{self, Fs};
use crate::model::deletion::Deletion;
use crate::segment::meta::Windows;
use crate::segment::names;
use crate::segment::reader::{CorruptFile, Segment};
use crate::wal::deletion;
use std::path::Path;
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"NTHXMNF1";
/// Version 1 knew no rollups.
const VERSION: u32 = 2;
/// Not damage: the file says so itself.
pub(super) const NEWER: &str = "manifest of a newer version";
const FLAG_COMPRESSED: u8 = 1;

/// A segment as the manifest names it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SegmentEntry {
    pub(crate) sequence: u64,
    pub(crate) ulid: u128,
    pub(crate) bytes: u64,
    pub(crate) time_min: i64,
    pub(crate) time_max: i64,
    pub(crate) lsn_first: u64,
    pub(crate) lsn_last: u64,
    pub(crate) level: u8,
    pub(crate) samples: u64,
    pub(crate) created_ms: i64,
    /// Its data was compressed as that of old segments is.
    pub(crate) is_compressed: bool,
    /// Checksum of the retention rules that were applied to it, 0 = none; of a tile that of what it is made of.
    pub(crate) rules: u64,
    /// The width of the windows of a tile, 0 for samples. A tile has the first LSN that would change it as its last one,
    /// less one: by samples as `lsn_first`, by deletions as `lsn_last`.
    pub(crate) resolution: i64,
}

impl SegmentEntry {
    pub(super) fn of(segment: &Segment) -> Self {
        let windows = segment.windows();
        let times = windows.map(|windows| (windows.from.saturating_add(1), windows.to));
        let (time_min, time_max) = times.unwrap_or((segment.meta.time_min, segment.meta.time_max));
        Self {
            sequence: segment.sequence,
            ulid: segment.meta.ulid,
            bytes: segment.file_bytes(),
            time_min,
            time_max,
            lsn_first: segment.meta.lsn_first,
            lsn_last: segment.meta.lsn_last,
            level: segment.meta.level,
            samples: segment.meta.floats + segment.meta.histograms,
            created_ms: segment.meta.created_ms,
            is_compressed: windows.is_some(),
            rules: windows.map_or(0, |windows| Windows::rule(&windows.matchers)),
            resolution: segment.meta.resolution,
        }
    }

    /// Whether it has windows instead of samples.
    pub(crate) fn is_tile(&self) -> bool {
        self.resolution != 0
    }
}

/// A deletion as the manifest names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeletionEntry {
    pub(crate) lsn: u64,
    /// LSN of its undelete.
    pub(crate) withdrawn: Option<u64>,
    pub(crate) deletion: Deletion,
}

/// The state of a database on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) database_id: u128,
    pub(crate) precision: Precision,
    pub(crate) created_ms: i64,
    pub(crate) next_sequence: u64,
    pub(crate) flushed_lsn: u64,
    pub(crate) log_floor: u64,
    pub(crate) checkpoint: u64,
    /// In order of their LSNs.
    pub(crate) segments: Vec<SegmentEntry>,
    /// By LSN. Later ones are in the log.
    pub(crate) deletions: Vec<DeletionEntry>,
    /// Sequence numbers of segments whose files are not needed any more.
    pub(crate) retired: Vec<u64>,
    /// By LSN.
    pub(crate) late: Vec<Late>,
    /// Samples up to this time may be gone by retention.
    pub(crate) gone: i64,
}

impl Default for Manifest {
    fn default() -> Self {
        Self {
            database_id: 0,
            precision: Precision::default(),
            created_ms: 0,
            next_sequence: 0,
            flushed_lsn: 0,
            log_floor: 0,
            checkpoint: 0,
            segments: Vec::new(),
            deletions: Vec::new(),
            retired: Vec::new(),
            late: Vec::new(),
            gone: i64::MIN,
        }
    }
}

impl Manifest {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&0u32.to_le_bytes());
        out.extend_from_slice(&self.database_id.to_le_bytes());
        out.push(self.precision as u8);
        out.extend_from_slice(&self.created_ms.to_le_bytes());
        for number in [
            self.next_sequence,
            self.flushed_lsn,
            self.log_floor,
            self.checkpoint,
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&(self.segments.len() as u32).to_le_bytes());
        for segment in &self.segments {
            out.extend_from_slice(&segment.sequence.to_le_bytes());
            out.extend_from_slice(&segment.ulid.to_le_bytes());
            out.extend_from_slice(&segment.bytes.to_le_bytes());
            out.extend_from_slice(&segment.time_min.to_le_bytes());
            out.extend_from_slice(&segment.time_max.to_le_bytes());
            out.extend_from_slice(&segment.lsn_first.to_le_bytes());
            out.extend_from_slice(&segment.lsn_last.to_le_bytes());
            out.push(segment.level);
            out.extend_from_slice(&segment.samples.to_le_bytes());
            out.extend_from_slice(&segment.created_ms.to_le_bytes());
            out.push(u8::from(segment.is_compressed) * FLAG_COMPRESSED);
            out.extend_from_slice(&segment.rules.to_le_bytes());
            out.extend_from_slice(&segment.resolution.to_le_bytes());
        }
        out.extend_from_slice(&(self.deletions.len() as u32).to_le_bytes());
        for entry in &self.deletions {
            let mut bytes = Vec::new();
            deletion::write(&mut bytes, &entry.deletion);
            out.extend_from_slice(&entry.lsn.to_le_bytes());
            out.extend_from_slice(&entry.withdrawn.unwrap_or(0).to_le_bytes());
            out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            out.extend_from_slice(&bytes);
        }
        out.extend_from_slice(&(self.retired.len() as u32).to_le_bytes());
        for sequence in &self.retired {
            out.extend_from_slice(&sequence.to_le_bytes());
        }
        out.extend_from_slice(&self.gone.to_le_bytes());
        out.extend_from_slice(&(self.late.len() as u32).to_le_bytes());
        for late in &self.late {
            out.extend_from_slice(&late.lsn.to_le_bytes());
            out.extend_from_slice(&late.from.to_le_bytes());
            out.extend_from_slice(&late.to.to_le_bytes());
        }
        let checksum = hash::checksum(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Corrupt> {
        let covered = bytes.len().saturating_sub(8);
        let checksum = Cursor::new(bytes.get(covered..).unwrap_or(&[])).u64("manifest checksum")?;
        if checksum != hash::checksum(bytes.get(..covered).unwrap_or(&[])) {
            return Err(Corrupt::new("checksum of the manifest", covered));
        }
        let mut cursor = Cursor::new(bytes.get(..covered).unwrap_or(&[]));
        if cursor.take(MAGIC.len(), "manifest magic")? != MAGIC {
            return Err(Corrupt::new("not a manifest: wrong magic", 0));
        }
        let version = cursor.u32("manifest version")?;
        if !(1..=VERSION).contains(&version) || cursor.u32("manifest features")? != 0 {
            return Err(Corrupt::new(NEWER, 8));
        }
        let database_id = cursor.u128("database id")?;
        let precision = Precision::from_u8(cursor.u8("precision")?);
        let mut manifest = Self {
            database_id,
            precision: precision.ok_or_else(|| cursor.corrupt("precision"))?,
            created_ms: cursor.i64("time of creation")?,
            next_sequence: cursor.u64("next sequence")?,
            flushed_lsn: cursor.u64("flushed LSN")?,
            log_floor: cursor.u64("log floor")?,
            checkpoint: cursor.u64("checkpoint")?,
            ..Self::default()
        };
        for _ in 0..cursor.u32("number of segments")? {
            manifest.segments.push(read_segment(&mut cursor, version)?);
        }
        for _ in 0..cursor.u32("number of deletions")? {
            let lsn = cursor.u64("LSN of a deletion")?;
            let withdrawn = Some(cursor.u64("LSN of an undelete")?).filter(|lsn| *lsn != 0);
            let length = cursor.u32("length of a deletion")? as usize;
            let mut bytes = Cursor::new(cursor.take(length, "deletion")?);
            manifest.deletions.push(DeletionEntry {
                lsn,
                withdrawn,
                deletion: deletion::read(&mut bytes)?,
            });
        }
        for _ in 0..cursor.u32("number of retired segments")? {
            manifest.retired.push(cursor.u64("retired segment")?);
        }
        let late = if version == 1 {
            0
        } else {
            manifest.gone = cursor.i64("end of what is gone")?;
            cursor.u32("number of late spans")?
        };
        for _ in 0..late {
            manifest.late.push(Late {
                lsn: cursor.u64("LSN of a late span")?,
                from: cursor.i64("start of a late span")?,
                to: cursor.i64("end of a late span")?,
            });
        }
        if !cursor.is_empty() {
            return Err(cursor.corrupt("bytes after the late spans"));
        }
        Ok(manifest)
    }

    /// The segments with samples.
    pub(crate) fn of_samples(&self) -> impl Iterator<Item = &SegmentEntry> {
        self.segments.iter().filter(|entry| !entry.is_tile())
    }

    /// Makes this the state of the database in `dir`.
    pub(crate) fn write(&self, fs: &Arc<dyn Fs>, dir: &Path) -> Result<(), Error> {
        Ok(io::write_file(fs, &dir.join(names::MANIFEST), &self.encode())?)
    }

    /// The manifest in `dir`, or `None` if there is none.
    pub(crate) fn read(fs: &Arc<dyn Fs>, dir: &Path) -> Result<Option<Self>, Error> {
        let path = dir.join(names::MANIFEST);
        if !fs.exists(&path)? {
            return Ok(None);
        }
        let file = fs.open_read(&path)?;
        let mut bytes = vec![0; usize::try_from(file.size()?).unwrap_or(usize::MAX)];
        file.read_at(0, &mut bytes)?;
        let manifest = Self::decode(&bytes);
        let corrupt = |corrupt: Corrupt| CorruptFile {
            file: path,
            offset: corrupt.offset,
            what: corrupt.what,
        };
        Ok(Some(manifest.map_err(corrupt)?))
    }
}

fn read_segment(cursor: &mut Cursor<'_>, version: u32) -> Result<SegmentEntry, Corrupt> {
    Ok(SegmentEntry {
        sequence: cursor.u64("segment sequence")?,
        ulid: cursor.u128("segment ULID")?,
        bytes: cursor.u64("segment length")?,
        time_min: cursor.i64("segment time")?,
        time_max: cursor.i64("segment time")?,
        lsn_first: cursor.u64("segment LSN")?,
        lsn_last: cursor.u64("segment LSN")?,
        level: cursor.u8("segment level")?,
        samples: cursor.u64("samples of a segment")?,
        created_ms: cursor.i64("creation of a segment")?,
        is_compressed: cursor.u8("segment flags")? & FLAG_COMPRESSED != 0,
        rules: cursor.u64("rules of a segment")?,
        resolution: match version {
            1 => 0,
            _ => cursor.i64("resolution of a segment")?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::deletion::Selector;

    #[test]
    fn comes_back_whole_or_not_at_all() {
        let entry = SegmentEntry {
            sequence: 3,
            ulid: 9,
            bytes: 100,
            time_min: -1,
            time_max: 5,
            lsn_first: 1,
            lsn_last: 8,
            level: 0,
            samples: 10,
            created_ms: 11,
            is_compressed: true,
            rules: 12,
            resolution: 300_000,
        };
        let manifest = Manifest {
            database_id: 7,
            next_sequence: 4,
            segments: vec![entry],
            deletions: vec![DeletionEntry {
                lsn: 5,
                withdrawn: Some(6),
                deletion: Deletion {
                    selector: Selector::Series(crate::labels! { "a" => "b" }),
                    from: 1,
                    to: 2,
                    created_ms: 3,
                },
            }],
            retired: vec![1, 2],
            late: vec![Late {
                lsn: 7,
                from: -3,
                to: 4,
            }],
            gone: -9,
            ..Manifest::default()
        };
        let bytes = manifest.encode();
        assert_eq!(Manifest::decode(&bytes), Ok(manifest));
        for at in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 1;
            assert!(Manifest::decode(&broken).is_err(), "byte {at}");
            assert!(Manifest::decode(&bytes[..at]).is_err(), "length {at}");
        }
    }
}
