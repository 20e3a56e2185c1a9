//! Commit latency while everything else goes on: flushes, merges, retention, snapshots, and deletes of ranges.
//!
//! As in `latency`, an open loop sends at 70 % of the highest rate and every commit counts from the moment it should have
//! been sent. Background work is done by threads of this program, as the database's own would, so that its CPU time is known
//! by kind. Every second host has ranges deleted, and so has one metric of all hosts; the other hosts are counted in the
//! end, and a snapshot is opened.

use super::latency::{BAR_US, SHARE_OF_MAX, rate_max};
use super::{Scale, write_batch, write_tick};
use crate::adapter::{Clock, Store, everything, now_ms};
use crate::fleet::{BASE_MS, Fleet, SERIES_PER_HOST, STEP_MS};
use crate::measure::{Stopwatch, Times};
use crate::report::{Bar, Report};
use crate::steps::{self, Stepper, Steps};
use anyhow::{Result, anyhow};
use narthex::{Labels, Matcher};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const FLUSHES: usize = 9;
/// Partitions then last three segment spans: three segments of one partition are merged before the first of them is too
/// old, and the first segments go before the end.
const RETENTION: Duration = Duration::from_secs(8 * 3_600);
/// With the usual day, nothing would be merged in the hours that this takes.
const UNDELETE_WINDOW: Duration = Duration::from_secs(600);
const HOUR_MS: i64 = 3_600_000;
const PARTITION_MS: i64 = 6 * HOUR_MS;
/// A metric of all hosts of which ranges are deleted, and one that is left in peace.
const DELETED_METRIC: &str = "node_load15";
const COUNTED_METRIC: &str = "node_load1";
const DELETE_EVERY: Duration = Duration::from_millis(500);
/// Deletes between two snapshots, and between two of all hosts.
const DELETES_PER_SNAPSHOT: usize = 30;
const DELETES_PER_WIDE: usize = 10;
const SNAPSHOT_PAUSE_US: f64 = 1_000_000.0;

/// A commit: when it should have been sent and when it was acknowledged.
type Span = (Instant, Instant);

/// What the writer did.
struct Written {
    commits: Vec<Span>,
    merges: usize,
}

/// What disturbed it.
#[derive(Default)]
struct Trouble {
    snapshots: Vec<Span>,
    deleted: Vec<(Vec<Matcher>, RangeInclusive<i64>)>,
}

pub fn run(scale: &Scale) -> Result<bool> {
    let title = "busy: open loop, while segments are merged, dropped, deleted from and copied";
    let mut report = Report::new(title, scale.small);
    let rate_max = rate_max(scale)?;
    let rate = rate_max * SHARE_OF_MAX;
    report.figure("closed loop, flushes included", rate_max, "samples/s");
    report.figure("open loop", rate, "samples/s");
    let (folder, copies) = (scale.folder()?, scale.folder()?);
    let (mut fleet, clock) = (Fleet::new(scale.of(100_000, 200), 0, 1), Clock::default());
    clock.set(BASE_MS);
    let setup = steps::setup(folder.path())
        .clock(clock.clone())
        .retention(RETENTION)
        .undelete_window(UNDELETE_WINDOW);
    let store = Store::open(&setup)?;
    write_tick(&store, &mut fleet)?;
    let instances = instances(&fleet);
    let (is_over, watch) = (AtomicBool::new(false), Stopwatch::start());
    let (written, trouble, steps) = std::thread::scope(|scope| {
        let stepper = Stepper::start(scope, &store, &is_over);
        let disturb = || disturb(&store, &clock, &instances, copies.path(), &is_over);
        let troubled = scope.spawn(disturb);
        let written = open_loop(scale, &store, &clock, &mut fleet, rate);
        is_over.store(true, Ordering::Release);
        let trouble = troubled.join().map_err(|_| anyhow!("the disturber panicked"))?;
        anyhow::Ok((written?, trouble?, stepper.join()?))
    })?;
    tell_latency(&written, &trouble, &mut report);
    tell_work(&steps, &watch, &mut report);
    store.settle()?;
    check(&store, &fleet, &trouble, &mut report)?;
    check_snapshot(copies.path(), &trouble, &fleet, &mut report)?;
    report.check(scale.small || written.merges > 0, "no merge ended");
    store.close()?;
    Ok(report.print())
}

