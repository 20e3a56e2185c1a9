//! The shipped prometheus.yml with the real programs: samples arrive, rules are evaluated, and the queries of dashboards and
//! alerts name metrics that exist.

use super::files::{Query, alert_queries, dashboard_queries, dashboards, metric_names, text};
use crate::peers::http::{self, escape, wait_until};
use crate::peers::processes::{Narthex, NodeExporter, Prometheus, peer};
use crate::tidy::text::root;
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
/// What has series only once something went wrong.
const ONLY_IN_TROUBLE: &str = "sum by (reason) (rate(narthex_ingest_rejected_total";

struct Stack {
    narthex: Narthex,
    node: NodeExporter,
    prometheus: Prometheus,
    _folder: tempfile::TempDir,
}

impl Stack {
    /// prometheus.yml as it is shipped, but for ports and, so that the test is short, intervals.
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let narthex = Narthex::start(folder.path(), &[]);
        let node = NodeExporter::start(folder.path());
        let rules = root().join("demo/alerts.yml");
        let replaced = [
            ("localhost:9090", "localhost:PORT".to_owned()),
            ("localhost:9100", format!("localhost:{}", node.port)),
            ("localhost:6364", format!("localhost:{}", narthex.port)),
            ("127.0.0.1:6364", format!("127.0.0.1:{}", narthex.port)),
            ("_interval: 15s", "_interval: 1s".to_owned()),
            ("- demo/alerts.yml", format!("- {}", rules.display())),
        ];
        let config = replaced
            .iter()
            .fold(text("prometheus.yml"), |config, (from, to)| {
                assert!(config.contains(from), "prometheus.yml says {from}");
                config.replace(from, to)
            });
        let features = text("docker-compose.yml");
        let features = features
            .lines()
            .find_map(|line| line.trim().strip_prefix("- --enable-feature="));
        let features = format!("--enable-feature={}", features.expect("features"));
        let prometheus = Prometheus::start(folder.path(), "shipped", &config, &[&features]);
        Self {
            narthex,
            node,
            prometheus,
            _folder: folder,
        }
    }

    /// The names of the samples that the three programs expose.
    fn exposed(&self) -> BTreeSet<String> {
        let ports = [self.narthex.port, self.node.port, self.prometheus.port];
        let pages = ports.map(|port| http::get(port, "/metrics").expect("a page").text());
        let lines = pages.iter().flat_map(|page| page.lines());
        lines
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split(['{', ' ']).next())
            .map(str::to_owned)
            .collect()
    }

    /// The series that an expression finds.
    fn ask(&self, query: &Query) -> Vec<Value> {
        let path = format!("/api/v1/query?query={}", escape(&query.expr));
        let answer = http::json(self.prometheus.port, &path);
        assert_eq!(answer["status"], "success", "{query:?}: {answer}");
        answer["data"]["result"].as_array().expect("series").clone()
    }

    /// The sum of one of narthex' metrics.
    fn narthex_metric(&self, name: &str) -> f64 {
        let page = http::get(self.narthex.port, "/metrics").expect("a page").text();
        let values = page.lines().filter(|line| line.starts_with(name));
        values
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }
}

fn narthex_queries() -> Vec<Query> {
    let dashboards = dashboards();
    let mut ours = dashboards.iter().filter(|one| one.1["uid"] == "narthex");
    let (path, dashboard) = ours.next().expect("the dashboard of narthex");
    dashboard_queries(path, dashboard)
}

#[test]
fn the_shipped_files_work_together() {
    let stack = Stack::start();
    for (what, name) in [
        ("floats arrive", "narthex_ingest_samples_total{type=\"float\"}"),
        (
            "native histograms arrive",
            "narthex_ingest_samples_total{type=\"histogram\"}",
        ),
        ("metadata arrives", "narthex_ingest_metadata_total"),
    ] {
        wait_until(what, PATIENCE, || stack.narthex_metric(name) > 0.0);
    }
    let flushed = http::send(stack.narthex.port, "POST", "/api/v1/admin/flush", "", &[]);
    assert_eq!(flushed.expect("an answer").status, 200);

    wait_until("all rules are evaluated without errors", PATIENCE, || {
        let answer = http::json(stack.prometheus.port, "/api/v1/rules");
        let groups = answer["data"]["groups"].as_array().expect("groups");
        let rules = groups
            .iter()
            .flat_map(|group| group["rules"].as_array().expect("rules"));
        let health: Vec<&Value> = rules.map(|rule| &rule["health"]).collect();
        assert!(!health.contains(&&Value::from("err")), "{answer}");
        health.len() == alert_queries().len() && health.iter().all(|one| *one == "ok")
    });
    let jobs = Query {
        place: "this test".to_owned(),
        expr: "count by (job) (up == 1)".to_owned(),
    };
    wait_until("all targets are up", PATIENCE, || stack.ask(&jobs).len() == 3);

    let mut queries: Vec<Query> = dashboards()
        .iter()
        .flat_map(|(path, dashboard)| dashboard_queries(path, dashboard))
        .collect();
    queries.extend(alert_queries());
    let exposed = stack.exposed();
    for query in &queries {
        stack.ask(query);
        for name in metric_names(&query.expr) {
            assert!(exposed.contains(name), "{}: nobody exposes {name}", query.place);
        }
    }
    for query in narthex_queries()
        .iter()
        .filter(|query| !query.expr.starts_with(ONLY_IN_TROUBLE))
    {
        wait_until(&format!("{query:?} finds something"), PATIENCE, || {
            !stack.ask(query).is_empty()
        });
    }

    let refused = http::json(stack.narthex.port, "/api/v1/ingest/rejections");
    assert_eq!(refused["data"].as_array().map(Vec::len), Some(0), "{refused}");
}

#[test]
fn promtool_agrees() {
    for arguments in [
        ["check", "config", "--lint=all", "prometheus.yml"],
        ["check", "rules", "--lint=all", "demo/alerts.yml"],
        ["test", "rules", "--diff", "demo/alerts.test.yml"],
    ] {
        let output = Command::new(peer("promtool"))
            .args(arguments)
            .current_dir(root())
            .output();
        let output = output.expect("promtool runs");
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "promtool {arguments:?}:\n{said}");
    }
    // Each alert is among those that are shown to fire.
    let cases = text("demo/alerts.test.yml");
    for query in alert_queries() {
        let fires = format!("{{alertname=\"{}\"}}", query.place);
        assert!(
            cases.contains(&fires),
            "demo/alerts.test.yml does not make {} fire",
            query.place
        );
    }
}
