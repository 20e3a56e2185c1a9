//! Damage to the files of a database: opening and reading never panic and never give a wrong value, and what is missing
//! is said.
//!
//! One database with every kind of file is damaged in more than a thousand places, one at a time: bits flipped, bytes
//! zeroed or made up, files cut, blocks moved. After each, everything that can be read is compared with what was
//! written.
//!
//! Bytes whose damage nobody needs to notice, because nothing is lost with them:
//! * LOCK and the page for people beside a segment: nothing is read from them.
//! * One of the two headers of a log file or checkpoint while the other one is whole, and the gap between the two.
//! * Log bytes behind the last record: reserved space. Bytes that are not zero there are reported as a torn tail.
//!
//! And one kind of loss that nobody can notice: a last log file that is cut looks like one whose end was never written.

use crate::world::{Rng, Truth, answer, assert_same, float, histogram, random_float, random_labels};
use narthex::testing::SimFs;
use narthex::{
    Db, Durability, Error, Exemplar, Fs, ListOptions, Metadata, MetricType, Options, ResetHint, Sample,
    Value, labels,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) const DIR: &str = "db";

pub(crate) fn options(fs: &SimFs) -> Options {
    Options::new(DIR)
        .fs(Arc::new(fs.clone()))
        .background(false)
        .durability(Durability::Never)
        .checkpoint_bytes_min(1)
        .wal_sizes(128 << 10, 16 << 10)
}

/// Histograms, exemplars, metadata and start timestamps beside the floats of a part.
fn write_part(db: &Db, truth: &mut Truth, rng: &mut Rng, ticks: std::ops::Range<i64>) {
    for tick in ticks.clone() {
        let mut samples = Vec::new();
        for number in 0..60 {
            let timestamp = tick * 15_000 + number as i64 % 3;
            let mut sample = float(timestamp, random_float(rng, number, timestamp));
            sample.start_timestamp = if number % 10 == 0 { 14_000 } else { 0 };
            samples.push((random_labels(number), sample));
        }
        let value = Value::Histogram(histogram(tick as u64, ResetHint::Unknown));
        let sample = Sample {
            timestamp: tick * 15_000,
            value,
            start_timestamp: 0,
        };
        samples.push((labels! { "__name__" => "sizes" }, sample));
        truth.write(db, samples);
    }
    let mut batch = db.batch();
    let exemplar = Exemplar {
        labels: labels! { "trace_id" => "abc" },
        timestamp: ticks.start * 15_000,
        value: 1.0,
    };
    batch.push_exemplar(&labels! { "__name__" => "sizes" }, &exemplar);
    let metadata = Metadata {
        metric_type: MetricType::Histogram,
        help: format!("From tick {} on.", ticks.start),
        unit: "bytes".into(),
    };
    batch.push_metadata("sizes", &metadata);
    batch.commit().unwrap();
}

/// A closed database with two segments, a checkpoint and log files.
pub(crate) fn make() -> (SimFs, Truth) {
    let fs = SimFs::new();
    let mut truth = Truth::default();
    let mut rng = Rng::new(77);
    let db = Db::open(options(&fs)).unwrap();
    write_part(&db, &mut truth, &mut rng, 0..130);
    db.flush().unwrap();
    write_part(&db, &mut truth, &mut rng, 130..200);
    db.flush().unwrap();
    write_part(&db, &mut truth, &mut rng, 200..260);
    while db.step().unwrap() {}
    assert!(db.stats().unwrap().checkpoint_bytes > 0);
    write_part(&db, &mut truth, &mut rng, 260..330);
    db.close().unwrap();
    (fs, truth)
}

/// The files of the database with their lengths.
pub(crate) fn files(fs: &SimFs) -> Vec<(PathBuf, u64)> {
    let names = fs.list(Path::new(DIR)).unwrap();
    let mut files = Vec::new();
    for name in names {
        let path = Path::new(DIR).join(name);
        files.push((path.clone(), fs.file_len(&path).unwrap()));
    }
    files
}

pub(crate) fn read(fs: &SimFs, path: &Path, offset: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    fs.open_read(path).unwrap().read_at(offset, &mut bytes).unwrap();
    bytes
}

fn overwrite(fs: &SimFs, path: &Path, offset: u64, bytes: &[u8]) {
    fs.open_write(path).unwrap().write_at(offset, bytes).unwrap();
}

