//! A server's folder copied by `tar` while the server writes, flushes and merges: the ways that `docs/backup.md` gives, with the
//! real programs, for samples, logs and columns.

use crate::http::client::{ask, post};
use crate::process::Process;
use narthex::{ColumnValue, Db, LogQuery, Matcher, Options};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const BASE_S: i64 = 1_700_000_000;
const SERIES: usize = 5;
const ROUNDS: usize = 4;
/// What is acknowledged between one copy and the next, at least.
const WRITES_PER_ROUND: u64 = 20;

/// Writes samples, a log line and a key under one number after the other, and says which ones were acknowledged.
fn write(address: SocketAddr, acknowledged: &AtomicU64, is_over: &AtomicBool) {
    for number in 0.. {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let time = BASE_S + number as i64;
        let point = |series| json!({"series_key": "load", "timestamp": time, "value": number, "tags": {"host": format!("h{series}")}});
        let points = Value::from((0..SERIES).map(point).collect::<Vec<_>>());
        let stored = post(address, "/api/v1/datapoints/batch", &points.to_string());
        assert_eq!(stored.status, 200, "{}", stored.body);
        let log = json!({"device": "pump", "message": format!("line {number}"), "timestamp": time});
        let stored = post(address, "/api/v1/logs", &log.to_string());
        assert!(stored.status < 300, "{}", stored.body);
        let key = format!("/api/v1/columns/numbers/{number:08}");
        assert_eq!(ask(address, "PUT", &key, &[], &number.to_string()).status, 204);
        acknowledged.store(number + 1, Ordering::Release);
    }
}

/// Makes segments and merges them, so that files come and go under `tar`.
fn churn(address: SocketAddr, is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        for _ in 0..3 {
            assert_eq!(post(address, "/api/v1/admin/flush", "").status, 200);
        }
        let merged = post(address, "/api/v1/admin/compact", "{\"force\": true}");
        assert_eq!(merged.status, 200, "{}", merged.body);
    }
}

/// Runs `tar` on files below `dir`. Of a folder that changes it may say so by its status 1; 2 is a failure.
fn tar(dir: &Path, arguments: &[&str]) -> Option<i32> {
    let output = Command::new("tar").arg("-C").arg(dir).args(arguments).output();
    let output = output.expect("tar runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        matches!(output.status.code(), Some(0 | 1)),
        "{arguments:?}: {said}"
    );
    output.status.code()
}

/// How many of each kind there are in a folder; everything in it is as it was written.
fn contents(db: &Db) -> [u64; 3] {
    let mut samples = Vec::new();
    for series in db
        .select(&[Matcher::eq("__name__", "load")], ..)
        .expect("a selection")
    {
        let series = series.expect("a series");
        for (sample, number) in series.samples().zip(0..) {
            let time = sample.timestamp / 1000 - BASE_S;
            assert_eq!(sample.value.as_float(), Some(time as f64), "nothing is made up");
            assert_eq!(time, number, "there is no gap");
        }
        samples.push(series.len() as u64);
    }
    assert_eq!(samples.len(), SERIES);
    let query = LogQuery::new(..).with_limit(usize::MAX).oldest_first();
    let logs = db.logs().query(&query).expect("a page").logs;
    for (log, number) in logs.iter().zip(0..) {
        assert_eq!(log.message, format!("line {number}"));
    }
    let keys = db
        .columns()
        .query_from("numbers", "", usize::MAX)
        .expect("a query");
    for ((key, value), number) in keys.iter().zip(0..) {
        assert_eq!(key, format!("{number:08}").as_bytes());
        assert_eq!(*value, ColumnValue::Json(json!(number)));
    }
    let samples = samples.into_iter().min().unwrap_or(0);
    [samples, logs.len() as u64, keys.len() as u64]
}

/// Opens a copy, and says how many of each kind it has.
fn opened(dir: &Path) -> [u64; 3] {
    let db = Db::open(Options::new(dir).background(false)).expect("the copy opens");
    let check = db.verify().expect("a check");
    assert!(check.is_sound(), "{:?}", check.faults);
    let found = contents(&db);
    db.close().expect("a close");
    found
}

