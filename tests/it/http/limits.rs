//! What a client may not do: send too much, too slowly, or nothing at all.

use super::client::{ask, connect, get, post, read_answer, read_to_close, request_text};
use super::served::{Served, wait_until};
use std::io::Write;

const COMPACT: &str = "/api/v1/admin/compact";

#[test]
fn a_body_beyond_the_limit_is_413() {
    let served = Served::new("[http]\nbody_bytes = \"1KiB\"\n").ready();
    let spaces = |count: usize| " ".repeat(count);
    assert_eq!(post(served.address, COMPACT, &spaces(1024)).status, 200);
    let answer = post(served.address, COMPACT, &spaces(1025));
    assert_eq!(answer.status, 413);
    assert!(answer.body.contains("http.body_bytes"), "{}", answer.body);
    // Without a length in advance.
    let mut stream = connect(served.address);
    let head = format!("POST {COMPACT} HTTP/1.1\r\nHost: narthex\r\nTransfer-Encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("the server reads");
    for _ in 0..2 {
        stream
            .write_all(format!("258\r\n{}\r\n", spaces(600)).as_bytes())
            .expect("the server reads");
    }
    assert_eq!(read_answer(&mut stream).expect("an answer").status, 413);
}

#[test]
fn a_body_that_does_not_come_is_408() {
    let served = Served::new("[http]\nbody_timeout = \"200ms\"\n").ready();
    let mut stream = connect(served.address);
    let head = format!("POST {COMPACT} HTTP/1.1\r\nHost: narthex\r\nContent-Length: 100\r\n\r\n{{");
    stream.write_all(head.as_bytes()).expect("the server reads");
    let answer = read_answer(&mut stream).expect("an answer");
    assert_eq!(answer.status, 408);
    assert!(answer.body.contains("http.body_timeout"), "{}", answer.body);
}

#[test]
fn headers_that_do_not_come_close_the_connection() {
    let served = Served::new("[http]\nheader_timeout = \"200ms\"\nidle_timeout = \"10m\"\n").ready();
    for begin in ["", "GET /-/hea"] {
        let mut stream = connect(served.address);
        stream.write_all(begin.as_bytes()).expect("the server reads");
        assert!(read_to_close(&mut stream).is_empty(), "{begin:?}");
    }
    // After an answer, the time for headers begins with the first byte of the next request.
    let mut stream = connect(served.address);
    stream
        .write_all(request_text("GET", "/-/healthy", &[], "").as_bytes())
        .expect("the server reads");
    assert_eq!(read_answer(&mut stream).expect("an answer").status, 200);
    std::thread::sleep(std::time::Duration::from_millis(600));
    stream
        .write_all(request_text("GET", "/-/healthy", &[], "").as_bytes())
        .expect("the server reads");
    assert_eq!(
        read_answer(&mut stream)
            .expect("idle for longer than headers may take")
            .status,
        200
    );
    stream.write_all(b"GET /-").expect("the server reads");
    assert!(read_to_close(&mut stream).is_empty());
}

#[test]
fn an_idle_connection_is_closed() {
    let served = Served::new("[http]\nidle_timeout = \"200ms\"\n").ready();
    let mut stream = connect(served.address);
    stream
        .write_all(request_text("GET", "/-/healthy", &[], "").as_bytes())
        .expect("the server reads");
    assert_eq!(read_answer(&mut stream).expect("an answer").status, 200);
    assert!(read_to_close(&mut stream).is_empty());
}

#[test]
fn bodies_beyond_the_budget_are_told_to_come_again() {
    let served =
        Served::new("[http]\nbody_bytes = \"64KiB\"\nin_flight_bytes = \"64KiB\"\nretry_after = \"7s\"\n")
            .ready();
    let mut stalled = connect(served.address);
    let head = format!(
        "POST {COMPACT} HTTP/1.1\r\nHost: narthex\r\nContent-Length: 60000\r\n\r\n{}",
        " ".repeat(50_000)
    );
    stalled.write_all(head.as_bytes()).expect("the server reads");
    let held = || {
        let metrics = get(served.address, "/metrics").body;
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix("narthex_http_in_flight_bytes "));
        line.and_then(|value| value.parse::<u64>().ok())
            .expect("the metric")
    };
    wait_until("the first body is held", || held() >= 50_000);
    let answer = post(served.address, COMPACT, &" ".repeat(40_000));
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("7")));
    stalled
        .write_all(" ".repeat(10_000).as_bytes())
        .expect("the server reads");
    assert_eq!(read_answer(&mut stalled).expect("an answer").status, 200);
    wait_until("its bytes are given back", || held() == 0);
    assert_eq!(post(served.address, COMPACT, &" ".repeat(40_000)).status, 200);
}

#[test]
fn connections_beyond_the_limit_wait() {
    let served = Served::new("[http]\nconnections = 1\n").ready();
    let first = connect(served.address);
    let mut second = connect(served.address);
    second
        .write_all(request_text("GET", "/-/healthy", &[], "").as_bytes())
        .expect("the system queues it");
    second
        .set_read_timeout(Some(std::time::Duration::from_millis(300)))
        .expect("a time-out");
    assert!(read_answer(&mut second).is_err(), "the only place is taken");
    drop(first);
    second
        .set_read_timeout(Some(super::client::PATIENCE))
        .expect("a time-out");
    assert_eq!(read_answer(&mut second).expect("an answer").status, 200);
}

#[test]
fn bytes_that_are_no_http_harm_nobody() {
    let served = Served::new("").ready();
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(1 << 20));
    for bytes in [
        &b"\0\0\0\0\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0",
        long.as_bytes(),
    ] {
        let mut stream = connect(served.address);
        // The server may close before it has read all.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let answer = read_to_close(&mut stream);
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"),
            "{:?}",
            String::from_utf8_lossy(&answer)
        );
    }
    assert_eq!(ask(served.address, "GET", "/-/healthy", &[], "").status, 200);
}
