//! Prometheus' HTTP API: exact answers over a small set of data, and the same requests to the real Prometheus.

mod compare;
mod data;
mod differential;
mod federation;
mod lists;
mod promtool;
mod requests;
mod search;
mod stats;

use crate::http::served::Served;
use crate::peers::http::{self, Answer, escape};
use serde_json::Value;

/// A path with the parameters of a form, each escaped.
fn path(path: &str, form: &str) -> String {
    match form {
        "" => path.to_owned(),
        form => format!("{path}?{}", escaped(form)),
    }
}

/// Names and values of a form, escaped.
fn escaped(form: &str) -> String {
    let pairs = form.split('&').map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        format!("{}={}", escape(name), escape(value))
    });
    pairs.collect::<Vec<_>>().join("&")
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

fn ask(served: &Served, place: &str, form: &str) -> Answer {
    http::get(served.address.port(), &path(place, form)).expect("an answer")
}

/// The body of a good answer.
fn body(served: &Served, place: &str, form: &str) -> String {
    let answer = ask(served, place, form);
    assert_eq!(answer.status, 200, "{place} {form}: {}", answer.text());
    answer.text()
}

/// `data` of a good answer.
fn data_of(served: &Served, place: &str, form: &str) -> Value {
    let body = body(served, place, form);
    let mut json: Value = serde_json::from_str(&body).expect("JSON");
    json["data"].take()
}

/// Status and message of a refusal.
fn refusal(served: &Served, place: &str, form: &str) -> (u16, String) {
    let answer = ask(served, place, form);
    let json: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(json["status"], "error", "{place} {form}");
    (answer.status, json["error"].as_str().unwrap_or("").to_owned())
}
