//! Prometheus writes: node_exporter, itself and a target with histograms and exemplars, while narthex is killed and starved
//! of disk. In the end both hold the same.

use super::compare::{self, FLOOD};
use super::http::{self, wait_until};
use super::processes::{Narthex, NodeExporter, Prometheus};
use super::target::Target;
use super::wire;
use prost::Message as _;
use std::time::{Duration, Instant};

/// How long a run scrapes, at least. Short of two minutes, so that a series has one chunk.
const SCRAPING: Duration = Duration::from_secs(45);
/// Between two kills.
const KILL_EVERY: Duration = Duration::from_secs(9);
const DRAINING: Duration = Duration::from_secs(120);
const FEATURES: &str = "--enable-feature=exemplar-storage,native-histograms,metadata-wal-records";
const SAMPLES_PER_FLOOD: i64 = 2_000;

/// What runs in a test, and what was compared.
pub(super) struct Stage {
    pub(super) prometheus: Prometheus,
    pub(super) narthex: Narthex,
    pub(super) folder: tempfile::TempDir,
    pub(super) dump: compare::Dump,
}

fn write_to(narthex: &Narthex, message: &str) -> String {
    format!(
        "remote_write:\n- url: http://127.0.0.1:{}/api/v1/write\n  protobuf_message: {message}\n  send_exemplars: true\n  \
         send_native_histograms: true\n  metadata_config: {{send: true, send_interval: 1s}}\n  \
         queue_config: {{batch_send_deadline: 1s, max_backoff: 1s}}\n",
        narthex.port
    )
}

fn scrape(node: &NodeExporter, target: &Target) -> String {
    let job = |name: &str, port: &str| {
        format!("- job_name: {name}\n  static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n")
    };
    format!(
        "global: {{scrape_interval: 1s, external_labels: {{}}}}\nscrape_configs:\n{}{}{}",
        job("prometheus", "PORT"),
        job("node", &node.port.to_string()),
        job("app", &target.port.to_string()),
    )
}

/// Runs a Prometheus that writes with `message`, with kills and a full disk if it is to be hard, and compares in the end.
pub(super) fn run(message: &str, is_hard: bool) -> Stage {
    let folder = tempfile::tempdir().expect("a folder");
    let mut narthex = Narthex::start(folder.path(), &["--retention", "0"]);
    let (node, target) = (NodeExporter::start(folder.path()), Target::start());
    let write = write_to(&narthex, message);
    let config = format!("{}{write}", scrape(&node, &target));
    let prometheus = Prometheus::start(folder.path(), "writer", &config, &[FEATURES]);
    let begun = Instant::now();
    if is_hard {
        for _ in 0..3 {
            std::thread::sleep(KILL_EVERY);
            narthex.kill_and_restart();
        }
        starve(&narthex);
    }
    std::thread::sleep(SCRAPING.saturating_sub(begun.elapsed()));
    let metadata = compare::prometheus_metadata(prometheus.port);
    prometheus.reload(&format!(
        "global: {{scrape_interval: 1s, external_labels: {{}}}}\n{write}"
    ));
    drain(&prometheus);
    let dump = compare::prometheus(prometheus.port);
    assert!(dump.len() > 500, "{} series only", dump.len());
    assert!(dump.keys().any(|labels| labels.contains("app_latency_seconds")));
    compare::assert_same(&dump, &compare::narthex(&narthex.data()));
    let exemplars = compare::prometheus_exemplars(prometheus.port);
    assert!(exemplars.len() > 100, "{} exemplars only", exemplars.len());
    assert_eq!(compare::narthex_exemplars(&narthex.data()), exemplars);
    check_metadata(&metadata, &narthex);
    Stage {
        prometheus,
        narthex,
        folder,
        dump,
    }
}

fn check_metadata(expected: &compare::Metadata, narthex: &Narthex) {
    let found = compare::narthex_metadata(&narthex.data());
    assert!(expected.len() > 200, "{} metrics only", expected.len());
    for (metric, metadata) in expected {
        assert_eq!(found.get(metric), Some(metadata), "{metric}");
    }
}

/// Waits until Prometheus has sent what it scraped.
fn drain(prometheus: &Prometheus) {
    wait_until("Prometheus has sent everything", DRAINING, || {
        let metric = |name: &str| prometheus.metric(&format!("prometheus_remote_storage_{name}"));
        let sent = metric("queue_highest_sent_timestamp_seconds");
        sent.is_some()
            && sent == metric("highest_timestamp_in_seconds")
            && metric("samples_pending") == Some(0.0)
    });
    let failed = prometheus.metric("prometheus_remote_storage_samples_failed_total");
    assert_eq!(failed, Some(0.0), "nothing was refused for good");
}

/// Lets narthex' files grow no further, fills them, and gives the space back once senders were told to wait.
fn starve(narthex: &Narthex) {
    let log_bytes = || {
        let entries = std::fs::read_dir(narthex.data()).expect("a folder");
        let sizes = entries.filter_map(|entry| entry.ok()?.metadata().ok().map(|metadata| metadata.len()));
        sizes.max().unwrap_or(0)
    };
    narthex.limit_files(Some(log_bytes()));
    let mut sent = 0;
    let refused = loop {
        let answer = flood(narthex.port, sent);
        if answer.status != 204 {
            break answer;
        }
        sent += 1;
        assert!(sent < 5_000, "the disk does not get full");
    };
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.header("retry-after").is_some());
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(
        http::get(narthex.port, "/-/healthy").expect("an answer").status,
        200
    );
    narthex.limit_files(None);
    wait_until("writes go on", Duration::from_secs(20), || {
        flood(narthex.port, sent).status == 204
    });
}

/// Samples that compress badly, of one series.
fn flood(port: u16, number: i64) -> http::Answer {
    let label = wire::Label {
        name: "__name__".into(),
        value: FLOOD.into(),
    };
    let samples = (0..SAMPLES_PER_FLOOD).map(|place| {
        let at = number * SAMPLES_PER_FLOOD + place;
        let bits = (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        wire::Sample {
            value: (bits >> 11) as f64 / 3.0,
            timestamp: 1_000_000_000_000 + at * 997,
        }
    });
    let request = wire::WriteRequest {
        timeseries: vec![wire::TimeSeries {
            labels: vec![label],
            samples: samples.collect(),
            ..Default::default()
        }],
        metadata: Vec::new(),
    };
    let body = snap::raw::Encoder::new()
        .compress_vec(&request.encode_to_vec())
        .expect("a block");
    let headers = "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n";
    http::send(port, "POST", "/api/v1/write", headers, &body).expect("an answer")
}

#[test]
fn prometheus_writes_1_0_through_kills_and_a_full_disk() {
    run("prometheus.WriteRequest", true);
}

#[test]
fn prometheus_writes_2_0_through_kills_and_a_full_disk() {
    run("io.prometheus.write.v2.Request", true);
}
