//! What an operator asks for: compactions of a range, snapshots, backups and what they bring back, jobs and figures.

use super::client::{ask, get, post};
use super::served::Served;
use narthex::{Db, Options, labels};
use serde_json::{Value, json};

const DAY_MS: i64 = 86_400_000;
const COMPACT: &str = "/api/v1/admin/compact";

/// Two segments on the first day and two forty days later, of ten series with a sample each.
fn filled() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let db = Db::open(Options::new(folder.path().join("data")).background(false)).expect("a new database");
    for time in [0, 1000, 40 * DAY_MS, 40 * DAY_MS + 1000] {
        let mut batch = db.batch();
        for host in 0..10 {
            let labels = labels! { "__name__" => "up", "host" => &host.to_string() };
            batch.push(&labels, time, 1.0);
        }
        assert_eq!(batch.commit().expect("a commit").accepted, 10);
        db.flush().expect("a flush");
    }
    db.close().expect("a close");
    folder
}

/// `data` of a good answer.
fn data(served: &Served, path: &str, body: &str) -> Value {
    let answer = post(served.address, path, body);
    assert_eq!(answer.status, 200, "{path} {body}: {}", answer.body);
    let mut json: Value = serde_json::from_str(&answer.body).expect("JSON");
    json["data"].take()
}

/// Status and message of a refusal.
fn refusal(served: &Served, path: &str, body: &str) -> (u16, String) {
    let answer = post(served.address, path, body);
    let json: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(json["status"], "error", "{path} {body}: {json}");
    (answer.status, json["error"].as_str().unwrap_or("").to_owned())
}

