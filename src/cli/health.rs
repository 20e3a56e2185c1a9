//! `narthex health`: asks a running server whether it is ready, for container health checks. Plain HTTP; a server with TLS
//! is asked through a listener that only the health check needs, or by another program.

use super::Failure;
use super::http::{Request, Target, ask};
use std::io::{self, Write};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);
/// More than any answer to a health check has.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// Where `narthex serve` is by default.
pub(super) const DEFAULT_URL: &str = "http://127.0.0.1:6364/-/ready";

/// Whether the answer is 200; prints its first line.
pub(super) fn run(url: &str, out: &mut impl Write) -> Result<bool, Failure> {
    let failed =
        |kind, what: &dyn std::fmt::Display| Failure::Health(io::Error::new(kind, format!("{url}: {what}")));
    let target = Target::parse(url).map_err(|what| failed(io::ErrorKind::InvalidInput, &what))?;
    let path = if target.path == "/" {
        "/-/ready"
    } else {
        &target.path
    };
    let request = Request {
        method: "GET",
        path,
        headers: &[],
        body: &[],
        patience: PATIENCE,
        answer_bytes_max: ANSWER_BYTES_MAX,
    };
    let answer = ask(&target.host, &request).map_err(|error| failed(error.kind(), &error))?;
    let body = String::from_utf8_lossy(&answer.body);
    writeln!(out, "{} {}", answer.status, body.lines().next().unwrap_or(""))?;
    Ok(answer.status == 200)
}
