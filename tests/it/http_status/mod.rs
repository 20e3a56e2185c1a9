//! What the server says of itself, what it has none of, its admin API and its queries: exact bodies, the same requests beside the real
//! Prometheus, Grafana's own calls, and what surrounds them all (other origins, compression).

mod admin;
mod beside;
mod bodies;
mod browser;
mod grafana;
mod openapi;
mod queries;

use crate::http::client::{Answer, ask};
use crate::http::served::Served;
use serde_json::Value;

/// A form as it stands in a body or behind a question mark.
fn form(pairs: &[(&str, &str)]) -> String {
    let escape = crate::peers::http::escape;
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
        .collect();
    pairs.join("&")
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded";

fn post_form(served: &Served, path: &str, pairs: &[(&str, &str)]) -> Answer {
    ask(served.plain_address(), "POST", path, &[FORM], &form(pairs))
}

fn get_form(served: &Served, path: &str, pairs: &[(&str, &str)]) -> Answer {
    let path = match pairs {
        [] => path.to_owned(),
        pairs => format!("{path}?{}", form(pairs)),
    };
    ask(served.plain_address(), "GET", &path, &[], "")
}

/// The JSON of an answer.
fn json(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.body))
}
