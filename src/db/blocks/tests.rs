//! Logs of Prometheus, made by hand, beside a block: what of them counts.

use super::{BlockImport, BlockImportOptions};
use crate::blocks::testing::{
    Packing, deletion_record, exemplar_record, floats_record, histogram_record, log_file, metadata_record,
    put, series_record, started_floats_record,
};
use crate::blocks::{BlockWriter, ChunkBytes, Ulid};
use crate::chunk::{Encoding, XorAppender};
use crate::db::Db;
use crate::engine::options::Options;
use crate::io::{Fs, SimFs};
use crate::model::labels::Labels;
use std::path::Path;
use std::sync::Arc;

fn labels(name: &str) -> Labels {
    Labels::from_pairs([("__name__", name)]).unwrap()
}

/// A block of `a` with a sample each second up to 10,000.
fn put_block(fs: &Arc<dyn Fs>, ulid: Ulid) {
    let mut writer = BlockWriter::create(fs, Path::new("data"), ulid, (0, 10_001)).unwrap();
    let mut chunk = XorAppender::default();
    (0..=10).for_each(|tick| chunk.append(tick * 1_000, f64::to_bits(1.0)));
    let chunk = ChunkBytes {
        time_min: 0,
        time_max: 10_000,
        encoding: Encoding::Xor,
        bytes: chunk.complete(),
    };
    writer.add(labels("a").as_ref(), [chunk]).unwrap();
    writer.complete().unwrap();
    writer.finish().unwrap();
}

/// A data folder: a block and these records.
fn data(log: &[Vec<u8>], late: &[Vec<u8>]) -> Arc<dyn Fs> {
    let fs: Arc<dyn Fs> = Arc::new(SimFs::new());
    put_block(&fs, Ulid(1));
    put(
        &*fs,
        Path::new("data/wal/00000000"),
        &log_file(log, Packing::Snappy),
    )
    .unwrap();
    if !late.is_empty() {
        put(
            &*fs,
            Path::new("data/wbl/00000000"),
            &log_file(late, Packing::Zstd),
        )
        .unwrap();
    }
    fs
}

fn import(fs: &Arc<dyn Fs>) -> (Db, BlockImport) {
    let db = Db::open(Options::new("db").fs(fs.clone()).background(false)).unwrap();
    let options = BlockImportOptions::default();
    let report = db.import_blocks(&["data"], &options, &mut |_| {}).unwrap();
    assert!(report.is_whole(), "{report:?}");
    (db, report)
}

/// Floats of a series behind the block: times with values.
fn behind_block(db: &Db, name: &str) -> Vec<(i64, f64)> {
    let mut found = Vec::new();
    for series in db.select(&[], 10_001..).unwrap() {
        let series = series.unwrap();
        if series.labels().metric_name() == name {
            let samples = series.samples();
            found.extend(samples.filter_map(|sample| Some((sample.timestamp, sample.value.as_float()?))));
        }
    }
    found
}

#[test]
fn what_prometheus_would_show_is_taken_in() {
    let fs = data(
        &[
            series_record(1, &[("__name__", "a")]),
            series_record(2, &[("__name__", "b")]),
            // In the block, twice; then in order, then too late.
            floats_record(&[
                (1, 5_000, 1.0),
                (1, 9_000, 77.0),
                (1, 11_000, 2.0),
                (1, 10_500, 3.0),
                (1, 12_000, 4.0),
            ]),
            // The same series by another number.
            series_record(9, &[("__name__", "a")]),
            floats_record(&[(9, 12_000, 5.0), (9, 13_000, 6.0), (42, 13_000, 1.0)]),
            started_floats_record(&[
                (2, 11_000, 10_000, 1.0),
                (2, 12_000, 10_000, 2.0),
                (2, 13_000, 0, 3.0),
            ]),
            deletion_record(2, 11_500, 12_500),
            histogram_record(2, 14_000),
            exemplar_record(2, 14_000, 1.0, &[("trace", "x")]),
            metadata_record(2, 1, "s", "Help."),
        ],
        // It may lie in the time of the block. The deletion holds for it as well.
        &[floats_record(&[
            (1, 10_500, 3.0),
            (1, 5_500, 8.0),
            (2, 12_001, 9.0),
        ])],
    );
    let (db, report) = import(&fs);
    assert_eq!(
        behind_block(&db, "a"),
        [(10_500, 3.0), (11_000, 2.0), (12_000, 4.0), (13_000, 6.0)]
    );
    assert_eq!(behind_block(&db, "b"), [(11_000, 1.0), (13_000, 3.0)]);
    assert_eq!((report.blocks, report.verified), (1, 11));
    assert_eq!((report.log_samples, report.samples), (8, 19));
    assert_eq!((report.dropped, report.deleted), (5, 2));
    assert_eq!(report.exemplars, 1);
    assert_eq!(db.exemplars(&[], ..).unwrap().len(), 1);
    assert_eq!(db.metadata(Some("b"))["b"][0].1.unit, "s");
    let all: Vec<_> = db.select(&[], ..).unwrap().map(Result::unwrap).collect();
    assert_eq!((all[0].len(), all[1].len()), (16, 3));
    assert_eq!(all[1].samples().next().unwrap().start_timestamp, 10_000);
    // Once more changes nothing.
    let again = db
        .import_blocks(&["data"], &BlockImportOptions::default(), &mut |_| {})
        .unwrap();
    assert_eq!((again.blocks_known, again.duplicates), (1, 8));
}

