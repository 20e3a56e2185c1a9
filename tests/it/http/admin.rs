//! What an operator asks for: compactions of a range.

use super::client::{get, post};
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
