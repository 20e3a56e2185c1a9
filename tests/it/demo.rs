//! The demo stack names only what there is: ports, mounts, settings, panels and pages are compared file by file. `stack` runs
//! what can be run.

mod files;
mod stack;

use crate::tidy::text::root;
use files::{
    alert_queries, alerts, dashboards, dockerfile, entries, list, panels, port, string, strings, text,
    wanted, yaml,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use yaml_rust2::Yaml;

const FEATURES: &str = "--enable-feature=";

/// What the real program prints, with nothing in its environment but `environment`.
fn narthex(arguments: &[&str], environment: &[(String, String)]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_narthex"));
    command.args(arguments).env_clear();
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    let output = command.output().expect("narthex runs");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// The arguments of the Dockerfile's one instruction of that name in the last stage.
fn instruction(name: &str) -> String {
    let instructions = dockerfile();
    let mut found = instructions.into_iter().filter(|one| one.0 == name);
    found.next_back().unwrap_or_else(|| panic!("no {name}")).1
}

/// Variables of the image.
fn image_environment() -> Vec<(String, String)> {
    let text = instruction("ENV");
    let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn image_variable(name: &str) -> String {
    let found = image_environment().into_iter().find(|pair| pair.0 == name);
    found.unwrap_or_else(|| panic!("the image does not set {name}")).1
}

/// The value of a flag in a service's command.
fn flag<'a>(service: &'a Yaml, name: &str) -> &'a str {
    let command = strings(&service["command"]);
    let found = command
        .iter()
        .find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("no {name} in {command:?}"))
}

/// Where each service of the compose file listens.
fn listeners(compose: &Yaml) -> BTreeMap<String, u16> {
    let services = &compose["services"];
    let mut ports = BTreeMap::from([("narthex".to_owned(), port(&image_variable("NARTHEX_LISTEN")))]);
    for name in ["prometheus", "node-exporter"] {
        ports.insert(
            name.to_owned(),
            port(flag(&services[name], "--web.listen-address")),
        );
    }
    let grafana = string(&services["grafana"]["environment"]["GF_SERVER_HTTP_PORT"]);
    ports.insert("grafana".to_owned(), grafana.parse().expect("a port"));
    ports
}

/// Source and target of a service's volumes.
fn volumes(service: &Yaml) -> Vec<(&str, &str)> {
    let volumes = strings(&service["volumes"]).into_iter();
    volumes
        .map(|volume| {
            let mut parts = volume.split(':');
            (parts.next().unwrap_or(""), parts.next().unwrap_or(""))
        })
        .collect()
}

/// The path in the repository of what a service sees at `path`.
fn mounted(service: &Yaml, path: &str) -> String {
    let found = volumes(service).into_iter().find_map(|(source, target)| {
        let rest = path.strip_prefix(target)?;
        (rest.is_empty() || rest.starts_with('/')).then(|| format!("{source}{rest}"))
    });
    found.unwrap_or_else(|| panic!("{path} is not mounted"))
}

#[test]
fn everyone_is_where_the_others_look() {
    let settings = narthex(&["serve", "--print-config"], &[]);
    let listen = settings.lines().find_map(|line| line.strip_prefix("listen = "));
    let by_hand = port(listen.expect("a setting").trim_matches('"'));

    let compose = yaml("docker-compose.yml");
    let ports = listeners(&compose);
    assert_eq!(ports["narthex"], by_hand, "by hand and in the image");

    let config = yaml("prometheus.yml");
    let jobs = list(&config["scrape_configs"]).iter().map(|job| {
        let targets = list(&job["static_configs"])
            .iter()
            .flat_map(|one| strings(&one["targets"]));
        (string(&job["job_name"]), targets.map(port).collect::<Vec<_>>())
    });
    let expected = [
        ("prometheus", vec![ports["prometheus"]]),
        ("node", vec![ports["node-exporter"]]),
        ("narthex", vec![by_hand]),
    ];
    assert_eq!(jobs.collect::<Vec<_>>(), expected);
    for key in ["remote_write", "remote_read"] {
        let urls: Vec<u16> = list(&config[key])
            .iter()
            .map(|one| port(string(&one["url"])))
            .collect();
        assert_eq!(urls, [by_hand], "{key}");
    }
    for source in list(&yaml("demo/grafana/datasources.yml")["datasources"]) {
        let uid = string(&source["uid"]);
        assert_eq!(port(string(&source["url"])), ports[uid], "{uid}");
    }
    let published: BTreeSet<u16> = strings(&compose["services"]["narthex"]["ports"])
        .into_iter()
        .map(|published| {
            let inside = port(published);
            assert_eq!(published, format!("127.0.0.1:{inside}:{inside}"));
            inside
        })
        .collect();
    assert!(
        published.is_subset(&ports.into_values().collect()),
        "{published:?}"
    );
}

