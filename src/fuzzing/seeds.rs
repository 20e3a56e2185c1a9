//! Valid inputs of every decoder, made by the encoders.

use crate::base::clock::ManualClock;
use crate::chunk::{HistogramAppender, XorAppender, first_header};
use crate::column::{
    ColumnSetBuilder, EncodeScratch, GroupSeries, TimeRef, encode_group, histogram_column as histograms,
};
use crate::db::Db;
use crate::engine::options::Options;
use crate::head::report::Durability;
use crate::head::series::Series;
use crate::index::{Compression, SegmentIndexWriter};
use crate::io::{Fs, SimFs};
use crate::model::exemplar::Exemplar;
use crate::model::histogram::{Counts, Histogram, ResetHint, Span};
use crate::model::labels::Labels;
use crate::model::metadata::{Metadata, MetricType};
use crate::model::sample::{Sample, Value};
use crate::segment::compress::Compressor;
use crate::sketch::Sketch;
use crate::wal::{self, Gap, Record, ReplayFrom, Visitor};
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

const DIR: &str = "db";
const TICKS: i64 = 40;

fn value(number: i64, tick: i64) -> f64 {
    match number % 5 {
        0 => 7.0,
        1 => (tick * 3) as f64,
        2 => (tick * number % 17) as f64 / 100.0,
        3 => (tick as f64 + 0.1).sqrt(),
        _ if tick % 9 == 0 => f64::NAN,
        _ => tick as f64 * 0.5,
    }
}

fn labels(number: i64) -> Labels {
    let (host, metric) = (format!("host-{}", number / 3), format!("metric_{}", number % 3));
    let pairs = [("__name__", metric.as_str()), ("host", &host), ("job", "api")];
    Labels::from_pairs(pairs).expect("BUG: valid labels")
}

fn histogram(tick: i64, is_float: bool) -> Histogram {
    let counts = if is_float {
        Counts::Float {
            count: tick as f64 * 2.0 + 3.0,
            zero_count: 1.0,
            positive: vec![tick as f64 + 1.0, tick as f64 + 1.0],
            negative: vec![],
        }
    } else {
        Counts::Int {
            count: tick as u64 * 2 + 3,
            zero_count: 1,
            positive: vec![tick + 1, 0],
            negative: vec![],
        }
    };
    Histogram {
        reset_hint: ResetHint::Unknown,
        schema: 1,
        zero_threshold: 0.001,
        sum: tick as f64,
        positive_spans: vec![Span { offset: 0, length: 1 }, Span { offset: 2, length: 1 }],
        negative_spans: vec![],
        custom_values: vec![],
        counts,
    }
}

/// Writes ticks of some series with everything a batch can hold.
fn write(db: &Db, ticks: std::ops::Range<i64>) {
    for tick in ticks {
        let mut batch = db.batch();
        for number in 0..12 {
            let late = if number == 4 && tick % 5 == 4 { 20_000 } else { 0 };
            let sample = Sample {
                timestamp: tick * 15_000 - late,
                value: Value::Float(value(number, tick)),
                start_timestamp: if number == 1 { 5 } else { 0 },
            };
            batch.push_sample(&labels(number), &sample);
        }
        batch.push_histogram(&labels(100), tick * 15_000, &histogram(tick, tick > 20));
        let exemplar = Exemplar {
            labels: labels(7),
            timestamp: tick,
            value: 0.5,
        };
        batch.push_exemplar(&labels(0), &exemplar);
        let metadata = Metadata {
            metric_type: MetricType::Gauge,
            help: format!("Help {}.", tick / 20),
            unit: "s".into(),
        };
        batch.push_metadata("metric_0", &metadata);
        batch.commit().expect("BUG: the disk in memory takes all");
    }
}

fn open(fs: &SimFs, compressor: Compressor) -> Db {
    let options = Options::new(DIR)
        .fs(Arc::new(fs.clone()))
        .clock(Arc::new(ManualClock::new(1_000)))
        .background(false)
        .durability(Durability::Never)
        .metadata_compressor(compressor)
        .data_compressor(compressor)
        .checkpoint_bytes_min(1)
        .wal_sizes(16 << 10, 4 << 10);
    Db::open(options).expect("BUG: the disk in memory opens")
}

