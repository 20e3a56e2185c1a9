//! Blocks that are written and read again, byte by byte damaged; logs of every packing.

use super::testing::{
    Packing, deletion_record, exemplar_record, floats_record, histogram_record, log_file, metadata_record,
    put, series_record, started_floats_record,
};
use super::wal_read::Log;
use super::*;
use crate::chunk::{Encoding, HistogramAppender, XorAppender, first_header};
use crate::io::{Fs, SimFs, read_file};
use crate::model::histogram::{Counts, Histogram, ResetHint, Span};
use crate::model::labels::Labels;
use crate::model::sample::STALE_NAN_BITS;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const ULID: Ulid = Ulid(0x0190_0000_0000_1234_5678_9abc_def0_1234);

/// First and last timestamp, encoding and bytes.
type Chunk = (i64, i64, Encoding, Vec<u8>);
type Samples = (Vec<(i64, u64)>, Vec<(i64, Histogram)>);

fn labels(number: usize) -> Labels {
    let number = format!("{number:04}");
    let pairs = [("__name__", "metric"), ("number", &number), ("ünïcode", "wért")];
    Labels::from_pairs(pairs).unwrap()
}

fn histogram(count: u64) -> Histogram {
    Histogram {
        reset_hint: ResetHint::Unknown,
        schema: 1,
        zero_threshold: 0.001,
        sum: count as f64,
        positive_spans: vec![Span { offset: 0, length: 1 }],
        negative_spans: Vec::new(),
        custom_values: Vec::new(),
        counts: Counts::Int {
            count,
            zero_count: 0,
            positive: vec![count as i64],
            negative: Vec::new(),
        },
    }
}

/// A chunk of floats, and one of histograms behind a reset.
fn chunks(number: usize) -> ([Chunk; 2], Samples) {
    let mut floats = Vec::new();
    let mut xor = XorAppender::new();
    for tick in 0..100 {
        let time = tick * 15_000 + number as i64;
        let bits = match tick {
            7 => STALE_NAN_BITS,
            8 => f64::NAN.to_bits() | 0x77,
            9 => f64::NEG_INFINITY.to_bits(),
            _ => (tick as f64 * 0.1 + number as f64).to_bits(),
        };
        xor.append(time, bits);
        floats.push((time, bits));
    }
    let mut first = histogram(5);
    first.reset_hint = ResetHint::Reset;
    let header = first_header(&first);
    let mut appender = HistogramAppender::new(2_000_000, &first, header);
    appender.append(2_015_000, &histogram(9));
    let both = [
        (floats[0].0, floats[99].0, Encoding::Xor, xor.to_bytes()),
        (
            2_000_000,
            2_015_000,
            Encoding::Histogram,
            appender.bytes().to_vec(),
        ),
    ];
    (
        both,
        (floats, vec![(2_000_000, first), (2_015_000, histogram(9))]),
    )
}

fn write(fs: &Arc<dyn Fs>, series: usize, chunk_file_bytes_max: u64) -> Vec<(Labels, Samples)> {
    let mut writer = BlockWriter::create(fs, Path::new("out"), ULID, (0, 7_200_000))
        .unwrap()
        .with_chunk_file_bytes_max(chunk_file_bytes_max);
    let mut written = Vec::new();
    for number in 0..series {
        let (chunks, samples) = chunks(number);
        let chunks = chunks
            .iter()
            .map(|(time_min, time_max, encoding, bytes)| ChunkBytes {
                time_min: *time_min,
                time_max: *time_max,
                encoding: *encoding,
                bytes,
            });
        writer.add(labels(number).as_ref(), chunks).unwrap();
        written.push((labels(number), samples));
    }
    writer.complete().unwrap();
    let meta = writer.finish().unwrap();
    assert_eq!((meta.series, meta.chunks), (series as u64, series as u64 * 2));
    assert_eq!(meta.samples, series as u64 * 102);
    written
}

fn block_path() -> PathBuf {
    Path::new("out").join(ULID.to_string())
}

