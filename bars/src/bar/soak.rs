//! The soak: the real server under load on real time for an hour, killed now and then, and read all the time. See
//! docs/soak.md for what is played.
//!
//! Time in the samples runs 60 times as fast as the clock (faster when less than 40 minutes are asked for), and ends more
//! than a day before now. The server takes its age from the newest sample plus a day, as it does with a clock that is
//! ahead of all samples, so a retention of 30 hours keeps the last six.
//!
//! The bars: most RssAnon in the last quarter is at most 1.1 times that in the second, and so is the disk. Kills come in
//! two bursts, before the second quarter and before the last, and at the end: so two processes live long enough to have
//! all that a process gathers with its first merges and reads, and the quarters compare like with like. What one goes on
//! gathering shows within its life: the last third of the last one is compared with the second, too.

use super::Scale;
use crate::adapter::{Setup, Store};
use crate::hour::judge::Bounds;
use crate::hour::read::{self, Query};
use crate::hour::send::Sender;
use crate::hour::watch::{self, Look, MIB, Watch};
use crate::hour::world::{SERIES_PER_HOST, World};
use crate::hour::{SENDERS, Shared, svg};
use crate::peer::http::Client;
use crate::peer::remote_read::Mode;
use crate::peer::served::{Kind, Served};
use crate::report::{Bar, Report};
use crate::rng::Rng;
use anyhow::{Context, Result, ensure};
use narthex::Matcher;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const HOUR_MS: i64 = 3_600_000;
/// What is kept of the samples' own time.
const WINDOW_HOURS: i64 = 6;
/// How far the server lets its clock be ahead of the newest sample.
const LEAP_HOURS: i64 = 24;
/// Hours in the samples' time that a soak has at least, so that segments come and go.
const HOURS_MIN: f64 = 40.0;
const GROWTH_MAX: f64 = 1.1;
/// When kills come, in parts of the whole.
const BURSTS: [std::ops::Range<f64>; 2] = [0.03..0.2, 0.5..0.65];
const BURST_KILLS: usize = 4;
const SMALL_MINUTES: f64 = 0.2;
/// Rows of the table.
const ROWS: f64 = 24.0;

/// What is played.
struct Play {
    duration: Duration,
    hours: f64,
    pace: f64,
    kills_s: Vec<f64>,
    look: Duration,
    world: World,
}

impl Play {
    fn new(scale: &Scale, minutes: f64, seed: u64) -> Result<Self> {
        let minutes = scale.of(minutes, SMALL_MINUTES);
        ensure!(minutes > 0.0, "no time to play");
        let hours = minutes.max(HOURS_MIN);
        let step_ms = scale.of(15_000, 120_000);
        let duration_s = minutes * 60.0;
        let pace = hours * HOUR_MS as f64 / step_ms as f64 / duration_s;
        let rate = scale.of(144_000.0, 40_000.0);
        let hosts = (rate / pace / SERIES_PER_HOST as f64).round().max(SENDERS as f64);
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
        let base_ms = now_ms - (hours.ceil() as i64 + LEAP_HOURS + 2) * HOUR_MS;
        let mut rng = Rng::new(seed);
        let mut kills_s = Vec::new();
        for burst in BURSTS {
            let part = || burst.start + (burst.end - burst.start) * rng.unit();
            let parts = std::iter::repeat_with(part).take(scale.of(BURST_KILLS, 1));
            kills_s.extend(parts.map(|part| part * duration_s));
        }
        kills_s.sort_by(f64::total_cmp);
        Ok(Self {
            duration: Duration::from_secs_f64(duration_s),
            hours,
            pace,
            kills_s,
            look: Duration::from_secs_f64((duration_s / 720.0).clamp(0.25, 5.0)),
            world: World {
                seed,
                hosts: hosts as usize,
                step_ms,
                base_ms: base_ms / HOUR_MS * HOUR_MS,
            },
        })
    }

    /// A head that is written about once in an hour of the samples' time.
    fn settings(&self) -> Vec<String> {
        let series = self.world.hosts * SERIES_PER_HOST;
        let samples = series as i64 * self.world.ticks(HOUR_MS);
        let head_bytes = 500 * series as i64 + 2 * samples;
        vec![
            "--retention".to_owned(),
            format!("{}h", LEAP_HOURS + WINDOW_HOURS),
            "--head-bytes".to_owned(),
            format!("{}KiB", head_bytes / 1_024),
        ]
    }
}

