//! The configuration of the server: defaults < TOML file < environment < flags, from one table of settings.
//!
//! `settings` is the table. `file`, `flags` and the environment give values to settings, `resolve` joins them, reads them
//! and reports every fault at once; `doc` writes them down, as docs/config.md and for `--print-config`.

pub(crate) mod credentials;
mod doc;
pub(crate) mod file;
mod flags;
pub(crate) mod ingest;
mod log;
mod otlp;
pub(crate) mod query;
mod resolve;
mod rollups;
pub(crate) mod settings;
pub(crate) mod tenants;
mod units;

use self::credentials::Credentials;
use self::resolve::Raw;
use self::settings::Setting;
use crate::engine::rollups::{Aggregate, Rollup};
use crate::head::report::Durability;
use crate::io::LogFileOptions;
use crate::model::labels::Labels;
use ingest::{Ingest, RemoteRead};
use query::Query;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use tenants::Tenants;

pub use self::flags::ConfigFlags;

/// Names the configuration file when no flag does.
const CONFIG_VARIABLE: &str = "NARTHEX_CONFIG";

/// Where a configuration comes from. Kept, so that it can be read again.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    config: Option<PathBuf>,
    environment: Vec<(String, String)>,
    flags: Vec<(&'static Setting, String)>,
}

/// The configuration of a server.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) listen: String,
    /// Where Graphite's plaintext is taken.
    pub(crate) graphite_listen: Option<String>,
    pub(crate) data: PathBuf,
    /// Where backups go in place of the data folder.
    pub(crate) backup_dir: Option<PathBuf>,
    pub(crate) retention: Option<Duration>,
    pub(crate) retention_bytes: Option<u64>,
    pub(crate) log_retention: Option<Duration>,
    pub(crate) event_retention: Option<Duration>,
    pub(crate) rollups: Vec<Rollup>,
    pub(crate) aggregates: Vec<Aggregate>,
    pub(crate) durability: Durability,
    pub(crate) future_limit: Option<Duration>,
    pub(crate) head_bytes: u64,
    /// Samples in memory that make a flush due; 0 = none.
    pub(crate) flush_samples: u64,
    pub(crate) compaction_interval: Duration,
    pub(crate) external_labels: Labels,
    pub(crate) log: String,
    pub(crate) is_log_json: bool,
    pub(crate) log_file: Option<LogFileOptions>,
    pub(crate) http: Http,
    pub(crate) ingest: Ingest,
    pub(crate) tenants: Tenants,
    /// How OpenTelemetry's metrics become samples.
    pub(crate) otlp: crate::model::otlp_options::Options,
    pub(crate) remote_read: RemoteRead,
    pub(crate) query: Query,
    pub(crate) tls: Option<Tls>,
    pub(crate) credentials: Credentials,
    /// Every setting as it was written, for showing and comparing.
    effective: Vec<(&'static Setting, Raw)>,
}

/// What requests may take.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    pub(crate) body_bytes_max: usize,
    pub(crate) decoded_bytes_max: usize,
    pub(crate) concurrency: usize,
    pub(crate) queue_timeout: Duration,
    pub(crate) in_flight_bytes: usize,
    pub(crate) header_timeout: Duration,
    pub(crate) body_timeout: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) connections: usize,
    pub(crate) retry_after: Duration,
    pub(crate) shutdown_timeout: Duration,
    /// Origins that browsers may read answers from; anchored.
    pub(crate) cors_origin: String,
    /// Prometheus' own routes delete series and make snapshots.
    pub(crate) has_admin_api: bool,
    /// The server can be told to stop.
    pub(crate) has_quit: bool,
}

/// Files in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tls {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) client_ca: Option<PathBuf>,
}

/// Everything that is wrong with a configuration.
#[derive(Debug)]
pub struct ConfigError {
    /// One line each, with the place it is about.
    pub faults: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration is not valid")?;
        self.faults.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for ConfigError {}

impl Sources {
    /// A configuration file and nothing else.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self {
            config: Some(path.into()),
            ..Self::default()
        }
    }

    /// The configuration that all sources give together.
    pub fn resolve(&self) -> Result<Config, ConfigError> {
        resolve::resolve(self)
    }

    fn config_path(&self) -> Option<PathBuf> {
        let variable = self
            .environment
            .iter()
            .find(|variable| variable.0 == CONFIG_VARIABLE);
        let named = variable.map(|variable| PathBuf::from(&variable.1));
        self.config
            .clone()
            .or(named.filter(|path| !path.as_os_str().is_empty()))
    }
}

impl Config {
    /// Settings whose values differ, those first that a reload can apply and then those that it cannot. Of overrides it
    /// applies some: they may be in both.
    pub(crate) fn changed(&self, other: &Self) -> (Vec<&'static str>, Vec<&'static str>) {
        let both = self.effective.iter().zip(&other.effective);
        let changed: Vec<_> = both
            .filter(|(one, other)| one.1 != other.1)
            .map(|(one, _)| one.0)
            .collect();
        let opens_as = self.tenants.opens_as(&other.tenants);
        let needs_opening =
            |setting: &&&Setting| !setting.reloads || setting.key == "tenants.overrides" && !opens_as;
        let can = changed
            .iter()
            .filter(|setting| setting.reloads)
            .copied()
            .collect();
        let cannot = changed.iter().filter(needs_opening).copied().collect();
        let keys = |settings: Vec<&'static Setting>| settings.iter().map(|setting| setting.key).collect();
        (keys(can), keys(cannot))
    }

    /// This configuration with what a reload can apply taken from `fresh`.
    pub(crate) fn reloaded(&self, fresh: &Self) -> Self {
        let mut config = self.clone();
        config.log.clone_from(&fresh.log);
        config.backup_dir.clone_from(&fresh.backup_dir);
        config.http = Http {
            body_bytes_max: fresh.http.body_bytes_max,
            decoded_bytes_max: fresh.http.decoded_bytes_max,
            queue_timeout: fresh.http.queue_timeout,
            body_timeout: fresh.http.body_timeout,
            retry_after: fresh.http.retry_after,
            has_admin_api: fresh.http.has_admin_api,
            has_quit: fresh.http.has_quit,
            ..config.http
        };
        config.ingest.clone_from(&fresh.ingest);
        config.remote_read = RemoteRead {
            concurrency: config.remote_read.concurrency,
            ..fresh.remote_read.clone()
        };
        config.query = Query {
            concurrency: config.query.concurrency,
            ..fresh.query.clone()
        };
        config.tenants = Tenants {
            is_enabled: config.tenants.is_enabled,
            header: config.tenants.header,
            series_max: config.tenants.series_max,
            ..fresh.tenants.clone()
        };
        config.tls.clone_from(&fresh.tls);
        config.credentials.clone_from(&fresh.credentials);
        for (own, fresh) in config.effective.iter_mut().zip(&fresh.effective) {
            if own.0.reloads {
                own.1.clone_from(&fresh.1);
            }
        }
        config
    }
}
