//! Cardinality over ranges of time against exact counts: sealed, merged, deleted, reopened, damaged; and what grew.

use crate::corruption::{read, sections};
use narthex::testing::SimFs;
use narthex::{
    CardinalityEstimate, Db, Distinct, Durability, Fs, Labels, ManualClock, Matcher, Options, Remedy, labels,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const DIR: &str = "db";
const MINUTE_MS: i64 = 60_000;
/// Kind of the section with the sketch, which segments with fewer rows than this do without.
const SKETCH: u16 = 14;
const SKETCHED_ROWS_MIN: u64 = 16_384;

fn options(fs: &SimFs) -> Options {
    Options::new(DIR)
        .fs(Arc::new(fs.clone()))
        .clock(Arc::new(ManualClock::new(0)))
        .background(false)
        .durability(Durability::Never)
        .compaction(false)
        .undelete_window(Duration::ZERO)
}

fn open(fs: &SimFs) -> Db {
    Db::open(options(fs)).expect("a database")
}

/// Series `number`: five metrics, of which the first has half of all series.
fn series(number: u64) -> Labels {
    let metric = format!(
        "metric_{}",
        if number.is_multiple_of(2) {
            0
        } else {
            number % 8 / 2 + 1
        }
    );
    let (pod, zone) = (format!("pod-{}", number / 10), format!("zone-{}", number % 3));
    labels! { "__name__" => &metric, "pod" => &pod, "slot" => &format!("{}", number % 10), "zone" => &zone }
}

fn write(db: &Db, all: impl IntoIterator<Item = Labels>, minute: i64) {
    let mut batch = db.batch();
    for labels in all {
        batch.push(&labels, minute * MINUTE_MS, 1.0);
    }
    assert_eq!(batch.commit().expect("a commit").rejected_count(), 0);
}

/// Three segments of 20,000 series each, half of which the one before had too.
fn three_segments(db: &Db) {
    for round in 0..3 {
        write(
            db,
            (round * 10_000..round * 10_000 + 20_000).map(series),
            round as i64,
        );
        db.flush().expect("a flush");
    }
}

fn exact(db: &Db, matchers: &[Matcher], range: std::ops::Range<i64>) -> u64 {
    db.count_series(matchers, range).expect("a count").series
}

/// The exact number is within the bounds, and the estimate within four times the error of so many registers.
fn assert_close(found: Distinct, exact: u64, registers: f64, what: &str) {
    assert!(
        (found.at_least..=found.at_most).contains(&exact),
        "{what}: {exact}, {found:?}"
    );
    let error = found.estimate as f64 / exact as f64 - 1.0;
    assert!(
        error.abs() <= 4.0 * 1.04 / registers.sqrt(),
        "{what}: {exact}, {found:?}"
    );
}

fn check(db: &Db, range: std::ops::Range<i64>, what: &str) -> CardinalityEstimate {
    let report = db.cardinality_between(range.clone()).expect("a report");
    assert_close(report.series, exact(db, &[], range.clone()), 4_096.0, what);
    assert_eq!((report.unlisted_at_most, report.metrics.len()), (0, 5), "{what}");
    for (metric, series) in &report.metrics {
        let matcher = [Matcher::eq("__name__", metric)];
        assert_close(*series, exact(db, &matcher, range.clone()), 1_024.0, what);
    }
    assert_eq!(report.label_names.len(), 4, "{what}");
    for (name, found) in &report.label_names {
        let values = db.label_values(name, &[], range.clone(), Default::default());
        let values = values.expect("values").items.len() as u64;
        assert_close(found.values, values, 1_024.0, what);
        let series = exact(db, &[Matcher::ne(name, "")], range.clone());
        assert_close(found.series, series, 1_024.0, what);
    }
    report
}

fn is_sketched(db: &Db) -> Vec<bool> {
    let segments = db.segments();
    let has = |parts: &[(&str, u64)]| parts.iter().any(|part| part.0 == "sketch");
    segments.iter().map(|segment| has(&segment.parts)).collect()
}

#[test]
fn a_range_has_as_many_series_as_were_written() {
    let fs = SimFs::new();
    let db = open(&fs);
    three_segments(&db);
    assert_eq!(is_sketched(&db), [true; 3]);
    let one = check(&db, 0..MINUTE_MS, "one segment");
    assert_eq!(
        (one.series.at_least, one.series.at_most),
        (20_000, 20_000),
        "what one segment says is exact"
    );
    assert_eq!(one.label_names["pod"].values.estimate, 2_000);
    let zones = &one.label_names["zone"].top;
    assert_eq!(
        (zones[0].0.as_str(), zones[0].1, zones.len()),
        ("zone-0", 6_667, 3)
    );
    let two = check(&db, 0..2 * MINUTE_MS, "two segments");
    assert_eq!((two.series.at_least, two.series.at_most), (20_000, 40_000));
    let all = check(&db, 0..9 * MINUTE_MS, "three segments");

    write(&db, (8_000..36_000).map(series), 3);
    let with_head = check(&db, 0..9 * MINUTE_MS, "segments and head");
    assert!(with_head.series.at_least == 28_000 && with_head.series.estimate > all.series.estimate * 9 / 10);
    assert_eq!(
        check(&db, 3 * MINUTE_MS..4 * MINUTE_MS, "head").series.estimate,
        28_000
    );
    let empty = db.cardinality_between(7 * MINUTE_MS..).expect("a report");
    assert_eq!(empty, CardinalityEstimate::default());

    db.close().expect("a clean close");
    let db = open(&fs);
    assert_eq!(check(&db, 0..9 * MINUTE_MS, "opened again"), with_head);
}

#[test]
fn a_merge_seals_what_it_made_and_a_part_of_it_is_exact() {
    let fs = SimFs::new();
    let db = open(&fs);
    three_segments(&db);
    db.compact().expect("a merge");
    assert_eq!(is_sketched(&db), [true]);
    let merged = check(&db, 0..9 * MINUTE_MS, "merged");
    assert_eq!((merged.series.at_least, merged.series.at_most), (40_000, 40_000));
    // The range cuts the segment: what counts are the time bounds of series.
    let part = check(&db, 0..MINUTE_MS, "a part");
    assert_eq!((part.series.estimate, part.series.at_most), (20_000, 20_000));
    assert_eq!(db.verify().expect("a report").faults, Vec::<String>::new());
}

#[test]
fn what_is_deleted_counts_until_a_merge() {
    let fs = SimFs::new();
    let db = open(&fs);
    write(&db, (0..20_000).map(series), 0);
    let delete = |metric: &str| {
        db.delete(&[Matcher::eq("__name__", metric)], ..)
            .expect("a deletion")
    };
    delete("metric_1");
    let left = exact(&db, &[], 0..MINUTE_MS);
    let in_head = db.cardinality_between(..).expect("a report");
    assert_eq!(
        (in_head.series.estimate, in_head.metrics.len()),
        (left, 4),
        "in the head it counts at once"
    );
    db.flush().expect("a flush");
    delete("metric_0");
    let hidden = db.cardinality_between(..).expect("a report");
    assert!(hidden.metrics.contains_key("metric_0"));
    write(
        &db,
        (0..10).map(|number| labels! { "__name__" => "other", "n" => &number.to_string() }),
        0,
    );
    db.flush().expect("a flush");
    db.compact().expect("a merge");
    let report = db.cardinality_between(..).expect("a report");
    assert_eq!(report.series.estimate, exact(&db, &[], 0..MINUTE_MS));
    assert!(!report.metrics.contains_key("metric_0") && report.metrics.contains_key("other"));
}

#[test]
fn a_small_segment_has_no_sketch_and_is_counted_all_the_same() {
    let fs = SimFs::new();
    let db = open(&fs);
    for (rows, minute) in [(SKETCHED_ROWS_MIN - 1, 0), (SKETCHED_ROWS_MIN, 1), (300, 2)] {
        write(&db, (0..rows).map(series), minute);
        db.flush().expect("a flush");
    }
    assert_eq!(is_sketched(&db), [false, true, false]);
    let small = check(&db, 0..MINUTE_MS, "without a sketch");
    let large = check(&db, MINUTE_MS..2 * MINUTE_MS, "with one");
    assert_eq!(small.series.estimate + 1, large.series.estimate);
    assert_eq!(
        check(&db, 0..9 * MINUTE_MS, "all").series.at_least,
        SKETCHED_ROWS_MIN
    );
}

fn segment(number: u64) -> PathBuf {
    Path::new(DIR).join(format!("segment-{number:016}.seg"))
}

#[test]
fn a_damaged_sketch_is_told_of_and_made_anew() {
    let fs = SimFs::new();
    let db = open(&fs);
    three_segments(&db);
    let sound = check(&db, 0..9 * MINUTE_MS, "sound");
    db.close().expect("a clean close");
    let path = segment(2);
    let of_sketch = sections(&fs, &path)
        .into_iter()
        .find(|section| section.0 == SKETCH);
    let (_, offset, length) = of_sketch.expect("a sketch");
    assert!(length <= (4 << 10) + 10_000 / 4, "{length} bytes");
    let at = offset + length / 2;
    let byte = read(&fs, &path, at, 1)[0];
    let file = fs.open_write(&path).expect("the file is there");
    file.write_at(at, &[byte ^ 4]).expect("a write");
    drop(file);

    let db = open(&fs);
    let report = db.cardinality_between(..).expect("a report");
    let [warning] = &*report.warnings else {
        panic!("{:?}", report.warnings);
    };
    assert_eq!(warning.file.as_deref(), Some(&*path));
    assert_eq!(report.series, sound.series, "its index answers instead");
    assert_eq!(
        db.growth(..MINUTE_MS, MINUTE_MS..).expect("growth").warnings,
        report.warnings
    );
    let faults = db.verify().expect("a report").faults;
    assert!(
        faults
            .iter()
            .all(|fault| fault.contains("segment-0000000000000002.seg")),
        "{faults:?}"
    );
    assert!(!faults.is_empty());
    assert_eq!(
        exact(&db, &[], 0..9 * MINUTE_MS),
        40_000,
        "samples do not depend on it"
    );
    db.close().expect("a clean close");

    let diagnosis = Db::doctor(&options(&fs)).expect("an examination");
    let finding = &diagnosis.findings[0];
    assert_eq!(
        (finding.what.as_str(), &finding.remedy),
        ("damaged: sketch", &Remedy::RebuildSegment)
    );
    diagnosis.repair().expect("a repair");
    let db = open(&fs);
    assert_eq!(db.verify().expect("a report").faults, Vec::<String>::new());
    assert_eq!(db.cardinality_between(0..9 * MINUTE_MS).expect("a report"), sound);
}

/// A bug gives one metric a label with a new value for every request.
#[test]
fn growth_finds_the_metric_and_the_label_to_blame() {
    let fs = SimFs::new();
    let db = open(&fs);
    write(&db, (0..20_000).map(series), 0);
    db.flush().expect("a flush");
    let request = |number: u64| {
        let (pod, id) = (format!("pod-{}", number % 50), format!("{number:x}"));
        labels! { "__name__" => "metric_2", "pod" => &pod, "request" => &id, "zone" => "zone-1" }
    };
    write(&db, (0..20_000).map(series), 5);
    write(&db, (0..12_000).map(request), 6);
    let in_head = db.growth(..5 * MINUTE_MS, 5 * MINUTE_MS..).expect("growth");
    db.flush().expect("a flush");
    let sealed = db.growth(..5 * MINUTE_MS, 5 * MINUTE_MS..).expect("growth");
    db.compact().expect("a merge");
    assert_eq!(is_sketched(&db), [true]);
    let merged = db.growth(..5 * MINUTE_MS, 5 * MINUTE_MS..).expect("growth");
    for growth in [in_head, sealed, merged] {
        assert_eq!(growth.series.before, 20_000);
        assert!(growth.series.added.abs_diff(12_000) < 800, "{:?}", growth.series);
        assert_eq!(growth.series.gone, 0, "{:?}", growth.series);
        let [metric] = &*growth.metrics else {
            panic!("{:?}", growth.metrics);
        };
        assert_eq!(metric.metric, "metric_2");
        assert!(
            metric.series.added.abs_diff(12_000) < 1_560,
            "{:?}",
            metric.series
        );
        assert_eq!(metric.labels[0].0, "request");
        assert_eq!(growth.label_names[0].name, "request");
        assert_eq!(growth.label_names[0].blamed, metric.series.added);
        assert!(growth.label_names[1..].iter().all(|label| label.blamed == 0));
    }
    let nothing = db.growth(5 * MINUTE_MS.., 5 * MINUTE_MS..).expect("growth");
    assert!(nothing.metrics.is_empty() && nothing.label_names.is_empty());
}
