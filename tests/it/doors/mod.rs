//! Other systems' formats over HTTP: what is stored, what is refused, what comes out again, and the same beside VictoriaMetrics.

mod chance;
mod cli;
mod exchange;
mod graphite;
mod influx;
mod lines;
mod text;

use crate::http::served::Served;
use crate::peers::http::{self, Answer, escape};
use serde_json::Value;
use std::collections::BTreeMap;

const BASE_MS: i64 = 1_700_000_000_000;

fn send(port: u16, method: &str, path: &str, body: &[u8]) -> Answer {
    http::send(port, method, path, "", body).expect("an answer")
}

/// Stores a body of which nothing is refused.
fn import(served: &Served, path: &str, body: &str) -> Answer {
    let answer = send(served.address.port(), "POST", path, body.as_bytes());
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (204, ""),
        "{path} {body}"
    );
    answer
}

/// Status and JSON of one of which something is.
fn refused(served: &Served, path: &str, body: &[u8]) -> (u16, Value) {
    let answer = send(served.address.port(), "POST", path, body);
    let json = serde_json::from_slice(&answer.body);
    (
        answer.status,
        json.unwrap_or_else(|_| panic!("{path}: {}", answer.text())),
    )
}

/// The lines and the reasons of what was refused.
fn told(answer: &Value) -> Vec<(u64, String)> {
    let errors = answer["data"]["errors"].as_array().expect("a list");
    let one = |error: &Value| {
        assert!(error["error"].is_string() && error["hint"].is_string(), "{error}");
        (
            error["line"].as_u64().expect("a line"),
            error["reason"].as_str().expect("a reason").to_owned(),
        )
    };
    errors.iter().map(one).collect()
}

fn export_text(port: u16, matchers: &str, more: &str) -> String {
    let path = format!("/api/v1/export?match[]={}{more}", escape(matchers));
    let answer = send(port, "GET", &path, b"");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text()
}

/// Times and values, as they stand in JSON, by the labels of series in order.
type Exported = BTreeMap<String, BTreeMap<i64, String>>;

/// Everything that a server has of some series.
fn exported(port: u16, matchers: &str) -> Exported {
    let mut all = Exported::new();
    // VictoriaMetrics knows no times before 1970 and none far from now.
    for line in export_text(port, matchers, "&start=0&end=4000000000").lines() {
        let line: Value = serde_json::from_str(line).expect("a line of JSON");
        let labels: BTreeMap<String, Value> = serde_json::from_value(line["metric"].clone()).expect("labels");
        let series = all.entry(format!("{labels:?}")).or_default();
        let list = |name: &str| line[name].as_array().expect("a list").clone();
        for (time, value) in list("timestamps").iter().zip(list("values")) {
            series.insert(time.as_i64().expect("a time"), value.to_string());
        }
    }
    all
}
