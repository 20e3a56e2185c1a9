//! Logs, events and columns through the public face: a twin in memory, pages, retention, copies, a killed process.

use crate::play::Dice;
use narthex::{
    ColumnValue, Db, Durability, Error, EventPoint, EventQuery, Level, LogPoint, LogQuery, ManualClock,
    Options, Severity,
};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const DEVICES: [&str; 4] = ["", "boiler", "pump", "pump-2"];
const LEVELS: [&str; 4] = ["debug", "info", "error", "odd"];

fn open(dir: &Path) -> Db {
    let options = Options::new(dir).background(false).durability(Durability::Never);
    Db::open(options).expect("the folder opens")
}

fn pick<'a>(dice: &mut Dice, from: &[&'a str]) -> &'a str {
    from[dice.below(from.len())]
}

/// What a query must give: the logs in order of time, those of one time in order of writing.
fn expected(
    twin: &[LogPoint],
    range: (i64, i64),
    device: Option<&str>,
    level: &str,
    text: &str,
) -> Vec<LogPoint> {
    let is_asked = |log: &&LogPoint| {
        let time = log.timestamp.expect("a time");
        (range.0..range.1).contains(&time)
            && device.is_none_or(|device| log.device == device)
            && log.level.rank() >= Level::from(level).rank()
            && log.message.contains(text)
    };
    let mut logs: Vec<LogPoint> = twin.iter().filter(is_asked).cloned().collect();
    logs.sort_by_key(|log| log.timestamp);
    logs
}

/// All pages of a query, a few logs each.
fn all_pages(db: &Db, query: &LogQuery) -> Vec<LogPoint> {
    let mut query = query.clone().with_limit(7);
    let mut logs = Vec::new();
    loop {
        let page = db.logs().query(&query).expect("a page");
        assert!(page.logs.len() <= 7);
        logs.extend(page.logs);
        let Some(next) = page.next else { return logs };
        query = query.with_cursor(next);
    }
}

#[test]
fn logs_are_those_of_a_twin() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut dice = Dice(20_261_127);
    let mut db = open(folder.path());
    let memory = Db::open(Options::in_memory().background(false)).expect("a database");
    let mut twin: Vec<LogPoint> = Vec::new();
    for round in 0..60 {
        let count = dice.below(12);
        let batch: Vec<LogPoint> = (0..count)
            .map(|number| {
                let text = format!("{} {number}", pick(&mut dice, &["on", "off", "lost"]));
                LogPoint::new(pick(&mut dice, &DEVICES), pick(&mut dice, &LEVELS), text)
                    .with_timestamp(dice.below(40) as i64 - 20)
            })
            .collect();
        db.logs().write(&batch).expect("a write");
        memory.logs().write(&batch).expect("a write");
        twin.extend(batch);
        if round % 15 == 14 {
            db.close().expect("a clean close");
            db = open(folder.path());
        }
        let from = dice.below(40) as i64 - 20;
        let range = (from, from + dice.below(20) as i64);
        let device = Some(pick(&mut dice, &DEVICES)).filter(|_| round % 2 == 0);
        let (level, text) = (pick(&mut dice, &LEVELS), pick(&mut dice, &["", "lost", "o"]));
        let mut query = LogQuery::new(range.0..range.1).with_level(level).with_text(text);
        if let Some(device) = device {
            query = query.with_device(device);
        }
        let mut expected = expected(&twin, range, device, level, text);
        for db in [&db, &memory] {
            assert_eq!(all_pages(db, &query.clone().oldest_first()), expected);
            let counts = db.logs().count_per_interval(&query, 7).expect("counts");
            let total: u64 = counts.iter().map(|count| count.1).sum();
            assert_eq!(total, expected.len() as u64);
            assert!(counts.iter().all(|count| count.0.rem_euclid(7) == 0));
            let groups = db.logs().groups(&query).expect("groups");
            let times: usize = groups.iter().map(|group| group.timestamps.len()).sum();
            assert_eq!(times, expected.len());
        }
        expected.reverse();
        assert_eq!(all_pages(&db, &query), expected);
    }
    assert_eq!(db.logs().devices().expect("devices"), DEVICES);
    assert!(db.verify().expect("a check").is_sound());
}

