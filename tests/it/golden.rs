//! The file formats of version 1, held by a folder of files in `tests/golden/v1`.
//!
//! The folder was written by the fixed input below: three segments (one without compression, one with snappy, one with
//! zstd), a checkpoint and a log. It must open and give these samples as long as there is a version 1, and the same
//! input must write the same bytes again.
//!
//! After a deliberate change of the format, before it is released, make the files anew:
//!
//! ```text
//! NARTHEX_BLESS=1 cargo test --test it golden
//! ```

use crate::world::{Rng, Truth, answer, assert_same, float, histogram, random_float, random_labels};
use narthex::testing::{SimFs, with_identity};
use narthex::{
    Compressor, Db, Durability, Exemplar, Fs, ManualClock, Metadata, MetricType, Options, ResetHint, Sample,
    Value, labels,
};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

const DIR: &str = "db";
const SERIES: u64 = 40;

/// The bytes of this segment depend on the version of the zstd library, and the manifest names its length.
const DEPENDS_ON_ZSTD: [&str; 2] = ["segment-0000000000000003.seg", "MANIFEST"];

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

/// The options of the part of the input that begins at tick `tick`.
fn options(fs: &SimFs, tick: i64) -> Options {
    let options = Options::new(DIR)
        .fs(Arc::new(fs.clone()))
        .clock(Arc::new(ManualClock::new(1_600_000_000_000 + tick)))
        .background(false)
        .durability(Durability::Never)
        .checkpoint_bytes_min(1)
        .wal_sizes(16 << 10, 16 << 10);
    with_identity(options, 1)
}

/// The fixed input: floats of all kinds, late samples, start timestamps, histograms, an exemplar and metadata.
fn write(db: &Db, truth: &mut Truth, ticks: std::ops::Range<i64>) {
    let mut rng = Rng::new(ticks.start as u64);
    for tick in ticks.clone() {
        let mut samples = Vec::new();
        for number in 0..SERIES {
            // Every third tick of some series comes one tick late.
            let shift = if number % 8 == 3 && tick % 3 == 1 {
                -14_000
            } else {
                0
            };
            let timestamp = tick * 15_000 + number as i64 % 5 + shift;
            let mut sample = float(timestamp, random_float(&mut rng, number, timestamp));
            sample.start_timestamp = if number % 9 == 0 { 7_000 } else { 0 };
            samples.push((random_labels(number), sample));
        }
        let value = Value::Histogram(histogram(tick as u64 % 50, ResetHint::Unknown));
        let sample = Sample {
            timestamp: tick * 15_000,
            value,
            start_timestamp: 0,
        };
        samples.push((labels! { "__name__" => "sizes", "le" => "" }, sample));
        truth.write(db, samples);
    }
    let mut batch = db.batch();
    batch.push_exemplar(&labels! { "__name__" => "sizes" }, &exemplar(ticks.start));
    batch.push_metadata("sizes", &metadata(ticks.start));
    let report = batch.commit().unwrap();
    assert_eq!((report.exemplars, report.metadata), (1, 1));
}

fn exemplar(tick: i64) -> Exemplar {
    Exemplar {
        labels: labels! { "trace_id" => &format!("trace-{tick}") },
        timestamp: tick * 15_000,
        value: 0.25,
    }
}

fn metadata(tick: i64) -> Metadata {
    Metadata {
        metric_type: MetricType::Histogram,
        help: format!("Sizes, from tick {tick} on."),
        unit: "bytes".into(),
    }
}

/// Ticks at which the parts of the input begin, and the end.
const PARTS: [i64; 6] = [0, 60, 100, 130, 160, 175];

/// Writes the fixed input: a segment of each compressor, a checkpoint, and a log behind it.
fn make() -> (SimFs, Truth) {
    let fs = SimFs::new();
    let mut truth = Truth::default();
    let compressors = [Compressor::None, Compressor::Snappy, Compressor::Zstd];
    for (part, compressor) in PARTS.windows(2).zip(compressors) {
        let options = options(&fs, part[0]);
        let options = options
            .metadata_compressor(compressor)
            .data_compressor(compressor);
        let db = Db::open(options).unwrap();
        write(&db, &mut truth, part[0]..part[1]);
        db.flush().unwrap();
        db.close().unwrap();
    }
    let db = Db::open(options(&fs, PARTS[3])).unwrap();
    write(&db, &mut truth, PARTS[3]..PARTS[4]);
    while db.step().unwrap() {}
    write(&db, &mut truth, PARTS[4]..PARTS[5]);
    db.close().unwrap();
    (fs, truth)
}

