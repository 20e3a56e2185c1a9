//! File and record headers of the log, byte by byte.
//!
//! All integers are little-endian. A file begins with the same 64-byte header at offsets 0 and 4096; records follow
//! from offset 8192, each at a multiple of 8.
//!
//! | offset | file header |
//! |---|---|
//! | 0 | magic, 8 bytes: `nrtxwlog` for a log, `nrtxckpt` for a checkpoint |
//! | 8 | u32 version, 1 |
//! | 12 | u32 compatible features: unknown bits may be ignored |
//! | 16 | u32 incompatible features: a file with an unknown bit is refused |
//! | 20 | u32 zero |
//! | 24 | u64 sequence, as in the file's name |
//! | 32 | u64 epoch, unlike that of any other file |
//! | 40 | u64 start LSN |
//! | 48 | u64 number of records in a checkpoint; 0 in a log |
//! | 56 | u64 XXH3 of the 56 bytes before |
//!
//! | offset | record |
//! |---|---|
//! | 0 | u32 header checksum: low half of the seeded XXH3 of bytes 4..32, a 0 stored as 1 |
//! | 4 | u32 payload length |
//! | 8 | u64 payload checksum: seeded XXH3 of payload and padding |
//! | 16 | u64 LSN |
//! | 24 | u32 LSN minus the last LSN known to be durable; `u32::MAX` if that is unknown |
//! | 28 | u8 kind, not 0 |
//! | 29 | 3 bytes zero |
//! | 32 | payload, zero-padded to a multiple of 8 |
//!
//! The seed is made of the file's epoch and the record's offset, so bytes of another file, of an earlier use of the
//! same blocks, or copied into a payload are never a record here. No record begins with eight zero bytes.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::Lsn;
use crate::base::bytes::{Corrupt, Cursor};
use crate::base::hash;

pub(super) const FILE_HEADER_BYTES: usize = 64;

/// Where the file header stands, in different sectors.
pub(super) const FILE_HEADER_OFFSETS: [u64; 2] = [0, 4096];

pub(super) const RECORDS_START: u64 = 8192;

pub(super) const RECORD_HEADER_BYTES: usize = 32;

pub(super) const ALIGNMENT: usize = 8;

/// Largest payload of one record.
pub(crate) const MAX_PAYLOAD_BYTES: usize = 64 << 20;

/// The kind of records that only say which LSN is durable.
pub(super) const KIND_MARK: u8 = u8::MAX;

const VERSION: u32 = 1;
const DISTANCE_UNKNOWN: u32 = u32::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    Log,
    Checkpoint,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileHeader {
    pub(super) kind: FileKind,
    pub(super) sequence: u64,
    pub(super) epoch: u64,
    pub(super) start_lsn: Lsn,
    pub(super) record_count: u64,
}

/// Why a file header was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HeaderFault {
    Corrupt(Corrupt),
    /// The checksum is right, but the version or an incompatible feature is unknown.
    Unsupported,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RecordHeader {
    pub(super) lsn: Lsn,
    /// The last LSN known to be durable when the record was written; 0 if unknown.
    pub(super) durable_lsn: Lsn,
    pub(super) kind: u8,
    pub(super) length: usize,
    payload_checksum: u64,
}

impl From<Corrupt> for HeaderFault {
    fn from(corrupt: Corrupt) -> Self {
        Self::Corrupt(corrupt)
    }
}

impl FileKind {
    fn magic(self) -> [u8; 8] {
        match self {
            Self::Log => *b"nrtxwlog",
            Self::Checkpoint => *b"nrtxckpt",
        }
    }
}

/// A number that no other file of any database has, if the nonce differs at each opening.
pub(super) fn epoch(kind: FileKind, database_id: u128, sequence: u64, nonce: u64) -> u64 {
    let mut bytes = Vec::with_capacity(40);
    bytes.extend_from_slice(&kind.magic());
    bytes.extend_from_slice(&database_id.to_le_bytes());
    bytes.extend_from_slice(&sequence.to_le_bytes());
    bytes.extend_from_slice(&nonce.to_le_bytes());
    hash::checksum(&bytes)
}

