//! Bar 2 after merging: bytes per sample of data that came in over several flushes and was merged since, beside the same
//! data flushed at once, and the time to read it before and after.
//!
//! A flush is due every two hours of data, as by default, and at the latest every quarter of a recording, most of which are
//! shorter: merging then has something to do. Merged twice over: as it is at first, and compressed by Zstandard, as it is
//! when it is a week old. The bars are the figures of the same data in one segment: recorded for the recordings, of the same
//! run for the generated set.

use super::Scale;
use crate::adapter::{Clock, Policy, Setup, Store, disk_bytes, everything};
use crate::kubernetes::{Cluster, Shape};
use crate::measure::{median, thread_cpu};
use crate::realdata::{Pace, Recording, Replay};
use crate::report::{Bar, Report};
use crate::workload::{Expected, Workload, play_until};
use anyhow::{Context, Result};
use std::path::Path;
use std::sync::Arc;

const SPAN_MS: i64 = 2 * 3_600_000;
const WEEK_MS: i64 = 7 * 24 * 3_600_000;
const RUNS: usize = 5;
/// What a merged segment may take more than a flushed one: it names its sources.
const NAMES: f64 = 1.001;

/// A set of data, and what it takes in one segment, in bytes per sample.
struct Case {
    name: &'static str,
    pace: Pace,
    bar: f64,
}

const fn case(name: &'static str, decimate: u32, jitter: bool, bar: f64) -> Case {
    let pace = Pace {
        decimate,
        jitter,
        scrapes_max: u32::MAX,
    };
    Case { name, pace, bar }
}

const CASES: [Case; 4] = [
    case("d1", 1, false, 0.1625),
    case("d4", 4, false, 0.2585),
    case("d4-jitter", 4, true, 0.2595),
    case("d15", 15, false, 0.4825),
];

pub fn run(scale: &Scale, realdata: Option<&Path>) -> Result<bool> {
    let mut report = Report::new("compacted: flushed in pieces, then merged into one", scale.small);
    match realdata {
        Some(folder) => {
            let recording = Arc::new(Recording::load(folder)?);
            for case in &CASES {
                let scrapes_max = scale.of(u32::MAX, 20);
                let pace = Pace {
                    scrapes_max,
                    ..case.pace
                };
                let make = || Replay::new(&recording, pace);
                measure(scale, case.name, Some(case.bar), &make, &mut report)?;
            }
        }
        None => report.note("no recorded data given: --realdata"),
    }
    let shape = Shape {
        pods: scale.of(200, 40),
        ticks: scale.of(960, 20),
        life_ticks: scale.of(300, 10),
        seed: 1,
    };
    measure(scale, "k8s", None, &|| Cluster::new(shape), &mut report)?;
    Ok(report.print())
}

fn measure<W: Workload>(
    scale: &Scale,
    name: &str,
    bar: Option<f64>,
    make: &dyn Fn() -> W,
    report: &mut Report,
) -> Result<()> {
    let expected = Expected::of(&mut make());
    let bounds = expected.bounds();
    let (first_ms, last_ms) = bounds.with_context(|| format!("{name}: no samples"))?;
    let whole = in_pieces(scale, make, i64::MAX)?;
    let whole = whole.look(&expected, report)?;
    report.figure(format!("{name}, one flush"), whole.bytes, "B/sample");
    let piece_ms = SPAN_MS.min((last_ms - first_ms) / 4 + 1);
    let pieces = in_pieces(scale, make, piece_ms)?;
    let before = pieces.look(&expected, report)?;
    report.figure(
        format!("{name}, {} segments", before.segments),
        before.bytes,
        "B/sample",
    );
    let limit = bar.unwrap_or(whole.bytes * NAMES);
    pieces.clock.set(last_ms);
    pieces.store.compact()?;
    let merged = pieces.look(&expected, report)?;
    report.bar(
        format!("{name}, merged"),
        merged.bytes,
        "B/sample",
        Bar::AtMost(limit),
    );
    pieces.clock.set(last_ms + WEEK_MS + 1);
    pieces.store.compact()?;
    let old = pieces.look(&expected, report)?;
    report.bar(
        format!("{name}, merged and a week old"),
        old.bytes,
        "B/sample",
        Bar::AtMost(limit),
    );
    for (what, look) in [("in pieces", before), ("merged", merged), ("a week old", old)] {
        report.figure(format!("{name}, read, {what}"), look.read_ns, "CPU-ns/sample");
    }
    let left = merged.segments.max(old.segments);
    report.check(left <= 2, format!("{name}: {left} segments are left"));
    pieces.store.close()
}

/// A database and its clock.
struct Pieces {
    folder: tempfile::TempDir,
    store: Store,
    clock: Clock,
}

/// What was seen of it.
#[derive(Clone, Copy)]
struct Look {
    segments: usize,
    bytes: f64,
    read_ns: f64,
}

/// Writes a workload and flushes whenever `piece_ms` of it have gone by, and at the end.
fn in_pieces<W: Workload>(scale: &Scale, make: &dyn Fn() -> W, piece_ms: i64) -> Result<Pieces> {
    let (folder, clock) = (scale.folder()?, Clock::default());
    let setup = Setup::new(folder.path())
        .policy(Policy::Never)
        .clock(clock.clone())
        .trust_clock()
        .no_background()
        .no_merges();
    let store = Store::open(&setup)?;
    let mut workload = make();
    while play_until(&mut workload, &store, piece_ms)? {
        store.flush()?;
    }
    store.flush()?;
    Ok(Pieces { folder, store, clock })
}

impl Pieces {
    /// Compares all of it, measures its files, and times reading it.
    fn look(&self, expected: &Expected, report: &mut Report) -> Result<Look> {
        expected.compare(&self.store, report)?;
        let mut runs = Vec::new();
        for _ in 0..RUNS {
            let start = thread_cpu();
            let (_, samples) = self.store.scan(&[everything()], i64::MIN..=i64::MAX)?;
            runs.push((thread_cpu() - start).as_nanos() as f64 / samples as f64);
        }
        let samples = expected.samples() as f64;
        Ok(Look {
            segments: self.store.segments()?,
            bytes: disk_bytes(self.folder.path())?.kept as f64 / samples,
            read_ns: median(runs),
        })
    }
}
