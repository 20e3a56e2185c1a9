//! The list of a backup: what it holds, what earlier backups hold, and the manifest of the database that they make.
//! Bytes are described in docs/format/backup.md.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::error::Error;
use super::manifest::{Manifest, SegmentEntry};
use super::options::Options;
use crate::base::bytes::{Corrupt, Cursor};
use crate::base::hash;
use crate::io::{self, Fs};
use crate::segment::names;
use crate::segment::reader::CorruptFile;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"NTHXBKP1";
const VERSION: u32 = 1;
/// There are logs, events or columns as well.
const WITH_RECORDS: u32 = 1;
/// The file that makes a folder a backup; written last.
const NAME: &str = "BACKUP";

/// Where the file of a segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Place {
    Here = 0,
    /// In one of the backups before this one.
    Earlier = 1,
    /// It was not there to be copied.
    Nowhere = 2,
}

/// The file of a segment; its other properties stand in the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HeldFile {
    pub(super) place: Place,
    pub(super) checksum: u64,
}

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BackupList {
    pub(super) id: u128,
    /// The backup that this one leans on, 0 = none.
    pub(super) since: u128,
    /// Time range that was asked for.
    pub(super) from: i64,
    pub(super) to: i64,
    /// Entries in the file of logs, events and columns, if there is one.
    pub(super) records: Option<u64>,
    /// One for each segment of the manifest, in its order.
    pub(super) files: Vec<HeldFile>,
    /// Of a database without log and checkpoint.
    pub(super) manifest: Manifest,
}

impl BackupList {
    fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&VERSION.to_le_bytes());
        let features = self.records.map_or(0, |_| WITH_RECORDS);
        out.extend_from_slice(&features.to_le_bytes());
        out.extend_from_slice(&self.id.to_le_bytes());
        out.extend_from_slice(&self.since.to_le_bytes());
        out.extend_from_slice(&self.from.to_le_bytes());
        out.extend_from_slice(&self.to.to_le_bytes());
        if let Some(records) = self.records {
            out.extend_from_slice(&records.to_le_bytes());
        }
        for file in &self.files {
            out.push(file.place as u8);
            out.extend_from_slice(&file.checksum.to_le_bytes());
        }
        let manifest = self.manifest.encode();
        out.extend_from_slice(&manifest);
        out.extend_from_slice(&(manifest.len() as u64).to_le_bytes());
        let checksum = hash::checksum(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Corrupt> {
        let covered = bytes.len().saturating_sub(8);
        let (body, checksum) = bytes
            .split_at_checked(covered)
            .ok_or_else(|| Corrupt::new("length of a backup's list", 0))?;
        if Cursor::new(checksum).u64("checksum of a backup's list")? != hash::checksum(body) {
            return Err(Corrupt::new("checksum of a backup's list", covered));
        }
        let mut cursor = Cursor::new(body);
        if cursor.take(MAGIC.len(), "magic of a backup's list")? != MAGIC {
            return Err(Corrupt::new("not a backup's list: wrong magic", 0));
        }
        let version = cursor.u32("version of a backup")?;
        let features = cursor.u32("features of a backup")?;
        if version != VERSION || features & !WITH_RECORDS != 0 {
            return Err(Corrupt::new("backup of a newer version", 8));
        }
        let (id, since) = (cursor.u128("id of a backup")?, cursor.u128("id of a backup")?);
        let (from, to) = (cursor.i64("range of a backup")?, cursor.i64("range of a backup")?);
        let records = match features & WITH_RECORDS {
            0 => None,
            _ => Some(cursor.u64("number of records of a backup")?),
        };
        let rest = cursor.rest();
        let end = rest.len().saturating_sub(8);
        let length = Cursor::new(rest.get(end..).unwrap_or(&[])).u64("length of the manifest")?;
        let start = usize::try_from(length)
            .ok()
            .and_then(|length| end.checked_sub(length));
        let start = start.ok_or_else(|| Corrupt::new("length of the manifest", end))?;
        let manifest = Manifest::decode(rest.get(start..end).unwrap_or(&[]))?;
        let mut cursor = Cursor::new(rest.get(..start).unwrap_or(&[]));
        let mut files = Vec::new();
        while !cursor.is_empty() {
            let place = match cursor.u8("place of a file")? {
                0 => Place::Here,
                1 => Place::Earlier,
                2 => Place::Nowhere,
                _ => return Err(cursor.corrupt("place of a file")),
            };
            let checksum = cursor.u64("checksum of a file")?;
            files.push(HeldFile { place, checksum });
        }
        if files.len() != manifest.segments.len() {
            return Err(Corrupt::new("number of files of a backup", start));
        }
        Ok(Self {
            id,
            since,
            from,
            to,
            records,
            files,
            manifest,
        })
    }

    /// Makes the folder a backup.
    pub(super) fn write(&self, fs: &Arc<dyn Fs>, dir: &Path) -> Result<(), Error> {
        Ok(io::write_file(fs, &dir.join(NAME), &self.encode())?)
    }

    /// The list of the backup in `dir`.
    pub(super) fn read(fs: &Arc<dyn Fs>, dir: &Path) -> Result<Self, Error> {
        let path = dir.join(NAME);
        let file = fs.open_read(&path)?;
        let mut bytes = vec![0; usize::try_from(file.size()?).unwrap_or(usize::MAX)];
        file.read_at(0, &mut bytes)?;
        let list = Self::decode(&bytes).map_err(|corrupt| CorruptFile {
            file: path,
            offset: corrupt.offset,
            what: corrupt.what,
        });
        Ok(list?)
    }

    /// The file of the segment with that ULID, if it is in this backup or an earlier one.
    pub(super) fn held(&self, ulid: u128) -> Option<HeldFile> {
        let entries = self.manifest.segments.iter().zip(&self.files);
        let mut held = entries.filter(|(_, file)| file.place != Place::Nowhere);
        held.find(|(entry, _)| entry.ulid == ulid).map(|held| *held.1)
    }
}

