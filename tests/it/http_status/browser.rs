//! Who asks from a page of another origin, and who likes answers small.

use crate::http::client::{Answer, ask};
use crate::http::served::Served;
use crate::peers::http::send;
use std::io::Write as _;
use std::process::{Command, Stdio};

const ORIGIN: &str = "Origin: http://grafana.example";

fn allowed(answer: &Answer) -> Option<&str> {
    answer.header("access-control-allow-origin")
}

#[test]
fn a_page_of_another_origin_may_ask() {
    let served = Served::new("[[auth.tokens]]\nname = \"a\"\nscopes = [\"read\"]\nsha256 = \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"\n").ready();
    for path in [
        "/api/v1/query",
        "/api/v1/status/tsdb",
        "/api/v1/admin/tsdb/snapshot",
        "/api/v1/nothing",
    ] {
        let asked = ask(served.address, "OPTIONS", path, &[ORIGIN], "");
        assert_eq!((asked.status, allowed(&asked)), (204, Some("*")), "{path}");
        for (name, value) in [
            (
                "access-control-allow-headers",
                "Accept, Authorization, Content-Type, Origin",
            ),
            ("access-control-allow-methods", "GET, POST, OPTIONS"),
            ("access-control-expose-headers", "Date"),
            ("vary", "Origin"),
        ] {
            assert_eq!(asked.header(name), Some(value), "{path}");
        }
    }
    let refused = ask(served.address, "GET", "/api/v1/alerts", &[ORIGIN], "");
    assert_eq!((refused.status, allowed(&refused)), (401, Some("*")));
    let token = "Authorization: Bearer abc";
    let answered = ask(served.address, "GET", "/api/v1/alerts", &[ORIGIN, token], "");
    assert_eq!((answered.status, allowed(&answered)), (200, Some("*")));
    let own = ask(served.address, "GET", "/api/v1/alerts", &[token], "");
    assert_eq!(
        (own.header("access-control-allow-methods"), allowed(&own)),
        (None, None)
    );
    assert_eq!(
        ask(served.address, "OPTIONS", "/-/healthy", &[ORIGIN], "").status,
        405
    );
}

#[test]
fn some_origins_may_and_others_may_not() {
    let served = Served::new("[http]\ncors_origin = \"https?://(grafana|other)\\\\.example\"\n").ready();
    let asked = |origin: &str| {
        let answer = ask(served.address, "GET", "/api/v1/alerts", &[origin], "");
        assert_eq!(answer.status, 200);
        allowed(&answer).map(str::to_owned)
    };
    assert_eq!(asked(ORIGIN).as_deref(), Some("http://grafana.example"));
    assert_eq!(asked("Origin: http://grafana.example.org"), None);
}

/// What zstd makes of it.
fn unpacked(bytes: &[u8]) -> Vec<u8> {
    zstd::decode_all(bytes).expect("a frame of zstd")
}

/// What `gzip` makes of it.
fn unzipped(bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new("gzip")
        .arg("-dc")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("gzip");
    let mut stdin = child.stdin.take().expect("a pipe");
    let bytes = bytes.to_vec();
    let writing = std::thread::Builder::new()
        .spawn(move || stdin.write_all(&bytes))
        .expect("a thread");
    let output = child.wait_with_output().expect("an end");
    writing.join().expect("no panic").expect("all is read");
    assert!(output.status.success());
    output.stdout
}

#[test]
fn long_answers_are_compressed_for_who_likes_it() {
    let served = Served::new("").ready();
    let port = served.address.port();
    let ask = |path: &str, accepts: &str| {
        let headers = format!("Accept-Encoding: {accepts}\r\n");
        send(port, "GET", path, &headers, &[]).expect("an answer")
    };
    let plain = ask("/api/v1/openapi.yaml", "identity");
    assert_eq!(plain.header("content-encoding"), None);
    let small = ask("/api/v1/openapi.yaml", "gzip");
    assert_eq!(small.header("content-encoding"), Some("gzip"));
    assert!(small.body.len() * 4 < plain.body.len());
    assert_eq!(unzipped(&small.body), plain.body);
    let deflated = ask("/api/v1/openapi.yaml", "deflate");
    assert_eq!(
        (deflated.header("content-encoding"), deflated.body[0]),
        (Some("deflate"), 0x78)
    );
    let dense = ask("/api/v1/openapi.yaml", "gzip, deflate, br, zstd");
    assert_eq!(dense.header("content-encoding"), Some("zstd"));
    assert_eq!(unpacked(&dense.body), plain.body);
    assert!(dense.body.len() * 4 < plain.body.len());
    let chosen = ask("/api/v1/openapi.yaml", "zstd;q=0.5, gzip");
    assert_eq!(chosen.header("content-encoding"), Some("gzip"));
    let short = ask("/api/v1/alerts", "gzip, zstd");
    assert_eq!(short.header("content-encoding"), None);
    // A stream of more than one piece.
    let query = "/api/v1/query_range?query=vector(time())&start=0&end=10000&step=1";
    assert_eq!(unzipped(&ask(query, "gzip").body), ask(query, "identity").body);
    assert_eq!(unpacked(&ask(query, "zstd").body), ask(query, "identity").body);
    let query = "/api/v1/query_range?query=label_replace(vector(time()),%22a%22,%22b%22,%22%22,%22%22)&start=0&end=10000&step=1";
    assert_eq!(
        unzipped(&ask(query, "gzip, deflate").body),
        ask(query, "identity").body
    );
}

#[test]
fn events_are_sent_at_once_and_end_with_the_server() {
    let served = Served::new("[http]\nshutdown_timeout = \"20s\"\n").ready();
    let port = served.address.port();
    let path = "/api/v1/notifications/live";
    let following = std::thread::Builder::new()
        .spawn(move || send(port, "GET", path, "Accept-Encoding: gzip, zstd\r\n", &[]))
        .expect("a thread");
    crate::http::served::wait_until("somebody follows", || {
        let metrics = crate::http::client::get(served.address, "/metrics").body;
        metrics.contains("narthex_http_requests_total{route=\"/api/v1/notifications/live\",status=\"200\"} 1")
    });
    let begun = std::time::Instant::now();
    drop(served);
    assert!(begun.elapsed().as_secs() < 15, "a stream kept the server");
    let answer = following.join().expect("no panic").expect("an answer");
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert_eq!(answer.header("content-encoding"), None);
    assert!(
        answer.text().contains("narthex is shutting down."),
        "{}",
        answer.text()
    );
}
