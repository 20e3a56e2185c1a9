//! The files of the demo stack, read as what they are.

use crate::tidy::text::{files, root};
use serde_json::Value;
use std::collections::BTreeSet;
use yaml_rust2::{Yaml, YamlLoader};

pub(super) fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The one document of a YAML file.
pub(super) fn yaml(path: &str) -> Yaml {
    let mut documents =
        YamlLoader::load_from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(documents.len(), 1, "{path}");
    documents.remove(0)
}

/// The entries of a list; none if it is not there.
pub(super) fn list(yaml: &Yaml) -> &[Yaml] {
    yaml.as_vec().map_or(&[], Vec::as_slice)
}

pub(super) fn string(yaml: &Yaml) -> &str {
    yaml.as_str().unwrap_or_else(|| panic!("{yaml:?} is no text"))
}

pub(super) fn strings(yaml: &Yaml) -> Vec<&str> {
    list(yaml).iter().map(string).collect()
}

/// Keys and values of a mapping; none if it is not there.
pub(super) fn entries(yaml: &Yaml) -> Vec<(&str, &Yaml)> {
    let entries = yaml.as_hash().into_iter().flatten();
    entries.map(|(key, value)| (string(key), value)).collect()
}

/// Instructions of the Dockerfile with their arguments, in order.
pub(super) fn dockerfile() -> Vec<(String, String)> {
    let text = text("Dockerfile");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let whole = lines.join("\n").replace("\\\n", " ");
    let instructions = whole.lines().filter_map(|line| line.trim().split_once(' '));
    instructions
        .map(|(name, arguments)| (name.to_owned(), arguments.trim().to_owned()))
        .collect()
}

/// Each dashboard with its path.
pub(super) fn dashboards() -> Vec<(String, Value)> {
    let parse = |path: String, text: &str| {
        let parsed = serde_json::from_str(text);
        let dashboard = parsed.unwrap_or_else(|error| panic!("{path}: {error}"));
        (path, dashboard)
    };
    let files = files("demo/grafana/dashboards", &[".json"]);
    files
        .into_iter()
        .map(|file| parse(file.path, &file.text))
        .collect()
}

/// The panels of a dashboard, rows included.
pub(super) fn panels(dashboard: &Value) -> &[Value] {
    dashboard["panels"].as_array().map_or(&[], Vec::as_slice)
}

/// A PromQL expression and where it stands.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) place: String,
    pub(super) expr: String,
}

/// The expressions of a dashboard's panels and annotations, with any value for its variables.
pub(super) fn dashboard_queries(path: &str, dashboard: &Value) -> Vec<Query> {
    let mut queries = Vec::new();
    let mut add = |place: &Value, expr: &Value| {
        let expr = expr
            .as_str()
            .unwrap_or_else(|| panic!("{path}: {place} asks nothing"));
        queries.push(Query {
            place: format!("{path}: {}", place.as_str().unwrap_or("")),
            expr: fill_in(expr),
        });
    };
    for panel in panels(dashboard) {
        for target in panel["targets"].as_array().into_iter().flatten() {
            add(&panel["title"], &target["expr"]);
        }
    }
    for annotation in dashboard["annotations"]["list"].as_array().into_iter().flatten() {
        add(&annotation["name"], &annotation["expr"]);
    }
    queries
}

fn fill_in(expr: &str) -> String {
    let filled = [
        ("$__rate_interval", "1m"),
        ("$__range", "1h"),
        ("$job", ".+"),
        ("$instance", ".+"),
    ]
    .iter()
    .fold(expr.to_owned(), |text, (variable, value)| {
        text.replace(variable, value)
    });
    assert!(!filled.contains('$'), "{expr}: a variable that nobody fills in");
    filled
}

/// The alert rules.
pub(super) fn alerts() -> Vec<Yaml> {
    let file = yaml("demo/alerts.yml");
    let groups = list(&file["groups"]).iter();
    groups.flat_map(|group| list(&group["rules"]).to_vec()).collect()
}

pub(super) fn alert_queries() -> Vec<Query> {
    let query = |alert: &Yaml| Query {
        place: string(&alert["alert"]).to_owned(),
        expr: string(&alert["expr"]).to_owned(),
    };
    alerts().iter().map(query).collect()
}

/// The metrics that an expression names, of those programs whose metrics begin with a prefix of their own.
pub(super) fn metric_names(expr: &str) -> BTreeSet<&str> {
    let words = expr.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let prefixes = ["narthex_", "process_", "node_", "prometheus_"];
    words
        .filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix)))
        .collect()
}

/// The values that an expression wants a label to equal.
pub(super) fn wanted<'a>(expr: &'a str, label: &str) -> Vec<&'a str> {
    let pattern = format!("{label}=\"");
    expr.match_indices(&pattern)
        .filter_map(|(at, _)| expr[at + pattern.len()..].split('"').next())
        .collect()
}

/// The port of `http://host:port/path`, `host:port` or `:port`.
pub(super) fn port(address: &str) -> u16 {
    let host = address.split_once("://").map_or(address, |parts| parts.1);
    let host = host.split('/').next().unwrap_or("");
    let digits = host.rsplit_once(':').map_or("", |parts| parts.1);
    digits.parse().unwrap_or_else(|_| panic!("{address} has no port"))
}
