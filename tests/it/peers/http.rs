//! As much of HTTP/1.1 as a test on loopback needs: a connection for each request.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// Status and body of an answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|one| one.0 == name)
            .map(|one| one.1.as_str())
    }
}

/// Sends one request; `headers` are whole lines, each with its line end.
pub(crate) fn send(
    port: u16,
    method: &str,
    path: &str,
    headers: &str,
    body: &[u8],
) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    read(BufReader::new(stream))
}

pub(crate) fn get(port: u16, path: &str) -> std::io::Result<Answer> {
    send(port, "GET", path, "", &[])
}

/// The JSON that a GET answers with.
pub(crate) fn json(port: u16, path: &str) -> serde_json::Value {
    let answer = get(port, path).expect("an answer");
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{path}: {error}: {}", answer.text()))
}

fn read(mut stream: BufReader<TcpStream>) -> std::io::Result<Answer> {
    let bad = |what: &str| std::io::Error::other(what.to_owned());
    let status = line(&mut stream)?;
    let status = status.split(' ').nth(1).and_then(|text| text.parse().ok());
    let mut answer = Answer {
        status: status.ok_or_else(|| bad("no status"))?,
        headers: Vec::new(),
        body: Vec::new(),
    };
    read_headers(&mut stream, &mut answer)?;
    if answer
        .header("transfer-encoding")
        .is_some_and(|value| value.contains("chunked"))
    {
        loop {
            let length = usize::from_str_radix(&line(&mut stream)?, 16).map_err(|_| bad("chunk length"))?;
            let mut chunk = vec![0; length];
            if length == 0 {
                // Trailers, if there are any.
                read_headers(&mut stream, &mut answer)?;
                return Ok(answer);
            }
            stream.read_exact(&mut chunk)?;
            answer.body.append(&mut chunk);
            line(&mut stream)?;
        }
    }
    match answer
        .header("content-length")
        .and_then(|value| value.parse().ok())
    {
        Some(length) => {
            answer.body.resize(length, 0);
            stream.read_exact(&mut answer.body)?;
        }
        None if answer.status == 204 => {}
        None => drop(stream.read_to_end(&mut answer.body)?),
    }
    Ok(answer)
}

fn read_headers(stream: &mut BufReader<TcpStream>, answer: &mut Answer) -> std::io::Result<()> {
    while let Some((name, value)) = line(stream)?.split_once(':') {
        let name = name.to_ascii_lowercase();
        answer.headers.push((name, value.trim().to_owned()));
    }
    Ok(())
}

fn line(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

/// Text for the query of a URL.
pub(crate) fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

/// Tries until something holds.
pub(crate) fn wait_until(what: &str, patience: Duration, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + patience;
    while !holds() {
        assert!(Instant::now() < end, "{what}: not within {patience:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
