//! Queries over HTTP beside the peers: CPU time of the server for each, on the fleets of the ingest bar.
//!
//! All servers hold the same samples and run on one core; the client is on the other. Each query is asked again and again, so
//! that the clock of the kernel can tell what it took, in rounds that go from server to server. A machine that others use too is
//! faster now and slower then, so that servers are compared round by round; the median of the rounds counts.
//! The bar: no query costs more than with the better peer, and in geometric mean at most 0.7 of it.

use super::Scale;
use super::http::{Binaries, fill, narthex};
use crate::fleet::{BASE_MS, STEP_MS};
use crate::peer::http::Client;
use crate::peer::served::{Kind, Served};
use crate::report::{Bar, Report};
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use std::path::Path;
use std::time::{Duration, Instant};

const ROUNDS: usize = 9;
/// What a query has to take in a round, in CPU time of the server, or by the clock.
const ROUND_CPU_S: f64 = 0.2;
const ROUND_WALL: Duration = Duration::from_secs(2);

/// The fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Size {
    A,
    B,
}

impl Size {
    fn series(self) -> usize {
        match self {
            Self::A => 10_000,
            Self::B => 100_000,
        }
    }

    fn ticks(self) -> i64 {
        match self {
            Self::A => 480,
            Self::B => 120,
        }
    }

    /// What the range of a query spans.
    fn window_s(self) -> i64 {
        match self {
            Self::A => 3_600,
            Self::B => 1_800,
        }
    }
}

/// A request with its name.
struct Query {
    name: &'static str,
    path: String,
}

pub fn run(scale: &Scale, sizes: &[Size], only: &[String], binaries: &Binaries) -> Result<bool> {
    let sizes = if sizes.is_empty() {
        Size::value_variants()
    } else {
        sizes
    };
    let own = narthex(binaries.narthex.as_deref())?;
    let mut good = true;
    for size in sizes {
        let title = format!("queries, fleet {size:?}: CPU of the server for one");
        let mut report = Report::new(title, scale.small);
        compare(scale, *size, only, &own, binaries, &mut report)?;
        good &= report.print();
    }
    Ok(good)
}

fn compare(
    scale: &Scale,
    size: Size,
    only: &[String],
    own: &Path,
    binaries: &Binaries,
    report: &mut Report,
) -> Result<()> {
    let series = scale.of(size.series(), 1_200);
    let ticks = scale.of(size.ticks(), 40);
    let given = [
        (Kind::Narthex, Some(own)),
        (Kind::Prometheus, binaries.prometheus.as_deref()),
        (Kind::VictoriaMetrics, binaries.victoria.as_deref()),
    ];
    let mut servers = Vec::new();
    for (kind, binary) in given
        .into_iter()
        .filter_map(|(kind, binary)| Some((kind, binary?)))
    {
        let served = start(scale, kind, binary)?;
        fill(served.port, series, ticks, true)?;
        if !scale.small {
            served.settle()?;
        }
        servers.push(served);
    }
    let mut worst: f64 = 0.0;
    let mut ratios = Vec::new();
    let queries = queries(size, ticks);
    for query in queries
        .iter()
        .filter(|query| only.is_empty() || only.iter().any(|only| query.name.contains(only.as_str())))
    {
        let rounds = rounds_us(scale, &servers, query, report)?;
        let ours: Vec<f64> = rounds.first().cloned().unwrap_or_default();
        let mut ratios_of_peers = Vec::new();
        for (served, costs) in servers.iter().zip(rounds) {
            if served.kind != Kind::Narthex {
                let pairs = ours.iter().zip(&costs);
                ratios_of_peers.push(median(pairs.map(|(ours, theirs)| ours / theirs).collect())?);
            }
            report.figure(format!("{}, {:?}", query.name, served.kind), median(costs)?, "us");
        }
        if let Some(ratio) = ratios_of_peers.into_iter().reduce(f64::max) {
            report.bar(
                format!("{}, of the better peer", query.name),
                ratio,
                "times",
                Bar::AtMost(1.0),
            );
            worst = worst.max(ratio);
            ratios.push(ratio.ln());
        }
    }
    if !ratios.is_empty() {
        let mean = (ratios.iter().sum::<f64>() / ratios.len() as f64).exp();
        report.bar("geometric mean", mean, "times", Bar::AtMost(0.7));
        report.figure("worst", worst, "times");
    }
    Ok(())
}

fn start(scale: &Scale, kind: Kind, binary: &Path) -> Result<Served> {
    let settings: &[&str] = match kind {
        Kind::Narthex => &["--retention", "0", "--durability", "interval"],
        Kind::Prometheus => &[],
        Kind::VictoriaMetrics => &["-search.disableCache"],
    };
    let settings: Vec<String> = settings.iter().map(|word| (*word).to_owned()).collect();
    Served::start_with(kind, binary, scale.folder()?, &settings, Some("0"))
}

/// Microseconds of CPU that a query takes on each server, in each round.
fn rounds_us(scale: &Scale, servers: &[Served], query: &Query, report: &mut Report) -> Result<Vec<Vec<f64>>> {
    let mut rounds = vec![Vec::new(); servers.len()];
    let mut series = Vec::new();
    for served in servers {
        let answer = Client::connect(served.port)?.send("GET", &query.path, "", &[])?;
        let text = String::from_utf8_lossy(&answer.body);
        ensure!(
            answer.status == 200,
            "{}, {:?}: {} {text}",
            query.name,
            served.kind,
            answer.status
        );
        series.push(text.matches("\"metric\":").count());
    }
    // VictoriaMetrics has a rate of its own, so that others may be its largest.
    let of = |kind| servers.iter().zip(&series).find(|one| one.0.kind == kind);
    if let (Some((_, ours)), Some((_, theirs))) = (of(Kind::Narthex), of(Kind::Prometheus)) {
        report.check(
            ours == theirs,
            format!("{}: {ours} series, of Prometheus {theirs}", query.name),
        );
    }
    for _ in 0..scale.of(ROUNDS, 1) {
        for (served, costs) in servers.iter().zip(&mut rounds) {
            costs.push(cost_us(scale, served, query)?);
        }
    }
    Ok(rounds)
}

