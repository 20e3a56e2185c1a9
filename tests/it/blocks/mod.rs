//! Blocks of Prometheus out of one database and into another: bit for bit, after kills, and with damage in between.

#[cfg(feature = "server")]
mod command;
mod damage;
mod killed;

use crate::world::{self, Rng, float, random_float, random_labels};
use narthex::testing::SimFs;
use narthex::{
    BlockExport, BlockExportOptions, BlockImport, BlockImportOptions, Counts, Db, Durability, Histogram,
    Labels, Matcher, Options, Precision, ResetHint, Sample, Span, Value, stale_nan,
};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const HOUR: i64 = 3_600_000;
const START: i64 = 1_700_000_000_000;
const TICKS: i64 = 13 * 60;
const OUT: &str = "out";

fn open(fs: &SimFs, name: &str) -> Db {
    let options = Options::new(name)
        .fs(Arc::new(fs.clone()))
        .background(false)
        .durability(Durability::Never);
    Db::open(options).expect("a database")
}

fn span() -> BlockExportOptions {
    BlockExportOptions::default().span(Duration::from_secs(4 * 3600))
}

fn export(db: &Db) -> BlockExport {
    db.export_blocks(OUT, &[], .., &span(), &mut |_| {})
        .expect("an export")
}

fn import(db: &Db, from: &str) -> BlockImport {
    let options = BlockImportOptions::default();
    db.import_blocks(&[from], &options, &mut |_| {})
        .expect("an import")
}

/// A float histogram with custom buckets.
fn custom(tick: i64) -> Histogram {
    let count = (tick % 50) as f64;
    Histogram {
        reset_hint: ResetHint::Unknown,
        schema: -53,
        zero_threshold: 0.0,
        sum: count * 0.7,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        negative_spans: Vec::new(),
        custom_values: vec![0.1, 1.0, 10.0],
        counts: Counts::Float {
            count: count * 1.5,
            zero_count: 0.0,
            positive: vec![count, count * 0.5],
            negative: Vec::new(),
        },
    }
}

/// A histogram of series `number`, if it has any: counters with resets, gauges, custom buckets, stale markers.
fn histogram(number: u64, tick: i64) -> Option<Histogram> {
    let step = (tick % 97) as u64;
    let mut histogram = match number % 10 {
        7 => (*world::histogram(step, ResetHint::Unknown)).clone(),
        8 => (*world::histogram(step * 7 % 31, ResetHint::Gauge)).clone(),
        9 => custom(tick),
        _ => return None,
    };
    if tick % 131 == 0 {
        histogram.sum = stale_nan();
    }
    Some(histogram)
}

/// Series of all kinds, some of which change their kind or have gaps.
fn fill(db: &Db) {
    let mut rng = Rng::new(20_261_128);
    let mut batch = db.batch();
    for number in 0..60 {
        let labels = random_labels(number);
        for tick in 0..TICKS {
            if rng.chance(7) || number % 6 == 5 && (200..500).contains(&tick) {
                continue;
            }
            let time = START + tick * 60_000 + (number as i64 * 37) % 1_000;
            match histogram(number, tick).filter(|_| tick < 600 || number % 4 == 1) {
                Some(histogram) => batch.push_histogram(&labels, time, &histogram),
                None => {
                    let value = random_float(&mut rng, number, time);
                    batch.push_sample(&labels, &float(time, value));
                }
            }
        }
    }
    assert_eq!(batch.commit().expect("a commit").rejected_count(), 0);
}

type Answer = Vec<(Labels, Vec<Sample>)>;

fn all(db: &Db) -> Answer {
    world::answer(db, &[], ..)
}

