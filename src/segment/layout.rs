//! The outer form of a segment file.
//!
//! ```text
//! header    64 bytes
//! body      data blobs, then sections
//! table     40 bytes per section
//! footer    32 bytes
//! ```
//!
//! Header: magic `NTHXSEG1`, u32 version, u32 compatible features, u32 incompatible features, 36 bytes zero, u64
//! checksum of the 56 bytes before. A reader refuses a version or an incompatible feature that it does not know.
//!
//! Table entry: u16 kind, u8 flags (bit 0: a reader that does not know the kind must refuse the file), u8 compressor,
//! u32 zero, u64 offset, u64 stored length, u64 raw length, u64 checksum of the stored bytes.
//!
//! Footer: u64 offset of the table, u32 number of sections, u32 zero, u64 checksum of the table and of the 16 bytes
//! before, magic.
//!
//! Data blob: u8 compressor, u32 raw length, u64 checksum of the stored bytes, seeded with the blob's
//! offset XOR raw length << 32 XOR compressor << 24; then the stored bytes. The length of a blob stands where it is referred to.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::compress::{Compressor, RAW_BYTES_MAX};
use crate::base::bytes::{Corrupt, Cursor};
use crate::base::hash;

pub(crate) const MAGIC: [u8; 8] = *b"NTHXSEG1";
pub(crate) const VERSION: u32 = 1;
pub(crate) const HEADER_BYTES: usize = 64;
pub(crate) const ENTRY_BYTES: usize = 40;
pub(crate) const FOOTER_BYTES: usize = 32;
/// Bytes before the stored bytes of a blob.
pub(crate) const BLOB_HEAD_BYTES: usize = 13;
const SECTIONS_MAX: usize = 256;
/// Not damage: the file says so itself.
pub(crate) const NEWER: &str = "segment of a newer version";

/// What a section holds. Numbers are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum SectionKind {
    Meta = 1,
    Symbols = 2,
    Series = 3,
    Postings = 4,
    Hashes = 5,
    Bounds = 6,
    Places = 7,
    Slices = 8,
    Histograms = 9,
    Starts = 10,
    Exemplars = 11,
    Metadata = 12,
    Classes = 13,
    Sketch = 14,
    Windows = 15,
}

impl SectionKind {
    /// Whether a reader that does not know the kind must refuse the file.
    pub(crate) fn is_required(self) -> bool {
        self != Self::Sketch
    }
}

/// One entry of the section table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) kind: u16,
    pub(crate) required: bool,
    pub(crate) compressor: Compressor,
    pub(crate) offset: u64,
    pub(crate) stored_length: u64,
    pub(crate) raw_length: u64,
    pub(crate) checksum: u64,
}

