//! Bar 7: a writer is killed with SIGKILL at random points; timed is how long the next process needs from opening the
//! database to the answer of a query over all series, and watched is how much memory it takes meanwhile.
//!
//! Writer and reader are children of this process. The writer tells of every acknowledged commit in a line of its
//! output; the reader's later count of all samples must hold all of them and no more than one further batch.

use super::{Scale, write_batch};
use crate::adapter::{Policy, Setup, Store, everything};
use crate::fleet::{BASE_MS, BATCH_SAMPLES, Fleet, STEP_MS};
use crate::measure::{memory, memory_of, process_cpu};
use crate::report::{Bar, Report};
use crate::rng::Rng;
use anyhow::{Context, Result, ensure};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const KILLS: usize = 5;
const MEMORY_TIMES_MAX: f64 = 1.3;
const WATCH_EVERY: Duration = Duration::from_millis(1);
/// The query looks at the last so many milliseconds.
const QUERY_MS: i64 = 5 * 60_000;
/// Data of fewer ticks is written anew for every kill; more is written once, then added to and killed again.
const ANEW_TICKS_MAX: i64 = 20;

/// What a child has told so far.
#[derive(Debug, Clone, Default)]
struct Told {
    memory_before: u64,
    samples_acked: u64,
    ticks: i64,
    opened_ms: f64,
    cpu_ms: f64,
    answered_ms: Option<f64>,
    series: usize,
    samples: u64,
}

/// One kill and what followed.
struct Outcome {
    opened_ms: f64,
    cpu_ms: f64,
    ready_ms: f64,
    memory_times: f64,
}

pub fn run(scale: &Scale, ticks: &[i64], seed: u64) -> Result<bool> {
    let mut report = Report::new("restart: kill -9 at random points, interval(100)", scale.small);
    let mut rng = Rng::new(seed);
    for ticks in ticks {
        let outcomes = kills(scale, *ticks, &mut rng, &mut report)?;
        let worst = |of: fn(&Outcome) -> f64| outcomes.iter().map(of).fold(0.0, f64::max);
        let series = scale.of(1_000_000, 500);
        let name = format!("{series} x {ticks}, worst of {KILLS}");
        let bar_ms = if *ticks <= 6 { 2_000.0 } else { 5_000.0 };
        report.bar(&name, worst(|kill| kill.ready_ms), "ms", Bar::AtMost(bar_ms));
        let name = format!("{name}: memory");
        report.bar(
            name,
            worst(|kill| kill.memory_times),
            "x before",
            Bar::AtMost(MEMORY_TIMES_MAX),
        );
        let each: Vec<_> = outcomes
            .iter()
            .map(|kill| {
                format!(
                    "{:.0} of {:.0} ({:.0} CPU)",
                    kill.opened_ms, kill.ready_ms, kill.cpu_ms
                )
            })
            .collect();
        report.note(format!("{series} x {ticks}: opened after {} ms", each.join(", ")));
    }
    Ok(report.print())
}

fn kills(scale: &Scale, ticks: i64, rng: &mut Rng, report: &mut Report) -> Result<Vec<Outcome>> {
    let mut folder = scale.folder()?;
    let (mut next_tick, mut samples) = (0, 0);
    let mut outcomes = Vec::new();
    for kill in 0..KILLS {
        if kill > 0 && ticks <= ANEW_TICKS_MAX {
            folder = scale.folder()?;
            (next_tick, samples) = (0, 0);
        }
        let more = if next_tick == 0 {
            ticks
        } else {
            1 + rng.below(3) as i64
        };
        let killed = kill_a_writer(scale, folder.path(), next_tick, more, rng)?;
        let since_ms = BASE_MS + killed.ticks * STEP_MS - QUERY_MS;
        let (ready, peak) = restart(scale, folder.path(), since_ms)?;
        let acked = samples + killed.samples_acked;
        let possible = acked..=acked + BATCH_SAMPLES as u64;
        report.check(
            possible.contains(&ready.samples),
            format!("{} samples, {acked} acknowledged", ready.samples),
        );
        report.check(
            ready.series == scale.of(1_000_000, 500),
            format!("{} series answer", ready.series),
        );
        let memory = |told: &Told, bytes: u64| bytes.saturating_sub(told.memory_before) as f64;
        outcomes.push(Outcome {
            opened_ms: ready.opened_ms,
            cpu_ms: ready.cpu_ms,
            ready_ms: ready.answered_ms.context("the reader gave no answer")?,
            memory_times: memory(&ready, peak) / memory(&killed, killed.samples).max(1.0),
        });
        // The scrape that was cut off is not finished; the next writer begins the one after it.
        (next_tick, samples) = (killed.ticks + 1, ready.samples);
    }
    Ok(outcomes)
}

