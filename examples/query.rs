//! PromQL on an embedded database: an instant query, a range query, and what a query says about itself.
//!
//! `cargo run --release --example query`
//!
//! Output:
//!
//! ```text
//! busiest host now: {host="b"} 0.75
//! requests per second by job:
//!   {job="api"} 2 2 2
//!   {job="web"} 0.5 0.5 0.5
//! note: PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "cpu_busy" (1:6)
//! refused: 1:5: parse error: unclosed left parenthesis
//! ```

use narthex::{Db, Options, QueryPoint, QueryValue, labels};
use std::error::Error;
use std::io::Write;

/// 2023-11-14 22:00:00 UTC, in milliseconds.
const START_MS: i64 = 1_699_999_200_000;
const MINUTE_MS: i64 = 60_000;

pub(crate) fn run(out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let db = Db::open(Options::in_memory())?;
    let mut batch = db.batch();
    for minute in 0..=60 {
        let time_ms = START_MS + minute * MINUTE_MS;
        for (host, busy) in [("a", 0.25), ("b", 0.75)] {
            let labels = labels! { "__name__" => "cpu_busy", "host" => host };
            batch.push(&labels, time_ms, busy);
        }
        for (job, per_minute) in [("api", 120), ("web", 30)] {
            let labels = labels! { "__name__" => "requests_total", "job" => job };
            batch.push(&labels, time_ms, (minute * per_minute) as f64);
        }
    }
    batch.commit()?;

    let now_ms = START_MS + 60 * MINUTE_MS;
    let answer = db.query("topk(1, sum by (host) (cpu_busy))", now_ms)?;
    if let QueryValue::Vector(samples) = answer.value {
        for sample in samples {
            if let QueryPoint::Float(value) = sample.value {
                writeln!(out, "busiest host now: {} {value}", sample.labels)?;
            }
        }
    }

    writeln!(out, "requests per second by job:")?;
    let query = "sum by (job) (rate(requests_total[5m]))";
    let answer = db.query_range(query, (now_ms - 20 * MINUTE_MS, now_ms), 10 * MINUTE_MS)?;
    if let QueryValue::Matrix(series) = answer.value {
        for one in series {
            let values: Vec<String> = one.floats.iter().map(|point| point.1.to_string()).collect();
            writeln!(out, "  {} {}", one.labels, values.join(" "))?;
        }
    }

    for info in db.query("rate(cpu_busy[5m])", now_ms)?.infos {
        writeln!(out, "note: {info}")?;
    }
    if let Err(error) = db.query("sum(", now_ms) {
        writeln!(out, "refused: {error}")?;
    }
    db.close()?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    run(&mut std::io::stdout())
}