/// The same bits; of histograms, which chunks may give empty buckets, the same counts.
#[track_caller]
fn assert_same_bits(found: &Answer, wanted: &Answer) {
    assert_eq!(found.len(), wanted.len(), "number of series");
    for ((labels, samples), (wanted_labels, wanted)) in found.iter().zip(wanted) {
        assert_eq!(labels, wanted_labels);
        assert_eq!(samples.len(), wanted.len(), "samples of {labels}");
        for (sample, wanted) in samples.iter().zip(wanted) {
            assert_eq!(sample.timestamp, wanted.timestamp, "{labels}");
            let is_same = match (&sample.value, &wanted.value) {
                (Value::Histogram(one), Value::Histogram(other)) => one.is_same(other),
                (one, other) => one == other,
            };
            assert!(is_same, "{labels}: {sample:?}, not {wanted:?}");
        }
    }
}

fn samples(answer: &Answer) -> u64 {
    answer.iter().map(|series| series.1.len() as u64).sum()
}

#[test]
fn all_kinds_go_out_and_come_in() {
    let fs = SimFs::new();
    let (db, other) = (open(&fs, "db"), open(&fs, "other"));
    fill(&db);
    db.flush().expect("a flush");
    let written = all(&db);
    let exported = export(&db);
    assert_eq!(exported.samples, samples(&written));
    assert_eq!((exported.blocks.len(), exported.blocks_known), (4, 0));
    assert!(exported.faults.is_empty());

    let imported = import(&other, OUT);
    assert!(imported.is_whole(), "{imported:?}");
    assert_eq!((imported.blocks, imported.samples), (4, exported.samples));
    assert_eq!((imported.verified, imported.duplicates), (exported.samples, 0));
    assert_same_bits(&all(&other), &written);
    // Blocks made of what came from blocks are the same, but for their names.
    other.flush().expect("a flush");
    let again = other.export_blocks("again", &[], .., &span(), &mut |_| {});
    let again = again.expect("an export");
    for (one, another) in exported.blocks.iter().zip(&again.blocks) {
        for name in ["index", "chunks/000001"] {
            let same = content(&fs, &one.join(name)) == content(&fs, &another.join(name));
            assert!(same, "{name} of {}", one.display());
        }
    }
    assert_eq!(again.samples, exported.samples);
}

fn content(fs: &SimFs, path: &Path) -> Vec<u8> {
    let file = narthex::Fs::open_read(fs, path).expect("a file");
    let mut bytes = vec![0; file.size().expect("a length") as usize];
    file.read_at(0, &mut bytes).expect("a read");
    bytes
}

#[test]
fn a_second_run_goes_on_where_the_first_ended() {
    let fs = SimFs::new();
    let (db, other) = (open(&fs, "db"), open(&fs, "other"));
    fill(&db);
    let exported = export(&db);
    let again = export(&db);
    assert_eq!((again.blocks.len(), again.blocks_known), (0, 4));

    let first = exported.blocks[0].to_str().expect("a plain path").to_owned();
    assert_eq!(import(&other, &first).blocks, 1);
    let rest = import(&other, OUT);
    assert_eq!((rest.blocks, rest.blocks_known, rest.duplicates), (3, 1, 0));
    // Without the journal all is read again and found to be there.
    narthex::Fs::remove(&fs, Path::new("other/imported-blocks")).expect("a journal");
    let all_again = import(&other, OUT);
    assert_eq!((all_again.blocks, all_again.duplicates), (4, exported.samples));
    assert!(all_again.is_whole());
    drop(other);
    assert_eq!(import(&open(&fs, "other"), OUT).blocks_known, 4);
    assert_same_bits(&all(&open(&fs, "other")), &all(&db));
}

#[test]
fn series_and_times_are_chosen() {
    let fs = SimFs::new();
    let (db, other) = (open(&fs, "db"), open(&fs, "other"));
    fill(&db);
    let matchers = [Matcher::eq("__name__", "up")];
    let range = START + 3 * HOUR..START + 4 * HOUR;
    db.export_blocks(OUT, &matchers, range.clone(), &span(), &mut |_| {})
        .expect("an export");
    import(&other, OUT);
    let wanted = world::answer(&db, &matchers, range);
    assert!(samples(&wanted) > 300);
    assert_same_bits(&all(&other), &wanted);
}

