//! The native API: single points that are durable before they are acknowledged, batches, and queries for points.
//!
//! What single points are worth is told by the disk: eight connections that each wait for one sync can be acknowledged eight points a
//! sync at most, when all of them share it. The sync is timed on the same disk before and after the run.

use super::Scale;
use super::http::narthex;
use crate::adapter::{Store, everything};
use crate::measure::{Times, memory_of};
use crate::peer::http::Client;
use crate::peer::served::{Kind, Served};
use crate::report::{Bar, Report};
use crate::steps;
use anyhow::{Context, Result, bail, ensure};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

const CONNECTIONS: usize = 8;
const SENDERS: usize = 2;
/// Series of the batches, each of which has a point of all.
const HOSTS: usize = 1_000;
const BASE_S: u64 = 1_760_000_000;
const SYNCS: usize = 300;
/// About what a point takes in the log.
const SYNC_BYTES: usize = 64;

pub fn run(scale: &Scale, binary: Option<&Path>) -> Result<bool> {
    let binary = narthex(binary)?;
    let mut report = Report::new("native API: points, batches, queries", scale.small);
    points(scale, &binary, &mut report)?;
    batches(scale, &binary, &mut report)?;
    Ok(report.print())
}

/// One point a request, eight connections, `always`.
fn points(scale: &Scale, binary: &Path, report: &mut Report) -> Result<()> {
    let folder = scale.folder()?;
    let mut syncs = Times::default();
    time_syncs(folder.path(), &mut syncs)?;
    let settings = ["--retention", "0", "--durability", "always"].map(str::to_owned);
    let served = Served::start_with(Kind::Narthex, binary, folder, &settings, None)?;
    let each = scale.of(2_500, 50);
    let idle_rate = idle_rate(&served, each)?;
    let begun = Instant::now();
    let times = in_parallel(CONNECTIONS, |number| {
        let mut client = Client::connect(served.port)?;
        let mut times = Times::with_capacity(each);
        for place in 0..each {
            let timestamp = BASE_S + place as u64;
            let body = format!(
                r#"{{"series_key":"temperature","timestamp":{timestamp},"value":{place}.5,"tags":{{"host":"host-{number}"}}}}"#
            );
            let sent = Instant::now();
            let answer = client.send("POST", "/api/v1/datapoints", "", body.as_bytes())?;
            times.add(sent.elapsed());
            let text = String::from_utf8_lossy(&answer.body);
            ensure!(answer.status == 201, "a point: {} {text}", answer.status);
        }
        Ok(times)
    })?;
    let wall_s = begun.elapsed().as_secs_f64();
    let sent = (CONNECTIONS * each) as u64;
    let data = served.data();
    let folder = served.end()?;
    time_syncs(folder.path(), &mut syncs)?;
    let store = Store::open(&steps::setup(&data))?;
    let (_, samples) = store.scan(&[everything()], i64::MIN..=i64::MAX)?;
    store.close()?;
    report.check(
        samples as u64 == sent,
        format!("{samples} points of {sent} after kill -9"),
    );
    syncs.sort();
    let (rate, sync_us) = (sent as f64 / wall_s, syncs.quantile_us(0.5));
    let of_possible = rate * sync_us / 1e6 / CONNECTIONS as f64;
    report.bar(
        "single points, of 8 a sync",
        of_possible,
        "times",
        Bar::AtLeast(0.7),
    );
    report.figure("single points", rate, "points/s");
    report.figure("requests that do nothing", idle_rate, "requests/s");
    report.figure("single points, of these", rate / idle_rate, "times");
    report.figure("single points, request p50", times.quantile_us(0.5), "us");
    report.figure("single points, request p99", times.quantile_us(0.99), "us");
    report.figure("fdatasync p50", sync_us, "us");
    Ok(())
}

/// What as many connections get of requests that do nothing: a disk may be quicker than HTTP.
fn idle_rate(served: &Served, each: usize) -> Result<f64> {
    let begun = Instant::now();
    in_parallel(CONNECTIONS, |_| {
        let mut client = Client::connect(served.port)?;
        for _ in 0..each {
            let answer = client.send("GET", "/-/healthy", "", &[])?;
            ensure!(answer.status == 200, "/-/healthy: {}", answer.status);
        }
        Ok(Times::default())
    })?;
    Ok((CONNECTIONS * each) as f64 / begun.elapsed().as_secs_f64())
}

