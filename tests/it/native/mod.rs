//! The native JSON API over HTTP: exact answers, faults by field, pages, aggregations, and random calls against a model.

mod model;
mod reading;
mod records;
mod state;
mod surviving;
mod writing;

use crate::http::served::Served;
use crate::peers::http::{self, Answer};
use serde_json::Value;

/// A moment on the hour, in seconds.
const BASE_S: i64 = 1_700_000_000 / 3600 * 3600;

fn send(served: &Served, method: &str, path: &str, body: &str) -> Answer {
    send_with(served, method, path, "", body.as_bytes())
}

fn send_with(served: &Served, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
    http::send(served.address.port(), method, path, headers, body).expect("an answer")
}

/// Status and JSON of an answer.
fn ask(served: &Served, method: &str, path: &str, body: &str) -> (u16, Value) {
    let answer = send(served, method, path, body);
    let json = serde_json::from_slice(&answer.body);
    (
        answer.status,
        json.unwrap_or_else(|_| panic!("{method} {path}: {}", answer.text())),
    )
}

/// `data` of a good answer.
fn data(served: &Served, method: &str, path: &str, body: &str) -> Value {
    let (status, mut json) = ask(served, method, path, body);
    assert!(status < 300, "{method} {path} {body}: {status} {json}");
    json["data"].take()
}

/// Status, reason and field of a refusal, which has a hint.
fn refusal(served: &Served, method: &str, path: &str, body: &str) -> (u16, String, String) {
    let (status, json) = ask(served, method, path, body);
    assert_eq!(json["status"], "error", "{method} {path} {body}: {json}");
    assert!(json["error"].is_string() && json["hint"].is_string(), "{json}");
    let text = |name: &str| json[name].as_str().unwrap_or("").to_owned();
    (status, text("reason"), text("field"))
}