pub(crate) fn header() -> [u8; HEADER_BYTES] {
    let mut bytes = Vec::with_capacity(HEADER_BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.resize(HEADER_BYTES - 8, 0);
    bytes.extend_from_slice(&hash::checksum(&bytes).to_le_bytes());
    bytes.try_into().expect("BUG: a header has 64 bytes")
}

pub(crate) fn check_header(bytes: &[u8]) -> Result<(), Corrupt> {
    let mut cursor = Cursor::new(bytes);
    if cursor.take(MAGIC.len(), "segment header")? != MAGIC {
        return Err(Corrupt::new("not a segment: wrong magic", 0));
    }
    let version = cursor.u32("segment version")?;
    let _compatible = cursor.u32("segment features")?;
    let incompatible = cursor.u32("segment features")?;
    cursor.take(HEADER_BYTES - 8 - cursor.position(), "segment header")?;
    let covered = bytes.get(..HEADER_BYTES - 8).unwrap_or(&[]);
    if cursor.u64("segment header")? != hash::checksum(covered) {
        return Err(Corrupt::new("checksum of the segment header", 0));
    }
    if version != VERSION || incompatible != 0 {
        return Err(Corrupt::new(NEWER, 8));
    }
    Ok(())
}

/// The table and the footer.
pub(crate) fn write_table(sections: &[Section], table_offset: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for section in sections {
        out.extend_from_slice(&section.kind.to_le_bytes());
        out.push(u8::from(section.required));
        out.push(section.compressor as u8);
        out.extend_from_slice(&[0; 4]);
        for field in [
            section.offset,
            section.stored_length,
            section.raw_length,
            section.checksum,
        ] {
            out.extend_from_slice(&field.to_le_bytes());
        }
    }
    out.extend_from_slice(&table_offset.to_le_bytes());
    out.extend_from_slice(&(sections.len() as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    let checksum = hash::checksum(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out.extend_from_slice(&MAGIC);
    out
}

/// Offset and length of the table and footer, from the footer.
pub(crate) fn table_place(footer: &[u8], file_length: u64) -> Result<(u64, usize), Corrupt> {
    let mut cursor = Cursor::new(footer);
    let offset = cursor.u64("segment footer")?;
    let count = cursor.u32("segment footer")? as usize;
    if footer.get(FOOTER_BYTES - MAGIC.len()..) != Some(&MAGIC) || count > SECTIONS_MAX {
        return Err(Corrupt::new("segment footer", 0));
    }
    let length = count * ENTRY_BYTES + FOOTER_BYTES;
    if offset.checked_add(length as u64) != Some(file_length) {
        return Err(Corrupt::new("place of the section table", 0));
    }
    Ok((offset, length))
}

/// The sections, from the table with its footer.
pub(crate) fn read_table(bytes: &[u8], table_offset: u64) -> Result<Vec<Section>, Corrupt> {
    let covered = bytes.len().saturating_sub(16);
    let mut checksum = Cursor::new(bytes.get(covered..).unwrap_or(&[]));
    if checksum.u64("segment footer")? != hash::checksum(bytes.get(..covered).unwrap_or(&[])) {
        return Err(Corrupt::new("checksum of the section table", 0));
    }
    let mut cursor = Cursor::new(
        bytes
            .get(..bytes.len().saturating_sub(FOOTER_BYTES))
            .unwrap_or(&[]),
    );
    let mut sections = Vec::new();
    while !cursor.is_empty() {
        let section = read_entry(&mut cursor)?;
        let end = section.offset.checked_add(section.stored_length);
        if end.is_none_or(|end| end > table_offset) || section.raw_length > RAW_BYTES_MAX as u64 {
            return Err(cursor.corrupt("place of a section"));
        }
        if section.required && !is_known(section.kind) {
            return Err(cursor.corrupt("segment needs a section that this version does not know"));
        }
        sections.push(section);
    }
    Ok(sections)
}

fn is_known(kind: u16) -> bool {
    (SectionKind::Meta as u16..=SectionKind::Windows as u16).contains(&kind)
}

fn read_entry(cursor: &mut Cursor<'_>) -> Result<Section, Corrupt> {
    let kind = cursor.u16("section kind")?;
    let required = cursor.u8("section flags")? & 1 != 0;
    let compressor = Compressor::from_u8(cursor.u8("section compressor")?);
    let compressor = compressor.ok_or_else(|| cursor.corrupt("section compressor"))?;
    cursor.u32("section padding")?;
    Ok(Section {
        kind,
        required,
        compressor,
        offset: cursor.u64("section offset")?,
        stored_length: cursor.u64("section length")?,
        raw_length: cursor.u64("section raw length")?,
        checksum: cursor.u64("section checksum")?,
    })
}

/// The checksum of a blob also covers where it stands and the bytes before it.
fn blob_seed(offset: u64, compressor: Compressor, raw_length: usize) -> u64 {
    offset ^ (raw_length as u64) << 32 ^ (compressor as u64) << 24
}

/// A data blob that will stand at `offset`.
pub(crate) fn write_blob(raw: &[u8], compressor: Compressor, offset: u64, out: &mut Vec<u8>) {
    let compressed;
    let (used, stored) = match compressor {
        Compressor::None => (Compressor::None, raw),
        _ => {
            compressed = compressor.compress(raw);
            (compressed.0, compressed.1.as_slice())
        }
    };
    out.push(used as u8);
    out.extend_from_slice(&(raw.len() as u32).to_le_bytes());
    let seed = blob_seed(offset, used, raw.len());
    out.extend_from_slice(&hash::checksum_seeded(stored, seed).to_le_bytes());
    out.extend_from_slice(stored);
}

/// The parts of a blob: compressor, raw length and stored bytes. The checksum is compared if `verify` is set.
pub(crate) fn read_blob(
    bytes: &[u8],
    offset: u64,
    verify: bool,
) -> Result<(Compressor, usize, &[u8]), Corrupt> {
    let mut cursor = Cursor::new(bytes);
    let compressor = Compressor::from_u8(cursor.u8("blob compressor")?);
    let compressor = compressor.ok_or_else(|| cursor.corrupt("blob compressor"))?;
    let raw_length = cursor.u32("blob length")? as usize;
    let checksum = cursor.u64("blob checksum")?;
    let stored = cursor.rest();
    if verify && checksum != hash::checksum_seeded(stored, blob_seed(offset, compressor, raw_length)) {
        return Err(Corrupt::new("checksum of a data blob", 0));
    }
    if compressor == Compressor::None && raw_length != stored.len() {
        return Err(Corrupt::new("length of a data blob", 1));
    }
    Ok((compressor, raw_length, stored))
}