#[test]
fn a_log_may_end_torn_and_not_be_damaged() {
    let fs = data(
        &[
            series_record(1, &[("__name__", "a")]),
            floats_record(&[(1, 11_000, 2.0)]),
        ],
        &[],
    );
    let path = Path::new("data/wal/00000000");
    let length = fs.file_len(path).unwrap();
    let file = fs.open_write(path).unwrap();
    file.set_len(length - 3).unwrap();
    let (db, report) = import(&fs);
    assert!(report.notes[0].contains("data/wal/00000000"), "{report:?}");
    assert_eq!(report.log_samples, 0);
    drop(db);

    let fs = data(
        &[
            series_record(1, &[("__name__", "a")]),
            floats_record(&[(1, 11_000, 2.0)]),
        ],
        &[],
    );
    let file = fs.open_write(path).unwrap();
    file.write_at(length - 1, &[0xff]).unwrap();
    let db = Db::open(Options::new("db").fs(fs.clone()).background(false)).unwrap();
    let stop = db.import_blocks(&["data"], &BlockImportOptions::default(), &mut |_| {});
    assert!(stop.unwrap_err().to_string().contains("data/wal/00000000"));
    let options = BlockImportOptions::default().skip_damaged(true);
    let passed = db.import_blocks(&["data"], &options, &mut |_| {}).unwrap();
    assert_eq!((passed.blocks_known, passed.faults.len()), (1, 1), "{passed:?}");
}

#[test]
fn blocks_that_were_merged_into_others_are_left_out() {
    let fs = data(&[series_record(1, &[("__name__", "a")])], &[]);
    put_block(&fs, Ulid(2));
    let path = Path::new("data").join(Ulid(2).to_string()).join("meta.json");
    let (child, parent) = (Ulid(2), Ulid(1));
    let meta = format!(
        r#"{{"ulid": "{child}", "minTime": 0, "maxTime": 10001, "stats": {{"numSamples": 11}}, "version": 1,
        "compaction": {{"level": 2, "parents": [{{"ulid": "{parent}", "minTime": 0, "maxTime": 10001}}]}}}}"#
    );
    fs.remove(&path).unwrap();
    put(&*fs, &path, meta.as_bytes()).unwrap();
    let (_, report) = import(&fs);
    assert_eq!((report.blocks, report.samples), (1, 11));
}

/// What one Prometheus has in blocks says nothing of the log of another.
#[test]
fn each_log_counts_from_the_blocks_of_its_own_folder_on() {
    let fs = data(
        &[
            series_record(1, &[("__name__", "a")]),
            floats_record(&[(1, 500, 1.0)]),
        ],
        &[],
    );
    let other = [
        series_record(1, &[("__name__", "other")]),
        floats_record(&[(1, 500, 1.0)]),
    ];
    put(
        &*fs,
        Path::new("other/wal/00000000"),
        &log_file(&other, Packing::Plain),
    )
    .unwrap();
    let db = Db::open(Options::new("db").fs(fs).background(false)).unwrap();
    let options = BlockImportOptions::default();
    let report = db
        .import_blocks(&["data", "other"], &options, &mut |_| {})
        .unwrap();
    assert_eq!((report.log_samples, report.dropped), (1, 1));
}

#[test]
fn what_a_damaged_block_was_merged_of_is_taken_in_its_place() {
    let fs: Arc<dyn Fs> = Arc::new(SimFs::new());
    put_block(&fs, Ulid(1));
    put_block(&fs, Ulid(2));
    let merged = Path::new("data").join(Ulid(2).to_string());
    let meta = merged.join("meta.json");
    let length = fs.file_len(&meta).unwrap() as usize;
    let mut text = vec![0; length];
    fs.open_read(&meta).unwrap().read_at(0, &mut text).unwrap();
    let parents = format!("\"level\": 2, \"parents\": [{{\"ulid\": \"{}\"}}]", Ulid(1));
    let text = String::from_utf8(text).unwrap().replace("\"level\": 1", &parents);
    fs.remove(&meta).unwrap();
    put(&*fs, &meta, text.as_bytes()).unwrap();
    let (db, report) = import(&fs);
    assert_eq!((report.blocks, report.samples), (1, 11));
    drop(db);

    let index = fs.open_write(&merged.join("index")).unwrap();
    index.write_at(40, &[0xff; 8]).unwrap();
    let db = Db::open(Options::new("other").fs(fs.clone()).background(false)).unwrap();
    let options = BlockImportOptions::default().skip_damaged(true);
    let report = db.import_blocks(&["data"], &options, &mut |_| {}).unwrap();
    assert_eq!((report.faults.len(), report.blocks, report.samples), (1, 1, 11));
}
