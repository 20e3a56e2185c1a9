//! Bar 4: how long a commit takes, counted from the moment it should have been sent, while segments are written.
//!
//! A closed loop finds the highest rate; an open loop then sends at 70 % of it whether or not the last commit has
//! returned, so that a stall is counted by everything that had to wait for it.

use super::{Scale, write_batch, write_tick};
use crate::adapter::{Policy, Setup, Store, everything};
use crate::fleet::{BATCH_SAMPLES, Fleet};
use crate::measure::Times;
use crate::report::{Bar, Report};
use anyhow::Result;
use std::time::{Duration, Instant};

pub(super) const SHARE_OF_MAX: f64 = 0.7;
const FLUSHES: usize = 3;
pub(super) const BAR_US: f64 = 50_000.0;

pub fn run(scale: &Scale) -> Result<bool> {
    let mut report = Report::new("latency: open loop, one writer, interval(100)", scale.small);
    let rate_max = rate_max(scale)?;
    let rate = rate_max * SHARE_OF_MAX;
    report.figure("closed loop, flushes included", rate_max, "samples/s");
    report.figure("open loop", rate, "samples/s");
    let (mut times, flushes, lost) = open_loop(scale, rate)?;
    times.sort();
    report.figure("flushes", flushes as f64, "");
    report.figure("commits of 2,000", times.len() as f64, "");
    report.figure("p50", times.quantile_us(0.5), "us");
    report.bar(
        "p99 from intended send time",
        times.quantile_us(0.99),
        "us",
        Bar::AtMost(BAR_US),
    );
    report.figure("p99.9", times.quantile_us(0.999), "us");
    report.figure("longest", times.quantile_us(1.0), "us");
    report.check(
        scale.small || flushes >= FLUSHES,
        format!("{flushes} flushes only"),
    );
    report.check(lost == 0, format!("{lost} samples missing or too many"));
    Ok(report.print())
}

/// A database in which every series exists already.
fn begin(scale: &Scale, folder: &std::path::Path) -> Result<(Store, Fleet)> {
    let store = Store::open(&Setup::new(folder).policy(Policy::IntervalMs(100)))?;
    let mut fleet = Fleet::new(scale.of(100_000, 200), 0, 1);
    write_tick(&store, &mut fleet)?;
    Ok((store, fleet))
}

/// Whether as many segments are there as wanted, or so much was written that they should be.
fn enough(store: &Store, fleet: &Fleet, segments: usize) -> Result<bool> {
    Ok(store.flushes() >= segments || fleet.tick() >= (segments as i64 + 2) * 600)
}

/// Samples per second in a closed loop.
pub(super) fn rate_max(scale: &Scale) -> Result<f64> {
    let folder = scale.folder()?;
    let (store, mut fleet) = begin(scale, folder.path())?;
    let (start, first_tick) = (Instant::now(), fleet.tick());
    while !enough(&store, &fleet, scale.of(2, 1))? {
        write_tick(&store, &mut fleet)?;
    }
    let samples = (fleet.tick() - first_tick) as f64 * fleet.series() as f64;
    let rate = samples / start.elapsed().as_secs_f64();
    store.close()?;
    Ok(rate)
}

/// Times, segments written meanwhile, and by how many samples what is read differs.
fn open_loop(scale: &Scale, rate: f64) -> Result<(Times, usize, usize)> {
    let folder = scale.folder()?;
    let (store, mut fleet) = begin(scale, folder.path())?;
    let mut times = Times::with_capacity(1 << 20);
    let mut intended = Instant::now();
    while !enough(&store, &fleet, scale.of(FLUSHES, 1))? {
        fleet.advance();
        let mut first = 0;
        while first < fleet.series() {
            let wait = intended.saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                std::thread::sleep(wait);
            }
            let next = write_batch(&store, &mut fleet, first)?;
            times.add(intended.elapsed());
            let samples = (next - first).min(BATCH_SAMPLES);
            intended += Duration::from_secs_f64(samples as f64 / rate);
            first = next;
        }
    }
    let flushes = store.flushes();
    let written = fleet.series() * (fleet.tick() + 1) as usize;
    let (_, samples) = store.scan(&[everything()], i64::MIN..=i64::MAX)?;
    store.close()?;
    Ok((times, flushes, written.abs_diff(samples)))
}