fn seed(epoch: u64, offset: u64) -> u64 {
    epoch ^ offset.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl FileHeader {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FILE_HEADER_BYTES);
        out.extend_from_slice(&self.kind.magic());
        for word in [VERSION, 0, 0, 0] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        for word in [self.sequence, self.epoch, self.start_lsn, self.record_count] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        let checksum = hash::checksum(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    pub(super) fn decode(bytes: &[u8], kind: FileKind) -> Result<Self, HeaderFault> {
        let mut cursor = Cursor::new(bytes);
        let covered = bytes.get(..FILE_HEADER_BYTES - 8).unwrap_or(bytes);
        if cursor.take(8, "log file magic")? != kind.magic() {
            return Err(Corrupt::new("log file magic", 0).into());
        }
        let version = cursor.u32("log file version")?;
        cursor.u32("log file features")?;
        let incompatible = cursor.u32("log file features")?;
        cursor.u32("log file header")?;
        let header = Self {
            kind,
            sequence: cursor.u64("log file sequence")?,
            epoch: cursor.u64("log file epoch")?,
            start_lsn: cursor.u64("log file start")?,
            record_count: cursor.u64("log file record count")?,
        };
        if cursor.u64("log file checksum")? != hash::checksum(covered) {
            return Err(cursor.corrupt("log file checksum").into());
        }
        if version != VERSION || incompatible != 0 {
            return Err(HeaderFault::Unsupported);
        }
        Ok(header)
    }
}

/// Bytes of a record with a payload of `length`.
pub(super) fn record_bytes(length: usize) -> usize {
    RECORD_HEADER_BYTES + length.next_multiple_of(ALIGNMENT)
}

/// What a record says besides its payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    pub(super) epoch: u64,
    /// Where in the file the record stands.
    pub(super) offset: u64,
    pub(super) lsn: Lsn,
    pub(super) durable_lsn: Lsn,
    pub(super) kind: u8,
}

/// Replaces `out` with the record.
pub(super) fn encode_record(out: &mut Vec<u8>, stamp: Stamp, payload: &[u8]) {
    let seed = seed(stamp.epoch, stamp.offset);
    let distance = u32::try_from(stamp.lsn.saturating_sub(stamp.durable_lsn)).unwrap_or(DISTANCE_UNKNOWN);
    out.clear();
    out.resize(RECORD_HEADER_BYTES, 0);
    out.extend_from_slice(payload);
    out.resize(record_bytes(payload.len()), 0);
    let Some((header, body)) = out.split_first_chunk_mut::<RECORD_HEADER_BYTES>() else {
        return;
    };
    let fields = [
        u64::from(payload.len() as u32) << 32,
        hash::checksum_seeded(body, seed),
        stamp.lsn,
        u64::from(distance) | u64::from(stamp.kind) << 32,
    ];
    for (target, field) in header.chunks_exact_mut(8).zip(fields) {
        target.copy_from_slice(&field.to_le_bytes());
    }
    let checksum = header_checksum(header, seed);
    for (target, byte) in header.iter_mut().zip(checksum.to_le_bytes()) {
        *target = byte;
    }
}

fn header_checksum(header: &[u8; RECORD_HEADER_BYTES], seed: u64) -> u32 {
    let (_, covered) = header.split_at(4);
    (hash::checksum_seeded(covered, seed) as u32).max(1)
}

impl RecordHeader {
    /// The header at `offset`, or `None` when these bytes are none.
    pub(super) fn decode(bytes: &[u8], epoch: u64, offset: u64) -> Option<Self> {
        let header = bytes.first_chunk::<RECORD_HEADER_BYTES>()?;
        let mut cursor = Cursor::new(header);
        let checksum = cursor.u32("record").ok()?;
        let length = cursor.u32("record").ok()? as usize;
        let payload_checksum = cursor.u64("record").ok()?;
        let lsn = cursor.u64("record").ok()?;
        let distance = cursor.u32("record").ok()?;
        let [kind, 0, 0, 0] = cursor.u32("record").ok()?.to_le_bytes() else {
            return None;
        };
        let is_sane = kind != 0 && lsn != 0 && length <= MAX_PAYLOAD_BYTES;
        if !is_sane || checksum != header_checksum(header, seed(epoch, offset)) {
            return None;
        }
        let durable_lsn = match distance {
            DISTANCE_UNKNOWN => 0,
            distance => lsn.saturating_sub(u64::from(distance)),
        };
        Some(Self {
            lsn,
            durable_lsn,
            kind,
            length,
            payload_checksum,
        })
    }

