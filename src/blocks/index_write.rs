//! Writing `index`, version 2.
//!
//! | part | content |
//! |---|---|
//! | header | magic, version 2 |
//! | symbols | all label texts in order; the rest names them by their rank |
//! | series | labels and chunks of each, from a multiple of 16 on, by which it is called |
//! | postings | the series that have a label pair; first the list of all |
//! | label offsets | empty: nothing reads it |
//! | postings offsets | where the list of each pair is, pairs in order |
//! | contents | where the parts are |

use super::BlockError;
use super::spill::{Spilled, SpilledSeries};
use crate::base::varint;
use crate::io::{AtomicFile, Fs, FsError};
use std::collections::HashMap;
use std::io::{Error as IoError, ErrorKind};
use std::path::Path;
use std::sync::Arc;

pub(super) const NAME: &str = "index";
pub(super) const MAGIC: u32 = 0xBAAA_D700;
pub(super) const VERSION: u8 = 2;
pub(super) const SERIES_ALIGN: u64 = 16;
pub(super) const SECTION_ALIGN: u64 = 4;

/// A chunk as an index knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChunkMeta {
    pub(super) time_min: i64,
    pub(super) time_max: i64,
    pub(super) reference: u64,
}

/// Appends the list of a series' chunks as an index has it.
pub(super) fn encode_chunks(chunks: &[ChunkMeta], out: &mut Vec<u8>) {
    varint::write_u64(out, chunks.len() as u64);
    let mut before: Option<&ChunkMeta> = None;
    for chunk in chunks {
        let span = chunk.time_max.wrapping_sub(chunk.time_min) as u64;
        match before {
            None => {
                varint::write_i64(out, chunk.time_min);
                varint::write_u64(out, span);
                varint::write_u64(out, chunk.reference);
            }
            Some(before) => {
                varint::write_u64(out, chunk.time_min.wrapping_sub(before.time_max) as u64);
                varint::write_u64(out, span);
                varint::write_i64(out, chunk.reference.wrapping_sub(before.reference) as i64);
            }
        }
        before = Some(chunk);
    }
}

/// Lists of series by ranks of name and value.
type Postings = HashMap<(u32, u32), Vec<u32>>;

/// Where the parts begin.
#[derive(Debug, Default)]
struct Contents {
    symbols: u64,
    series: u64,
    postings: u64,
    label_offsets: u64,
    postings_offsets: u64,
}

struct Writer {
    file: AtomicFile,
    contents: Contents,
    scratch: Vec<u8>,
}

/// Writes the index of a block of these series.
pub(super) fn write(fs: &Arc<dyn Fs>, block: &Path, spilled: &mut Spilled) -> Result<(), BlockError> {
    let mut writer = Writer {
        file: AtomicFile::create(fs, &block.join(NAME))?,
        contents: Contents::default(),
        scratch: Vec::new(),
    };
    writer.file.write(&MAGIC.to_be_bytes())?;
    writer.file.write(&[VERSION])?;
    writer.symbols(&spilled.texts)?;
    let (all, postings) = writer.series(spilled)?;
    writer.postings(&all, &postings, &spilled.texts)?;
    writer.contents()?;
    writer.file.finish()?;
    Ok(())
}

impl Writer {
    fn align(&mut self, to: u64) -> Result<(), FsError> {
        let padding = self.file.offset().next_multiple_of(to) - self.file.offset();
        self.file.write(&[0; SERIES_ALIGN as usize][..padding as usize])
    }

    /// A part of known content behind its length and before its checksum.
    fn section(&mut self, content: &[u8]) -> Result<(), BlockError> {
        let length = u32::try_from(content.len()).map_err(|_| too_large("a part of it"))?;
        self.file.write(&length.to_be_bytes())?;
        self.file.write(content)?;
        Ok(self.file.write(&crc32c::crc32c(content).to_be_bytes())?)
    }

