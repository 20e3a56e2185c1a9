//! All records as one file of a backup, in frames with checksums. Bytes are described in docs/format/records.md.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::disk::{self, Sink};
use super::error::RecordError;
use super::position::{Position, position_at_end};
use super::store::{Space, View};
use crate::base::bytes::{Corrupt, Cursor};
use crate::base::{hash, varint};
use crate::io::{AtomicFile, File, Fs};
use crate::segment::names;
use std::path::Path;
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"NTHXREC1";
const VERSION: u32 = 1;
/// Magic, version and feature bits.
const HEADER_BYTES: usize = 16;
/// Both lengths and the checksum.
const FRAME_HEADER_BYTES: usize = 16;
/// A frame ends with the record that brings it here.
const FRAME_BYTES: usize = 1 << 20;
/// No frame is larger: one record of the largest size, and what was there before it.
const FRAME_BYTES_MAX: u32 = 80 << 20;
const ZSTD_LEVEL: i32 = 1;

/// Writes logs and events of the times from `times.0` to `times.1`, and everything else, and says how many records
/// that is.
pub(crate) fn write(
    fs: &Arc<dyn Fs>,
    target: &Path,
    view: &dyn View,
    times: (i64, i64),
) -> Result<u64, RecordError> {
    let mut file = AtomicFile::create(fs, &target.join(names::RECORDS_DUMP))?;
    file.write(MAGIC)?;
    file.write(&VERSION.to_le_bytes())?;
    file.write(&0u32.to_le_bytes())?;
    let mut body = Vec::new();
    let mut count = 0u64;
    disk::pour(view, &mut |space, key, value| {
        if !is_within(space, key, times) {
            return Ok(());
        }
        body.push(space as u8);
        varint::write_bytes(&mut body, key);
        varint::write_bytes(&mut body, value);
        count += 1;
        if body.len() >= FRAME_BYTES {
            write_frame(&mut file, target, &body)?;
            body.clear();
        }
        Ok(())
    })?;
    if !body.is_empty() {
        write_frame(&mut file, target, &body)?;
    }
    // The end: a frame without records, which says how many there were.
    let bytes = count.to_le_bytes();
    write_stored(&mut file, 0, &bytes)?;
    file.finish()?;
    Ok(count)
}

/// A key that does not decode is taken: better twice than not at all.
fn is_within(space: Space, key: &[u8], (first, last): (i64, i64)) -> bool {
    let position = match space {
        Space::Logs | Space::Events => Position::decode(key),
        Space::LogDevices | Space::EventDevices => position_at_end(key),
        Space::Meta | Space::Columns => return true,
    };
    position.map_or(true, |at| (first..=last).contains(&at.time))
}

fn write_frame(file: &mut AtomicFile, target: &Path, body: &[u8]) -> Result<(), RecordError> {
    let stored = zstd::bulk::compress(body, ZSTD_LEVEL);
    let stored = stored.map_err(|error| RecordError::io("compress records for", target, &error))?;
    write_stored(file, body.len() as u32, &stored)
}

fn write_stored(file: &mut AtomicFile, body_bytes: u32, stored: &[u8]) -> Result<(), RecordError> {
    file.write(&body_bytes.to_le_bytes())?;
    file.write(&(stored.len() as u32).to_le_bytes())?;
    file.write(&hash::checksum(stored).to_le_bytes())?;
    Ok(file.write(stored)?)
}

/// Makes the records of a new database in `target` of those in the backup in `from`.
pub(crate) fn restore(fs: &Arc<dyn Fs>, from: &Path, target: &Path) -> Result<u64, RecordError> {
    if !fs.is_of_system() {
        let text = "logs, events and columns need the file system of the operating system";
        return Err(RecordError::Invalid(text.into()));
    }
    disk::fill(&target.join(names::RECORDS), |sink| read(fs, from, sink))
}

/// Reads all of a backup's records.
pub(crate) fn check(fs: &Arc<dyn Fs>, from: &Path) -> Result<(), RecordError> {
    read(fs, from, &mut |_, _, _| Ok(()))
}

