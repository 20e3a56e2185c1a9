//! What is older than what is there: samples that come a little late, and a year that comes after the fact.
//!
//! CPU is that of the whole process, flushes and merges included, until there is nothing left to do. The clock is moved by
//! hand, so that the partitions of the year come to rest as they would in time; segments are counted then.

use super::{Scale, value};
use crate::adapter::{Clock, Policy, Setup, Store, everything};
use crate::fleet::{BASE_MS, BATCH_SAMPLES, Fleet};
use crate::measure::Stopwatch;
use crate::report::{Bar, Report};
use crate::rng::mix;
use anyhow::Result;
use clap::ValueEnum;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const YEAR_MS: i64 = 365 * DAY_MS;
/// A prime that is no factor of the number of samples, so that its multiples meet every one of them.
const SCATTER: i64 = 15_485_863;
/// Batches between two looks for background work.
const BATCHES_PER_LOOK: u64 = 16;
/// The clock's way until even what got little more is at rest.
const REST_MS: i64 = 5 * DAY_MS;
/// Scrapes that a late sample waits at most: an hour of them.
const LATE_TICKS: u64 = 240;
const LATE_STEP_MS: i64 = HOUR_MS / LATE_TICKS as i64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// One sample in twenty comes up to an hour late.
    Late,
    /// A year, one series after the other.
    OneSeries,
    /// A year, oldest first.
    AllSeries,
    /// A year, newest first.
    NewestFirst,
    /// A year of a few series in no order at all, which may cost more than one in some order.
    Scattered,
}

pub fn run(scale: &Scale, shapes: &[Shape], head_mib: Option<u64>) -> Result<bool> {
    let shapes = if shapes.is_empty() {
        Shape::value_variants()
    } else {
        shapes
    };
    let mut report = Report::new("backfill: 2,000 samples a commit", scale.small);
    let years: Vec<Shape> = shapes
        .iter()
        .copied()
        .filter(|shape| *shape != Shape::Late)
        .collect();
    if years.len() < shapes.len() {
        late(scale, &mut report)?;
    }
    if !years.is_empty() {
        let ordered = year(scale, None, head_mib, &mut report)?;
        report.figure("a year in order", ordered.rate, "samples/CPU-s");
        report.figure("a year in order, segments", ordered.segments as f64, "");
        for shape in years {
            let found = year(scale, Some(shape), head_mib, &mut report)?;
            let name = format!("{shape:?}");
            report.bar(&name, found.rate, "samples/CPU-s", Bar::AtLeast(1.5e6));
            let (title, cost) = (format!("{name}, cost"), ordered.rate / found.rate);
            if shape == Shape::Scattered {
                report.figure(title, cost, "times in order");
            } else {
                report.bar(title, cost, "times in order", Bar::AtMost(2.0));
            }
            let most = ordered.segments as f64;
            report.bar(
                format!("{name}, segments"),
                found.segments as f64,
                "",
                Bar::AtMost(most),
            );
        }
    }
    Ok(report.print())
}

/// Writes samples in batches and looks for background work now and then.
struct Feeder<'a> {
    store: &'a Store,
    fleet: &'a Fleet,
    batch: Vec<(u32, i64, f64)>,
    batches: u64,
    written: u64,
}

impl<'a> Feeder<'a> {
    fn new(store: &'a Store, fleet: &'a Fleet) -> Self {
        Self {
            store,
            fleet,
            batch: Vec::with_capacity(BATCH_SAMPLES),
            batches: 0,
            written: 0,
        }
    }

    fn push(&mut self, series: usize, timestamp_ms: i64, value: f64) -> Result<()> {
        self.batch.push((series as u32, timestamp_ms, value));
        if self.batch.len() == BATCH_SAMPLES {
            self.send()?;
        }
        Ok(())
    }

    fn send(&mut self) -> Result<()> {
        self.store.commit_all(self.batch.len(), |writer| {
            for (series, timestamp_ms, value) in &self.batch {
                writer.push(self.fleet.labels(*series as usize), *timestamp_ms, *value);
            }
        })?;
        self.written += self.batch.len() as u64;
        self.batch.clear();
        self.batches += 1;
        if self.batches.is_multiple_of(BATCHES_PER_LOOK) {
            self.store.settle()?;
        }
        Ok(())
    }
}

fn open(scale: &Scale, now_ms: i64, head_mib: Option<u64>) -> Result<(tempfile::TempDir, Store, Clock)> {
    let (folder, clock) = (scale.folder()?, Clock::default());
    clock.set(now_ms);
    let setup = Setup::new(folder.path())
        .policy(Policy::Never)
        .clock(clock.clone());
    let setup = match head_mib {
        Some(mib) => setup.head_bytes(mib << 20),
        None => setup,
    };
    let store = Store::open(&setup.no_background())?;
    Ok((folder, store, clock))
}