#[test]
fn services_stand_on_their_own_feet() {
    let compose = yaml("docker-compose.yml");
    let ports = listeners(&compose);
    let services = entries(&compose["services"]);
    assert_eq!(services.len(), ports.len());
    for (name, service) in services {
        assert_eq!(service["restart"].as_str(), Some("unless-stopped"), "{name}");
        let image = string(&service["image"]);
        let (repository, tag) = image.split_once(':').expect("a tag");
        assert!(!repository.contains('.'), "{image} names a registry");
        assert!(
            tag.contains(|c: char| c.is_ascii_digit()),
            "{image} is not pinned"
        );
        if name == "narthex" {
            assert!(instruction("HEALTHCHECK").ends_with("CMD [\"narthex\", \"health\"]"));
            continue;
        }
        assert_eq!(
            service["network_mode"].as_str(),
            Some("service:narthex"),
            "{name}"
        );
        let test = strings(&service["healthcheck"]["test"]);
        assert_eq!(port(test.last().expect("a URL")), ports[name], "{name}");
    }
}

#[test]
fn what_is_mounted_is_there() {
    let compose = yaml("docker-compose.yml");
    let named: BTreeSet<&str> = entries(&compose["volumes"])
        .into_iter()
        .map(|one| one.0)
        .collect();
    let mut used = BTreeSet::new();
    for (name, service) in entries(&compose["services"]) {
        for (source, target) in volumes(service) {
            assert!(target.starts_with('/'), "{name}: {source}");
            if let Some(path) = source.strip_prefix("./") {
                assert!(root().join(path).exists(), "{name}: {source} does not exist");
            } else if source != "/" {
                used.insert(source);
            }
        }
    }
    assert_eq!(named, used, "volumes that are declared and used");

    let prometheus = &compose["services"]["prometheus"];
    let config = flag(prometheus, "--config.file");
    assert_eq!(mounted(prometheus, config), "./prometheus.yml");
    let folder = config.rsplit_once('/').expect("a folder").0;
    for rules in strings(&yaml("prometheus.yml")["rule_files"]) {
        assert!(root().join(rules).is_file(), "{rules}");
        assert_eq!(
            mounted(prometheus, &format!("{folder}/{rules}")),
            format!("./{rules}")
        );
    }
    mounted(prometheus, flag(prometheus, "--storage.tsdb.path"));

    let grafana = &compose["services"]["grafana"];
    for (kind, file) in [
        ("datasources", "datasources.yml"),
        ("dashboards", "dashboards.yml"),
    ] {
        let path = format!("/etc/grafana/provisioning/{kind}/narthex.yml");
        assert_eq!(mounted(grafana, &path), format!("./demo/grafana/{file}"));
    }
    for provider in list(&yaml("demo/grafana/dashboards.yml")["providers"]) {
        let path = mounted(grafana, string(&provider["options"]["path"]));
        assert_eq!(path, "./demo/grafana/dashboards");
    }
    let home = string(&grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]);
    assert!(root().join(mounted(grafana, home)).is_file(), "{home}");

    let data = image_variable("NARTHEX_DATA");
    mounted(&compose["services"]["narthex"], &data);
    assert_eq!(instruction("VOLUME"), data);
}

#[test]
fn the_image_runs_what_narthex_understands() {
    let settings = narthex(&["serve", "--print-config"], &image_environment());
    for (key, variable) in [("listen", "NARTHEX_LISTEN"), ("data", "NARTHEX_DATA")] {
        let line = format!("{key} = \"{}\"", image_variable(variable));
        assert!(settings.lines().any(|one| one == line), "{line} in:\n{settings}");
    }
    let exposed: u16 = instruction("EXPOSE").parse().expect("a port");
    assert_eq!(exposed, port(&image_variable("NARTHEX_LISTEN")));
    let health = narthex(&["health", "--help"], &[]);
    assert!(
        health.contains(&format!("[default: http://127.0.0.1:{exposed}/-/ready]")),
        "{health}"
    );
    assert_eq!(
        (instruction("ENTRYPOINT").as_str(), instruction("CMD").as_str()),
        ("[\"narthex\"]", "[\"serve\"]")
    );
    assert!(!["root", "0"].contains(&instruction("USER").as_str()));
}

#[test]
fn the_image_gets_what_it_copies() {
    let ignored = text(".dockerignore");
    let allowed: BTreeSet<&str> = ignored
        .lines()
        .filter_map(|line| line.strip_prefix('!'))
        .collect();
    assert!(ignored.lines().any(|line| line == "*"));
    let instructions = dockerfile();
    let copies = instructions
        .iter()
        .filter(|one| one.0 == "COPY" && !one.1.starts_with("--from"));
    let copied: BTreeSet<&str> = copies
        .flat_map(|copy| {
            let mut words: Vec<&str> = copy.1.split_whitespace().collect();
            words.pop();
            words
        })
        .collect();
    assert_eq!(copied, allowed);
    for path in copied {
        assert!(root().join(path).exists(), "{path}");
    }
}

