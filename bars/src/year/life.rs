//! A process that lives through some virtual days, and tells of them in lines of its output.
//!
//! It begins where the last one ended, however that ended: with every scrape a record of its number is written, in the
//! same batch. What comes before the scrape of a tick may therefore be done twice, and is written so that this does not
//! matter.

use super::model::{self, Place};
use super::world::{self, Act, BASE_MS, DAY_TICKS, HOUR_TICKS, SERIES_PER_HOST, STEP_MS, Series, World};
use crate::adapter::{Clock, Kept, Policy, Setup, Store, Writer, now_ms};
use crate::counted::{CountingFs, Counts};
use crate::measure::{memory, process_cpu};
use crate::rng::Rng;
use anyhow::{Result, ensure};
use narthex::{Labels, Matcher};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Between two looks for background work.
const LOOK_TICKS: i64 = 20;
/// Between two lines of output.
pub const LINE_TICKS: i64 = DAY_TICKS / 4;
const QUERIES_PER_LINE: usize = 5;
/// Series that are compared as a whole after an opening.
const WHOLE_SERIES: usize = 100;
/// A query behind the retention sees what is due to be dropped.
const BEYOND_DAYS: i64 = 5;

/// What a process has done and seen so far; peaks are those since the line before.
#[derive(Debug, Clone, Copy, Default)]
pub struct Line {
    pub tick: i64,
    pub samples: u64,
    pub segments: u64,
    pub kept_bytes: u64,
    pub kept_samples: u64,
    /// Age of the oldest sample.
    pub oldest_ms: i64,
    pub scratch_bytes: u64,
    /// Of the process, less what it had before the database was opened.
    pub memory_bytes: u64,
    /// What the head says it has.
    pub head_bytes: u64,
    pub cpu_ms: u64,
    pub log_bytes: u64,
    pub checkpoint_bytes: u64,
    pub segment_bytes: u64,
    pub other_bytes: u64,
    /// Samples that were read and compared.
    pub compared: u64,
}

impl Line {
    fn print(&self) {
        println!(
            "line {} {} {} {} {} {} {} {} {} {} {} {} {} {} {}",
            self.tick,
            self.samples,
            self.segments,
            self.kept_bytes,
            self.kept_samples,
            self.oldest_ms,
            self.scratch_bytes,
            self.memory_bytes,
            self.head_bytes,
            self.cpu_ms,
            self.log_bytes,
            self.checkpoint_bytes,
            self.segment_bytes,
            self.other_bytes,
            self.compared
        );
    }

    /// A line of output, if it is one of these and whole.
    pub fn parse(text: &str) -> Option<Self> {
        let words = text.strip_prefix("line ")?.split_whitespace();
        let numbers: Vec<i64> = words.map(str::parse).collect::<Result<_, _>>().ok()?;
        let number = |at: usize| numbers.get(at).copied();
        let count = |at: usize| Some(number(at)? as u64);
        Some(Self {
            tick: number(0)?,
            samples: count(1)?,
            segments: count(2)?,
            kept_bytes: count(3)?,
            kept_samples: count(4)?,
            oldest_ms: number(5)?,
            scratch_bytes: count(6)?,
            memory_bytes: count(7)?,
            head_bytes: count(8)?,
            cpu_ms: count(9)?,
            log_bytes: count(10)?,
            checkpoint_bytes: count(11)?,
            segment_bytes: count(12)?,
            other_bytes: count(13)?,
            compared: count(14)?,
        })
    }
}

/// A running process.
struct Life<'a> {
    world: &'a World,
    store: Store,
    clock: Clock,
    counts: Arc<Counts>,
    /// By host: which life, and its labels.
    labels: Vec<(i64, Vec<Labels>)>,
    marker: Labels,
    memory_before: u64,
    line: Line,
    rng: Rng,
}

/// Goes on from where `folder` ends, to `until` or until it is killed. What a process before it acknowledged up to `acked`
/// must be there.
pub fn live(world: &World, folder: &Path, acked: i64, until: i64) -> Result<bool> {
    let memory_before = memory()?;
    let (clock, counts) = (Clock::default(), Arc::new(Counts::default()));
    clock.set(BASE_MS + acked.max(0) * STEP_MS);
    let days = |days: i64| Duration::from_secs(days as u64 * 86_400);
    let setup = Setup::new(folder)
        .policy(Policy::Never)
        .no_background()
        .clock(clock.clone())
        .retention(days(world.size.retention_days))
        .retention_rule(world::rule_matchers(), days(world.size.rule_days))
        .files(Arc::new(CountingFs::new(folder, &counts)?));
    let store = Store::open(&setup)?;
    let mut life = Life {
        world,
        store,
        clock,
        counts,
        labels: vec![(-1, Vec::new()); world.size.hosts],
        marker: world::marker(),
        memory_before,
        line: Line::default(),
        rng: Rng::new(acked as u64),
    };
    let first = life.last_tick()? + 1;
    ensure!(
        first > acked,
        "tick {acked} was acknowledged, {} is there",
        first - 1
    );
    for tick in first..until {
        life.tick(tick)?;
        if tick == first {
            life.compare_whole(tick)?;
        }
    }
    if until == world.size.days * DAY_TICKS {
        life.compare_all(until - 1)?;
        life.say(until - 1)?;
    }
    life.store.close()?;
    println!("closed");
    Ok(true)
}