/// Lets a writer do `ticks` scrapes and a random part of the next two, then kills it. In the result, `samples` is the
/// memory it had right before, and `ticks` counts from the beginning of the data.
fn kill_a_writer(scale: &Scale, folder: &Path, first_tick: i64, ticks: i64, rng: &mut Rng) -> Result<Told> {
    let mut command = scale.child()?;
    command
        .arg("restart-writer")
        .arg(folder)
        .arg(first_tick.to_string());
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let told = listen(&mut child)?;
    let mut last_tick = (0, Instant::now());
    let mut tick_time = Duration::ZERO;
    while told.get().ticks < ticks {
        ensure!(child.try_wait()?.is_none(), "the writer ended by itself");
        std::thread::sleep(WATCH_EVERY);
        let now = told.get().ticks;
        if now > last_tick.0 {
            tick_time = last_tick.1.elapsed() / (now - last_tick.0) as u32;
            last_tick = (now, Instant::now());
        }
    }
    std::thread::sleep(tick_time.mul_f64(1.5 * rng.unit()));
    let memory = memory_of(child.id()).context("the writer ended by itself")?;
    child.kill()?;
    child.wait()?;
    let mut last = told.wait();
    last.samples = memory;
    last.ticks += first_tick;
    Ok(last)
}

/// Opens the database in a child: what it told, and the most memory it had until it answered.
fn restart(scale: &Scale, folder: &Path, since_ms: i64) -> Result<(Told, u64)> {
    let mut command = scale.child()?;
    command
        .arg("restart-reader")
        .arg(folder)
        .arg(since_ms.to_string());
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let told = listen(&mut child)?;
    let mut peak = 0;
    while told.get().answered_ms.is_none() && child.try_wait()?.is_none() {
        peak = peak.max(memory_of(child.id()).unwrap_or(0));
        std::thread::sleep(WATCH_EVERY);
    }
    ensure!(child.wait()?.success(), "the reader failed");
    Ok((told.wait(), peak))
}

/// A thread that reads a child's output until it ends.
struct Listener {
    told: Arc<Mutex<Told>>,
    thread: std::thread::JoinHandle<()>,
}

impl Listener {
    fn get(&self) -> Told {
        self.told.lock().expect("BUG: the listener panicked").clone()
    }

    fn wait(self) -> Told {
        let Self { told, thread } = self;
        thread.join().expect("BUG: the listener panicked");
        told.lock().expect("BUG: the listener panicked").clone()
    }
}

fn listen(child: &mut Child) -> Result<Listener> {
    let output = child.stdout.take().context("the child has no output")?;
    let told = Arc::new(Mutex::new(Told::default()));
    let shared = told.clone();
    let thread = std::thread::spawn(move || hear(output, &shared));
    Ok(Listener { told, thread })
}

/// A last line without its end was cut off by the kill and is not heard.
fn hear(output: ChildStdout, told: &Mutex<Told>) {
    let mut lines = BufReader::new(output);
    let mut line = String::new();
    while lines.read_line(&mut line).is_ok_and(|length| length > 0) && line.ends_with('\n') {
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut told = told.lock().expect("BUG: the parent panicked");
        let number = |nth: usize| {
            words
                .get(nth)
                .and_then(|word| word.parse::<f64>().ok())
                .unwrap_or(0.0)
        };
        match words.first() {
            Some(&"before") => told.memory_before = number(1) as u64,
            Some(&"acked") => told.samples_acked = number(1) as u64,
            Some(&"tick") => told.ticks = number(1) as i64,
            Some(&"opened") => told.opened_ms = number(1),
            Some(&"cpu") => told.cpu_ms = number(1),
            Some(&"answered") => (told.answered_ms, told.series) = (Some(number(1)), number(2) as usize),
            Some(&"counted") => told.samples = number(1) as u64,
            _ => {}
        }
        drop(told);
        line.clear();
    }
}

fn setup(folder: &Path) -> Setup {
    Setup::new(folder).policy(Policy::IntervalMs(100))
}

/// The child that is killed: writes scrape after scrape from `first_tick` on.
pub fn write_until_killed(scale: &Scale, folder: &Path, first_tick: i64) -> Result<bool> {
    let mut fleet = Fleet::made_apart(scale.of(1_000_000, 500), 0, 1);
    fleet.skip_to(first_tick);
    println!("before {}", memory()?);
    let store = Store::open(&setup(folder))?;
    let mut acked = 0;
    loop {
        fleet.advance();
        let mut first = 0;
        while first < fleet.series() {
            let next = write_batch(&store, &mut fleet, first)?;
            acked += next - first;
            println!("acked {acked}");
            first = next;
        }
        println!("tick {}", fleet.tick() - first_tick + 1);
    }
}

/// The child that opens what was left: asks for the latest samples of every series, then counts all samples.
pub fn read_once(folder: &Path, since_ms: i64) -> Result<bool> {
    println!("before {}", memory()?);
    let start = Instant::now();
    let store = Store::open(&setup(folder))?;
    println!("opened {} {}", start.elapsed().as_secs_f64() * 1e3, memory()?);
    let (series, _) = store.scan(&[everything()], since_ms..=i64::MAX)?;
    let answered_ms = start.elapsed().as_secs_f64() * 1e3;
    println!("cpu {}", process_cpu().as_secs_f64() * 1e3);
    println!("answered {answered_ms} {series}");
    let (_, samples) = store.scan(&[everything()], i64::MIN..=i64::MAX)?;
    println!("counted {samples}");
    store.close()?;
    Ok(true)
}
