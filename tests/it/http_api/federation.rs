//! `/federate` beside the real Prometheus, and scraped by it.

use super::data::{write, write_request};
use super::differential::Pair;
use super::path;
use crate::http::served::Served;
use crate::peers::http::{self, escape, wait_until};
use crate::peers::processes::Prometheus;
use narthex::{Clock as _, SystemClock};
use std::time::Duration;

const ALL: &str = "match[]={__name__=~\".+\"}";

/// The last whole second.
fn now_ms() -> i64 {
    SystemClock.now_ms() / 1000 * 1000
}

/// The lines in one order: Prometheus' own is that of its memory within a metric.
fn lines(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn pages_are_those_of_prometheus() {
    let pair = Pair::start(now_ms());
    for form in [
        ALL,
        "match[]=up",
        "match[]=up&match[]={job=\"api\"}&match[]=up",
        "match[]={\"disk.usage\"}&match[]=UPPER",
        "match[]={}",
        "match[]=ended",
        "match[]=latency",
    ] {
        for accept in [
            "",
            "Accept: */*\r\n",
            "Accept: text/plain\r\n",
            "Accept: text/plain;version=0.0.4;escaping=allow-utf-8\r\n",
            "Accept: text/plain;version=0.0.4;escaping=underscores\r\n",
            "Accept: text/plain;version=0.0.4;escaping=dots\r\n",
            "Accept: text/plain;version=0.0.4;escaping=values\r\n",
            "Accept: text/plain;version=0.0.4;escaping=other\r\n",
            "Accept: text/html;escaping=dots,text/plain;q=0.5\r\n",
        ] {
            let place = path("/federate", form);
            let ask = |port| http::send(port, "GET", &place, accept, &[]).expect("an answer");
            let (ours, theirs) = (ask(pair.served.address.port()), ask(pair.prometheus.port));
            assert_eq!(ours.status, theirs.status, "{form} {accept}");
            assert_eq!(
                ours.header("content-type"),
                theirs.header("content-type"),
                "{form} {accept}"
            );
            assert_eq!(lines(&ours.text()), lines(&theirs.text()), "{form} {accept}");
        }
    }
}

#[test]
fn metrics_are_in_order_and_each_has_its_type_once() {
    let served = Served::new("").ready();
    let now_ms = now_ms();
    write(served.address.port(), &write_request(now_ms));
    let page = http::get(served.address.port(), &path("/federate", ALL)).expect("an answer");
    let expected = "# TYPE UPPER untyped\n\
         UPPER{A=\"1\",instance=\"\"} +Inf @\n\
         # TYPE disk_usage untyped\n\
         disk_usage{job=\"web\",mount_point=\"/data\",instance=\"\"} 2.4390243902439024e+298 @\n\
         # TYPE odd untyped\n\
         odd{kind=\"minus\",instance=\"\"} -0.125 @\n\
         odd{kind=\"nan\",instance=\"\"} NaN @\n\
         # TYPE requests_total untyped\n\
         requests_total{code=\"200\",job=\"api\",path=\"/<a>&b\",instance=\"\"} 100 @\n\
         requests_total{code=\"500\",job=\"api\",path=\"q\\\"\\\\\\nü\",instance=\"\"} 4e-08 @\n\
         # TYPE up untyped\n\
         up{instance=\"x:1\",job=\"api\"} 1 @\n\
         up{instance=\"y:1\",job=\"api\"} 1 @\n\
         up{job=\"web\",instance=\"\"} 1 @\n";
    assert_eq!(page.text(), expected.replace('@', &now_ms.to_string()));
}

#[test]
fn prometheus_scrapes_it() {
    let served = Served::new("").ready();
    write(served.address.port(), &write_request(now_ms()));
    let folder = tempfile::tempdir().expect("a folder");
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: narthex\n  honor_labels: true\n  \
         metrics_path: /federate\n  params: {{'match[]': ['{{__name__=~\".+\"}}']}}\n  \
         static_configs: [{{targets: ['127.0.0.1:{}']}}]\n",
        served.address.port()
    );
    let prometheus = Prometheus::start(folder.path(), "federation", &config, &[]);
    let count = |query: &str| {
        let found = http::json(prometheus.port, &format!("/api/v1/query?query={}", escape(query)));
        found["data"]["result"][0]["value"][1]
            .as_str()
            .unwrap_or("0")
            .to_owned()
    };
    wait_until("it is scraped", Duration::from_secs(30), || {
        count("sum(scrape_samples_scraped)") == "9"
    });
    for (query, wanted) in [
        ("up{job=\"narthex\"}", "1"),
        ("count(up{job=~\"api|web\"})", "3"),
        (
            "requests_total{code=\"200\",path=\"/<a>&b\",instance=\"\"}",
            "100",
        ),
        ("count({\"disk.usage\", \"mount point\"=\"/data\"})", "1"),
        ("odd{kind=\"minus\"}", "-0.125"),
    ] {
        assert_eq!(count(query), wanted, "{query}");
    }
}
