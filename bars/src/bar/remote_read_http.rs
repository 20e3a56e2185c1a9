//! A remote read of eight hours of 10,000 series at 15 s over HTTP, narthex beside Prometheus: what it costs the server,
//! and how much memory it takes meanwhile.
//!
//! Both get the same samples by remote write, are killed, started again and left alone until they have nothing to do;
//! then they are asked in turns.
//! The client only counts: it reads the counts in the chunks, and verifies the checksum of every sixteenth frame. An
//! answer of one message is not even decompressed here.

use super::Scale;
use super::http;
use crate::measure::{median, memory_of};
use crate::peer::http::Client;
use crate::peer::remote_read::{self, Compare, Frames, Mode};
use crate::peer::served::{Kind, Served};
use crate::report::{Bar, Report};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const BAR_GROWTH_MB: f64 = 64.0;
const RUNS: usize = 5;
const VERIFY_EVERY: u64 = 16;
const WATCH_EVERY: Duration = Duration::from_millis(2);

pub fn run(scale: &Scale, narthex: Option<&Path>, prometheus: Option<&Path>) -> Result<bool> {
    let mut report = Report::new("remote read over HTTP, server on one core", scale.small);
    let narthex = http::narthex(narthex)?;
    let mut servers = vec![prepare(scale, Kind::Narthex, &narthex)?];
    if let Some(binary) = prometheus {
        servers.push(prepare(scale, Kind::Prometheus, binary)?);
    }
    for (mode, name) in [(Mode::Streamed, "streamed"), (Mode::Samples, "one message")] {
        let costs = read(&servers, mode, &mut report)?;
        for (server, cost) in servers.iter().zip(&costs) {
            let kind = server.served.kind;
            let bar = (kind == Kind::Narthex && mode == Mode::Streamed).then_some(BAR_GROWTH_MB);
            tell(
                &format!("{kind:?}, {name}"),
                cost,
                server.sent as f64,
                bar,
                &mut report,
            );
        }
        if let [ours, theirs] = &costs[..] {
            let times = median(theirs.cpu_s.clone()) / median(ours.cpu_s.clone());
            report.figure(format!("{name}, narthex : Prometheus"), times, "times");
        }
    }
    Ok(report.print())
}

/// A server with nothing to do, and how many samples it has.
struct Prepared {
    served: Served,
    sent: u64,
}

fn prepare(scale: &Scale, kind: Kind, binary: &Path) -> Result<Prepared> {
    let mut served = Served::start(kind, binary, scale.folder()?, "interval")?;
    let (series, ticks) = (scale.of(10_000, 400), scale.of(8 * 240, 200));
    let sent = http::fill(served.port, series, ticks, false).with_context(|| served.log())?;
    if !scale.small {
        served.settle()?;
    }
    served.kill();
    served.again()?;
    if !scale.small {
        served.settle()?;
    }
    Ok(Prepared { served, sent })
}

/// What reads took, and the memory that the first of them took at most.
#[derive(Default)]
struct Cost {
    cpu_s: Vec<f64>,
    wall_s: Vec<f64>,
    bytes: u64,
    growth: Option<u64>,
}

fn tell(name: &str, cost: &Cost, samples: f64, bar_mb: Option<f64>, report: &mut Report) {
    let cpu_s = median(cost.cpu_s.clone());
    report.figure(format!("{name}, CPU of the server"), cpu_s, "s");
    report.figure(format!("{name}, wall"), median(cost.wall_s.clone()), "s");
    report.figure(name, samples / cpu_s / 1e6, "M samples/CPU-s");
    report.figure(
        format!("{name}, bytes a sample"),
        cost.bytes as f64 / samples,
        "bytes",
    );
    let growth_mb = cost.growth.unwrap_or(0) as f64 / 1e6;
    let name = format!("{name}, growth of RssAnon");
    match bar_mb {
        Some(bar) => report.bar(name, growth_mb, "MB", Bar::AtMost(bar)),
        None => report.figure(name, growth_mb, "MB"),
    }
}

/// Reads from one server after the other, some times: what disturbs the machine then disturbs both.
fn read(servers: &[Prepared], mode: Mode, report: &mut Report) -> Result<Vec<Cost>> {
    let mut costs: Vec<Cost> = servers.iter().map(|_| Cost::default()).collect();
    for _ in 0..RUNS {
        for (Prepared { served, sent }, cost) in servers.iter().zip(&mut costs) {
            let (before, start) = (served.cpu_s()?, Instant::now());
            let is_over = AtomicBool::new(false);
            let (answer, growth) = std::thread::scope(|scope| {
                let watcher = scope.spawn(|| watch(served.pid(), &is_over));
                let answer = ask(served.port, mode);
                is_over.store(true, Ordering::Release);
                (answer, watcher.join().unwrap_or(u64::MAX))
            });
            cost.wall_s.push(start.elapsed().as_secs_f64());
            cost.cpu_s.push(served.cpu_s()? - before);
            let (counted, bytes) = answer.with_context(|| served.log())?;
            cost.bytes = bytes;
            cost.growth.get_or_insert(growth);
            let counted = counted.unwrap_or(*sent);
            report.check(
                counted == *sent,
                format!("{:?}: {counted} samples of {sent}", served.kind),
            );
        }
    }
    Ok(costs)
}

/// By how much the memory of a process grows at most.
fn watch(pid: u32, is_over: &AtomicBool) -> u64 {
    let before = memory_of(pid).unwrap_or(0);
    let mut most = before;
    while !is_over.load(Ordering::Acquire) {
        most = most.max(memory_of(pid).unwrap_or(0));
        std::thread::sleep(WATCH_EVERY);
    }
    most - before
}

/// Reads everything: samples as far as they are counted, and bytes of the body.
fn ask(port: u16, mode: Mode) -> Result<(Option<u64>, u64)> {
    let body = remote_read::request(&[(Compare::Regex, "__name__", ".+")], &(0..=i64::MAX), mode)?;
    let mut frames = Frames::verifying(VERIFY_EVERY);
    let (mut samples, mut bytes) = (0, 0);
    let (path, headers) = (remote_read::PATH, remote_read::HEADERS);
    let status = Client::connect(port)?.stream("POST", path, headers, &body, &mut |part| {
        bytes += part.len() as u64;
        if mode == Mode::Samples {
            return Ok(());
        }
        frames.push(part, &mut |message| {
            samples += remote_read::count_frame(message)?;
            Ok(())
        })
    })?;
    ensure!(status == 200, "remote read: {status}");
    ensure!(frames.is_whole(), "a stream that ends in a frame");
    Ok(((mode == Mode::Streamed).then_some(samples), bytes))
}
