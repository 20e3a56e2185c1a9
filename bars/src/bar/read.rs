//! Bar 5: whole segments, one series out of a million, the last hour out of the head, matchers on a million values.
//!
//! Everything is warm: a first pass reads what the next ones time.

use super::{Scale, write_tick};
use crate::adapter::{Policy, Setup, Store, everything};
use crate::fleet::{BASE_MS, Fleet, SERIES_PER_HOST, STEP_MS};
use crate::measure::{Times, median, thread_cpu};
use crate::realdata::{Pace, Recording, Replay};
use crate::report::{Bar, Report};
use crate::rng::{Rng, mix};
use crate::workload::play;
use anyhow::Result;
use clap::ValueEnum;
use narthex::{Labels, Matcher};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const ALL_TIME: RangeInclusive<i64> = i64::MIN..=i64::MAX;
const HOUR_TICKS: i64 = 240;
const SEGMENT_TICKS: i64 = 480;
const RUNS: usize = 5;
const SINGLE_PASSES: usize = 20;
/// A question is asked so often at least, and for so long, so that short ones are warm as well.
const MATCH_RUNS: usize = 51;
const MATCH_TIME: Duration = Duration::from_millis(20);
/// A metric of which a host has one series.
const SINGLE_METRIC: &str = "node_load1";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    Whole,
    One,
    Head,
    Match,
}

pub fn run(scale: &Scale, parts: &[Part], realdata: Option<&Path>) -> Result<bool> {
    let parts = if parts.is_empty() {
        Part::value_variants()
    } else {
        parts
    };
    let mut report = Report::new("read: through the public iterators, warm", scale.small);
    for part in parts {
        match part {
            Part::Whole => whole(scale, realdata, &mut report)?,
            Part::One => one_of_a_million(scale, &mut report)?,
            Part::Head => last_hour(scale, &mut report)?,
            Part::Match => matchers(scale, &mut report)?,
        }
    }
    Ok(report.print())
}

fn quiet(folder: &Path) -> Setup {
    Setup::new(folder).policy(Policy::Never).no_background()
}

/// Flushes and opens again, so that nothing is in memory.
fn reopened(store: Store, folder: &Path) -> Result<Store> {
    store.flush()?;
    store.close()?;
    Store::open(&quiet(folder))
}

fn whole(scale: &Scale, realdata: Option<&Path>, report: &mut Report) -> Result<()> {
    let folder = scale.folder()?;
    let store = Store::open(&quiet(folder.path()))?;
    let mut fleet = Fleet::new(scale.of(10_000, 200), 0, 1);
    for _ in 0..scale.of(SEGMENT_TICKS, 40) {
        write_tick(&store, &mut fleet)?;
    }
    let written = fleet.series() * (fleet.tick() + 1) as usize;
    scan(
        &reopened(store, folder.path())?,
        "whole segments, fleet",
        written,
        report,
    )?;
    let Some(realdata) = realdata else { return Ok(()) };
    let recording = Arc::new(Recording::load(realdata)?);
    let pace = Pace {
        decimate: 1,
        jitter: false,
        scrapes_max: scale.of(u32::MAX, 20),
    };
    let folder = scale.folder()?;
    let store = Store::open(&quiet(folder.path()))?;
    let written = play(&mut Replay::new(&recording, pace), &store)?;
    scan(
        &reopened(store, folder.path())?,
        "whole segments, recorded",
        written as usize,
        report,
    )
}

fn scan(store: &Store, name: &str, written: usize, report: &mut Report) -> Result<()> {
    let mut runs = Vec::new();
    for run in 0..=RUNS {
        let start = thread_cpu();
        let (_, samples) = store.scan(&[everything()], ALL_TIME)?;
        let ns = (thread_cpu() - start).as_nanos() as f64 / samples as f64;
        if run > 0 {
            runs.push(ns);
        }
        report.check(
            samples == written,
            format!("{name}: {samples} of {written} samples"),
        );
    }
    report.bar(name, median(runs), "CPU-ns/sample", Bar::AtMost(3.0));
    Ok(())
}