/// One way of damaging a file; gives what was done in words, or `None` when nothing changed.
fn damage(fs: &SimFs, path: &Path, length: u64, at: u64, rng: &mut Rng) -> Option<String> {
    let run = (1 + rng.below(64)).min(length - at) as usize;
    let before = read(fs, path, at, run);
    let (after, what) = match rng.below(6) {
        0..=2 => {
            let mask = 1 << rng.below(8);
            (vec![before[0] ^ mask], format!("bits {mask:#x} flipped"))
        }
        3 => (vec![0; run], format!("{run} bytes zeroed")),
        4 => {
            let junk = (0..run).map(|_| rng.next() as u8).collect();
            (junk, format!("{run} bytes made up"))
        }
        _ => {
            fs.open_write(path).unwrap().set_len(at).unwrap();
            return Some(format!("{}: cut at {at} of {length}", path.display()));
        }
    };
    if before.starts_with(&after) {
        return None;
    }
    overwrite(fs, path, at, &after);
    Some(format!("{}: {what} at {at} of {length}", path.display()))
}

/// What the damaged database gave.
pub(crate) struct Outcome {
    /// Samples that should be there and are not.
    pub(crate) missing: usize,
    /// Whether opening or reading said anything about it.
    pub(crate) is_reported: bool,
    /// Whether anything at all did, `verify` included.
    pub(crate) is_noticed: bool,
}

/// Opens and reads everything. Panics on a wrong value.
pub(crate) fn examine(fs: &SimFs, truth: &Truth, mmap: bool, what: &str) -> Outcome {
    let db = match Db::open(options(fs).mmap(mmap).read_only(true)) {
        Ok(db) => db,
        Err(error) => {
            assert_names_file(&error, what);
            return Outcome {
                missing: usize::MAX,
                is_reported: true,
                is_noticed: true,
            };
        }
    };
    let (mut reported, mut found) = (false, 0);
    let mut cursor = db.select(&[], ..).unwrap();
    for series in cursor.by_ref() {
        let series = series.unwrap_or_else(|error| panic!("{what}: {error}"));
        let wanted = truth.series.get(series.labels());
        let wanted = wanted.unwrap_or_else(|| panic!("{what}: invented {}", series.labels()));
        for sample in series.samples() {
            let written = wanted.get(&sample.timestamp);
            assert_eq!(Some(&sample), written, "{what}: in {}", series.labels());
            found += 1;
        }
    }
    for warning in cursor.warnings() {
        let is_whole_file = warning.reason.starts_with("open ");
        assert!(
            is_whole_file || warning.reason.contains("offset"),
            "{what}: no offset: {warning:?}"
        );
        assert!(warning.reason.contains(DIR), "{what}: no file: {warning:?}");
    }
    reported |= !cursor.warnings().is_empty();
    read_the_rest(&db, &mut reported, what);
    let recovery = db.recovery();
    reported |= !recovery.gaps.is_empty() || recovery.torn_bytes > 0 || recovery.lost_samples > 0;
    let verified = db.verify();
    let is_sound = verified.as_ref().is_ok_and(|report| report.is_sound());
    for fault in verified.iter().flat_map(|report| &report.faults) {
        assert!(fault.contains(DIR), "{what}: verify names no file: {fault}");
    }
    let total: usize = truth.series.values().map(|samples| samples.len()).sum();
    Outcome {
        missing: total - found,
        is_reported: reported,
        is_noticed: reported || !is_sound,
    }
}

fn assert_names_file(error: &Error, what: &str) {
    let text = error.to_string();
    assert!(text.contains(DIR), "{what}: the error names no file: {text}");
}

/// Listings, exemplars, metadata and counts: no panic, and an error names the file.
fn read_the_rest(db: &Db, reported: &mut bool, what: &str) {
    let list = ListOptions::default();
    let names = db.label_names(&[], 0..1_000_000, list).unwrap();
    let hosts = db.label_values("host", &[], 0..1_000_000, list).unwrap();
    let series = db.series(&[], .., list).unwrap();
    for warnings in [&names.warnings, &hosts.warnings, &series.warnings] {
        *reported |= !warnings.is_empty();
    }
    match db.exemplars(&[], ..) {
        Ok(exemplars) => {
            for exemplar in exemplars.iter().flat_map(|series| &series.1) {
                assert_eq!(exemplar.labels, labels! { "trace_id" => "abc" }, "{what}");
            }
        }
        Err(error) => assert_names_file(&error, what),
    }
    for (_, entry) in db.metadata(None).values().flatten() {
        assert!(entry.help.starts_with("From tick "), "{what}: {entry:?}");
    }
    if let Err(error) = db.cardinality() {
        assert_names_file(&error, what);
    }
    db.stats().unwrap();
}