#[test]
fn columns_are_those_of_a_twin() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut dice = Dice(7);
    let options = || {
        let options = Options::new(folder.path()).background(false);
        options.durability(Durability::Never).column_flush_entries(50)
    };
    let mut db = Db::open(options()).expect("the folder opens");
    let mut twin: BTreeMap<(&str, String), u64> = BTreeMap::new();
    for round in 0..300u64 {
        let mut batch = db.columns().batch();
        for _ in 0..1 + dice.below(4) {
            let (column, key) = (
                pick(&mut dice, &["a", "ab", "b"]),
                format!("{:02}", dice.below(30)),
            );
            if dice.below(3) == 0 {
                batch = batch.delete(column, &key);
                twin.remove(&(column, key));
            } else {
                batch = batch.put(column, &key, serde_json::json!({ "round": round }));
                twin.insert((column, key), round);
            }
        }
        batch.commit().expect("a commit");
        if round % 100 == 99 {
            db.close().expect("a clean close");
            db = Db::open(options()).expect("the folder opens");
        }
        let column = pick(&mut dice, &["a", "ab", "b", "none"]);
        let (from, to) = (format!("{:02}", dice.below(30)), format!("{:02}", dice.below(30)));
        let limit = dice.below(12);
        let found = db.columns().query(column, &from..&to, limit).expect("a query");
        let of_column = twin
            .iter()
            .filter(|((name, key), _)| *name == column && *key >= from && *key < to);
        let expected: Vec<(Vec<u8>, ColumnValue)> = of_column
            .map(|((_, key), round)| {
                let value = ColumnValue::Json(serde_json::json!({ "round": round }));
                (key.clone().into_bytes(), value)
            })
            .take(limit)
            .collect();
        assert_eq!(found, expected);
    }
    let names: std::collections::BTreeSet<&str> = twin.keys().map(|key| key.0).collect();
    assert_eq!(
        db.columns().names().expect("names"),
        names.into_iter().collect::<Vec<_>>()
    );
}

#[test]
fn columns_keep_bytes_and_types() {
    let db = Db::open(Options::in_memory()).expect("a database");
    let columns = db.columns();
    columns
        .put("raw", b"\xff\x00", &b"\x00\xff"[..])
        .expect("a write");
    assert_eq!(
        columns.get("raw", b"\xff\x00").expect("a read"),
        Some(ColumnValue::Bytes(vec![0, 255]))
    );
    columns
        .put_json("typed", "k", &vec![("a", 1), ("b", 2)])
        .expect("a write");
    let typed: Option<Vec<(String, u8)>> = columns.get_json("typed", "k").expect("a read");
    assert_eq!(typed, Some(vec![("a".into(), 1), ("b".into(), 2)]));
    assert!(matches!(
        columns.get_json::<u8>("typed", "k"),
        Err(Error::InvalidOptions(_))
    ));
    let too_long = columns
        .batch()
        .put("raw", "k", vec![1])
        .put(&"c".repeat(2000), "k", vec![1]);
    assert!(matches!(too_long.commit(), Err(Error::InvalidOptions(_))));
    assert_eq!(
        columns.get("raw", "k").expect("a read"),
        None,
        "none of a batch with a fault is made"
    );
}

#[test]
fn events_are_found_by_what_they_are() {
    let db = Db::open(Options::in_memory()).expect("a database");
    let event = |time: i64, severity: &str| {
        EventPoint::new("door", if time % 2 == 0 { "opened" } else { "closed" })
            .with_severity(severity)
            .with_data(serde_json::json!({ "by": format!("guard {time}") }))
            .with_tags(serde_json::json!({ "floor": time % 3, "at": { "site": "north" } }))
            .with_timestamp(time)
    };
    let events: Vec<EventPoint> = ["low", "warning", "high", "critical", "strange", "medium"]
        .iter()
        .zip(0..)
        .map(|(severity, time)| event(time, severity))
        .collect();
    db.events().write(&events).expect("a write");
    let times = |query: EventQuery| -> Vec<i64> {
        let page = db.events().query(&query).expect("a page");
        page.events.iter().filter_map(|event| event.timestamp).collect()
    };
    assert_eq!(
        times(EventQuery::new(..).with_severity(Severity::Medium)),
        [5, 3, 2, 1]
    );
    assert_eq!(times(EventQuery::new(1..5).with_type("opened")), [4, 2]);
    assert_eq!(times(EventQuery::new(..).with_text("guard 3")), [3]);
    assert_eq!(
        times(EventQuery::new(..).with_tags([("floor", "1"), ("at.site", "north")])),
        [4, 1]
    );
    assert_eq!(times(EventQuery::new(..).with_device("window")), [0; 0]);
    let groups = db
        .events()
        .groups(&EventQuery::new(..).with_type("closed"))
        .expect("groups");
    assert_eq!(groups.len(), 3);
    assert!(
        groups
            .iter()
            .all(|group| group.event_type == "closed" && group.timestamps.len() == 1)
    );
    let page = db.events().query(&EventQuery::new(..=0)).expect("a page");
    assert_eq!(page.events, events[..1]);
}

