//! One database, asked from rollups and from samples only.

use super::world::{NARROW_MS, WIDE_MS, histogram};
use narthex::{
    Db, Durability, FloatHistogram, Labels, Options, Overwrite, QueryAnswer, QueryOptions, QueryValue,
    Resolution, Rollup, labels,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub(super) const MINUTE_MS: i64 = 60_000;
pub(super) const QUERIES: &[&str] = &[
    "max_over_time(jobs[10m])",
    "rate(jobs[10m])",
    "count_over_time(jobs[100s])",
    "jobs",
    "last_over_time(jobs[20s])",
];

pub(super) fn options(dir: &Path) -> Options {
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

pub(super) fn jobs(host: &str) -> Labels {
    labels! { "__name__" => "jobs", "host" => host }
}

/// A sample each 5 seconds of two counters, which begin anew each 100 samples.
pub(super) fn scrape(db: &Db, (from_ms, to_ms): (i64, i64)) {
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
pub(super) fn histograms(answer: &QueryAnswer) -> Vec<String> {
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

pub(super) fn settle(db: &Db) {
    db.flush().expect("flushes");
    while db.step().expect("steps") {}
}

pub(super) fn ask(
    db: &Db,
    query: &str,
    range_ms: (i64, i64),
    step_ms: i64,
    resolution: Resolution,
) -> QueryAnswer {
    let mut options = QueryOptions::default();
    options.resolution = resolution;
    db.query_range_with(query, range_ms, step_ms, &options)
        .unwrap_or_else(|error| panic!("{query}: {error}"))
}

pub(super) fn points(answer: &QueryAnswer) -> BTreeMap<(Labels, i64), u64> {
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

pub(super) fn is_rolled(answer: &QueryAnswer) -> bool {
    answer.infos.iter().any(|info| info.contains("rollups of"))
}

pub(super) fn count_where_they_end(answer: &QueryAnswer) -> bool {
    answer
        .infos
        .iter()
        .any(|info| info.contains("count where they end"))
}

/// Exact answers are those of samples. Returns how many were from rollups.
pub(super) fn check_against_samples(db: &Db, range_ms: (i64, i64)) -> usize {
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
