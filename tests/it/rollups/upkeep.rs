//! What becomes of tiles: when samples go, when something is deleted behind them, when a file is damaged, in copies, after a power
//! loss. A database is held against itself, asked to answer from samples only.

use super::world::{NARROW_MS, START_MS, WIDE_MS, histogram};
use narthex::testing::{CrashMode, Record, SimFs};
use narthex::{
    Db, Durability, FloatHistogram, Fs, Labels, ManualClock, Matcher, Options, Overwrite, QueryAnswer,
    QueryOptions, QueryValue, Resolution, Rollup, labels,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const MINUTE_MS: i64 = 60_000;
const QUERIES: &[&str] = &[
    "max_over_time(jobs[10m])",
    "rate(jobs[10m])",
    "count_over_time(jobs[100s])",
    "jobs",
    "last_over_time(jobs[20s])",
];

fn options(dir: &Path) -> Options {
    let rollup = |width_ms: i64| Rollup::every(Duration::from_millis(width_ms as u64));
    Options::new(dir)
        .background(false)
        .durability(Durability::Never)
        .overwrite(Overwrite::Last)
        .segment_span(Duration::from_secs(300))
        .flush_samples_min(100)
        .rollup(rollup(NARROW_MS))
        .rollup(rollup(WIDE_MS))
}

fn jobs(host: &str) -> Labels {
    labels! { "__name__" => "jobs", "host" => host }
}

/// A sample each 5 seconds of two counters, which begin anew each 100 samples.
fn scrape(db: &Db, (from_ms, to_ms): (i64, i64)) {
    let mut batch = db.batch();
    for time in (from_ms + 1_234..=to_ms).step_by(5_000) {
        for (host, factor) in [("a", 1.0), ("b", 0.3)] {
            batch.push(&jobs(host), time, ((time / 5_000) % 100) as f64 * factor);
        }
        let latency = labels! { "__name__" => "latency" };
        batch.push_histogram(&latency, time, &histogram(((time / 5_000) % 300) as u64));
    }
    batch.commit().expect("the batch is stored");
}

/// Every histogram of an answer, in words.
fn histograms(answer: &QueryAnswer) -> Vec<String> {
    let QueryValue::Matrix(series) = &answer.value else {
        panic!("{answer:?}");
    };
    let of = |(time, value): &(i64, Arc<FloatHistogram>)| {
        let (count, sum, buckets) = (value.count, value.sum, &value.positive);
        format!("{time} {count} {sum} {buckets:?}")
    };
    series
        .iter()
        .flat_map(|one| one.histograms.iter().map(of))
        .collect()
}

fn settle(db: &Db) {
    db.flush().expect("flushes");
    while db.step().expect("steps") {}
}

fn ask(db: &Db, query: &str, range_ms: (i64, i64), step_ms: i64, resolution: Resolution) -> QueryAnswer {
    let mut options = QueryOptions::default();
    options.resolution = resolution;
    db.query_range_with(query, range_ms, step_ms, &options)
        .unwrap_or_else(|error| panic!("{query}: {error}"))
}

fn points(answer: &QueryAnswer) -> BTreeMap<(Labels, i64), u64> {
    let QueryValue::Matrix(series) = &answer.value else {
        panic!("{answer:?}");
    };
    let of = |labels: &Labels, floats: &[(i64, f64)]| -> Vec<((Labels, i64), u64)> {
        let point = |(time, value): &(i64, f64)| ((labels.clone(), *time), value.to_bits());
        floats.iter().map(point).collect()
    };
    series
        .iter()
        .flat_map(|one| of(&one.labels, &one.floats))
        .collect()
}

fn is_rolled(answer: &QueryAnswer) -> bool {
    answer.infos.iter().any(|info| info.contains("rollups of"))
}

fn count_where_they_end(answer: &QueryAnswer) -> bool {
    answer
        .infos
        .iter()
        .any(|info| info.contains("count where they end"))
}

/// Exact answers are those of samples. Returns how many were from rollups.
fn check_against_samples(db: &Db, range_ms: (i64, i64)) -> usize {
    let mut rolled = 0;
    for query in QUERIES {
        let exact = ask(db, query, range_ms, WIDE_MS, Resolution::Exact);
        let samples = ask(db, query, range_ms, WIDE_MS, Resolution::Samples);
        assert!(!is_rolled(&samples));
        assert_eq!(points(&exact), points(&samples), "{query}");
        rolled += usize::from(is_rolled(&exact));
    }
    rolled
}

#[test]
fn windows_stay_when_samples_go() {
    let dir = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::new(START_MS));
    let short = options(&dir.path().join("short"))
        .clock(clock.clone())
        .retention(Duration::from_secs(3 * 3600));
    let short = Db::open(short).expect("opens");
    let long = Db::open(options(&dir.path().join("long"))).expect("opens");
    let hours = |hours: i64| START_MS + hours * 60 * MINUTE_MS;
    for part in 0..20 {
        let range_ms = (
            START_MS + part * 30 * MINUTE_MS,
            START_MS + (part + 1) * 30 * MINUTE_MS,
        );
        clock.set(range_ms.1);
        [&short, &long].into_iter().for_each(|db| {
            scrape(db, range_ms);
            settle(db);
        });
    }
    // Ten hours were written, and the first six are gone.
    let all = [Matcher::eq("__name__", "jobs")];
    let left = short.select(&all, ..=hours(6)).expect("selects");
    assert_eq!(left.count(), 0);
    let old = (hours(1), hours(5));
    for query in QUERIES {
        let found = ask(&short, query, old, WIDE_MS, Resolution::Exact);
        let wanted = ask(&long, query, old, WIDE_MS, Resolution::Samples);
        assert!(!points(&wanted).is_empty() && is_rolled(&found), "{query}");
        assert_eq!(points(&found), points(&wanted), "{query}");
        assert!(!count_where_they_end(&found), "{:?}", found.infos);
    }
    // Histograms: the ends and sums of windows are kept.
    for query in [
        "latency",
        "last_over_time(latency[100s])",
        "first_over_time(latency[100s])",
        "sum_over_time(latency[10m])",
    ] {
        let found = ask(&short, query, old, WIDE_MS, Resolution::Exact);
        let wanted = ask(&long, query, old, WIDE_MS, Resolution::Samples);
        assert!(!histograms(&wanted).is_empty(), "{query}");
        assert_eq!(histograms(&found), histograms(&wanted), "{query}");
        assert!(
            found.infos.iter().any(|info| info.contains("stand in")),
            "{:?}",
            found.infos
        );
    }
    let rate = ask(&short, "rate(latency[10m])", old, WIDE_MS, Resolution::Exact);
    assert!(!histograms(&rate).is_empty());
    let mean = ask(
        &short,
        "avg_over_time(latency[10m])",
        old,
        WIDE_MS,
        Resolution::Exact,
    );
    assert!(histograms(&mean).is_empty(), "a mean of sums is none");
    // Beside samples again, and over the edge.
    for query in QUERIES {
        let range_ms = (hours(4), hours(10));
        let found = ask(&short, query, range_ms, WIDE_MS, Resolution::Exact);
        let wanted = ask(&long, query, range_ms, WIDE_MS, Resolution::Samples);
        assert_eq!(points(&found), points(&wanted), "{query}");
    }
    // Steps that fit no window: the windows count where they end, and the answer says so.
    let shifted = (old.0 + 7_000, old.1 + 7_000);
    for step_ms in [15_000, 90_000] {
        let found = ask(
            &short,
            "max_over_time(jobs[10m])",
            shifted,
            step_ms,
            Resolution::Exact,
        );
        assert!(count_where_they_end(&found), "{:?}", found.infos);
        let wanted = ask(
            &long,
            "max_over_time(jobs[10m])",
            shifted,
            step_ms,
            Resolution::Samples,
        );
        assert_eq!(points(&found).len(), points(&wanted).len());
    }
    let nothing = ask(&short, "jobs", old, WIDE_MS, Resolution::Samples);
    assert!(points(&nothing).is_empty());
    let unknown = ask(
        &short,
        "quantile_over_time(0.5, jobs[10m])",
        old,
        WIDE_MS,
        Resolution::Exact,
    );
    assert!(points(&unknown).is_empty());
    assert!(
        unknown
            .warnings
            .iter()
            .any(|warning| warning.contains("may be gone")),
        "{:?}",
        unknown.warnings
    );
}

