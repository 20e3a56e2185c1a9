//! Ingest over HTTP: the server on one core, four senders on the other, samples per CPU-second of the server until it has
//! nothing left to do.
//!
//! The fleets are those of the peers' figures: A 10,000 series, B 100,000, C a million with six samples each, D is B with one
//! host in ten renamed every ten scrapes, E is A with one sample in a hundred late. narthex runs until it has flushed three
//! times, which takes more samples than the peers are given; C and the peers have their number of scrapes, and C ends with
//! a flush. The bars are figures of one machine; on another, what counts is how many times as fast as a peer of the same run
//! narthex is. The floor is what it takes here and now to decompress the same bodies and to walk over every label.

use super::Scale;
use crate::adapter::{Store, everything};
use crate::fleet::{BASE_MS, BATCH_SAMPLES, Fleet, SERIES_PER_HOST, STEP_MS};
use crate::measure::{Times, thread_cpu};
use crate::peer::http::Client;
use crate::peer::served::{Kind, Served};
use crate::peer::{remote_write, remote_write_v2};
use crate::report::{Bar, Report};
use crate::rng::mix;
use crate::steps;
use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use narthex::Labels;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const SENDERS: usize = 4;
const FLUSHES: f64 = 3.0;
/// Scrapes between two looks at the number of flushes.
const LOOK_TICKS: i64 = 20;
const LATE_TICKS: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Load {
    A,
    B,
    C,
    D,
    E,
    /// B with every request durable before it is answered.
    Always,
    /// B by remote write 2.0.
    V2,
}

impl Load {
    fn series(self) -> usize {
        match self {
            Self::A | Self::E => 10_000,
            Self::B | Self::D | Self::Always | Self::V2 => 100_000,
            Self::C => 1_000_000,
        }
    }

    /// Scrapes of the peers.
    fn ticks(self) -> i64 {
        match self {
            Self::A | Self::E => 480,
            Self::B | Self::D | Self::Always | Self::V2 => 120,
            Self::C => 6,
        }
    }

    fn least(self) -> f64 {
        match self {
            Self::A => 3.5e6,
            Self::B => 3e6,
            Self::C => 1.2e6,
            Self::D | Self::E | Self::Always => 2e6,
            Self::V2 => 5e6,
        }
    }

    /// What a peer reached where the bars were set, if it was measured there. A machine that is slower is slower for all, so
    /// that narthex is held to the same multiple of it.
    fn peer_rate(self, kind: Kind) -> Option<f64> {
        let (prometheus, victoria) = match self {
            Self::A => (463e3, 1568e3),
            Self::B => (372e3, 989e3),
            Self::C => (239e3, 218e3),
            Self::D => (305e3, 783e3),
            Self::E => (395e3, 1487e3),
            Self::V2 => return (kind == Kind::Prometheus).then_some(610e3),
            Self::Always => return None,
        };
        match kind {
            Kind::Narthex => None,
            Kind::Prometheus => Some(prometheus),
            Kind::VictoriaMetrics => Some(victoria),
        }
    }

    fn durability(self) -> &'static str {
        if self == Self::Always {
            "always"
        } else {
            "interval"
        }
    }
}

/// The binaries to measure.
pub struct Binaries {
    pub narthex: Option<PathBuf>,
    pub prometheus: Option<PathBuf>,
    pub victoria: Option<PathBuf>,
}

pub fn run(scale: &Scale, loads: &[Load], binaries: &Binaries) -> Result<bool> {
    let loads = if loads.is_empty() {
        Load::value_variants()
    } else {
        loads
    };
    let narthex = narthex(binaries.narthex.as_deref())?;
    let mut report = Report::new(
        "http: remote write, 4 senders, 2,000 samples a request",
        scale.small,
    );
    for load in loads {
        let ours = measure(scale, *load, Kind::Narthex, &narthex, &mut report)?;
        let name = format!("{load:?}");
        report.bar(&name, ours.rate, "samples/CPU-s", Bar::AtLeast(load.least()));
        tell(&name, &ours, &mut report);
        report.figure(format!("{name}, floor"), 1e9 / ours.floor_ns, "samples/CPU-s");
        for (kind, binary) in [
            (Kind::Prometheus, &binaries.prometheus),
            (Kind::VictoriaMetrics, &binaries.victoria),
        ] {
            let is_compared = *load != Load::Always && (*load != Load::V2 || kind == Kind::Prometheus);
            if let Some(binary) = binary.as_deref().filter(|_| is_compared) {
                let theirs = measure(scale, *load, kind, binary, &mut report)?;
                let name = format!("{name}, {kind:?}");
                report.figure(&name, theirs.rate, "samples/CPU-s");
                tell(&name, &theirs, &mut report);
                let (name, times) = (format!("{name}, narthex : it"), ours.rate / theirs.rate);
                match load.peer_rate(kind) {
                    Some(rate) => report.bar(&name, times, "times", Bar::AtLeast(load.least() / rate)),
                    None => report.figure(name, times, "times"),
                }
            }
        }
    }
    Ok(report.print())
}

