//! The series of a block that is being written, in a file: its index begins with all its label texts in order, which are
//! known only when the last series has come.
//!
//! In memory stays one copy of every label text. The file is gone before the block is there.

use super::BlockError;
use super::window::Window;
use crate::base::bytes::Cursor;
use crate::base::varint;
use crate::io::{AtomicFile, Fs};
use crate::model::labels::LabelsRef;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const NAME: &str = "series";
const LENGTH_BYTES: u64 = 4;

/// A text by the order of its coming.
type Number = u32;

/// Takes the series of a block.
#[derive(Debug)]
pub(super) struct Spill {
    path: PathBuf,
    file: AtomicFile,
    texts: HashMap<Box<[u8]>, Number>,
    series: u64,
    scratch: Vec<u8>,
}

/// All series of a block, to be read once.
#[derive(Debug)]
pub(super) struct Spilled {
    file: Window,
    offset: u64,
    /// The texts, sorted.
    pub(super) texts: Vec<Box<[u8]>>,
    /// The rank of a text in this order, by its number.
    ranks: Vec<u32>,
}

/// A series as an index has it.
#[derive(Debug, Default)]
pub(super) struct SpilledSeries {
    /// Ranks of names and values.
    pub(super) pairs: Vec<(u32, u32)>,
    /// The list of chunks as an index has it.
    pub(super) chunks: Vec<u8>,
}

impl Spill {
    pub(super) fn create(fs: &Arc<dyn Fs>, block: &Path) -> Result<Self, BlockError> {
        let path = block.join(NAME);
        Ok(Self {
            file: AtomicFile::create(fs, &path)?,
            path,
            texts: HashMap::new(),
            series: 0,
            scratch: Vec::new(),
        })
    }

    /// Adds a series; `chunks` is its list of chunks as an index has it.
    pub(super) fn add(&mut self, labels: LabelsRef<'_>, chunks: &[u8]) -> Result<(), BlockError> {
        self.scratch.clear();
        varint::write_u64(&mut self.scratch, labels.byte_pairs().count() as u64);
        for text in labels.byte_pairs().flat_map(|(name, value)| [name, value]) {
            let next = self.texts.len() as Number;
            let number = match self.texts.get(text) {
                Some(number) => *number,
                None => *self.texts.entry(text.into()).or_insert(next),
            };
            varint::write_u64(&mut self.scratch, u64::from(number));
        }
        self.scratch.extend_from_slice(chunks);
        self.file.write(&(self.scratch.len() as u32).to_le_bytes())?;
        self.file.write(&self.scratch)?;
        self.series += 1;
        Ok(())
    }

    pub(super) fn series(&self) -> u64 {
        self.series
    }

    pub(super) fn finish(self, fs: &dyn Fs) -> Result<Spilled, BlockError> {
        self.file.finish()?;
        let mut sorted: Vec<(Box<[u8]>, Number)> = self.texts.into_iter().collect();
        sorted.sort_unstable();
        let mut ranks = vec![0; sorted.len()];
        for (rank, (_, number)) in sorted.iter().enumerate() {
            ranks[*number as usize] = rank as u32;
        }
        Ok(Spilled {
            file: Window::open(fs, &self.path)?,
            offset: 0,
            texts: sorted.into_iter().map(|text| text.0).collect(),
            ranks,
        })
    }
}

impl Spilled {
    /// Reads the next series into `series`; `false` when there is none.
    pub(super) fn next_into(&mut self, series: &mut SpilledSeries) -> Result<bool, BlockError> {
        if self.offset == self.file.file_bytes() {
            return Ok(false);
        }
        let path = self.file.path().clone();
        let what = "a series that was put aside";
        let length = Cursor::new(self.file.bytes(self.offset, LENGTH_BYTES, what)?).u32(what);
        let fault = |corrupt| super::corrupt(&path, self.offset, &corrupt);
        let length = u64::from(length.map_err(fault)?);
        let record = self.file.bytes(self.offset + LENGTH_BYTES, length, what)?;
        let mut cursor = Cursor::new(record);
        series.pairs.clear();
        series.chunks.clear();
        let mut read = || {
            for _ in 0..cursor.length(record.len(), what)? {
                let mut rank = || {
                    let number = cursor.uvarint(what)?;
                    let rank = self.ranks.get(number as usize).copied();
                    rank.ok_or_else(|| cursor.corrupt(what))
                };
                series.pairs.push((rank()?, rank()?));
            }
            series.chunks.extend_from_slice(cursor.rest());
            Ok(())
        };
        read().map_err(|corrupt| super::corrupt(&path, self.offset, &corrupt))?;
        self.offset += LENGTH_BYTES + length;
        Ok(true)
    }

    /// Removes the file.
    pub(super) fn remove(self, fs: &dyn Fs) -> Result<(), BlockError> {
        Ok(fs.remove(self.file.path())?)
    }
}
