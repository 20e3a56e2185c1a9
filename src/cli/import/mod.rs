//! `narthex import`: what other systems have stored, taken into a folder.

mod blocks;

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
}

pub(super) fn run(import: &Import, out: &mut impl Write) -> Result<bool, Failure> {
    match import {
        Import::Blocks(blocks) => blocks::run(blocks, out),
    }
}
