//! Blocks beside the real Prometheus and its promtool: what is exported is accepted and answered by both the same; what a
//! Prometheus that was killed has on its disk is taken in, and answered here as there when it is started again.

#![expect(
    clippy::disallowed_methods,
    reason = "what real programs read is outside of the database"
)]

use super::answer::Answer;
use super::data::{BASE_MS, Data, INTERVAL_MS, SCRAPES};
use super::{CONFIG, SEED, Sides, database, grammar, http, known, setting, times};
use crate::peers::processes::{Prometheus, peer};
use crate::peers::wire;
use crate::random::Random;
use narthex::{
    BlockExportOptions, BlockImportOptions, Counts, Db, Histogram, Labels, Options, ResetHint, Sample, Span,
    Value, labels,
};
use prost::Message as _;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Random expressions, each asked at two moments and over two ranges.
const EXPRESSIONS: u64 = 60;
const FLAGS: [&str; 3] = [
    "--web.enable-remote-write-receiver",
    "--enable-feature=native-histograms,promql-experimental-functions",
    "--storage.tsdb.retention.time=100y",
];
const OLD_SAMPLES: i64 = 500;

fn promtool(arguments: &[&str]) -> String {
    let output = Command::new(peer("promtool")).args(arguments).output();
    let output = output.expect("promtool starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("text")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// Asks both sides expressions of dashboards and of the grammar.
#[expect(clippy::print_stderr, reason = "says what was asked")]
fn assert_same_answers(sides: &Sides) {
    let seed = setting("NARTHEX_SEED", SEED);
    let mut random = Random::new(seed);
    let mut failures = Vec::new();
    let mut asked = 0;
    for _ in 0..setting("NARTHEX_DIFFERENTIAL", EXPRESSIONS) {
        let expression = grammar::vector(&mut random, 4).text();
        for when in times(&mut random) {
            asked += 1;
            let theirs = sides.theirs(&expression, when);
            let ours = sides.ours(super::Ours::Folder, &expression, when);
            let exactness = known::exactness(&expression);
            let difference = ours.difference(&theirs, exactness);
            let difference = difference.filter(|what| known::reason(&expression, what).is_none());
            failures.extend(difference.map(|what| format!("{expression}\n  at {when:?}: {what}")));
        }
    }
    eprintln!("{asked} queries, seed {seed}");
    assert!(
        failures.is_empty(),
        "{} of {asked} differ:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

fn all(db: &Db) -> Vec<(Labels, Vec<Sample>)> {
    crate::world::answer(db, &[], ..)
}

/// The same bits, but for empty buckets, which chunks may add to histograms.
fn assert_same_samples(found: &[(Labels, Vec<Sample>)], wanted: &[(Labels, Vec<Sample>)]) {
    assert_eq!(found.len(), wanted.len(), "number of series");
    for ((labels, found), (wanted_labels, wanted)) in found.iter().zip(wanted) {
        assert_eq!(labels, wanted_labels);
        assert_eq!(found.len(), wanted.len(), "samples of {labels}");
        for (one, other) in found.iter().zip(wanted) {
            let is_same = match (&one.value, &other.value) {
                (Value::Histogram(one), Value::Histogram(other)) => one.is_same(other),
                (one, other) => one == other,
            };
            assert!(
                is_same && one.timestamp == other.timestamp,
                "{labels}: {one:?}, not {other:?}"
            );
        }
    }
}

#[test]
fn what_is_exported_is_read_by_promtool_and_prometheus() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = Data::make();
    let db = database::filled(&folder.path().join("narthex"), &data);
    let out = folder.path().join("oracle");
    // Of ten minutes, so that there are some.
    let options = BlockExportOptions::default().span(Duration::from_secs(600));
    let report = db.export_blocks(&out, &[], .., &options, &mut |_| {});
    let report = report.expect("an export");
    let written = all(&db);
    let samples: usize = written.iter().map(|series| series.1.len()).sum();
    assert_eq!(report.samples, samples as u64);
    assert!(report.blocks.len() > 3, "{report:?}");
    let analyzed = promtool(&["tsdb", "analyze", text(&out)]);
    assert!(analyzed.contains("Total Series: "), "{analyzed}");
    let listed = promtool(&["tsdb", "list", text(&out)]);
    assert_eq!(listed.lines().count(), report.blocks.len() + 1, "{listed}");
    // promtool dumps data folders, which have a log; of series with histograms it leaves some out.
    std::fs::create_dir(out.join("wal")).expect("a folder");
    let has_floats_only = |samples: &[Sample]| samples.iter().all(|sample| sample.value.as_float().is_some());
    let is_float = |series: &&(Labels, Vec<Sample>)| {
        let named = written
            .iter()
            .filter(|other| other.0.metric_name() == series.0.metric_name());
        named.into_iter().all(|other| has_floats_only(&other.1))
    };
    let floats: Vec<&(Labels, Vec<Sample>)> = written.iter().filter(is_float).collect();
    let names: Vec<&str> = floats.iter().map(|series| series.0.metric_name()).collect();
    let matcher = format!("--match={{__name__=~\"{}\"}}", names.join("|"));
    let dumped = promtool(&["tsdb", "dump", &matcher, text(&out)]);
    let float_samples: usize = floats.iter().map(|series| series.1.len()).sum();
    assert!(float_samples > 20_000, "{float_samples}");
    assert_eq!(
        dumped.lines().count(),
        float_samples,
        "samples that promtool reads"
    );
    let sides = Sides {
        prometheus: Prometheus::start(folder.path(), "oracle", CONFIG, &FLAGS),
        data,
        db,
        _folder: folder,
    };
    assert_same_answers(&sides);
}

/// Blocks of an hour before the data, with series that nothing else writes.
fn old_blocks(folder: &Path, out: &Path) {
    let mut text_format = String::from("# TYPE old gauge\n");
    for number in 0..3 {
        for tick in 0..OLD_SAMPLES {
            let seconds = BASE_MS / 1000 - 20_000 + tick * 15;
            writeln!(
                text_format,
                "old{{number=\"{number}\"}} {}.5 {seconds}",
                tick * number
            )
            .expect("a line");
        }
    }
    text_format.push_str("# EOF\n");
    let file = folder.join("old.om");
    std::fs::write(&file, text_format).expect("a file");
    promtool(&[
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        text(&file),
        text(out),
    ]);
}

fn send(prometheus: &Prometheus, body: &[u8]) {
    let headers = "Content-Encoding: snappy\r\nContent-Type: application/x-protobuf\r\n";
    let answer = http::send(prometheus.port, "POST", "/api/v1/write", headers, body).expect("an answer");
    assert!(answer.status < 300, "{}: {}", answer.status, answer.text());
}

fn imported(source: &Path, folder: &Path) -> (Db, narthex::BlockImport) {
    let db = Db::open(Options::new(folder).background(false)).expect("a database");
    let report = db.import_blocks(&[source], &BlockImportOptions::default(), &mut |_| {});
    let report = report.expect("an import");
    assert!(report.is_whole(), "{report:?}");
    (db, report)
}

#[test]
fn what_a_killed_prometheus_has_is_taken_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let source: PathBuf = folder.path().join("origin");
    old_blocks(folder.path(), &source);
    let data = Data::make();
    let prometheus = Prometheus::start(folder.path(), "origin", CONFIG, &FLAGS);
    data.write_requests()
        .iter()
        .for_each(|body| send(&prometheus, body));
    // Dropping it is a kill.
    drop(prometheus);
    let (db, report) = imported(&source, &folder.path().join("narthex"));
    assert!(
        report.blocks > 0 && report.verified == 3 * OLD_SAMPLES as u64,
        "{report:?}"
    );
    let written = all(&database::filled(&folder.path().join("wanted"), &data));
    let mut found = all(&db);
    let old: Vec<usize> = (0..found.len())
        .filter(|place| found[*place].0.metric_name() == "old")
        .collect();
    assert_eq!(old.len(), 3);
    found.retain(|series| series.0.metric_name() != "old");
    assert_same_samples(&found, &written);
    let sides = Sides {
        prometheus: Prometheus::start(folder.path(), "origin", CONFIG, &FLAGS),
        data,
        db,
        _folder: folder,
    };
    let when = super::When::Range(BASE_MS - 20_000_000, BASE_MS + SCRAPES * INTERVAL_MS, 60_000);
    let both = sides.ours(super::Ours::Folder, "old", when);
    assert!(matches!(&both, Answer::Series(series) if series.len() == 3));
    assert_eq!(
        both.difference(&sides.theirs("old", when), known::exactness("old")),
        None
    );
    assert_same_answers(&sides);
}

/// The metrics of what is compared, whole: every sample of every series.
const METRICS: [&str; 8] = [
    "requests_total",
    "up",
    "rpc_seconds",
    "sizes_bytes",
    "temperature",
    "queue_depth",
    "mixed",
    "latency_seconds_bucket",
];

fn assert_same_series(sides: &Sides) {
    let when = super::When::Instant(BASE_MS + SCRAPES * INTERVAL_MS + 10_000);
    for metric in METRICS {
        let expression = format!("{metric}[1h]");
        let ours = sides.ours(super::Ours::Folder, &expression, when);
        let difference = ours.difference(&sides.theirs(&expression, when), known::exactness(&expression));
        assert_eq!(difference, None, "{expression}");
    }
}

/// A Prometheus that has made blocks of its head and cut its log, with deletions in both.
#[test]
fn what_was_compacted_and_deleted_is_taken_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = [
        "--storage.tsdb.min-block-duration=5m",
        "--storage.tsdb.max-block-duration=10m",
        "--storage.tsdb.wal-compression-type=zstd",
        "--web.enable-admin-api",
    ];
    let flags = [&FLAGS[..], &own[..]].concat();
    let data = Data::make();
    let prometheus = Prometheus::start(folder.path(), "origin", CONFIG, &flags);
    for body in data.slices(8) {
        send(&prometheus, &body);
        // It cuts its log when it has made a block, each time by a file, and makes a checkpoint of some files.
        std::thread::sleep(Duration::from_secs(1));
    }
    let made = |prometheus: &Prometheus| prometheus.metric("prometheus_tsdb_checkpoint_creations_total");
    http::wait_until("the log is cut", Duration::from_secs(120), || {
        made(&prometheus).is_some_and(|count| count > 0.0)
    });
    let deleted = [
        "temperature{room=\"attic\"}&start=0".to_owned(),
        format!(
            "up{{job=\"api\"}}&start={}&end={}",
            BASE_MS / 1000 + 100,
            BASE_MS / 1000 + 1_200
        ),
        format!("rpc_seconds&start={}", BASE_MS / 1000 + 2_000),
    ];
    for deleted in deleted {
        let (selector, range) = deleted.split_once('&').expect("a range");
        let path = format!(
            "/api/v1/admin/tsdb/delete_series?match[]={}&{range}",
            http::escape(selector)
        );
        let answer = http::send(prometheus.port, "POST", &path, "", &[]).expect("an answer");
        assert_eq!(answer.status, 204, "{}", answer.text());
    }
    let source = folder.path().join("origin");
    let refused = Db::open(Options::in_memory()).expect("a database").import_blocks(
        &[&source],
        &BlockImportOptions::default(),
        &mut |_| {},
    );
    let refused = refused.expect_err("it runs").to_string();
    assert!(refused.contains("stop it"), "{refused}");
    drop(prometheus);
    let (db, report) = imported(&source, &folder.path().join("narthex"));
    assert!(
        report.blocks > 2 && report.deleted > 300 && report.log_samples > 0,
        "{report:?}"
    );
    let sides = Sides {
        prometheus: Prometheus::start(folder.path(), "origin", CONFIG, &flags),
        data,
        db,
        _folder: folder,
    };
    assert_same_series(&sides);
    assert_same_answers(&sides);
}

/// Samples out of order stand in a log of their own and, when the head is compacted, in blocks of their own.
#[test]
fn what_came_out_of_order_is_taken_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = format!("{CONFIG}storage: {{tsdb: {{out_of_order_time_window: 24h}}}}\n");
    let data = Data::make();
    let prometheus = Prometheus::start(folder.path(), "origin", &config, &FLAGS);
    let mut bodies = data.slices(2);
    bodies.reverse();
    bodies.iter().for_each(|body| send(&prometheus, body));
    drop(prometheus);
    let (db, report) = imported(&folder.path().join("origin"), &folder.path().join("narthex"));
    assert!(folder.path().join("origin/wbl").is_dir());
    let written = all(&database::filled(&folder.path().join("wanted"), &data));
    assert_same_samples(&all(&db), &written);
    assert!(report.dropped > 0, "late samples stand in both logs: {report:?}");
}

