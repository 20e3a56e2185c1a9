//! Long queries from rollups and from samples: a year of a thousand series at 15 s, the largest value of the last 30 days at every
//! hour of it.
//!
//! Half of the series are gauges of two decimals, half are counters that begin anew now and then. Ten series are one target and
//! share timestamps, which are a few milliseconds off now and then. The samples are written without rollups first, so that
//! what it takes to make these is measured apart.

use super::Scale;
use crate::measure::{Stopwatch, median};
use crate::report::{Bar, Report};
use crate::rng::{Rng, mix};
use anyhow::{Context, Result, ensure};
use narthex::{
    Db, Durability, Labels, Options, QueryAnswer, QueryOptions, QueryValue, Resolution, Rollup, labels,
};
use std::path::Path;
use std::time::Duration;

const STEP_MS: i64 = 15_000;
const HOUR_MS: i64 = 3_600_000;
/// A whole hour.
const START_MS: i64 = 1_700_000_000_000 / HOUR_MS * HOUR_MS;
const SERIES_PER_TARGET: usize = 10;
const TICKS_PER_BATCH: i64 = 20;
const RUNS: usize = 3;

struct Series {
    labels: Labels,
    is_counter: bool,
    value: f64,
}

fn options(dir: &Path, rollups: &[Duration]) -> Options {
    let options = Options::new(dir).background(false).durability(Durability::Never);
    rollups
        .iter()
        .fold(options, |options, width| options.rollup(Rollup::every(*width)))
}

fn series(count: usize) -> Vec<Series> {
    let one = |number: usize| Series {
        labels: labels! {
            "__name__" => "load",
            "instance" => &format!("host-{:04}:9100", number / SERIES_PER_TARGET),
            "job" => "node",
            "part" => &format!("{}", number % SERIES_PER_TARGET),
        },
        is_counter: number % 2 == 1,
        value: 0.0,
    };
    (0..count).map(one).collect()
}

impl Series {
    fn next(&mut self, rng: &mut Rng) -> f64 {
        let draw = rng.next_u64();
        if self.is_counter {
            let is_reset = draw.is_multiple_of(40_000);
            self.value = if is_reset {
                0.0
            } else {
                self.value + ((draw >> 20) % 50) as f64
            };
        } else {
            let drift = ((draw >> 20) % 201) as f64 - 100.0;
            self.value = (self.value + drift / 100.0).clamp(-500.0, 500.0);
            self.value = (self.value * 100.0).round() / 100.0;
        }
        self.value
    }
}

/// When a target is scraped.
fn scrape_ms(target: usize, tick: i64) -> i64 {
    let phase_ms = (mix(target as u64) % STEP_MS as u64) as i64;
    let dice = mix(target as u64 ^ mix(tick as u64));
    let off_ms = if dice.is_multiple_of(8) {
        (dice >> 8) % 4
    } else {
        0
    };
    START_MS + tick * STEP_MS + phase_ms + off_ms as i64
}

fn write(db: &Db, all: &mut [Series], ticks: i64) -> Result<()> {
    let mut rng = Rng::new(9);
    for first in (0..ticks).step_by(TICKS_PER_BATCH as usize) {
        let mut batch = db.batch();
        for (number, series) in all.iter_mut().enumerate() {
            for tick in first..ticks.min(first + TICKS_PER_BATCH) {
                let value = series.next(&mut rng);
                batch.push(&series.labels, scrape_ms(number / SERIES_PER_TARGET, tick), value);
            }
        }
        batch.commit()?;
        while db.step()? {}
    }
    db.flush()?;
    while db.step()? {}
    Ok(())
}

struct Asked {
    text: String,
    range_ms: (i64, i64),
    step_ms: i64,
}

/// The answer and the CPU it took.
fn ask(db: &Db, asked: &Asked, resolution: Resolution) -> Result<(QueryAnswer, f64)> {
    let mut options = QueryOptions::default();
    options.timeout = None;
    options.resolution = resolution;
    let watch = Stopwatch::start();
    let answer = db.query_range_with(&asked.text, asked.range_ms, asked.step_ms, &options)?;
    Ok((answer, watch.cpu_s()))
}

