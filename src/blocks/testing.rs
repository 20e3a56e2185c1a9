//! Writes what this crate only reads, Prometheus' log, for tests and fuzzers.

use crate::base::varint;
use crate::io::{Fs, FsError};
use std::path::Path;

const PAGE_BYTES: usize = 32 << 10;
const HEADER_BYTES: usize = 7;

/// How records are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    Plain,
    Snappy,
    Zstd,
}

/// A file of the log with these records.
pub(crate) fn log_file(records: &[Vec<u8>], packing: Packing) -> Vec<u8> {
    let mut file = Vec::new();
    for record in records {
        let (flag, packed) = match packing {
            Packing::Plain => (0, record.clone()),
            Packing::Snappy => {
                let mut encoder = snap::raw::Encoder::new();
                (8, encoder.compress_vec(record).expect("BUG: snappy compresses"))
            }
            Packing::Zstd => {
                let packed = zstd::stream::encode_all(record.as_slice(), 1);
                (16, packed.expect("BUG: zstd compresses"))
            }
        };
        add_fragments(&mut file, flag, &packed);
    }
    file
}

fn add_fragments(file: &mut Vec<u8>, flag: u8, mut packed: &[u8]) {
    let mut is_first = true;
    loop {
        let mut left = PAGE_BYTES - file.len() % PAGE_BYTES;
        if left < HEADER_BYTES {
            file.resize(file.len() + left, 0);
            left = PAGE_BYTES;
        }
        let (part, rest) = packed.split_at(packed.len().min(left - HEADER_BYTES));
        let kind = match (is_first, rest.is_empty()) {
            (true, true) => 1,
            (true, false) => 2,
            (false, false) => 3,
            (false, true) => 4,
        };
        file.push(kind | flag);
        file.extend_from_slice(&(part.len() as u16).to_be_bytes());
        file.extend_from_slice(&crc32c::crc32c(part).to_be_bytes());
        file.extend_from_slice(part);
        packed = rest;
        is_first = false;
        if packed.is_empty() {
            return;
        }
    }
}

/// A record that numbers a series.
pub(crate) fn series_record(number: u64, labels: &[(&str, &str)]) -> Vec<u8> {
    let mut record = vec![1];
    record.extend_from_slice(&number.to_be_bytes());
    add_labels(&mut record, labels);
    record
}

fn add_labels(record: &mut Vec<u8>, labels: &[(&str, &str)]) {
    varint::write_u64(record, labels.len() as u64);
    for text in labels.iter().flat_map(|label| [label.0, label.1]) {
        varint::write_bytes(record, text.as_bytes());
    }
}

/// A record of floats: number of the series, timestamp, value.
pub(crate) fn floats_record(samples: &[(u64, i64, f64)]) -> Vec<u8> {
    let mut record = vec![2];
    let first = samples[0];
    record.extend_from_slice(&first.0.to_be_bytes());
    record.extend_from_slice(&first.1.to_be_bytes());
    for sample in samples {
        varint::write_i64(&mut record, sample.0.wrapping_sub(first.0) as i64);
        varint::write_i64(&mut record, sample.1 - first.1);
        record.extend_from_slice(&sample.2.to_bits().to_be_bytes());
    }
    record
}

/// A record of floats with start timestamps, the second version: number of the series, timestamp, start, value.
pub(crate) fn started_floats_record(samples: &[(u64, i64, i64, f64)]) -> Vec<u8> {
    let mut record = vec![11];
    let first = samples[0];
    let mut last: Option<(u64, i64)> = None;
    for sample in samples {
        match last {
            None => {
                varint::write_i64(&mut record, sample.0 as i64);
                varint::write_i64(&mut record, sample.1);
                varint::write_i64(&mut record, sample.2);
            }
            Some((number, start)) => {
                varint::write_i64(&mut record, sample.0.wrapping_sub(number) as i64);
                varint::write_i64(&mut record, sample.1 - first.1);
                match sample.2 {
                    0 => record.push(0),
                    same if same == start => record.push(1),
                    other => {
                        record.push(2);
                        varint::write_i64(&mut record, other - first.2);
                    }
                }
            }
        }
        record.extend_from_slice(&sample.3.to_bits().to_be_bytes());
        last = Some((sample.0, sample.2));
    }
    record
}

/// A record of one deletion.
pub(crate) fn deletion_record(number: u64, first: i64, last: i64) -> Vec<u8> {
    let mut record = vec![3];
    record.extend_from_slice(&number.to_be_bytes());
    varint::write_i64(&mut record, first);
    varint::write_i64(&mut record, last);
    record
}

/// A record of one exemplar.
pub(crate) fn exemplar_record(number: u64, time: i64, value: f64, labels: &[(&str, &str)]) -> Vec<u8> {
    let mut record = floats_record(&[(number, time, value)]);
    record[0] = 4;
    add_labels(&mut record, labels);
    record
}

/// A record of what is known of a metric.
pub(crate) fn metadata_record(number: u64, kind: u8, unit: &str, help: &str) -> Vec<u8> {
    let mut record = vec![6];
    varint::write_u64(&mut record, number);
    record.push(kind);
    varint::write_u64(&mut record, 2);
    for text in ["UNIT", unit, "HELP", help] {
        varint::write_bytes(&mut record, text.as_bytes());
    }
    record
}

/// A record of one float histogram with custom buckets.
pub(crate) fn histogram_record(number: u64, time: i64) -> Vec<u8> {
    let mut record = floats_record(&[(number, time, 0.0)]);
    record[0] = 10;
    record.truncate(record.len() - 8);
    record.push(0);
    varint::write_i64(&mut record, -53);
    for number in [0.0, 0.0, 3.5, 12.25] {
        record.extend_from_slice(&f64::to_bits(number).to_be_bytes());
    }
    for number in [1, 0, 2, 0, 2] {
        record.push(number);
    }
    for number in [1.0, 2.5] {
        record.extend_from_slice(&f64::to_bits(number).to_be_bytes());
    }
    record.push(0);
    record.push(2);
    for bound in [0.5, 1.0] {
        record.extend_from_slice(&f64::to_bits(bound).to_be_bytes());
    }
    record
}

/// Makes a file with its folder.
pub(crate) fn put(fs: &dyn Fs, path: &Path, bytes: &[u8]) -> Result<(), FsError> {
    fs.create_dir_all(path.parent().unwrap_or(Path::new("")))?;
    fs.create_new(path)?.write_at(0, bytes)
}