#[test]
fn a_deletion_hides_windows_whose_samples_are_gone() {
    let dir = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::new(START_MS));
    let options = || {
        options(dir.path())
            .clock(clock.clone())
            .retention(Duration::from_secs(2 * 3600))
            .undelete_window(Duration::ZERO)
    };
    let mut db = Db::open(options()).expect("opens");
    for part in 0..16 {
        let range_ms = (
            START_MS + part * 30 * MINUTE_MS,
            START_MS + (part + 1) * 30 * MINUTE_MS,
        );
        clock.set(range_ms.1);
        scrape(&db, range_ms);
        settle(&db);
    }
    let old = (START_MS + 60 * MINUTE_MS, START_MS + 180 * MINUTE_MS);
    let query = "last_over_time(jobs[100s])";
    let ask_old = |db: &Db| points(&ask(db, query, old, WIDE_MS, Resolution::Exact));
    let before = ask_old(&db);
    let hidden = (old.0 + 20 * MINUTE_MS, old.0 + 40 * MINUTE_MS);
    let of_a = [Matcher::eq("host", "a")];
    db.delete(&of_a, hidden.0..=hidden.1).expect("deletes");
    let is_hidden =
        |key: &(Labels, i64)| key.0.get("host") == Some("a") && hidden.0 <= key.1 && key.1 <= hidden.1;
    for round in 0..3 {
        let after = ask_old(&db);
        let near = |key: &&(Labels, i64)| {
            // The windows at both ends go as a whole.
            key.0.get("host") == Some("a") && hidden.0 - WIDE_MS <= key.1 && key.1 <= hidden.1 + WIDE_MS
        };
        assert!(!after.keys().any(is_hidden), "round {round}");
        let expected = before.iter().filter(|(key, _)| !near(key));
        for (key, bits) in expected {
            assert_eq!(after.get(key), Some(bits), "round {round}: {key:?}");
        }
        settle(&db);
        db.compact().expect("compacts");
        if round == 1 {
            db.close().expect("closes");
            db = Db::open(options()).expect("opens");
        }
    }
}

