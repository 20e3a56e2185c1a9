//! Recorded data in every format that comes in, and out again in those that go out, compared bit by bit.
//!
//! What is sent is written here, not by narthex. What is exported is imported into another database, which is compared as well.

use super::Scale;
use super::http::narthex;
use crate::adapter::Store;
use crate::measure::Stopwatch;
use crate::peer::http::Client;
use crate::peer::served::{Kind, Served};
use crate::realdata::{Pace, Recording, Replay};
use crate::report::Report;
use crate::steps;
use crate::workload::Expected;
use anyhow::{Context, Result, ensure};
use narthex::{BlockExportOptions, BlockImportOptions, Db, Durability, Labels, Options, Value};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

/// A request is sent when it has so many bytes.
const BODY_BYTES: usize = 4 << 20;
const OTLP: &[&str] = &["--otlp-translation-strategy", "NoTranslation"];

/// Writes a series behind what there is; `false` when the format has no words for it.
type WriteSeries = fn(&mut Vec<u8>, &Labels, &[(i64, f64)]) -> bool;

/// A way in.
struct Format {
    name: &'static str,
    path: &'static str,
    headers: &'static str,
    settings: &'static [&'static str],
    write: WriteSeries,
    /// The way out, if there is one.
    export: Option<&'static str>,
}

const FORMATS: [Format; 4] = [
    Format {
        name: "JSON lines",
        path: "/api/v1/import",
        headers: "",
        settings: &[],
        write: json_line,
        export: Some("/api/v1/export"),
    },
    Format {
        name: "Prometheus' text",
        path: "/api/v1/import/prometheus",
        headers: "",
        settings: &[],
        write: prometheus_lines,
        export: Some("/api/v1/export?format=prometheus"),
    },
    Format {
        name: "InfluxDB's lines",
        path: "/write?precision=ms",
        headers: "",
        settings: &[],
        write: influx_lines,
        export: None,
    },
    Format {
        name: "OTLP",
        path: "/api/v1/otlp/v1/metrics",
        headers: "Content-Type: application/x-protobuf\r\n",
        settings: OTLP,
        write: otlp_metric,
        export: None,
    },
];

pub fn run(scale: &Scale, realdata: Option<&Path>, binary: Option<&Path>) -> Result<bool> {
    let binary = narthex(binary)?;
    let recording = Arc::new(Recording::load(
        realdata.context("recorded data is needed: --realdata DIR")?,
    )?);
    let pace = Pace {
        decimate: 15,
        jitter: true,
        scrapes_max: scale.of(150, 3),
    };
    let all = Expected::of(&mut Replay::new(&recording, pace));
    let mut report = Report::new("recorded data in and out of every format", scale.small);
    report.figure("samples", all.samples() as f64, "");
    for format in &FORMATS {
        in_and_out(scale, &binary, format, &all, &mut report)?;
    }
    csv_in_and_out(scale, &binary, &with_words(&all)?, &mut report)?;
    blocks_out_and_in(scale, &all, &mut report)?;
    Ok(report.print())
}

fn serve(scale: &Scale, binary: &Path, settings: &[&str]) -> Result<Served> {
    let own = ["--retention", "0", "--durability", "interval"];
    let settings: Vec<String> = own
        .iter()
        .chain(settings)
        .map(|word| (*word).to_owned())
        .collect();
    Served::start_with(Kind::Narthex, binary, scale.folder()?, &settings, None)
}

