//! Joins the layers (defaults < file < environment < flags) and checks the result; every fault is reported at once.

use super::credentials::{self, Credentials};
use super::ingest::{Ingest, RemoteRead, relabel_rule};
use super::query::Query;
use super::settings::{Kind, SETTINGS, Setting};
use super::tenants::{self, TenantName, Tenants};
use super::{Config, ConfigError, Http, Sources, Tls, file, units};
use crate::head::report::Durability;
use crate::model::labels::Labels;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A value as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Raw {
    Text(String),
    Map(Vec<(String, String)>),
    /// Of each table the fields, each with its words.
    Tables(Vec<Vec<(String, Vec<String>)>>),
}

/// A value that a layer gives to a setting.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) setting: &'static Setting,
    pub(super) raw: Raw,
    /// Where it comes from, as in `narthex.toml:3` or `--listen`.
    pub(super) origin: String,
}

/// What every setting has in the end.
type Effective = HashMap<&'static str, Given>;

pub(super) fn resolve(sources: &Sources) -> Result<Config, ConfigError> {
    let mut faults = Vec::new();
    let mut given: Vec<Given> = SETTINGS.iter().map(default_of).collect();
    if let Some(path) = sources.config_path() {
        read_file(&path, &mut given, &mut faults);
    }
    read_environment(&sources.environment, &mut given, &mut faults);
    given.extend(sources.flags.iter().map(|(setting, text)| Given {
        setting,
        raw: raw_of(setting, text),
        origin: format!("--{}", setting.flag()),
    }));
    let effective: Effective = given
        .into_iter()
        .map(|given| (given.setting.key, given))
        .collect();
    let config = read_all(&effective, &mut faults);
    match config {
        Some(config) if faults.is_empty() => Ok(config),
        _ => Err(ConfigError { faults }),
    }
}

/// The folder of servers whose users come to narthex; where it is there, it is the default.
const KNOWN_DATA: &str = "./tsdb_data";

fn default_of(setting: &'static Setting) -> Given {
    let is_known = setting.key == "data" && Path::new(KNOWN_DATA).is_dir();
    let default = if is_known { KNOWN_DATA } else { setting.default };
    Given {
        setting,
        raw: raw_of(setting, default),
        origin: "default".to_owned(),
    }
}

/// A value from the environment or a flag. `a=b,c=d` is a map there; a part without `=` is a name without a value, which
/// the check of names refuses.
fn raw_of(setting: &Setting, text: &str) -> Raw {
    match setting.kind {
        Kind::Map => {
            let parts = text.split(',').filter(|part| !part.is_empty());
            let pair = |part: &str| {
                let (name, value) = part.split_once('=').unwrap_or((part, ""));
                (name.trim().to_owned(), value.trim().to_owned())
            };
            Raw::Map(parts.map(pair).collect())
        }
        Kind::Tables => Raw::Tables(Vec::new()),
        _ => Raw::Text(text.to_owned()),
    }
}

fn read_file(path: &Path, given: &mut Vec<Given>, faults: &mut Vec<String>) {
    let name = path.display().to_string();
    match file::read(path).map(String::from_utf8) {
        Ok(Ok(text)) => file::parse(&name, &text, given, faults),
        Ok(Err(_)) => faults.push(format!("{name}: is not UTF-8")),
        Err(error) => faults.push(format!("the configuration file cannot be read: {error}")),
    }
}

/// An empty variable is none. Variables that begin as ours do and mean nothing are ignored, since orchestrators make such; but for those that are
/// nearly one of ours.
fn read_environment(variables: &[(String, String)], given: &mut Vec<Given>, faults: &mut Vec<String>) {
    let plain = || SETTINGS.iter().filter(|setting| setting.is_plain());
    let value_of = |name: &str| {
        let found = variables
            .iter()
            .find(|variable| variable.0 == name && !variable.1.is_empty());
        found.map(|variable| &variable.1)
    };
    let port = |port: &str, given: &[Given]| {
        let listen = given.iter().rev().find(|given| given.setting.key == "listen");
        match listen.map(|listen| &listen.raw) {
            Some(Raw::Text(listen)) => {
                let host = listen.rsplit_once(':').map_or(listen.as_str(), |parts| parts.0);
                format!("{host}:{port}")
            }
            _ => format!(":{port}"),
        }
    };
    for setting in plain() {
        let own = setting.variable();
        let (name, text) = match (value_of(&own), setting.alias) {
            (Some(text), _) => (own, text.clone()),
            (None, Some(alias)) => match value_of(alias) {
                Some(text) if alias == "PORT" => (alias.to_owned(), port(text, given)),
                Some(text) => (alias.to_owned(), text.clone()),
                None => continue,
            },
            (None, None) => continue,
        };
        let raw = raw_of(setting, &text);
        given.push(Given {
            setting,
            raw,
            origin: name,
        });
    }
    let names: Vec<String> = plain().map(Setting::variable).collect();
    for (name, _) in variables {
        let is_ours = names.contains(name) || name == super::CONFIG_VARIABLE;
        if !is_ours && name.starts_with("NARTHEX_") {
            let known = names.iter().map(|known| known.trim_start_matches("NARTHEX_"));
            let hint = file::hint(name.trim_start_matches("NARTHEX_"), known);
            if !hint.is_empty() {
                let hint = hint.replace("mean `", "mean `NARTHEX_");
                faults.push(format!("unknown variable {name}{hint}"));
            }
        }
    }
}

