//! Reading `index`, version 2. What is in it is described in `index_write`.
//!
//! In memory are the label texts and the numbers of all series; the rest is read front to back.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::BlockError;
use super::index_write::{ChunkMeta, MAGIC, NAME, SECTION_ALIGN, SERIES_ALIGN, VERSION};
use super::window::Window;
use crate::base::bytes::{Corrupt, Cursor};
use crate::base::varint;
use crate::io::Fs;
use crate::model::labels::{LabelError, Labels};
use std::path::Path;

const HEADER_BYTES: u64 = 5;
const CONTENTS_BYTES: u64 = 52;
const LENGTH_BYTES: u64 = 4;
const CHECKSUM_BYTES: u64 = 4;
const COUNT_BYTES: u64 = 4;

/// An index, open.
#[derive(Debug)]
pub(super) struct Index {
    file: Window,
    symbols: Symbols,
    /// The series, in order of their labels.
    series: Vec<u32>,
}

#[derive(Debug, Default)]
struct Symbols {
    bytes: Vec<u8>,
    /// Where each text begins and ends.
    bounds: Vec<(u32, u32)>,
}

/// A series of an index.
#[derive(Debug)]
pub(super) struct IndexedSeries {
    /// Its number, by which tombstones name it.
    pub(super) number: u64,
    /// A label set, or why it is none.
    pub(super) labels: Result<Labels, LabelError>,
    pub(super) chunks: Vec<ChunkMeta>,
}

/// Where the parts begin; 0 where there is none.
#[derive(Debug)]
struct Contents {
    symbols: u64,
    label_indices: u64,
    label_offsets: u64,
    postings: u64,
    postings_offsets: u64,
}

impl Index {
    /// Opens an index and verifies every checksum in it but those of the series, which are verified as they are read.
    pub(super) fn open(fs: &dyn Fs, block: &Path) -> Result<Self, BlockError> {
        let mut file = Window::open(fs, &block.join(NAME))?;
        let mut header = Cursor::new(file.bytes(0, HEADER_BYTES, "header of an index")?);
        let magic = header.u32_be("magic").unwrap_or(0);
        let version = header.u8("version").unwrap_or(0);
        if magic != MAGIC {
            return Err(file.corrupt(0, "not an index").into());
        }
        if version != VERSION {
            return Err(file.corrupt(4, "an index of another version than 2").into());
        }
        let contents = Contents::read(&mut file)?;
        let symbols = section(&mut file, contents.symbols, "symbols")?;
        let symbols = Symbols::decode(symbols.to_vec())
            .map_err(|corrupt| super::corrupt(file.path(), contents.symbols + LENGTH_BYTES, &corrupt))?;
        let tables = contents.first_table();
        // Where lists begin is said without the padding before the first one.
        let start = contents.first_list().checked_next_multiple_of(SECTION_ALIGN);
        let mut offset = start.unwrap_or(tables);
        while offset < tables {
            let length = section(&mut file, offset, "a list of an index")?.len() as u64;
            offset = (offset + LENGTH_BYTES + length + CHECKSUM_BYTES).next_multiple_of(SECTION_ALIGN);
        }
        if contents.label_offsets > 0 {
            section(&mut file, contents.label_offsets, "label offsets")?;
        }
        let series = read_all(&mut file, contents.postings_offsets)?;
        Ok(Self {
            file,
            symbols,
            series,
        })
    }

    pub(super) fn series_count(&self) -> usize {
        self.series.len()
    }

