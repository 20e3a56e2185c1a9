//! `narthex serve`: the server, with the signals of a service and its log on stderr.

use super::Failure;
use narthex::server::{ConfigFlags, Server};
use std::io::{self, IsTerminal, Write};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, fmt, reload};

/// Serves until it is told to stop; with `--print-config` prints and returns.
pub(super) fn run(flags: &ConfigFlags, out: &mut impl Write) -> Result<bool, Failure> {
    let sources = flags.sources();
    let config = sources.resolve()?;
    if flags.print {
        write!(out, "{}", config.to_toml())?;
        return Ok(true);
    }
    let set_log = start_log(config.log(), config.is_log_json());
    Server::bind(config, sources)?
        .with_signals()
        .on_log_change(set_log)
        .run()?;
    Ok(true)
}

/// Sends events to stderr, and returns what changes which ones. The text of a filter was checked by the configuration.
fn start_log(filter: &str, is_json: bool) -> impl Fn(&str) + Send + Sync + 'static {
    let (filter, handle) = reload::Layer::new(EnvFilter::new(filter));
    let lines = fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    let lines = if is_json {
        lines.json().flatten_event(true).boxed()
    } else {
        lines.boxed()
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .init();
    move |filter| {
        if let Err(error) = handle.reload(EnvFilter::new(filter)) {
            tracing::error!(%error, "the log filter was not changed");
        }
    }
}