/// Late samples become blocks in the time of others, which are merged with these, while the log goes on.
#[test]
fn blocks_of_late_samples_are_taken_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = folder.path().join("origin");
    let config = format!("{CONFIG}storage: {{tsdb: {{out_of_order_time_window: 24h}}}}\n");
    let own = [
        "--storage.tsdb.min-block-duration=5m",
        "--storage.tsdb.max-block-duration=10m",
    ];
    let flags = [&FLAGS[..], &own[..]].concat();
    let data = Data::make();
    let prometheus = Prometheus::start(folder.path(), "origin", &config, &flags);
    for slices in [[0, 2], [1, 4], [3, 6], [5, 7]] {
        for slice in slices {
            data.slice(slice, 8)
                .iter()
                .for_each(|body| send(&prometheus, body));
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    http::wait_until("blocks are merged", Duration::from_secs(60), || {
        let merged = prometheus.metric("prometheus_tsdb_vertical_compactions_total");
        merged.is_some_and(|count| count > 0.0)
    });
    drop(prometheus);
    let (db, report) = imported(&source, &folder.path().join("narthex"));
    assert!(report.blocks > 2 && report.log_samples > 0, "{report:?}");
    let written = all(&database::filled(&folder.path().join("wanted"), &data));
    assert_same_samples(&all(&db), &written);
    let sides = Sides {
        prometheus: Prometheus::start(folder.path(), "origin", &config, &flags),
        data,
        db,
        _folder: folder,
    };
    assert_same_series(&sides);
}

/// A histogram of integers that grows, falls back now and then, and has one more bucket from some time on.
fn integers(tick: i64) -> Histogram {
    let step = tick % 40;
    let positive = if tick < 30 {
        vec![1 + step, 2]
    } else {
        vec![1 + step, 2, -3]
    };
    let counts: Vec<i64> = positive
        .iter()
        .scan(0, |sum, delta| {
            *sum += delta;
            Some(*sum)
        })
        .collect();
    let length = positive.len() as u32;
    Histogram {
        reset_hint: ResetHint::Unknown,
        schema: 2,
        zero_threshold: 0.001,
        sum: step as f64 * 1.25,
        positive_spans: vec![Span { offset: -2, length }],
        negative_spans: vec![Span { offset: 3, length: 1 }],
        custom_values: Vec::new(),
        counts: Counts::Int {
            count: (counts.iter().sum::<i64>() + 5 + 2) as u64,
            zero_count: 2,
            positive,
            negative: vec![5],
        },
    }
}

fn in_wire(histogram: &Histogram, timestamp: i64) -> wire::Histogram {
    let spans = |spans: &[Span]| {
        let spans = spans.iter();
        spans
            .map(|span| wire::BucketSpan {
                offset: span.offset,
                length: span.length,
            })
            .collect()
    };
    let Counts::Int {
        count,
        zero_count,
        positive,
        negative,
    } = &histogram.counts
    else {
        panic!("floats");
    };
    wire::Histogram {
        sum: histogram.sum,
        schema: histogram.schema,
        zero_threshold: histogram.zero_threshold,
        positive_spans: spans(&histogram.positive_spans),
        negative_spans: spans(&histogram.negative_spans),
        positive_deltas: positive.clone(),
        negative_deltas: negative.clone(),
        count: Some(wire::histogram::Count::CountInt(*count)),
        zero_count: Some(wire::histogram::ZeroCount::ZeroCountInt(*zero_count)),
        timestamp,
        ..Default::default()
    }
}

#[test]
fn integers_and_exemplars_come_from_the_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let features = "--enable-feature=native-histograms,exemplar-storage";
    let flags = [FLAGS[0], features, FLAGS[2]];
    let prometheus = Prometheus::start(folder.path(), "origin", CONFIG, &flags);
    let label = |name: &str, value: &str| wire::Label {
        name: name.into(),
        value: value.into(),
    };
    let exemplar = wire::Exemplar {
        labels: vec![label("trace", "x")],
        value: 2.5,
        timestamp: BASE_MS,
    };
    // Prometheus takes exemplars of series that it has already.
    for (ticks, exemplars) in [(0..100, vec![]), (100..200, vec![exemplar])] {
        let histograms = ticks.map(|tick| in_wire(&integers(tick), BASE_MS + tick * 1_000));
        let series = wire::TimeSeries {
            labels: vec![label("__name__", "integers")],
            histograms: histograms.collect(),
            exemplars,
            ..Default::default()
        };
        let request = wire::WriteRequest {
            timeseries: vec![series],
            ..Default::default()
        };
        let body = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec());
        send(&prometheus, &body.expect("a block"));
    }
    drop(prometheus);
    let (db, report) = imported(&folder.path().join("origin"), &folder.path().join("narthex"));
    assert_eq!((report.log_samples, report.exemplars), (200, 1), "{report:?}");
    let found = all(&db);
    let wanted = (0..200).map(|tick| Sample {
        timestamp: BASE_MS + tick * 1_000,
        value: Value::Histogram(integers(tick).into()),
        start_timestamp: 0,
    });
    assert_same_samples(
        &found,
        &[(labels! { "__name__" => "integers" }, wanted.collect())],
    );
    let exemplars = db.exemplars(&[], ..).expect("exemplars");
    assert_eq!(exemplars[0].1[0].labels, labels! { "trace" => "x" });
}
