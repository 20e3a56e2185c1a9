//! What queries may take: memory of a rate over a day of 100,000 series and of a count of a million, and whether queries
//! that ask for too much end with an error while senders hardly notice.

use super::http::narthex;
use super::queries::escape;
use super::{Scale, value};
use crate::adapter::{Point, Store};
use crate::measure::{Times, memory_of};
use crate::peer::http::Client;
use crate::peer::remote_write;
use crate::peer::served::{Kind, Served};
use crate::report::{Bar, Report};
use crate::steps;
use anyhow::{Context, Result, ensure};
use narthex::Labels;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const STEP_MS: i64 = 60_000;
const BASE_MS: i64 = 1_760_000_000_000;
const BATCH: usize = 2_000;
const WATCH_EVERY: Duration = Duration::from_millis(5);
const RATE_GROWTH_MB: f64 = 300.0;
/// Requests a second of the sender, 2,000 samples each.
const REQUESTS_PER_SECOND: u32 = 100;

/// Queries that ask for too much, each with what is too much of it.
const BOMBS: &[(&str, &str)] = &[
    (
        "many subqueries",
        "sum_over_time(max_over_time(min_over_time(rate(load_total[1m])[1d:1s])[1d:1s])[1d:1s])",
    ),
    (
        "a long subquery of a number",
        "count_over_time(vector(1)[10y:1ms])",
    ),
    ("every sample of everything", "{__name__=~\".+\"}[10y]"),
    (
        "a join of everything",
        "{__name__=~\".+\"} * on () group_left () {__name__=~\".+\"}",
    ),
    (
        "a huge regular expression",
        "{job=~\"((((a{900}){900}){900}){900})+\"}",
    ),
    (
        "a wide window at many steps",
        "quantile_over_time(0.5, rate(load_total[5m])[30d:1s])",
    ),
];

pub fn run(scale: &Scale, binary: Option<&Path>) -> Result<bool> {
    let binary = narthex(binary)?;
    let mut report = Report::new(
        "query limits: memory of large queries, and queries that ask for too much",
        scale.small,
    );
    let day = scale.of(1_440, 120);
    let mut served = serve(scale, &binary, scale.of(100_000, 1_000), day)?;
    rate_of_a_day(&served, day, &mut report)?;
    bombs(scale, &served, day, &mut report)?;
    served.kill();
    let served = serve(scale, &binary, scale.of(1_000_000, 5_000), 2)?;
    count_of_all(&served, scale.of(1_000_000, 5_000), &mut report)?;
    Ok(report.print())
}

fn labels(series: usize) -> Result<Labels> {
    let (job, instance) = (
        format!("job-{}", series % 20),
        format!("host-{:05}:9100", series / 10),
    );
    let path = format!("/path/{}", series % 10);
    let pairs = [
        ("__name__", "load_total"),
        ("job", &job),
        ("instance", &instance),
        ("path", &path),
    ];
    Ok(Labels::from_pairs(pairs)?)
}

/// A server over so many series, a sample each minute.
fn serve(scale: &Scale, binary: &Path, series: usize, ticks: i64) -> Result<Served> {
    let folder = scale.folder()?;
    let store = Store::open(&steps::setup(&folder.path().join("data")))?;
    let all: Vec<Labels> = (0..series).map(labels).collect::<Result<_>>()?;
    for tick in 0..ticks {
        for (chunk, labels) in all.chunks(BATCH).enumerate() {
            store.commit_all(labels.len(), |writer| {
                for (at, labels) in labels.iter().enumerate() {
                    let series = (chunk * BATCH + at) as u64;
                    writer.push(labels, BASE_MS + tick * STEP_MS, value(series, tick).abs());
                }
            })?;
        }
        while store.step()? {}
    }
    store.flush()?;
    store.close()?;
    let settings = ["--retention", "0", "--durability", "interval"].map(str::to_owned);
    Served::start_with(Kind::Narthex, binary, folder, &settings, None)
}

fn get(port: u16, path: &str) -> Result<(u16, String)> {
    let answer = Client::connect(port)?.send("GET", path, "", &[])?;
    Ok((answer.status, String::from_utf8_lossy(&answer.body).into_owned()))
}

fn range_path(query: &str, day: i64) -> String {
    let (start_s, end_s) = (BASE_MS / 1000, (BASE_MS + day * STEP_MS) / 1000);
    format!(
        "/api/v1/query_range?query={}&start={start_s}&end={end_s}&step=60",
        escape(query)
    )
}

/// What a query is answered, and by how many bytes the memory of the server grows at most meanwhile.
fn watched(served: &Served, path: &str) -> Result<((u16, String), u64)> {
    let pid = served.pid();
    let before = memory_of(pid).context("the server is gone")?;
    let (is_over, most) = (AtomicBool::new(false), AtomicU64::new(before));
    let answer = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                most.fetch_max(memory_of(pid).unwrap_or(0), Ordering::AcqRel);
                std::thread::sleep(WATCH_EVERY);
            }
        });
        let answer = get(served.port, path);
        is_over.store(true, Ordering::Release);
        answer
    });
    Ok((answer?, most.load(Ordering::Acquire) - before))
}