/// The server that was named, or the one beside this program.
pub(super) fn narthex(given: Option<&Path>) -> Result<PathBuf> {
    let beside = std::env::current_exe()?.with_file_name("narthex");
    let binary = given.map_or(beside, Path::to_owned);
    ensure!(binary.is_file(), "there is no {}", binary.display());
    Ok(binary)
}

/// What a run cost.
struct Cost {
    rate: f64,
    wall_rate: f64,
    times: Times,
    floor_ns: f64,
}

fn tell(name: &str, cost: &Cost, report: &mut Report) {
    report.figure(format!("{name}, wall"), cost.wall_rate, "samples/s");
    report.figure(
        format!("{name}, request p99"),
        cost.times.quantile_us(0.99) / 1e3,
        "ms",
    );
}

/// What one sender did.
#[derive(Default)]
struct Sent {
    samples: u64,
    times: Times,
    /// CPU time of the walks over a part of the bodies, and the samples in these.
    floor: (Duration, u64),
}

/// When the senders stop.
enum Until<'a> {
    Ticks(i64),
    /// A flag that the one who counts flushes sets.
    Told(&'a AtomicBool),
}

fn measure(scale: &Scale, load: Load, kind: Kind, binary: &Path, report: &mut Report) -> Result<Cost> {
    let served = Served::start(kind, binary, scale.folder()?, load.durability())?;
    let series = scale.of(load.series(), 4_000);
    let before = served.cpu_s()?;
    let start = Instant::now();
    let is_told = AtomicBool::new(false);
    let counts_flushes = kind == Kind::Narthex && load != Load::C && !scale.small;
    let until = if counts_flushes {
        Until::Told(&is_told)
    } else {
        Until::Ticks(scale.of(load.ticks(), 12))
    };
    let sent = send_all(load, served.port, series, 0, &until)
        .with_context(|| format!("{kind:?}, load {load:?}\n{}", served.log()))?;
    let wall_s = start.elapsed().as_secs_f64();
    if kind == Kind::Narthex && !counts_flushes {
        let answer = Client::connect(served.port)?.send("POST", "/api/v1/admin/flush", "", &[])?;
        ensure!(answer.status / 100 == 2, "flush: {}", answer.status);
    }
    if !scale.small {
        served.settle()?;
    }
    let cpu_s = served.cpu_s()? - before;
    let mut all = Sent::default();
    for one in sent {
        all.samples += one.samples;
        all.times.merge(one.times);
        all.floor = (all.floor.0 + one.floor.0, all.floor.1 + one.floor.1);
    }
    all.times.sort();
    if kind == Kind::Narthex {
        check(served, all.samples, report)?;
    }
    Ok(Cost {
        rate: all.samples as f64 / cpu_s,
        wall_rate: all.samples as f64 / wall_s,
        times: all.times,
        floor_ns: all.floor.0.as_nanos() as f64 / all.floor.1.max(1) as f64,
    })
}

/// Everything that was acknowledged is there after a kill.
fn check(served: Served, sent: u64, report: &mut Report) -> Result<()> {
    let data = served.data();
    let _folder = served.end()?;
    let store = Store::open(&steps::setup(&data))?;
    let (_, samples) = store.scan(&[everything()], i64::MIN..=i64::MAX)?;
    report.check(
        samples as u64 == sent,
        format!("{samples} samples of {sent} sent"),
    );
    store.close()
}