/// Whether damage here may go unnoticed: see the head of this file.
pub(crate) fn may_go_unnoticed(fs: &SimFs, path: &Path, at: u64) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
    let is_framed = name.starts_with("wal-") || name.starts_with("checkpoint-");
    let is_ignored = name == "LOCK" || name.ends_with(".json");
    is_ignored || is_framed && (at < 8192 || is_behind_the_records(fs, path, at))
}

/// Everything from `at` on is zero.
fn is_behind_the_records(fs: &SimFs, path: &Path, at: u64) -> bool {
    let length = fs.file_len(path).unwrap();
    read(fs, path, at, (length - at) as usize)
        .iter()
        .all(|byte| *byte == 0)
}

pub(crate) fn is_last_log(fs: &SimFs, path: &Path) -> bool {
    let last = files(fs)
        .into_iter()
        .map(|file| file.0)
        .rfind(|path| path.to_string_lossy().contains("wal-"));
    last.as_deref() == Some(path)
}

fn damage_and_examine(fs: &SimFs, truth: &Truth, path: &Path, at: u64, rng: &mut Rng) {
    let damaged = fs.kill();
    let length = fs.file_len(path).unwrap();
    let Some(what) = damage(&damaged, path, length, at, rng) else {
        return;
    };
    let outcome = examine(&damaged, truth, rng.chance(2), &what);
    let is_end_of_log = damaged.file_len(path).unwrap() < length && is_last_log(fs, path);
    assert!(
        outcome.missing == 0 || outcome.is_reported || is_end_of_log,
        "{what}: {} samples missing without a word",
        outcome.missing
    );
    assert!(
        outcome.is_noticed || is_end_of_log || may_go_unnoticed(fs, path, at),
        "{what}: nobody noticed"
    );
}

#[test]
fn an_undamaged_database_is_sound() {
    let (fs, truth) = make();
    let outcome = examine(&fs, &truth, true, "undamaged");
    assert_eq!((outcome.missing, outcome.is_noticed), (0, false));
    let names: Vec<String> = fs.list(Path::new(DIR)).unwrap();
    for kind in ["MANIFEST", "wal-", "segment-", "checkpoint-"] {
        assert!(
            names.iter().any(|name| name.starts_with(kind)),
            "{kind} in {names:?}"
        );
    }
}

#[test]
fn random_damage_is_never_answered_with_a_wrong_value() {
    let (fs, truth) = make();
    let files = files(&fs);
    let mut rng = Rng::new(2_024);
    for _ in 0..1_000u64 {
        // A file, then a place in it; half of the places of log files lie where records are.
        let (path, length) = rng.pick(&files);
        if *length == 0 {
            continue;
        }
        let used = if rng.chance(2) {
            *length
        } else {
            (*length).min(60_000)
        };
        damage_and_examine(&fs, &truth, path, rng.below(used), &mut rng);
    }
}

/// The sections of a segment: kind, offset and stored length, from the table at its end.
pub(crate) fn sections(fs: &SimFs, path: &Path) -> Vec<(u16, u64, u64)> {
    let length = fs.file_len(path).unwrap();
    let footer = read(fs, path, length - 32, 32);
    let table = u64::from_le_bytes(footer[..8].try_into().unwrap());
    let count = u32::from_le_bytes(footer[8..12].try_into().unwrap());
    let entry = |number: u32| read(fs, path, table + u64::from(number) * 40, 40);
    let field = |entry: &[u8], at: usize| u64::from_le_bytes(entry[at..at + 8].try_into().unwrap());
    (0..count)
        .map(entry)
        .map(|entry| {
            (
                u16::from_le_bytes([entry[0], entry[1]]),
                field(&entry, 8),
                field(&entry, 16),
            )
        })
        .collect()
}

#[test]
fn damage_to_any_section_of_a_segment_is_noticed() {
    let (fs, truth) = make();
    let mut rng = Rng::new(5);
    let segment = Path::new(DIR).join("segment-0000000000000001.seg");
    let sections = sections(&fs, &segment);
    let kinds: Vec<u16> = sections.iter().map(|section| section.0).collect();
    assert!(
        (1..=12).all(|kind| kinds.contains(&kind)),
        "all kinds are there: {kinds:?}"
    );
    let length = fs.file_len(&segment).unwrap();
    let first_section = sections.iter().map(|section| section.1).min().unwrap();
    // Header, data, every section, table and footer.
    let mut parts = vec![(0, 64), (64, first_section - 64), (length - 32, 32)];
    parts.extend(sections.iter().map(|section| (section.1, section.2)));
    let table_length = sections.len() as u64 * 40;
    parts.push((length - 32 - table_length, table_length));
    for (offset, length) in parts {
        for _ in 0..12 {
            damage_and_examine(&fs, &truth, &segment, offset + rng.below(length), &mut rng);
        }
    }
}