#[test]
fn a_tile_that_is_damaged_is_made_anew() {
    let dir = tempfile::tempdir().expect("a folder");
    let db = Db::open(options(dir.path())).expect("opens");
    let end = START_MS + 300 * MINUTE_MS;
    scrape(&db, (START_MS, end));
    settle(&db);
    let range_ms = (START_MS + 30 * MINUTE_MS, end);
    assert_eq!(check_against_samples(&db, range_ms), QUERIES.len());
    let of_samples: Vec<_> = db.segments().into_iter().map(|segment| segment.file).collect();
    db.close().expect("closes");
    let mut damaged = 0;
    for entry in std::fs::read_dir(dir.path()).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|end| end == "seg") && !of_samples.contains(&path) {
            let mut bytes = std::fs::read(&path).expect("reads");
            let at = if damaged == 0 { bytes.len() - 8 } else { 100 };
            bytes[at] ^= 0x55;
            std::fs::write(&path, bytes).expect("writes");
            damaged += 1;
        }
    }
    assert!(damaged >= 2, "{damaged} tiles");
    let db = Db::open(options(dir.path())).expect("opens");
    assert_eq!(db.recovery().quarantined.len(), 1);
    check_against_samples(&db, range_ms);
    settle(&db);
    check_against_samples(&db, range_ms);
    assert!(!db.verify().expect("verifies").is_sound());
}

#[test]
fn copies_have_the_rollups_too() {
    let dir = tempfile::tempdir().expect("a folder");
    let db = Db::open(options(&dir.path().join("here"))).expect("opens");
    let end = START_MS + 300 * MINUTE_MS;
    scrape(&db, (START_MS, end));
    settle(&db);
    let range_ms = (START_MS + 30 * MINUTE_MS, end);
    assert_eq!(check_against_samples(&db, range_ms), QUERIES.len());
    let snapshot = dir.path().join("snapshot");
    db.snapshot(&snapshot).expect("a snapshot");
    let backup = dir.path().join("backup");
    db.backup(&backup, .., None).expect("a backup");
    let restored = dir.path().join("restored");
    Db::restore(&[&backup], &options(&restored)).expect("restores");
    for copy in [&snapshot, &restored] {
        let copy = Db::open(options(copy)).expect("opens");
        assert_eq!(check_against_samples(&copy, range_ms), QUERIES.len());
        assert!(copy.verify().expect("verifies").is_sound());
    }
    // Attached, samples come anew, and what was rolled up before them is outdated.
    let other = Db::open(options(&dir.path().join("other"))).expect("opens");
    let mut batch = other.batch();
    batch.push(&jobs("a"), START_MS + 61 * MINUTE_MS, 1e6);
    batch.push(&jobs("a"), end, 1.0);
    batch.commit().expect("the batch is stored");
    settle(&other);
    other.attach(&[&backup]).expect("attaches");
    check_against_samples(&other, range_ms);
    settle(&other);
    assert_eq!(check_against_samples(&other, range_ms), QUERIES.len());
    // Without a manifest the doctor finds them again; whether they hold nobody knows.
    drop(db);
    std::fs::remove_file(dir.path().join("here/MANIFEST")).expect("removes");
    let here = options(&dir.path().join("here"));
    Db::doctor(&here).expect("a diagnosis").repair().expect("repairs");
    let db = Db::open(here).expect("opens");
    check_against_samples(&db, range_ms);
    settle(&db);
    assert_eq!(check_against_samples(&db, range_ms), QUERIES.len());
}

