//! What a segment says of itself, in binary, behind a [`MetaSerializer`].

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use crate::base::bytes::{Corrupt, Cursor};
use crate::base::hash;
use crate::base::varint;
use crate::model::labels::{Labels, LabelsRef};
use crate::model::matcher::Matcher;
use crate::wal::deletion;

/// A segment's identity, ranges and counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentMeta {
    /// Unique over all databases.
    pub ulid: u128,
    /// The database that wrote it.
    pub writer_id: u128,
    /// Labels that hold for every series of the database.
    pub external_labels: Labels,
    /// 0 for a flushed head, higher for merged segments.
    pub level: u8,
    /// The ULIDs of the flushed segments that it was made of.
    pub sources: Vec<u128>,
    /// Distance of the samples if they are windows, 0 for samples as they came.
    pub resolution: i64,
    /// Smallest timestamp of samples and exemplars.
    pub time_min: i64,
    /// Largest timestamp of samples and exemplars.
    pub time_max: i64,
    /// First log record in it.
    pub lsn_first: u64,
    /// Last log record in it.
    pub lsn_last: u64,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
    /// Number of series.
    pub series: u64,
    /// Number of floats.
    pub floats: u64,
    /// Number of histograms.
    pub histograms: u64,
    /// Number of exemplars.
    pub exemplars: u64,
}

/// What a segment says whose rows have windows instead of samples, in several columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Windows {
    pub(crate) columns: u32,
    /// Before the first window.
    pub(crate) from: i64,
    /// The end of the last window.
    pub(crate) to: i64,
    /// It is about the series that match all of one of these sets, or about all series if there are none.
    pub(crate) matchers: Vec<Vec<Matcher>>,
}

/// More than any segment has.
const COLUMNS_MAX: u32 = 64;

impl Windows {
    /// A number that tells from others what it is about.
    pub(crate) fn rule(matchers: &[Vec<Matcher>]) -> u64 {
        let mut bytes = Vec::new();
        write_sets(&mut bytes, matchers);
        hash::checksum(&bytes)
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.columns.to_le_bytes().to_vec();
        out.extend_from_slice(&self.from.to_le_bytes());
        out.extend_from_slice(&self.to.to_le_bytes());
        write_sets(&mut out, &self.matchers);
        out
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, Corrupt> {
        let mut cursor = Cursor::new(bytes);
        let mut windows = Self {
            columns: cursor.u32("number of columns")?,
            from: cursor.i64("start of the windows")?,
            to: cursor.i64("end of the windows")?,
            matchers: Vec::new(),
        };
        let sets = cursor.length(cursor.remaining(), "number of sets of matchers")?;
        for _ in 0..sets {
            windows.matchers.push(deletion::read_matchers(&mut cursor)?);
        }
        if !(1..=COLUMNS_MAX).contains(&windows.columns) {
            return Err(Corrupt::new("number of columns", 0));
        }
        Ok(windows)
    }
}

fn write_sets(out: &mut Vec<u8>, sets: &[Vec<Matcher>]) {
    varint::write_u64(out, sets.len() as u64);
    sets.iter().for_each(|set| deletion::write_matchers(out, set));
}

/// Puts a segment's metadata into bytes and back.
pub trait MetaSerializer {
    /// The bytes of `meta`.
    fn serialize(&self, meta: &SegmentMeta) -> Vec<u8>;
    /// The metadata in `bytes`.
    fn deserialize(&self, bytes: &[u8]) -> Result<SegmentMeta, Corrupt>;
}

/// The form of version 1: integers as LEB128, times zig-zag, identities as 16 bytes, in the order of the fields.
#[derive(Debug, Default, Clone, Copy)]
pub struct BinaryMetaSerializer;

const SOURCES_MAX: usize = 1 << 20;

impl MetaSerializer for BinaryMetaSerializer {
    fn serialize(&self, meta: &SegmentMeta) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&meta.ulid.to_le_bytes());
        out.extend_from_slice(&meta.writer_id.to_le_bytes());
        varint::write_bytes(&mut out, meta.external_labels.as_bytes());
        out.push(meta.level);
        varint::write_u64(&mut out, meta.sources.len() as u64);
        for source in &meta.sources {
            out.extend_from_slice(&source.to_le_bytes());
        }
        for time in [meta.resolution, meta.time_min, meta.time_max] {
            varint::write_i64(&mut out, time);
        }
        varint::write_u64(&mut out, meta.lsn_first);
        varint::write_u64(&mut out, meta.lsn_last);
        varint::write_i64(&mut out, meta.created_ms);
        for count in [meta.series, meta.floats, meta.histograms, meta.exemplars] {
            varint::write_u64(&mut out, count);
        }
        out
    }

    fn deserialize(&self, bytes: &[u8]) -> Result<SegmentMeta, Corrupt> {
        let mut cursor = Cursor::new(bytes);
        let ulid = cursor.u128("ULID")?;
        let writer_id = cursor.u128("writer id")?;
        let labels = LabelsRef::check(cursor.length_prefixed("external labels")?)?;
        let external_labels = Labels::from_canonical(labels.as_bytes());
        let level = cursor.u8("level")?;
        let count = cursor.length((cursor.remaining() / 16).min(SOURCES_MAX), "number of sources")?;
        let sources = (0..count)
            .map(|_| cursor.u128("source"))
            .collect::<Result<_, _>>()?;
        Ok(SegmentMeta {
            ulid,
            writer_id,
            external_labels,
            level,
            sources,
            resolution: cursor.ivarint("resolution")?,
            time_min: cursor.ivarint("smallest timestamp")?,
            time_max: cursor.ivarint("largest timestamp")?,
            lsn_first: cursor.uvarint("first LSN")?,
            lsn_last: cursor.uvarint("last LSN")?,
            created_ms: cursor.ivarint("time of creation")?,
            series: cursor.uvarint("number of series")?,
            floats: cursor.uvarint("number of floats")?,
            histograms: cursor.uvarint("number of histograms")?,
            exemplars: cursor.uvarint("number of exemplars")?,
        })
    }
}