fn read(fs: &Arc<dyn Fs>, from: &Path, sink: &mut Sink<'_>) -> Result<(), RecordError> {
    let path = from.join(names::RECORDS_DUMP);
    let file = fs.open_read(&path)?;
    let mut reader = Reader {
        file,
        path: &path,
        offset: 0,
    };
    let header = reader.take(HEADER_BYTES)?;
    check_header(&header).map_err(|error| reader.corrupt(0, &error))?;
    let mut count = 0u64;
    loop {
        let start = reader.offset;
        let body = reader.frame()?;
        let Frame::Records(body) = body else {
            if body != Frame::End(count) {
                return Err(reader.corrupt(start, &Corrupt::new("number of records", 0)));
            }
            return Ok(());
        };
        let mut cursor = Cursor::new(&body);
        while !cursor.is_empty() {
            let record = next_record(&mut cursor);
            let (space, key, value) = record.map_err(|error| reader.corrupt(start, &error))?;
            sink(space, key, value)?;
            count += 1;
        }
    }
}

fn check_header(bytes: &[u8]) -> Result<(), Corrupt> {
    let mut cursor = Cursor::new(bytes);
    if cursor.take(MAGIC.len(), "magic of a backup's records")? != MAGIC {
        return Err(Corrupt::new("not a backup's records: wrong magic", 0));
    }
    if cursor.u32("version of a backup's records")? != VERSION
        || cursor.u32("features of a backup's records")? != 0
    {
        return Err(Corrupt::new("backup's records of a newer version", 8));
    }
    Ok(())
}

fn next_record<'a>(cursor: &mut Cursor<'a>) -> Result<(Space, &'a [u8], &'a [u8]), Corrupt> {
    let space = Space::from_u8(cursor.u8("kind of a record")?);
    let space = space.ok_or_else(|| cursor.corrupt("kind of a record"))?;
    let key = cursor.length_prefixed("key of a record")?;
    Ok((space, key, cursor.length_prefixed("value of a record")?))
}

/// What stands in a frame.
#[derive(Debug, PartialEq, Eq)]
enum Frame {
    Records(Vec<u8>),
    End(u64),
}

struct Reader<'a> {
    file: Arc<dyn File>,
    path: &'a Path,
    offset: u64,
}

impl Reader<'_> {
    fn take(&mut self, length: usize) -> Result<Vec<u8>, RecordError> {
        let mut bytes = vec![0; length];
        self.file.read_at(self.offset, &mut bytes)?;
        self.offset += length as u64;
        Ok(bytes)
    }

    /// `error` counts from `start`.
    fn corrupt(&self, start: u64, error: &Corrupt) -> RecordError {
        RecordError::Corrupt {
            file: self.path.to_owned(),
            offset: start + error.offset,
            what: error.what,
        }
    }

    fn frame(&mut self) -> Result<Frame, RecordError> {
        let start = self.offset;
        let header = self.take(FRAME_HEADER_BYTES)?;
        let lengths = frame_header(&header);
        let (body_bytes, stored_bytes, checksum) = lengths.map_err(|error| self.corrupt(start, &error))?;
        let stored = self.take(stored_bytes)?;
        let broken = |what| self.corrupt(start, &Corrupt::new(what, FRAME_HEADER_BYTES));
        if hash::checksum(&stored) != checksum {
            return Err(broken("checksum of a frame"));
        }
        if body_bytes == 0 {
            let count = Cursor::new(&stored).u64("number of records");
            return count.map(Frame::End).map_err(|error| self.corrupt(start, &error));
        }
        match zstd::bulk::decompress(&stored, body_bytes) {
            Ok(body) if body.len() == body_bytes => Ok(Frame::Records(body)),
            _ => Err(broken("compressed bytes of a frame")),
        }
    }
}

/// Length of the records, length of what is stored, checksum.
fn frame_header(bytes: &[u8]) -> Result<(usize, usize, u64), Corrupt> {
    let mut cursor = Cursor::new(bytes);
    let mut length = || match cursor.u32("length of a frame")? {
        length if length <= FRAME_BYTES_MAX => Ok(length as usize),
        _ => Err(cursor.corrupt("length of a frame")),
    };
    let lengths = (length()?, length()?);
    Ok((lengths.0, lengths.1, cursor.u64("checksum of a frame")?))
}