fn read(fs: &dyn Fs) -> Result<Vec<(Labels, Samples)>, BlockError> {
    let mut block = Block::open(fs, &block_path())?;
    block.check()?;
    let mut found = Vec::new();
    let mut series = BlockSeries::default();
    while block.next_into(&mut series)? {
        let floats = series.timestamps.iter().copied().zip(series.bits.iter().copied());
        let samples = (floats.collect(), series.histograms.clone());
        found.push((series.labels.clone().expect("labels"), samples));
    }
    Ok(found)
}

#[test]
fn what_was_written_is_read() {
    let sim = SimFs::new();
    let fs: Arc<dyn Fs> = Arc::new(sim.clone());
    let written = write(&fs, 300, 40_000);
    assert!(fs.list(&block_path().join("chunks")).unwrap().len() > 3);
    assert_eq!(read(&*fs).unwrap(), written);
    let hints: Vec<ResetHint> = read(&*fs).unwrap()[0]
        .1
        .1
        .iter()
        .map(|one| one.1.reset_hint)
        .collect();
    assert_eq!(hints, [ResetHint::Reset, ResetHint::NotReset]);
    assert!(is_whole(&*fs, Path::new("out"), ULID).unwrap());
    let names = fs.list(&block_path()).unwrap();
    assert_eq!(names, ["chunks", "index", "meta.json", "tombstones"]);
    assert_eq!(fs.list(Path::new("out")).unwrap(), [ULID.to_string()]);
}

/// Every bit of the bytes that a checksum covers.
#[test]
fn no_flipped_bit_goes_unnoticed() {
    let sim = SimFs::new();
    let fs: Arc<dyn Fs> = Arc::new(sim.clone());
    let written = write(&fs, 3, u64::MAX);
    for name in ["index", "chunks/000001", "tombstones"] {
        let path = block_path().join(name);
        let whole = read_file(&*fs, &path).unwrap();
        let file = fs.open_write(&path).unwrap();
        let mut unnoticed = 0;
        for (at, byte) in whole.iter().enumerate() {
            for bit in 0..8 {
                file.write_at(at as u64, &[byte ^ 1 << bit]).unwrap();
                match read(&*fs) {
                    Err(BlockError::Corrupt(fault)) => {
                        assert_eq!(fault.file, path, "{fault}");
                        assert!(fault.offset <= whole.len() as u64, "{fault}");
                    }
                    Err(error) => panic!("{error}"),
                    // Padding and reserved bytes mean nothing.
                    Ok(found) => {
                        assert_eq!(found, written, "{name}: bit {bit} of byte {at}");
                        assert_eq!(*byte, 0, "{name}: bit {bit} of byte {at} is not looked at");
                        unnoticed += 1;
                    }
                }
            }
            file.write_at(at as u64, &[*byte]).unwrap();
        }
        assert!(unnoticed < 8 * 80, "{name}: {unnoticed}");
        for length in (0..whole.len()).step_by(7) {
            file.set_len(length as u64).unwrap();
            assert!(read(&*fs).is_err(), "{name} cut to {length}");
            file.write_at(0, &whole).unwrap();
        }
    }
    assert_eq!(read(&*fs).unwrap(), written);
}

#[test]
fn tombstones_take_samples_away() {
    let sim = SimFs::new();
    let fs: Arc<dyn Fs> = Arc::new(sim.clone());
    let mut written = write(&fs, 2, u64::MAX);
    let second = {
        let mut index = index_read::Index::open(&*fs, &block_path()).unwrap();
        index.series(1).unwrap().unwrap().number
    };
    let mut entry = Vec::new();
    crate::base::varint::write_u64(&mut entry, second);
    crate::base::varint::write_i64(&mut entry, 15_001);
    crate::base::varint::write_i64(&mut entry, 2_000_000);
    let mut bytes = vec![0x01, 0x30, 0xba, 0x30, 1];
    bytes.extend_from_slice(&entry);
    bytes.extend_from_slice(&crc32c::crc32c(&entry).to_be_bytes());
    let path = block_path().join("tombstones");
    fs.remove(&path).unwrap();
    put(&*fs, &path, &bytes).unwrap();
    let (floats, histograms) = &mut written[1].1;
    floats.retain(|float| float.0 < 15_001);
    histograms.remove(0);
    assert_eq!(read(&*fs).unwrap(), written);
}