fn median(mut values: Vec<f64>) -> Result<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().context("BUG: no round")
}

fn cost_us(scale: &Scale, served: &Served, query: &Query) -> Result<f64> {
    let mut client = Client::connect(served.port)?;
    let ask = |client: &mut Client| client.send("GET", &query.path, "", &[]).map(|_| ());
    for _ in 0..3 {
        ask(&mut client)?;
    }
    let (start, before) = (Instant::now(), served.cpu_s()?);
    let mut asked = 0;
    loop {
        for _ in 0..10 {
            ask(&mut client)?;
        }
        asked += 10;
        let cpu_s = served.cpu_s()? - before;
        if scale.small || cpu_s >= ROUND_CPU_S || start.elapsed() >= ROUND_WALL {
            return Ok(cpu_s * 1e6 / f64::from(asked));
        }
    }
}

/// A text as it stands in the query of a URL.
pub(super) fn escape(text: &str) -> String {
    let escaped = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escaped).collect()
}

/// A host, and eight of them.
const HOST: &str = "node-000001.us-east-1.example.net:9100";
const HOSTS: &str = "node-00000[1-8]\\\\..*";
const FIVE: &str = "node_load1|node_load5|node_load15|node_procs_running|node_filefd_maximum";

/// The queries of a fleet.
fn queries(size: Size, ticks: i64) -> Vec<Query> {
    let end_s = BASE_MS / 1000 + ticks * STEP_MS / 1000;
    let start_s = end_s - size.window_s();
    let range = |(name, query): (&'static str, String)| Query {
        name,
        path: format!(
            "/api/v1/query_range?query={}&start={start_s}&end={end_s}&step=60",
            escape(&query)
        ),
    };
    let instant = |(name, query): (&'static str, String)| Query {
        name,
        path: format!("/api/v1/query?query={}&time={end_s}", escape(&query)),
    };
    let listing = |(name, path, matcher): (&'static str, &str, String)| Query {
        name,
        path: match matcher.as_str() {
            "" => format!("{path}?start={start_s}&end={end_s}"),
            _ => format!("{path}?match[]={}&start={start_s}&end={end_s}", escape(&matcher)),
        },
    };
    let raw = format!("node_load1{{instance=\"{HOST}\"}}[{}s]", size.window_s());
    let mut all = vec![instant(("raw, one host", raw))];
    all.extend(of_few_hosts().map(range));
    all.extend(OF_ALL_HOSTS.map(|(name, query)| range((name, query.to_owned()))));
    all.extend(
        [
            ("last point of everything", "node_load1"),
            ("count of everything", "count({__name__=~\".+\"})"),
        ]
        .map(|(name, query)| instant((name, query.to_owned()))),
    );
    let (values, series) = ("/api/v1/label/instance/values", "/api/v1/series");
    all.extend(
        [
            ("label values", values, String::new()),
            ("label values with matcher", values, "node_load1".to_owned()),
            ("series of one host", series, format!("{{instance=\"{HOST}\"}}")),
            ("series of one metric", series, "node_load1".to_owned()),
        ]
        .map(listing),
    );
    all
}

fn of_few_hosts() -> [(&'static str, String); 3] {
    [
        (
            "one metric, one host, max by minute",
            format!("max_over_time(node_load1{{instance=\"{HOST}\"}}[1m])"),
        ),
        (
            "five metrics, eight hosts",
            format!("max by (__name__, instance) ({{__name__=~\"{FIVE}\", instance=~\"{HOSTS}\"}})"),
        ),
        (
            "max of all cpu metrics, eight hosts",
            format!("max by (instance) (max_over_time(node_cpu_seconds_total{{instance=~\"{HOSTS}\"}}[5m]))"),
        ),
    ]
}

const OF_ALL_HOSTS: [(&str, &str); 8] = [
    (
        "one metric, all hosts, by host",
        "avg by (instance) (avg_over_time(node_load1[5m]))",
    ),
    (
        "all cpu metrics, all hosts, by host",
        "avg by (instance) (avg_over_time(node_cpu_seconds_total[5m]))",
    ),
    (
        "high cpu filter, all hosts",
        "max_over_time(node_cpu_seconds_total{cpu=\"0\", mode=\"idle\"}[1m]) > 14000",
    ),
    (
        "sum of rate by region",
        "sum by (region) (rate(node_network_receive_bytes_total{device=\"eth0\"}[5m]))",
    ),
    (
        "topk 10",
        "topk(10, rate(node_network_receive_bytes_total{device!=\"lo\"}[5m]))",
    ),
    (
        "histogram_quantile of rate by le",
        "histogram_quantile(0.99, sum by (le) (rate(request_duration_seconds_bucket[5m])))",
    ),
    (
        "regex-heavy selector",
        "sum by (mode) (node_cpu_seconds_total{instance=~\".*-000..[05][.].*\", mode=~\"user|system|io.*\"})",
    ),
    (
        "arithmetic join",
        "1 - node_filesystem_avail_bytes / node_filesystem_size_bytes",
    ),
];