fn one_of_a_million(scale: &Scale, report: &mut Report) -> Result<()> {
    let folder = scale.folder()?;
    let store = Store::open(&quiet(folder.path()))?;
    let mut fleet = Fleet::new(scale.of(1_000_000, 2_000), 0, 1);
    for _ in 0..SEGMENT_TICKS {
        write_tick(&store, &mut fleet)?;
    }
    let store = reopened(store, folder.path())?;
    let segments = store.segments()?;
    let name = format!(
        "one series of {SEGMENT_TICKS} of {} in {segments} segments",
        fleet.series()
    );
    single_series(
        &store,
        &fleet,
        ALL_TIME,
        SEGMENT_TICKS as usize,
        (&name, 40.0),
        report,
    )
}

fn last_hour(scale: &Scale, report: &mut Report) -> Result<()> {
    let folder = scale.folder()?;
    let store = Store::open(&quiet(folder.path()))?;
    let mut fleet = Fleet::new(scale.of(100_000, 200), 0, 1);
    for _ in 0..HOUR_TICKS + 60 {
        write_tick(&store, &mut fleet)?;
    }
    // A host's scrapes lie anywhere in a step, so that a whole number of steps holds as many samples.
    let since = BASE_MS + (fleet.tick() - HOUR_TICKS + 2) * STEP_MS - STEP_MS / 2;
    let expected = store.scan(&single(&fleet, 0), since..=i64::MAX)?.1;
    report.check(
        expected.abs_diff(HOUR_TICKS as usize) < 3,
        format!("{expected} samples in the last hour"),
    );
    let name = "last hour of one series from the head";
    single_series(&store, &fleet, since..=i64::MAX, expected, (name, 3.0), report)
}

/// Matchers that find one series of one host.
fn single(fleet: &Fleet, host: usize) -> [Matcher; 2] {
    let labels = fleet.labels(host * SERIES_PER_HOST);
    let instance = labels.get("instance").expect("BUG: every host has an instance");
    [
        Matcher::eq("__name__", SINGLE_METRIC),
        Matcher::eq("instance", instance),
    ]
}

/// Selects and decodes the same series of a few hundred hosts again and again, and times every pass but the first.
fn single_series(
    store: &Store,
    fleet: &Fleet,
    range: RangeInclusive<i64>,
    samples: usize,
    (name, bar_us): (&str, f64),
    report: &mut Report,
) -> Result<()> {
    let hosts = fleet.series() / SERIES_PER_HOST;
    let mut rng = Rng::new(3);
    let chosen: Vec<_> = (0..500)
        .map(|_| single(fleet, rng.below(hosts as u64) as usize))
        .collect();
    let mut times = Times::with_capacity(chosen.len() * SINGLE_PASSES);
    for pass in 0..=SINGLE_PASSES {
        for matchers in &chosen {
            let start = Instant::now();
            let found = store.scan(matchers, range.clone())?;
            if pass > 0 {
                times.add(start.elapsed());
            }
            // The scrape at either end may be in or out, by the host's place in the step.
            let right = found.0 == 1 && found.1.abs_diff(samples) <= 1;
            report.check(right, format!("{name}: {found:?} series and samples"));
        }
    }
    times.sort();
    report.bar(
        format!("{name}, p50"),
        times.quantile_us(0.5),
        "us",
        Bar::AtMost(bar_us),
    );
    report.figure(format!("{name}, p99"), times.quantile_us(0.99), "us");
    Ok(())
}

/// One of so many series that follow each other has a value of its own in `target`, as those of a scrape have.
fn target_series(count: u64) -> u64 {
    count / 1_000
}