/// A backup and where it is.
#[derive(Debug)]
pub(super) struct Link<'a> {
    pub(super) dir: &'a Path,
    pub(super) list: BackupList,
}

/// The lists of a chain, each of which must lean on the one before.
pub(super) fn read_chain<'a>(chain: &'a [PathBuf], options: &Options) -> Result<Vec<Link<'a>>, Error> {
    let mut links: Vec<Link<'a>> = Vec::with_capacity(chain.len());
    for dir in chain {
        let list = BackupList::read(&options.fs, dir)?;
        let before = links.last().map_or(0, |link| link.list.id);
        if list.since != before {
            let what = match links.last() {
                Some(link) => format!("does not lean on {}", link.dir.display()),
                None => "leans on an earlier backup, which must come first".into(),
            };
            return Err(Error::InvalidOptions(format!(
                "the backup {} {what}",
                dir.display()
            )));
        }
        links.push(Link { dir, list });
    }
    Ok(links)
}

/// The file of a segment, in the backup of the chain that holds it.
pub(super) fn find_file(links: &[Link<'_>], entry: &SegmentEntry) -> Option<PathBuf> {
    links.iter().rev().find_map(|link| {
        let entries = link.list.manifest.segments.iter().zip(&link.list.files);
        let mut here = entries.filter(|(_, file)| file.place == Place::Here);
        let (found, _) = here.find(|(found, _)| found.ulid == entry.ulid)?;
        Some(names::segment(link.dir, found.sequence))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_whole_or_not_at_all() {
        let list = BackupList {
            id: 5,
            since: 4,
            from: i64::MIN,
            to: 9,
            records: Some(8),
            files: vec![HeldFile {
                place: Place::Earlier,
                checksum: 77,
            }],
            manifest: Manifest {
                segments: vec![SegmentEntry {
                    ulid: 3,
                    ..SegmentEntry::default()
                }],
                ..Manifest::default()
            },
        };
        let bytes = list.encode();
        assert_eq!(BackupList::decode(&bytes), Ok(list.clone()));
        assert_eq!(list.held(3), Some(list.files[0]));
        assert_eq!(list.held(4), None);
        for at in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 1;
            assert!(BackupList::decode(&broken).is_err(), "byte {at}");
            assert!(BackupList::decode(&bytes[..at]).is_err(), "length {at}");
        }
    }
}
