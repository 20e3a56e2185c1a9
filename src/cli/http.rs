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

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Names in small letters with their values, those behind the body as well.
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|header| header.0 == name)
            .map(|header| header.1.as_str())
    }
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

impl Target {
    /// The path of a route of a server that lives below this path.
    pub(super) fn route(&self, route: &str) -> String {
        format!("{}{route}", self.path.trim_end_matches('/'))
    }
}

/// Sends a request.
pub(super) fn ask(host: &str, request: &Request<'_>) -> io::Result<Answer> {
    let mut stream = send(host, request, Some(request.body.len()))?;
    stream.write_all(request.body)?;
    read(&mut BufReader::new(stream), request.answer_bytes_max, None)
}

/// Sends a request whose good answer goes to `out`, however long it is.
pub(super) fn download(host: &str, request: &Request<'_>, out: &mut dyn Write) -> io::Result<Answer> {
    let mut stream = send(host, request, Some(request.body.len()))?;
    stream.write_all(request.body)?;
    read(&mut BufReader::new(stream), request.answer_bytes_max, Some(out))
}

/// Sends a request with a body of any length: what `piece` puts into a buffer, until it puts nothing there.
pub(super) fn upload(
    host: &str,
    request: &Request<'_>,
    piece: &mut dyn FnMut(&mut Vec<u8>) -> io::Result<()>,
) -> io::Result<Answer> {
    let mut stream = send(host, request, None)?;
    let (mut buffer, mut sent) = (Vec::new(), Ok(()));
    while sent.is_ok() {
        buffer.clear();
        piece(&mut buffer)?;
        sent = send_chunk(&mut stream, &buffer);
        if buffer.is_empty() {
            break;
        }
    }
    // A server that has heard enough says why before it hangs up.
    let answer = read(&mut BufReader::new(stream), request.answer_bytes_max, None);
    match (sent, answer) {
        (Err(error), Err(_)) => Err(error),
        (_, answer) => answer,
    }
}

fn send_chunk(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    write!(stream, "{:x}\r\n", bytes.len())?;
    stream.write_all(bytes)?;
    stream.write_all(b"\r\n")
}

/// Sends what stands before a body to the first address of the host that takes it. A body without a length comes in chunks.
fn send(host: &str, request: &Request<'_>, body_bytes: Option<usize>) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no such host");
    for address in host.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_PATIENCE) {
            Ok(mut stream) => {
                stream.set_read_timeout(Some(request.patience))?;
                stream.set_write_timeout(Some(request.patience))?;
                stream.write_all(head(host, request, body_bytes).as_bytes())?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn head(host: &str, request: &Request<'_>, body_bytes: Option<usize>) -> String {
    let mut head = format!(
        "{} {} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n",
        request.method, request.path
    );
    for (name, value) in request.headers {
        head += &format!("{name}: {value}\r\n");
    }
    match body_bytes {
        _ if request.method == "GET" => {}
        Some(bytes) => head += &format!("Content-Length: {bytes}\r\n"),
        None => head += "Transfer-Encoding: chunked\r\n",
    }
    head + "\r\n"
}

/// Reads an answer. A good one goes to `out` if there is such; else its body has `bytes_max` at most.
fn read(stream: &mut impl BufRead, bytes_max: u64, out: Option<&mut dyn Write>) -> io::Result<Answer> {
    let mut head = stream.take(HEAD_BYTES_MAX);
    let status = line(&mut head)?;
    let status = status
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1)?.parse().ok())
        .ok_or_else(|| bad("the answer is not HTTP"))?;
    let mut answer = Answer {
        status,
        headers: headers(&mut head)?,
        body: Vec::new(),
    };
    let length = answer
        .header("content-length")
        .and_then(|length| length.parse().ok());
    let is_chunked = answer
        .header("transfer-encoding")
        .is_some_and(|value| value.to_ascii_lowercase().contains("chunked"));
    let mut kept = Vec::new();
    let (out, bytes_max): (&mut dyn Write, u64) = match out {
        Some(out) if status == 200 => (out, u64::MAX),
        _ => (&mut kept, bytes_max),
    };
    if status == 204 {
        return Ok(answer);
    }
    if is_chunked {
        read_chunks(stream, bytes_max, out)?;
        answer.headers.extend(headers(&mut stream.take(HEAD_BYTES_MAX))?);
    } else {
        read_body(stream, length, bytes_max, out)?;
    }
    answer.body = kept;
    Ok(answer)
}

/// Lines with a name and a value, up to one that is none.
fn headers(stream: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    while let Some((name, value)) = line(stream)?.split_once(':') {
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Ok(headers)
}

fn read_body(
    stream: &mut impl BufRead,
    length: Option<u64>,
    bytes_max: u64,
    out: &mut dyn Write,
) -> io::Result<()> {
    if length.is_some_and(|length| length > bytes_max) {
        return Err(too_long(bytes_max));
    }
    let limit = length.unwrap_or(bytes_max.saturating_add(1));
    let read = io::copy(&mut stream.take(limit), out)?;
    if length.is_some_and(|length| read < length) {
        return Err(bad("the answer ends too early"));
    }
    if read > bytes_max {
        return Err(too_long(bytes_max));
    }
    Ok(())
}

fn read_chunks(stream: &mut impl BufRead, bytes_max: u64, out: &mut dyn Write) -> io::Result<()> {
    let mut read = 0;
    loop {
        let size = line(&mut stream.take(HEAD_BYTES_MAX))?;
        let size = size.split(';').next().unwrap_or("").trim();
        let size = u64::from_str_radix(size, 16).map_err(|_| bad("the answer ends too early"))?;
        if size == 0 {
            return Ok(());
        }
        if size > bytes_max - read {
            return Err(too_long(bytes_max));
        }
        read += size;
        if io::copy(&mut stream.take(size), out)? < size {
            return Err(bad("the answer ends too early"));
        }
        line(&mut stream.take(HEAD_BYTES_MAX))?;
    }
}

/// Text for a form, or for the query of a path.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out += &format!("%{byte:02X}");
        }
    }
    out
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
            read(&mut text.as_bytes(), 10, None)
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
        assert_eq!(body("HTTP/1.1 204 No Content\r\n\r\n"), good(204, ""));
    }

    #[test]
    fn good_answers_go_where_they_are_wanted_and_what_is_behind_them_is_read() {
        let text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n01234567890123456789\r\n0\r\nX-Left: 3\r\n\r\n";
        let mut out = Vec::new();
        let answer = read(&mut text.as_bytes(), 10, Some(&mut out)).expect("an answer");
        assert_eq!(
            (out.len(), answer.body.len(), answer.header("x-left")),
            (20, 0, Some("3"))
        );
        let text = "HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nbad";
        let mut out = Vec::new();
        let answer = read(&mut text.as_bytes(), 10, Some(&mut out)).expect("an answer");
        assert_eq!((out.len(), answer.body.as_slice()), (0, &b"bad"[..]));
    }
}