fn check_all_there(store: &Store, written: u64, report: &mut Report) -> Result<()> {
    let (_, samples) = store.scan(&[everything()], i64::MIN..=i64::MAX)?;
    report.check(
        samples as u64 == written,
        format!("{samples} samples read of {written} written"),
    );
    Ok(())
}

/// What a year cost and left.
struct Year {
    rate: f64,
    segments: usize,
}

/// A year of samples in some order beside a day that is newer, or in order before it.
fn year(scale: &Scale, shape: Option<Shape>, head_mib: Option<u64>, report: &mut Report) -> Result<Year> {
    let many = if shape == Some(Shape::Scattered) { 100 } else { 500 };
    let fleet = Fleet::new(scale.of(many, 100), 0, 1);
    let step_ms = scale.of(HOUR_MS / 12, 6 * HOUR_MS);
    let (series, ticks) = (fleet.series() as i64, YEAR_MS / step_ms);
    let (_folder, store, clock) = open(scale, BASE_MS + 2 * DAY_MS, head_mib)?;
    let mut feeder = Feeder::new(&store, &fleet);
    let day = |feeder: &mut Feeder<'_>| -> Result<()> {
        for tick in ticks..ticks + DAY_MS / step_ms {
            for series in 0..fleet.series() {
                feeder.push(
                    series,
                    BASE_MS - YEAR_MS + tick * step_ms + DAY_MS,
                    value(series as u64, tick),
                )?;
            }
        }
        feeder.send()?;
        feeder.store.flush()
    };
    if shape.is_some() {
        day(&mut feeder)?;
    }
    let before = feeder.written;
    let watch = Stopwatch::start();
    for number in 0..series * ticks {
        let (tick, series) = match shape {
            Some(Shape::OneSeries) => (number % ticks, number / ticks),
            Some(Shape::Scattered) => {
                let drawn = number.wrapping_mul(SCATTER) % (series * ticks);
                (drawn / series, drawn % series)
            }
            Some(Shape::NewestFirst) => (ticks - 1 - number / series, number % series),
            _ => (number / series, number % series),
        };
        let timestamp_ms = BASE_MS - YEAR_MS + tick * step_ms;
        if shape.is_none() {
            clock.set(timestamp_ms);
        }
        feeder.push(series as usize, timestamp_ms, value(series as u64, tick))?;
    }
    feeder.send()?;
    store.flush()?;
    clock.set(BASE_MS + 2 * DAY_MS + REST_MS);
    store.settle()?;
    let rate = (feeder.written - before) as f64 / watch.cpu_s();
    if shape.is_none() {
        day(&mut feeder)?;
        clock.advance(REST_MS);
        store.settle()?;
    }
    check_all_there(&store, feeder.written, report)?;
    let segments = store.segments()?;
    store.close()?;
    Ok(Year { rate, segments })
}

/// A fleet of which one sample in twenty comes up to an hour late.
fn late(scale: &Scale, report: &mut Report) -> Result<()> {
    let fleet = Fleet::new(scale.of(20_000, 200), 0, 1);
    let ticks = scale.of(720, 2 * LATE_TICKS as i64);
    for (name, one_in) in [("in time", u64::MAX), ("one in twenty late", 20)] {
        let (_folder, store, _clock) = open(scale, BASE_MS, None)?;
        let mut feeder = Feeder::new(&store, &fleet);
        let mut held: Vec<Vec<(usize, i64)>> = vec![Vec::new(); LATE_TICKS as usize];
        let watch = Stopwatch::start();
        for tick in 0..ticks + LATE_TICKS as i64 {
            let due = (tick as u64 % LATE_TICKS) as usize;
            for (series, tick) in std::mem::take(&mut held[due]) {
                feeder.push(series, BASE_MS + tick * LATE_STEP_MS, value(series as u64, tick))?;
            }
            for series in (0..fleet.series()).take_while(|_| tick < ticks) {
                let draw = mix((series as u64) << 32 | tick as u64);
                if draw.is_multiple_of(one_in) {
                    held[((tick as u64 + 1 + (draw >> 32) % (LATE_TICKS - 1)) % LATE_TICKS) as usize]
                        .push((series, tick));
                } else {
                    feeder.push(series, BASE_MS + tick * LATE_STEP_MS, value(series as u64, tick))?;
                }
            }
        }
        feeder.send()?;
        store.flush()?;
        let rate = feeder.written as f64 / watch.cpu_s();
        if one_in == 20 {
            report.bar(name, rate, "samples/CPU-s", Bar::AtLeast(2e6));
        } else {
            report.figure(name, rate, "samples/CPU-s");
        }
        check_all_there(&store, feeder.written, report)?;
        store.close()?;
    }
    Ok(())
}
