//! Bar 3: samples per CPU second through the public API, cost of a new series, commit latency with several writers.
//!
//! CPU is that of the whole process until nothing is left to flush, the generator's share included; that share is
//! measured apart and printed. The scrape that creates the series is counted by `new-series` alone.

use super::{Order, Scale, write_batch, write_tick};
use crate::adapter::{Policy, Setup, Store, everything};
use crate::fleet::{BATCH_SAMPLES, Fleet};
use crate::measure::{Stopwatch, Times, thread_cpu};
use crate::report::{Bar, Report};
use crate::rng::Rng;
use anyhow::{Result, anyhow};
use clap::ValueEnum;
use std::hint::black_box;
use std::time::{Duration, Instant};

const FLUSHES: usize = 3;
/// Ticks after which a database that has not flushed is taken to flush by other rules.
const TICKS_MAX: i64 = 5 * 600;
/// Random orders made beforehand; ticks take turns.
const ORDERS: usize = 8;
const WRITER_COUNTS: [usize; 3] = [1, 4, 16];

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    Stable,
    Random,
    Churn,
    NewSeries,
    CommitLatency,
}

pub fn run(scale: &Scale, modes: &[Mode]) -> Result<bool> {
    let modes = if modes.is_empty() {
        Mode::value_variants()
    } else {
        modes
    };
    let mut report = Report::new(
        "ingest: 100 series a host, 190 B of labels, 2,000 samples a commit",
        scale.small,
    );
    for mode in modes {
        match mode {
            Mode::Stable | Mode::Random | Mode::Churn => steady(scale, *mode, &mut report)?,
            Mode::NewSeries => new_series(scale, &mut report)?,
            Mode::CommitLatency => {
                for writers in WRITER_COUNTS {
                    commit_latency(scale, writers, &mut report)?;
                }
            }
        }
    }
    Ok(report.print())
}

fn open(folder: &std::path::Path, policy: Policy) -> Result<Store> {
    Store::open(&Setup::new(folder).policy(policy))
}

/// Existing series over at least three flushes.
fn steady(scale: &Scale, mode: Mode, report: &mut Report) -> Result<()> {
    let folder = scale.folder()?;
    let store = open(folder.path(), Policy::IntervalMs(100))?;
    let mut fleet = Fleet::new(scale.of(100_000, 200), 0, 1);
    let mut rng = Rng::new(5);
    let orders = if mode == Mode::Random { ORDERS } else { 0 };
    let mut orders: Vec<_> = (0..orders).map(|_| Order::shuffled(&fleet, &mut rng)).collect();
    write_tick(&store, &mut fleet)?;
    let (watch, mut rename_cpu) = (Stopwatch::start(), Duration::ZERO);
    while store.flushes() < FLUSHES && fleet.tick() < scale.of(TICKS_MAX, 200) {
        match mode {
            Mode::Random => {
                let order = &mut orders[fleet.tick() as usize % ORDERS];
                order.write_tick(&store, &mut fleet)?;
            }
            _ => write_tick(&store, &mut fleet)?,
        }
        if mode == Mode::Churn && fleet.tick() % 10 == 0 {
            let before = thread_cpu();
            fleet.rename(10);
            rename_cpu += thread_cpu() - before;
        }
    }
    store.flush()?;
    let (wall_s, cpu_s) = (watch.wall_s(), watch.cpu_s() - rename_cpu.as_secs_f64());
    let samples = fleet.tick() as f64 * fleet.series() as f64;
    let name = format!("{mode:?}").to_lowercase();
    let rate = samples / cpu_s;
    match mode {
        Mode::Stable => report.bar(&name, rate, "samples/CPU-s", Bar::AtLeast(5e6)),
        Mode::Random => report.bar(&name, rate, "samples/CPU-s", Bar::AtLeast(2e6)),
        _ => report.figure(&name, rate, "samples/CPU-s"),
    }
    report.figure(format!("{name}, wall"), samples / wall_s, "samples/s");
    report.figure(
        format!("{name}, generator's share"),
        generator_ns(&mut fleet, orders.first_mut()),
        "ns/sample",
    );
    let flushes = store.flushes();
    report.note(format!(
        "{name}: {samples} samples, {flushes} segments, {cpu_s:.1} s CPU, {wall_s:.1} s wall"
    ));
    report.check(
        scale.small || flushes >= FLUSHES,
        format!("{name}: {flushes} flushes only"),
    );
    check_all_there(&store, samples as usize + fleet.series(), report)?;
    store.close()
}