#[test]
fn an_unfinished_block_leaves_nothing() {
    let sim = SimFs::new();
    let fs: Arc<dyn Fs> = Arc::new(sim.clone());
    let mut writer = BlockWriter::create(&fs, Path::new("out"), ULID, (0, 1)).unwrap();
    writer.add(labels(0).as_ref(), []).unwrap();
    let names = fs.list(Path::new("out")).unwrap();
    assert_eq!(names, [format!("{ULID}.tmp-for-creation")]);
    drop(writer);
    assert!(fs.list(Path::new("out")).unwrap().is_empty());
}

#[test]
fn names_are_read_and_written() {
    for ulid in [Ulid(0), ULID, Ulid(u128::MAX), Ulid::new(1_700_000_000_000, 7)] {
        assert_eq!(Ulid::parse(&ulid.to_string()), Some(ulid));
    }
    assert_eq!(
        Ulid::parse("01M8FX9C0RWVNRFE6D886XNNVE").unwrap().to_string(),
        "01M8FX9C0RWVNRFE6D886XNNVE"
    );
    for text in [
        "",
        "01M8FX9C0RWVNRFE6D886XNNV",
        "01m8fx9c0rwvnrfe6d886xnnve",
        "ZZZZZZZZZZZZZZZZZZZZZZZZZZ",
    ] {
        assert_eq!(Ulid::parse(text), None, "{text}");
    }
}

#[test]
fn descriptions_of_prometheus_are_read() {
    let text = br#"{"ulid": "01M8FX9C0RWVNRFE6D886XNNVE", "minTime": -5, "maxTime": 7,
        "stats": {"numSamples": 300, "numSeries": 3, "numChunks": 4}, "version": 1, "compaction": {"level": 2,
        "sources": ["01M8FX9C0RWVNRFE6D886XNNVE"], "parents": [{"ulid": "01M8FX9C0RWVNRFE6D886XNNVF", "minTime": 0,
        "maxTime": 1}], "hints": ["from-out-of-order"]}}"#;
    let meta = BlockMeta::decode(text).unwrap();
    assert_eq!((meta.time_min, meta.time_end), (-5, 7));
    assert_eq!((meta.samples, meta.series, meta.chunks), (300, 3, 4));
    assert_eq!(meta.parents, [Ulid::parse("01M8FX9C0RWVNRFE6D886XNNVF").unwrap()]);
    assert!(meta.is_out_of_order);
    for bad in ["", "[]", "{\"version\": 2}", "{\"version\": 1, \"ulid\": \"x\"}"] {
        assert!(BlockMeta::decode(bad.as_bytes()).is_err(), "{bad}");
    }
}

fn read_log(fs: &dyn Fs, skip: bool) -> Result<(Vec<String>, LogEnd), BlockError> {
    let log = Log::find(fs, Path::new("data/wal"))?;
    let mut said = Vec::new();
    let end = log.read(fs, skip, |entries, _| {
        said.extend(entries.iter().map(|entry| format!("{entry:?}")));
        Ok::<_, BlockError>(())
    })?;
    Ok((said, end))
}

fn records() -> Vec<Vec<u8>> {
    let long: Vec<(u64, i64, f64)> = (0..9_000)
        .map(|tick| (2 + tick % 3, tick as i64, tick as f64))
        .collect();
    vec![
        series_record(2, &[("__name__", "a"), ("b", "c")]),
        floats_record(&[(2, 1_000, 1.5), (3, 900, f64::from_bits(STALE_NAN_BITS))]),
        floats_record(&long),
        started_floats_record(&[(2, 5, 3, 1.0), (3, 6, 3, 2.0), (2, 7, 0, 3.0), (2, 8, 9, 4.0)]),
        histogram_record(2, 2_000),
        exemplar_record(2, 2_000, 7.0, &[("trace", "x")]),
        metadata_record(2, 1, "s", "Help."),
        deletion_record(2, -5, 5),
        vec![5, 1, 2, 3],
    ]
}