/// Reads typed values and collects what is wrong with them.
pub(super) struct Reader<'a> {
    effective: &'a Effective,
    faults: &'a mut Vec<String>,
}

impl<'a> Reader<'a> {
    /// The tables of a setting, numbered from 1.
    pub(super) fn tables(
        &self,
        key: &str,
    ) -> impl Iterator<Item = (usize, &'a Vec<(String, Vec<String>)>)> + use<'a> {
        let tables = match self.effective.get(key).map(|given| &given.raw) {
            Some(Raw::Tables(tables)) => tables.as_slice(),
            _ => &[],
        };
        (1..).zip(tables)
    }

    pub(super) fn fault(&mut self, key: &str, what: &str) {
        let origin = self
            .effective
            .get(key)
            .map_or("default", |given| given.origin.as_str());
        self.faults.push(format!("{origin}: `{key}`: {what}"));
    }

    pub(super) fn text(&self, key: &str) -> &'a str {
        match self.effective.get(key).map(|given| &given.raw) {
            Some(Raw::Text(text)) => text,
            _ => "",
        }
    }

    pub(super) fn read<T: Default>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> T {
        parse(self.text(key)).unwrap_or_else(|what| {
            self.fault(key, &what);
            T::default()
        })
    }

    fn duration(&mut self, key: &str) -> Duration {
        self.read(key, units::parse_duration)
    }

    /// A time-out or an interval: zero would mean never or always.
    pub(super) fn positive(&mut self, key: &str) -> Duration {
        self.read(key, |text| match units::parse_duration(text)? {
            Duration::ZERO => Err("must be longer than 0".to_owned()),
            duration => Ok(duration),
        })
    }

    pub(super) fn size(&mut self, key: &str) -> u64 {
        self.read(key, units::parse_size)
    }

    /// A size of something that is held in memory.
    fn buffer(&mut self, key: &str) -> usize {
        self.read(key, |text| match units::parse_size(text)? {
            0 => Err("must be larger than 0".to_owned()),
            bytes => usize::try_from(bytes).map_err(|_| "is too large for this machine".to_owned()),
        })
    }

    pub(super) fn count(&mut self, key: &str) -> usize {
        let is_sane = |count: &usize| (1..=1 << 20).contains(count);
        self.read(key, |text| {
            let count = text.parse().ok().filter(is_sane);
            count.ok_or_else(|| format!("`{text}` is not a number from 1 to {}", 1 << 20))
        })
    }

    pub(super) fn number(&mut self, key: &str) -> u64 {
        self.read(key, |text| {
            text.parse()
                .map_err(|_| format!("`{text}` is not a number of 0 or more"))
        })
    }

    pub(super) fn word(&mut self, key: &str) -> String {
        let kind = self.effective.get(key).map(|given| given.setting.kind);
        self.read(key, |text| match kind {
            Some(Kind::Choice(words)) if !words.contains(&text) => {
                let hint = file::hint(text, words.iter().copied());
                Err(format!("`{text}` is none of {}{hint}", words.join(", ")))
            }
            _ => Ok(text.to_owned()),
        })
    }

    pub(super) fn path(&self, key: &str) -> Option<PathBuf> {
        Some(self.text(key))
            .filter(|text| !text.is_empty())
            .map(PathBuf::from)
    }