/// The files of a small database whose names begin so.
fn files(prefix: &str) -> Vec<Vec<u8>> {
    let fs = SimFs::new();
    for (part, compressor) in (0..).zip([Compressor::None, Compressor::Snappy, Compressor::Zstd]) {
        let db = open(&fs, compressor);
        write(&db, part * TICKS..(part + 1) * TICKS);
        db.flush().expect("BUG: a flush to memory");
    }
    let db = open(&fs, Compressor::None);
    write(&db, 3 * TICKS..4 * TICKS);
    while db.step().expect("BUG: a step in memory") {}
    write(&db, 4 * TICKS..4 * TICKS + 10);
    let names = fs.list(Path::new(DIR)).unwrap_or_default();
    let found = names
        .iter()
        .filter(|name| name.starts_with(prefix) && !name.ends_with(".json"));
    found.map(|name| read(&fs, name)).collect()
}

fn read(fs: &SimFs, name: &str) -> Vec<u8> {
    let path = Path::new(DIR).join(name);
    let file = fs.open_read(&path).expect("BUG: the file was listed");
    let mut bytes = vec![0; file.size().unwrap_or(0) as usize];
    file.read_at(0, &mut bytes).expect("BUG: as long as it said");
    bytes
}

pub(super) fn segment() -> Vec<Vec<u8>> {
    files("segment-")
}

/// A full backup's, and that of one that leans on it.
pub(super) fn backup_list() -> Vec<Vec<u8>> {
    let fs = SimFs::new();
    let db = open(&fs, Compressor::None);
    let full = Path::new(DIR).join("full");
    write(&db, 0..10);
    db.backup(&full, .., None).expect("BUG: a backup to memory");
    write(&db, 10..20);
    let later = Path::new(DIR).join("later");
    db.backup(later, 5.., Some(&full))
        .expect("BUG: a backup to memory");
    ["full/BACKUP", "later/BACKUP"].map(|name| read(&fs, name)).into()
}

pub(super) fn manifest() -> Vec<Vec<u8>> {
    files("MANIFEST")
}

pub(super) fn checkpoint() -> Vec<Vec<u8>> {
    files("checkpoint-")
}

/// A log file as number 1, which is how the decoder names it.
pub(super) fn wal() -> Vec<Vec<u8>> {
    let fs = SimFs::new();
    let db = open(&fs, Compressor::None);
    write(&db, 0..10);
    vec![read(&fs, &wal::file_name(1))]
}

/// Collects payloads.
#[derive(Default)]
struct Payloads(Vec<Vec<u8>>);

impl Visitor for Payloads {
    type Error = Infallible;

    fn record(&mut self, record: Record<'_>) -> Result<(), Infallible> {
        self.0.push(record.payload.to_vec());
        Ok(())
    }

    fn gap(&mut self, _: &Gap) -> Result<(), Infallible> {
        Ok(())
    }
}

pub(super) fn batch_payload() -> Vec<Vec<u8>> {
    let fs = SimFs::new();
    let db = open(&fs, Compressor::None);
    write(&db, 0..10);
    let mut payloads = Payloads::default();
    let from = ReplayFrom { sequence: 1, lsn: 1 };
    wal::replay(&fs, Path::new(DIR), from, &mut payloads).expect("BUG: the log was just written");
    payloads.0
}

/// Payloads one after the other, each behind its length.
pub(super) fn replay() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for payload in batch_payload() {
        all.extend_from_slice(&(payload.len() as u16).to_le_bytes());
        all.extend_from_slice(&payload);
    }
    vec![all]
}

pub(super) fn xor_chunk() -> Vec<Vec<u8>> {
    (0..5)
        .map(|number| {
            let mut chunk = XorAppender::default();
            for tick in 0..TICKS {
                chunk.append(tick * 15_000 + tick % 3, value(number, tick).to_bits());
            }
            chunk.to_bytes()
        })
        .collect()
}

pub(super) fn histogram_chunk() -> Vec<Vec<u8>> {
    [false, true]
        .map(|is_float| {
            let first = histogram(0, is_float);
            let mut chunk = HistogramAppender::new(0, &first, first_header(&first));
            for tick in 1..TICKS {
                chunk.append(tick * 15_000, &histogram(tick, is_float));
            }
            let mut bytes = vec![u8::from(is_float)];
            bytes.extend_from_slice(chunk.bytes());
            bytes
        })
        .to_vec()
}

