//! Logs, events and columns over HTTP: written, found, counted, pushed by Loki's clients, shown to Grafana, counted by PromQL.

use super::{BASE_S, ask, data, refusal, send, send_with};
use crate::http::served::Served;
use crate::peers::http::escape;
use prost::Message as _;
use serde_json::{Value, json};

/// A hundred lines of two devices, one a second, every tenth an error.
fn logged() -> Served {
    let served = Served::new("").ready();
    let mut lines = String::new();
    for number in 0..100 {
        let (device, level) = (
            ["pump", "valve"][number % 2],
            if number % 10 == 0 { "error" } else { "info" },
        );
        let line = json!({
            "device": device,
            "level": level,
            "message": format!("step {number} of 100"),
            "source": "plc",
            "tags": {"rack": {"row": number % 3}},
            "timestamp": BASE_S + number as i64,
        });
        lines.push_str(&line.to_string());
        lines.push('\n');
    }
    let stored = data(&served, "POST", "/api/v1/logs", &lines);
    assert_eq!(stored["stored"], 100);
    served
}

#[test]
fn logs_are_found_by_what_they_say() {
    let served = logged();
    let logs = |query: &str| data(&served, "GET", &format!("/api/v1/logs?precision=s&{query}"), "");
    let newest = logs("limit=1");
    assert_eq!(
        newest["logs"],
        json!([{"timestamp": BASE_S + 99, "device": "valve", "level": "info", "message": "step 99 of 100", "source": "plc", "tags": {"rack.row": "0"}}])
    );
    let count = |query: &str| logs(query)["logs"].as_array().map_or(0, Vec::len);
    assert_eq!(count("level=warn"), 10);
    assert_eq!(count("device=pump&level=warn"), 10);
    assert_eq!(count("text=step%207"), 11);
    assert_eq!(count("tag.rack.row=1"), 33);
    assert_eq!(count("source=other"), 0);
    assert_eq!(
        count(&format!("start_time={}&end_time={}", BASE_S + 10, BASE_S + 19)),
        10
    );
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = logs(&format!("order=asc&limit=7{cursor}"));
        let times = page["logs"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|log| log["timestamp"].as_i64());
        all.extend(times);
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert!(all.into_iter().eq((0..100).map(|number| Some(BASE_S + number))));
    let counts = logs("interval=1m&level=error");
    assert_eq!(
        counts["counts"],
        json!([{"timestamp": BASE_S, "count": 6}, {"timestamp": BASE_S + 60, "count": 4}])
    );
    assert_eq!(
        data(&served, "GET", "/api/v1/logs/devices", "")["devices"],
        json!(["pump", "valve"])
    );
    for (method, path, body, field) in [
        ("POST", "/api/v1/logs", r#"{"message":"x"}"#, "device"),
        (
            "POST",
            "/api/v1/logs",
            r#"[{"device":"a","message":"x","lvl":1}]"#,
            "lvl",
        ),
        ("POST", "/api/v1/logs", "", ""),
        (
            "POST",
            "/api/v1/logs",
            r#"{"device":"a","message":"x","timestamp":"soon"}"#,
            "timestamp",
        ),
        ("GET", "/api/v1/logs?devise=a", "", "devise"),
        ("GET", "/api/v1/logs?limit=0", "", "limit"),
    ] {
        let refused = refusal(&served, method, path, body);
        assert_eq!((refused.0, refused.2.as_str()), (400, field), "{path} {body}");
    }
}

#[test]
fn promql_counts_logs_and_events() {
    let served = logged();
    let at = BASE_S + 100;
    let value = |query: &str| {
        let path = format!("/api/v1/query?query={}&time={at}", escape(query));
        let result = data(&served, "GET", &path, "");
        result["result"][0]["value"][1].as_str().map(str::to_owned)
    };
    assert_eq!(
        value("sum(count_over_time(narthex_log_lines[200s]))").as_deref(),
        Some("100")
    );
    assert_eq!(
        value("sum(count_over_time(narthex_log_lines{level=\"error\"}[200s]))").as_deref(),
        Some("10")
    );
    assert_eq!(
        value("sum(count_over_time(narthex_log_lines{device=~\"p.*\"}[50s]))").as_deref(),
        Some("24")
    );
    assert_eq!(value("narthex_log_lines{device=\"none\"}"), None);
    // One line a second, of each device every other.
    let rate: f64 = value("sum(rate(narthex_log_lines_total[60s]))")
        .and_then(|text| text.parse().ok())
        .expect("a rate");
    assert!((rate - 1.0).abs() < 0.02, "{rate}");
    let event = json!({"device": "door", "type": "opened", "severity": "high", "timestamp": at - 1});
    data(&served, "POST", "/api/v1/events", &event.to_string());
    let query = "count_over_time(narthex_events{type=\"opened\",severity=\"high\"}[5s])";
    assert_eq!(value(query).as_deref(), Some("1"));
}

#[test]
fn events_are_found_and_shown_as_annotations() {
    let served = logged();
    let events = json!([
        {"device": "door", "type": "opened", "data": {"by": "key"}, "severity": "low", "timestamp": BASE_S + 1},
        {"device": "door", "type": "forced", "data": {"by": "foot"}, "severity": "critical", "timestamp": BASE_S + 2},
    ]);
    assert_eq!(
        data(&served, "POST", "/api/v1/events", &events.to_string())["stored"],
        2
    );
    let found = data(&served, "GET", "/api/v1/events?severity=high&precision=s", "");
    assert_eq!(
        found["events"],
        json!([{"timestamp": BASE_S + 2, "device": "door", "type": "forced", "severity": "critical", "data": {"by": "foot"}, "tags": {}}])
    );
    let body = json!({
        "range": {"from": (BASE_S * 1000).to_string(), "to": ((BASE_S + 60) * 1000).to_string()},
        "annotation": {"name": "doors", "query": "events device=door"},
    });
    let (status, shown) = ask(&served, "POST", "/annotations", &body.to_string());
    assert_eq!((status, shown.as_array().map(Vec::len)), (200, Some(2)));
    assert_eq!(
        (&shown[0]["time"], &shown[0]["title"]),
        (&json!((BASE_S + 1) * 1000), &json!("opened door"))
    );
    assert_eq!(
        (&shown[1]["text"], &shown[1]["annotation"]["name"]),
        (&json!("{\"by\":\"foot\"}"), &json!("doors"))
    );
    let path = format!(
        "/api/v1/annotations?query={}&from={}",
        escape("logs level=error step 50"),
        BASE_S * 1000
    );
    let (_, shown) = ask(&served, "GET", &path, "");
    assert_eq!(
        (shown[0]["text"].as_str(), shown.as_array().map(Vec::len)),
        (Some("step 50 of 100"), Some(1))
    );
    assert_eq!(
        refusal(&served, "GET", "/api/v1/annotations?query=logs+size=1", "").2,
        "query"
    );
}

/// A stream as promtail sends it, written by hand so that it is not our own reading of the protocol.
#[derive(Clone, PartialEq, prost::Message)]
struct Push {
    #[prost(message, repeated, tag = "1")]
    streams: Vec<PushStream>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PushStream {
    #[prost(string, tag = "1")]
    labels: String,
    #[prost(message, repeated, tag = "2")]
    entries: Vec<PushEntry>,
    #[prost(uint64, tag = "3")]
    hash: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PushEntry {
    #[prost(message, optional, tag = "1")]
    timestamp: Option<PushTime>,
    #[prost(string, tag = "2")]
    line: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PushTime {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[test]
fn pushes_of_loki_clients_land_in_the_logs() {
    let served = Served::new("").ready();
    let entry = |number: i64| PushEntry {
        timestamp: Some(PushTime {
            seconds: BASE_S,
            nanos: number as i32,
        }),
        line: format!("line {number}"),
    };
    let push = Push {
        streams: vec![PushStream {
            labels: r#"{filename="/var/log/syslog", host="web1", job="varlogs", level="warn"}"#.into(),
            entries: (0..50).map(entry).collect(),
            hash: 7,
        }],
    };
    let block = snap::raw::Encoder::new()
        .compress_vec(&push.encode_to_vec())
        .expect("a block");
    let headers = "Content-Type: application/x-protobuf\r\nUser-Agent: promtail/2.9.2\r\n";
    assert_eq!(
        send_with(&served, "POST", "/loki/api/v1/push", headers, &block).status,
        204
    );
    let time_ns = format!("{BASE_S}500000000");
    let json = json!({"streams": [{"stream": {"job": "alloy"}, "values": [[time_ns, "from alloy", {"trace_id": "t"}]]}]});
    let headers = "Content-Type: application/json\r\n";
    let answer = send_with(
        &served,
        "POST",
        "/loki/api/v1/push",
        headers,
        json.to_string().as_bytes(),
    );
    assert_eq!(answer.status, 204, "{}", answer.text());
    let found = data(
        &served,
        "GET",
        "/api/v1/logs?device=web1&level=warn&order=asc",
        "",
    );
    let lines = found["logs"].as_array().expect("a list");
    let texts: Vec<_> = lines.iter().filter_map(|line| line["message"].as_str()).collect();
    assert!(
        texts
            .iter()
            .copied()
            .eq((0..50).map(|number| format!("line {number}"))),
        "{texts:?}"
    );
    assert_eq!(
        (&lines[0]["source"], &lines[0]["tags"]["job"]),
        (&json!("/var/log/syslog"), &json!("varlogs"))
    );
    let found = data(&served, "GET", "/api/v1/logs?device=alloy", "");
    assert_eq!(
        (
            &found["logs"][0]["timestamp"],
            &found["logs"][0]["tags"]["trace_id"]
        ),
        (&json!(BASE_S * 1000 + 500), &json!("t"))
    );
    let bad = send_with(&served, "POST", "/loki/api/v1/push", "", b"\x03abc");
    assert_eq!(bad.status, 400);
}

#[test]
fn columns_keep_keys_in_order() {
    let served = Served::new("").ready();
    for (key, value) in [("b", "{\"n\":2}"), ("a", "1"), ("c%2Fd", "\"x\"")] {
        assert_eq!(
            send(&served, "PUT", &format!("/api/v1/columns/conf/{key}"), value).status,
            204
        );
    }
    let headers = "Content-Type: application/octet-stream\r\n";
    assert_eq!(
        send_with(&served, "PUT", "/api/v1/columns/conf/z", headers, b"\x00\xff").status,
        204
    );
    assert_eq!(
        send(&served, "GET", "/api/v1/columns/conf/b", "").text(),
        "{\"n\":2}"
    );
    assert_eq!(
        send(&served, "GET", "/api/v1/columns/conf/z", "").body,
        b"\x00\xff"
    );
    let listed = data(&served, "GET", "/api/v1/columns/conf?from=a&limit=2", "");
    assert_eq!(
        listed,
        json!({"entries": [{"key": "a", "value": 1}, {"key": "b", "value": {"n": 2}}], "next": "c/d"})
    );
    let listed = data(&served, "GET", "/api/v1/columns/conf?from=b&to=z", "");
    assert_eq!(listed["entries"].as_array().map(Vec::len), Some(2));
    let batch = json!([
        {"column": "conf", "key": "a", "delete": true},
        {"column": "other", "key": "k", "base64": "AQI="},
    ]);
    assert_eq!(
        data(&served, "POST", "/api/v1/columns/batch", &batch.to_string())["changes"],
        2
    );
    assert_eq!(
        data(&served, "GET", "/api/v1/columns", "")["columns"],
        json!(["conf", "other"])
    );
    assert_eq!(refusal(&served, "GET", "/api/v1/columns/conf/a", "").0, 404);
    assert_eq!(send(&served, "DELETE", "/api/v1/columns/conf/b", "").status, 204);
    assert_eq!(
        refusal(&served, "PUT", "/api/v1/columns/conf/a", "{").1,
        "bad_json"
    );
    let wrong = json!([{"column": "conf", "key": "y", "value": 1}, {"column": "conf"}]);
    assert_eq!(
        refusal(&served, "POST", "/api/v1/columns/batch", &wrong.to_string()).0,
        400
    );
    assert_eq!(
        refusal(&served, "GET", "/api/v1/columns/conf/y", "").0,
        404,
        "all or none"
    );
    // What was written survives a restart.
    let served = Served::over(served.stop(), "").ready();
    let listed: Value = data(&served, "GET", "/api/v1/columns/other", "");
    assert_eq!(listed["entries"], json!([{"key": "k", "base64": "AQI="}]));
}
