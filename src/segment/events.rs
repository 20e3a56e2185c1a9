//! The small sections: start timestamps, exemplars and metadata.
//!
//! * Start timestamps: per row that has any: row, number of runs, per run timestamp and start timestamp.
//! * Classes: per row that has samples that are not ordinary: row, number, per sample timestamp and class (u8).
//! * Exemplars: per row that has any: row, count, per exemplar timestamp, value, labels (as in a batch record).
//! * Metadata: per metric: name, count, per entry time of arrival, type, help, unit (as in a batch record).
//!
//! Integers are LEB128, times zig-zag; rows and metrics ascend.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use crate::base::bytes::{Corrupt, Cursor};
use crate::base::varint;
use crate::model::exemplar::Exemplar;
use crate::model::metadata::Metadata;
use crate::model::sample::Class;
use crate::model::starts::StartRuns;
use crate::wal::{batch, batch_decode};
use std::collections::BTreeMap;

pub(super) type MetadataByMetric = BTreeMap<String, Vec<(i64, Metadata)>>;

pub(super) fn write_starts(starts: &BTreeMap<u32, StartRuns>) -> Vec<u8> {
    let mut out = Vec::new();
    for (row, runs) in starts {
        varint::write_u64(&mut out, u64::from(*row));
        varint::write_u64(&mut out, runs.as_slice().len() as u64);
        for (timestamp, start_timestamp) in runs.as_slice() {
            varint::write_i64(&mut out, *timestamp);
            varint::write_i64(&mut out, *start_timestamp);
        }
    }
    out
}

pub(super) fn read_starts(section: &[u8]) -> Result<BTreeMap<u32, StartRuns>, Corrupt> {
    let mut cursor = Cursor::new(section);
    let mut starts = BTreeMap::new();
    while !cursor.is_empty() {
        let row = read_row(&mut cursor)?;
        let mut runs = Vec::new();
        for _ in 0..cursor.length(cursor.remaining(), "number of starts")? {
            runs.push((cursor.ivarint("timestamp")?, cursor.ivarint("start timestamp")?));
        }
        starts.insert(row, StartRuns::from_runs(runs));
    }
    Ok(starts)
}

pub(super) type ClassesByRow = BTreeMap<u32, Vec<(i64, Class)>>;

pub(super) fn write_classes(classes: &ClassesByRow) -> Vec<u8> {
    let mut out = Vec::new();
    for (row, classes) in classes {
        varint::write_u64(&mut out, u64::from(*row));
        varint::write_u64(&mut out, classes.len() as u64);
        for (timestamp, class) in classes {
            varint::write_i64(&mut out, *timestamp);
            out.push(*class as u8);
        }
    }
    out
}

pub(super) fn read_classes(section: &[u8]) -> Result<ClassesByRow, Corrupt> {
    let mut cursor = Cursor::new(section);
    let mut all = BTreeMap::new();
    while !cursor.is_empty() {
        let row = read_row(&mut cursor)?;
        let mut classes = Vec::new();
        for _ in 0..cursor.length(cursor.remaining(), "number of classes")? {
            let timestamp = cursor.ivarint("timestamp")?;
            let class = Class::from_u8(cursor.u8("class of a sample")?);
            classes.push((
                timestamp,
                class.ok_or_else(|| cursor.corrupt("class of a sample"))?,
            ));
        }
        all.insert(row, classes);
    }
    Ok(all)
}

/// The section and the number of exemplars in it.
pub(super) fn write_exemplars(rows: impl Iterator<Item = (u32, Vec<Exemplar>)>) -> (u64, Vec<u8>) {
    let (mut count, mut out) = (0, Vec::new());
    for (row, mut exemplars) in rows.filter(|row| !row.1.is_empty()) {
        exemplars.sort_by_key(|exemplar| exemplar.timestamp);
        count += exemplars.len() as u64;
        varint::write_u64(&mut out, u64::from(row));
        varint::write_u64(&mut out, exemplars.len() as u64);
        exemplars
            .iter()
            .for_each(|exemplar| batch::write_exemplar(&mut out, exemplar));
    }
    (count, out)
}

pub(super) fn read_exemplars(section: &[u8]) -> Result<BTreeMap<u32, Vec<Exemplar>>, Corrupt> {
    let mut cursor = Cursor::new(section);
    let mut all = BTreeMap::new();
    while !cursor.is_empty() {
        let row = read_row(&mut cursor)?;
        let count = cursor.length(cursor.remaining(), "number of exemplars")?;
        let exemplars = (0..count).map(|_| batch_decode::read_exemplar(&mut cursor));
        all.insert(row, exemplars.collect::<Result<_, _>>()?);
    }
    Ok(all)
}

pub(super) fn write_metadata(metadata: &MetadataByMetric) -> Vec<u8> {
    let mut out = Vec::new();
    for (metric, entries) in metadata {
        varint::write_bytes(&mut out, metric.as_bytes());
        varint::write_u64(&mut out, entries.len() as u64);
        entries
            .iter()
            .for_each(|(time, entry)| batch::write_metadata(&mut out, *time, entry));
    }
    out
}

pub(super) fn read_metadata(section: &[u8]) -> Result<MetadataByMetric, Corrupt> {
    let mut cursor = Cursor::new(section);
    let mut all = BTreeMap::new();
    while !cursor.is_empty() {
        let metric = cursor.text("metric name")?.to_owned();
        let count = cursor.length(cursor.remaining(), "number of metadata entries")?;
        let entries = (0..count).map(|_| batch_decode::read_metadata(&mut cursor));
        all.insert(metric, entries.collect::<Result<_, _>>()?);
    }
    Ok(all)
}

fn read_row(cursor: &mut Cursor<'_>) -> Result<u32, Corrupt> {
    u32::try_from(cursor.uvarint("row")?).map_err(|_| cursor.corrupt("row"))
}