fn check_all_there(store: &Store, written: usize, report: &mut Report) -> Result<()> {
    let (_, samples) = store.scan(&[everything()], i64::MIN..=i64::MAX)?;
    report.check(
        samples == written,
        format!("{samples} samples read of {written} written"),
    );
    Ok(())
}

/// What making a sample costs without a database.
fn generator_ns(fleet: &mut Fleet, mut order: Option<&mut Order>) -> f64 {
    let start = thread_cpu();
    for _ in 0..5 {
        fleet.advance();
        match &mut order {
            Some(order) => order.generate(fleet),
            None => (0..fleet.series()).for_each(|series| {
                black_box(fleet.sample(series));
            }),
        }
    }
    (thread_cpu() - start).as_nanos() as f64 / (5 * fleet.series()) as f64
}

/// The first sample of each series, and for comparison the second.
fn new_series(scale: &Scale, report: &mut Report) -> Result<()> {
    let mut fleet = Fleet::new(scale.of(1_000_000, 2_000), 0, 1);
    let folder = scale.folder()?;
    let store = open(folder.path(), Policy::IntervalMs(100))?;
    let series = fleet.series() as f64;
    let mut tick_us = || -> Result<f64> {
        let watch = Stopwatch::start();
        write_tick(&store, &mut fleet)?;
        Ok(watch.cpu_s() * 1e6 / series)
    };
    let (first, second) = (tick_us()?, tick_us()?);
    report.bar(
        "new series, with its first sample",
        first,
        "CPU-us",
        Bar::AtMost(3.0),
    );
    report.figure("the same series' second sample", second, "CPU-us");
    check_all_there(&store, 2 * fleet.series(), report)?;
    store.close()
}

/// Several writers, each with hosts of its own, every commit acknowledged when it is durable.
fn commit_latency(scale: &Scale, writers: usize, report: &mut Report) -> Result<()> {
    let folder = scale.folder()?;
    let store = open(folder.path(), Policy::Always)?;
    let series = (scale.of(100_000, 3_200) / writers).max(BATCH_SAMPLES);
    let mut fleets: Vec<Fleet> = (0..writers)
        .map(|writer| Fleet::new(series, writer * 10_000, writer as u64))
        .collect();
    fleets
        .iter_mut()
        .try_for_each(|fleet| write_tick(&store, fleet))?;
    let watch = Stopwatch::start();
    let end = Instant::now() + Duration::from_millis(scale.of(8_000, 50));
    let mut times = std::thread::scope(|scope| {
        let write = |fleet| scope.spawn(|| write_until(&store, fleet, end));
        let threads: Vec<_> = fleets.iter_mut().map(write).collect();
        let mut all = Times::default();
        for thread in threads {
            all.merge(thread.join().map_err(|_| anyhow!("a writer panicked"))??);
        }
        anyhow::Ok(all)
    })?;
    let wall_s = watch.wall_s();
    times.sort();
    let name = format!("always, {writers} writers");
    report.figure(
        format!("{name}: wall"),
        (times.len() * BATCH_SAMPLES) as f64 / wall_s,
        "samples/s",
    );
    report.figure(format!("{name}: commit p50"), times.quantile_us(0.5), "us");
    report.figure(format!("{name}: commit p99"), times.quantile_us(0.99), "us");
    store.close()
}

fn write_until(store: &Store, fleet: &mut Fleet, end: Instant) -> Result<Times> {
    let mut times = Times::with_capacity(1 << 16);
    while Instant::now() < end {
        fleet.advance();
        let mut first = 0;
        // Whole batches only, so that every time is that of 2,000 samples.
        while first + BATCH_SAMPLES <= fleet.series() && Instant::now() < end {
            let start = Instant::now();
            first = write_batch(store, fleet, first)?;
            times.add(start.elapsed());
        }
    }
    Ok(times)
}
