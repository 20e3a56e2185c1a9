//! As much of HTTP/1.1 as a subcommand needs to ask a running server: no TLS, and a connection for each request.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// The most that the lines before a body may have together.
const HEAD_BYTES_MAX: u64 = 64 << 10;

/// A server, and a path on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// Host with port.
    pub(super) host: String,
    /// Begins with a slash and may be nothing else.
    pub(super) path: String,
}

/// What is sent.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    /// Names and values, each without a line end.
    pub(super) headers: &'a [(&'a str, String)],
    pub(super) body: &'a [u8],
    /// For each write and read.
    pub(super) patience: Duration,
    pub(super) answer_bytes_max: u64,
}

/// Status and body of an answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Target {
    /// Reads `http://host:port/path`; without a port it is 80.
    pub(super) fn parse(url: &str) -> Result<Self, &'static str> {
        let rest = match url.split_once("://") {
            Some(("http", rest)) => rest,
            Some(_) => return Err("only http:// can be asked"),
            None => url,
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        if host.is_empty() || url.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("is no URL");
        }
        if host.contains('@') {
            return Err("names a user, which stands in a flag of its own");
        }
        let port = host.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
        let host = match port {
            Some(Ok(_)) => host.to_owned(),
            _ => format!("{host}:80"),
        };
        Ok(Self {
            host,
            path: format!("/{path}"),
        })
    }
}

/// Sends a request to the first address of the host that takes it.
pub(super) fn ask(host: &str, request: &Request<'_>) -> io::Result<Answer> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no such host");
    for address in host.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_PATIENCE) {
            Ok(stream) => return exchange(stream, host, request),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn exchange(mut stream: TcpStream, host: &str, request: &Request<'_>) -> io::Result<Answer> {
    stream.set_read_timeout(Some(request.patience))?;
    stream.set_write_timeout(Some(request.patience))?;
    let mut head = format!(
        "{} {} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n",
        request.method, request.path
    );
    for (name, value) in request.headers {
        head += &format!("{name}: {value}\r\n");
    }
    if request.method != "GET" {
        head += &format!("Content-Length: {}\r\n", request.body.len());
    }
    head += "\r\n";
    stream.write_all(head.as_bytes())?;
    stream.write_all(request.body)?;
    read(&mut BufReader::new(stream), request.answer_bytes_max)
}

fn read(stream: &mut impl BufRead, bytes_max: u64) -> io::Result<Answer> {
    let mut head = stream.take(HEAD_BYTES_MAX);
    let status = line(&mut head)?;
    let status = status
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1)?.parse().ok())
        .ok_or_else(|| bad("the answer is not HTTP"))?;
    let mut length = None;
    let mut is_chunked = false;
    loop {
        let header = line(&mut head)?;
        let Some((name, value)) = header.split_once(':') else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse::<u64>().ok(),
            "transfer-encoding" => is_chunked = value.to_ascii_lowercase().contains("chunked"),
            _ => {}
        }
    }
    let body = if is_chunked {
        read_chunks(stream, bytes_max)?
    } else {
        read_body(stream, length, bytes_max)?
    };
    Ok(Answer { status, body })
}

fn read_body(stream: &mut impl BufRead, length: Option<u64>, bytes_max: u64) -> io::Result<Vec<u8>> {
    if length.is_some_and(|length| length > bytes_max) {
        return Err(too_long(bytes_max));
    }
    let mut body = Vec::new();
    let limit = length.unwrap_or(bytes_max + 1);
    let read = stream.take(limit).read_to_end(&mut body)? as u64;
    if length.is_some_and(|length| read < length) {
        return Err(bad("the answer ends too early"));
    }
    if read > bytes_max {
        return Err(too_long(bytes_max));
    }
    Ok(body)
}

fn read_chunks(stream: &mut impl BufRead, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = line(&mut stream.take(HEAD_BYTES_MAX))?;
        let size = size.split(';').next().unwrap_or("").trim();
        let size = u64::from_str_radix(size, 16).map_err(|_| bad("a chunk of the answer has no length"))?;
        if size == 0 {
            return Ok(body);
        }
        if size > bytes_max.saturating_sub(body.len() as u64) {
            return Err(too_long(bytes_max));
        }
        let read = stream.take(size).read_to_end(&mut body)? as u64;
        if read < size {
            return Err(bad("the answer ends too early"));
        }
        line(&mut stream.take(HEAD_BYTES_MAX))?;
    }
}

/// A line without its end. One that is longer than the stream gives is cut off, and then no line that is expected.
fn line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    stream.read_until(b'\n', &mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

fn bad(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn too_long(bytes_max: u64) -> io::Error {
    let what = format!("the answer is longer than {bytes_max} bytes");
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read() {
        let cases = [
            (
                "http://127.0.0.1:6364/-/ready",
                Ok(("127.0.0.1:6364", "/-/ready")),
            ),
            ("http://narthex", Ok(("narthex:80", "/"))),
            ("localhost:9090", Ok(("localhost:9090", "/"))),
            ("http://[::1]/a/b", Ok(("[::1]:80", "/a/b"))),
            ("https://narthex", Err("only http:// can be asked")),
            ("http://a b", Err("is no URL")),
            ("http://", Err("is no URL")),
            (
                "http://me@narthex",
                Err("names a user, which stands in a flag of its own"),
            ),
        ];
        for (url, wanted) in cases {
            let wanted = wanted.map(|(host, path)| Target {
                host: host.to_owned(),
                path: path.to_owned(),
            });
            assert_eq!(Target::parse(url), wanted, "{url}");
        }
    }

    #[test]
    fn answers_are_read_by_length_in_chunks_and_to_the_end() {
        let body = |text: &str| {
            read(&mut text.as_bytes(), 10)
                .map(|answer| (answer.status, String::from_utf8_lossy(&answer.body).into_owned()))
                .map_err(|error| error.to_string())
        };
        let good = |status, text: &str| Ok((status, text.to_owned()));
        let bad = |text: &str| Err(text.to_owned());
        assert_eq!(
            body("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef"),
            good(200, "abc")
        );
        assert_eq!(body("HTTP/1.0 404 Not Found\r\n\r\nabc"), good(404, "abc"));
        let chunked =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n";
        assert_eq!(body(chunked), good(200, "abcde"));
        let early = bad("the answer ends too early");
        assert_eq!(body("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"), early);
        assert_eq!(
            body("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab"),
            early
        );
        let long = bad("the answer is longer than 10 bytes");
        assert_eq!(body("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n"), long);
        assert_eq!(body("HTTP/1.1 200 OK\r\n\r\n12345678901"), long);
        assert_eq!(
            body("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"),
            long
        );
        assert_eq!(body("SSH-2.0-x\r\n"), bad("the answer is not HTTP"));
    }
}
