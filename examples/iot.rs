//! What devices send: measured values, logs and events in one database in a folder.
//!
//! `cargo run --release --example iot [FOLDER]`; without an argument the folder `narthex-iot` below the system's folder for
//! temporary files is used. The folder should be new: logs and events are added at every run.
//!
//! Output:
//!
//! ```text
//! 72 values accepted
//! boiler temperature at 1700000000000: 62.5 celsius, room cellar, rack 3
//! boiler temperature, mean from 1699999800000: 65.65 of 4
//! boiler temperature, mean from 1700000100000: 67.33 of 10
//! boiler temperature, mean from 1700000400000: 66.94 of 10
//! boiler temperature, mean from 1700000700000: 66.55 of 10
//! boiler temperature, mean from 1700001000000: 69.85 of 2
//! error of boiler: burner went out
//! warn of boiler: burner took 3 tries
//! logs by interval: [(1700000000000, 3)]
//! door opened, high: {"by":"nobody"}
//! ```

use narthex::{
    Aggregation, Db, EventPoint, EventQuery, LogPoint, LogQuery, MetricPoint, Options, TimeSeriesQuery,
    TimeSeriesStore,
};
use serde_json::json;
use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// 2023-11-14 22:13:20 UTC, in milliseconds.
const START_MS: i64 = 1_700_000_000_000;

/// The store does its work at the first poll, so that this is all it needs. A program with a runtime says `.await`.
fn wait<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

fn measure(db: &Db, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let tags = json!({ "room": "cellar", "place": { "rack": 3 } });
    let mut points = Vec::new();
    for minute in 0..36i64 {
        let time = START_MS + minute * 30_000;
        let temperature = MetricPoint::new("boiler", "temperature", 62.5 + (minute * 7 % 31) as f64 * 0.3);
        points.push(
            temperature
                .with_unit("celsius")
                .with_tags(tags.clone())
                .with_timestamp(time),
        );
        points.push(MetricPoint::new("boiler", "pressure", 1.5).with_timestamp(time));
    }
    let report = wait(db.write_metrics(points)).ok_or("the store waits")??;
    writeln!(out, "{} values accepted", report.accepted)?;

    let query = TimeSeriesQuery::new(START_MS, START_MS + 1_200_000)
        .with_device("boiler")
        .with_metric("temperature");
    let first = wait(db.query_metrics(query.clone().with_limit(1))).ok_or("the store waits")??;
    for point in first {
        writeln!(
            out,
            "{} {} at {}: {} {}, room {}, rack {}",
            point.device,
            point.metric,
            point.timestamp.unwrap_or(0),
            point.value,
            point.unit.unwrap_or_default(),
            point.tags.get("room").unwrap_or("-"),
            point.tags.get("place.rack").unwrap_or("-"),
        )?;
    }
    let means = db.query_aggregated(query.with_aggregation(Aggregation::Avg, 300));
    for point in wait(means).ok_or("the store waits")?? {
        let (device, metric) = (point.device, point.metric);
        writeln!(
            out,
            "{device} {metric}, mean from {}: {:.2} of {}",
            point.timestamp, point.value, point.count
        )?;
    }
    Ok(())
}

fn tell(db: &Db, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    db.logs().write(&[
        LogPoint::new("boiler", "info", "burner on").with_timestamp(START_MS),
        LogPoint::new("boiler", "WARNING", "burner took 3 tries").with_timestamp(START_MS + 1000),
        LogPoint::new("boiler", "err", "burner went out").with_timestamp(START_MS + 2000),
        LogPoint::new("pump", "error", "no flow").with_timestamp(START_MS + 2000),
    ])?;
    let since = LogQuery::new(START_MS..).with_device("boiler");
    for log in db.logs().query(&since.clone().with_level("warn"))?.logs {
        writeln!(out, "{} of {}: {}", log.level, log.device, log.message)?;
    }
    let counts = db.logs().count_per_interval(&since.with_text("burner"), 10_000)?;
    writeln!(out, "logs by interval: {counts:?}")?;

    let event = EventPoint::new("door", "opened")
        .with_severity("high")
        .with_data(json!({ "by": "nobody" }))
        .with_timestamp(START_MS);
    wait(db.write_event(event)).ok_or("the store waits")??;
    for event in db
        .events()
        .query(&EventQuery::new(..).with_severity("medium"))?
        .events
    {
        let (device, kind) = (event.device, event.event_type);
        writeln!(out, "{device} {kind}, {}: {}", event.severity, event.data)?;
    }
    Ok(())
}

pub(crate) fn run(folder: &Path, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let db = Db::open(Options::iot(folder))?;
    measure(&db, out)?;
    tell(&db, out)?;
    db.close()?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map(Into::into);
    let folder = folder.unwrap_or_else(|| std::env::temp_dir().join("narthex-iot"));
    run(&folder, &mut std::io::stdout())
}
