//! `narthex export`: a database in the forms of other systems.

mod blocks;

use super::Failure;
use clap::Subcommand;
use std::io::Write;

/// What is written.
#[derive(Debug, Subcommand)]
pub(super) enum Export {
    /// Blocks of Prometheus' own database, to be put into its data folder or read by promtool. A run that was ended is begun
    /// again and goes on. Start timestamps, exemplars and metadata are no part of blocks.
    Blocks(blocks::Blocks),
}

pub(super) fn run(export: &Export, out: &mut impl Write) -> Result<bool, Failure> {
    match export {
        Export::Blocks(blocks) => blocks::run(blocks, out),
    }
}
