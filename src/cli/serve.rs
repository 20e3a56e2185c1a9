//! `narthex serve`: the server, with the signals of a service and its log on stderr, and in a file.

use super::Failure;
use narthex::server::{Config, ConfigFlags, Server};
use std::io::{self, IsTerminal, Write};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

/// Serves until it is told to stop; with `--print-config` prints and returns.
pub(super) fn run(flags: &ConfigFlags, out: &mut impl Write) -> Result<bool, Failure> {
    let sources = flags.sources();
    let config = sources.resolve()?;
    if flags.print {
        write!(out, "{}", config.to_toml())?;
        return Ok(true);
    }
    let set_log = start_log(&config)?;
    Server::bind(config, sources)?
        .with_signals()
        .on_log_change(set_log)
        .run()?;
    Ok(true)
}

/// Lines of events, for one place.
type Lines = Box<dyn Layer<Registry> + Send + Sync>;

/// Sends events to stderr and to the file, if there is one, and returns what changes which ones. The text of a filter was checked
/// by the configuration.
fn start_log(config: &Config) -> Result<impl Fn(&str) + Send + Sync + 'static, Failure> {
    let (filter, handle) = reload::Layer::new(EnvFilter::new(config.log()));
    let is_json = config.is_log_json();
    let mut places = vec![lines(io::stderr, io::stderr().is_terminal(), is_json)];
    if let Some(file) = config.open_log_file()? {
        places.push(lines(move || file.clone(), false, is_json));
    }
    tracing_subscriber::registry()
        .with(places.with_filter(filter))
        .init();
    Ok(move |filter: &str| {
        if let Err(error) = handle.reload(EnvFilter::new(filter)) {
            tracing::error!(%error, "the log filter was not changed");
        }
    })
}

/// Events as lines for people, or as JSON objects.
fn lines<W>(writer: W, is_terminal: bool, is_json: bool) -> Lines
where
    W: for<'a> fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_writer(writer).with_ansi(is_terminal);
    match is_json {
        true => lines.json().flatten_event(true).boxed(),
        false => lines.boxed(),
    }
}
