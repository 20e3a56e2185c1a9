//! The subcommands. They use the library's public face like any other program. Those that look into a folder only read,
//! unless told to repair.

mod cardinality;
mod doctor;
mod export;
mod hash_password;
mod health;
mod http;
mod import;
mod json;
mod progress;
mod query;
mod serve;
mod stats;
mod text;
mod verify;

use clap::{Parser, Subcommand};
use narthex::server::{ConfigError, ConfigFlags, ServeError};
use narthex::{Db, FsError, Precision};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A time-series database and Prometheus remote storage backend. Without a subcommand it serves; the subcommands that
/// look into the folder of a database work beside a process that writes to it.
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    disable_help_subcommand = true,
    args_conflicts_with_subcommands = true
)]
pub(crate) struct Flags {
    #[command(flatten)]
    serve: ConfigFlags,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves remote write over HTTP. Settings come from flags, NARTHEX_* variables and a TOML file; see docs/config.md.
    Serve(ConfigFlags),
    /// Asks a running server whether it is ready; exits with 1 if it is not.
    Health {
        /// What to ask, over plain HTTP.
        #[arg(long, default_value = health::DEFAULT_URL)]
        url: String,
    },
    /// Asks a PromQL query of a running server, or of the folder of a database, and prints the answer as a table, as JSON,
    /// as CSV or as a chart.
    Query(query::Query),
    /// Takes in what other systems have stored.
    #[command(subcommand)]
    Import(import::Import),
    /// Writes a database in the form of other systems.
    #[command(subcommand)]
    Export(export::Export),
    /// Reads a password from stdin and prints the hash that auth.users in the configuration needs.
    HashPassword,
    /// Reads every checksum and decodes every sample; names what is damaged, and exits with 1 if anything is.
    Verify {
        /// The folder of the database.
        dir: PathBuf,
    },
    /// Says what is wrong with a folder and what can be done about it; exits with 1 if something is and stays wrong.
    Doctor {
        /// The folder of the database.
        dir: PathBuf,
        /// Carries the plan out, once it is printed. Nothing is deleted: what is replaced goes to quarantine/.
        #[arg(long)]
        repair: bool,
        /// Unit of timestamps (s, ms, us or ns), where manifest and summaries are lost.
        #[arg(long, value_parser = precision)]
        precision: Option<Precision>,
    },
    /// Series, samples, time range, bytes by part, segments, and cardinality by label name and metric.
    Stats {
        /// The folder of the database.
        dir: PathBuf,
        /// Prints JSON instead of tables.
        #[arg(long)]
        json: bool,
    },
    /// Distinct series in a range of time, by metric and label name; or, with `--before`, what grew and which label is
    /// to blame. Exits with 1 if something could not be read.
    Cardinality {
        /// The folder of the database.
        dir: PathBuf,
        /// Timestamps in the unit of the database, as in 1000..2000; either may be left out.
        #[arg(long, value_parser = cardinality::span, default_value = "..", allow_hyphen_values = true)]
        range: cardinality::Span,
        /// An earlier range: says what was added since.
        #[arg(long, value_parser = cardinality::span, allow_hyphen_values = true)]
        before: Option<cardinality::Span>,
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
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error("log_file: {0}")]
    LogFile(#[from] FsError),
    #[error("{0}")]
    Health(#[source] io::Error),
    #[error("{0}")]
    Query(String),
    #[error("{0}")]
    Import(String),
    #[error("{0}")]
    Password(#[source] io::Error),
}

/// Runs the subcommand; `false` when it found something wrong.
pub(crate) fn run(flags: &Flags, out: &mut impl Write) -> Result<bool, Failure> {
    let command = match &flags.command {
        None => return serve::run(&flags.serve, out),
        Some(command) => command,
    };
    match command {
        Command::Serve(flags) => serve::run(flags, out),
        Command::Health { url } => health::run(url, out),
        Command::Query(query) => query::run(query, out),
        Command::Import(import) => import::run(import, out),
        Command::Export(export) => export::run(export, out),
        Command::HashPassword => hash_password::run(out),
        Command::Verify { dir } => verify::run(dir, out),
        Command::Doctor {
            dir,
            repair,
            precision,
        } => doctor::run(dir, *repair, *precision, out),
        Command::Stats { dir, json } => stats::run(dir, *json, out),
        Command::Cardinality {
            dir,
            range,
            before,
            json,
        } => cardinality::run(dir, *range, *before, *json, out),
    }
}

impl Flags {
    /// Whether it is the server that runs, which has a log of its own.
    pub(crate) fn is_server(&self) -> bool {
        matches!(self.command, None | Some(Command::Serve(_)))
    }
}

/// The unit of that name.
fn precision(name: &str) -> Result<Precision, String> {
    let all = [
        Precision::Seconds,
        Precision::Milliseconds,
        Precision::Microseconds,
        Precision::Nanoseconds,
    ];
    let found = all.into_iter().find(|precision| precision.as_str() == name);
    found.ok_or_else(|| "one of s, ms, us and ns".to_owned())
}

/// Opens without changing anything.
fn open(dir: &Path) -> Result<Db, narthex::Error> {
    Db::open_read_only(dir)
}