impl Life<'_> {
    fn last_tick(&self) -> Result<i64> {
        let mut last = -1;
        let matchers = [Matcher::eq("__name__", self.marker.metric_name())];
        let since = now_ms(&self.clock) - 2 * LINE_TICKS * STEP_MS;
        self.store.read(&matchers, since..=i64::MAX, &mut |_, _, value| {
            last = value.as_float().map_or(last, |tick| tick as i64);
        })?;
        Ok(last)
    }

    fn tick(&mut self, tick: i64) -> Result<()> {
        self.clock.set(BASE_MS + tick * STEP_MS);
        for act in self.world.acts(tick) {
            self.act(*act)?;
        }
        self.scrape(tick)?;
        if tick % LOOK_TICKS == 0 {
            self.work()?;
        }
        if (tick + 1) % LINE_TICKS == 0 {
            for _ in 0..QUERIES_PER_LINE {
                self.query(tick)?;
            }
            self.say(tick)?;
        }
        Ok(())
    }

    fn act(&mut self, act: Act) -> Result<()> {
        match act {
            Act::Delete(one) => {
                let asked_ms = BASE_MS + one.at * STEP_MS;
                if self.store.find_deletion(asked_ms, &one.range()).is_none() {
                    self.store.delete(&one.matchers(), one.range())?;
                }
            }
            Act::Undelete(one) => {
                let asked_ms = BASE_MS + one.at * STEP_MS;
                if let Some(id) = self.store.find_deletion(asked_ms, &one.range()) {
                    self.store.undelete(id)?;
                }
            }
            Act::Correct(one) => {
                let (labels, host) = (one.series.labels(), one.series.host);
                self.store.commit_all(HOUR_TICKS as usize, |writer| {
                    for tick in one.hour * HOUR_TICKS..(one.hour + 1) * HOUR_TICKS {
                        writer.correct(&labels, world::timestamp_ms(host, tick), one.value(tick));
                    }
                })?;
                self.line.samples += HOUR_TICKS as u64;
            }
            Act::Deliver { host, hour } => {
                let count = SERIES_PER_HOST * HOUR_TICKS as usize;
                self.store.commit_all(count, |writer| {
                    for tick in hour * HOUR_TICKS..(hour + 1) * HOUR_TICKS {
                        let labels = labels_of(&mut self.labels[host], host, tick);
                        push_host(writer, labels, host, tick);
                    }
                })?;
                self.line.samples += count as u64;
            }
        }
        Ok(())
    }

    /// One sample of every series of every host that is in time, and the marker.
    fn scrape(&mut self, tick: i64) -> Result<()> {
        let hour = tick / HOUR_TICKS;
        let is_in_time = |host: &usize| world::comes_at(*host, hour).is_none();
        let hosts: Vec<usize> = (0..self.world.size.hosts).filter(is_in_time).collect();
        let count = hosts.len() * SERIES_PER_HOST + 1;
        self.store.commit_all(count, |writer| {
            for host in hosts {
                let labels = labels_of(&mut self.labels[host], host, tick);
                push_host(writer, labels, host, tick);
            }
            writer.push(&self.marker, BASE_MS + tick * STEP_MS, tick as f64);
        })?;
        self.line.samples += count as u64;
        Ok(())
    }

    /// Background work until none is left, watching what it takes.
    fn work(&mut self) -> Result<()> {
        while self.store.step()? {
            let files = self.counts.segments_now.load(Relaxed);
            let scratch = files.saturating_sub(self.store.kept()?.bytes);
            self.line.scratch_bytes = self.line.scratch_bytes.max(scratch);
            let memory = memory()?.saturating_sub(self.memory_before);
            self.line.memory_bytes = self.line.memory_bytes.max(memory);
        }
        Ok(())
    }

    fn say(&mut self, tick: i64) -> Result<()> {
        let kept: Kept = self.store.kept()?;
        let [log_bytes, checkpoint_bytes, segment_bytes, other_bytes] = self.counts.written();
        let now_ms = now_ms(&self.clock);
        let memory = memory()?.saturating_sub(self.memory_before);
        self.line = Line {
            tick,
            segments: kept.segments as u64,
            kept_bytes: kept.bytes,
            kept_samples: kept.samples,
            oldest_ms: kept.oldest_ms.map_or(0, |oldest| now_ms - oldest),
            memory_bytes: self.line.memory_bytes.max(memory),
            head_bytes: self.store.memory().iter().map(|part| part.1).sum(),
            cpu_ms: process_cpu().as_millis() as u64,
            log_bytes,
            checkpoint_bytes,
            segment_bytes,
            other_bytes,
            ..self.line
        };
        self.line.print();
        (self.line.scratch_bytes, self.line.memory_bytes) = (0, 0);
        Ok(())
    }

    /// Reads a random range of a random series.
    fn query(&mut self, now: i64) -> Result<()> {
        let back_days = self.world.size.retention_days + BEYOND_DAYS;
        let back = self.rng.below((back_days * DAY_TICKS) as u64) as i64;
        let (series, tick) = self.any_series((now - back).max(0));
        let longest_days = if self.rng.below(2) == 0 { 1 } else { 10 };
        let ticks = self.rng.below((longest_days * DAY_TICKS) as u64) as i64;
        let from_ms = BASE_MS + tick * STEP_MS;
        self.compare(series, from_ms..=from_ms + ticks * STEP_MS, now)
    }

    fn any_series(&mut self, tick: i64) -> (Series, i64) {
        let host = self.rng.below(self.world.size.hosts as u64) as usize;
        let metric = self.rng.below(SERIES_PER_HOST as u64) as usize;
        let life = world::life(host, tick);
        (Series { host, life, metric }, tick)
    }

    fn compare_whole(&mut self, now: i64) -> Result<()> {
        for _ in 0..WHOLE_SERIES {
            let tick = self.rng.below(now as u64 + 1) as i64;
            let (series, _) = self.any_series(tick);
            self.compare(series, BASE_MS..=i64::MAX / 2, now)?;
        }
        Ok(())
    }

    /// Every series of every host that ever was.
    fn compare_all(&mut self, now: i64) -> Result<()> {
        for host in 0..self.world.size.hosts {
            for life in 0..=world::life(host, now) {
                for metric in 0..SERIES_PER_HOST {
                    self.compare(Series { host, life, metric }, BASE_MS..=i64::MAX / 2, now)?;
                }
            }
        }
        Ok(())
    }

    fn compare(&mut self, series: Series, range: RangeInclusive<i64>, now: i64) -> Result<()> {
        let mut expected: Vec<Place> = Vec::new();
        model::expect(self.world, series, &range, now, &mut expected);
        let mut read = Vec::with_capacity(expected.len());
        let found = self.store.read(
            &series.matchers(),
            range.clone(),
            &mut |_, timestamp_ms, value| {
                read.push((timestamp_ms, value.as_float().unwrap_or(f64::NAN)));
            },
        )?;
        ensure!(found <= 1, "{found} series are {series:?}");
        self.line.compared += read.len() as u64;
        if let Err(wrong) = model::compare(&expected, &read) {
            println!("wrong {series:?} in {range:?} at tick {now}: {wrong}");
        }
        Ok(())
    }
}