#[test]
fn a_range_is_compacted_and_the_rest_is_not() {
    let served = Served::over(filled(), "").ready();
    let segments = |body: &str| data(&served, COMPACT, body)["segments"].clone();
    assert_eq!(segments(""), 4);
    assert_eq!(segments(r#"{"start": 10, "end": "1970-01-20T00:00:00Z"}"#), 4);
    assert_eq!(segments(r#"{"start": "0", "end": 1.0}"#), 3);
    assert_eq!(segments(r#"{"end": 0, "force": true}"#), 3);
    assert_eq!(segments(r#"{"start": "1970-02-10T00:00:00Z"}"#), 2);
    for (body, what) in [
        (r#"{"start": 2, "end": 1}"#, "before"),
        (r#"{"start": "tomorrow"}"#, "\"start\" is neither"),
        (r#"{"end": {}}"#, "\"end\" is neither"),
        (r#"{"start": 1, "force": false}"#, "leave out one of them"),
        (r#"{"stop": 1}"#, "there are force, start, end"),
        ("start=1", "is not an object"),
    ] {
        let (status, message) = refusal(&served, COMPACT, body);
        assert!(
            status == 400 && message.contains(what),
            "{body}: {status} {message}"
        );
    }
    assert_eq!(get(served.address, COMPACT).status, 405);
    assert_eq!(data(&served, COMPACT, "")["segmentSamples"], json!(40));
}

/// `data` of a good answer to a GET.
fn shown(served: &Served, path: &str) -> Value {
    let answer = get(served.address, path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    let mut json: Value = serde_json::from_str(&answer.body).expect("JSON");
    json["data"].take()
}

/// How many series have a sample at this second.
fn series_at(served: &Served, second: i64) -> Value {
    let path = format!("/api/v1/query?query=count(up)&time={second}");
    let answer = shown(served, &path);
    answer["result"][0]["value"][1]
        .as_str()
        .unwrap_or("0")
        .parse::<u64>()
        .expect("a number")
        .into()
}

fn delete_all(served: &Served) {
    let answer = ask(served.address, "DELETE", "/api/v1/series?match[]=up", &[], "");
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(series_at(served, 0), json!(0));
}

const SNAPSHOT: &str = "/api/v1/admin/snapshot";
const BACKUP: &str = "/api/v1/admin/backup";
const RESTORE: &str = "/api/v1/admin/restore";

#[test]
fn a_chain_of_backups_brings_back_what_was_deleted() {
    let served = Served::over(filled(), "").ready();
    let full = data(&served, BACKUP, r#"{"name": "full"}"#);
    assert_eq!(
        (&full["segmentsCopied"], &full["sound"]),
        (&json!(4), &json!(true)),
        "{full}"
    );
    let line = r#"{"series_key": "up", "timestamp": 86400, "value": 2, "tags": {"host": "new"}}"#;
    assert_eq!(post(served.address, "/api/v1/datapoints", line).status, 201);
    let later = data(&served, BACKUP, r#"{"name": "later", "since": "full"}"#);
    assert_eq!(
        (&later["segmentsKnown"], &later["segmentsCopied"], &later["since"]),
        (&json!(4), &json!(1), &json!("full")),
        "{later}"
    );
    let first_day = data(&served, BACKUP, r#"{"start": 0, "end": "1970-01-02T00:00:00Z"}"#);
    assert_eq!(first_day["segmentsCopied"], 3, "{first_day}");
    let listed = shown(&served, "/api/v1/admin/backups");
    let named = |name: &str| {
        let all = listed["backups"].as_array().expect("a list");
        all.iter()
            .find(|one| one["name"] == name)
            .cloned()
            .expect("it is there")
    };
    assert_eq!(listed["backups"].as_array().map(Vec::len), Some(3));
    let later = named("later");
    assert_eq!(
        (
            &later["since"],
            &later["segments"],
            &later["segmentsHere"],
            &later["samples"]
        ),
        (&json!("full"), &json!(5), &json!(1), &json!(41)),
        "{later}"
    );
    delete_all(&served);
    let brought = data(&served, RESTORE, r#"{"backup": "later"}"#);
    assert_eq!(
        (&brought["chain"], &brought["samples"], &brought["recordsLeftOut"]),
        (&json!(["full", "later"]), &json!(41), &json!(0)),
        "{brought}"
    );
    assert_eq!(
        (series_at(&served, 0), series_at(&served, 86_400)),
        (json!(10), json!(1))
    );
    assert!(served.path("data/backups/later/BACKUP").exists());

    let (status, message) = refusal(&served, BACKUP, r#"{"name": "full"}"#);
    assert!(
        status == 409 && message.contains("there is a backup full already"),
        "{message}"
    );
    assert_eq!(
        refusal(&served, BACKUP, r#"{"name": "x", "since": "nothing"}"#).0,
        404
    );
    assert_eq!(refusal(&served, RESTORE, r#"{"backup": "nothing"}"#).0, 404);
    remove(&served, "data/backups/full");
    let (status, message) = refusal(&served, RESTORE, r#"{"backup": "later"}"#);
    assert!(
        status == 400 && message.contains("leans on one that is not"),
        "{message}"
    );
    // The folder of the database is as sound as without them.
    let folder = served.stop();
    let diagnosis = Db::doctor(&Options::new(folder.path().join("data"))).expect("a diagnosis");
    assert!(diagnosis.findings.is_empty(), "{:?}", diagnosis.findings);
}

#[expect(clippy::disallowed_methods, reason = "somebody clears up")]
fn remove(served: &Served, folder: &str) {
    std::fs::remove_dir_all(served.path(folder)).expect("it is removed");
}

#[test]
fn a_snapshot_brings_back_what_was_in_segments_and_in_memory() {
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    let folder = elsewhere.path().join("copies");
    let served = Served::over(filled(), &format!("backup_dir = {folder:?}\n")).ready();
    let line = r#"{"series_key": "up", "timestamp": 86400, "value": 2, "tags": {"host": "new"}}"#;
    assert_eq!(post(served.address, "/api/v1/datapoints", line).status, 201);
    let log = r#"{"device": "d", "message": "m"}"#;
    assert_eq!(post(served.address, "/api/v1/logs", log).status, 201);
    let made = data(&served, SNAPSHOT, r#"{"name": "before"}"#);
    assert_eq!(
        (&made["segmentsLinked"], &made["missing"]),
        (&json!(4), &json!([])),
        "{made}"
    );
    let name = data(&served, SNAPSHOT, "")["name"].clone();
    let listed = shown(&served, "/api/v1/admin/snapshots");
    let names: Vec<&Value> = listed["snapshots"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| &one["name"])
        .collect();
    assert!(
        names.len() == 2 && names.contains(&&name) && names.contains(&&json!("before")),
        "{listed}"
    );
    assert!(
        listed["snapshots"][0]["complete"] == true && listed["snapshots"][0]["bytes"].as_u64() > Some(0),
        "{listed}"
    );
    delete_all(&served);
    for round in 0..2 {
        let answer = post(served.address, RESTORE, r#"{"snapshot": "before"}"#);
        let json: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!(json["data"]["samples"], 41, "{round}: {json}");
        assert!(json["data"]["recordsLeftOut"].as_u64() > Some(0), "{json}");
        let warning = json["warnings"][0].as_str().expect("a warning");
        assert!(warning.contains("were not brought"), "{warning}");
        assert_eq!(
            (series_at(&served, 0), series_at(&served, 86_400)),
            (json!(10), json!(1)),
            "{round}"
        );
    }
    assert_eq!(shown(&served, "/api/v1/admin/backups")["backups"], json!([]));
    assert_eq!(refusal(&served, RESTORE, r#"{"snapshot": "after"}"#).0, 404);
    assert!(
        !served.path("data/snapshots/after").exists(),
        "asking makes nothing"
    );
    assert_eq!(data(&served, BACKUP, r#"{"name": "a"}"#)["since"], Value::Null);
    assert!(folder.join("backups/a/BACKUP").exists());
}

#[test]
fn copies_have_names_and_no_paths() {
    let served = Served::over(filled(), "").ready();
    for name in ["", ".", "..", "../x", "a/b", "/etc/x", "a.b", "a\\\\b", "a b"] {
        for (path, body) in [
            (SNAPSHOT, format!("{{\"name\": \"{name}\"}}")),
            (BACKUP, format!("{{\"name\": \"{name}\"}}")),
            (BACKUP, format!("{{\"since\": \"{name}\"}}")),
            (RESTORE, format!("{{\"backup\": \"{name}\"}}")),
            (RESTORE, format!("{{\"snapshot\": \"{name}\"}}")),
        ] {
            let (status, message) = refusal(&served, path, &body);
            assert!(
                status == 400 && message.contains("is no name"),
                "{path} {body}: {status} {message}"
            );
        }
    }
    for (path, body) in [
        (SNAPSHOT, r#"{"name": 1}"#),
        (SNAPSHOT, r#"{"path": "x"}"#),
        (SNAPSHOT, "name=x"),
        (BACKUP, r#"{"start": 2, "end": 1}"#),
        (RESTORE, ""),
        (RESTORE, r#"{"backup": "a", "snapshot": "b"}"#),
    ] {
        assert_eq!(refusal(&served, path, body).0, 400, "{path} {body}");
    }
    for path in [SNAPSHOT, BACKUP, RESTORE] {
        assert_eq!(get(served.address, path).status, 405, "{path}");
    }
    for folder in ["data/snapshots", "data/backups", "x"] {
        assert!(!served.path(folder).exists(), "{folder}");
    }
    assert_eq!(shown(&served, "/api/v1/admin/snapshots")["snapshots"], json!([]));
    assert_eq!(shown(&served, "/api/v1/admin/backups")["backups"], json!([]));
}

/// The kinds of the jobs that ended, the latest first.
fn kinds(jobs: &Value) -> Vec<&str> {
    let ended = jobs["ended"].as_array().expect("a list");
    ended
        .iter()
        .map(|job| job["kind"].as_str().expect("a text"))
        .collect()
}

const JOBS: &str = "/api/v1/admin/jobs";

#[test]
fn jobs_are_listed_with_what_is_due() {
    let served = Served::over(filled(), "retention = \"100y\"\n").ready();
    assert_eq!(shown(&served, JOBS)["ended"], json!([]));
    data(&served, COMPACT, r#"{"force": true}"#);
    data(&served, BACKUP, r#"{"name": "full"}"#);
    data(&served, SNAPSHOT, r#"{"name": "one"}"#);
    data(&served, RESTORE, r#"{"backup": "full"}"#);
    assert_eq!(refusal(&served, BACKUP, r#"{"name": "full"}"#).0, 409);
    let jobs = shown(&served, JOBS);
    let mut seen = kinds(&jobs);
    // What is done by itself, whenever it likes.
    seen.retain(|kind| !["flush", "checkpoint", "rollup"].contains(kind));
    // The two days are too far apart for one segment.
    assert_eq!(
        seen,
        ["backup", "restore", "snapshot", "backup", "merge", "merge"],
        "{jobs}"
    );
    let ended = |kind: &str| {
        let all = jobs["ended"].as_array().expect("a list");
        all.iter().rfind(|job| job["kind"] == kind).expect("it is there")
    };
    assert_eq!(
        (&ended("merge")["segments"], &ended("merge")["samples"]),
        (&json!(2), &json!(20))
    );
    let backup = ended("backup");
    assert!(
        backup["bytes"].as_u64() > Some(0) && backup["tookSeconds"].is_number(),
        "{backup}"
    );
    assert_eq!(
        (&backup["result"], &backup["error"]),
        (&json!("done"), &Value::Null)
    );
    assert_eq!(jobs["ended"][0]["result"], "failed");
    assert!(
        jobs["ended"][0]["error"]
            .as_str()
            .is_some_and(|error| error.contains("is not empty"))
    );
    assert_eq!(jobs["running"], json!([]));
    let due = &jobs["due"];
    assert!(due["looksEverySeconds"].as_f64() > Some(0.0), "{due}");
    let retention = &due["retention"];
    assert!(
        retention["at"]
            .as_str()
            .is_some_and(|at| at.starts_with("2069-12-07T")),
        "{due}"
    );
    assert!(retention["inSeconds"].as_f64() > Some(0.0), "{due}");
    assert_eq!(post(served.address, JOBS, "").status, 405);
}

#[test]
fn figures_are_those_of_segments_and_settings() {
    let settings = "retention = \"100y\"\nretention_bytes = \"10GiB\"\nlog_retention = \"30d\"\n";
    let served = Served::over(filled(), settings).ready();
    let compression = shown(&served, "/api/v1/admin/compression");
    let total = &compression["total"];
    assert_eq!(
        (&total["samples"], &total["segments"], &total["plainBytes"]),
        (&json!(40), &json!(4), &json!(640))
    );
    assert_eq!(
        (
            &compression["levels"][0]["level"],
            &compression["levels"][0]["samples"]
        ),
        (&json!(0), &json!(40))
    );
    let parts = compression["parts"].as_object().expect("an object");
    let parts: u64 = parts.values().filter_map(Value::as_u64).sum();
    assert_eq!(total["bytes"], json!(parts), "parts add up");
    data(&served, COMPACT, r#"{"force": true}"#);
    let compression = shown(&served, "/api/v1/admin/compression");
    assert_eq!(compression["levels"].as_array().map(Vec::len), Some(1));
    assert_eq!(compression["levels"][0]["level"], 1);
    assert!(
        compression["total"]["ratio"].as_f64() > Some(0.0),
        "{compression}"
    );

    let retention = shown(&served, "/api/v1/admin/retention");
    let samples = &retention["samples"];
    assert_eq!(
        (
            &samples["retentionSeconds"],
            &samples["retentionBytes"],
            &samples["oldest"],
            &samples["newest"]
        ),
        (
            &json!(3_153_600_000.0),
            &json!(10_737_418_240_u64),
            &json!("1970-01-01T00:00:00.000Z"),
            &json!("1970-02-10T00:00:01.000Z")
        ),
        "{samples}"
    );
    // The newest sample of the segment of the first day counts.
    assert_eq!(
        samples["nextDeletion"]["at"], "2069-12-07T00:00:01.001Z",
        "{samples}"
    );
    assert_eq!(samples["dueNow"], json!({"segments": 0, "bytes": 0}));
    assert!(
        samples["bytesInUse"].as_u64() > total["bytes"].as_u64(),
        "{samples}"
    );
    assert_eq!(
        retention["logs"],
        json!({"retentionSeconds": 2_592_000.0, "oldest": null, "nextDeletion": null})
    );
    assert_eq!(retention["events"]["retentionSeconds"], Value::Null);
    let now_s = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
    let log = format!(
        "{{\"device\": \"d\", \"message\": \"m\", \"timestamp\": {}}}",
        now_s - 86_400
    );
    assert_eq!(post(served.address, "/api/v1/logs", &log).status, 201);
    let logs = shown(&served, "/api/v1/admin/retention")["logs"].clone();
    let wait_s = logs["nextDeletion"]["inSeconds"].as_f64().expect("a number");
    assert!((28.0..=29.0).contains(&(wait_s / 86_400.0)), "{logs}");
    for path in ["/api/v1/admin/compression", "/api/v1/admin/retention"] {
        assert_eq!(post(served.address, path, "").status, 405, "{path}");
    }
}

#[test]
fn an_empty_database_has_figures_as_well() {
    let served = Served::new("").ready();
    let compression = shown(&served, "/api/v1/admin/compression");
    assert_eq!(
        (&compression["total"]["ratio"], &compression["levels"]),
        (&Value::Null, &json!([]))
    );
    let samples = shown(&served, "/api/v1/admin/retention")["samples"].clone();
    assert_eq!(
        (&samples["oldest"], &samples["nextDeletion"]),
        (&Value::Null, &Value::Null),
        "{samples}"
    );
    let due = shown(&served, JOBS)["due"].clone();
    assert_eq!(
        (&due["retention"], &due["merge"]),
        (&Value::Null, &Value::Null),
        "{due}"
    );
}
