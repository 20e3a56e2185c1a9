//! Lines of logs over HTTP: a million in, searched by device and time and by text, and all of them there after kill -9. That kills and a
//! full disk in the middle of writing lose nothing is what a test shows (`native::surviving`).

use super::Scale;
use super::http::narthex;
use crate::measure::{Times, memory_of};
use crate::peer::http::Client;
use crate::peer::served::{Kind, Served};
use crate::report::{Bar, Report};
use crate::rng::mix;
use anyhow::{Context, Result, ensure};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

const BATCH_LINES: u64 = 1_000;
const DEVICES: u64 = 500;
const BASE_S: u64 = 1_760_000_000;
/// Lines a second.
const LINES_PER_SECOND: u64 = 50;
/// A line in so many has the text that is searched for.
const RARE: u64 = 10_000;
const LEVELS: [&str; 5] = ["debug", "info", "info", "warn", "error"];

pub fn run(scale: &Scale, binary: Option<&Path>) -> Result<bool> {
    let binary = narthex(binary)?;
    let mut report = Report::new("logs: lines over HTTP", scale.small);
    let lines = scale.of(1_000_000, 20_000);
    let settings = ["--retention", "0"].map(str::to_owned);
    let mut served = Served::start_with(Kind::Narthex, &binary, scale.folder()?, &settings, None)?;
    let (before, begun) = (served.cpu_s()?, Instant::now());
    let mut most = 0;
    for start in (0..lines).step_by(BATCH_LINES as usize) {
        send(&served, start, BATCH_LINES)?;
        most = most.max(memory_of(served.pid()).context("the server is gone")?);
    }
    report.figure("written", lines as f64 / begun.elapsed().as_secs_f64(), "lines/s");
    report.figure(
        "written",
        lines as f64 / (served.cpu_s()? - before),
        "lines/CPU-s",
    );
    searches(scale, &served, lines, &mut report)?;
    most = most.max(memory_of(served.pid()).context("the server is gone")?);
    report.bar("memory, most", most as f64 / 1e6, "MB", Bar::AtMost(400.0));
    let begun = Instant::now();
    served.kill();
    served.again()?;
    let mut client = Client::connect(served.port)?;
    let found = count(&mut client)?;
    report.figure(
        "kill -9 to the count of all lines",
        begun.elapsed().as_secs_f64(),
        "s",
    );
    report.check(found == lines, format!("{found} lines of {lines} after kill -9"));
    Ok(report.print())
}

/// One line in a batch of text.
fn push_line(body: &mut String, number: u64) {
    let random = mix(number);
    let (device, level) = (random % DEVICES, LEVELS[(random >> 16) as usize % LEVELS.len()]);
    let timestamp_ms = BASE_S * 1000 + number * 1000 / LINES_PER_SECOND;
    let what = match number % RARE {
        0 => "turbine blade sheared off",
        _ => "request served",
    };
    // Writing to a text does not fail.
    let _ = writeln!(
        body,
        r#"{{"device":"device-{device:03}","level":"{level}","message":"{what} in {} us, id {random:016x}","timestamp":{timestamp_ms}}}"#,
        random >> 40
    );
}

fn send(served: &Served, start: u64, lines: u64) -> Result<()> {
    let mut body = String::new();
    (start..start + lines).for_each(|number| push_line(&mut body, number));
    let answer = Client::connect(served.port)?.send("POST", "/api/v1/logs", "", body.as_bytes())?;
    let text = String::from_utf8_lossy(&answer.body);
    ensure!(answer.status / 100 == 2, "lines: {} {text}", answer.status);
    Ok(())
}

fn searches(scale: &Scale, served: &Served, lines: u64, report: &mut Report) -> Result<()> {
    let mut client = Client::connect(served.port)?;
    let seconds = lines / LINES_PER_SECOND;
    let mut times = Times::default();
    for place in 0..scale.of(500, 20) {
        let random = mix(place);
        let (device, from) = (random % DEVICES, BASE_S + (random >> 20) % seconds);
        let path = format!(
            "/api/v1/logs?device=device-{device:03}&start_time={from}&end_time={}&limit=100",
            from + 600
        );
        let begun = Instant::now();
        let answer = client.send("GET", &path, "", &[])?;
        times.add(begun.elapsed());
        ensure!(answer.status == 200, "{path}: {}", answer.status);
    }
    times.sort();
    report.bar(
        "by device and time, p99",
        times.quantile_us(0.99) / 1e3,
        "ms",
        Bar::AtMost(10.0),
    );
    report.figure("by device and time, p50", times.quantile_us(0.5) / 1e3, "ms");
    let mut times = Times::default();
    for _ in 0..scale.of(5, 1) {
        let begun = Instant::now();
        let answer = client.send("GET", "/api/v1/logs?text=blade%20sheared&limit=10000", "", &[])?;
        times.add(begun.elapsed());
        let text = String::from_utf8_lossy(&answer.body);
        let found = text.matches("turbine blade sheared off").count() as u64;
        report.check(
            answer.status == 200 && found == lines.div_ceil(RARE),
            format!("{found} lines with the text of {}", lines.div_ceil(RARE)),
        );
    }
    times.sort();
    report.bar(
        "by text, worst",
        times.quantile_us(1.0) / 1e3,
        "ms",
        Bar::AtMost(1_000.0),
    );
    Ok(())
}

/// How many lines there are.
fn count(client: &mut Client) -> Result<u64> {
    let path = "/api/v1/logs?interval=31536000&start_time=0&end_time=4000000000";
    let answer = client.send("GET", path, "", &[])?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    ensure!(answer.status == 200, "{path}: {} {text}", answer.status);
    let counts = text.split("\"count\":").skip(1);
    let number = |rest: &str| {
        rest.split([',', '}'])
            .next()
            .and_then(|text| text.parse::<u64>().ok())
    };
    counts
        .map(|rest| number(rest).with_context(|| format!("no count in {text}")))
        .sum()
}