/// The labels of a host's series at a tick, made anew when another host has taken the place.
fn labels_of(labels: &mut (i64, Vec<Labels>), host: usize, tick: i64) -> &[Labels] {
    let life = world::life(host, tick);
    if labels.0 != life {
        let metrics = 0..SERIES_PER_HOST;
        *labels = (
            life,
            metrics
                .map(|metric| Series { host, life, metric }.labels())
                .collect(),
        );
    }
    &labels.1
}

fn push_host(writer: &mut Writer, labels: &[Labels], host: usize, tick: i64) {
    let (life, timestamp_ms) = (world::life(host, tick), world::timestamp_ms(host, tick));
    for (metric, labels) in labels.iter().enumerate() {
        writer.push(labels, timestamp_ms, Series { host, life, metric }.value(tick));
    }
}

/// How a process ended, by what it said last.
pub fn is_closed(text: &str) -> bool {
    text == "closed"
}

/// What is wrong, if a line says so.
pub fn wrong(text: &str) -> Option<&str> {
    text.strip_prefix("wrong ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_it_was_told() {
        let text = "line 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15";
        let line = Line::parse(text).unwrap();
        assert_eq!((line.tick, line.oldest_ms, line.compared), (1, 6, 15));
        assert!(Line::parse("line 1 2 3").is_none() && Line::parse("closed").is_none());
    }
}
