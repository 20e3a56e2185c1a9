//! A store of 2.6 thousand million samples: whether writing and reading are as fast at its end as at its beginning.
//!
//! Written are two halves of 27 flushes. Three of one size become one of the next, so that both halves have the same
//! merges to do, and the rates of the whole process can be compared, merges included. Read are the same questions when a
//! ninth of the first half is there, after it, and in the end, each time from a store that was just opened and whose files
//! were taken out of the page cache; the first pass shows what the disk adds, the later ones are judged by CPU time.
//!
//! A read decodes the slice of a segment that it meets, which has between 1,000 and 2,000 samples of a series. So early and
//! late may differ by that factor, whatever the size of the store; the two halves have slices of one length.

use super::{Scale, write_tick};
use crate::adapter::{Clock, Store, disk_bytes};
use crate::fleet::{BASE_MS, Fleet, SERIES_PER_HOST, STEP_MS};
use crate::measure::{Stopwatch, drop_page_cache, median, thread_cpu};
use crate::report::{Bar, Report};
use crate::rng::Rng;
use crate::steps::{self, Stepper, Steps};
use anyhow::Result;
use narthex::Matcher;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

const HALF_FLUSHES: usize = 27;
const EARLY_FLUSHES: usize = 3;
const HOUR_MS: i64 = 3_600_000;
/// What the end may be slower or faster than the beginning.
const TIMES_MAX: f64 = 1.2;
/// The longest slice in early segments, of 1,440 samples, and the longest there may be.
const SLICE_TIMES: f64 = 2_000.0 / 1_440.0;
const DISK_BYTES_MAX: f64 = 20e9;
const QUERIES: usize = 200;
const PASSES: usize = 5;
const METRIC: &str = "node_load1";

pub fn run(scale: &Scale) -> Result<bool> {
    let folder = scale.folder()?;
    let mut fleet = Fleet::new(scale.of(100_000, 200), 0, 1);
    let halves = scale.of(HALF_FLUSHES, EARLY_FLUSHES);
    let mut report = Report::new("large: two halves of a store, written and read", scale.small);
    let early = scale.of(EARLY_FLUSHES, 1);
    let mut first = write(folder.path(), &mut fleet, early)?;
    let beginning = ask(folder.path(), &fleet, &mut report)?;
    first.add(&write(folder.path(), &mut fleet, halves - early)?);
    let before = ask(folder.path(), &fleet, &mut report)?;
    let second = write(folder.path(), &mut fleet, halves)?;
    let after = ask(folder.path(), &fleet, &mut report)?;
    for (name, half) in [("first half", &first), ("second half", &second)] {
        report.figure(
            format!("{name}, ingest, flushes and merges"),
            half.rate(),
            "samples/CPU-s",
        );
        report.figure(format!("{name}, of it merges"), half.merges_share(), "%");
        report.figure(format!("{name}, wall"), half.samples / half.wall_s, "samples/s");
    }
    report.bar(
        "first half : second half",
        first.rate() / second.rate(),
        "times",
        Bar::AtMost(TIMES_MAX),
    );
    for ((early, half), late) in beginning.iter().zip(&before).zip(&after) {
        let name = early.name;
        for (when, answer) in [("early", early), ("half", half), ("late", late)] {
            report.figure(format!("{name}, {when}"), answer.cpu_us, "CPU-us");
            report.figure(format!("{name}, {when}, first pass"), answer.cold_us, "us");
        }
        report.bar(
            format!("{name}, late : half"),
            late.cpu_us / half.cpu_us,
            "times",
            Bar::AtMost(TIMES_MAX),
        );
        report.bar(
            format!("{name}, late : early"),
            late.cpu_us / early.cpu_us,
            "times",
            Bar::AtMost(TIMES_MAX * SLICE_TIMES),
        );
    }
    let bytes = disk_bytes(folder.path())?;
    let samples = first.samples + second.samples;
    report.figure("samples", samples, "");
    report.figure("on disk", bytes.kept as f64 / samples, "B/sample");
    report.bar(
        "on disk",
        (bytes.kept + bytes.wal) as f64,
        "B",
        Bar::AtMost(DISK_BYTES_MAX),
    );
    report.check(scale.small || samples >= 2.5e9, format!("{samples} samples only"));
    Ok(report.print())
}

/// What a stretch of writing cost.
#[derive(Default)]
struct Cost {
    samples: f64,
    cpu_s: f64,
    wall_s: f64,
    steps: Steps,
}

impl Cost {
    fn rate(&self) -> f64 {
        self.samples / self.cpu_s
    }

    fn merges_share(&self) -> f64 {
        100.0 * self.steps.merges.as_secs_f64() / self.cpu_s
    }

