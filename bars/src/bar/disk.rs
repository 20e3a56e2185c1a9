//! Bar 2, recorded data: bytes per sample on disk with default options, every sample read back bit for bit.

use super::Scale;
use crate::adapter::{DiskBytes, Setup, Store};
use crate::peer::{Blocks, Prometheus};
use crate::realdata::{Pace, Recording, Replay};
use crate::report::{Bar, Report};
use crate::workload::{Expected, Workload, play};
use anyhow::{Context, Result};
use std::path::Path;
use std::sync::Arc;

struct Case {
    name: &'static str,
    decimate: u32,
    jitter: bool,
    bar: f64,
}

const CASES: [Case; 4] = [
    Case {
        name: "d1",
        decimate: 1,
        jitter: false,
        bar: 0.20,
    },
    Case {
        name: "d4",
        decimate: 4,
        jitter: false,
        bar: 0.32,
    },
    Case {
        name: "d4-jitter",
        decimate: 4,
        jitter: true,
        bar: 0.34,
    },
    Case {
        name: "d15",
        decimate: 15,
        jitter: false,
        bar: 0.60,
    },
];

/// `only` names the cases to run; empty for all.
pub fn run(
    scale: &Scale,
    realdata: Option<&Path>,
    prometheus: Option<&Path>,
    only: &[String],
) -> Result<bool> {
    let folder = realdata.context("give the folder of the recorded data with --realdata")?;
    let recording = Arc::new(Recording::load(folder)?);
    let mut report = Report::new("disk: recorded data, default options", scale.small);
    report.note(format!(
        "recording: {} series, {} samples",
        recording.series(),
        recording.samples()
    ));
    let wanted = |case: &&Case| only.is_empty() || only.iter().any(|name| name == case.name);
    for case in CASES.iter().filter(wanted) {
        let pace = Pace {
            decimate: case.decimate,
            jitter: case.jitter,
            scrapes_max: scale.of(u32::MAX, 20),
        };
        let make = || Replay::new(&recording, pace);
        let (bytes, samples) = measure(scale, case.name, &make, &mut report)?;
        let per_sample = bytes.kept as f64 / samples as f64;
        report.bar(case.name, per_sample, "B/sample", Bar::AtMost(case.bar));
        rest(case.name, bytes, samples, &mut report);
        if let Some(binary) = prometheus {
            beside(case.name, binary, &mut make(), bytes, &mut report)?;
        }
    }
    Ok(report.print())
}

/// Writes the workload, closes, measures, reopens and compares: the sizes and how many samples they hold.
pub fn measure<W: Workload>(
    scale: &Scale,
    name: &str,
    make: &dyn Fn() -> W,
    report: &mut Report,
) -> Result<(DiskBytes, u64)> {
    let folder = scale.folder()?;
    let setup = Setup::new(folder.path());
    let store = Store::open(&setup)?;
    let samples = play(&mut make(), &store)?;
    store.flush()?;
    store.close()?;
    let bytes = crate::adapter::disk_bytes(folder.path())?;
    let expected = Expected::of(&mut make());
    report.check(expected.samples() == samples, "the workload is not deterministic");
    let reopened = Store::open(&setup)?;
    expected.compare(&reopened, report)?;
    let segments = reopened.segments()?;
    let series = expected.series();
    report.note(format!(
        "{name}: {series} series, {samples} samples in {segments} segments: all read back and compared"
    ));
    reopened.close()?;
    Ok((bytes, samples))
}

/// The figures without a bar.
pub fn rest(name: &str, bytes: DiskBytes, samples: u64, report: &mut Report) {
    report.figure(
        format!("{name}, WAL left after closing"),
        bytes.wal as f64 / samples as f64,
        "B/sample",
    );
}

/// The same samples in Prometheus' blocks.
pub fn beside(
    name: &str,
    binary: &Path,
    workload: &mut dyn Workload,
    ours: DiskBytes,
    report: &mut Report,
) -> Result<Blocks> {
    let mut prometheus = Prometheus::start(binary)?;
    let sent = prometheus.play(workload)?;
    let blocks = prometheus.snapshot()?;
    report.check(
        blocks.samples == sent,
        format!("Prometheus kept {} of {sent} samples", blocks.samples),
    );
    let per_sample = |bytes: u64| bytes as f64 / sent as f64;
    report.figure(
        format!("{name}, Prometheus blocks"),
        per_sample(blocks.bytes),
        "B/sample",
    );
    report.figure(
        format!("{name}, Prometheus chunks alone"),
        per_sample(blocks.chunk_bytes),
        "B/sample",
    );
    report.figure(
        format!("{name}, Prometheus index alone"),
        per_sample(blocks.index_bytes),
        "B/sample",
    );
    report.figure(
        format!("{name}, Prometheus : narthex"),
        blocks.bytes as f64 / ours.kept as f64,
        "times",
    );
    report.note(format!("{name}: Prometheus wrote {} blocks", blocks.count));
    Ok(blocks)
}