#[test]
fn logs_of_every_packing_say_the_same() {
    let mut first: Option<Vec<String>> = None;
    for packing in [Packing::Plain, Packing::Snappy, Packing::Zstd] {
        let fs = SimFs::new();
        let records = records();
        put(
            &fs,
            Path::new("data/wal/checkpoint.00000003/00000000"),
            &log_file(&records[..1], packing),
        )
        .unwrap();
        put(
            &fs,
            Path::new("data/wal/checkpoint.00000002/00000000"),
            b"superseded",
        )
        .unwrap();
        put(&fs, Path::new("data/wal/00000003"), b"in the checkpoint").unwrap();
        put(
            &fs,
            Path::new("data/wal/00000004"),
            &log_file(&records[1..4], packing),
        )
        .unwrap();
        put(
            &fs,
            Path::new("data/wal/00000005"),
            &log_file(&records[4..], packing),
        )
        .unwrap();
        let (said, end) = read_log(&fs, false).unwrap();
        assert!(end.torn.is_none() && end.faults.is_empty());
        assert_eq!(said.len(), 1 + 2 + 9_000 + 4 + 1 + 1 + 1 + 1);
        let starts: Vec<&String> = said
            .iter()
            .filter(|entry| entry.contains("start_timestamp: 9"))
            .collect();
        assert_eq!(starts.len(), 1, "{starts:?}");
        assert_eq!(*first.get_or_insert_with(|| said.clone()), said);
    }
}

#[test]
fn a_torn_end_is_no_damage_and_a_flipped_bit_is() {
    let whole = log_file(&records(), Packing::Snappy);
    for cut in [1, 5, 60] {
        let fs = SimFs::new();
        put(&fs, Path::new("data/wal/00000000"), &whole[..whole.len() - cut]).unwrap();
        let (_, end) = read_log(&fs, false).unwrap();
        assert!(end.torn.is_some());
        // In a file that is not the last one it is damage.
        put(&fs, Path::new("data/wal/00000001"), &whole).unwrap();
        assert!(matches!(read_log(&fs, false), Err(BlockError::Corrupt(_))));
        assert_eq!(read_log(&fs, true).unwrap().1.faults.len(), 1);
    }
    let fs = SimFs::new();
    put(&fs, Path::new("data/wal/00000000"), &whole).unwrap();
    let file = fs.open_write(Path::new("data/wal/00000000")).unwrap();
    let (said, _) = read_log(&fs, false).unwrap();
    for at in (0..whole.len()).step_by(13).chain(0..64) {
        file.write_at(at as u64, &[whole[at] ^ 0x10]).unwrap();
        match read_log(&fs, false) {
            Err(BlockError::Corrupt(fault)) => assert_eq!(fault.file, Path::new("data/wal/00000000")),
            Err(error) => panic!("{error}"),
            // A length that leads behind the end.
            Ok((found, end)) => assert!(end.torn.is_some() && said.starts_with(&found), "byte {at}"),
        }
        file.write_at(at as u64, &whole[at..=at]).unwrap();
    }
}

#[test]
fn a_file_of_the_log_that_is_missing_is_named() {
    let fs = SimFs::new();
    let file = log_file(&records(), Packing::Plain);
    put(&fs, Path::new("data/wal/00000000"), &file).unwrap();
    put(&fs, Path::new("data/wal/00000002"), &file).unwrap();
    let fault = read_log(&fs, false).unwrap_err().to_string();
    assert!(fault.contains("00000002") && fault.contains("missing"), "{fault}");
}
