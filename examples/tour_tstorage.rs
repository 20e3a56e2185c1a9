//! A tour for users of tstorage: what its calls and options are called here, and where the answer differs.
//!
//! | tstorage | here |
//! |---|---|
//! | `NewStorage()` without a path | `Options::in_memory()` |
//! | `WithDataPath` | `Options::new(path)` |
//! | `WithPartitionDuration` | `segment_span` |
//! | `WithRetention` | `retention`, by the newest sample of a segment and not by when it was made; none unless asked for |
//! | `WithTimestampPrecision` | `precision`, fixed when the database is created |
//! | `WithWALBufferedSize(0)`: write each | `Durability::Always`: acknowledged when synced |
//! | `WithWALBufferedSize(4096)` | `Durability::Interval(d)`: written at once, synced within `d` |
//! | `WithWALBufferedSize(-1)`: off | `Durability::Never`, or no files at all in memory |
//! | `WithWriteTimeout` | none: there is no queue that could be full; `commit` answers |
//! | `WithLogger` | any subscriber of the `tracing` crate |
//! | `InsertRows(rows)` | `batch.push(..)`, then `commit()`; late points are kept and seen at once, whatever their age |
//! | `Select(metric, labels, start, end)` | `select` below: `[start, end)`, exactly these labels |
//! | `ErrNoDataPoints` | `None`, which is neither an error nor an empty list |
//!
//! Output:
//!
//! ```text
//! in memory, nanoseconds
//! select [1000, 3000): 1000=0.1 2000=0.2
//! select [1000, 3001): 1000=0.1 2000=0.2 3000=0.3
//! newest first: 3000=0.3 2000=0.2 1000=0.1
//! labels are exact: load1{host="a"} has 1 point, load1 has 3
//! no data in [9000, 9999): none, though the series is known: true
//! no such series: none, known: false
//! on disk, one batch synced before it is acknowledged, one within 100 ms
//! after reopening: 1=1 2=2
//! ```

use narthex::{Db, Durability, Error, Labels, ListOptions, Matcher, Options, Precision, Sample, labels};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// Matchers for the series of a metric that has at least these labels.
fn matchers(metric: &Labels) -> Vec<Matcher> {
    metric
        .iter()
        .map(|(name, value)| Matcher::eq(name, value))
        .collect()
}

/// `Select`: the points of the series with exactly these labels in `[start, end)`, or `None` when there is none.
fn select(db: &Db, metric: &Labels, start: i64, end: i64) -> Result<Option<Vec<Sample>>, Error> {
    for series in db.select(&matchers(metric), start..end)? {
        let series = series?;
        if series.labels() == metric {
            return Ok(Some(series.samples().collect()));
        }
    }
    Ok(None)
}

/// The same series, newest point first.
fn select_newest_first(db: &Db, metric: &Labels, start: i64, end: i64) -> Result<Vec<Sample>, Error> {
    for series in db.select(&matchers(metric), start..end)? {
        let series = series?;
        if series.labels() == metric {
            return Ok(series.samples().rev().collect());
        }
    }
    Ok(Vec::new())
}

/// Whether the series exists at all, at any time.
fn is_known(db: &Db, metric: &Labels) -> Result<bool, Error> {
    let series = db.series(&matchers(metric), .., ListOptions::default())?;
    Ok(series.items.contains(metric))
}

fn print(samples: Option<Vec<Sample>>) -> String {
    let Some(samples) = samples else {
        return "none".to_owned();
    };
    let points = samples.iter().map(|sample| {
        let value = sample.value.as_float().unwrap_or(f64::NAN);
        format!("{}={value}", sample.timestamp)
    });
    points.collect::<Vec<_>>().join(" ")
}

fn in_memory(out: &mut impl Write) -> Result<(), Box<dyn std::error::Error>> {
    let db = Db::open(Options::in_memory().precision(Precision::Nanoseconds))?;
    let load = labels! { "__name__" => "load1" };
    let load_of_host = labels! { "__name__" => "load1", "host" => "a" };
    let mut batch = db.batch();
    batch.push(&load, 1_000, 0.1);
    batch.push(&load, 3_000, 0.3);
    batch.push(&load, 2_000, 0.2); // Late, and welcome.
    batch.push(&load_of_host, 1_000, 7.0);
    batch.commit()?;

    writeln!(out, "in memory, nanoseconds")?;
    writeln!(
        out,
        "select [1000, 3000): {}",
        print(select(&db, &load, 1_000, 3_000)?)
    )?;
    writeln!(
        out,
        "select [1000, 3001): {}",
        print(select(&db, &load, 1_000, 3_001)?)
    )?;
    let newest = select_newest_first(&db, &load, 0, 9_999)?;
    writeln!(out, "newest first: {}", print(Some(newest)))?;

    let count =
        |metric: &Labels| select(&db, metric, 0, 9_999).map(|found| found.map_or(0, |points| points.len()));
    let (one, three) = (count(&load_of_host)?, count(&load)?);
    writeln!(
        out,
        "labels are exact: {load_of_host} has {one} point, {load} has {three}"
    )?;

    let nothing = print(select(&db, &load, 9_000, 9_999)?);
    let known = is_known(&db, &load)?;
    writeln!(
        out,
        "no data in [9000, 9999): {nothing}, though the series is known: {known}"
    )?;
    let stranger = labels! { "__name__" => "load15" };
    let nothing = print(select(&db, &stranger, 0, 9_999)?);
    writeln!(
        out,
        "no such series: {nothing}, known: {}",
        is_known(&db, &stranger)?
    )?;
    db.close()?;
    Ok(())
}

/// tstorage's partitions and WAL buffer, as options of one database and of one batch.
fn on_disk(folder: &Path, out: &mut impl Write) -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::new(folder)
        .precision(Precision::Seconds)
        .segment_span(Duration::from_secs(3_600))
        .durability(Durability::Interval(Duration::from_millis(100)));
    let metric = labels! { "__name__" => "disk_used" };

    let db = Db::open(options.clone())?;
    let mut batch = db.batch();
    batch.push(&metric, 1, 1.0);
    batch.durability(Durability::Always);
    batch.commit()?;
    let mut batch = db.batch();
    batch.push(&metric, 2, 2.0);
    batch.commit()?;
    writeln!(
        out,
        "on disk, one batch synced before it is acknowledged, one within 100 ms"
    )?;
    db.close()?;

    let db = Db::open(options)?;
    writeln!(out, "after reopening: {}", print(select(&db, &metric, 0, 10)?))?;
    db.close()?;
    Ok(())
}

pub(crate) fn run(folder: &Path, out: &mut impl Write) -> Result<(), Box<dyn std::error::Error>> {
    in_memory(out)?;
    on_disk(folder, out)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join("narthex-tour-tstorage");
    run(&folder, &mut std::io::stdout())
}
