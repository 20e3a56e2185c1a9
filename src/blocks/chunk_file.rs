//! The chunks of a block: files `chunks/000001`, `chunks/000002`, ... of at most 512 MiB.
//!
//! A file is magic, version 1 and three zeros, then chunks: length (LEB128), encoding (one byte), bytes, and a checksum of the
//! last two. A reference is the number of the file, from 0, in its upper half and the offset in its lower one.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::BlockError;
use super::window::Window;
use crate::base::bytes::{Corrupt, Cursor};
use crate::base::varint;
use crate::chunk::Encoding;
use crate::io::{AtomicFile, Fs, FsError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) const FOLDER: &str = "chunks";
const MAGIC: u32 = 0x85BD_40DD;
const VERSION: u8 = 1;
const HEADER_BYTES: u64 = 8;
const FILE_BYTES_MAX: u64 = 512 << 20;
const CHECKSUM_BYTES: u64 = 4;

fn header() -> [u8; HEADER_BYTES as usize] {
    let [a, b, c, d] = MAGIC.to_be_bytes();
    [a, b, c, d, VERSION, 0, 0, 0]
}

/// Writes chunks one after the other, in as many files as it takes.
#[derive(Debug)]
pub(super) struct ChunkWriter {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    file: Option<AtomicFile>,
    /// Files that were begun.
    files: u32,
    file_bytes_max: u64,
    scratch: Vec<u8>,
}

impl ChunkWriter {
    /// `file_bytes_max` is what Prometheus takes unless a test wants more files.
    pub(super) fn create(fs: &Arc<dyn Fs>, block: &Path) -> Result<Self, FsError> {
        let dir = block.join(FOLDER);
        fs.create_dir_all(&dir)?;
        Ok(Self {
            fs: fs.clone(),
            dir,
            file: None,
            files: 0,
            file_bytes_max: FILE_BYTES_MAX,
            scratch: Vec::new(),
        })
    }

    #[cfg(test)]
    pub(super) fn with_file_bytes_max(mut self, bytes: u64) -> Self {
        self.file_bytes_max = bytes;
        self
    }

    /// Writes a chunk and returns the reference to it.
    pub(super) fn write(&mut self, encoding: Encoding, bytes: &[u8]) -> Result<u64, FsError> {
        self.scratch.clear();
        varint::write_u64(&mut self.scratch, bytes.len() as u64);
        let checked_from = self.scratch.len();
        self.scratch.push(encoding as u8);
        self.scratch.extend_from_slice(bytes);
        let checked = self.scratch.get(checked_from..).unwrap_or(&[]);
        let checksum = crc32c::crc32c(checked);
        self.scratch.extend_from_slice(&checksum.to_be_bytes());
        let length = self.scratch.len() as u64;
        let is_full = |file: &AtomicFile| file.offset() + length > self.file_bytes_max;
        if self.file.as_ref().is_none_or(is_full) {
            self.begin_file()?;
        }
        let file = self.file.as_mut().expect("BUG: a file was begun");
        let reference = u64::from(self.files - 1) << 32 | file.offset();
        file.write(&self.scratch)?;
        Ok(reference)
    }

    fn begin_file(&mut self) -> Result<(), FsError> {
        if let Some(full) = self.file.take() {
            full.finish()?;
        }
        self.files += 1;
        let mut file = AtomicFile::create(&self.fs, &self.dir.join(format!("{:06}", self.files)))?;
        file.write(&header())?;
        self.file = Some(file);
        Ok(())
    }

    /// Makes the files durable under their names.
    pub(super) fn finish(mut self) -> Result<(), FsError> {
        self.file.take().map_or(Ok(()), |file| file.finish().map(|_| ()))
    }
}

/// The files of a block's chunks, open.
#[derive(Debug)]
pub(super) struct ChunkReader {
    dir: PathBuf,
    files: Vec<Window>,
}

impl ChunkReader {
    /// Opens all files and looks at their headers.
    pub(super) fn open(fs: &dyn Fs, block: &Path) -> Result<Self, BlockError> {
        let dir = block.join(FOLDER);
        let mut files = Vec::new();
        for name in fs.list(&dir)? {
            if name.parse::<u32>().is_err() {
                continue;
            }
            let mut file = Window::open(fs, &dir.join(name))?;
            let mut header = Cursor::new(file.bytes(0, HEADER_BYTES, "header of a file of chunks")?);
            let magic = header.u32_be("magic").unwrap_or(0);
            let version = header.u8("version").unwrap_or(0);
            if magic != MAGIC {
                return Err(file.corrupt(0, "not a file of chunks").into());
            }
            if version != VERSION {
                return Err(file
                    .corrupt(4, "a file of chunks of another version than 1")
                    .into());
            }
            files.push(file);
        }
        Ok(Self { dir, files })
    }

    /// The chunk at a reference, its checksum verified.
    pub(super) fn chunk(&mut self, reference: u64) -> Result<(Encoding, &[u8]), BlockError> {
        let offset = reference & u64::from(u32::MAX);
        let path = self.path(reference);
        let fault = |what| super::corrupt(&path, offset, &Corrupt::new(what, 0));
        let file = self.files.get_mut((reference >> 32) as usize);
        let file = file.ok_or_else(|| fault("a file of chunks that the index refers to is missing"))?;
        let start = file.up_to(offset, varint::MAX_LEN as u64, "length of a chunk")?;
        let (length, used) = varint::read_u64(start).ok_or_else(|| fault("length of a chunk"))?;
        let whole = length.checked_add(1 + CHECKSUM_BYTES);
        let whole = whole.ok_or_else(|| fault("length of a chunk"))?;
        let bytes = file.bytes(offset + used as u64, whole, "bytes of a chunk")?;
        let split = bytes.split_last_chunk::<{ CHECKSUM_BYTES as usize }>();
        let (checked, checksum) = split.ok_or_else(|| fault("bytes of a chunk"))?;
        if u32::from_be_bytes(*checksum) != crc32c::crc32c(checked) {
            return Err(fault("checksum of a chunk").into());
        }
        let (encoding, bytes) = checked
            .split_first()
            .ok_or_else(|| fault("encoding of a chunk"))?;
        let encoding = Encoding::from_u8(*encoding)
            .ok_or_else(|| fault("a chunk of a newer encoding than XOR, histogram and float histogram"))?;
        Ok((encoding, bytes))
    }

    /// The file of a reference.
    pub(super) fn path(&self, reference: u64) -> Arc<Path> {
        let number = (reference >> 32) as usize;
        let file = self.files.get(number);
        file.map_or_else(
            || self.dir.join(format!("{:06}", number + 1)).into(),
            |file| file.path().clone(),
        )
    }
}
