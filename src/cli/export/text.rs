//! Samples of a server go to stdout as they come.

use crate::cli::Failure;
use crate::cli::access::{Access, DEFAULT_URL, UNAUTHORIZED, WHO};
use crate::cli::count::Counter;
use crate::cli::http::{self, Request, Target, escaped};
use crate::cli::progress::Transfer;
use crate::cli::query::times::{self, Moment};
use crate::cli::text::count;
use crate::cli::transfer::{ANSWER_BYTES_MAX, PATIENCE, refusal, unreached};
use clap::Args;
use narthex::{Clock as _, SystemClock};
use std::io::{self, Write};

/// What to ask for.
#[derive(Debug, Args)]
pub(in crate::cli) struct Wanted {
    /// A selector of series, as up{job="a"}; may be given several times. Default: all series.
    #[arg(long = "match", value_name = "SELECTOR", default_value = "{__name__!=\"\"}")]
    matchers: Vec<String>,
    /// Samples from here on. Times are RFC 3339, seconds since 1970, `now`, or from now as in -1h and now-30m.
    #[arg(long, value_parser = times::moment, allow_hyphen_values = true)]
    start: Option<Moment>,
    /// Samples up to here.
    #[arg(long, value_parser = times::moment, allow_hyphen_values = true)]
    end: Option<Moment>,
    /// The server, over plain HTTP.
    #[arg(long, default_value = DEFAULT_URL)]
    url: String,
    #[command(flatten)]
    access: Access,
}

/// The same with columns.
#[derive(Debug, Args)]
pub(in crate::cli) struct Csv {
    #[command(flatten)]
    wanted: Wanted,
    /// The columns, as __name__,job,__value__,__timestamp__:unix_ms.
    #[arg(long, value_name = "LIST")]
    columns: String,
}

/// How a server is told what to write.
pub(super) struct Asking<'a> {
    wanted: &'a Wanted,
    route: &'static str,
    format: Option<&'a str>,
}

impl<'a> Asking<'a> {
    pub(super) fn lines(wanted: &'a Wanted) -> Self {
        Self {
            wanted,
            route: "/api/v1/export",
            format: None,
        }
    }

    pub(super) fn prometheus(wanted: &'a Wanted) -> Self {
        Self {
            format: Some("prometheus"),
            ..Self::lines(wanted)
        }
    }

    pub(super) fn csv(csv: &'a Csv) -> Self {
        Self {
            wanted: &csv.wanted,
            route: "/api/v1/export/csv",
            format: Some(&csv.columns),
        }
    }

    fn has_json(&self) -> bool {
        self.format.is_none()
    }

    fn form(&self) -> String {
        let now_ms = SystemClock.now_ms();
        let seconds = |moment: Option<Moment>| {
            let ms = moment?.at_ms(now_ms);
            let sign = if ms < 0 { "-" } else { "" };
            let size = ms.unsigned_abs();
            Some(format!("{sign}{}.{:03}", size / 1000, size % 1000))
        };
        let named = [
            ("format", self.format.map(str::to_owned)),
            ("start", seconds(self.wanted.start)),
            ("end", seconds(self.wanted.end)),
        ];
        let named = named.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let matchers = self
            .wanted
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
    progress: Transfer,
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
pub(super) fn run(asking: &Asking<'_>, out: &mut impl Write) -> Result<bool, Failure> {
    let failed = |what: String| Failure::Transfer(what);
    let url = &asking.wanted.url;
    let target = Target::parse(url).map_err(|what| failed(format!("{url}: {what}")))?;
    let mut headers = asking.wanted.access.headers().map_err(failed)?;
    headers.push(("Content-Type", "application/x-www-form-urlencoded".to_owned()));
    headers.push(("TE", "trailers".to_owned()));
    let form = asking.form();
    let path = target.route(asking.route);
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
        progress: Transfer::begin("export", None),
        bytes: 0,
        counter: Counter::new(asking.has_json()),
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
