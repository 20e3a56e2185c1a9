//! A remote read of eight hours of 10,000 series at 15 s over HTTP, narthex beside Prometheus: what it costs the server,
//! and how much memory it takes meanwhile.
//!
//! Both get the same samples by remote write, are killed, started again and left alone until they have nothing to do.
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
    let ours = measure(scale, Kind::Narthex, &http::narthex(narthex)?, &mut report)?;
    if let Some(binary) = prometheus {
        let theirs = measure(scale, Kind::Prometheus, binary, &mut report)?;
        report.figure("streamed, narthex : Prometheus, CPU", theirs.0 / ours.0, "times");
        report.figure(
            "one message, narthex : Prometheus, CPU",
            theirs.1 / ours.1,
            "times",
        );
    }
    Ok(report.print())
}

/// Seconds of CPU of a streamed read and of one in one message.
fn measure(scale: &Scale, kind: Kind, binary: &Path, report: &mut Report) -> Result<(f64, f64)> {
    let mut served = Served::start(kind, binary, scale.folder()?, "interval")?;
    let (series, ticks) = (scale.of(10_000, 400), scale.of(8 * 240, 200));
    let sent = http::fill(&served, series, ticks).with_context(|| served.log())?;
    if !scale.small {
        served.settle()?;
    }
    served.kill();
    served.again()?;
    if !scale.small {
        served.settle()?;
    }
    let streamed = read(&served, Mode::Streamed, sent, report)?;
    let name = format!("{kind:?}, streamed");
    tell(&name, &streamed, sent, report);
    let growth = streamed.growth as f64 / 1e6;
    match kind {
        Kind::Narthex => report.bar(
            format!("{name}, growth of RssAnon"),
            growth,
            "MB",
            Bar::AtMost(BAR_GROWTH_MB),
        ),
        _ => report.figure(format!("{name}, growth of RssAnon"), growth, "MB"),
    }
    let message = read(&served, Mode::Samples, sent, report)?;
    let name = format!("{kind:?}, one message");
    tell(&name, &message, sent, report);
    report.figure(
        format!("{name}, growth of RssAnon"),
        message.growth as f64 / 1e6,
        "MB",
    );
    Ok((streamed.cpu_s, message.cpu_s))
}

/// Medians of some reads, and the most memory that the first took.
struct Cost {
    cpu_s: f64,
    wall_s: f64,
    bytes: u64,
    growth: u64,
}

fn tell(name: &str, cost: &Cost, samples: u64, report: &mut Report) {
    let samples = samples as f64;
    report.figure(format!("{name}, CPU of the server"), cost.cpu_s, "s");
    report.figure(format!("{name}, wall"), cost.wall_s, "s");
    report.figure(name, samples / cost.cpu_s / 1e6, "M samples/CPU-s");
    report.figure(
        format!("{name}, bytes a sample"),
        cost.bytes as f64 / samples,
        "bytes",
    );
}

fn read(served: &Served, mode: Mode, sent: u64, report: &mut Report) -> Result<Cost> {
    let (mut cpu, mut wall, mut bytes, mut growth) = (Vec::new(), Vec::new(), 0, 0);
    for run in 0..RUNS {
        let (before, start) = (served.cpu_s()?, Instant::now());
        let is_over = AtomicBool::new(false);
        let (answer, most) = std::thread::scope(|scope| {
            let watcher = scope.spawn(|| watch(served.pid(), &is_over));
            let answer = ask(served.port, mode);
            is_over.store(true, Ordering::Release);
            (answer, watcher.join())
        });
        wall.push(start.elapsed().as_secs_f64());
        cpu.push(served.cpu_s()? - before);
        let (samples, length) = answer?;
        if run == 0 {
            growth = most.map_err(|_| anyhow::anyhow!("the watcher panicked"))?;
        }
        bytes = length;
        let counted = samples.unwrap_or(sent);
        report.check(
            counted == sent,
            format!("{:?}: {counted} samples of {sent}", served.kind),
        );
    }
    Ok(Cost {
        cpu_s: median(cpu),
        wall_s: median(wall),
        bytes,
        growth,
    })
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