#[test]
fn retention_follows_the_clock_of_the_database() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let clock = Arc::new(ManualClock::new(0));
    let hours = |count: u64| Duration::from_secs(3600 * count);
    let options = Options::new(folder.path())
        .background(false)
        .clock(clock.clone())
        .log_retention(hours(2))
        .event_retention(hours(4));
    let db = Db::open(options).expect("the folder opens");
    for hour in 0..6 {
        clock.set(hour * 3_600_000);
        db.logs()
            .write(&[LogPoint::new("d", "info", "tick")])
            .expect("a write");
        db.events()
            .write(&[EventPoint::new("d", "tick")])
            .expect("a write");
    }
    while db.step().expect("a step") {}
    let logs = db.logs().query(&LogQuery::new(..)).expect("a page").logs;
    let events = db.events().query(&EventQuery::new(..)).expect("a page").events;
    assert_eq!((logs.len(), events.len()), (3, 5));
    assert_eq!(logs[0].timestamp, Some(5 * 3_600_000));
}

/// Writes a sample, logs, events and columns.
fn fill(db: &Db) {
    let mut batch = db.batch();
    batch.push_pairs(&[("__name__", "up")], 1, 1.0);
    batch.commit().expect("a commit");
    let logs: Vec<LogPoint> = (0..500)
        .map(|time| LogPoint::new(format!("d{}", time % 7), "info", "text ".repeat(20)).with_timestamp(time))
        .collect();
    db.logs().write(&logs).expect("a write");
    db.events()
        .write(&[EventPoint::new("d", "e").with_timestamp(3)])
        .expect("a write");
    db.columns().put("c", "k", &b"v"[..]).expect("a write");
}

fn log_count(db: &Db) -> usize {
    let query = LogQuery::new(..).with_limit(usize::MAX);
    db.logs().query(&query).expect("a page").logs.len()
}

#[test]
fn a_snapshot_has_the_records_of_its_moment() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (from, to) = (folder.path().join("db"), folder.path().join("snapshot"));
    let db = open(&from);
    fill(&db);
    let report = db.snapshot(&to).expect("a snapshot");
    // Logs and events stand twice, and there is a mark for their numbers.
    assert_eq!(report.records, 2 * 500 + 2 + 1 + 1);
    db.logs()
        .write(&[LogPoint::new("late", "info", "x")])
        .expect("a write");
    let copy = open(&to);
    assert_eq!((log_count(&db), log_count(&copy)), (501, 500));
    assert!(copy.verify().expect("a check").is_sound());
    fill(&copy);
    assert_eq!((log_count(&db), log_count(&copy)), (501, 1000));
    copy.close().expect("a clean close");
    let copy = open(&to);
    assert_eq!(log_count(&copy), 1000);
    assert!(copy.verify().expect("a check").is_sound());
}

#[test]
fn a_backup_brings_records_back() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let place = |name: &str| folder.path().join(name);
    let db = open(&place("db"));
    fill(&db);
    let report = db.backup(place("full"), .., None).expect("a backup");
    assert!(report.is_sound() && report.records > 1000, "{report:?}");
    let since = Some(place("full"));
    let part = db
        .backup(place("part"), 100..200, since.as_deref())
        .expect("a backup");
    assert!(part.is_sound(), "{part:?}");
    for (chain, logs) in [
        (vec![place("full")], 500),
        (vec![place("full"), place("part")], 100),
    ] {
        let target = place(&format!("restored-{logs}"));
        let report = Db::restore(&chain, &Options::new(&target)).expect("a restore");
        assert!(report.is_sound() && report.records > 200, "{report:?}");
        let restored = open(&target);
        assert_eq!(log_count(&restored), logs);
        assert_eq!(
            restored.columns().get("c", "k").expect("a read"),
            Some(ColumnValue::Bytes(b"v".to_vec()))
        );
        assert!(restored.verify().expect("a check").is_sound());
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "damages a file")]
fn damaged_records_of_a_backup_are_told_of() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let place = |name: &str| folder.path().join(name);
    let db = open(&place("db"));
    fill(&db);
    db.backup(place("full"), .., None).expect("a backup");
    let file = place("full").join("RECORDS");
    let whole = std::fs::read(&file).expect("the file");
    for at in [0, 20, 40, whole.len() / 2, whole.len() - 1] {
        let mut broken = whole.clone();
        broken[at] ^= 1;
        std::fs::write(&file, broken).expect("a write");
        let target = place(&format!("restored-{at}"));
        let report = Db::restore(&[place("full")], &Options::new(&target)).expect("a restore");
        assert_eq!(report.faults.len(), 1, "byte {at}: {report:?}");
        let restored = open(&target);
        assert_eq!(log_count(&restored), 0, "byte {at}");
        assert!(restored.verify().expect("a check").is_sound());
    }
}

#[test]
fn readers_beside_a_writer_do_without_records() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let db = open(folder.path());
    fill(&db);
    let reader = Db::open_read_only(folder.path()).expect("a reader");
    assert!(matches!(
        reader.logs().query(&LogQuery::new(..)),
        Err(Error::ReadOnly)
    ));
    assert!(reader.verify().expect("a check").is_sound());
}

