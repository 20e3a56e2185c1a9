//! A reload applies what it can, names what it cannot, and changes nothing when anything is wrong.

use super::client::{get, post};
use super::served::Served;

#[test]
fn a_reload_applies_what_it_can() {
    let served = Served::new("[http]\nbody_bytes = \"1KiB\"\n").ready();
    let body = " ".repeat(2000);
    assert_eq!(post(served.address, "/api/v1/admin/compact", &body).status, 413);
    served.rewrite("retention = \"10d\"\n[http]\nbody_bytes = \"4KiB\"\nconcurrency = 5\n");
    let answer = post(served.address, "/-/reload", "");
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.body,
        "{\"status\":\"success\",\"data\":{\"applied\":[\"http.body_bytes\"],\"needsRestart\":[\"retention\",\"http.concurrency\"]}}"
    );
    assert_eq!(post(served.address, "/api/v1/admin/compact", &body).status, 200);
}

#[test]
fn a_faulty_file_changes_nothing() {
    let served = Served::new("").ready();
    let metric = |value: &str| {
        let line = format!("narthex_config_reload_success {value}");
        get(served.address, "/metrics")
            .body
            .lines()
            .any(|one| one == line)
    };
    assert!(metric("1"));
    served.rewrite("[http]\nbody_bytes = \"1KiB\"\nboddy_timeout = \"1s\"\n");
    let answer = post(served.address, "/-/reload", "");
    assert_eq!(answer.status, 400);
    assert!(
        answer.body.contains("did you mean `http.body_timeout`?"),
        "{}",
        answer.body
    );
    assert_eq!(
        post(served.address, "/api/v1/admin/compact", &" ".repeat(2000)).status,
        200
    );
    assert!(metric("0"));
    served.rewrite("");
    assert_eq!(post(served.address, "/-/reload", "").status, 200);
    assert!(metric("1"));
}

#[test]
fn credentials_hold_from_the_reload_on() {
    let served = Served::new("").ready();
    served.rewrite(&super::auth::credentials());
    assert_eq!(post(served.address, "/-/reload", "").status, 200);
    assert_eq!(get(served.address, "/version").status, 401);
}
