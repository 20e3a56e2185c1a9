//! Bar 6: memory per series of a head with few and with many samples, beside the budget the library states by part.
//!
//! Each run is a process of its own, so that what one run leaves in the allocator is not counted for the next.

use super::{Scale, write_batch};
use crate::adapter::{Policy, Setup, Store};
use crate::fleet::{BATCH_SAMPLES, Fleet};
use crate::measure::memory;
use crate::report::{Bar, Report};
use anyhow::Result;

const BAR_BYTES_PER_SERIES: f64 = 600.0;
const SAMPLE_EVERY_BATCHES: usize = 20;

pub fn run(scale: &Scale, ticks: &[usize]) -> Result<bool> {
    let mut good = true;
    for ticks in ticks {
        let mut child = scale.child()?;
        good &= child.args(["memory-one", &ticks.to_string()]).status()?.success();
    }
    Ok(good)
}

pub fn run_one(scale: &Scale, ticks: usize) -> Result<bool> {
    let mut fleet = Fleet::made_apart(scale.of(1_000_000, 2_000), 0, 1);
    let folder = scale.folder()?;
    let before = memory()?;
    let store = Store::open(&Setup::new(folder.path()).policy(Policy::IntervalMs(100)))?;
    let mut peak = before;
    for _ in 0..ticks {
        fleet.advance();
        let mut first = 0;
        while first < fleet.series() {
            first = write_batch(&store, &mut fleet, first)?;
            if (first / BATCH_SAMPLES).is_multiple_of(SAMPLE_EVERY_BATCHES) {
                peak = peak.max(memory()?);
            }
        }
        peak = peak.max(memory()?);
    }
    store.settle()?;
    let series = fleet.series() as f64;
    let per_series = |bytes: u64| bytes as f64 / series;
    let title = format!("memory: {series} series, {ticks} samples each");
    let mut report = Report::new(title, scale.small);
    let held = memory()?.saturating_sub(before);
    report.bar(
        "RssAnon + RssShmem",
        per_series(held),
        "B/series",
        Bar::AtMost(BAR_BYTES_PER_SERIES),
    );
    report.figure("peak while writing", per_series(peak - before), "B/series");
    let parts = store.memory();
    let total = parts.iter().map(|(_, bytes)| bytes).sum();
    for (part, bytes) in parts {
        report.figure(format!("budget: {part}"), per_series(bytes), "B/series");
    }
    report.figure("budget: total", per_series(total), "B/series");
    report.figure("segments written", store.segments()? as f64, "");
    let (found, samples) = store.scan(&[crate::adapter::everything()], i64::MIN..=i64::MAX)?;
    report.check(found == fleet.series(), format!("{found} series found"));
    report.check(
        samples == fleet.series() * ticks,
        format!("{samples} samples found"),
    );
    store.close()?;
    Ok(report.print())
}