/// Fills a server with scrapes as load A sends them; with buckets, each host has a classic histogram too, which the fleet
/// has none of.
pub fn fill(port: u16, series: usize, ticks: i64, has_buckets: bool) -> Result<u64> {
    let buckets = if has_buckets { series / SERIES_PER_HOST } else { 0 };
    let sent = send_all(Load::A, port, series, buckets, &Until::Ticks(ticks))?;
    Ok(sent.iter().map(|one| one.samples).sum())
}

fn send_all(load: Load, port: u16, series: usize, histograms: usize, until: &Until<'_>) -> Result<Vec<Sent>> {
    let barrier = Barrier::new(SENDERS);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|number| {
                let (barrier, is_over) = (&barrier, &is_over);
                scope.spawn(move || {
                    let result = Sender::new(load, port, series / SENDERS, number)
                        .map(|sender| sender.with_histograms(histograms / SENDERS))
                        .and_then(|sender| sender.run(until, barrier, is_over));
                    if result.is_err() {
                        is_over.store(true, Ordering::Release);
                    }
                    result
                })
            })
            .collect();
        let joined = senders.into_iter().map(|sender| match sender.join() {
            Ok(sent) => sent,
            Err(_) => bail!("a sender panicked"),
        });
        joined.collect()
    })
}

/// One connection with its part of the fleet.
struct Sender {
    load: Load,
    fleet: Fleet,
    client: Client,
    number: usize,
    v1: remote_write::Request,
    v2: remote_write_v2::Request,
    sent: Sent,
    /// Samples held back, by the scrape with which they go.
    held: Vec<Vec<(usize, i64, f64)>>,
    /// Buckets of classic histograms, each with its count.
    buckets: Vec<(Labels, u64)>,
    requests: u64,
}

const LE: &[&str] = &[
    "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf",
];

impl Sender {
    fn new(load: Load, port: u16, series: usize, number: usize) -> Result<Self> {
        let hosts = series / SERIES_PER_HOST;
        Ok(Self {
            load,
            fleet: Fleet::new(series, number * hosts, number as u64 + 1),
            client: Client::connect(port)?,
            number,
            v1: remote_write::Request::default(),
            v2: remote_write_v2::Request::default(),
            sent: Sent::default(),
            held: vec![Vec::new(); LATE_TICKS],
            buckets: Vec::new(),
            requests: 0,
        })
    }

    fn with_histograms(mut self, count: usize) -> Self {
        for host in 0..count {
            let instance = format!("node-{:06}", self.number * count + host);
            for le in LE {
                let pairs = [
                    ("__name__", "request_duration_seconds_bucket"),
                    ("instance", &instance),
                    ("job", "node"),
                    ("le", le),
                ];
                let labels = Labels::from_pairs(pairs).expect("BUG: the names are unique");
                self.buckets.push((labels, 0));
            }
        }
        self
    }

    /// Counts a bucket up and stages it, the largest `le` the fastest.
    fn push_bucket(&mut self, place: usize, tick: i64) {
        let (labels, count) = &mut self.buckets[place];
        *count += mix((place as u64) << 32 | tick as u64) % 3 + (place % LE.len()) as u64;
        let point = crate::adapter::Point::Float(*count as f64);
        self.v1.push(labels, BASE_MS + tick * STEP_MS, point);
    }

    /// Sends scrapes, in step with the other senders so that time goes on for all.
    fn run(mut self, until: &Until<'_>, barrier: &Barrier, is_over: &AtomicBool) -> Result<Sent> {
        loop {
            let tick = self.fleet.tick() + 1;
            barrier.wait();
            let is_last = match until {
                Until::Ticks(ticks) => tick >= *ticks,
                Until::Told(told) => {
                    if self.number == 0 && tick % LOOK_TICKS == 0 && flushes(self.client.port())? >= FLUSHES {
                        told.store(true, Ordering::Release);
                    }
                    barrier.wait();
                    told.load(Ordering::Acquire)
                }
            };
            if is_last || is_over.load(Ordering::Acquire) {
                return Ok(self.sent);
            }
            if let Err(error) = self.scrape(tick) {
                is_over.store(true, Ordering::Release);
                // The others wait at the barrier for this one.
                barrier.wait();
                if matches!(until, Until::Told(_)) {
                    barrier.wait();
                }
                return Err(error);
            }
        }
    }

