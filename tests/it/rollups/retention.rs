//! Windows of a time whose samples are gone: by age, by size, and what is deleted of them.

use super::single::{
    MINUTE_MS, QUERIES, ask, count_where_they_end, histograms, is_rolled, jobs, options, points, scrape,
    settle,
};
use super::world::{START_MS, WIDE_MS};
use narthex::testing::SimFs;
use narthex::{Db, Durability, Labels, ManualClock, Matcher, Options, Overwrite, Resolution, Rollup};
use std::sync::Arc;
use std::time::Duration;

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
    check_histograms(&short, &long, old);
    check_beside_samples(&short, &long, hours);
    check_odd_steps(&short, &long, old);
}

fn check_histograms(short: &Db, long: &Db, old: (i64, i64)) {
    // Histograms: the ends and sums of windows are kept.
    for query in [
        "latency",
        "last_over_time(latency[100s])",
        "first_over_time(latency[100s])",
        "sum_over_time(latency[10m])",
    ] {
        let found = ask(short, query, old, WIDE_MS, Resolution::Exact);
        let wanted = ask(long, query, old, WIDE_MS, Resolution::Samples);
        assert!(!histograms(&wanted).is_empty(), "{query}");
        assert_eq!(histograms(&found), histograms(&wanted), "{query}");
        assert!(
            found.infos.iter().any(|info| info.contains("stand in")),
            "{:?}",
            found.infos
        );
    }
    let rate = ask(short, "rate(latency[10m])", old, WIDE_MS, Resolution::Exact);
    assert!(!histograms(&rate).is_empty());
    let mean = ask(
        short,
        "avg_over_time(latency[10m])",
        old,
        WIDE_MS,
        Resolution::Exact,
    );
    assert!(histograms(&mean).is_empty(), "a mean of sums is none");
}

fn check_beside_samples(short: &Db, long: &Db, hours: impl Fn(i64) -> i64) {
    // Beside samples again, and over the edge.
    for query in QUERIES {
        let range_ms = (hours(4), hours(10));
        let found = ask(short, query, range_ms, WIDE_MS, Resolution::Exact);
        let wanted = ask(long, query, range_ms, WIDE_MS, Resolution::Samples);
        assert_eq!(points(&found), points(&wanted), "{query}");
    }
}

fn check_odd_steps(short: &Db, long: &Db, old: (i64, i64)) {
    // Steps that fit no window: the windows count where they end, and the answer says so.
    let shifted = (old.0 + 7_000, old.1 + 7_000);
    for step_ms in [15_000, 90_000] {
        let found = ask(
            short,
            "max_over_time(jobs[10m])",
            shifted,
            step_ms,
            Resolution::Exact,
        );
        assert!(count_where_they_end(&found), "{:?}", found.infos);
        let wanted = ask(
            long,
            "max_over_time(jobs[10m])",
            shifted,
            step_ms,
            Resolution::Samples,
        );
        assert_eq!(points(&found).len(), points(&wanted).len());
    }
    let nothing = ask(short, "jobs", old, WIDE_MS, Resolution::Samples);
    assert!(points(&nothing).is_empty());
    let unknown = ask(
        short,
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