/// Gives `copy` the server's address and folder and what was acknowledged before, again and again while it is written to.
fn rounds(is_churning: bool, mut copy: impl FnMut(SocketAddr, &Path, u64)) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let flags = ["--log", "warn,narthex::api=info"];
    let process = Process::on(&data, &flags).ready();
    let (acknowledged, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let over = Over(&is_over);
        scope.spawn(|| write(process.address, &acknowledged, &is_over));
        if is_churning {
            scope.spawn(|| churn(process.address, &is_over));
        }
        for round in 1..=ROUNDS as u64 {
            while acknowledged.load(Ordering::Acquire) < round * WRITES_PER_ROUND {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            copy(process.address, &data, acknowledged.load(Ordering::Acquire));
        }
        drop(over);
    });
}

/// Tells the threads when the test is over, also by a panic.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Copies the whole folder as it is, and returns where the copy is.
fn plain_copy(data: &Path, place: &Path) -> PathBuf {
    let archive = place.join("copy.tar");
    let archive = archive.to_str().expect("a plain path");
    tar(data.parent().expect("a folder"), &["-cf", archive, "data"]);
    tar(place, &["-xf", archive]);
    place.join("data")
}

/// Makes a snapshot over HTTP, and returns its name.
fn snapshot(address: SocketAddr) -> String {
    let made = post(address, "/api/v1/admin/snapshot", "");
    assert_eq!(made.status, 200, "{}", made.body);
    let json: Value = serde_json::from_str(&made.body).expect("JSON");
    json["data"]["name"].as_str().expect("a name").to_owned()
}

#[test]
fn a_tar_of_a_snapshot_has_all_that_was_acknowledged() {
    rounds(true, |address, data, acknowledged| {
        let name = snapshot(address);
        let place = tempfile::tempdir().expect("a temporary folder");
        let archive = place.path().join("copy.tar");
        let archive = archive.to_str().expect("a plain path");
        let status = tar(&data.join("snapshots"), &["-cf", archive, &name]);
        assert_eq!(status, Some(0), "nobody changes a snapshot");
        tar(place.path(), &["-xf", archive]);
        let copy = place.path().join(&name);
        let found = opened(&copy);
        assert!(
            found.iter().all(|count| *count >= acknowledged),
            "{found:?} of {acknowledged}"
        );

        // And with the program: the folder is a database like any other.
        let restored = Process::on(&copy, &[]).ready();
        let query = "/api/v1/series/load/datapoints?agg=count&interval=10000d&host=h0";
        let answer = ask(restored.address, "GET", query, &[], "");
        let json: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!(
            json["data"]["datapoints"][0]["value"],
            json!(found[0] as f64),
            "{json}"
        );
    });
}

#[test]
fn a_tar_of_a_running_folder_has_the_snapshots_in_it() {
    rounds(true, |address, data, acknowledged| {
        let name = snapshot(address);
        let place = tempfile::tempdir().expect("a temporary folder");
        let copy = plain_copy(data, place.path());
        let found = opened(&copy.join("snapshots").join(&name));
        assert!(
            found.iter().all(|count| *count >= acknowledged),
            "{found:?} of {acknowledged}"
        );
    });
}

#[test]
fn a_tar_of_a_running_folder_is_whole_while_nothing_is_flushed_or_merged() {
    rounds(false, |_, data, acknowledged| {
        let place = tempfile::tempdir().expect("a temporary folder");
        let found = opened(&plain_copy(data, place.path()));
        assert!(
            found.iter().all(|count| *count >= acknowledged),
            "{found:?} of {acknowledged}"
        );
    });
}

/// Under flushes and merges such a copy may lack samples. Then its opening says so, and what it has is right.
#[test]
fn a_tar_of_a_running_folder_never_lacks_samples_in_silence() {
    rounds(true, |_, data, acknowledged| {
        let place = tempfile::tempdir().expect("a temporary folder");
        let copy = plain_copy(data, place.path());
        // One whose manifest does not fit its log at all is refused, and `narthex doctor` says what can be done.
        let Ok(db) = Db::open(Options::new(&copy).background(false)) else {
            return;
        };
        let recovery = db.recovery();
        let is_told = !recovery.gaps.is_empty() || !recovery.quarantined.is_empty();
        for series in db
            .select(&[Matcher::eq("__name__", "load")], ..)
            .expect("a selection")
        {
            let series = series.expect("a series");
            for sample in series.samples() {
                let time = sample.timestamp / 1000 - BASE_S;
                assert_eq!(sample.value.as_float(), Some(time as f64), "nothing is made up");
            }
            assert!(
                series.len() as u64 >= acknowledged || is_told,
                "{} of {acknowledged}",
                series.len()
            );
        }
    });
}