    fn scrape(&mut self, tick: i64) -> Result<()> {
        if self.load == Load::D && tick > 0 && tick % 10 == 0 {
            self.fleet.rename(10);
        }
        self.fleet.advance();
        let due = std::mem::take(&mut self.held[tick as usize % LATE_TICKS]);
        let mut count = 0;
        for (series, timestamp, value) in due {
            self.push(series, timestamp, value);
            count += 1;
        }
        for series in 0..self.fleet.series() {
            let (timestamp, value) = self.fleet.sample(series);
            if self.load == Load::E && mix((series as u64) << 32 | tick as u64).is_multiple_of(100) {
                self.held[(tick as usize + LATE_TICKS - 1) % LATE_TICKS].push((series, timestamp, value));
                continue;
            }
            self.push(series, timestamp, value);
            count += 1;
            if count == BATCH_SAMPLES {
                self.send(count)?;
                count = 0;
            }
        }
        for place in 0..self.buckets.len() {
            self.push_bucket(place, tick);
            count += 1;
            if count == BATCH_SAMPLES {
                self.send(count)?;
                count = 0;
            }
        }
        if count > 0 {
            self.send(count)?;
        }
        Ok(())
    }

    fn push(&mut self, series: usize, timestamp: i64, value: f64) {
        let labels = self.fleet.labels(series);
        if self.load == Load::V2 {
            self.v2.push(labels, timestamp, value);
        } else {
            self.v1
                .push(labels, timestamp, crate::adapter::Point::Float(value));
        }
    }

    fn send(&mut self, count: usize) -> Result<()> {
        let (message, headers) = if self.load == Load::V2 {
            (self.v2.take_message(), remote_write_v2::HEADERS)
        } else {
            (self.v1.take_message(), remote_write::HEADERS)
        };
        let body = snap::raw::Encoder::new().compress_vec(&message)?;
        self.requests += 1;
        if self.requests.is_multiple_of(64) {
            let start = thread_cpu();
            let labels = walk(&body, self.load == Load::V2)?;
            ensure!(labels > 0, "BUG: a body without labels");
            self.sent.floor.0 += thread_cpu() - start;
            self.sent.floor.1 += count as u64;
        }
        let start = Instant::now();
        let answer = self.client.send("POST", "/api/v1/write", headers, &body)?;
        self.sent.times.add(start.elapsed());
        let text = String::from_utf8_lossy(&answer.body);
        ensure!(answer.status / 100 == 2, "remote write: {} {text}", answer.status);
        self.sent.samples += count as u64;
        Ok(())
    }
}

/// How often narthex flushed.
fn flushes(port: u16) -> Result<f64> {
    let answer = Client::connect(port)?.send("GET", "/metrics", "", &[])?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("narthex_flushes_total "));
    Ok(line
        .context("no narthex_flushes_total in /metrics")?
        .trim()
        .parse()?)
}

/// Decompresses a body and walks over every field of every message in it; how many innermost texts there are.
fn walk(body: &[u8], is_v2: bool) -> Result<u64> {
    let message = snap::raw::Decoder::new().decompress_vec(body)?;
    let (mut texts, mut stack) = (0, vec![(0, message.len(), 0)]);
    while let Some((mut at, end, depth)) = stack.pop() {
        while at < end {
            let tag = varint(&message, &mut at)?;
            match tag & 7 {
                0 => drop(varint(&message, &mut at)?),
                1 => at += 8,
                2 => {
                    let length = varint(&message, &mut at)? as usize;
                    // Series, and the labels and samples in them; what is deeper is text, as are symbols and references.
                    let is_text = is_v2 && (depth == 0 && tag >> 3 == 4 || depth == 1 && tag >> 3 == 1);
                    if depth < 2 && !is_text {
                        stack.push((at, at + length, depth + 1));
                    } else {
                        texts += std::str::from_utf8(&message[at..at + length]).map_or(0, |_| 1);
                    }
                    at += length;
                }
                _ => bail!("BUG: a body that was not made here"),
            }
        }
    }
    Ok(texts)
}

fn varint(bytes: &[u8], at: &mut usize) -> Result<u64> {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = *bytes.get(*at).context("BUG: a body that was cut")?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
        shift += 7;
    }
}
