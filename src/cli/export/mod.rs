//! `narthex export`: a folder as blocks of Prometheus, and the samples of a server as text.

mod blocks;
mod text;

use self::text::{Asking, Csv, Wanted};
use super::Failure;
use clap::Subcommand;
use std::io::Write;

/// What is written.
#[derive(Debug, Subcommand)]
pub(super) enum Export {
    /// Blocks of Prometheus' own database, to be put into its data folder or read by promtool. A run that was ended is begun
    /// again and goes on. Start timestamps, exemplars and metadata are no part of blocks.
    Blocks(blocks::Blocks),
    /// Prints samples of a running server as JSON lines in VictoriaMetrics' shape, which `narthex import jsonl` reads back to the
    /// bit.
    Jsonl(Wanted),
    /// Prints samples of a running server in Prometheus' text format.
    Prometheus(Wanted),
    /// Prints samples of a running server as CSV.
    Csv(Csv),
}

pub(super) fn run(export: &Export, out: &mut impl Write) -> Result<bool, Failure> {
    let asking = match export {
        Export::Blocks(blocks) => return blocks::run(blocks, out),
        Export::Jsonl(wanted) => Asking::lines(wanted),
        Export::Prometheus(wanted) => Asking::prometheus(wanted),
        Export::Csv(csv) => Asking::csv(csv),
    };
    text::run(&asking, out)
}