pub(super) fn histogram_column() -> Vec<Vec<u8>> {
    let encode = |samples: Vec<(i64, Histogram)>| {
        let mut out = Vec::new();
        histograms::encode(&samples, &mut out);
        out
    };
    let of_kind = |is_float: bool| {
        (0..TICKS)
            .map(|tick| (tick * 15_000, histogram(tick, is_float)))
            .collect()
    };
    let mixed = (0..TICKS).map(|tick| (tick, histogram(tick, tick % 7 < 3)));
    vec![
        encode(of_kind(false)),
        encode(of_kind(true)),
        encode(mixed.collect()),
    ]
}

/// Times and values of some series, with gaps.
fn rows() -> Vec<(Vec<i64>, Vec<u64>)> {
    let series = (0..16).map(|number| {
        let ticks = (0..TICKS).filter(move |tick| (tick + number) % 11 != 0 || number < 3);
        ticks
            .map(|tick| (tick * 15_000 + number % 2, value(number, tick).to_bits()))
            .unzip()
    });
    series.collect()
}

pub(super) fn column_group() -> Vec<Vec<u8>> {
    let rows = rows();
    let mut columns = ColumnSetBuilder::default();
    let times: Vec<TimeRef> = rows.iter().map(|row| columns.place(&row.0)).collect();
    let group: Vec<GroupSeries<'_>> = times
        .iter()
        .zip(&rows)
        .map(|(time, row)| GroupSeries { time, values: &row.1 })
        .collect();
    let encode = |group: &[GroupSeries<'_>]| {
        let mut out = Vec::new();
        encode_group(group, &mut EncodeScratch::default(), &mut out);
        out
    };
    vec![encode(&group), encode(&group[..1]), encode(&group[2..7])]
}

pub(super) fn time_columns() -> Vec<Vec<u8>> {
    let mut columns = ColumnSetBuilder::default();
    rows().iter().for_each(|row| drop(columns.place(&row.0)));
    let mut out = Vec::new();
    columns.encode(&mut out);
    vec![out]
}

pub(super) fn index_sections() -> Vec<Vec<u8>> {
    let build = |compression| {
        let mut all: Vec<Labels> = (0..200).map(labels).collect();
        all.sort();
        let mut index = SegmentIndexWriter::new();
        all.iter().for_each(|labels| index.push(labels.as_ref()));
        let parts = index.finish(compression);
        let mut out = Vec::new();
        for length in [parts.symbols.len(), parts.series.len()] {
            out.extend_from_slice(&(length as u16).to_le_bytes());
        }
        [parts.symbols, parts.series, parts.postings]
            .iter()
            .for_each(|part| out.extend_from_slice(part));
        out
    };
    vec![build(Compression::None), build(Compression::Zstd)]
}

pub(super) fn sketch() -> Vec<Vec<u8>> {
    let of = |count: i64| {
        let mut all: Vec<Labels> = (0..count).map(labels).collect();
        all.sort();
        let (mut rows, mut hashes) = (SegmentIndexWriter::new(), Vec::new());
        for labels in &all {
            rows.push(labels.as_ref());
            hashes.extend_from_slice(&labels.hash().0.to_le_bytes());
        }
        Sketch::of(&rows, &hashes).encode()
    };
    [0, 5, 200, 4_000].map(of).to_vec()
}

pub(super) fn series_state() -> Vec<Vec<u8>> {
    let state = |change: &dyn Fn(&mut Series)| {
        let mut series = Series::default();
        change(&mut series);
        let mut out = Vec::new();
        series.write_state(&mut out);
        out
    };
    let floats = |series: &mut Series| {
        (0..300).for_each(|tick| series.append_float(tick, value(3, tick).to_bits(), 0));
        series.insert_late(-5, Value::Float(1.0), 0);
    };
    let histograms = |series: &mut Series| {
        (0..50).for_each(|tick| series.append_histogram(tick, Arc::new(histogram(tick, tick > 20)), 3));
    };
    vec![state(&floats), state(&histograms)]
}

pub(super) fn matcher() -> Vec<Vec<u8>> {
    let patterns = [
        ".*",
        "a.+b",
        "host-[0-9]+",
        "(?i)api|web",
        "(a|b|c)(d|e)",
        r"\d{3}\.x?",
        "[^a-z]*?é$",
        "",
    ];
    patterns.map(|pattern| pattern.as_bytes().to_vec()).to_vec()
}