#[test]
fn what_is_there_already_stays() {
    let fs = SimFs::new();
    let (db, other) = (open(&fs, "db"), open(&fs, "other"));
    fill(&db);
    export(&db);
    let (labels, series) = all(&db).swap_remove(3);
    let mut batch = other.batch();
    batch.push(&labels, series[5].timestamp, 12_345.0);
    batch.commit().expect("a commit");
    let imported = import(&other, OUT);
    assert_eq!(imported.refused.len(), 1, "{imported:?}");
    assert_eq!((imported.refused[0].count, imported.different), (1, 1));
    assert!(
        imported
            .difference
            .expect("a difference")
            .contains(&labels.to_string())
    );
    assert_eq!(imported.blocks, 4);
    // The block with the sample is no part of the journal.
    assert_eq!(import(&other, OUT).blocks_known, 3);
}

#[test]
fn what_blocks_cannot_hold_is_refused() {
    let fs = SimFs::new();
    let options = Options::new("db")
        .fs(Arc::new(fs.clone()))
        .precision(Precision::Seconds);
    let db = Db::open(options).expect("a database");
    let refused = db
        .export_blocks(OUT, &[], .., &span(), &mut |_| {})
        .expect_err("seconds");
    assert!(refused.to_string().contains("milliseconds"), "{refused}");
    let options = BlockImportOptions::default();
    let refused = db
        .import_blocks(&["x"], &options, &mut |_| {})
        .expect_err("seconds");
    assert!(refused.to_string().contains("milliseconds"), "{refused}");
    let db = open(&fs, "other");
    narthex::Fs::create_dir_all(&fs, Path::new("empty")).expect("a folder");
    let refused = db
        .import_blocks(&["empty"], &options, &mut |_| {})
        .expect_err("nothing");
    assert!(refused.to_string().contains("empty"), "{refused}");
    let short = BlockExportOptions::default().span(Duration::from_secs(1));
    assert!(db.export_blocks(OUT, &[], .., &short, &mut |_| {}).is_err());
}

#[test]
fn progress_is_told_and_ends() {
    let fs = SimFs::new();
    let (db, other) = (open(&fs, "db"), open(&fs, "other"));
    fill(&db);
    let mut parts = Vec::new();
    let mut tell = |done: &narthex::BlockProgress| parts.push((done.blocks, done.part_done));
    db.export_blocks(OUT, &[], .., &span(), &mut tell)
        .expect("an export");
    assert_eq!(parts.last(), Some(&(4, 1.0)));
    assert!(parts.is_sorted_by(|a, b| a.1 <= b.1), "{parts:?}");
    let mut parts = Vec::new();
    let mut tell = |done: &narthex::BlockProgress| parts.push((done.blocks, done.part_done));
    let options = BlockImportOptions::default();
    other
        .import_blocks(&[OUT], &options, &mut tell)
        .expect("an import");
    assert_eq!(parts.last(), Some(&(4, 1.0)));
}

#[test]
fn databases_in_memory_use_the_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let (db, other) = (Options::in_memory(), Options::in_memory());
    let [db, other] = [db, other].map(|options| Db::open(options).expect("a database"));
    fill(&db);
    let options = span();
    let report = db.export_blocks(folder.path(), &[], .., &options, &mut |_| {});
    assert_eq!(report.expect("an export").blocks.len(), 4);
    // The blocks of another database are never taken for those of this one.
    let report = other.export_blocks(folder.path(), &[], .., &options, &mut |_| {});
    assert_eq!(report.expect("an export").blocks_known, 0);
    let options = BlockImportOptions::default();
    let report = other.import_blocks(&[folder.path()], &options, &mut |_| {});
    assert!(report.expect("an import").is_whole());
    assert_same_bits(&all(&other), &all(&db));
}
