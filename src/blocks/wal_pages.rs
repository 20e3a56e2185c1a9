//! One file of Prometheus' log: pages of 32 KiB with records in fragments.
//!
//! A fragment is a type, its length (two bytes), its checksum and its bytes. Types: 0 the rest of the page is empty, 1 a whole
//! record, 2 its first part, 3 one in the middle, 4 the last. 8 or 16 is added when the record is a block of snappy or a frame
//! of zstd.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::BlockError;
use super::window::Window;
use crate::base::bytes::Cursor;
use crate::io::{Fs, FsError};
use std::io::Read;
use std::path::Path;

const PAGE_BYTES: u64 = 32 << 10;
const HEADER_BYTES: u64 = 7;
/// The part of a type that says which part of a record it is.
const KIND: u8 = 7;
const WHOLE: u8 = 1;
const FIRST: u8 = 2;
const LAST: u8 = 4;
const SNAPPY: u8 = 8;
const ZSTD: u8 = 16;
/// A byte of snappy never becomes more.
const SNAPPY_GROWTH_MAX: usize = 64;
/// Longest record that is unpacked.
const RECORD_BYTES_MAX: u64 = 256 << 20;

/// A file of the log, read front to back.
#[derive(Debug)]
pub(super) struct LogFile {
    file: Window,
    offset: u64,
    packed: Vec<u8>,
    unpacked: Vec<u8>,
}

/// What comes next in a file.
#[derive(Debug)]
pub(super) enum Next<'f> {
    /// A record, and where it begins.
    Record(u64, &'f [u8]),
    /// The file ends within a record that begins here.
    Torn(u64),
    End,
}

/// What is at an offset.
enum Fragment {
    /// A fragment of this type.
    Whole(u8),
    /// The beginning of one; the file ends in it.
    Torn,
    /// The end of the file.
    None,
}

impl LogFile {
    pub(super) fn open(fs: &dyn Fs, path: &Path) -> Result<Self, FsError> {
        Ok(Self {
            file: Window::open(fs, path)?,
            offset: 0,
            packed: Vec::new(),
            unpacked: Vec::new(),
        })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.file.file_bytes()
    }

    pub(super) fn next(&mut self) -> Result<Next<'_>, BlockError> {
        self.packed.clear();
        let mut start = None;
        loop {
            let at = self.skip_empty()?;
            let begun = start.unwrap_or(at);
            let flags = match self.fragment(at)? {
                Fragment::Whole(flags) => flags,
                Fragment::None if start.is_none() => return Ok(Next::End),
                Fragment::None | Fragment::Torn => return Ok(Next::Torn(begun)),
            };
            let is_first = matches!(flags & KIND, WHOLE | FIRST);
            if is_first != start.is_none() {
                return Err(self.file.corrupt(at, "order of fragments of the log").into());
            }
            start = Some(begun);
            if matches!(flags & KIND, WHOLE | LAST) {
                return self.unpack(flags, begun);
            }
        }
    }

    /// Goes to where the next fragment begins: a page ends where none fits, or where its type is 0.
    fn skip_empty(&mut self) -> Result<u64, BlockError> {
        loop {
            let left = PAGE_BYTES - self.offset % PAGE_BYTES;
            if left < HEADER_BYTES {
                self.offset += left;
            }
            let at = self.offset;
            let is_empty =
                at < self.file.file_bytes() && self.file.bytes(at, 1, "type of a fragment")? == [0];
            if !is_empty {
                return Ok(at);
            }
            self.skip_page(at)?;
        }
    }

    /// Reads the fragment at an offset, adds its bytes to the record, and returns its type.
    fn fragment(&mut self, at: u64) -> Result<Fragment, BlockError> {
        let file_left = self.file.file_bytes().saturating_sub(at);
        if file_left == 0 {
            return Ok(Fragment::None);
        }
        if file_left < HEADER_BYTES {
            return Ok(Fragment::Torn);
        }
        let what = "a fragment of the log";
        let mut cursor = Cursor::new(self.file.bytes(at, HEADER_BYTES, what)?);
        let flags = cursor.u8(what).unwrap_or(0);
        let length = u64::from(cursor.u16_be(what).unwrap_or(0));
        let checksum = cursor.u32_be(what).unwrap_or(0);
        if flags & !(KIND | SNAPPY | ZSTD) != 0 || !(WHOLE..=LAST).contains(&(flags & KIND)) {
            return Err(self.file.corrupt(at, "type of a fragment of the log").into());
        }
        if length > PAGE_BYTES - at % PAGE_BYTES - HEADER_BYTES {
            let what = "a fragment of the log that is longer than its page";
            return Err(self.file.corrupt(at, what).into());
        }
        if HEADER_BYTES + length > file_left {
            return Ok(Fragment::Torn);
        }
        let bytes = self.file.bytes(at + HEADER_BYTES, length, what)?;
        if crc32c::crc32c(bytes) != checksum {
            return Err(self.file.corrupt(at, "checksum of a fragment of the log").into());
        }
        self.packed.extend_from_slice(bytes);
        self.offset = at + HEADER_BYTES + length;
        Ok(Fragment::Whole(flags))
    }

    /// The rest of a page, which must be empty.
    fn skip_page(&mut self, at: u64) -> Result<(), BlockError> {
        let rest = self
            .file
            .up_to(at, PAGE_BYTES - at % PAGE_BYTES, "rest of a page")?;
        let length = rest.len() as u64;
        match rest.iter().position(|byte| *byte != 0) {
            None => self.offset = at + length,
            Some(place) => {
                let what = "bytes in the empty rest of a page of the log";
                return Err(self.file.corrupt(at + place as u64, what).into());
            }
        }
        Ok(())
    }

    fn unpack(&mut self, flags: u8, start: u64) -> Result<Next<'_>, BlockError> {
        self.unpacked.clear();
        let is_whole = match flags & (SNAPPY | ZSTD) {
            0 => return Ok(Next::Record(start, &self.packed)),
            SNAPPY => self.unpack_snappy().is_some(),
            ZSTD => self.unpack_zstd().is_some(),
            _ => false,
        };
        if !is_whole {
            return Err(self.file.corrupt(start, "a compressed record of the log").into());
        }
        Ok(Next::Record(start, &self.unpacked))
    }

    fn unpack_snappy(&mut self) -> Option<()> {
        let bytes = snap::raw::decompress_len(&self.packed).ok()?;
        (bytes <= self.packed.len().saturating_mul(SNAPPY_GROWTH_MAX)).then_some(())?;
        self.unpacked.resize(bytes, 0);
        let written = snap::raw::Decoder::new()
            .decompress(&self.packed, &mut self.unpacked)
            .ok()?;
        self.unpacked.truncate(written);
        Some(())
    }

    fn unpack_zstd(&mut self) -> Option<()> {
        let decoder = zstd::stream::Decoder::with_buffer(self.packed.as_slice()).ok()?;
        let mut limited = decoder.take(RECORD_BYTES_MAX + 1);
        limited.read_to_end(&mut self.unpacked).ok()?;
        (self.unpacked.len() as u64 <= RECORD_BYTES_MAX).then_some(())
    }
}
