//! Queries of a running server, by Prometheus' HTTP API.

use super::answer::Answer;
use super::{When, fault, json};
use crate::cli::Failure;
use crate::cli::access::{Access, UNAUTHORIZED, WHO};
use crate::cli::http::{self, Request, Target, escaped};
use std::fmt::Write as _;
use std::time::Duration;

/// Longer than a server lets a query take by default.
const PATIENCE: Duration = Duration::from_secs(150);
const ANSWER_BYTES_MAX: u64 = 1 << 30;

pub(super) fn ask(
    url: &str,
    access: &Access,
    query: &str,
    when: When,
    limit: Option<u64>,
) -> Result<Answer, Failure> {
    let failed = |what: &dyn std::fmt::Display| Failure::Query(format!("{url}: {what}"));
    let target = Target::parse(url).map_err(|what| failed(&what))?;
    let (endpoint, mut form) = form(query, when);
    if let Some(limit) = limit {
        // Writing to a string does not fail.
        let _ = write!(form, "&limit={limit}");
    }
    let mut headers = access.headers().map_err(Failure::Query)?;
    headers.push(("Content-Type", "application/x-www-form-urlencoded".to_owned()));
    headers.push(("Accept", "application/json".to_owned()));
    let path = target.route(&format!("/api/v1/{endpoint}"));
    let request = Request {
        method: "POST",
        path: &path,
        headers: &headers,
        body: form.as_bytes(),
        patience: PATIENCE,
        answer_bytes_max: ANSWER_BYTES_MAX,
    };
    let answer = http::ask(&target.host, &request).map_err(|error| failed(&unreached(&error)))?;
    match json::read(&answer.body) {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(refused)) => Err(Failure::Query(fault::shown(&refused, query))),
        Err(_) if answer.status == UNAUTHORIZED => Err(failed(&WHO)),
        Err(what) => {
            let text = String::from_utf8_lossy(&answer.body);
            let line = text.lines().next().unwrap_or("").trim();
            let what = format!(
                "status {}, no answer to a query ({what}): {line:.200}",
                answer.status
            );
            Err(failed(&what))
        }
    }
}

fn unreached(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => {
            format!("no answer in time ({error})")
        }
        std::io::ErrorKind::InvalidData => error.to_string(),
        _ => format!(
            "cannot be reached: {error}\nIs the server running? `narthex serve` starts one, --url names another, and \
             --data asks the folder of a database without one."
        ),
    }
}

/// The endpoint, and what is posted to it.
fn form(query: &str, when: When) -> (&'static str, String) {
    let query = escaped(query);
    let seconds = |ms: i64| {
        let sign = if ms < 0 { "-" } else { "" };
        let ms = ms.unsigned_abs();
        format!("{sign}{}.{:03}", ms / 1000, ms % 1000)
    };
    match when {
        When::At(time) => ("query", format!("query={query}&time={}", seconds(time))),
        When::Range { start, end, step } => {
            let [start, end, step] = [start, end, step].map(seconds);
            let form = format!("query={query}&start={start}&end={end}&step={step}");
            ("query_range", form)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_escaped() {
        assert_eq!(
            form("a{b=\"ö\"} + 1", When::At(-1_500)),
            (
                "query",
                "query=a%7Bb%3D%22%C3%B6%22%7D%20%2B%201&time=-1.500".to_owned()
            )
        );
        let range = When::Range {
            start: 0,
            end: 60_000,
            step: 15_001,
        };
        assert_eq!(
            form("up", range),
            (
                "query_range",
                "query=up&start=0.000&end=60.000&step=15.001".to_owned()
            )
        );
    }
}
