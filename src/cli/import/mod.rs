//! `narthex import`: what other systems have stored, taken into a folder or sent to a server.

mod blocks;
mod files;
mod source;

use self::files::{Csv, Files, Influx, Sending};
use super::Failure;
use clap::Subcommand;
use std::io::Write;

/// What is taken in.
#[derive(Debug, Subcommand)]
pub(super) enum Import {
    /// Blocks of Prometheus, and the log of what it has in no block yet. All samples come bit for bit: floats, stale markers,
    /// native histograms. What is there already stays; a run that was ended is begun again and goes on. Exits with 1 if
    /// something is not in the database afterwards.
    Blocks(blocks::Blocks),
    /// Sends JSON lines in VictoriaMetrics' shape to a running server; exits with 1 if anything in them is refused, as all that
    /// send do.
    Jsonl(Files),
    /// Sends Prometheus' text format, with times in milliseconds, to a running server.
    Prometheus(Files),
    /// Sends OpenMetrics, with times in seconds, to a running server.
    Openmetrics(Files),
    /// Sends InfluxDB's line protocol to a running server.
    Influx(Influx),
    /// Sends CSV to a running server.
    Csv(Csv),
}

pub(super) fn run(import: &Import, out: &mut impl Write) -> Result<bool, Failure> {
    let sending = match import {
        Import::Blocks(blocks) => return blocks::run(blocks, out),
        Import::Jsonl(files) => Sending::plain(files, files::LINES),
        Import::Prometheus(files) => Sending::plain(files, "/api/v1/import/prometheus"),
        Import::Openmetrics(files) => Sending::openmetrics(files),
        Import::Influx(influx) => Sending::influx(influx),
        Import::Csv(csv) => Sending::csv(csv),
    };
    files::run(&sending, out)
}
