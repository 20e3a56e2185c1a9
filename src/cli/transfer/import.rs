//! Files go to a server, each in one request of any length.

use super::count::Counter;
use super::progress::Progress;
use super::source::Source;
use super::{ANSWER_BYTES_MAX, PATIENCE, refusal, unreached};
use crate::cli::Failure;
use crate::cli::access::{Access, DEFAULT_URL, UNAUTHORIZED, WHO};
use crate::cli::http::{self, Answer, Request, Target, escaped};
use crate::cli::text::count;
use clap::{Args, ValueEnum};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// So much is sent at once.
const PIECE_BYTES: u64 = 256 << 10;
/// Refusals that are shown of a file.
const SHOWN: usize = 10;

/// What files are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// JSON lines in VictoriaMetrics' shape.
    Jsonl,
    /// Prometheus' text format, with times in milliseconds.
    Prometheus,
    /// OpenMetrics, with times in seconds.
    Openmetrics,
    /// InfluxDB's line protocol.
    Influx,
    /// CSV; --columns says what its columns have.
    Csv,
}

/// What to send where.
#[derive(Debug, Args)]
pub(in crate::cli) struct Import {
    #[arg(value_enum)]
    format: Format,
    /// The files; `-` is stdin. What ends in .gz or .zst is decompressed.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The server, over plain HTTP.
    #[arg(long, default_value = DEFAULT_URL)]
    url: String,
    #[command(flatten)]
    access: Access,
    /// A label of every sample, in place of its own; may be given several times.
    #[arg(long = "extra-label", value_name = "NAME=VALUE")]
    extra_labels: Vec<String>,
    /// What the columns of CSV have, as 2:metric:ask,1:label:ticker,3:time:unix_s.
    #[arg(long, value_name = "MAP", required_if_eq("format", "csv"))]
    columns: Option<String>,
    /// What times of line protocol are counted in (ns, us, ms, s, m, h). Default: what their size suggests.
    #[arg(long, value_name = "UNIT")]
    precision: Option<String>,
    /// The value of the label db of lines of line protocol that have none.
    #[arg(long, value_name = "NAME")]
    db: Option<String>,
}

impl Import {
    fn path(&self, target: &Target) -> String {
        let route = match self.format {
            Format::Jsonl => "/api/v1/import",
            Format::Prometheus | Format::Openmetrics => "/api/v1/import/prometheus",
            Format::Influx => "/write",
            Format::Csv => "/api/v1/import/csv",
        };
        let named = [
            ("format", &self.columns),
            ("precision", &self.precision),
            ("db", &self.db),
        ];
        let named = named
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_ref()?)));
        let extra = self.extra_labels.iter().map(|label| ("extra_label", label));
        let params: Vec<String> = named
            .chain(extra)
            .map(|(name, value)| format!("{name}={}", escaped(value)))
            .collect();
        target.route(&format!("{route}?{}", params.join("&")))
    }

    fn content_type(&self) -> &'static str {
        match self.format {
            Format::Openmetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            _ => "text/plain; charset=utf-8",
        }
    }
}

/// Sends the files one after the other; whether all of their samples are stored.
pub(in crate::cli) fn run(import: &Import, out: &mut impl Write) -> Result<bool, Failure> {
    let failed = |what: String| Failure::Transfer(what);
    let target = Target::parse(&import.url).map_err(|what| failed(format!("{}: {what}", import.url)))?;
    let mut headers = import.access.headers().map_err(failed)?;
    headers.push(("Content-Type", import.content_type().to_owned()));
    let mut is_well = true;
    for file in &import.files {
        let path = import.path(&target);
        let request = Request {
            method: "POST",
            path: &path,
            headers: &headers,
            body: &[],
            patience: PATIENCE,
            answer_bytes_max: ANSWER_BYTES_MAX,
        };
        let answer = send(import, &target, &request, file)?;
        is_well &= tell(import, file, &answer, out)?;
    }
    Ok(is_well)
}

fn send(import: &Import, target: &Target, request: &Request<'_>, file: &Path) -> Result<Answer, Failure> {
    let name = file.display();
    let unread = |error: &io::Error| Failure::Transfer(format!("{name}: {error}"));
    let mut source = Source::open(file).map_err(|error| unread(&error))?;
    let mut progress = Progress::begin(&name.to_string(), source.bytes_total);
    let (mut passed, mut fault) = (Counter::new(import.format == Format::Jsonl), None);
    let mut piece = |buffer: &mut Vec<u8>| {
        let read = source.read(buffer, PIECE_BYTES);
        passed.feed(buffer);
        progress.show(source.bytes(), &passed);
        read.map(drop).inspect_err(|error| fault = Some(unread(error)))
    };
    let sent = http::upload(&target.host, request, &mut piece);
    if let Some(fault) = fault {
        return Err(fault);
    }
    let answer = sent.map_err(|error| Failure::Transfer(unreached(&import.url, &error)))?;
    progress.end(source.bytes(), &passed, "");
    Ok(answer)
}

/// Says what became of a file; whether all is well.
fn tell(import: &Import, file: &Path, answer: &Answer, out: &mut impl Write) -> Result<bool, Failure> {
    let name = file.display();
    let number = |header: &str| answer.header(header).and_then(|text| text.parse::<u64>().ok());
    if answer.status == 204 {
        write!(
            out,
            "{name}: stored {} samples",
            count(number("x-narthex-stored").unwrap_or(0))
        )?;
        if let Some(left_out) = number("x-narthex-left-out") {
            write!(out, ", left out {} texts", count(left_out))?;
        }
        writeln!(out)?;
        return Ok(true);
    }
    let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let Some(errors) = json["data"]["errors"].as_array() else {
        let what = match answer.status {
            UNAUTHORIZED => WHO.to_owned(),
            _ => refusal(answer),
        };
        let stored = json["stored"]
            .as_u64()
            .map(|stored| format!(" after {} samples", count(stored)));
        let what = format!("{}: {name}{}: {what}", import.url, stored.unwrap_or_default());
        return Err(Failure::Transfer(what));
    };
    let [stored, failed] = ["stored", "failed"].map(|field| json["data"][field].as_u64().unwrap_or(0));
    writeln!(
        out,
        "{name}: stored {} samples, refused {}",
        count(stored),
        count(failed)
    )?;
    for error in errors.iter().take(SHOWN) {
        let text = |field: &str| error[field].as_str().unwrap_or("");
        writeln!(
            out,
            "{name}:{}: {} ({})",
            error["line"],
            text("error"),
            text("hint")
        )?;
    }
    if failed > SHOWN as u64 {
        writeln!(out, "{name}: and {} more", count(failed - SHOWN as u64))?;
    }
    Ok(false)
}
