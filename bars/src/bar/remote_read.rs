//! A streamed remote read of eight hours of 10,000 series at 15 s: samples per CPU second, and how much memory it takes
//! while it runs.
//!
//! Three quarters of the samples lie in a segment, the rest in the head. The reader is a process of its own that has done
//! nothing but open the folder, so that nothing the writer left in the allocator hides what reading takes.

use super::{Scale, write_tick};
use crate::adapter::{Policy, Setup, Store, everything};
use crate::fleet::Fleet;
use crate::measure::{median, memory, thread_cpu};
use crate::report::{Bar, Report};
use anyhow::Result;
use std::path::Path;

const BAR_GROWTH_MB: f64 = 64.0;
const RUNS: usize = 5;
/// Memory is looked at so often.
const FRAMES_PER_LOOK: usize = 50;

pub fn run(scale: &Scale) -> Result<bool> {
    let folder = scale.folder()?;
    let store = Store::open(&setup(folder.path()))?;
    let mut fleet = Fleet::new(scale.of(10_000, 200), 0, 1);
    let ticks = scale.of(8 * 240, 200);
    for tick in 0..ticks {
        if tick == ticks / 4 * 3 {
            store.flush_only()?;
        }
        write_tick(&store, &mut fleet)?;
    }
    let samples = (fleet.series() * ticks).to_string();
    store.close()?;
    let mut child = scale.child()?;
    child.arg("remote-read-one").arg(folder.path()).arg(samples);
    Ok(child.status()?.success())
}

fn setup(folder: &Path) -> Setup {
    Setup::new(folder).policy(Policy::Never).no_background()
}

pub fn run_one(scale: &Scale, folder: &Path, written: usize) -> Result<bool> {
    let store = Store::open(&setup(folder))?;
    let title = format!("remote read: {written} samples, streamed");
    let mut report = Report::new(title, scale.small);
    let request = request()?;
    let before = memory()?;
    let (mut peak, mut frames, mut bytes, mut largest) = (before, 0, 0, 0);
    let mut looked = Ok(());
    store.stream(&request, &mut |frame| {
        if frames % FRAMES_PER_LOOK == 0 {
            match memory() {
                Ok(memory) => peak = peak.max(memory),
                Err(error) => looked = Err(error),
            }
        }
        frames += 1;
        bytes += frame.len();
        largest = largest.max(frame.len());
    })?;
    looked?;
    peak = peak.max(memory()?);
    let growth = (peak - before) as f64 / 1e6;
    report.bar("growth of memory", growth, "MB", Bar::AtMost(BAR_GROWTH_MB));
    report.figure("frames", frames as f64, "");
    report.figure("largest frame", largest as f64, "bytes");
    report.figure("bytes a sample", bytes as f64 / written as f64, "bytes");

    let (mut streams, mut scans) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let start = thread_cpu();
        let (_, samples) = store.stream(&request, &mut |frame| {
            std::hint::black_box(frame);
        })?;
        streams.push((thread_cpu() - start).as_secs_f64());
        report.check(
            samples == written,
            format!("{samples} of {written} samples streamed"),
        );
        let start = thread_cpu();
        let (_, samples) = store.scan(&[everything()], i64::MIN..=i64::MAX)?;
        scans.push((thread_cpu() - start).as_secs_f64());
        report.check(samples == written, format!("{samples} of {written} samples read"));
    }
    let (stream, scan) = (median(streams), median(scans));
    report.figure("streamed", written as f64 / stream / 1e6, "M samples/CPU-s");
    report.figure("streamed", stream * 1e9 / written as f64, "CPU-ns/sample");
    report.figure("of which reading", scan * 1e9 / written as f64, "CPU-ns/sample");
    store.close()?;
    Ok(report.print())
}

/// All series, from 1970 on: `ReadRequest` with a query (1) of `end_timestamp_ms` (2) and a matcher (3) of type RE (1),
/// name (2) and value (3), and the accepted type STREAMED_XOR_CHUNKS (2).
fn request() -> Result<Vec<u8>> {
    let end = [2 << 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    let field = |number: u8, content: &[u8]| [&[number << 3 | 2, content.len() as u8], content].concat();
    let matcher = [vec![1 << 3, 2], field(2, b"__name__"), field(3, b".+")].concat();
    let query = [end.to_vec(), field(3, &matcher)].concat();
    let message = [field(1, &query), vec![2 << 3, 1]].concat();
    Ok(snap::raw::Encoder::new().compress_vec(&message)?)
}