pub fn run(
    scale: &Scale,
    minutes: f64,
    seed: u64,
    curves: Option<&Path>,
    narthex: Option<&Path>,
) -> Result<bool> {
    let binary = super::http::narthex(narthex)?;
    let play = Play::new(scale, minutes, seed)?;
    let title = format!(
        "soak: {:.1} min, {} series at a time, {:.0} h in their time, seed {seed}, settings {}",
        play.duration.as_secs_f64() / 60.0,
        play.world.hosts * SERIES_PER_HOST,
        play.hours,
        play.settings().join(" "),
    );
    let mut report = Report::new(title, scale.small);
    let mut served = Served::start_with(Kind::Narthex, &binary, scale.folder()?, &play.settings(), None)?;
    let shared = Shared::new(play.world.clone(), served.port, play.pace, WINDOW_HOURS * HOUR_MS);
    let mut watch = Watch::default();
    live(&play, &shared, &mut served, &mut watch)?;
    if let Some(curves) = curves {
        std::fs::write(curves, svg::draw(&watch)).with_context(|| curves.display().to_string())?;
    }
    judge_curves(&watch, &mut report);
    tell(&shared, &watch, &mut report);
    let complaints = shared.complaints();
    if complaints.is_empty() {
        let bounds = Bounds::of_read(&shared, shared.acked());
        check(&shared, &served, &bounds, &mut report).with_context(|| served.log())?;
        check_closed(&shared, served, &bounds, &binary, &mut report)?;
    } else {
        println!("{}", served.log());
    }
    complaints.into_iter().for_each(|what| report.check(false, what));
    Ok(report.print())
}

/// Lets senders and readers work until the time is over and the last kill is mended.
fn live(play: &Play, shared: &Shared, served: &mut Served, watch: &mut Watch) -> Result<()> {
    std::thread::scope(|scope| {
        for number in 0..SENDERS {
            scope.spawn(move || {
                shared.expect(&format!("sender {number}"), Sender::new(shared, number).run());
            });
        }
        for mode in [Mode::Samples, Mode::Streamed] {
            scope.spawn(move || shared.expect(&format!("reader, {mode:?}"), read::run(shared, mode)));
        }
        let supervised = supervise(play, shared, served, watch);
        shared.stop();
        supervised
    })
}

