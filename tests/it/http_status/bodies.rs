//! Exact bodies of what does not change from one moment to the next, and the fields of what does.

use super::{get_form, json, post_form};
use crate::http::client::{ask, get, post};
use crate::http::served::Served;
use narthex::{Db, Options, labels};
use serde_json::json;

#[test]
fn what_there_is_none_of_is_answered_so() {
    let served = Served::new("").ready();
    for (path, data) in [
        (
            "targets",
            r#"{"activeTargets":[],"droppedTargetCounts":{},"droppedTargets":[]}"#,
        ),
        (
            "targets?state=active",
            r#"{"activeTargets":[],"droppedTargetCounts":null,"droppedTargets":[]}"#,
        ),
        ("targets/metadata", "[]"),
        ("scrape_pools", r#"{"scrapePools":[]}"#),
        (
            "alertmanagers",
            r#"{"activeAlertmanagers":[],"droppedAlertmanagers":[]}"#,
        ),
        ("rules", r#"{"groups":[]}"#),
        ("alerts", r#"{"alerts":[]}"#),
        ("notifications", "[]"),
        ("status/tsdb/blocks", r#"{"blocks":[]}"#),
        ("status/aggregates", r#"{"aggregates":[]}"#),
        ("status/active_queries", r#"{"running":[],"waiting":0}"#),
        ("status/slow_queries", "[]"),
    ] {
        let answer = get(served.address, &format!("/api/v1/{path}"));
        let wanted = format!(r#"{{"status":"success","data":{data}}}"#);
        assert_eq!((answer.status, answer.body), (200, wanted), "{path}");
    }
    for (path, status, kind) in [
        ("targets/relabel_steps", 400, "bad_data"),
        ("targets/relabel_steps?scrapePool=a", 400, "bad_data"),
        ("targets/relabel_steps?scrapePool=a&labels=[]", 400, "bad_data"),
        ("targets/relabel_steps?scrapePool=a&labels={}", 404, "not_found"),
        ("scrape_pools/config", 400, "bad_data"),
        ("scrape_pools/config?scrapePool=a", 404, "not_found"),
    ] {
        let answer = get(served.address, &format!("/api/v1/{path}"));
        assert_eq!(
            (answer.status, &json(&answer)["errorType"]),
            (status, &json!(kind)),
            "{path}"
        );
    }
}

#[test]
fn versions_settings_and_configuration_are_shown_without_secrets() {
    let settings = "enable_feature = \"promql-delayed-name-removal\"\n[[auth.tokens]]\nname = \"a\"\nscopes = [\"read\"]\nsha256 = \
                    \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"\n";
    let served = Served::new(settings).ready();
    let data = |path: &str| {
        let headers = ["Authorization: Bearer abc"];
        let answer = ask(served.address, "GET", &format!("/api/v1/{path}"), &headers, "");
        assert_eq!(answer.status, 200, "{path}");
        assert!(!answer.body.contains("ba7816bf"), "{}", answer.body);
        json(&answer)["data"].clone()
    };
    let build = data("status/buildinfo");
    assert_eq!(build["version"], "3.14.0");
    assert_eq!(build["narthexVersion"], env!("CARGO_PKG_VERSION"));
    assert!(
        build.get("features").is_none(),
        "with features Grafana would take it for Mimir"
    );
    let flags = data("status/flags");
    assert_eq!(flags["query.lookback"], "5m");
    assert_eq!(flags["query.lookback-delta"], "5m");
    assert_eq!(flags["enable-feature"], "promql-delayed-name-removal");
    assert!(
        flags
            .as_object()
            .expect("an object")
            .values()
            .all(|value| value.is_string())
    );
    let config = data("status/config");
    let toml = config["yaml"].as_str().expect("a text");
    assert!(
        toml.contains("enable_feature = \"promql-delayed-name-removal\""),
        "{toml}"
    );
    assert!(toml.contains("<redacted>"), "{toml}");
    let features = data("features");
    assert_eq!(features["prometheus"]["promql_delayed_name_removal"], true);
    assert_eq!(features["prometheus"]["use_start_timestamps"], false);
    assert_eq!(features["promql_functions"]["rate"], true);
    assert_eq!(features["api"]["admin"], false);
    let runtime = data("status/runtimeinfo");
    assert_eq!(runtime["reloadConfigSuccess"], true);
    assert!(runtime["goroutineCount"].as_u64().expect("a number") > 1);
}

#[test]
fn a_failed_reload_is_a_notification_until_one_succeeds() {
    let served = Served::new("").ready();
    let notes = || json(&get(served.address, "/api/v1/notifications"))["data"].clone();
    served.rewrite("nonsense = 1\n");
    assert_eq!(post(served.address, "/-/reload", "").status, 400);
    assert_eq!(notes()[0]["active"], true);
    served.rewrite("");
    assert_eq!(post(served.address, "/-/reload", "").status, 200);
    assert_eq!(notes(), json!([]));
}

fn filled() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let db = Db::open(Options::new(folder.path().join("data")).background(false)).expect("a new database");
    for minute in 0..100 {
        let mut batch = db.batch();
        for host in ["a", "bb"] {
            let labels = labels! { "__name__" => "up", "host" => host };
            batch.push(&labels, minute * 60_000, minute as f64);
        }
        batch.commit().expect("a commit");
        if minute == 49 {
            db.flush().expect("a flush");
        }
    }
    db.close().expect("a close");
    folder
}

#[test]
fn a_database_is_described_as_one_of_prometheus() {
    let served = Served::over(filled(), "").ready();
    let tsdb = json(&get(served.address, "/api/v1/status/tsdb"))["data"].clone();
    let counts = |pairs: &[(&str, u64)]| {
        let pairs = pairs
            .iter()
            .map(|(name, value)| json!({ "name": name, "value": value }));
        pairs.collect::<Vec<_>>()
    };
    let wanted = json!({
        "headStats": {
            "numSeries": 2, "numLabelPairs": 3, "chunkCount": tsdb["headStats"]["chunkCount"],
            "minTime": 3_000_000, "maxTime": 5_940_000,
        },
        "seriesCountByMetricName": counts(&[("up", 2)]),
        "labelValueCountByLabelName": counts(&[("host", 2), ("__name__", 1)]),
        "memoryInBytesByLabelName": counts(&[("__name__", 24), ("host", 15)]),
        "seriesCountByLabelValuePair": counts(&[("__name__=up", 2), ("host=a", 1), ("host=bb", 1)]),
    });
    assert_eq!(tsdb, wanted);
    assert!(tsdb["headStats"]["chunkCount"].as_u64().expect("a number") >= 2);
    let one = json(&get(served.address, "/api/v1/status/tsdb?limit=1"))["data"].clone();
    assert_eq!(
        one["seriesCountByLabelValuePair"],
        json!(counts(&[("__name__=up", 2)]))
    );

    let blocks = json(&get(served.address, "/api/v1/status/tsdb/blocks"))["data"]["blocks"].clone();
    let block = &blocks[0];
    let ulid = block["ulid"].as_str().expect("a text");
    assert_eq!((blocks.as_array().map(Vec::len), ulid.len()), (Some(1), 26));
    assert_eq!(
        (&block["minTime"], &block["maxTime"]),
        (&json!(0), &json!(2_940_001))
    );
    let stats = json!({ "numSamples": 100, "numFloatSamples": 100, "numSeries": 2, "numChunks": 2 });
    assert_eq!(block["stats"], stats);
    assert_eq!(block["compaction"], json!({ "level": 1, "sources": [ulid] }));

    let replay = json(&get(served.address, "/api/v1/status/walreplay"))["data"].clone();
    assert_eq!(
        (&replay["state"], &replay["current"]),
        (&json!("done"), &replay["max"])
    );
}

#[test]
fn aggregates_are_asked_for_listed_and_described() {
    let settings = "[[aggregates]]\nname = \"up:10m\"\nselector = \"up\"\ninterval = \"10m\"\nfunctions = [\"max\", \"count\"]\n";
    let served = Served::over(filled(), settings).ready();
    let data = |path: &str, pairs: &[(&str, &str)]| {
        let answer = get_form(&served, &format!("/api/v1/{path}"), pairs);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        json(&answer)["data"].clone()
    };
    let names = data("label/__name__/values", &[]);
    assert_eq!(names, json!(["up", "up:10m:count", "up:10m:max"]));
    let series = data("series", &[("match[]", "up:10m:max")]);
    let of = |host: &str| json!({ "__name__": "up:10m:max", "host": host });
    assert_eq!(series, json!([of("a"), of("bb")]));
    let hosts = data("label/host/values", &[("match[]", "up:10m:count")]);
    assert_eq!(hosts, json!(["a", "bb"]));
    let help = data("metadata", &[("metric", "up:10m:max")]);
    assert_eq!(help["up:10m:max"][0]["help"], "Aggregate: max of each 10m.");
    let range = [
        ("query", "up:10m:max{host=\"a\"}"),
        ("start", "600"),
        ("end", "1200"),
        ("step", "600"),
    ];
    let found = data("query_range", &range);
    assert_eq!(found["result"][0]["values"], json!([[600, "10"], [1200, "20"]]));
    let info = data("status/aggregates", &[])["aggregates"][0].clone();
    assert_eq!(
        (&info["name"], &info["interval"]),
        (&json!("up:10m"), &json!("10m"))
    );
    assert_eq!(info["metrics"], json!(["up:10m:max", "up:10m:count"]));
}

#[test]
fn the_servers_own_figures_are_there_as_json() {
    let served = Served::new("").ready();
    let all = json(&get(served.address, "/api/v1/status/self_metrics"))["data"].clone();
    assert!(all.as_array().expect("a list").len() > 30);
    let path = "/api/v1/status/self_metrics";
    let found = json(&get_form(
        &served,
        path,
        &[("metric_name_pattern", "narthex_(segments|wal_fsync_.*)")],
    ));
    let wanted = json!([{
        "name": "narthex_segments", "help": "Segments.", "type": "GAUGE", "metric": [{ "gauge": { "value": 0.0 } }],
    }]);
    assert_eq!(found["data"][0], wanted[0]);
    assert_eq!(found["data"][1]["type"], "HISTOGRAM");
    assert!(
        found["data"][1]["metric"][0]["histogram"]["bucket"]
            .as_array()
            .expect("a list")
            .len()
            > 3
    );
    assert_eq!(
        get_form(&served, path, &[("metric_name_pattern", "(")]).status,
        400
    );
}

#[test]
fn a_query_of_any_length_is_shown_as_a_tree() {
    let served = Served::new("").ready();
    let chain = vec!["a"; 100_000].join("+");
    let answer = post_form(&served, "/api/v1/format_query", &[("query", &chain)]);
    assert_eq!(answer.status, 200);
    assert!(
        json(&answer)["data"]
            .as_str()
            .expect("a text")
            .starts_with("a + a + a")
    );
    let answer = crate::peers::http::send(
        served.address.port(),
        "POST",
        "/api/v1/parse_query",
        &format!("{}\r\n", super::FORM),
        super::form(&[("query", &chain)]).as_bytes(),
    );
    let answer = answer.expect("an answer");
    // Deeper than a reader of JSON likes to go; whether it is balanced is seen from its brackets.
    let text = answer.text();
    let count = |bracket: char| text.matches(bracket).count();
    assert_eq!((answer.status, count('{')), (200, count('}')));
    assert_eq!(text.matches("\"type\":\"binaryExpr\"").count(), 99_999);
    assert!(
        text.ends_with("\"type\":\"binaryExpr\"}}"),
        "{}",
        &text[text.len() - 200..]
    );
}