#[test]
fn every_bit_of_the_manifest_counts() {
    let (fs, truth) = make();
    let path = Path::new(DIR).join("MANIFEST");
    let length = fs.file_len(&path).unwrap();
    for at in 0..length {
        let damaged = fs.kill();
        damaged.flip(&path, at, 1 << (at % 8)).unwrap();
        let error = Db::open(options(&damaged)).unwrap_err();
        assert!(matches!(error, Error::Corrupt(_)), "{error}");
        assert_names_file(&error, "manifest");
    }
    fs.remove(&path).unwrap();
    let error = Db::open(options(&fs)).unwrap_err();
    assert!(error.to_string().contains("no manifest"), "{error}");
    drop(truth);
}

#[test]
fn a_missing_file_is_reported() {
    let (fs, truth) = make();
    for (path, _) in files(&fs) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let damaged = fs.kill();
        damaged.remove(&path).unwrap();
        let outcome = examine(&damaged, &truth, true, &format!("{name} removed"));
        let is_harmless = name == "LOCK" || name.ends_with(".json");
        assert!(
            is_harmless || outcome.is_noticed,
            "{name} is gone and nobody noticed"
        );
        assert!(outcome.missing == 0 || outcome.is_reported, "{name}");
    }
}

#[test]
fn a_damaged_database_goes_on_with_what_is_left() {
    let (fs, truth) = make();
    let mut rng = Rng::new(99);
    let segment = Path::new(DIR).join("segment-0000000000000001.seg");
    let log: Vec<PathBuf> = files(&fs)
        .into_iter()
        .map(|file| file.0)
        .filter(|path| path.to_string_lossy().contains("wal-"))
        .collect();
    for _ in 0..25 {
        let damaged = fs.kill();
        let length = fs.file_len(&segment).unwrap();
        damaged.flip(&segment, rng.below(length), 0x10).unwrap();
        damaged
            .flip(rng.pick(log.as_slice()).as_path(), 8192 + rng.below(30_000), 0x10)
            .unwrap();
        let db = Db::open(options(&damaged)).unwrap();
        let before = db.select(&[], ..).unwrap().count();
        assert!(before > 0, "the other segment and the head answer");
        let mut more = Truth::default();
        more.write(
            &db,
            vec![(labels! { "__name__" => "afterwards" }, float(10_000_000, 1.0))],
        );
        db.flush().unwrap();
        while db.step().unwrap() {}
        assert_eq!(db.select(&[], ..).unwrap().count(), before + 1);
        db.close().unwrap();
        let db = Db::open(options(&damaged)).unwrap();
        let matchers = [narthex::Matcher::eq("__name__", "afterwards")];
        let mut found = Vec::new();
        for series in db.select(&matchers, ..).unwrap() {
            let series = series.unwrap();
            found.push((series.labels().clone(), series.samples().collect()));
        }
        assert_same(&found, &more.select(&[], i64::MIN, i64::MAX), "afterwards");
    }
    assert_same(
        &answer(&Db::open(options(&fs)).unwrap(), &[], ..),
        &truth.select(&[], i64::MIN, i64::MAX),
        "the undamaged one",
    );
}

/// The same on a real disk, where files are mapped.
#[test]
fn mapped_files_are_checked_as_well() {
    let (fs, truth) = make();
    let mut rng = Rng::new(12);
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..60 {
        let segment = format!("segment-{:016}.seg", 1 + rng.below(2));
        let target = dir.path().join("copy");
        for (path, length) in files(&fs) {
            let bytes = read(&fs, &path, 0, length as usize);
            let to = target.join(path.file_name().unwrap());
            put(&to, &bytes);
            if to.ends_with(&segment) {
                let at = rng.below(length) as usize;
                let mut bytes = bytes;
                bytes[at] ^= 1 << rng.below(8);
                put(&to, &bytes);
            }
        }
        let db = Db::open_read_only(&target).unwrap();
        let mut cursor = db.select(&[], ..).unwrap();
        for series in cursor.by_ref() {
            let series = series.unwrap();
            let wanted = &truth.series[series.labels()];
            assert!(
                series
                    .samples()
                    .all(|sample| wanted.get(&sample.timestamp) == Some(&sample))
            );
        }
        let is_noticed = !cursor.warnings().is_empty() || !db.verify().unwrap().is_sound();
        assert!(is_noticed, "{segment}");
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "puts a database's files where a test wants them"
)]
fn put(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}