/// One series with a value of its own in `id`, one of a thousand values each in `group`, which come round again and
/// again, and in `target`, and one of ten in `shard`.
fn valued(number: u64, count: u64) -> Labels {
    let (id, group) = (id(number), format!("g{:03}", number / 10 % 1_000));
    let target = format!("t{:03}", number / target_series(count));
    let shard = format!("s{}", number % 10);
    let pairs = [
        ("__name__", "valued"),
        ("id", &id),
        ("group", &group),
        ("target", &target),
        ("shard", &shard),
    ];
    Labels::from_pairs(pairs).expect("BUG: the names are unique")
}

fn id(number: u64) -> String {
    format!("{:016x}-svc-{number:07}", mix(number))
}

/// What is matched, what it should find among `count` series, and its bar in microseconds: twice the figure that a
/// prototype of that search alone took.
fn questions(count: u64) -> Vec<(&'static str, Vec<Matcher>, usize, Option<f64>)> {
    let one = count * 2 / 3;
    let literals: Vec<String> = (0..200).map(|nth| id(nth * count / 200)).collect();
    let low_digits = |number: &u64| id(*number)[..9].bytes().all(|digit| matches!(digit, b'a'..=b'f'));
    let of_ten = |shard: u64, group: u64| {
        (0..count)
            .filter(|n| n % 10 == shard && n / 10 % 1_000 == group)
            .count()
    };
    let equal = Matcher::eq("id", id(one));
    let both = [Matcher::eq("shard", "s7"), Matcher::eq("group", "g123")];
    let [shard, group] = both.clone();
    vec![
        ("equal", vec![equal.clone()], 1, None),
        (
            "prefix",
            vec![Matcher::re("id", format!("{}.*", &id(one)[..16]))],
            1,
            Some(2.0),
        ),
        (
            "contains",
            vec![Matcher::re("id", format!(".*svc-{one:07}.*"))],
            1,
            Some(1_800.0),
        ),
        (
            "200 literals",
            vec![Matcher::re("id", literals.join("|"))],
            200,
            Some(180.0),
        ),
        (
            "regex",
            vec![Matcher::re("id", "[a-f]{9}.*")],
            (0..count).filter(low_digits).count(),
            Some(86_000.0),
        ),
        ("intersect", both.to_vec(), of_ten(7, 123), Some(26.0)),
        (
            "union of 1,000 and that",
            vec![shard, group, Matcher::re("target", "t.*")],
            of_ten(7, 123),
            Some(80.0 + 26.0),
        ),
        (
            "union of 1,000 and one",
            vec![Matcher::re("target", "t.*"), equal],
            1,
            Some(80.0),
        ),
    ]
}

fn matchers(scale: &Scale, report: &mut Report) -> Result<()> {
    let folder = scale.folder()?;
    let store = Store::open(&quiet(folder.path()))?;
    let count = scale.of(1_000_000, 2_000);
    for first in (0..count).step_by(2_000) {
        store.commit_all(2_000, |writer| {
            for number in first..first + 2_000 {
                writer.push(&valued(number, count), BASE_MS, number as f64);
            }
        })?;
    }
    ask(&store, "head", count, report)?;
    ask(&reopened(store, folder.path())?, "segment", count, report)
}

fn ask(store: &Store, place: &str, count: u64, report: &mut Report) -> Result<()> {
    for (what, matchers, expected, bar_us) in questions(count) {
        let mut runs = Vec::new();
        let begun = Instant::now();
        while runs.len() < MATCH_RUNS || begun.elapsed() < MATCH_TIME {
            let start = Instant::now();
            let found = store.count(&matchers, ALL_TIME)?;
            runs.push(start.elapsed().as_nanos() as f64 / 1e3);
            report.check(
                found == expected,
                format!("{place} {what}: {found} of {expected} series"),
            );
        }
        let name = format!("{place}, {count} values: {what} ({expected} found)");
        match bar_us {
            Some(limit) => report.bar(name, median(runs), "us", Bar::AtMost(limit)),
            None => report.figure(name, median(runs), "us"),
        }
    }
    Ok(())
}