/// Whatever instant the power fails at, rollups say what samples say.
#[test]
fn a_power_loss_leaves_no_tile_that_is_wrong() {
    let fs = SimFs::default();
    let open = |fs: &SimFs| {
        let shared: Arc<dyn Fs> = Arc::new(fs.clone());
        Db::open(options(Path::new("db")).fs(shared).durability(Durability::Always)).expect("opens")
    };
    let db = open(&fs);
    fs.record(Record::Changes);
    let mut end = START_MS;
    for round in 0..6 {
        let begin = end;
        end += 60 * MINUTE_MS;
        scrape(&db, (begin, end));
        if round >= 2 {
            let mut batch = db.batch();
            batch.push(
                &jobs("b"),
                START_MS + (17 + round) * MINUTE_MS,
                5_000.0 + round as f64,
            );
            batch.commit().expect("the batch is stored");
            let hidden = START_MS + round * 23 * MINUTE_MS;
            db.delete(&[Matcher::eq("host", "a")], hidden..=hidden + 90_000)
                .expect("deletes");
        }
        settle(&db);
    }
    let points = fs.take_crash_points();
    fs.record(Record::Nothing);
    let (mut rolled, step) = (0, points.len().div_ceil(120).max(1));
    for (number, point) in points.iter().enumerate().step_by(step) {
        let mode = CrashMode::ALL[number % CrashMode::ALL.len()];
        let db = open(&point.crash(number as u64, mode));
        rolled += check_against_samples(&db, (START_MS + 10 * MINUTE_MS, end));
        settle(&db);
        check_against_samples(&db, (START_MS + 10 * MINUTE_MS, end));
    }
    assert!(rolled > 100, "{rolled} answers from rollups");
}

#[test]
fn what_comes_while_a_tile_is_made_is_not_forgotten() {
    let dir = tempfile::tempdir().expect("a folder");
    let db = Db::open(options(dir.path())).expect("opens");
    let end = START_MS + 300 * MINUTE_MS;
    scrape(&db, (START_MS, end));
    db.flush().expect("flushes");
    let is_being_made = |db: &Db| db.rollups().iter().any(|rollup| rollup.is_being_made);
    let mut late = 0;
    while db.step().expect("steps") {
        if is_being_made(&db) && late < 6 {
            let mut batch = db.batch();
            batch.push(&jobs("a"), START_MS + (20 + late) * 17 * MINUTE_MS + 7, 1e4);
            batch.commit().expect("the batch is stored");
            db.flush().expect("flushes");
            late += 1;
        }
    }
    assert_eq!(late, 6);
    let range_ms = (START_MS + 30 * MINUTE_MS, end);
    assert_eq!(check_against_samples(&db, range_ms), QUERIES.len());
    assert!(
        db.rollups().iter().all(|rollup| rollup.outdated.is_zero()),
        "{:?}",
        db.rollups()
    );
}

/// The samples go by size; nothing makes windows of their time anew from what is left.
#[test]
fn windows_stay_when_samples_go_by_size() {
    let fs = SimFs::default();
    let clock = Arc::new(ManualClock::new(START_MS));
    let open = || {
        let options = Options::new("db")
            .fs(Arc::new(fs.clone()))
            .background(false)
            .durability(Durability::Never)
            .overwrite(Overwrite::Last)
            .segment_span(Duration::from_secs(300))
            .flush_samples_min(100)
            .rollup(Rollup::every(Duration::from_millis(WIDE_MS as u64)))
            .clock(clock.clone())
            .wal_sizes(8 << 10, 4 << 10)
            .checkpoint_bytes_min(4 << 10)
            .compress_after(None)
            .retention_bytes(220 << 10);
        Db::open(options).expect("opens")
    };
    let mut db = open();
    let hours = |hours: i64| START_MS + hours * 60 * MINUTE_MS;
    let mut part = 0;
    let all = [Matcher::eq("__name__", "jobs")];
    while db.select(&all, ..=hours(6)).expect("selects").count() > 0 || part < 20 {
        let range_ms = (
            START_MS + part * 30 * MINUTE_MS,
            START_MS + (part + 1) * 30 * MINUTE_MS,
        );
        clock.set(range_ms.1);
        scrape(&db, range_ms);
        settle(&db);
        part += 1;
        assert!(part < 2_000, "nothing goes");
    }
    let first = db.select(&all, ..).expect("selects").map(|series| {
        let series = series.expect("reads");
        series.float_timestamps()[0]
    });
    let first = first.min().expect("some samples are left") / WIDE_MS * WIDE_MS;
    let old = (first - 5 * 60 * MINUTE_MS, first - 2 * 60 * MINUTE_MS);
    let ask_old = |db: &Db| points(&ask(db, QUERIES[0], old, WIDE_MS, Resolution::Exact));
    let before = ask_old(&db);
    assert!(!before.is_empty());
    for round in 0..3 {
        let mut batch = db.batch();
        batch.push(&jobs("a"), old.0 + 60 * MINUTE_MS + round, 1e6);
        batch.commit().expect("the batch is stored");
        settle(&db);
        db.compact().expect("compacts");
        assert_eq!(ask_old(&db), before, "round {round}");
        drop(db);
        db = open();
    }
}
