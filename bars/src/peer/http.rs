//! As much of HTTP/1.1 as it takes to talk to a peer on loopback: one connection, answers of a stated length or in chunks.

use anyhow::{Context, Result, bail, ensure};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// Room for what is read at once; a streamed answer is hundreds of megabytes.
const BUFFER_BYTES: usize = 256 << 10;

/// A connection that is used again and again.
pub struct Client {
    port: u16,
    stream: BufReader<TcpStream>,
}

/// Status and body of an answer.
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Client {
    pub fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        Ok(Self {
            port,
            stream: BufReader::with_capacity(BUFFER_BYTES, stream),
        })
    }

    /// Where it is connected to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `headers` are whole lines, each with its line end.
    pub fn send(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Result<Answer> {
        let mut content = Vec::new();
        let status = self.stream(method, path, headers, body, &mut |part| {
            content.extend_from_slice(part);
            Ok(())
        })?;
        Ok(Answer {
            status,
            body: content,
        })
    }

    /// As [`Client::send`], and gives the answer's body to `sink` piece by piece as it comes; the status. What `sink`
    /// refuses ends the reading, and the connection is of no more use.
    pub fn stream(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
        sink: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<u16> {
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\n\r\n"
        );
        let stream = self.stream.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let (status, length) = self.head()?;
        match length {
            Some(length) => self.part(length, sink)?,
            None => self.chunks(sink)?,
        }
        Ok(status)
    }

    /// Status and length of an answer; a chunked one has no length.
    fn head(&mut self) -> Result<(u16, Option<usize>)> {
        let status_line = self.line()?;
        let status = status_line.split(' ').nth(1).context("no status")?.parse()?;
        let mut length = Some(0);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                return Ok((status, length));
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = Some(value.trim().parse()?);
            }
            if line.starts_with("transfer-encoding:") {
                length = None;
            }
        }
    }

    fn chunks(&mut self, sink: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        loop {
            let line = self.line()?;
            let length = usize::from_str_radix(line.split(';').next().unwrap_or(""), 16)
                .with_context(|| format!("{line:?} is no length of a chunk"))?;
            if length == 0 {
                // No trailers are asked for.
                ensure!(self.line()?.is_empty(), "a trailer that nobody asked for");
                return Ok(());
            }
            self.part(length, sink)?;
            ensure!(self.line()?.is_empty(), "a chunk goes on behind its end");
        }
    }

    fn part(&mut self, mut left: usize, sink: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        while left > 0 {
            let buffer = self.stream.fill_buf()?;
            ensure!(!buffer.is_empty(), "the peer closed the connection in an answer");
            let taken = buffer.len().min(left);
            sink(&buffer[..taken])?;
            self.stream.consume(taken);
            left -= taken;
        }
        Ok(())
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        if !line.ends_with('\n') {
            bail!("the peer closed the connection");
        }
        Ok(line.trim_end().to_owned())
    }
}