/// The files of a database by name, as far as they count.
fn files(fs: &SimFs) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for name in fs.list(Path::new(DIR)).unwrap() {
        if name == "LOCK" || name.ends_with(".json") {
            continue;
        }
        let path = Path::new(DIR).join(&name);
        let mut bytes = vec![0; fs.file_len(&path).unwrap() as usize];
        fs.open_read(&path).unwrap().read_at(0, &mut bytes).unwrap();
        files.push((name, bytes));
    }
    files
}

/// Makes the golden files anew, once, if that is asked for.
#[expect(
    clippy::disallowed_methods,
    reason = "the golden files are not a database in use"
)]
fn bless(made: &SimFs) {
    static ONCE: Once = Once::new();
    if std::env::var_os("NARTHEX_BLESS").is_none() {
        return;
    }
    ONCE.call_once(|| {
        let folder = golden_folder();
        if folder.exists() {
            std::fs::remove_dir_all(&folder).unwrap();
        }
        std::fs::create_dir_all(&folder).unwrap();
        for (name, bytes) in files(made) {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
    });
}

#[expect(
    clippy::disallowed_methods,
    reason = "the golden files are not a database in use"
)]
fn golden(made: &SimFs) -> Vec<(String, Vec<u8>)> {
    bless(made);
    let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(golden_folder())
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    files
}

fn load(files: &[(String, Vec<u8>)]) -> SimFs {
    let fs = SimFs::new();
    fs.create_dir_all(Path::new(DIR)).unwrap();
    for (name, bytes) in files {
        let file = fs.create_new(&Path::new(DIR).join(name)).unwrap();
        file.write_at(0, bytes).unwrap();
    }
    fs
}

fn check(db: &Db, truth: &Truth, what: &str) {
    assert_same(&answer(db, &[], ..), &truth.select(&[], i64::MIN, i64::MAX), what);
    let recovery = db.recovery();
    assert_eq!((recovery.gaps.len(), recovery.torn_bytes), (0, 0), "{what}");
    assert_eq!(db.verify().unwrap().faults, Vec::<String>::new(), "{what}");
    let exemplars = db.exemplars(&[], ..).unwrap();
    let expected: Vec<Exemplar> = PARTS[..5].iter().map(|tick| exemplar(*tick)).collect();
    assert_eq!(
        exemplars,
        [(labels! { "__name__" => "sizes" }, expected)],
        "{what}"
    );
    let history = &db.metadata(None)["sizes"];
    let expected: Vec<Metadata> = PARTS[..5].iter().map(|tick| metadata(*tick)).collect();
    assert!(history.iter().map(|entry| &entry.1).eq(&expected), "{what}");
}

#[test]
fn the_stored_files_give_the_samples_they_were_made_of() {
    let (made, truth) = make();
    let stored = golden(&made);
    let total: usize = stored.iter().map(|file| file.1.len()).sum();
    assert!(total < 200_000, "{total} bytes");
    for (prefix, count) in [("MANIFEST", 1), ("segment-", 3), ("checkpoint-", 1)] {
        let found = stored.iter().filter(|file| file.0.starts_with(prefix)).count();
        assert_eq!(found, count, "{prefix}");
    }
    let fs = load(&stored);
    for mmap in [false, true] {
        let db = Db::open(options(&fs, 200).mmap(mmap).read_only(true)).unwrap();
        check(&db, &truth, "read only");
        assert!(db.recovery().samples > 0, "the checkpoint and the log count");
    }
    let db = Db::open(options(&fs, 200)).unwrap();
    check(&db, &truth, "opened");
    db.flush().unwrap();
    check(&db, &truth, "flushed");
}

#[test]
fn the_same_input_writes_the_same_bytes() {
    let (made, _) = make();
    let (again, _) = make();
    assert_eq!(files(&made), files(&again), "two runs differ");
    let (made, stored) = (files(&made), golden(&again));
    let names =
        |files: &[(String, Vec<u8>)]| -> Vec<String> { files.iter().map(|file| file.0.clone()).collect() };
    assert_eq!(names(&made), names(&stored));
    for (made, stored) in made.iter().zip(&stored) {
        if DEPENDS_ON_ZSTD.contains(&made.0.as_str()) {
            continue;
        }
        let differs = made.1.iter().zip(&stored.1).position(|(one, other)| one != other);
        assert_eq!(differs, None, "{}: first byte that differs", made.0);
        assert_eq!(made.1.len(), stored.1.len(), "{}: length", made.0);
    }
}
