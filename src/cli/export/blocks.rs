//! `narthex export blocks`: a database as blocks of Prometheus.

use crate::cli::query::times::{self, Moment};
use crate::cli::{Failure, open, progress::Progress, text};
use clap::Args;
use narthex::{BlockExportOptions, Clock as _, Matcher, SystemClock, parse_duration_ms, parse_selector};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

/// What to write, and where to.
#[derive(Debug, Args)]
pub(in crate::cli) struct Blocks {
    /// The folder of the database. A server may be writing to it.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The folder for the blocks, which is made if need be.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The series, as in 'metric{label="value"}'. Default: all.
    #[arg(long = "match", value_name = "SELECTOR", value_parser = selector)]
    series: Option<Selector>,
    /// The first moment: RFC 3339, seconds since 1970, `now`, or from now as in -1h and now-30m. Default: that of the oldest sample.
    #[arg(long, value_parser = times::moment, allow_hyphen_values = true)]
    start: Option<Moment>,
    /// The last moment. Default: that of the newest sample.
    #[arg(long, value_parser = times::moment, allow_hyphen_values = true)]
    end: Option<Moment>,
    /// The time of a block at most, at whose multiples blocks are cut. Prometheus begins with 2h and merges them itself.
    #[arg(long, value_parser = duration, default_value = "24h")]
    block_duration: Duration,
    /// Does not read each block back and compare it with the database.
    #[arg(long)]
    no_verify: bool,
}

#[derive(Debug, Clone)]
struct Selector(Vec<Matcher>);

fn selector(text: &str) -> Result<Selector, String> {
    parse_selector(text)
        .map(Selector)
        .map_err(|error| error.to_string())
}

fn duration(text: &str) -> Result<Duration, String> {
    let ms = parse_duration_ms(text)?;
    u64::try_from(ms)
        .map(Duration::from_millis)
        .map_err(|_| "a block's duration is longer than zero".to_owned())
}

pub(super) fn run(blocks: &Blocks, out: &mut impl Write) -> Result<bool, Failure> {
    let db = open(&blocks.data)?;
    let now_ms = SystemClock.now_ms();
    let at = |moment: Option<Moment>, default| moment.map_or(default, |moment| moment.at_ms(now_ms));
    let range = at(blocks.start, i64::MIN)..=at(blocks.end, i64::MAX);
    let matchers = blocks.series.as_ref().map_or(&[][..], |series| &series.0);
    let mut progress = Progress::start();
    let options = BlockExportOptions::default()
        .span(blocks.block_duration)
        .verify(!blocks.no_verify);
    let report = db.export_blocks(&blocks.out, matchers, range, &options, &mut |done| {
        progress.tell(done)
    });
    progress.end();
    let report = report?;
    for fault in &report.faults {
        writeln!(out, "damaged: {fault}")?;
    }
    for block in &report.blocks {
        writeln!(out, "{}", block.display())?;
    }
    writeln!(
        out,
        "{} blocks written, {} were there; {} series, {} samples",
        text::count(report.blocks.len() as u64),
        text::count(report.blocks_known as u64),
        text::count(report.series),
        text::count(report.samples),
    )?;
    Ok(report.faults.is_empty())
}