/// Set in a process that only writes until it is killed.
const WRITER: &str = "NARTHEX_TEST_RECORDS_WRITER";
const WRITERS: usize = 4;

/// Writes without end, and says on its standard output which logs were acknowledged: writer and number.
fn write_until_killed(dir: &Path) {
    let db = Db::open(Options::new(dir)).expect("the folder opens");
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let db = &db;
            scope.spawn(move || {
                for number in 0.. {
                    let log = LogPoint::new(format!("w{writer}"), "info", number.to_string());
                    db.logs().write(&[log.with_timestamp(number)]).expect("a write");
                    let said = format!("acknowledged {writer} {number}\n");
                    std::io::stdout()
                        .write_all(said.as_bytes())
                        .expect("somebody listens");
                }
            });
        }
    });
}

#[test]
fn a_killed_writer_loses_nothing_that_was_acknowledged() {
    if let Some(dir) = std::env::var_os(WRITER) {
        return write_until_killed(Path::new(&dir));
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let name = "iot_records::a_killed_writer_loses_nothing_that_was_acknowledged";
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", name, "--nocapture"])
        .env(WRITER, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program starts");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut acknowledged = [None; WRITERS];
    let mut note = |line: &str| {
        let said = line
            .split_once("acknowledged ")
            .and_then(|parts| parts.1.split_once(' '));
        let Some((writer, number)) = said else { return };
        // The last line may be cut off by the kill.
        if let (Ok(writer), Ok(number)) = (writer.parse::<usize>(), number.parse::<i64>()) {
            acknowledged[writer] = acknowledged[writer].max(Some(number));
        }
    };
    for line in lines.by_ref().take(400) {
        note(&line.expect("a line"));
    }
    child.kill().expect("it still runs");
    lines.map_while(Result::ok).for_each(|line| note(&line));
    child.wait().expect("it ends");
    let db = open(folder.path());
    for (writer, last) in acknowledged.into_iter().enumerate() {
        let query = LogQuery::new(..).with_device(format!("w{writer}")).oldest_first();
        let page = db.logs().query(&query.with_limit(usize::MAX)).expect("a page");
        let numbers: Vec<i64> = page.logs.iter().filter_map(|log| log.timestamp).collect();
        let whole: Vec<i64> = (0..numbers.len() as i64).collect();
        assert_eq!(numbers, whole, "no gaps and nothing twice");
        assert!(numbers.last().copied() >= last, "writer {writer}: {last:?}");
    }
    assert!(db.verify().expect("a check").is_sound());
}

/// The files of a folder and of those in it.
#[expect(clippy::disallowed_methods, reason = "looks at what the store has written")]
fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// A byte of any file of the store is another one: what is read is what was written, or an error, and nothing panics.
#[test]
#[expect(clippy::disallowed_methods, reason = "damages files")]
fn a_damaged_store_tells_no_lies() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = folder.path().join("whole");
    let db = open(&whole);
    for start in [0, 500] {
        let log = |number| LogPoint::new("pump", "info", format!("line {number}")).with_timestamp(number);
        let logs: Vec<LogPoint> = (start..start + 500).map(log).collect();
        db.logs().write(&logs).expect("stored");
    }
    db.columns()
        .put("a", "key", serde_json::json!({ "n": 1 }))
        .expect("stored");
    db.close().expect("closed");
    let mut opened = 0;
    for file in files_below(&whole.join("records")) {
        let length = std::fs::metadata(&file).expect("a file").len();
        for place in [0, length / 3, length / 2, length.saturating_sub(1)] {
            let copy = tempfile::tempdir().expect("a folder");
            let status = Command::new("cp")
                .arg("-r")
                .arg(&whole)
                .arg(copy.path())
                .status()
                .expect("cp runs");
            assert!(status.success());
            let damaged = copy.path().join(file.strip_prefix(folder.path()).expect("below"));
            let mut bytes = std::fs::read(&damaged).expect("a file");
            let Some(byte) = bytes.get_mut(place as usize) else {
                continue;
            };
            *byte ^= 0x55;
            std::fs::write(&damaged, bytes).expect("written");
            let db = open(&copy.path().join("whole"));
            if let Ok(page) = db
                .logs()
                .query(&LogQuery::new(..).with_limit(2000).oldest_first())
            {
                opened += 1;
                for log in page.logs {
                    let time = log.timestamp.expect("a time");
                    assert_eq!(
                        log.message,
                        format!("line {time}"),
                        "{} at {place}",
                        file.display()
                    );
                }
            }
            // Whether it goes on is left to it; that it says so is not.
            let _ = db
                .logs()
                .write(&[LogPoint::new("pump", "info", "line 1000").with_timestamp(1000)]);
            let _ = db.close();
        }
    }
    assert!(opened > 0, "damage of one file leaves others");
}
