//! Samples of a server go to stdout as they come.

use super::count::Counter;
use super::progress::Progress;
use super::{ANSWER_BYTES_MAX, PATIENCE, refusal, unreached};
use crate::cli::Failure;
use crate::cli::access::{Access, DEFAULT_URL, UNAUTHORIZED, WHO};
use crate::cli::http::{self, Request, Target, escaped};
use crate::cli::query::times::{self, Moment};
use crate::cli::text::count;
use clap::{Args, ValueEnum};
use narthex::{Clock as _, SystemClock};
use std::io::{self, Write};

/// What samples are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// JSON lines in VictoriaMetrics' shape, which `narthex import jsonl` reads back to the bit.
    Jsonl,
    /// CSV; --columns says what stands in its columns.
    Csv,
    /// Prometheus' text format.
    Prometheus,
}

/// What to ask for.
#[derive(Debug, Args)]
pub(in crate::cli) struct Export {
    #[arg(value_enum)]
    format: Format,
    /// A selector of series, as up{job="a"}; may be given several times. Default: all series.
    #[arg(long = "match", value_name = "SELECTOR", default_value = "{__name__!=\"\"}")]
    matchers: Vec<String>,
    /// Samples from here on. Times are RFC 3339, seconds since 1970, `now`, or from now as in -1h and now-30m.
    #[arg(long, value_parser = times::moment, allow_hyphen_values = true)]
    start: Option<Moment>,
    /// Samples up to here.
    #[arg(long, value_parser = times::moment, allow_hyphen_values = true)]
    end: Option<Moment>,
    /// The columns of CSV.
    #[arg(long, value_name = "LIST", required_if_eq("format", "csv"))]
    columns: Option<String>,
    /// The server, over plain HTTP.
    #[arg(long, default_value = DEFAULT_URL)]
    url: String,
    #[command(flatten)]
    access: Access,
}

impl Export {
    fn route(&self) -> &'static str {
        match self.format {
            Format::Csv => "/api/v1/export/csv",
            Format::Jsonl | Format::Prometheus => "/api/v1/export",
        }
    }

    fn form(&self) -> String {
        let now_ms = SystemClock.now_ms();
        let seconds = |moment: Option<Moment>| {
            let ms = moment?.at_ms(now_ms);
            let sign = if ms < 0 { "-" } else { "" };
            let size = ms.unsigned_abs();
            Some(format!("{sign}{}.{:03}", size / 1000, size % 1000))
        };
        let format = match self.format {
            Format::Jsonl => None,
            Format::Csv => self.columns.clone(),
            Format::Prometheus => Some("prometheus".to_owned()),
        };
        let named = [
            ("format", format),
            ("start", seconds(self.start)),
            ("end", seconds(self.end)),
        ];
        let named = named.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let matchers = self
            .matchers
            .iter()
            .map(|matcher| ("match%5B%5D", matcher.clone()));
        let params: Vec<String> = named
            .chain(matchers)
            .map(|(name, value)| format!("{name}={}", escaped(&value)))
            .collect();
        params.join("&")
    }
}

/// Passes on what comes, and counts it.
struct Passed<'a, W> {
    out: &'a mut W,
    progress: Progress,
    bytes: u64,
    counter: Counter,
}

impl<W: Write> Write for Passed<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        let passed = bytes.get(..written).unwrap_or_default();
        self.bytes += written as u64;
        self.counter.feed(passed);
        self.progress.show(self.bytes, &self.counter);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Writes what the server sends; an export that breaks off is a failure.
pub(in crate::cli) fn run(export: &Export, out: &mut impl Write) -> Result<bool, Failure> {
    let failed = |what: String| Failure::Transfer(what);
    let url = &export.url;
    let target = Target::parse(url).map_err(|what| failed(format!("{url}: {what}")))?;
    let mut headers = export.access.headers().map_err(failed)?;
    headers.push(("Content-Type", "application/x-www-form-urlencoded".to_owned()));
    headers.push(("TE", "trailers".to_owned()));
    let form = export.form();
    let path = target.route(export.route());
    let request = Request {
        method: "POST",
        path: &path,
        headers: &headers,
        body: form.as_bytes(),
        patience: PATIENCE,
        answer_bytes_max: ANSWER_BYTES_MAX,
    };
    let mut passed = Passed {
        out,
        progress: Progress::begin("export", None),
        bytes: 0,
        counter: Counter::new(export.format == Format::Jsonl),
    };
    let answer = http::download(&target.host, &request, &mut passed);
    let answer = answer.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::Output(error),
        _ if passed.bytes > 0 => failed(format!("{url}: the export broke off: {error}")),
        _ => failed(unreached(url, &error)),
    })?;
    if answer.status != 200 {
        let what = match answer.status {
            UNAUTHORIZED => WHO.to_owned(),
            _ => refusal(&answer),
        };
        return Err(failed(format!("{url}: {what}")));
    }
    let left_out = answer
        .header("x-narthex-left-out")
        .and_then(|text| text.parse().ok());
    let told = left_out.map(|left_out| {
        let what = "native histograms or stale markers that the format has no words for";
        format!("; left out {} {what}", count(left_out))
    });
    let told = told.unwrap_or_default();
    passed.progress.end(passed.bytes, &passed.counter, &told);
    Ok(true)
}