    fn labels(&mut self, key: &str) -> Labels {
        let pairs = match self.effective.get(key).map(|given| &given.raw) {
            Some(Raw::Map(pairs)) => pairs.as_slice(),
            _ => &[],
        };
        match Labels::from_pairs(pairs.iter().map(|pair| (&pair.0, &pair.1))) {
            Ok(labels) if labels.len() == pairs.len() => labels,
            Ok(_) => {
                self.fault(key, "every label needs a value, as in name=value");
                Labels::default()
            }
            Err(error) => {
                self.fault(key, &error.to_string());
                Labels::default()
            }
        }
    }

    /// A regular expression for the whole of a text.
    fn regex(&mut self, key: &str) -> String {
        self.read(key, |text| {
            let anchored = format!("^(?:{text})$");
            match regex_automata::meta::Regex::new(&anchored) {
                Ok(_) => Ok(anchored),
                Err(_) => Err(format!("`{text}` is no regular expression")),
            }
        })
    }

    /// An address to listen on, if there is one.
    fn address(&mut self, key: &str) -> Option<String> {
        self.read(key, |text| match text {
            "" => Ok(None),
            text => units::address(text).map(Some),
        })
    }

    fn tls(&mut self) -> Option<Tls> {
        let client_ca = self.path("tls.client_ca");
        match (self.path("tls.certificate"), self.path("tls.key")) {
            (Some(certificate), Some(key)) => Some(Tls {
                certificate,
                key,
                client_ca,
            }),
            (None, None) => {
                if client_ca.is_some() {
                    self.fault("tls.client_ca", "needs tls.certificate and tls.key");
                }
                None
            }
            (Some(_), None) => {
                self.fault("tls.certificate", "needs tls.key");
                None
            }
            (None, Some(_)) => {
                self.fault("tls.key", "needs tls.certificate");
                None
            }
        }
    }

    fn ingest(&mut self) -> Ingest {
        let mut relabel = Vec::new();
        for (number, table) in self.tables("ingest.relabel") {
            match relabel_rule(table) {
                Ok(rule) => relabel.push(rule),
                Err(what) => self.fault("ingest.relabel", &format!("entry {number}: {what}")),
            }
        }
        let timeout = self.positive("ha.timeout");
        let labels = (self.text("ha.cluster_label"), self.text("ha.replica_label"));
        let ha = match (labels.0.is_empty(), labels.1.is_empty()) {
            (true, true) => None,
            (false, false) => Some((labels.0.to_owned(), labels.1.to_owned(), timeout)),
            (false, true) => {
                self.fault("ha.cluster_label", "needs ha.replica_label");
                None
            }
            (true, false) => {
                self.fault("ha.replica_label", "needs ha.cluster_label");
                None
            }
        };
        Ingest {
            relabel,
            ha,
            samples_per_second: self.number("ingest.samples_per_second"),
        }
    }

    pub(super) fn is_true(&mut self, key: &str) -> bool {
        self.word(key) == "true"
    }

    fn tenants(&mut self) -> Tenants {
        let mut overrides = BTreeMap::new();
        for (number, table) in self.tables("tenants.overrides") {
            let read =
                tenants::overrides(table).and_then(|(name, own)| match overrides.insert(name.clone(), own) {
                    None => Ok(()),
                    Some(_) => Err(format!("there is another table for `{name}`")),
                });
            if let Err(what) = read {
                self.fault("tenants.overrides", &format!("entry {number}: {what}"));
            }
        }
        Tenants {
            is_enabled: self.is_true("tenants.enabled"),
            header: self.read("tenants.header", |text| {
                let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
                match !text.is_empty() && text.bytes().all(is_name) {
                    true => Ok(text.to_owned()),
                    false => Err(format!("`{text}` is not the name of a header")),
                }
            }),
            default: self.read("tenants.default", |text| match text {
                "" => Ok(None),
                name => TenantName::parse(name).map(Some),
            }),
            count_max: self.count("tenants.count"),
            may_create: self.is_true("tenants.create"),
            samples_per_second: self.number("tenants.samples_per_second"),
            series_max: self.number("tenants.series"),
            overrides,
        }
    }

    fn remote_read(&mut self) -> RemoteRead {
        RemoteRead {
            is_streaming: self.word("remote_read.streaming") != "off",
            samples_max: self.number("remote_read.samples").max(1) as usize,
            concurrency: self.count("remote_read.concurrency"),
            timeout: self.positive("remote_read.timeout"),
        }
    }