/// How long it takes to make a few bytes durable here and now.
fn time_syncs(folder: &Path, times: &mut Times) -> Result<()> {
    let mut file = tempfile::tempfile_in(folder)?;
    for _ in 0..SYNCS {
        file.write_all(&[0; SYNC_BYTES])?;
        let begun = Instant::now();
        file.sync_data()?;
        times.add(begun.elapsed());
    }
    Ok(())
}

/// A thousand points a request on one core, and queries for what they brought.
fn batches(scale: &Scale, binary: &Path, report: &mut Report) -> Result<()> {
    let settings = ["--retention", "0", "--durability", "interval"].map(str::to_owned);
    let served = Served::start_with(Kind::Narthex, binary, scale.folder()?, &settings, Some("0"))?;
    let rounds = scale.of(1_000, 10);
    let before = served.cpu_s()?;
    let times = in_parallel(SENDERS, |number| {
        let mut client = Client::connect(served.port)?;
        let mut times = Times::with_capacity(rounds / SENDERS);
        for round in (number..rounds).step_by(SENDERS) {
            let body = batch(round);
            let sent = Instant::now();
            let answer = client.send("POST", "/api/v1/datapoints/batch", "", body.as_bytes())?;
            times.add(sent.elapsed());
            let text = String::from_utf8_lossy(&answer.body);
            ensure!(answer.status / 100 == 2, "a batch: {} {text}", answer.status);
        }
        Ok(times)
    })?;
    let cpu_s = served.cpu_s()? - before;
    let points = (rounds * HOSTS) as u64;
    report.bar(
        "batches",
        points as f64 / cpu_s,
        "points/CPU-s",
        Bar::AtLeast(300e3),
    );
    report.figure("batches, request p99", times.quantile_us(0.99) / 1e3, "ms");
    queries(scale, &served, rounds, report)?;
    let memory = memory_of(served.pid()).context("the server is gone")?;
    report.bar("memory", memory as f64 / 1e6, "MB", Bar::AtMost(100.0));
    let data = served.data();
    let _folder = served.end()?;
    let store = Store::open(&steps::setup(&data))?;
    let (_, samples) = store.scan(&[everything()], i64::MIN..=i64::MAX)?;
    report.check(
        samples as u64 == points,
        format!("{samples} points of {points} in batches"),
    );
    store.close()
}

/// One point of every host.
fn batch(round: usize) -> String {
    let mut body = String::from("[");
    for host in 0..HOSTS {
        let (timestamp, value) = (BASE_S + 10 * round as u64, (host * 7 + round * 3) % 100);
        let comma = if host > 0 { "," } else { "" };
        // Writing to a text does not fail.
        let _ = write!(
            body,
            r#"{comma}{{"series_key":"cpu_usage","timestamp":{timestamp},"value":{value}.25,"tags":{{"host":"host-{host:04}","region":"eu"}}}}"#
        );
    }
    body.push(']');
    body
}

/// The last hundred points of one host, one after the other.
fn queries(scale: &Scale, served: &Served, rounds: usize, report: &mut Report) -> Result<()> {
    let mut client = Client::connect(served.port)?;
    let mut times = Times::default();
    let end_s = BASE_S + 10 * rounds as u64;
    for place in 0..scale.of(5_000, 50) {
        let (start_s, host) = (end_s - 10 * rounds.min(100) as u64, place * 17 % HOSTS);
        let path = format!(
            "/api/v1/series/cpu_usage/datapoints?start_time={start_s}&end_time={end_s}&host=host-{host:04}"
        );
        let sent = Instant::now();
        let answer = client.send("GET", &path, "", &[])?;
        times.add(sent.elapsed());
        let text = String::from_utf8_lossy(&answer.body);
        ensure!(answer.status == 200, "{path}: {} {text}", answer.status);
        let found = text.matches("\"timestamp\"").count();
        ensure!(found == rounds.min(100), "{found} points in {text}");
    }
    times.sort();
    report.bar(
        "query, p99",
        times.quantile_us(0.99) / 1e3,
        "ms",
        Bar::AtMost(10.0),
    );
    report.figure("query, p50", times.quantile_us(0.5) / 1e3, "ms");
    Ok(())
}

/// What connections took, each on a thread of its own, sorted.
fn in_parallel(connections: usize, work: impl Fn(usize) -> Result<Times> + Sync) -> Result<Times> {
    let mut all = Times::default();
    std::thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> = (0..connections)
            .map(|number| scope.spawn(move || work(number)))
            .collect();
        for thread in running {
            match thread.join() {
                Ok(times) => all.merge(times?),
                Err(_) => bail!("a connection panicked"),
            }
        }
        Ok(())
    })?;
    all.sort();
    Ok(all)
}
