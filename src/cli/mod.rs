//! The subcommands. They use the library's public face like any other program, and only read.

mod json;
mod stats;
mod text;
mod verify;

use clap::{Parser, Subcommand};
use narthex::Db;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Looks into the folder of a narthex database. Works beside a process that writes to it.
#[derive(Debug, Parser)]
#[command(version, about, disable_help_subcommand = true)]
pub(crate) struct Flags {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Reads every checksum and decodes every sample; names what is damaged, and exits with 1 if anything is.
    Verify {
        /// The folder of the database.
        dir: PathBuf,
    },
    /// Series, samples, time range, bytes by part, segments, and cardinality by label name and metric.
    Stats {
        /// The folder of the database.
        dir: PathBuf,
        /// Prints JSON instead of tables.
        #[arg(long)]
        json: bool,
    },
}

/// Why a subcommand could not say anything.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Db(#[from] narthex::Error),
    #[error("write to stdout")]
    Output(#[from] io::Error),
}

/// Runs the subcommand; `false` when it found something wrong.
pub(crate) fn run(flags: &Flags, out: &mut impl Write) -> Result<bool, Failure> {
    match &flags.command {
        Command::Verify { dir } => verify::run(dir, out),
        Command::Stats { dir, json } => stats::run(dir, *json, out),
    }
}

/// Opens without changing anything.
fn open(dir: &Path) -> Result<Db, narthex::Error> {
    Db::open_read_only(dir)
}
