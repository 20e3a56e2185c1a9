//! `narthex health`: asks a running server whether it is ready, for container health checks. Plain HTTP; a server with TLS
//! is asked through a listener that only the health check needs, or by another program.

use super::Failure;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// For each of connect, write and read.
const PATIENCE: Duration = Duration::from_secs(5);
/// More than any answer to a health check has.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// Where `narthex serve` is by default.
pub(super) const DEFAULT_URL: &str = "http://127.0.0.1:6364/-/ready";

/// Whether the answer is 200; prints its first line.
pub(super) fn run(url: &str, out: &mut impl Write) -> Result<bool, Failure> {
    let (host, path) = split(url)?;
    let answer = ask(&host, &path).map_err(|error| {
        let what = format!("{url}: {error}");
        io::Error::new(error.kind(), what)
    });
    let answer = answer.map_err(Failure::Health)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).unwrap_or("");
    writeln!(out, "{status} {}", body.lines().next().unwrap_or(""))?;
    Ok(status == "200")
}

/// Host with port, and path.
fn split(url: &str) -> Result<(String, String), Failure> {
    let bad = |what: &str| {
        Failure::Health(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{url}: {what}"),
        ))
    };
    let rest = match url.split_once("://") {
        Some(("http", rest)) => rest,
        Some(_) => return Err(bad("only http:// can be asked")),
        None => url,
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, "-/ready"));
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let host = if has_port {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(bad("is no URL"));
    }
    Ok((host, format!("/{path}")))
}

fn ask(host: &str, path: &str) -> io::Result<String> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no such host");
    for address in host.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return exchange(stream, host, path),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn exchange(mut stream: TcpStream, host: &str, path: &str) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
