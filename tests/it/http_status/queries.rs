//! Queries that run are listed, can be ended, and are remembered and counted; each tenant's are its own.

use super::{form, json};
use crate::http::client::{Answer, ask, get, post};
use crate::http::served::{Served, wait_until};
use serde_json::Value;
use std::thread::JoinHandle;

/// Would take minutes.
const LONG: &[(&str, &str)] = &[
    ("query", "quantile_over_time(0.5, vector(1)[40000s:1s])"),
    ("start", "0"),
    ("end", "600000"),
    ("step", "60"),
];

/// Asks for it in the background.
fn begin(served: &Served, headers: &'static [&'static str]) -> JoinHandle<Answer> {
    let address = served.address;
    let path = format!("/api/v1/query_range?{}", form(LONG));
    std::thread::Builder::new()
        .spawn(move || ask(address, "GET", &path, headers, ""))
        .expect("a thread")
}

fn running(served: &Served, headers: &[&str]) -> Vec<Value> {
    let answer = ask(
        served.address,
        "GET",
        "/api/v1/status/active_queries",
        headers,
        "",
    );
    let running = json(&answer)["data"]["running"].clone();
    running.as_array().expect("a list").clone()
}

#[test]
fn a_query_that_is_killed_ends_with_499() {
    let served = Served::new("").ready();
    let asked = begin(&served, &[]);
    wait_until("it runs", || running(&served, &[]).len() == 1);
    let query = running(&served, &[]).remove(0);
    assert_eq!(
        (&query["tenant"], &query["query"]),
        (&"anonymous".into(), &LONG[0].1.into())
    );
    assert_eq!(
        (&query["start"], &query["end"], &query["step"]),
        (&0.into(), &600_000.into(), &60.0.into())
    );
    let id = query["id"].as_str().expect("a text");
    assert_eq!(
        post(served.address, "/api/v1/admin/queries/99999/kill", "").status,
        404
    );
    assert_eq!(
        post(served.address, "/api/v1/admin/queries/x/kill", "").status,
        400
    );
    assert_eq!(
        post(served.address, &format!("/api/v1/admin/queries/{id}/kill"), "").status,
        200
    );
    let answer = asked.join().expect("an answer");
    assert_eq!(
        (answer.status, &json(&answer)["errorType"]),
        (499, &"canceled".into())
    );
    assert!(running(&served, &[]).is_empty());
    let slow = json(&get(served.address, "/api/v1/status/slow_queries"))["data"].clone();
    assert_eq!(
        (&slow[0]["outcome"], &slow[0]["query"]),
        (&"canceled".into(), &LONG[0].1.into())
    );

    assert_eq!(get(served.address, "/api/v1/query?query=1").status, 200);
    assert_eq!(get(served.address, "/api/v1/query?query=nonsense(").status, 400);
    let metrics = get(served.address, "/metrics").body;
    for line in [
        "narthex_queries_total{outcome=\"canceled\"} 1",
        "narthex_queries_total{outcome=\"answered\"} 1",
        "narthex_queries_total{outcome=\"failed\"} 1",
        "narthex_queries_total{outcome=\"timeout\"} 0",
        "narthex_queries_running 0",
        "narthex_query_memory_bytes 0",
    ] {
        assert!(metrics.lines().any(|one| one == line), "{line} in\n{metrics}");
    }
}

/// The tokens `abc` and `abd`.
const TENANTS: &str = r#"
[tenants]
enabled = true

[[auth.tokens]]
name = "a"
tenant = "a"
scopes = ["read", "admin"]
sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

[[auth.tokens]]
name = "b"
tenant = "b"
scopes = ["read", "admin"]
sha256 = "a52d159f262b2c6ddb724a61840befc36eb30c88877a4030b65cbe86298449c9"
"#;

#[test]
fn a_tenant_sees_and_ends_its_own_queries_only() {
    const A: &[&str] = &["Authorization: Bearer abc"];
    const B: &[&str] = &["Authorization: Bearer abd"];
    let served = Served::new(TENANTS).ready();
    let asked = begin(&served, A);
    wait_until("it runs", || running(&served, A).len() == 1);
    assert!(running(&served, B).is_empty());
    let query = running(&served, A).remove(0);
    let path = format!(
        "/api/v1/admin/queries/{}/kill",
        query["id"].as_str().expect("a text")
    );
    assert_eq!(ask(served.address, "POST", &path, B, "").status, 404);
    assert_eq!(ask(served.address, "POST", &path, A, "").status, 200);
    assert_eq!(asked.join().expect("an answer").status, 499);
    for (who, known) in [(A, 1), (B, 0)] {
        let slow = ask(served.address, "GET", "/api/v1/status/slow_queries", who, "");
        assert_eq!(json(&slow)["data"].as_array().map(Vec::len), Some(known));
    }
}