fn in_and_out(
    scale: &Scale,
    binary: &Path,
    format: &Format,
    all: &Expected,
    report: &mut Report,
) -> Result<()> {
    let mut said = Expected::default();
    let served = serve(scale, binary, format.settings)?;
    let before_s = served.cpu_s()?;
    let (mut body, mut body_bytes) = (Vec::new(), 0);
    let mut client = Client::connect(served.port)?;
    let mut send = |body: &mut Vec<u8>| post(&mut client, format.path, format.headers, body);
    all.each_series(&mut |labels, samples| {
        let floats = floats(samples);
        let before = body.len();
        if (format.write)(&mut body, labels, &floats) {
            said.add(labels, samples);
        } else {
            body.truncate(before);
        }
        body_bytes += body.len() - before;
        if body.len() >= BODY_BYTES {
            send(&mut body)?;
        }
        Ok(())
    })?;
    send(&mut body)?;
    let name = format.name;
    let cpu_s = served.cpu_s()? - before_s;
    report.figure(
        format!("{name}, in"),
        said.samples() as f64 / cpu_s,
        "samples/CPU-s",
    );
    report.figure(
        format!("{name}, a sample"),
        body_bytes as f64 / said.samples() as f64,
        "bytes",
    );
    report.note(format!(
        "{name}: {} of {} series can be said",
        said.series(),
        all.series()
    ));
    report.check(
        said.series() * 10 > all.series() * 9,
        format!("{name} says a tenth less than there is"),
    );
    let exported = match format.export {
        Some(path) => Some(export(
            &served,
            path,
            &format!("{name}, out"),
            said.samples(),
            report,
        )?),
        None => None,
    };
    compare(served, &said, report)?;
    if let Some(exported) = exported {
        let served = serve(scale, binary, format.settings)?;
        post(
            &mut Client::connect(served.port)?,
            format.path,
            format.headers,
            &mut exported.clone(),
        )?;
        compare(served, &said, report)?;
    }
    Ok(())
}

/// The same with columns: a request for each set of label names, and one export with a column for each of them.
fn csv_in_and_out(scale: &Scale, binary: &Path, all: &Expected, report: &mut Report) -> Result<()> {
    let mut names: BTreeSet<Vec<String>> = BTreeSet::new();
    let names_of = |labels: &Labels| labels.iter().map(|pair| pair.0.to_owned()).collect::<Vec<_>>();
    all.each_series(&mut |labels, _| {
        names.insert(names_of(labels));
        Ok(())
    })?;
    let served = serve(scale, binary, &[])?;
    let before_s = served.cpu_s()?;
    let mut client = Client::connect(served.port)?;
    for set in &names {
        let path = format!("/api/v1/import/csv?format={}", columns_in(set));
        let mut body = Vec::new();
        all.each_series(&mut |labels, samples| {
            if names_of(labels) == *set {
                csv_rows(&mut body, labels, &floats(samples));
            }
            if body.len() >= BODY_BYTES {
                post(&mut client, &path, "", &mut body)?;
            }
            Ok(())
        })?;
        post(&mut client, &path, "", &mut body)?;
    }
    let cpu_s = served.cpu_s()? - before_s;
    report.figure("CSV, in", all.samples() as f64 / cpu_s, "samples/CPU-s");
    let union: BTreeSet<String> = names.into_iter().flatten().collect();
    let union: Vec<String> = union.into_iter().collect();
    let path = format!(
        "/api/v1/export/csv?format={},__value__,__timestamp__:unix_ms",
        union.join(",")
    );
    let mut exported = export(&served, &path, "CSV, out", all.samples(), report)?;
    compare(served, all, report)?;
    let served = serve(scale, binary, &[])?;
    let path = format!("/api/v1/import/csv?format={}", columns_in(&union));
    post(&mut Client::connect(served.port)?, &path, "", &mut exported)?;
    compare(served, all, report)
}

/// The same as blocks of Prometheus, without a server.
fn blocks_out_and_in(scale: &Scale, all: &Expected, report: &mut Report) -> Result<()> {
    let folder = scale.folder()?;
    let path = |name: &str| folder.path().join(name);
    let (db, other) = (open(&path("db"))?, open(&path("other"))?);
    all.each_series(&mut |labels, samples| {
        let mut batch = db.batch();
        floats(samples)
            .iter()
            .for_each(|(time_ms, value)| batch.push(labels, *time_ms, *value));
        ensure!(batch.commit()?.rejected.is_empty(), "samples were refused");
        Ok(())
    })?;
    let rate = |watch: &Stopwatch| all.samples() as f64 / watch.cpu_s();
    let watch = Stopwatch::start();
    let written = db.export_blocks(
        path("blocks"),
        &[],
        ..,
        &BlockExportOptions::default(),
        &mut |_| {},
    )?;
    report.figure("blocks, out and verified", rate(&watch), "samples/CPU-s");
    report.check(written.faults.is_empty(), "blocks are left out");
    let watch = Stopwatch::start();
    let read = other.import_blocks(&[path("blocks")], &BlockImportOptions::default(), &mut |_| {})?;
    report.figure("blocks, in and verified", rate(&watch), "samples/CPU-s");
    report.check(read.is_whole(), "blocks are not read whole");
    db.close()?;
    other.close()?;
    let store = Store::open(&steps::setup(&path("other")))?;
    all.compare(&store, report)?;
    store.close()
}

