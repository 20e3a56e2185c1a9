//! The `narthex` command: flags, logging, exit code. What the subcommands do stands in `cli`.

mod cli;

use anyhow::Context;
use clap::Parser;
use std::io::{self, Write};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// A flush frees on one thread what commits allocated on others. Allocators with a lock per arena make commits wait for
/// that: p99 of a commit at 70 % of the maximum was 36 to 57 ms with glibc's and 5 to 11 ms with this one.
/// Without huge pages, which made a head of a million series a tenth larger and no faster.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Names what the engine logs to stderr, as in `NARTHEX_LOG=warn`. By default nothing: the subcommands report themselves,
/// but for the server, whose setting `log` it is.
const LOG_VARIABLE: &str = "NARTHEX_LOG";

fn main() -> ExitCode {
    let flags = cli::Flags::parse();
    match run(&flags) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // When stderr is gone as well there is nobody left to tell.
            let _ = writeln!(io::stderr(), "narthex: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything is well.
fn run(flags: &cli::Flags) -> anyhow::Result<bool> {
    if !flags.is_server() {
        let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new("off"));
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(io::stderr)
            .init();
    }
    let mut out = io::BufWriter::new(io::stdout().lock());
    let is_well = cli::run(flags, &mut out)?;
    out.flush().context("write to stdout")?;
    Ok(is_well)
}

/// Whoever read our output has seen enough, as in `narthex stats DIR | head`.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
