//! How many distinct series there are over many segments, and what grew: by sketches, and by reading labels.
//!
//! A million series over twelve segments of half a million each, a twelfth of the hosts being replaced from one to the
//! next. Everything is warm: a first pass reads what the second pass times.

use super::{Scale, write_tick};
use crate::adapter::{Policy, Setup, Store, everything};
use crate::fleet::{BASE_MS, Fleet, STEP_MS};
use crate::measure::{Stopwatch, median};
use crate::report::{Bar, Report};
use anyhow::Result;
use std::ops::Range;

const SEGMENTS: i64 = 12;
const RUNS: usize = 5;
/// Four standard errors of the estimate.
const ERROR_MAX_PERCENT: f64 = 6.5;

pub fn run(scale: &Scale) -> Result<bool> {
    let mut report = Report::new("cardinality: over 12 segments, warm", scale.small);
    let folder = scale.folder()?;
    let setup = Setup::new(folder.path()).policy(Policy::Never).no_background();
    let store = Store::open(&setup)?;
    let mut fleet = Fleet::new(scale.of(500_000, 9_000), 0, 1);
    let mut rows = 0;
    for segment in 0..SEGMENTS {
        if segment > 0 {
            fleet.rename(SEGMENTS as u64);
        }
        // An hour apart, so that lateness does not mix them.
        fleet.skip_to(segment * HOUR_TICKS);
        write_tick(&store, &mut fleet)?;
        store.flush_only()?;
        rows += fleet.series();
    }
    store.close()?;
    let store = Store::open(&setup)?;
    let segments = store.segments()?;
    report.check(segments == SEGMENTS as usize, format!("{segments} segments"));
    let bytes = store.part_bytes("sketch");
    report.bar(
        "sketches",
        bytes as f64 / rows as f64,
        "bytes/series",
        Bar::AtMost(1.0),
    );

    let all = i64::MIN..i64::MAX;
    let exact = store.count(&[everything()], i64::MIN..=i64::MAX)?;
    let (estimate, metrics) = store.cardinality(all.clone())?;
    let error = (estimate as f64 / exact as f64 - 1.0) * 100.0;
    report.figure("distinct series", exact as f64, "");
    report.figure("error of the estimate", error, "%");
    report.figure("metrics listed", metrics as f64, "");
    report.check(
        error.abs() <= ERROR_MAX_PERCENT,
        format!("{estimate} of {exact} series"),
    );
    let ms = time(|| store.cardinality(all.clone()).map(drop))?;
    report.bar("report over all segments", ms, "ms", Bar::AtMost(100.0));
    let (first, last) = (hours(0..1), hours(SEGMENTS - 1..SEGMENTS));
    let grown = store.growth(first.clone(), last.clone())?;
    report.check(
        grown.as_deref() == Some("instance"),
        format!("{grown:?} is to blame"),
    );
    let ms = time(|| store.growth(first.clone(), last.clone()).map(drop))?;
    report.bar("growth between two segments", ms, "ms", Bar::AtMost(100.0));
    let part = BASE_MS..BASE_MS + STEP_MS;
    let ms = time(|| store.cardinality(part.clone()).map(drop))?;
    report.figure("part of a segment, by its rows", ms, "ms");
    let ms = time(|| store.count(&[everything()], i64::MIN..=i64::MAX).map(drop))?;
    report.figure("exact count, to compare with", ms, "ms");
    Ok(report.print())
}

const HOUR_TICKS: i64 = 240;

fn hours(hours: Range<i64>) -> Range<i64> {
    let start = |hour: i64| BASE_MS + hour * HOUR_TICKS * STEP_MS;
    start(hours.start)..start(hours.end)
}

/// The median of some runs, in milliseconds of CPU.
fn time(mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    run()?;
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let watch = Stopwatch::start();
        run()?;
        runs.push(watch.cpu_s() * 1_000.0);
    }
    Ok(median(runs))
}