    /// Bytes of the whole record.
    pub(super) fn record_bytes(&self) -> usize {
        record_bytes(self.length)
    }

    /// The payload within the whole record's bytes, if its checksum is right.
    pub(super) fn payload<'a>(&self, record: &'a [u8], epoch: u64, offset: u64) -> Option<&'a [u8]> {
        let body = record.get(RECORD_HEADER_BYTES..self.record_bytes())?;
        let is_whole = hash::checksum_seeded(body, seed(epoch, offset)) == self.payload_checksum;
        body.get(..self.length).filter(|_| is_whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stamp(offset: u64) -> Stamp {
        Stamp {
            epoch: 77,
            offset,
            lsn: 9,
            durable_lsn: 4,
            kind: 3,
        }
    }

    #[test]
    fn a_file_header_comes_back_and_any_flipped_bit_is_noticed() {
        let header = FileHeader {
            kind: FileKind::Log,
            sequence: 5,
            epoch: epoch(FileKind::Log, 1, 5, 2),
            start_lsn: 100,
            record_count: 0,
        };
        let bytes = header.encode();
        assert_eq!(bytes.len(), FILE_HEADER_BYTES);
        assert_eq!(FileHeader::decode(&bytes, FileKind::Log), Ok(header));
        assert!(FileHeader::decode(&bytes, FileKind::Checkpoint).is_err());
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(
                FileHeader::decode(&bytes, FileKind::Log),
                Err(HeaderFault::Corrupt(_))
            ));
        }
    }

    #[test]
    fn an_unknown_incompatible_feature_is_refused_and_a_compatible_one_is_not() {
        let header = FileHeader {
            kind: FileKind::Checkpoint,
            sequence: 5,
            epoch: 3,
            start_lsn: 100,
            record_count: 7,
        };
        for (offset, is_taken) in [(8, false), (12, true), (16, false)] {
            let mut bytes = header.encode();
            bytes[offset] |= 0x80;
            let checksum = hash::checksum(&bytes[..56]);
            bytes[56..].copy_from_slice(&checksum.to_le_bytes());
            let decoded = FileHeader::decode(&bytes, FileKind::Checkpoint);
            assert_eq!(decoded.is_ok(), is_taken);
            assert_eq!(decoded == Err(HeaderFault::Unsupported), !is_taken);
        }
    }

    #[test]
    fn a_record_is_valid_at_its_place_only() {
        let mut bytes = Vec::new();
        encode_record(&mut bytes, stamp(8192), b"payload");
        assert_eq!(bytes.len(), 40);
        let header = RecordHeader::decode(&bytes, 77, 8192).unwrap();
        assert_eq!((header.lsn, header.durable_lsn, header.kind), (9, 4, 3));
        assert_eq!(header.payload(&bytes, 77, 8192), Some(&b"payload"[..]));
        assert_eq!(RecordHeader::decode(&bytes, 78, 8192), None);
        assert_eq!(RecordHeader::decode(&bytes, 77, 8200), None);
        assert_eq!(header.payload(&bytes, 77, 8200), None);
        assert_eq!(RecordHeader::decode(&[0; 64], 77, 0), None);
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let header = RecordHeader::decode(&bytes, 77, 8192);
            assert_eq!(header.and_then(|header| header.payload(&bytes, 77, 8192)), None);
        }
    }

    #[test]
    fn a_distance_that_does_not_fit_claims_nothing() {
        let mut bytes = Vec::new();
        let far = Stamp {
            lsn: 1 << 40,
            ..stamp(8192)
        };
        encode_record(&mut bytes, far, b"");
        assert_eq!(RecordHeader::decode(&bytes, 77, 8192).unwrap().durable_lsn, 0);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_no_record(bytes: Vec<u8>, epoch: u64, offset: u64) {
            prop_assert_eq!(RecordHeader::decode(&bytes, epoch, offset), None);
            prop_assert!(FileHeader::decode(&bytes, FileKind::Log).is_err());
        }
    }
}