fn supervise(play: &Play, shared: &Shared, served: &mut Served, watch: &mut Watch) -> Result<()> {
    let mut kills_s = play.kills_s.iter().peekable();
    let (mut next, mut row_s, row_length_s) = (Duration::ZERO, 0.0, play.duration.as_secs_f64() / ROWS);
    println!("\n{}", watch::HEAD);
    while shared.start.elapsed() < play.duration && shared.complaints().is_empty() {
        let now = shared.start.elapsed();
        if kills_s.next_if(|at_s| **at_s <= now.as_secs_f64()).is_some() {
            watch.kill(shared, served)?;
        } else if next <= now {
            watch.look(shared, served)?;
            next = shared.start.elapsed() + play.look;
            if now.as_secs_f64() >= row_s + row_length_s {
                watch.row(row_s).iter().for_each(|row| println!("{row}"));
                row_s = now.as_secs_f64();
            }
        } else {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    // Under load, like all the others; what was under way is sent again.
    watch.kill(shared, served)?;
    watch.look(shared, served)?;
    watch.row(row_s).iter().for_each(|row| println!("{row}"));
    Ok(())
}

fn judge_curves(watch: &Watch, report: &mut Report) {
    let (second, last) = ((0.25, 0.5), (0.75, 1.0));
    let anon = |look: &Look| look.anon as f64;
    let disk = |look: &Look| look.disk as f64;
    report.figure(
        "RssAnon, most in the second quarter",
        watch.most(second, anon) / MIB,
        "MiB",
    );
    report.figure(
        "RssAnon, most in the last quarter",
        watch.most(last, anon) / MIB,
        "MiB",
    );
    let growth = |name: &str, value: f64, report: &mut Report| {
        report.bar(name, value, "times", Bar::AtMost(GROWTH_MAX));
    };
    growth(
        "RssAnon, last quarter : second",
        watch.most(last, anon) / watch.most(second, anon),
        report,
    );
    let third = |from| watch.most_of_last_life((from, from + 1.0 / 3.0), anon);
    growth(
        "RssAnon, last life, last third : second",
        third(2.0 / 3.0) / third(1.0 / 3.0),
        report,
    );
    report.figure(
        "disk, most in the second quarter",
        watch.most(second, disk) / MIB,
        "MiB",
    );
    report.figure(
        "disk, most in the last quarter",
        watch.most(last, disk) / MIB,
        "MiB",
    );
    growth(
        "disk, last quarter : second",
        watch.most(last, disk) / watch.most(second, disk),
        report,
    );
}

fn tell(shared: &Shared, watch: &Watch, report: &mut Report) {
    let Some(last) = watch.looks.last() else { return };
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64;
    let counts = &shared.counts;
    report.figure("samples acknowledged", count(&counts.samples), "");
    report.figure("of these late", count(&counts.late), "");
    report.figure(
        "samples a second",
        count(&counts.samples) / last.at_s,
        "samples/s",
    );
    report.figure("requests", count(&counts.requests), "");
    report.figure("requests sent twice", count(&counts.twice), "");
    report.figure("tries that a kill cut off", count(&counts.cut), "");
    report.figure("remote reads, each judged", count(&counts.reads), "");
    report.figure("samples read by them", count(&counts.samples_read), "");
    report.figure(
        "CPU, server",
        last.server_cpu_s / last.at_s * 100.0,
        "% of a core",
    );
    report.figure(
        "CPU, senders and readers",
        last.own_cpu_s / last.at_s * 100.0,
        "% of a core",
    );
    let restarts = || watch.kills.iter().map(|kill| kill.restart_ms);
    report.figure("kills", watch.kills.len() as f64, "");
    report.figure("kill to ready, most", restarts().fold(0.0, f64::max), "ms");
    let sum: f64 = restarts().sum();
    report.figure("kill to ready, mean", sum / watch.kills.len() as f64, "ms");
}

/// Reads all there is in both modes and judges it.
fn check(shared: &Shared, served: &Served, bounds: &Bounds, report: &mut Report) -> Result<()> {
    let mut client = Client::connect(served.port)?;
    for mode in [Mode::Samples, Mode::Streamed] {
        let (mut samples, mut oldest) = (0, i64::MAX);
        for host in 0..shared.world.hosts {
            let query = Query::of_host(host, 0..=i64::MAX);
            let answer = read::ask(&mut client, &shared.world, &query, mode)?;
            let first = answer
                .values()
                .filter_map(|samples| Some(samples.first()?.0))
                .min();
            oldest = oldest.min(first.unwrap_or(i64::MAX));
            match query.judge(&shared.world, bounds, answer) {
                Ok(found) => samples += found,
                Err(wrong) => report.check(false, format!("at the end, {mode:?}: {wrong:#}")),
            }
        }
        report.figure(format!("samples at the end, {mode:?}"), samples as f64, "");
        let past = (bounds.horizon_ms - oldest) as f64 / HOUR_MS as f64;
        report.figure("oldest beyond the retention by", past, "h");
    }
    let log = served.log();
    let dropped = log.matches("retention drops segments").count();
    report.figure("times that retention dropped segments", dropped as f64, "");
    let is_long = bounds.begun.iter().max() > Some(&shared.world.ticks(30 * HOUR_MS));
    report.check(dropped > 0 || !is_long, "retention dropped nothing");
    // What was refused while it started is no news.
    let is_news =
        |line: &&str| line.contains(" ERROR ") || line.contains(" WARN ") && !line.contains("=503 ");
    log.lines().filter(is_news).for_each(|line| report.note(line));
    report.check(!log.contains(" ERROR "), "the server logged an error");
    Ok(())
}

/// Exemplars and files, after the server was killed once more.
fn check_closed(
    shared: &Shared,
    served: Served,
    bounds: &Bounds,
    binary: &Path,
    report: &mut Report,
) -> Result<()> {
    let data = served.data();
    let _folder = served.end()?;
    let store = Store::open(&Setup::new(&data).no_background())?;
    let mut found = 0;
    let mut kept: std::collections::HashMap<_, _> = std::collections::HashMap::new();
    for (labels, exemplars) in store.exemplars(&[Matcher::eq("job", "node")])? {
        let pairs: Vec<_> = labels
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let series = shared
            .world
            .identify(&pairs)
            .context("exemplars of an unknown series")?;
        kept.insert(series, exemplars);
    }
    let world = &shared.world;
    let oldest = kept.values().flatten().map(|exemplar| exemplar.timestamp).min();
    let from_ms = oldest.map_or(bounds.horizon_ms, |oldest| oldest.min(bounds.horizon_ms));
    let first = (world.ticks(from_ms - world.base_ms) - 2).max(0);
    for host in 0..world.hosts {
        for tick in first..=bounds.acked[host % SENDERS] {
            let is_kept = world.time_ms(host, tick) >= bounds.horizon_ms;
            world.each_due(host, tick, &mut |series, of| {
                let Some(sent) = world.exemplar(series, of) else {
                    return;
                };
                let is_there = kept.get(&series).is_some_and(|all| all.contains(&sent));
                found += usize::from(is_there);
                report.check(is_there || !is_kept, "an exemplar is missing");
            });
        }
    }
    let all: usize = kept.values().map(Vec::len).sum();
    report.figure("exemplars at the end", all as f64, "");
    report.check(all == found, format!("{all} exemplars, {found} of them sent"));
    store.close()?;
    let verified = std::process::Command::new(binary)
        .arg("verify")
        .arg(&data)
        .output()?;
    let text = String::from_utf8_lossy(&verified.stdout).into_owned();
    report.check(verified.status.success(), format!("narthex verify: {text}"));
    Ok(())
}
