//! Rollups of a server: made of what came over HTTP, told by its status, read by queries that ask for whole windows.

use super::client::{get, post};
use super::served::{Served, wait_until};
use crate::peers::http::escape;
use narthex::Db;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// A multiple of 4 hours, in seconds: tiles of 240 windows of a minute begin there.
const START: i64 = 1_700_006_400;
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const INFO: &str = "PromQL info: rollups of 1m were read";

fn json_of(served: &Served, path: &str) -> Value {
    let answer = get(served.address, path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    serde_json::from_str(&answer.body).expect("JSON")
}

/// What `status/rollups` says of the width that stands at a place.
fn told(served: &Served, place: usize) -> Value {
    json_of(served, "/api/v1/status/rollups")["data"]["rollups"][place].clone()
}

/// The value of both series at a time; whole numbers, up and down.
fn value_at(time: i64) -> i64 {
    (time / 15 * 7919) % 1009
}

/// A day of samples, each 15 seconds.
fn fill(served: &Served) {
    let mut text = String::new();
    for time in (START + 15..=START + DAY).step_by(15) {
        for host in ["a", "b"] {
            let (value, time_ms) = (value_at(time), time * 1000);
            let _ = writeln!(text, "load{{host=\"{host}\"}} {value} {time_ms}");
        }
    }
    let answer = post(served.address, "/api/v1/import/prometheus", &text);
    assert_eq!(answer.status, 204, "{}", answer.body);
    let answer = post(served.address, "/api/v1/admin/compact", r#"{"force": true}"#);
    assert_eq!(answer.status, 200, "{}", answer.body);
}

fn range(served: &Served, query: &str, (start, end, step): (i64, i64, i64)) -> Value {
    let query = escape(query);
    let path = format!("/api/v1/query_range?query={query}&start={start}&end={end}&step={step}");
    json_of(served, &path)
}

#[test]
fn windows_are_made_told_and_read() {
    let served = Served::new("rollups = [\"1m\"]").ready();
    let before = told(&served, 0);
    assert_eq!((&before["width"], &before["tiles"]), (&json!("1m"), &json!(0)));
    assert_eq!(
        (&before["start"], &before["wanted"]),
        (&Value::Null, &json!(true))
    );
    fill(&served);
    // All but what the newest samples are too near to.
    wait_until("tiles are made", || told(&served, 0)["tiles"] == 5);
    let after = told(&served, 0);
    assert_eq!(after["coveredSeconds"], 20.0 * 3600.0, "{after}");
    assert_eq!(after["outdatedSeconds"], 0.0, "{after}");
    assert_eq!(
        (&after["start"], &after["end"]),
        (
            &json!("2023-11-15T00:00:00.000Z"),
            &json!("2023-11-15T20:00:00.000Z")
        )
    );
    assert_eq!(after["series"], 10, "{after}");

    let steps = (START + HOUR, START + 20 * HOUR, HOUR);
    let aligned = range(&served, "max_over_time(load[1h])", steps);
    assert_eq!(aligned["infos"], json!([INFO]), "{aligned}");
    let expected = |host: &str| {
        let steps = (START + HOUR..=START + 20 * HOUR).step_by(HOUR as usize);
        let most = |end: i64| (end - HOUR + 15..=end).step_by(15).map(value_at).max();
        let values = steps.map(|end| json!([end, most(end).expect("some").to_string()]));
        json!({ "metric": { "host": host }, "values": values.collect::<Vec<_>>() })
    };
    assert_eq!(aligned["data"]["result"], json!([expected("a"), expected("b")]));
    // Each window of this one is parted by a window of the query.
    let start = START + 90;
    let misaligned = range(&served, "max_over_time(load[1m])", (start, start + 10 * HOUR, 60));
    assert_eq!(misaligned["infos"], Value::Null, "{misaligned}");
    assert_eq!(misaligned["data"]["result"][0]["values"][0][0], json!(start));

    let bytes = &after["bytes"];
    let stats = json_of(&served, "/stats")["data"].clone();
    assert_eq!(
        (&stats["rollup_bytes"], &stats["rollup_tiles"]),
        (bytes, &json!(5))
    );
    let part = |name: &str| stats[name].as_u64().expect("bytes");
    let most = part("segment_bytes") + part("rollup_bytes") + part("wal_bytes");
    assert!(part("disk_bytes") >= most, "{stats}");
    let metrics = get(served.address, "/metrics").body;
    for line in [
        "narthex_rollup_tiles{width=\"1m\"} 5".to_owned(),
        format!("narthex_rollup_bytes{{width=\"1m\"}} {bytes}"),
    ] {
        assert!(metrics.contains(&line), "{line} in\n{metrics}");
    }
    let retention = json_of(&served, "/api/v1/admin/retention")["data"].clone();
    assert_eq!(&retention["samples"]["rollupBytes"], bytes);
    assert_eq!(
        (
            &retention["rollups"][0]["width"],
            &retention["rollups"][0]["bytes"]
        ),
        (&json!("1m"), bytes)
    );

    let folder = served.stop();
    let db = Db::open_read_only(folder.path().join("data")).expect("it opens");
    let report = db.verify().expect("a report");
    assert_eq!((report.tiles, &report.faults), (5, &vec![]));
}

#[test]
fn a_server_has_two_widths_unless_it_is_told_otherwise() {
    let served = Served::new("").ready();
    let widths = [0, 1].map(|place| told(&served, place)["width"].clone());
    assert_eq!(widths, ["5m", "1h"]);
    drop(served);
    let served = Served::new("rollups = []").ready();
    assert_eq!(told(&served, 0), Value::Null);
}

#[test]
fn a_width_that_is_not_wanted_any_more_is_told_and_read() {
    let served = Served::new("rollups = \"1m\"").ready();
    fill(&served);
    wait_until("tiles are made", || told(&served, 0)["tiles"] == 5);
    let served = Served::over(served.stop(), "rollups = \"\"").ready();
    let after = told(&served, 0);
    assert_eq!((&after["tiles"], &after["wanted"]), (&json!(5), &json!(false)));
    let steps = (START + HOUR, START + 20 * HOUR, HOUR);
    let aligned = range(&served, "max_over_time(load[1h])", steps);
    assert_eq!(aligned["infos"], json!([INFO]), "{aligned}");
}
