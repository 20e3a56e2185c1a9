//! The table of settings. File, environment, flags, `--print-config` and docs/config.md are all made from it.

use crate::model::otlp_options::Translation;

/// How a setting's value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any text.
    Text,
    /// A file or folder; the empty text is none.
    Path,
    /// As Prometheus writes them: `15d`, `1h30m`, `0`.
    Duration,
    /// `32MiB`; a number alone is bytes.
    Size,
    /// A number of things, at least 1.
    Count,
    /// A number, 0 included.
    Number,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Texts: a list in the file, with commas elsewhere.
    List,
    /// Names with values: a table in the file, `a=b,c=d` elsewhere.
    Map,
    /// A list of tables, in the file only.
    Tables,
}

/// One setting.
#[derive(Debug)]
pub(crate) struct Setting {
    /// Its name in the file; what stands before a dot is the table it is in.
    pub(crate) key: &'static str,
    pub(crate) kind: Kind,
    /// As it would be written in the environment.
    pub(crate) default: &'static str,
    /// An environment variable that is honoured beside the setting's own.
    pub(crate) alias: Option<&'static str>,
    /// Whether a reload applies a changed value.
    pub(crate) reloads: bool,
    pub(crate) help: &'static str,
}

impl Setting {
    /// The environment variable: `http.body_timeout` is `NARTHEX_HTTP_BODY_TIMEOUT`.
    pub(crate) fn variable(&self) -> String {
        format!("NARTHEX_{}", self.key.to_uppercase().replace('.', "_"))
    }

    /// The flag without its dashes: `http.body_timeout` is `http-body-timeout`.
    pub(crate) fn flag(&self) -> String {
        self.key.replace(['.', '_'], "-")
    }

    /// What the value is called in help texts.
    pub(crate) fn value_name(&self) -> &'static str {
        match self.kind {
            Kind::Text => "TEXT",
            Kind::Path => "PATH",
            Kind::Duration => "DURATION",
            Kind::Size => "SIZE",
            Kind::Count | Kind::Number => "NUMBER",
            Kind::Choice(_) => "WORD",
            Kind::List => "TEXT,...",
            Kind::Map => "NAME=VALUE,...",
            Kind::Tables => "TABLES",
        }
    }

    /// Whether it can be given outside of the file.
    pub(crate) fn is_plain(&self) -> bool {
        self.kind != Kind::Tables
    }
}

/// The setting of that name.
pub(crate) fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

