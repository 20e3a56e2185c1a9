//! Lines, events and keys that were acknowledged over HTTP are there after kills and a full disk, and nothing else is.

use crate::peers::http::{self, wait_until};
use crate::peers::processes::Narthex;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const LINES_PER_BATCH: u64 = 20;
const KILLS: u32 = 4;
const KILL_EVERY: Duration = Duration::from_millis(400);
const PATIENCE: Duration = Duration::from_secs(20);
/// What files may grow to while the disk is full.
const FULL_BYTES: u64 = 256 << 10;

/// The status of each of the three requests of a batch; an error where the server was gone.
fn write(port: u16, number: u64) -> std::io::Result<[u16; 3]> {
    let mut lines = String::new();
    for place in 0..LINES_PER_BATCH {
        let message = format!("line {} of many", number * LINES_PER_BATCH + place);
        let line = json!({"device": "pump", "message": message, "timestamp": 1_700_000_000 + number});
        lines.push_str(&line.to_string());
        lines.push('\n');
    }
    let event =
        json!({"device": "pump", "type": "step", "data": number, "timestamp": 1_700_000_000 + number});
    let key = format!("/api/v1/columns/steps/{number:08}");
    let status = |method: &str, path: &str, body: String| {
        http::send(port, method, path, "", body.as_bytes()).map(|answer| answer.status)
    };
    Ok([
        status("POST", "/api/v1/logs", lines)?,
        status("POST", "/api/v1/events", event.to_string())?,
        status("PUT", &key, number.to_string())?,
    ])
}

fn is_acknowledged(statuses: &[u16; 3]) -> bool {
    statuses.iter().all(|status| status / 100 == 2)
}

/// All pages of a listing, oldest first.
fn pages(port: u16, kind: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let mut page = http::json(port, &format!("/api/v1/{kind}?order=asc&limit=5000{cursor}"));
        let data = page["data"].take();
        all.extend(data[kind].as_array().expect("a list").iter().cloned());
        match data["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

/// Every batch that was acknowledged is there, and nothing that was not sent.
fn check(port: u16, acknowledged: &BTreeSet<u64>, sent: u64) {
    let logs = pages(port, "logs");
    let lines: BTreeSet<u64> = logs
        .iter()
        .map(|log| {
            let words = log["message"].as_str().expect("a message").split(' ');
            words.clone().nth(1).expect("a number").parse().expect("a number")
        })
        .collect();
    assert_eq!(lines.len(), logs.len(), "a line is there twice");
    let events: BTreeSet<u64> = pages(port, "events")
        .iter()
        .map(|event| event["data"].as_u64().expect("a number"))
        .collect();
    for number in acknowledged {
        let first = number * LINES_PER_BATCH;
        let missing = (first..first + LINES_PER_BATCH).find(|line| !lines.contains(line));
        assert_eq!(missing, None, "a line of batch {number}");
        assert!(events.contains(number), "event {number}");
        let key = http::get(port, &format!("/api/v1/columns/steps/{number:08}")).expect("an answer");
        assert_eq!(
            (key.status, key.text()),
            (200, number.to_string()),
            "key {number}"
        );
    }
    assert!(lines.last().is_none_or(|last| *last < sent * LINES_PER_BATCH));
    assert!(events.last().is_none_or(|last| *last < sent));
}

#[test]
fn records_survive_kills_and_a_full_disk() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut narthex = Narthex::start(folder.path(), &[]);
    let port = narthex.port;
    let is_over = AtomicBool::new(false);
    let (mut acknowledged, mut next) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let (mut acknowledged, mut number) = (BTreeSet::new(), 0);
            while !is_over.load(Ordering::Acquire) {
                if write(port, number).is_ok_and(|statuses| is_acknowledged(&statuses)) {
                    acknowledged.insert(number);
                }
                number += 1;
            }
            (acknowledged, number)
        });
        for _ in 0..KILLS {
            std::thread::sleep(KILL_EVERY);
            narthex.kill_and_restart();
        }
        std::thread::sleep(KILL_EVERY);
        is_over.store(true, Ordering::Release);
        writer.join().expect("the writer")
    });
    assert!(acknowledged.len() > 20, "{} batches only", acknowledged.len());
    check(port, &acknowledged, next);

    narthex.limit_files(Some(FULL_BYTES));
    let refused = loop {
        let statuses = write(port, next).expect("an answer");
        next += 1;
        if !is_acknowledged(&statuses) {
            break statuses;
        }
        acknowledged.insert(next - 1);
        assert!(next < 20_000, "the disk does not get full");
    };
    assert!(
        refused.iter().all(|status| [200, 201, 204, 503].contains(status)),
        "{refused:?}"
    );
    let health = http::get(port, "/-/healthy").expect("an answer");
    assert_eq!(health.status, 200);
    check(port, &acknowledged, next);

    narthex.limit_files(None);
    wait_until("writes go on", PATIENCE, || {
        next += 1;
        let is_written = is_acknowledged(&write(port, next - 1).expect("an answer"));
        if is_written {
            acknowledged.insert(next - 1);
        }
        is_written
    });
    narthex.kill_and_restart();
    check(port, &acknowledged, next);
}
