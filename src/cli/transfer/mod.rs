//! `narthex import` and `narthex export`: files in other systems' formats to a running server, and samples of one to a file.

mod count;
mod export;
mod import;
mod progress;
mod source;

pub(super) use export::{Export, run as export};
pub(super) use import::{Import, run as import};

use super::http::Answer;
use std::fmt::Display;
use std::time::Duration;

/// Longer than a server lets a client wait.
const PATIENCE: Duration = Duration::from_secs(150);
/// More than any refusal has.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// Why a server that was reached did not do it.
fn refusal(answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let error = json["error"]
        .as_str()
        .or_else(|| text.lines().next())
        .unwrap_or("");
    let hint = json["hint"].as_str().map(|hint| format!(" ({hint})"));
    format!(
        "status {}: {error:.500}{}",
        answer.status,
        hint.unwrap_or_default()
    )
}

/// Why it was not reached.
fn unreached(url: &str, error: &dyn Display) -> String {
    format!("{url}: {error}\nIs the server running? `narthex serve` starts one, --url names another.")
}