    fn add(&mut self, other: &Self) {
        self.samples += other.samples;
        self.cpu_s += other.cpu_s;
        self.wall_s += other.wall_s;
        self.steps.merges += other.steps.merges;
    }
}

fn open(folder: &Path, fleet: &Fleet) -> Result<(Store, Clock)> {
    let clock = Clock::default();
    clock.set(BASE_MS + fleet.tick() * STEP_MS);
    Ok((Store::open(&steps::setup(folder).clock(clock.clone()))?, clock))
}

/// Goes on until so many segments more were flushed, and all that can be merged by then is merged.
fn write(folder: &Path, fleet: &mut Fleet, flushes: usize) -> Result<Cost> {
    let (store, clock) = open(folder, fleet)?;
    let (first_tick, end) = (fleet.tick(), store.flushes() + flushes);
    let (watch, is_over) = (Stopwatch::start(), AtomicBool::new(false));
    let steps = std::thread::scope(|scope| {
        let stepper = Stepper::start(scope, &store, &is_over);
        let mut written = Ok(());
        while store.flushes() < end && written.is_ok() {
            written = write_tick(&store, fleet);
            clock.set(BASE_MS + fleet.tick() * STEP_MS);
        }
        is_over.store(true, Ordering::Release);
        written.and(stepper.join())
    })?;
    let start = thread_cpu();
    store.settle()?;
    let settled = thread_cpu() - start;
    let cost = Cost {
        samples: (fleet.tick() - first_tick) as f64 * fleet.series() as f64,
        cpu_s: watch.cpu_s(),
        wall_s: watch.wall_s(),
        steps: Steps {
            merges: steps.merges + settled,
            ..steps
        },
    };
    store.close()?;
    Ok(cost)
}

/// What an answer cost.
struct Answer {
    name: &'static str,
    /// Of the first pass, from the disk.
    cold_us: f64,
    cpu_us: f64,
}

/// Some time of one series, or of all of a metric.
struct Question {
    name: &'static str,
    ms: i64,
    is_of_one: bool,
}

const QUESTIONS: [Question; 3] = [
    Question {
        name: "an hour of one series",
        ms: HOUR_MS,
        is_of_one: true,
    },
    Question {
        name: "two hours of one series",
        ms: 2 * HOUR_MS,
        is_of_one: true,
    },
    Question {
        name: "ten minutes of a metric",
        ms: HOUR_MS / 6,
        is_of_one: false,
    },
];

impl Question {
    /// Asks somewhere in the time of the store; right are all samples but those at either end, which lie anywhere in a step.
    fn ask(&self, store: &Store, fleet: &Fleet, rng: &mut Rng, report: &mut Report) -> Result<()> {
        let hosts = fleet.series() / SERIES_PER_HOST;
        let mut matchers = vec![Matcher::eq("__name__", METRIC)];
        if self.is_of_one {
            let labels = fleet.labels(rng.below(hosts as u64) as usize * SERIES_PER_HOST);
            matchers.push(Matcher::eq(
                "instance",
                labels.get("instance").unwrap_or_default(),
            ));
        }
        let ms = self.ms.min(fleet.tick() * STEP_MS / 2);
        let latest_ms = (fleet.tick() - 1) * STEP_MS - ms;
        let from_ms = BASE_MS + STEP_MS + rng.below(latest_ms as u64) as i64;
        let (found, samples) = store.scan(&matchers, from_ms..=from_ms + ms - 1)?;
        let series = if self.is_of_one { 1 } else { hosts };
        let few = (samples as i64 - series as i64 * (ms / STEP_MS)).abs();
        report.check(
            found == series && few <= series as i64,
            format!("{}: {found} series, {samples} samples", self.name),
        );
        Ok(())
    }
}

fn ask(folder: &Path, fleet: &Fleet, report: &mut Report) -> Result<Vec<Answer>> {
    let mut answers = Vec::new();
    for question in &QUESTIONS {
        drop_page_cache(folder)?;
        let store = open(folder, fleet)?.0;
        let count = if question.is_of_one { QUERIES } else { QUERIES / 10 };
        let (mut cold_us, mut passes) = (0.0, Vec::new());
        for pass in 0..=PASSES {
            let mut rng = Rng::new(5);
            let (start, wall) = (thread_cpu(), Instant::now());
            for _ in 0..count {
                question.ask(&store, fleet, &mut rng, report)?;
            }
            if pass == 0 {
                cold_us = wall.elapsed().as_secs_f64() * 1e6 / count as f64;
            } else {
                passes.push((thread_cpu() - start).as_secs_f64() * 1e6 / count as f64);
            }
        }
        answers.push(Answer {
            name: question.name,
            cold_us,
            cpu_us: median(passes),
        });
        store.close()?;
    }
    Ok(answers)
}
