//! Decoders of Prometheus' own files. Where a checksum would stop a changed file at the door, it is tried once more with its
//! checksums made right.

use crate::base::varint;
use crate::blocks::testing::{
    Packing, deletion_record, exemplar_record, floats_record, histogram_record, log_file, metadata_record,
    put, series_record, started_floats_record,
};
use crate::blocks::{
    Block, BlockError, BlockMeta, BlockSeries, BlockWriter, ChunkBytes, Log, Tombstones, Ulid, decode_parts,
    decode_record,
};
use crate::chunk::{Encoding, XorAppender};
use crate::io::{Fs, SimFs, read_file};
use crate::model::labels::Labels;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const ULID: Ulid = Ulid(7);
const FRAGMENT_HEADER_BYTES: usize = 7;
const PAGE_BYTES: usize = 32 << 10;

/// A small block; its bytes are written by what reads them here.
fn block() -> (Arc<dyn Fs>, PathBuf) {
    let fs: Arc<dyn Fs> = Arc::new(SimFs::new());
    let write = || -> Result<(), BlockError> {
        let mut writer = BlockWriter::create(&fs, Path::new("out"), ULID, (0, 1_000_000))?;
        for number in ["1", "2", "3"] {
            let mut chunk = XorAppender::default();
            (0..20).for_each(|tick| chunk.append(tick * 1_000, tick as u64));
            let labels = Labels::from_pairs([("__name__", "m"), ("n", number)]).expect("BUG: valid labels");
            let chunk = ChunkBytes {
                time_min: 0,
                time_max: 19_000,
                encoding: Encoding::Xor,
                bytes: chunk.complete(),
            };
            writer.add(labels.as_ref(), [chunk])?;
        }
        writer.complete()?;
        writer.finish().map(|_| ())
    };
    write().expect("BUG: a disk in memory takes a block");
    (fs, Path::new("out").join(ULID.to_string()))
}

/// An index beside sound chunks: opened, checked and read.
pub fn block_index(bytes: &[u8]) {
    read_index(bytes);
    let mut resealed = bytes.to_vec();
    if let Some((content, checksum)) = resealed.split_last_chunk_mut::<4>()
        && let Some(contents) = content.last_chunk::<48>()
    {
        *checksum = crc32c::crc32c(contents).to_be_bytes();
        read_index(&resealed);
    }
}

fn read_index(bytes: &[u8]) {
    let (fs, dir) = block();
    let path = dir.join("index");
    if fs.remove(&path).is_err() || put(&*fs, &path, bytes).is_err() {
        return;
    }
    let Ok(mut block) = Block::open(&*fs, &dir) else {
        return;
    };
    let _ = block.check();
    let mut series = BlockSeries::default();
    while let Ok(true) = block.next_into(&mut series) {}
}

pub(super) fn indexes() -> Vec<Vec<u8>> {
    let (fs, dir) = block();
    vec![read_file(&*fs, &dir.join("index")).expect("BUG: a block has an index")]
}

/// The description of a block.
pub fn block_meta(bytes: &[u8]) {
    let _ = BlockMeta::decode(bytes);
}

pub(super) fn metas() -> Vec<Vec<u8>> {
    let (fs, dir) = block();
    vec![read_file(&*fs, &dir.join("meta.json")).expect("BUG: a block has a description")]
}

/// The symbols of an index and a series that refers to them: the length of the first (one byte), then both.
pub fn block_series(bytes: &[u8]) {
    let Some((length, bytes)) = bytes.split_first() else {
        return;
    };
    if let Some((symbols, series)) = bytes.split_at_checked(usize::from(*length)) {
        let _ = decode_parts(symbols, series);
    }
}

pub(super) fn series() -> Vec<Vec<u8>> {
    let mut symbols = 3u32.to_be_bytes().to_vec();
    for text in ["", "__name__", "up"] {
        varint::write_bytes(&mut symbols, text.as_bytes());
    }
    let mut seed = vec![symbols.len() as u8];
    seed.extend_from_slice(&symbols);
    for number in [1, 1, 2, 2, 10, 5, 8, 1, 3, 40] {
        varint::write_u64(&mut seed, number);
    }
    vec![seed]
}

/// Deletions of a block.
pub fn block_tombstones(bytes: &[u8]) {
    let _ = Tombstones::decode(bytes);
    let Some((content, _)) = bytes.split_last_chunk::<4>() else {
        return;
    };
    let checksum = crc32c::crc32c(content.get(5..).unwrap_or(&[]));
    let mut resealed = content.to_vec();
    resealed.extend_from_slice(&checksum.to_be_bytes());
    if let Ok(tombstones) = Tombstones::decode(&resealed) {
        let _ = tombstones.of(1);
    }
}

pub(super) fn tombstones() -> Vec<Vec<u8>> {
    let mut file = vec![0x01, 0x30, 0xba, 0x30, 1];
    for (series, first, last) in [(1, -5, 9), (4, 0, 1 << 40)] {
        varint::write_u64(&mut file, series);
        varint::write_i64(&mut file, first);
        varint::write_i64(&mut file, last);
    }
    let checksum = crc32c::crc32c(&file[5..]);
    file.extend_from_slice(&checksum.to_be_bytes());
    vec![file]
}

/// A file of Prometheus' log.
pub fn log_pages(bytes: &[u8]) {
    read_log(bytes);
    let mut resealed = bytes.to_vec();
    reseal_log(&mut resealed);
    if resealed != bytes {
        read_log(&resealed);
    }
}

fn read_log(bytes: &[u8]) {
    let fs = SimFs::new();
    if put(&fs, Path::new("wal/00000000"), bytes).is_err() {
        return;
    }
    let Ok(log) = Log::find(&fs, Path::new("wal")) else {
        return;
    };
    let _ = log.read(&fs, true, |_, _| Ok::<_, BlockError>(()));
}

/// Makes the checksums of fragments right, as far as they follow each other.
fn reseal_log(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some(header) = bytes.get(at..at + FRAGMENT_HEADER_BYTES) {
        let left = PAGE_BYTES - at % PAGE_BYTES;
        if header[0] == 0 || left < FRAGMENT_HEADER_BYTES {
            at += left;
            continue;
        }
        let length = usize::from(u16::from_be_bytes([header[1], header[2]]));
        let from = at + FRAGMENT_HEADER_BYTES;
        let Some(content) = bytes.get(from..from + length) else {
            return;
        };
        let checksum = crc32c::crc32c(content).to_be_bytes();
        bytes[at + 3..from].copy_from_slice(&checksum);
        at = from + length;
    }
}

/// A record of Prometheus' log.
pub fn log_record(bytes: &[u8]) {
    let _ = decode_record(bytes);
}

pub(super) fn records() -> Vec<Vec<u8>> {
    vec![
        series_record(2, &[("__name__", "a"), ("b", "c")]),
        floats_record(&[(2, 1_000, 1.5), (3, 900, f64::NAN)]),
        started_floats_record(&[(2, 5, 3, 1.0), (3, 6, 3, 2.0), (2, 7, 0, 3.0), (2, 8, 9, 4.0)]),
        histogram_record(2, 2_000),
        exemplar_record(2, 2_000, 7.0, &[("trace", "x")]),
        metadata_record(2, 1, "s", "Help."),
        deletion_record(2, -5, 5),
    ]
}

pub(super) fn logs() -> Vec<Vec<u8>> {
    [Packing::Plain, Packing::Snappy, Packing::Zstd]
        .map(|packing| log_file(&records(), packing))
        .to_vec()
}