#[test]
fn prometheus_is_started_alike_everywhere() {
    let features: BTreeSet<String> = ["README.md", "prometheus.yml", "docker-compose.yml"]
        .into_iter()
        .flat_map(|path| {
            let text = text(path);
            let end = |c: char| !c.is_ascii_alphanumeric() && c != '-' && c != ',';
            let found = text.split(FEATURES).skip(1);
            let found: Vec<String> = found
                .filter_map(|rest| Some(rest.split(end).next()?.to_owned()))
                .collect();
            assert!(!found.is_empty(), "{path} names no features");
            found
        })
        .collect();
    assert_eq!(features.len(), 1, "{features:?}");

    let (readme, config) = (text("README.md"), text("prometheus.yml"));
    let shown = readme
        .split("```yaml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    for line in shown.expect("the README shows the configuration").lines() {
        assert!(
            config.lines().any(|one| one == line),
            "`{line}` is not in prometheus.yml"
        );
    }
}

/// Where a panel is on the grid of 24 columns: x, y, width, height.
fn place(panel: &Value) -> [u64; 4] {
    ["x", "y", "w", "h"].map(|key| {
        panel["gridPos"][key]
            .as_u64()
            .unwrap_or_else(|| panic!("{panel}"))
    })
}

fn overlap([ax, ay, aw, ah]: [u64; 4], [bx, by, bw, bh]: [u64; 4]) -> bool {
    ax < bx + bw && bx < ax + aw && ay < by + bh && by < ay + ah
}

#[test]
fn dashboards_are_whole() {
    let dashboards = dashboards();
    let uids: BTreeSet<&str> = dashboards
        .iter()
        .filter_map(|one| one.1["uid"].as_str())
        .collect();
    assert_eq!(uids.len(), 2);
    let sources = yaml("demo/grafana/datasources.yml");
    let sources: BTreeSet<&str> = list(&sources["datasources"])
        .iter()
        .map(|one| string(&one["uid"]))
        .collect();
    for (path, dashboard) in &dashboards {
        let variables = dashboard["templating"]["list"].as_array().expect("variables");
        let names: Vec<&str> = variables.iter().filter_map(|one| one["name"].as_str()).collect();
        assert_eq!(names, ["datasource", "job", "instance"], "{path}");
        let source = variables[0]["current"]["value"].as_str().expect("a data source");
        assert!(sources.contains(source), "{path}: {source}");
        for link in dashboard["links"].as_array().into_iter().flatten() {
            let target = link["url"].as_str().and_then(|url| url.strip_prefix("/d/"));
            assert!(target.is_some_and(|uid| uids.contains(uid)), "{path}: {link}");
        }
        let panels = panels(dashboard);
        let ids: BTreeSet<u64> = panels.iter().filter_map(|panel| panel["id"].as_u64()).collect();
        assert_eq!(ids.len(), panels.len(), "{path}: panels have ids of their own");
        for (index, panel) in panels.iter().enumerate() {
            let title = panel["title"].as_str().expect("a title");
            let [x, _, width, _] = place(panel);
            assert!(x + width <= 24, "{path}: {title} is too wide");
            for other in &panels[..index] {
                assert!(
                    !overlap(place(panel), place(other)),
                    "{path}: {title} lies on {}",
                    other["title"]
                );
            }
            if panel["type"] != "row" {
                assert_eq!(panel["datasource"]["uid"], "${datasource}", "{path}: {title}");
                assert!(
                    panel["fieldConfig"]["defaults"]["unit"].is_string(),
                    "{path}: {title} has no unit"
                );
            }
        }
    }
}

/// The anchors of a page's headings.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter_map(|line| line.strip_prefix('#'));
    let keep = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    headings
        .map(|heading| heading.trim_start_matches('#').trim().to_lowercase())
        .map(|heading| {
            heading
                .chars()
                .filter(|c| keep(*c))
                .collect::<String>()
                .replace(' ', "-")
        })
        .collect()
}

#[test]
fn alerts_say_what_to_do() {
    let config = yaml("prometheus.yml");
    let jobs: Vec<&str> = list(&config["scrape_configs"])
        .iter()
        .map(|job| string(&job["job_name"]))
        .collect();
    let sender = string(&config["remote_write"][0]["name"]);
    for query in alert_queries() {
        assert!(
            wanted(&query.expr, "job").iter().all(|job| jobs.contains(job)),
            "{query:?}"
        );
        assert!(
            wanted(&query.expr, "remote_name")
                .iter()
                .all(|name| *name == sender),
            "{query:?}"
        );
    }
    let mut named = BTreeSet::new();
    for alert in alerts() {
        let name = string(&alert["alert"]);
        assert!(named.insert(name.to_owned()), "{name} twice");
        assert!(
            ["info", "warning", "critical"].contains(&string(&alert["labels"]["severity"])),
            "{name}"
        );
        let annotations = &alert["annotations"];
        assert!(
            !string(&annotations["summary"]).is_empty() && !string(&annotations["description"]).is_empty()
        );
        let (page, anchor) = string(&annotations["runbook"])
            .split_once('#')
            .expect("an anchor");
        assert!(
            anchors(&text(page)).contains(anchor),
            "{name}: {page} has no heading {anchor}"
        );
    }
    let manual = text("docs/operations.md");
    let (_, chapter) = manual.split_once("\n## Alerts\n").expect("a chapter on alerts");
    let explained: Vec<&str> = chapter
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .collect();
    for heading in explained {
        assert!(
            named.contains(heading),
            "docs/operations.md explains {heading}, which is no alert"
        );
    }
}