    /// The series at this rank in the order of labels, which is there.
    pub(super) fn series(&mut self, rank: usize) -> Result<Option<IndexedSeries>, BlockError> {
        let Some(&number) = self.series.get(rank) else {
            return Ok(None);
        };
        let number = u64::from(number);
        let offset = number * SERIES_ALIGN;
        let path = self.file.path().clone();
        let fault = |at: u64, corrupt: &Corrupt| super::corrupt(&path, at, corrupt);
        let what = "length of a series";
        let start = self.file.up_to(offset, varint::MAX_LEN as u64, what)?;
        let (length, used) = varint::read_u64(start).ok_or_else(|| fault(offset, &Corrupt::new(what, 0)))?;
        let whole = length.checked_add(CHECKSUM_BYTES);
        let whole = whole.ok_or_else(|| fault(offset, &Corrupt::new(what, 0)))?;
        let from = offset + used as u64;
        let content = checked(self.file.bytes(from, whole, "a series")?);
        let content = content.ok_or_else(|| fault(offset, &Corrupt::new("checksum of a series", 0)))?;
        let (labels, chunks) =
            decode_series(content, &self.symbols).map_err(|corrupt| fault(from, &corrupt))?;
        Ok(Some(IndexedSeries {
            number,
            labels,
            chunks,
        }))
    }

    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }
}

impl Contents {
    fn read(file: &mut Window) -> Result<Self, BlockError> {
        let what = "contents of an index";
        let at = file.file_bytes().saturating_sub(CONTENTS_BYTES);
        let bytes = checked(file.bytes(at, CONTENTS_BYTES, what)?);
        let mut parts = [0; 6];
        let mut is_whole = false;
        if let Some(bytes) = bytes {
            let mut cursor = Cursor::new(bytes);
            for part in &mut parts {
                *part = cursor.u64_be(what).unwrap_or(0);
            }
            is_whole = true;
        }
        if !is_whole {
            return Err(file.corrupt(at, "checksum of the contents of an index").into());
        }
        let [
            symbols,
            _,
            label_indices,
            label_offsets,
            postings,
            postings_offsets,
        ] = parts;
        Ok(Self {
            symbols,
            label_indices,
            label_offsets,
            postings,
            postings_offsets,
        })
    }

    /// Lists of label values, which older versions wrote, stand before those of series.
    fn first_list(&self) -> u64 {
        let starts = [self.label_indices, self.postings].into_iter();
        starts.filter(|start| *start > 0).min().unwrap_or(u64::MAX)
    }

    fn first_table(&self) -> u64 {
        let starts = [self.label_offsets, self.postings_offsets].into_iter();
        starts.filter(|start| *start > 0).min().unwrap_or(0)
    }
}

impl Symbols {
    fn decode(bytes: Vec<u8>) -> Result<Self, Corrupt> {
        let mut cursor = Cursor::new(&bytes);
        let count = cursor.u32_be("number of symbols")?;
        if count as usize > cursor.remaining() {
            return Err(Corrupt::new("number of symbols", 0));
        }
        let mut bounds = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let length = cursor.length(cursor.remaining(), "length of a symbol")?;
            let start = cursor.position() as u32;
            cursor.take(length, "a symbol")?;
            bounds.push((start, cursor.position() as u32));
        }
        Ok(Self { bytes, bounds })
    }

    fn get(&self, cursor: &mut Cursor<'_>) -> Result<&[u8], Corrupt> {
        let what = "a reference to a symbol";
        let rank = usize::try_from(cursor.uvarint(what)?).map_err(|_| cursor.corrupt(what))?;
        let bounds = self.bounds.get(rank).ok_or_else(|| cursor.corrupt(what))?;
        let text = self.bytes.get(bounds.0 as usize..bounds.1 as usize);
        text.ok_or_else(|| cursor.corrupt(what))
    }
}

type Decoded = (Result<Labels, LabelError>, Vec<ChunkMeta>);

