//! Points come in, one, in lists and in lines, compressed or not; what is wrong is named, the rest is stored.

use super::{BASE_S, ask, data, refusal, send_with};
use crate::http::served::Served;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::io::Write as _;

fn points(served: &Served, key: &str) -> Value {
    data(served, "GET", &format!("/api/v1/series/{key}/datapoints"), "")["datapoints"].take()
}

#[test]
fn a_point_is_stored_and_found() {
    let served = Served::new("").ready();
    let point =
        format!(r#"{{"series_key":"cpu.usage","timestamp":{BASE_S},"value":45.5,"tags":{{"host":"a"}}}}"#);
    let (status, json) = ask(&served, "POST", "/api/v1/datapoints", &point);
    assert_eq!(status, 201);
    assert_eq!(
        json["data"],
        json!({"series_key": "cpu.usage", "timestamp": BASE_S, "precision": "s", "stored": true})
    );
    // Again is as good as once.
    assert_eq!(ask(&served, "POST", "/api/v1/datapoints", &point).0, 201);
    let found = points(&served, "cpu.usage");
    assert_eq!(
        found,
        json!([{"timestamp": BASE_S * 1000, "value": 45.5, "tags": {"host": "a"}}])
    );
    // The same sample for PromQL.
    let path = format!("/api/v1/query?query=%7B%22cpu.usage%22%7D&time={BASE_S}");
    let result = data(&served, "GET", &path, "");
    assert_eq!(result["result"][0]["value"], json!([BASE_S, "45.5"]));
    let other = point.replace("45.5", "46");
    let refused = refusal(&served, "POST", "/api/v1/datapoints", &other);
    assert_eq!(refused, (409, "conflict".into(), "timestamp".into()));
}

#[test]
fn the_good_ones_of_a_batch_are_stored_and_the_others_named() {
    let served = Served::new("").ready();
    let batch = json!([
        {"series_key": "a", "timestamp": BASE_S, "value": 1},
        {"series_key": "a", "timestamp": BASE_S, "value": 2},
        {"series_key": "", "timestamp": BASE_S, "value": 1},
        7,
        {"series_key": "a", "timestamp": BASE_S + 1, "value": "NaN"},
        {"series_key": "a", "timestamp": BASE_S * 10, "value": 1},
    ]);
    let stored = data(&served, "POST", "/api/v1/datapoints/batch", &batch.to_string());
    assert_eq!(
        (&stored["stored"], &stored["failed"]),
        (&json!(2), &json!(4)),
        "{stored}"
    );
    let errors = stored["errors"].as_array().expect("a list");
    let named: Vec<_> = errors
        .iter()
        .map(|error| (error["index"].as_u64(), error["reason"].as_str()))
        .collect();
    assert_eq!(
        named,
        [
            (Some(1), Some("conflict")),
            (Some(2), Some("bad_series_key")),
            (Some(3), Some("bad_json")),
            (Some(5), Some("too_far_in_future")),
        ]
    );
    assert_eq!(points(&served, "a").as_array().map(Vec::len), Some(2));
    let bad = r#"[{"series_key":"x"}]"#;
    let (status, json) = ask(&served, "POST", "/api/v1/datapoints/batch", bad);
    assert_eq!((status, &json["data"]["failed"]), (400, &json!(1)));
    for body in ["", "  ", "[", "[1,", "{\"series_key\""] {
        let refused = refusal(&served, "POST", "/api/v1/datapoints/batch", body);
        assert_eq!(refused.0, 400, "{body}");
    }
}

/// Far more than a body may have, in lines; each encoding.
#[test]
fn lines_have_no_end() {
    let served = Served::new("[http]\nbody_bytes = \"1MiB\"\n").ready();
    let mut text = String::new();
    for number in 0..40_000 {
        let (host, time) = (number % 10, BASE_S + number / 10);
        text.push_str(&format!(
            "{{\"series_key\":\"lines\",\"timestamp\":{time},\"value\":{number},\"tags\":{{\"host\":\"{host}\"}}}}\n"
        ));
    }
    assert!(text.len() > 3 << 20);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text.as_bytes()).expect("a vector");
    let gzip = gzip.finish().expect("a vector");
    let zstd = zstd::encode_all(text.as_bytes(), 1).expect("a vector");
    for (encoding, body) in [("identity", text.as_bytes()), ("gzip", &gzip), ("zstd", &zstd)] {
        let headers = format!("Content-Encoding: {encoding}\r\nContent-Type: text/plain\r\n");
        let answer = send_with(&served, "POST", "/api/v1/datapoints/batch", &headers, body);
        let json: Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(
            (answer.status, &json["data"]["stored"]),
            (200, &json!(40_000)),
            "{encoding}: {json}"
        );
    }
    // And out again, as they came.
    let headers = "Accept: application/x-ndjson\r\n";
    let answer = send_with(
        &served,
        "GET",
        "/api/v1/series/lines/datapoints?precision=s",
        headers,
        b"",
    );
    let out = answer.text();
    assert_eq!(out.lines().count(), 40_000);
    let again = send_with(&served, "POST", "/api/v1/datapoints/batch", "", out.as_bytes());
    let json: Value = serde_json::from_slice(&again.body).expect("JSON");
    assert_eq!(
        (&json["data"]["stored"], &json["data"]["failed"]),
        (&json!(40_000), &json!(0))
    );
    let list = format!("[{}]", text.trim_end().replace('\n', ","));
    let refused = refusal(&served, "POST", "/api/v1/datapoints/batch", &list);
    assert_eq!(refused.0, 413, "a list is one body");
}

/// Runs a script of the examples, which ends by saying that all was as expected.
fn passes(script: &str, argument: &str) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/");
    let mut command = std::process::Command::new("bash");
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("NARTHEX_")) {
            command.env_remove(name);
        }
    }
    let output = command
        .arg(format!("{folder}{script}"))
        .arg(argument)
        .output()
        .expect("bash runs");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}{err}");
    assert!(out.ends_with("steps, all as expected\n"), "{out}");
}

/// Every call of a JSON time-series API, by curl, against a fresh server.
#[test]
fn the_tour_by_curl_passes() {
    let served = Served::new("").ready();
    passes(
        "tour_ry.sh",
        &format!("http://127.0.0.1:{}", served.address.port()),
    );
}

/// Its troubleshooting, with servers of its own.
#[test]
fn the_troubles_are_answered() {
    passes("trouble_ry.sh", env!("CARGO_BIN_EXE_narthex"));
}

#[test]
fn rules_hold_for_points_too() {
    let rule =
        "[[ingest.relabel]]\nsource_labels = [\"__name__\"]\nregex = \"secret_.*\"\naction = \"drop\"\n";
    let served = Served::new(rule).ready();
    let batch = r#"[{"series_key":"secret_a","value":1},{"series_key":"open","value":1}]"#;
    let stored = data(&served, "POST", "/api/v1/datapoints/batch", batch);
    assert_eq!((&stored["stored"], &stored["dropped"]), (&json!(1), &json!(1)));
    let one = data(
        &served,
        "POST",
        "/api/v1/datapoints",
        r#"{"series_key":"secret_a","value":1}"#,
    );
    assert_eq!(one["stored"], false);
}