fn open_loop(scale: &Scale, store: &Store, clock: &Clock, fleet: &mut Fleet, rate: f64) -> Result<Written> {
    let mut written = Written {
        commits: Vec::with_capacity(1 << 20),
        merges: 0,
    };
    let mut flushes = FlushCount::default();
    let mut intended = Instant::now();
    while !flushes.look(store, &mut written.merges, scale.of(FLUSHES, 2)) {
        fleet.advance();
        clock.set(BASE_MS + fleet.tick() * STEP_MS);
        let mut first = 0;
        while first < fleet.series() {
            let wait = intended.saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                std::thread::sleep(wait);
            }
            let next = write_batch(store, fleet, first)?;
            written.commits.push((intended, Instant::now()));
            intended += Duration::from_secs_f64((next - first) as f64 / rate);
            first = next;
        }
    }
    Ok(written)
}

/// Counts flushes by their last log record, since segments go.
#[derive(Default)]
struct FlushCount {
    lsn: u64,
    count: usize,
    segments: usize,
}

impl FlushCount {
    /// Whether there were as many as wanted; fewer segments than before are the end of a merge, or of a retention.
    fn look(&mut self, store: &Store, merges: &mut usize, wanted: usize) -> bool {
        let lsn = store.flushed_lsn();
        self.count += usize::from(lsn > self.lsn);
        self.lsn = lsn;
        let segments = store.merged_segments();
        *merges += usize::from(segments > self.segments);
        self.segments = segments;
        self.count >= wanted
    }
}

fn instances(fleet: &Fleet) -> Vec<String> {
    let hosts = (0..fleet.series()).step_by(SERIES_PER_HOST);
    let of = |labels: &Labels| labels.get("instance").unwrap_or_default().to_owned();
    hosts.map(|series| of(fleet.labels(series))).collect()
}

/// Deletes ranges that lie wholly in the past, and takes snapshots, of which the last one is kept.
fn disturb(
    store: &Store,
    clock: &Clock,
    instances: &[String],
    copies: &Path,
    is_over: &AtomicBool,
) -> Result<Trouble> {
    let mut trouble = Trouble::default();
    let mut count = 0;
    while !is_over.load(Ordering::Acquire) {
        count += 1;
        let back_ms = count as i64 * 7 % 48 * (HOUR_MS / 12);
        let to_ms = (now_ms(clock) - 2 * STEP_MS - back_ms).max(BASE_MS);
        let (matchers, ms) = if count % DELETES_PER_WIDE == 0 {
            (vec![Matcher::eq("__name__", DELETED_METRIC)], HOUR_MS / 12)
        } else {
            let odd = (2 * count + 1) % instances.len().max(2);
            let instance = instances.get(odd | 1).map_or("", String::as_str);
            (vec![Matcher::eq("instance", instance)], HOUR_MS / 2)
        };
        let range = to_ms - ms..=to_ms;
        store.delete(&matchers, range.clone())?;
        trouble.deleted.push((matchers, range));
        if count % DELETES_PER_SNAPSHOT == 1 {
            let start = Instant::now();
            store.snapshot(&copies.join(trouble.snapshots.len().to_string()))?;
            trouble.snapshots.push((start, Instant::now()));
        }
        std::thread::sleep(DELETE_EVERY);
    }
    Ok(trouble)
}