/// The number of points, and whether they are the same; sums may differ in their last bits.
fn compare(rolled: &QueryAnswer, raw: &QueryAnswer, is_sum: bool) -> Result<(usize, bool)> {
    let (QueryValue::Matrix(rolled), QueryValue::Matrix(raw)) = (&rolled.value, &raw.value) else {
        anyhow::bail!("answers that are no matrices");
    };
    ensure!(
        rolled.len() == raw.len(),
        "{} series of {}",
        rolled.len(),
        raw.len()
    );
    let (mut points, mut is_same) = (0, true);
    for (one, other) in rolled.iter().zip(raw) {
        is_same &= one.labels == other.labels && one.floats.len() == other.floats.len();
        for (a, b) in one.floats.iter().zip(&other.floats) {
            // No value of a gauge is larger, and a window of 30 days has not twice as many samples.
            let bound = if is_sum {
                500.0 * 400_000.0 * 2f64.powi(-51) + b.1.abs() * 2f64.powi(-50)
            } else {
                0.0
            };
            is_same &= a.0 == b.0 && (a.1.to_bits() == b.1.to_bits() || (a.1 - b.1).abs() <= bound);
            points += 1;
        }
    }
    Ok((points, is_same))
}

pub fn run(scale: &Scale, count: usize) -> Result<bool> {
    let mut report = Report::new(
        format!("rollups: queries over a year of {count} series"),
        scale.small,
    );
    let folder = scale.folder()?;
    let (days, count) = (scale.of(365, 5), scale.of(count, 20));
    let ticks = days * 24 * HOUR_MS / STEP_MS;
    let mut all = series(count);
    let watch = Stopwatch::start();
    let db = Db::open(options(folder.path(), &[]))?;
    write(&db, &mut all, ticks)?;
    db.compact()?;
    let of_samples = db.stats()?.segment_bytes;
    db.close()?;
    let samples = ticks as f64 * count as f64;
    report.figure("samples", samples / 1e6, "M");
    report.figure(
        "writing and merging",
        samples / watch.cpu_s() / 1e6,
        "M samples/CPU-s",
    );
    report.figure("samples on disk", of_samples as f64 / samples, "B/sample");
    let widths = [Duration::from_secs(3_600), Duration::from_secs(300)];
    for (number, name) in ["1 h", "5 m"].into_iter().enumerate() {
        let db = Db::open(options(folder.path(), &widths[..=number]))?;
        let watch = Stopwatch::start();
        while db.step()? {}
        report.figure(
            format!("making {name}"),
            samples / watch.cpu_s() / 1e6,
            "M samples/CPU-s",
        );
        let made = db
            .rollups()
            .into_iter()
            .find(|one| one.resolution == widths[number]);
        let bytes = made.map_or(0, |one| one.bytes);
        let share = bytes as f64 / of_samples as f64 * 100.0;
        report.figure(format!("{name}, share of the samples' bytes"), share, "%");
        db.close()?;
    }
    let db = Db::open(options(folder.path(), &widths))?;
    measure(scale, &db, days, &mut report)?;
    Ok(report.print())
}

fn measure(scale: &Scale, db: &Db, days: i64, report: &mut Report) -> Result<()> {
    let end_ms = START_MS + days * 24 * HOUR_MS;
    let (long, some) = (scale.of("30d", "2d"), "instance=\"host-0000:9100\"");
    let queries = [
        (format!("max_over_time(load[{long}])"), true),
        // Sums of samples do not slide: these take long.
        (format!("avg_over_time(load{{{some}}}[{long}])"), false),
        (format!("rate(load{{{some},part=~\"1|3|5|7|9\"}}[{long}])"), false),
        (format!("count_over_time(load{{{some}}}[{long}])"), false),
        ("load".to_owned(), false),
    ];
    for (text, is_bar) in queries {
        let asked = Asked {
            text: text.clone(),
            range_ms: (START_MS + HOUR_MS, end_ms),
            step_ms: HOUR_MS,
        };
        let (raw, raw_s) = ask(db, &asked, Resolution::Samples)?;
        let (mut runs, mut checked) = (Vec::new(), None);
        for _ in 0..RUNS {
            let (rolled, rolled_s) = ask(db, &asked, Resolution::Exact)?;
            runs.push(rolled_s);
            let info = rolled.infos.iter().find(|info| info.contains("rollups of"));
            report.check(info.is_some(), format!("{text} is not answered from rollups"));
            checked = Some(compare(&rolled, &raw, text.starts_with("avg"))?);
        }
        let rolled_s = median(runs);
        let (points, is_same) = checked.context("no run")?;
        report.check(
            is_same && points > 0,
            format!("{text}: other answers from rollups"),
        );
        report.figure(format!("{text}: samples"), raw_s, "CPU-s");
        if is_bar {
            report.bar(format!("{text}: rollups"), rolled_s, "CPU-s", Bar::AtMost(2.0));
            report.bar("times less", raw_s / rolled_s, "", Bar::AtLeast(50.0));
        } else {
            report.figure(format!("{text}: rollups"), rolled_s, "CPU-s");
            report.figure("times less", raw_s / rolled_s, "");
        }
    }
    Ok(())
}
