//! Graphite's plaintext over TCP.

use super::{BASE_MS, exported};
use crate::http::client::PATIENCE;
use crate::http::served::Served;
use crate::peers::http::wait_until;
use crate::peers::processes::free_port;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

const ALL: &str = "{__name__!=\"\"}";

fn with_graphite(settings: &str) -> (Served, u16) {
    let port = free_port();
    let listen = format!("graphite_listen = \"127.0.0.1:{port}\"\n");
    let served = Served::new(&(listen + settings));
    (served.ready(), port)
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("it accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    stream
}

/// Whether it is closed by the other side, which never says anything.
fn is_closed(mut stream: TcpStream) -> bool {
    !matches!(stream.read(&mut [0]), Ok(1..))
}

#[test]
fn lines_are_stored_however_they_come() {
    let (served, port) = with_graphite("");
    let mut one = connect(port);
    let mut other = connect(port);
    one.write_all(b"a.b;dc=eu 1.5 17000").expect("it reads");
    other
        .write_all(b"bad\nlate 2 1700000000.25\nlast 3 1700000000")
        .expect("it reads");
    one.write_all(b"00000\n").expect("it reads");
    drop(other);
    let wanted = [
        ("a.b", "1.5", BASE_MS),
        ("last", "3", BASE_MS),
        ("late", "2", BASE_MS + 250),
    ];
    wait_until("all is stored", PATIENCE, || {
        exported(served.address.port(), ALL).len() == 3
    });
    let stored = exported(served.address.port(), ALL);
    for ((series, samples), (name, value, time)) in stored.iter().zip(wanted) {
        assert!(series.contains(&format!("\"{name}\"")), "{series}");
        assert_eq!(samples.iter().next(), Some((&time, &value.to_owned())));
    }
    // A connection that is open does not hold up the end.
    drop(served);
    assert!(is_closed(one));
}

/// Nobody is told to come again: what may not be stored now waits.
#[test]
fn who_sends_too_much_waits() {
    let (served, port) = with_graphite("[ingest]\nsamples_per_second = 1000\n");
    let mut stream = connect(port);
    let lines = |from: i64| -> String {
        (from..from + 2_500)
            .map(|time| format!("often 1 {time}\n"))
            .collect()
    };
    for from in [0, 10_000] {
        stream.write_all(lines(from).as_bytes()).expect("it reads");
    }
    drop(stream);
    let samples = || {
        exported(served.address.port(), "often")
            .values()
            .map(|series| series.len())
            .sum::<usize>()
    };
    wait_until("all is stored", PATIENCE, || samples() == 5_000);
}

/// Whom samples are of is said by nobody here, so that there must be a tenant of requests without a header.
#[test]
fn connections_are_closed_where_nothing_can_be_stored() {
    let (_served, port) = with_graphite("[tenants]\nenabled = true\ndefault = \"\"\n");
    let mut stream = connect(port);
    stream.write_all(b"a 1 1700000000\n").expect("it reads");
    assert!(is_closed(stream));
    let (served, port) = with_graphite("[tenants]\nenabled = true\ndefault = \"team\"\n");
    connect(port).write_all(b"a 1 1700000000\n").expect("it reads");
    let samples = || {
        let path = format!("/api/v1/export?match[]={}", crate::peers::http::escape(ALL));
        let header = "X-Scope-OrgID: team\r\n";
        let answer = crate::peers::http::send(served.address.port(), "GET", &path, header, b"");
        answer.expect("an answer").text()
    };
    wait_until("it is stored", PATIENCE, || samples().contains("[1700000000000]"));
}

#[test]
fn many_lines_are_stored_and_none_has_no_end() {
    let (served, port) = with_graphite("");
    let mut stream = connect(port);
    let lines: String = (0..50_000)
        .map(|number| format!("many;n={} {number} {}\n", number % 10, 1_700_000_000 + number))
        .collect();
    stream.write_all(lines.as_bytes()).expect("it reads");
    let samples = || {
        exported(served.address.port(), "many")
            .values()
            .map(|series| series.len())
            .sum::<usize>()
    };
    wait_until("all is stored", PATIENCE, || samples() == 50_000);
    // It may hang up before all is sent.
    let _ = stream.write_all(&vec![b'x'; 200 << 10]);
    assert!(is_closed(stream));
}