fn rate_of_a_day(served: &Served, day: i64, report: &mut Report) -> Result<()> {
    let path = range_path("sum(rate(load_total[5m]))", day);
    let before_s = served.cpu_s()?;
    let ((status, body), growth) = watched(served, &path)?;
    ensure!(status == 200, "{status}: {body}");
    report.check(
        body.matches("],[").count() as i64 >= day - 10,
        "a rate of a day has a value at each step",
    );
    report.figure("sum of rate, a day", served.cpu_s()? - before_s, "CPU-s");
    report.bar(
        "sum of rate, a day, growth of RssAnon",
        growth as f64 / 1e6,
        "MB",
        Bar::AtMost(RATE_GROWTH_MB),
    );
    Ok(())
}

fn count_of_all(served: &Served, series: usize, report: &mut Report) -> Result<()> {
    let path = format!(
        "/api/v1/query?query={}&time={}",
        escape("count({__name__=~\".+\"})"),
        BASE_MS / 1000 + 60
    );
    let before_s = served.cpu_s()?;
    let ((status, body), growth) = watched(served, &path)?;
    ensure!(status == 200, "{status}: {body}");
    report.check(
        body.contains(&format!("\"{series}\"")),
        format!("the count is {series}: {body}"),
    );
    report.figure("count of all series", served.cpu_s()? - before_s, "CPU-s");
    report.figure(
        "count of all series, growth of RssAnon",
        growth as f64 / 1e6,
        "MB",
    );
    Ok(())
}

/// Sends at a steady pace until it is told to stop; the times of requests.
fn send(port: u16, is_over: &AtomicBool) -> Result<Times> {
    let all: Vec<Labels> = (0..BATCH)
        .map(|series| {
            let instance = format!("sender-{series}");
            Ok(Labels::from_pairs([
                ("__name__", "sent_total"),
                ("instance", &instance),
            ])?)
        })
        .collect::<Result<_>>()?;
    let mut client = Client::connect(port)?;
    let (mut request, mut times) = (remote_write::Request::default(), Times::default());
    let start = Instant::now();
    // Behind what was sent in an earlier round.
    let first_ms = BASE_MS
        + 100_000_000
        + std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_millis() as i64 % 1_000_000_000;
    let mut sent = 0;
    while !is_over.load(Ordering::Acquire) {
        let due = start + Duration::from_secs(1) * sent / REQUESTS_PER_SECOND;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        for labels in &all {
            request.push(labels, first_ms + i64::from(sent), Point::Float(f64::from(sent)));
        }
        let body = snap::raw::Encoder::new().compress_vec(&request.take_message())?;
        // From when it was due: a request that waits for the one before it counts as late.
        let answer = client.send("POST", "/api/v1/write", remote_write::HEADERS, &body)?;
        ensure!(answer.status / 100 == 2, "remote write: {}", answer.status);
        times.add(due.elapsed());
        sent += 1;
    }
    times.sort();
    Ok(times)
}

/// The longest time of all but one request in a hundred, while `work` runs.
fn p99_us(port: u16, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| send(port, &is_over));
        let worked = work();
        is_over.store(true, Ordering::Release);
        let times = sender
            .join()
            .map_err(|_| anyhow::anyhow!("the sender panicked"))??;
        worked?;
        Ok(times.quantile_us(0.99))
    })
}

fn bombs(scale: &Scale, served: &Served, day: i64, report: &mut Report) -> Result<()> {
    let alone_s = scale.of(20, 1);
    let alone = p99_us(served.port, || {
        std::thread::sleep(Duration::from_secs(alone_s));
        Ok(())
    })?;
    let mut answers = Vec::new();
    let beside = p99_us(served.port, || {
        let start = Instant::now();
        loop {
            for (name, query) in BOMBS {
                let (start, path) = (Instant::now(), range_path(query, day) + "&timeout=10s");
                let path = match query.ends_with(']') {
                    true => format!(
                        "/api/v1/query?query={}&time={}",
                        escape(query),
                        BASE_MS / 1000 + day * 60
                    ),
                    false => path,
                };
                let (answer, growth) = watched(served, &path)?;
                answers.push((*name, answer, start.elapsed(), growth));
            }
            if start.elapsed() >= Duration::from_secs(alone_s) {
                return Ok(());
            }
        }
    })?;
    for (name, (status, body), took, growth) in answers.into_iter().take(BOMBS.len()) {
        report.check(
            scale.small || (400..600).contains(&status) && body.contains("\"error\":"),
            format!("{name}: {status} {}", body.get(..200).unwrap_or(&body)),
        );
        report.figure(
            format!("{name}: answered {status} after"),
            took.as_secs_f64(),
            "s",
        );
        report.figure(format!("{name}: growth of RssAnon"), growth as f64 / 1e6, "MB");
    }
    report.figure("request p99, alone", alone / 1e3, "ms");
    report.figure("request p99, beside them", beside / 1e3, "ms");
    report.bar(
        "request p99, of that alone",
        beside / alone,
        "times",
        Bar::AtMost(2.0),
    );
    Ok(())
}