fn open(dir: &Path) -> Result<Db> {
    Ok(Db::open(Options::new(dir).durability(Durability::Never))?)
}

/// The series without a NaN of other bits than the ordinary one, for which text has no words.
fn with_words(all: &Expected) -> Result<Expected> {
    let mut said = Expected::default();
    all.each_series(&mut |labels, samples| {
        if floats(samples).iter().all(|sample| is_plain_nan(sample.1)) {
            said.add(labels, samples);
        }
        Ok(())
    })?;
    Ok(said)
}

/// Sends what there is, and leaves nothing.
fn post(client: &mut Client, path: &str, headers: &str, body: &mut Vec<u8>) -> Result<()> {
    if !body.is_empty() {
        let answer = client.send("POST", path, headers, body)?;
        let text = String::from_utf8_lossy(&answer.body);
        ensure!(
            answer.status / 100 == 2 && !text.contains("partial"),
            "{path}: {} {text}",
            answer.status
        );
        body.clear();
    }
    Ok(())
}

fn export(served: &Served, path: &str, name: &str, samples: u64, report: &mut Report) -> Result<Vec<u8>> {
    let before_s = served.cpu_s()?;
    let separator = if path.contains('?') { '&' } else { '?' };
    let path = format!("{path}{separator}match%5B%5D=%7B__name__!%3D%22%22%7D");
    let answer = Client::connect(served.port)?.send("GET", &path, "", &[])?;
    ensure!(
        answer.status == 200,
        "{path}: {}",
        String::from_utf8_lossy(&answer.body)
    );
    let cpu_s = served.cpu_s()? - before_s;
    report.figure(name, samples as f64 / cpu_s, "samples/CPU-s");
    Ok(answer.body)
}

/// Ends the server and compares what its folder has.
fn compare(served: Served, expected: &Expected, report: &mut Report) -> Result<()> {
    let data = served.data();
    let folder = served.end()?;
    let store = Store::open(&steps::setup(&data))?;
    expected.compare(&store, report)?;
    store.close()?;
    drop(folder);
    Ok(())
}

fn floats(samples: &[(i64, Value)]) -> Vec<(i64, f64)> {
    let float = |sample: &(i64, Value)| Some((sample.0, sample.1.as_float()?));
    samples.iter().filter_map(float).collect()
}

fn has_only_finite(samples: &[(i64, f64)]) -> bool {
    samples.iter().all(|sample| sample.1.is_finite())
}

/// A number with a word for what is none.
fn number(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    }
}

fn is_plain_nan(value: f64) -> bool {
    !value.is_nan() || value.to_bits() == 0x7ff8_0000_0000_0001
}

/// A text within double quotes, of JSON and of Prometheus alike.
fn quoted(text: &str) -> String {
    let text = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{text}\"")
}

fn json_line(out: &mut Vec<u8>, labels: &Labels, samples: &[(i64, f64)]) -> bool {
    let pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{}:{}", quoted(name), quoted(value)))
        .collect();
    let values = samples.iter().map(|sample| match sample.1 {
        value if value.is_nan() => "null".to_owned(),
        value if value.is_infinite() && value > 0.0 => "\"Infinity\"".to_owned(),
        value if value.is_infinite() => "\"-Infinity\"".to_owned(),
        value => value.to_string(),
    });
    let values: Vec<String> = values.collect();
    let times: Vec<String> = samples.iter().map(|sample| sample.0.to_string()).collect();
    let (pairs, values, times) = (pairs.join(","), values.join(","), times.join(","));
    let line = format!("{{\"metric\":{{{pairs}}},\"values\":[{values}],\"timestamps\":[{times}]}}\n");
    out.extend_from_slice(line.as_bytes());
    samples.iter().all(|sample| is_plain_nan(sample.1))
}