    fn symbols(&mut self, texts: &[Box<[u8]>]) -> Result<(), BlockError> {
        self.contents.symbols = self.file.offset();
        let mut content = (texts.len() as u32).to_be_bytes().to_vec();
        for text in texts {
            varint::write_bytes(&mut content, text);
        }
        self.section(&content)
    }

    /// Writes the series, and returns the list of all and those by label pair.
    fn series(&mut self, spilled: &mut Spilled) -> Result<(Vec<u32>, Postings), BlockError> {
        self.align(SERIES_ALIGN)?;
        self.contents.series = self.file.offset();
        let mut all = Vec::new();
        let mut postings = Postings::new();
        let mut series = SpilledSeries::default();
        let mut content = Vec::new();
        while spilled.next_into(&mut series)? {
            self.align(SERIES_ALIGN)?;
            let place = self.file.offset() / SERIES_ALIGN;
            let place = u32::try_from(place).map_err(|_| too_large("the list of its series"))?;
            content.clear();
            varint::write_u64(&mut content, series.pairs.len() as u64);
            for pair in &series.pairs {
                varint::write_u64(&mut content, u64::from(pair.0));
                varint::write_u64(&mut content, u64::from(pair.1));
                postings.entry(*pair).or_default().push(place);
            }
            content.extend_from_slice(&series.chunks);
            self.scratch.clear();
            varint::write_bytes(&mut self.scratch, &content);
            let checksum = crc32c::crc32c(&content);
            self.scratch.extend_from_slice(&checksum.to_be_bytes());
            self.file.write(&self.scratch)?;
            all.push(place);
        }
        Ok((all, postings))
    }

    /// Writes the lists, and the tables of where they are.
    fn postings(&mut self, all: &[u32], lists: &Postings, texts: &[Box<[u8]>]) -> Result<(), BlockError> {
        self.align(SECTION_ALIGN)?;
        self.contents.postings = self.file.offset();
        let mut pairs: Vec<&(u32, u32)> = lists.keys().collect();
        pairs.sort_unstable();
        let mut table = (pairs.len() as u32 + 1).to_be_bytes().to_vec();
        let entry = |table: &mut Vec<u8>, name: &[u8], value: &[u8], offset| {
            table.push(2);
            varint::write_bytes(table, name);
            varint::write_bytes(table, value);
            varint::write_u64(table, offset);
        };
        entry(&mut table, b"", b"", self.file.offset());
        self.list(all)?;
        for pair in pairs {
            let (name, value) = (&texts[pair.0 as usize], &texts[pair.1 as usize]);
            entry(&mut table, name, value, self.file.offset());
            self.list(&lists[pair])?;
        }
        self.contents.label_offsets = self.file.offset();
        self.section(&0u32.to_be_bytes())?;
        self.contents.postings_offsets = self.file.offset();
        self.section(&table)
    }

    fn list(&mut self, series: &[u32]) -> Result<(), BlockError> {
        let mut content = std::mem::take(&mut self.scratch);
        content.clear();
        content.extend_from_slice(&(series.len() as u32).to_be_bytes());
        content.extend(series.iter().flat_map(|place| place.to_be_bytes()));
        self.section(&content)?;
        self.scratch = content;
        Ok(())
    }

    fn contents(&mut self) -> Result<(), BlockError> {
        let contents = &self.contents;
        let parts = [
            contents.symbols,
            contents.series,
            // Of label indices there are none.
            contents.postings,
            contents.label_offsets,
            contents.postings,
            contents.postings_offsets,
        ];
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.to_be_bytes()).collect();
        self.file.write(&bytes)?;
        Ok(self.file.write(&crc32c::crc32c(&bytes).to_be_bytes())?)
    }
}

fn too_large(what: &str) -> BlockError {
    let reason = format!("{what} is larger than an index can be; choose shorter blocks");
    FsError::new("write", NAME, IoError::new(ErrorKind::InvalidInput, reason)).into()
}
