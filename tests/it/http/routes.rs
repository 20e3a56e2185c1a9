//! What every route answers when all is well, and what is none.

use super::client::{ask, connect, get, post, read_answer, request_text};
use super::served::Served;
use narthex::{Db, Matcher, Options, labels};
use std::io::{Read, Write};

#[test]
fn health_and_version_are_plain() {
    let served = Served::new("").ready();
    for (path, text) in [
        ("/-/healthy", "narthex is healthy\n"),
        ("/-/ready", "narthex is ready\n"),
    ] {
        let answer = get(served.address, path);
        assert_eq!((answer.status, answer.body.as_str()), (200, text));
    }
    let version = get(served.address, "/version");
    let expected = format!(
        "{{\"name\":\"narthex\",\"version\":\"{}\"}}",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!((version.status, version.body), (200, expected));
}

#[test]
fn what_is_no_route_is_said_as_prometheus_does() {
    let served = Served::new("").ready();
    let answer = get(served.address, "/api/v1/nothing");
    assert_eq!(answer.status, 404);
    assert_eq!(
        answer.body,
        "{\"status\":\"error\",\"errorType\":\"not_found\",\"error\":\"there is no such route\"}"
    );
    let answer = post(served.address, "/metrics", "");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET,HEAD")));
}

#[test]
fn request_ids_are_returned() {
    let served = Served::new("").ready();
    let given = ask(served.address, "GET", "/version", &["X-Request-Id: abc-123"], "");
    assert_eq!(given.header("x-request-id"), Some("abc-123"));
    let odd = ask(served.address, "GET", "/version", &["X-Request-Id: a b\"c"], "");
    let made = odd.header("x-request-id").expect("an id");
    assert!(
        made.len() == 16 && made.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{made}"
    );
}

#[test]
fn a_connection_serves_many_requests() {
    let served = Served::new("").ready();
    let mut stream = connect(served.address);
    for _ in 0..3 {
        let text = request_text("GET", "/-/healthy", &[], "");
        stream.write_all(text.as_bytes()).expect("the connection is open");
        assert_eq!(read_answer(&mut stream).expect("an answer").status, 200);
    }
}

/// The preface, an empty SETTINGS frame, and a GET of /-/ready with HPACK's static table.
#[test]
fn http_2_works_without_tls() {
    let served = Served::new("").ready();
    let mut stream = connect(served.address);
    let mut request = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    let mut block = vec![0x82, 0x86, 0x04, 8];
    block.extend_from_slice(b"/-/ready");
    block.extend_from_slice(&[0x01, 7]);
    block.extend_from_slice(b"narthex");
    request.extend_from_slice(&[0, 0, block.len() as u8, 1, 5, 0, 0, 0, 1]);
    request.extend_from_slice(&block);
    stream.write_all(&request).expect("the server reads");
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).expect("a frame");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).expect("its payload");
        if head[3] == 1 {
            assert_eq!(payload[0], 0x88, "the field `:status: 200` of the static table");
            return;
        }
    }
}

fn filled() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let db = Db::open(Options::new(folder.path().join("data")).background(false)).expect("a new database");
    for step in 0..2 {
        for minute in 0..100 {
            let mut batch = db.batch();
            let labels = labels! { "__name__" => "up", "host" => "a" };
            batch.push(&labels, (step * 100 + minute) * 60_000, minute as f64);
            assert_eq!(batch.commit().expect("a commit").accepted, 1);
        }
        if step == 0 {
            db.flush().expect("a flush");
        }
    }
    db.close().expect("a close");
    folder
}

#[test]
fn flush_and_compact_return_when_the_work_is_done() {
    let served = Served::over(filled(), "").ready();
    let flushed = post(served.address, "/api/v1/admin/flush", "");
    assert_eq!(flushed.status, 200);
    assert!(
        flushed.body.contains("\"headSamples\":0") && flushed.body.contains("\"segments\":2"),
        "{}",
        flushed.body
    );
    let headers = ["Content-Type: application/x-www-form-urlencoded"];
    let compacted = ask(
        served.address,
        "POST",
        "/api/v1/admin/compact",
        &headers,
        "{\"force\": true}",
    );
    assert_eq!(compacted.status, 200);
    assert!(compacted.body.contains("\"segments\":1"), "{}", compacted.body);
    let refused = post(served.address, "/api/v1/admin/compact", "{\"forse\": true}");
    assert_eq!(refused.status, 400);

    let folder = served.stop();
    let db = Db::open_read_only(folder.path().join("data")).expect("the folder opens");
    let mut samples = 0;
    for series in db
        .select(&[Matcher::eq("__name__", "up")], ..)
        .expect("a selection")
    {
        samples += series.expect("a series").samples().count();
    }
    assert_eq!((samples, db.segments().len()), (200, 1));
}

#[test]
fn metrics_are_the_documented_ones() {
    // With tenants, since some metrics are there with tenants only.
    let served = Served::over(filled(), "[tenants]\nenabled = true\n").ready();
    let answer = get(served.address, "/metrics");
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let page = crate::tidy::text::files("docs", &["metrics.md"]).remove(0);
    let names: Vec<&str> = page
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    assert!(names.len() > 30, "the page lists them");
    for name in &names {
        let is_sample = |line: &str| line.starts_with(name) && !line.starts_with('#');
        assert!(
            answer.body.lines().any(is_sample),
            "{name} is documented and not there"
        );
    }
    for line in answer.body.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap_or("");
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(name);
        assert!(
            names.contains(&base) || names.contains(&name),
            "{name} is not documented"
        );
        let value = line
            .rsplit(' ')
            .next()
            .and_then(|value| value.parse::<f64>().ok());
        assert!(value.is_some(), "{line}");
    }
    for line in [
        "narthex_head_samples 100",
        "narthex_segment_samples 100",
        "narthex_head_series 1",
    ] {
        assert!(
            answer.body.lines().any(|one| one == line),
            "{line} in\n{}",
            answer.body
        );
    }
}