/// A ULID as its 26 characters.
pub(crate) fn ulid_text(ulid: u128) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let digit = |place: u32| {
        ALPHABET
            .get((ulid >> (5 * place)) as usize & 31)
            .copied()
            .unwrap_or(b'0')
    };
    (0..26).rev().map(|place| char::from(digit(place))).collect()
}

/// A ULID for `created_ms`, its lower 80 bits from a hash of what makes it unique.
pub(crate) fn make_ulid(created_ms: i64, unique: &[u8]) -> u128 {
    let time = (created_ms.max(0) as u128) & ((1 << 48) - 1);
    time << 80 | crate::base::hash::hash_128(unique) & ((1 << 80) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_comes_back() {
        let meta = SegmentMeta {
            ulid: make_ulid(1_700_000_000_000, b"x"),
            writer_id: 7,
            external_labels: crate::labels! { "cluster" => "a" },
            level: 2,
            sources: vec![1, 2],
            resolution: 0,
            time_min: -5,
            time_max: i64::MAX,
            lsn_first: 1,
            lsn_last: 99,
            created_ms: 1_700_000_000_000,
            series: 3,
            floats: 4,
            histograms: 5,
            exemplars: 6,
        };
        let bytes = BinaryMetaSerializer.serialize(&meta);
        assert_eq!(BinaryMetaSerializer.deserialize(&bytes), Ok(meta));
        for end in 0..bytes.len() {
            assert!(BinaryMetaSerializer.deserialize(&bytes[..end]).is_err());
        }
    }

    #[test]
    fn ulids_sort_by_time() {
        let text = ulid_text(make_ulid(1_700_000_000_000, b"a"));
        assert_eq!(text.len(), 26);
        assert!(text < ulid_text(make_ulid(1_700_000_000_001, b"b")));
    }
}