fn tell_latency(written: &Written, trouble: &Trouble, report: &mut Report) {
    let mut times = Times::with_capacity(written.commits.len());
    let mut pause = Duration::ZERO;
    for (intended, end) in &written.commits {
        let took = end.duration_since(*intended);
        times.add(took);
        let is_beside = |copy: &Span| *intended <= copy.1 && *end >= copy.0;
        if trouble.snapshots.iter().any(is_beside) {
            pause = pause.max(took);
        }
    }
    times.sort();
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
    let name = "longest while a snapshot was made";
    report.bar(
        name,
        pause.as_nanos() as f64 / 1e3,
        "us",
        Bar::AtMost(SNAPSHOT_PAUSE_US),
    );
    let longest = trouble
        .snapshots
        .iter()
        .map(|copy| copy.1.duration_since(copy.0))
        .max();
    let longest_ms = longest.unwrap_or_default().as_secs_f64() * 1e3;
    report.figure("longest snapshot", longest_ms, "ms");
    report.note(format!(
        "{} snapshots, {} deletes, {} merges",
        trouble.snapshots.len(),
        trouble.deleted.len(),
        written.merges
    ));
    report.check(!trouble.snapshots.is_empty(), "no snapshot was made");
}

fn tell_work(steps: &Steps, watch: &Stopwatch, report: &mut Report) {
    let (cpu_s, wall_s) = (watch.cpu_s(), watch.wall_s());
    report.figure("CPU of the whole process", 100.0 * cpu_s / wall_s, "% of a core");
    let share = |part: Duration| 100.0 * part.as_secs_f64() / cpu_s;
    report.figure("of it flushes", share(steps.flushes), "%");
    report.figure("of it merges", share(steps.merges), "%");
    report.figure("of it checkpoints", share(steps.checkpoints), "%");
}

/// What was deleted is not there, retention was held, and hosts nobody touched have every sample of the last two hours.
fn check(store: &Store, fleet: &Fleet, trouble: &Trouble, report: &mut Report) -> Result<()> {
    for (matchers, range) in &trouble.deleted {
        let (_, samples) = store.scan(matchers, range.clone())?;
        report.check(
            samples == 0,
            format!("{samples} samples of {matchers:?} in {range:?}"),
        );
    }
    let now_ms = BASE_MS + fleet.tick() * STEP_MS;
    let oldest_ms = store.kept()?.oldest_ms.unwrap_or(now_ms);
    let most_ms = RETENTION.as_millis() as i64 + PARTITION_MS;
    let age_ms = now_ms - oldest_ms;
    report.check(
        age_ms <= most_ms + STEP_MS,
        format!("the oldest sample is {age_ms} ms old"),
    );
    let since_tick = (fleet.tick() - 479).max(0);
    let since_ms = BASE_MS + since_tick * STEP_MS - STEP_MS / 2;
    for host in (0..fleet.series() / SERIES_PER_HOST).step_by(2) {
        let labels = fleet.labels(host * SERIES_PER_HOST);
        let instance = labels.get("instance").unwrap_or_default();
        let matchers = [
            Matcher::eq("__name__", COUNTED_METRIC),
            Matcher::eq("instance", instance),
        ];
        let (_, samples) = store.scan(&matchers, since_ms..=i64::MAX)?;
        // The scrape at the beginning may be in or out, by the host's place in the step.
        let few = (samples as i64 - (fleet.tick() - since_tick + 1)).abs();
        report.check(few <= 1, format!("{samples} samples of {instance}"));
    }
    Ok(())
}

/// The last copy opens and has every series.
fn check_snapshot(copies: &Path, trouble: &Trouble, fleet: &Fleet, report: &mut Report) -> Result<()> {
    let Some(last) = trouble.snapshots.len().checked_sub(1) else {
        return Ok(());
    };
    let copy = Store::open(&steps::setup(&copies.join(last.to_string())))?;
    let series = copy.count(&[everything()], i64::MIN..=i64::MAX)?;
    report.check(
        series == fleet.series(),
        format!("{series} series in the snapshot"),
    );
    copy.close()
}