    fn credentials(&mut self) -> Credentials {
        let mut credentials = Credentials::default();
        for key in ["auth.users", "auth.tokens"] {
            for (number, table) in self.tables(key) {
                if let Err(what) = credentials::add(&mut credentials, key, table) {
                    self.fault(key, &format!("entry {number}: {what}"));
                }
            }
        }
        credentials
    }
}

impl Reader<'_> {
    /// What does not fit together.
    fn check_tenants(&mut self, config: &Config) {
        for name in config.tenants.overrides.keys() {
            if let Err(error) = config.options_of(name).check() {
                self.fault("tenants.overrides", &format!("`{name}`: {error}"));
            }
            if config.http_of(name).body_bytes_max > config.http.in_flight_bytes {
                let what =
                    format!("`{name}`: one body may have more than all together (http.in_flight_bytes)");
                self.fault("tenants.overrides", &what);
            }
        }
        let is_bound = config.credentials.users.iter().any(|user| user.tenant.is_some());
        if !config.tenants.is_enabled && is_bound {
            self.fault("auth.users", "a user with a tenant needs tenants.enabled");
        }
        let is_bound = config
            .credentials
            .tokens
            .iter()
            .any(|token| token.tenant.is_some());
        if !config.tenants.is_enabled && is_bound {
            self.fault("auth.tokens", "a token with a tenant needs tenants.enabled");
        }
    }
}

/// `None` only when there are faults.
fn read_all(effective: &Effective, faults: &mut Vec<String>) -> Option<Config> {
    let mut reader = Reader { effective, faults };
    let interval = reader.positive("durability_interval");
    let durability = match reader.word("durability").as_str() {
        "never" => Durability::Never,
        "interval" => Durability::Interval(interval),
        _ => Durability::Always,
    };
    let (rollups, aggregates) = super::rollups::read(&mut reader);
    let nonzero = |duration: Duration| Some(duration).filter(|duration| !duration.is_zero());
    let config = Config {
        listen: reader.read("listen", units::address),
        graphite_listen: reader.address("graphite_listen"),
        data: reader.path("data").unwrap_or_default(),
        backup_dir: reader.path("backup_dir"),
        retention: nonzero(reader.duration("retention")),
        retention_bytes: Some(reader.size("retention_bytes")).filter(|bytes| *bytes > 0),
        log_retention: nonzero(reader.duration("log_retention")),
        event_retention: nonzero(reader.duration("event_retention")),
        rollups,
        aggregates,
        durability,
        future_limit: nonzero(reader.duration("future_limit")),
        head_bytes: reader.buffer("head_bytes") as u64,
        flush_samples: reader.number("flush_samples"),
        compaction_interval: reader.duration("compaction_interval"),
        external_labels: reader.labels("external_labels"),
        log: reader.log_filter(),
        is_log_json: reader.word("log_format") == "json",
        log_file: reader.log_file(),
        http: Http {
            body_bytes_max: reader.buffer("http.body_bytes"),
            decoded_bytes_max: reader.buffer("http.decoded_bytes"),
            concurrency: reader.count("http.concurrency"),
            queue_timeout: reader.positive("http.queue_timeout"),
            in_flight_bytes: reader.buffer("http.in_flight_bytes"),
            header_timeout: reader.positive("http.header_timeout"),
            body_timeout: reader.positive("http.body_timeout"),
            write_timeout: reader.positive("http.write_timeout"),
            idle_timeout: reader.positive("http.idle_timeout"),
            connections: reader.count("http.connections"),
            retry_after: reader.positive("http.retry_after"),
            shutdown_timeout: reader.positive("http.shutdown_timeout"),
            cors_origin: reader.regex("http.cors_origin"),
            has_admin_api: reader.is_true("http.admin_api"),
            has_quit: reader.is_true("http.lifecycle"),
        },
        ingest: reader.ingest(),
        tenants: reader.tenants(),
        otlp: super::otlp::read(&mut reader),
        remote_read: reader.remote_read(),
        query: Query::read(&mut reader),
        tls: reader.tls(),
        credentials: reader.credentials(),
        effective: SETTINGS
            .iter()
            .filter_map(|setting| Some((setting, effective.get(setting.key)?.raw.clone())))
            .collect(),
    };
    if config.data.as_os_str().is_empty() {
        reader.fault("data", "names no folder");
    }
    if config.http.body_bytes_max > config.http.in_flight_bytes {
        reader.fault(
            "http.in_flight_bytes",
            "is less than one body may have (http.body_bytes)",
        );
    }
    reader.check_tenants(&config);
    reader.faults.is_empty().then_some(config)
}