fn decode_series(content: &[u8], symbols: &Symbols) -> Result<Decoded, Corrupt> {
    let mut cursor = Cursor::new(content);
    let count = cursor.length(cursor.remaining(), "number of labels")?;
    let mut pairs = Vec::with_capacity(count);
    for _ in 0..count {
        pairs.push((symbols.get(&mut cursor)?, symbols.get(&mut cursor)?));
    }
    let count = cursor.length(cursor.remaining(), "number of chunks")?;
    let mut chunks: Vec<ChunkMeta> = Vec::with_capacity(count);
    for _ in 0..count {
        let what = "place of a chunk";
        let time_min = match chunks.last() {
            None => cursor.ivarint(what)?,
            Some(before) => before.time_max.wrapping_add(cursor.uvarint(what)? as i64),
        };
        let time_max = time_min.wrapping_add(cursor.uvarint(what)? as i64);
        let reference = match chunks.last() {
            None => cursor.uvarint(what)?,
            Some(before) => before.reference.wrapping_add(cursor.ivarint(what)? as u64),
        };
        chunks.push(ChunkMeta {
            time_min,
            time_max,
            reference,
        });
    }
    Ok((Labels::from_byte_pairs(pairs), chunks))
}

/// Symbols and a series of an index, without what stands before them.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn decode_parts(symbols: &[u8], series: &[u8]) -> Result<usize, Corrupt> {
    let symbols = Symbols::decode(symbols.to_vec())?;
    decode_series(series, &symbols).map(|series| series.1.len())
}

/// Bytes before their checksum, if it is theirs.
fn checked(bytes: &[u8]) -> Option<&[u8]> {
    let (content, checksum) = bytes.split_last_chunk::<{ CHECKSUM_BYTES as usize }>()?;
    (u32::from_be_bytes(*checksum) == crc32c::crc32c(content)).then_some(content)
}

/// The content of the section at `offset`, verified.
fn section<'w>(file: &'w mut Window, offset: u64, what: &'static str) -> Result<&'w [u8], BlockError> {
    let path = file.path().clone();
    let mut length = Cursor::new(file.bytes(offset, LENGTH_BYTES, what)?);
    let length = u64::from(length.u32_be(what).unwrap_or(0));
    // Every part begins with a number of things. Of no bytes at all the checksum is 0, which much is.
    if length < COUNT_BYTES {
        return Err(file.corrupt(offset, "length of a part of an index").into());
    }
    let content = checked(file.bytes(offset + LENGTH_BYTES, length + CHECKSUM_BYTES, what)?);
    Ok(content
        .ok_or_else(|| super::corrupt(&path, offset, &Corrupt::new("checksum of a part of an index", 0)))?)
}

/// The numbers of all series: the list of the first entry in the table of lists.
fn read_all(file: &mut Window, table: u64) -> Result<Vec<u32>, BlockError> {
    let path = file.path().clone();
    let first = |content: &[u8]| {
        let mut cursor = Cursor::new(content);
        let what = "the list of all series";
        if cursor.u32_be(what)? == 0 {
            return Ok(None);
        }
        let is_all = cursor.u8(what)? == 2
            && cursor.length_prefixed(what)?.is_empty()
            && cursor.length_prefixed(what)?.is_empty();
        if !is_all {
            return Err(cursor.corrupt("the list of all series is not the first one"));
        }
        cursor.uvarint(what).map(Some)
    };
    let list = |content: &[u8]| {
        let mut cursor = Cursor::new(content);
        let count = cursor.u32_be("number of series")?;
        let mut series = Vec::with_capacity((count as usize).min(cursor.remaining() / 4));
        for _ in 0..count {
            let next = cursor.u32_be("number of a series")?;
            if series.last().is_some_and(|last| *last >= next) {
                return Err(cursor.corrupt("series are not in order"));
            }
            series.push(next);
        }
        Ok(series)
    };
    let all = first(section(file, table, "postings offsets")?);
    let all = all.map_err(|corrupt| super::corrupt(&path, table + LENGTH_BYTES, &corrupt))?;
    let Some(all) = all else {
        return Ok(Vec::new());
    };
    let series = list(section(file, all, "the list of all series")?);
    Ok(series.map_err(|corrupt| super::corrupt(&path, all + LENGTH_BYTES, &corrupt))?)
}
