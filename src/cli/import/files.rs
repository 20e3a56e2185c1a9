//! Files go to a server, each in one request of any length.

use super::source::Source;
use crate::cli::Failure;
use crate::cli::access::{Access, DEFAULT_URL, UNAUTHORIZED, WHO};
use crate::cli::count::Counter;
use crate::cli::http::{self, Answer, Request, Target, escaped};
use crate::cli::progress::Transfer;
use crate::cli::text::count;
use crate::cli::transfer::{ANSWER_BYTES_MAX, PATIENCE, refusal, unreached};
use clap::Args;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// So much is sent at once.
const PIECE_BYTES: u64 = 256 << 10;
/// Refusals that are shown of a file.
const SHOWN: usize = 10;

/// Where JSON lines go.
pub(super) const LINES: &str = "/api/v1/import";

/// What to send where.
#[derive(Debug, Args)]
pub(in crate::cli) struct Files {
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
}

/// Files of line protocol.
#[derive(Debug, Args)]
pub(in crate::cli) struct Influx {
    #[command(flatten)]
    files: Files,
    /// What times are counted in (ns, us, ms, s, m, h). Default: what their size suggests.
    #[arg(long, value_name = "UNIT")]
    precision: Option<String>,
    /// The value of the label db of lines that have none.
    #[arg(long, value_name = "NAME")]
    db: Option<String>,
}

/// Files with columns.
#[derive(Debug, Args)]
pub(in crate::cli) struct Csv {
    #[command(flatten)]
    files: Files,
    /// What the columns have, as 2:metric:ask,1:label:ticker,3:time:unix_s.
    #[arg(long, value_name = "MAP")]
    columns: String,
}

/// How a server is told what files have.
pub(super) struct Sending<'a> {
    files: &'a Files,
    route: &'static str,
    content_type: &'static str,
    params: Vec<(&'static str, &'a str)>,
}

impl<'a> Sending<'a> {
    pub(super) fn plain(files: &'a Files, route: &'static str) -> Self {
        Self {
            files,
            route,
            content_type: "text/plain; charset=utf-8",
            params: Vec::new(),
        }
    }

    pub(super) fn openmetrics(files: &'a Files) -> Self {
        Self {
            content_type: "application/openmetrics-text; version=1.0.0; charset=utf-8",
            ..Self::plain(files, "/api/v1/import/prometheus")
        }
    }

    pub(super) fn influx(influx: &'a Influx) -> Self {
        let named = [("precision", &influx.precision), ("db", &influx.db)];
        let given = named
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_deref()?)));
        Self {
            params: given.collect(),
            ..Self::plain(&influx.files, "/write")
        }
    }

    pub(super) fn csv(csv: &'a Csv) -> Self {
        Self {
            params: vec![("format", &csv.columns)],
            ..Self::plain(&csv.files, "/api/v1/import/csv")
        }
    }

    fn has_json(&self) -> bool {
        self.route == LINES
    }

    fn path(&self, target: &Target) -> String {
        let extra = self
            .files
            .extra_labels
            .iter()
            .map(|label| ("extra_label", label.as_str()));
        let params = self.params.iter().copied().chain(extra);
        let params: Vec<String> = params
            .map(|(name, value)| format!("{name}={}", escaped(value)))
            .collect();
        target.route(&format!("{}?{}", self.route, params.join("&")))
    }
}

/// Sends the files one after the other; whether all of their samples are stored.
pub(super) fn run(sending: &Sending<'_>, out: &mut impl Write) -> Result<bool, Failure> {
    let failed = |what: String| Failure::Transfer(what);
    let Files {
        files, url, access, ..
    } = sending.files;
    let target = Target::parse(url).map_err(|what| failed(format!("{url}: {what}")))?;
    let mut headers = access.headers().map_err(failed)?;
    headers.push(("Content-Type", sending.content_type.to_owned()));
    let mut is_well = true;
    for file in files {
        let path = sending.path(&target);
        let request = Request {
            method: "POST",
            path: &path,
            headers: &headers,
            body: &[],
            patience: PATIENCE,
            answer_bytes_max: ANSWER_BYTES_MAX,
        };
        let answer = send((url, sending.has_json()), &target, &request, file)?;
        is_well &= tell(url, file, &answer, out)?;
    }
    Ok(is_well)
}

fn send(
    (url, is_json): (&str, bool),
    target: &Target,
    request: &Request<'_>,
    file: &Path,
) -> Result<Answer, Failure> {
    let name = file.display();
    let unread = |error: &io::Error| Failure::Transfer(format!("{name}: {error}"));
    let mut source = Source::open(file).map_err(|error| unread(&error))?;
    let mut progress = Transfer::begin(&name.to_string(), source.bytes_total);
    let (mut passed, mut fault) = (Counter::new(is_json), None);
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
    let answer = sent.map_err(|error| Failure::Transfer(unreached(url, &error)))?;
    progress.end(source.bytes(), &passed, "");
    Ok(answer)
}

/// Says what became of a file; whether all is well.
fn tell(url: &str, file: &Path, answer: &Answer, out: &mut impl Write) -> Result<bool, Failure> {
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
        let what = format!("{url}: {name}{}: {what}", stored.unwrap_or_default());
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