fn prometheus_lines(out: &mut Vec<u8>, labels: &Labels, samples: &[(i64, f64)]) -> bool {
    let pairs = labels.iter().filter(|pair| pair.0 != "__name__");
    let pairs: Vec<String> = pairs
        .map(|(name, value)| format!("{name}={}", quoted(value)))
        .collect();
    let series = format!("{}{{{}}}", labels.metric_name(), pairs.join(","));
    let mut lines = String::new();
    for (time_ms, value) in samples {
        // Writing to a string does not fail.
        let _ = writeln!(lines, "{series} {} {time_ms}", number(*value));
    }
    out.extend_from_slice(lines.as_bytes());
    samples.iter().all(|sample| is_plain_nan(sample.1))
}

/// A name without an underscore has no measurement and field, and there are no words for what is no number.
fn influx_lines(out: &mut Vec<u8>, labels: &Labels, samples: &[(i64, f64)]) -> bool {
    let Some((measurement, field)) = labels.metric_name().rsplit_once('_') else {
        return false;
    };
    let escaped = |text: &str| text.replace(',', "\\,").replace(' ', "\\ ").replace('=', "\\=");
    let mut series = escaped(measurement);
    for (name, value) in labels.iter().filter(|pair| pair.0 != "__name__") {
        let _ = write!(series, ",{}={}", escaped(name), escaped(value));
    }
    let mut lines = String::new();
    for (time_ms, value) in samples {
        let _ = writeln!(lines, "{series} {}={value} {time_ms}", escaped(field));
    }
    out.extend_from_slice(lines.as_bytes());
    let is_said = |text: &str| !text.contains(['\n', '\\']);
    let is_whole = !measurement.is_empty() && !field.is_empty();
    is_whole && has_only_finite(samples) && labels.iter().all(|pair| is_said(pair.1))
}

/// A request with one gauge; requests behind each other are one with all their parts.
fn otlp_metric(out: &mut Vec<u8>, labels: &Labels, samples: &[(i64, f64)]) -> bool {
    let mut attributes = Vec::new();
    for (name, value) in labels.iter().filter(|pair| pair.0 != "__name__") {
        let value = field(2, &field(1, value.as_bytes()));
        attributes.extend(field(7, &[field(1, name.as_bytes()), value].concat()));
    }
    let mut points = Vec::new();
    for (time_ms, value) in samples {
        let mut point = attributes.clone();
        point.push(3 << 3 | 1);
        point.extend((*time_ms as u64 * 1_000_000).to_le_bytes());
        point.push(4 << 3 | 1);
        point.extend(value.to_bits().to_le_bytes());
        points.extend(field(1, &point));
    }
    let metric = [field(1, labels.metric_name().as_bytes()), field(5, &points)].concat();
    out.extend(field(1, &field(2, &field(2, &metric))));
    true
}

/// A field of a protobuf message that has a length.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(bytes);
    out
}

/// The map of columns with these labels, then a value and a time.
fn columns_in(names: &[String]) -> String {
    let labels = names.iter().zip(1..);
    let mut columns: Vec<String> = labels
        .map(|(name, number)| format!("{number}:label:{name}"))
        .collect();
    let value = names.len() + 1;
    columns.push(format!("{value}:metric:value"));
    columns.push(format!("{}:time:unix_ms", value + 1));
    columns.join(",")
}

fn csv_rows(out: &mut Vec<u8>, labels: &Labels, samples: &[(i64, f64)]) {
    let cells: Vec<String> = labels
        .iter()
        .map(|pair| format!("\"{}\"", pair.1.replace('"', "\"\"")))
        .collect();
    let cells = cells.join(",");
    let mut rows = String::new();
    for (time_ms, value) in samples {
        let _ = writeln!(rows, "{cells},{},{time_ms}", number(*value));
    }
    out.extend_from_slice(rows.as_bytes());
}