const fn setting(key: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Setting {
    Setting {
        key,
        kind,
        default,
        alias: None,
        reloads: false,
        help,
    }
}

impl Setting {
    const fn alias(mut self, variable: &'static str) -> Self {
        self.alias = Some(variable);
        self
    }

    const fn reloads(mut self) -> Self {
        self.reloads = true;
        self
    }
}

/// Every setting, in the order in which it is shown; those of one table stand together, those of none first.
pub(crate) const SETTINGS: &[Setting] = &[
    setting("listen", Kind::Text, "127.0.0.1:6364", "Address and port to listen on; `:6364` is every interface. The variable PORT replaces the port alone.")
        .alias("PORT"),
    setting("graphite_listen", Kind::Text, "", "Address and port on which Graphite's plaintext is taken over TCP, as `127.0.0.1:2003`; empty takes none. Whoever reaches it can write to the tenant of requests without a header, and is not asked who they are."),
    setting("data", Kind::Path, "./narthex-data", "Folder of the database; created if need be. Where there is a folder `./tsdb_data`, that one is the default.").alias("DATA_DIR"),
    setting("backup_dir", Kind::Path, "", "Folder in which `POST /api/v1/admin/backup` makes a folder `backups` for a tenant's backups, as the data folder has one for its database; empty is the data folder itself. Another disk is better.").reloads(),
    setting("retention", Kind::Duration, "0", "Samples older than this are dropped; 0 keeps them forever."),
    setting("retention_bytes", Kind::Size, "0", "The oldest samples are dropped while the database takes more than this; 0 is no limit."),
    setting("log_retention", Kind::Duration, "0", "Lines of logs older than this are dropped; 0 keeps them forever."),
    setting("event_retention", Kind::Duration, "0", "Events older than this are dropped; 0 keeps them forever."),
    setting("rollups", Kind::List, "5m, 1h", "Widths of the windows in which series are rolled up, for long queries and for what samples are too many to keep (docs/rollups.md). `1h keep 5y` drops windows after five years, `1h of up or {job=\"node\"}` has some series only, and both may be said: `1h keep 5y of up`. Widths are whole seconds and differ. An empty list, or `none` in a variable, makes no rollups."),
    setting("durability", Kind::Choice(&["always", "interval", "never"]), "always", "When a write is acknowledged: always = when it is on the disk; interval = when the operating system has it, which is told to write it that often; never = when the operating system has it."),
    setting("durability_interval", Kind::Duration, "100ms", "How often the log is written to the disk when durability is interval."),
    setting("future_limit", Kind::Duration, "10m", "Samples further in the future are refused; 0 is no limit."),
    setting("head_bytes", Kind::Size, "4GiB", "Memory for recent samples; beyond it they are written to a segment early."),
    setting("flush_samples", Kind::Number, "0", "Samples in memory at which they are written to a segment, however few hours they span; 0 leaves it to time and memory. It counts as 262,144 at least, and as 16 for each series in memory, since smaller segments cost more than they hold.")
        .alias("MEMTABLE_THRESHOLD"),
    setting("compaction_interval", Kind::Duration, "0", "How often it is looked for segments that are due to be merged; the first look after each flush comes at once, and what is found is merged without a pause. 0 looks whenever there is nothing else to do, which costs little; `5m` keeps the disk quiet in between."),
    setting("enable_feature", Kind::Text, "", "Features of Prometheus' name, separated by commas, that change what queries answer: promql-delayed-name-removal, use-start-timestamps, type-and-unit-labels and promql-per-step-stats. Names of other features are accepted and warned about.").reloads(),
    setting("external_labels", Kind::Map, "", "Labels that hold for every series, as Prometheus' external_labels: remote read adds them to what it returns."),
    setting("log", Kind::Text, "info", "What is logged to stderr: error, warn, info, debug or trace, also by module as in `info,narthex::engine=debug`.")
        .alias("RUST_LOG")
        .reloads(),
    setting("log_format", Kind::Choice(&["text", "json"]), "text", "How it is logged: lines for people or JSON objects."),
    setting("log_file", Kind::Path, "", "A file in which the same is logged, beside stderr; its folder must be there. Lines that cannot be written there, as on a full disk, are left out, and a line says later how many."),
    setting("log_file_max_bytes", Kind::Size, "64MiB", "Size beyond which a new file is begun and the old one becomes `log_file` with `.1` behind it; 0 is no limit."),
    setting("log_files_kept", Kind::Number, "5", "Older files that stay, `.1` to this number, 1000 at most; 0 keeps none."),
    setting("aggregates", Kind::Tables, "", "Metrics that are made of other series (docs/rollups.md): tables with `name`, `selector`, `interval`, the width of the windows in whole seconds, `functions`, a list of avg, sum, min, max, count, first, last and increase, and perhaps `retention`. Each function makes a metric `name:function`."),
    setting("ingest.samples_per_second", Kind::Number, "0", "Samples that one sender may write in a second, in the long run; beyond it requests get 429. A sender is a user or token, or everyone who is not asked. 0 is no limit.").reloads(),
    setting("ingest.relabel", Kind::Tables, "", "Rules that change or drop series that are written, one after the other: tables with the fields of Prometheus' write_relabel_configs (source_labels, separator, regex, modulus, target_label, replacement, action). What is dropped counts as written.").reloads(),
    setting("ha.cluster_label", Kind::Text, "", "Label that names the cluster of a pair of senders that scrape the same targets; with ha.replica_label it turns election on: of each cluster one replica is stored.").reloads(),
    setting("ha.replica_label", Kind::Text, "", "Label that tells the senders of a cluster apart; it is taken off what is stored.").reloads(),
    setting("ha.timeout", Kind::Duration, "30s", "After this long without a sample of the elected replica another one takes its place.").reloads(),
    setting("tenants.enabled", Kind::Choice(&["true", "false"]), "false", "Whether requests are parted by tenant, each with a database of its own (docs/tenants.md)."),
    setting("tenants.header", Kind::Text, "X-Scope-OrgID", "The header of a request that names its tenant."),
    setting("tenants.default", Kind::Text, "anonymous", "The tenant of requests without that header; empty refuses them with 401. The tenant `anonymous` has the database of a server without tenants.").reloads(),
    setting("tenants.count", Kind::Count, "100", "Tenants that there may be beside `anonymous`; a write for one more gets 403.").reloads(),
    setting("tenants.create", Kind::Choice(&["true", "false"]), "true", "Whether a write may create a tenant; if not, only those that tenants.overrides names.").reloads(),
    setting("tenants.samples_per_second", Kind::Number, "0", "Samples that a tenant may write in a second, all its senders together, in the long run; beyond it requests get 429. 0 is no limit.").reloads(),
    setting("tenants.series", Kind::Number, "0", "Series that a tenant may have in memory; samples of further ones are refused as `series_limit`. 0 is no limit."),
    setting("tenants.overrides", Kind::Tables, "", "What holds for one tenant instead: tables with `name` and any of `samples_per_second`, `series`, `retention`, `retention_bytes`, `rollups`, `head_bytes` and `body_bytes` (http.body_bytes). A reload applies `samples_per_second` and `body_bytes`; the others hold from the next opening of the tenant on.").reloads(),
    setting("otlp.translation_strategy", Kind::Choice(&Translation::NAMES), "UnderscoreEscapingWithSuffixes", "How names of OpenTelemetry become names of metrics and labels, in the words of Prometheus: with escaping, characters other than letters, digits and underscores become underscores; with suffixes, unit and type stand behind a metric's name.").reloads(),
    setting("otlp.promote_resource_attributes", Kind::Text, "", "Attributes of OpenTelemetry's resources that become labels of all their series, by their keys with commas between them; `*` is all. The others are labels of `target_info`.").reloads(),
    setting("otlp.keep_identifying_resource_attributes", Kind::Choice(&["true", "false"]), "false", "Whether `target_info` also has service.name, service.namespace and service.instance.id, of which `job` and `instance` are made.").reloads(),
    setting("otlp.promote_scope_metadata", Kind::Choice(&["true", "false"]), "false", "Whether name, version, schema and attributes of the instrumentation's scope become labels that begin with `otel_scope_`.").reloads(),
    setting("otlp.convert_histograms_to_nhcb", Kind::Choice(&["true", "false"]), "false", "Whether OpenTelemetry's histograms with explicit bounds become native histograms with custom buckets, rather than series for each bucket.").reloads(),
    setting("otlp.delta", Kind::Choice(&["accumulate", "refuse"]), "accumulate", "What becomes of sums and histograms that count from the point before: they are added up, in memory, to what PromQL expects, or refused.").reloads(),
    setting("remote_read.streaming", Kind::Choice(&["on", "off"]), "on", "Whether remote read may answer as a stream of chunks; otherwise it answers in one message.").reloads(),
    setting("remote_read.samples", Kind::Number, "50000000", "Samples that a query may find when it is answered in one message; more get 400.").reloads(),
    setting("remote_read.concurrency", Kind::Count, "10", "Remote reads that are worked on at the same time; the others wait."),
    setting("remote_read.timeout", Kind::Duration, "5m", "How long a remote read may take; then its stream is cut off.").reloads(),
    setting("query.timeout", Kind::Duration, "2m", "Longest time that a query may take, waiting for its turn included; a request may ask for less.").reloads(),
    setting("query.lookback", Kind::Duration, "5m", "How far back an instant selector looks for a sample, unless a request says otherwise.").reloads(),
    setting("query.samples", Kind::Number, "50000000", "The most samples that a query may have in memory at once.").reloads(),
    setting("query.bytes", Kind::Size, "2GiB", "Memory of all queries together; one that would need more is ended with 422.").reloads(),
    setting("query.concurrency", Kind::Count, "20", "Queries that are worked on at the same time; the others wait, tenants taking turns."),
    setting("query.slow", Kind::Duration, "5s", "Queries that take longer are logged.").reloads(),
    setting("http.cors_origin", Kind::Text, ".*", "A regular expression for origins that browsers may read answers from."),
    setting("http.admin_api", Kind::Choice(&["true", "false"]), "false", "Whether the routes below `/api/v1/admin/tsdb/` delete series and make snapshots, as Prometheus' --web.enable-admin-api. The other routes of an operator need the scope `admin` only.").reloads(),
    setting("http.lifecycle", Kind::Choice(&["true", "false"]), "false", "Whether `POST /-/quit` stops the server.").reloads(),
    setting("http.body_bytes", Kind::Size, "32MiB", "Largest body of a request as it is sent; larger ones get 413.").reloads(),
    setting("http.decoded_bytes", Kind::Size, "32MiB", "Largest body of a request once it is decompressed; larger ones get 400.").reloads(),
    setting("http.concurrency", Kind::Count, "64", "Requests that are worked on at the same time; the others wait."),
    setting("http.queue_timeout", Kind::Duration, "10s", "How long a request waits for its turn before it gets 503.").reloads(),
    setting("http.in_flight_bytes", Kind::Size, "512MiB", "Bodies in memory, all requests together; requests beyond it get 503."),
    setting("http.header_timeout", Kind::Duration, "10s", "From the first byte of a request to the end of its headers, and for a TLS handshake; slower clients are cut off."),
    setting("http.body_timeout", Kind::Duration, "30s", "From the end of the headers to the end of the body; slower clients get 408.").reloads(),
    setting("http.write_timeout", Kind::Duration, "60s", "A client that takes nothing of its answer for this long is cut off."),
    setting("http.idle_timeout", Kind::Duration, "6m", "A connection without requests is closed after this; longer than the 5 minutes after which Prometheus closes its own."),
    setting("http.connections", Kind::Count, "8192", "Open connections; further ones wait to be accepted."),
    setting("http.retry_after", Kind::Duration, "5s", "What a 503 asks the sender to wait, in its Retry-After header.").reloads(),
    setting("http.shutdown_timeout", Kind::Duration, "20s", "How long requests that are under way may take to end after SIGTERM."),
    setting("tls.certificate", Kind::Path, "", "Certificate chain in PEM; with tls.key it turns TLS on. Both files are read again by a reload.").reloads(),
    setting("tls.key", Kind::Path, "", "Private key in PEM.").reloads(),
    setting("tls.client_ca", Kind::Path, "", "Certificate authorities in PEM; with it clients must show a certificate that one of them signed.").reloads(),
    setting("auth.users", Kind::Tables, "", "Users for basic authentication: tables with `name`, `password` (a bcrypt hash, see `narthex hash-password`) and `scopes`, a list of `read`, `write` and `admin`; with `tenant` for one tenant only.").reloads(),
    setting("auth.tokens", Kind::Tables, "", "Bearer tokens: tables with `name`, `sha256` (the token's SHA-256 in hexadecimal; the token must be random and long), `scopes` and perhaps `tenant`.").reloads(),
];
