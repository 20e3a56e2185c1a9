//! `narthex query`: a PromQL query, asked of a running server or of the folder of a database, and its answer as a table,
//! as JSON, as CSV or drawn. Both kinds of answer become one [`Answer`], so that they look the same.

mod answer;
mod bars;
mod canvas;
mod chart;
mod csv;
mod fault;
mod folder;
mod json;
mod number;
mod server;
mod table;
pub(super) mod times;

use super::Failure;
use answer::{Answer, Value};
use clap::{Args, ValueEnum};
use narthex::{Clock as _, SystemClock};
use server::Access;
use std::io::{self, Write};
use std::path::PathBuf;
use times::Moment;

/// Where `narthex serve` is by default.
const DEFAULT_URL: &str = "http://127.0.0.1:6364";
/// Steps of a range when none is named: about as many as a terminal can draw.
const STEPS: i64 = 250;
const WIDTH: usize = 80;
const WIDTHS: std::ops::RangeInclusive<usize> = 40..=500;

/// How an answer is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Series, value and time in columns; of a range a block for each series.
    Table,
    /// The body with which Prometheus' HTTP API answers.
    Json,
    /// A line for each sample, with a column for each label.
    Csv,
    /// Curves of a range, bars of a moment.
    Chart,
}

/// What to ask, whom, and how to show the answer.
#[derive(Debug, Args)]
pub(super) struct Query {
    /// The query, in PromQL.
    expr: String,
    /// Asks at each step from here on. Times are RFC 3339, seconds since 1970, `now`, or from now as in -1h and now-30m.
    #[arg(long, value_parser = times::moment, allow_hyphen_values = true)]
    start: Option<Moment>,
    /// The last moment of a range. Default: now.
    #[arg(long, value_parser = times::moment, allow_hyphen_values = true, requires = "start")]
    end: Option<Moment>,
    /// The distance of steps, as in 15s or in seconds. Default: a 250th of the range, or somewhat more.
    #[arg(long, value_parser = times::step_ms, requires = "start")]
    step: Option<i64>,
    /// Asks at this one moment. Default: now.
    #[arg(long, value_parser = times::moment, allow_hyphen_values = true, conflicts_with = "start")]
    time: Option<Moment>,
    /// The server to ask, over plain HTTP: narthex, or whatever else has Prometheus' HTTP API.
    #[arg(long, default_value = DEFAULT_URL)]
    url: String,
    /// Asks the folder of a database instead of a server.
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    data: Option<PathBuf>,
    #[command(flatten)]
    access: Access,
    /// Default: table.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// At most so many series.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Columns of a chart. Default: those of the terminal where COLUMNS says it, else 80.
    #[arg(long)]
    width: Option<usize>,
}

/// When a query is asked for, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    At(i64),
    Range { start: i64, end: i64, step: i64 },
}

impl Query {
    fn when(&self, now_ms: i64) -> When {
        let at = |moment: Option<Moment>| moment.unwrap_or(Moment::FromNow(0)).at_ms(now_ms);
        match self.start {
            None => When::At(at(self.time)),
            Some(start) => {
                let (start, end) = (start.at_ms(now_ms), at(self.end));
                let step = self
                    .step
                    .unwrap_or_else(|| times::round_step_ms(end.saturating_sub(start) / STEPS));
                When::Range { start, end, step }
            }
        }
    }

    fn width(&self) -> usize {
        let columns = || std::env::var("COLUMNS").ok()?.parse().ok();
        let width = self.width.or_else(columns).unwrap_or(WIDTH);
        width.clamp(*WIDTHS.start(), *WIDTHS.end())
    }
}

/// Asks and prints; what may be wrong with the answer goes to stderr.
pub(super) fn run(query: &Query, out: &mut impl Write) -> Result<bool, Failure> {
    let when = query.when(SystemClock.now_ms());
    let mut answer = match &query.data {
        Some(dir) => folder::ask(dir, &query.expr, when)?,
        None => server::ask(&query.url, &query.access, &query.expr, when, query.limit)?,
    };
    if let Some(limit) = query.limit {
        answer.limit(usize::try_from(limit).unwrap_or(usize::MAX));
    }
    let format = query.format.unwrap_or(Format::Table);
    print(&answer, when, format, query.width(), out)?;
    tell(&answer, format);
    Ok(true)
}

fn print(answer: &Answer, when: When, format: Format, width: usize, out: &mut impl Write) -> io::Result<()> {
    match (format, &answer.value) {
        (Format::Json, _) => json::write(answer, out),
        (Format::Csv, value) => csv::write(value, out),
        (Format::Chart, Value::Matrix(series)) => chart::write(series, when, width, out),
        (Format::Chart, Value::Vector(samples)) => bars::write(samples, width, out),
        (Format::Table, value) | (Format::Chart, value) => table::write(value, out),
    }
}

/// Nobody is left to tell when stderr is gone.
fn tell(answer: &Answer, format: Format) {
    let mut err = io::stderr().lock();
    for warning in &answer.warnings {
        let _ = writeln!(err, "warning: {warning}");
    }
    for info in &answer.infos {
        let _ = writeln!(err, "info: {info}");
    }
    if format == Format::Chart && answer.has_histograms() {
        let what = "native histograms are not drawn; ask for histogram_quantile or histogram_avg of them";
        let _ = writeln!(err, "info: {what}");
    }
}
