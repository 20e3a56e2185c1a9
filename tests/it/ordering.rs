//! Plays the rows of docs/format/ordering.md: the page is the test's input.
//!
//! Each row is played as the page describes it, on a folder of its own; what `commit` says and what a reader sees are
//! compared with the cells. A crash is a copy of the folder taken while the database is open: everything acknowledged
//! under `Always` must be in it.

#![expect(clippy::disallowed_methods, reason = "copies folders as a crash leaves them")]

use narthex::{CommitReport, Db, Labels, Matcher, Options, Reject, labels};
use std::path::{Path, PathBuf};

const PAGE: &str = include_str!("../../docs/format/ordering.md");

/// A row of a table: operations by letter, what `commit` says of the last, what a reader sees.
struct Row {
    run: String,
    report: String,
    seen: String,
}

/// The rows that are runs of letters.
fn rows() -> Vec<Row> {
    let cells = PAGE.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix('|')?.split('|').map(str::trim).collect();
        Some((*cells.first()?, *cells.get(1)?, *cells.get(2)?))
    });
    cells
        .filter(|(run, ..)| {
            let is_letter = |word: &str| word.len() == 1 && word.as_bytes()[0].is_ascii_uppercase();
            run.contains('-') && run.split('-').all(is_letter)
        })
        .map(|(run, report, seen)| Row {
            run: run.to_owned(),
            report: report.to_owned(),
            seen: seen.trim_matches('`').to_owned(),
        })
        .collect()
}

/// The database of one row, in folders of its own.
struct Stage {
    folder: tempfile::TempDir,
    crashes: usize,
    db: Db,
    late_writes: usize,
    corrections: usize,
    deletions: Vec<u64>,
    undeletes: usize,
}

fn series() -> Labels {
    labels! { "__name__" => "watched", "job" => "order" }
}

fn open(folder: &Path) -> Db {
    Db::open(Options::new(folder).background(false)).expect("the folder opens")
}

/// The values of the page are letters; here they are numbers.
fn value_of(letter: char) -> f64 {
    f64::from(u32::from(letter))
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder for the copy");
    for entry in std::fs::read_dir(from).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("a copy");
        }
    }
}

impl Stage {
    fn new(run: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let db = open(&folder.path().join("0"));
        let mut stage = Self {
            folder,
            crashes: 0,
            db,
            late_writes: 0,
            corrections: 0,
            deletions: Vec::new(),
            undeletes: 0,
        };
        stage.write(10, 'p');
        stage.db.flush().expect("a flush");
        stage.write(30, 'a');
        // An undelete as second operation withdraws a delete that stands before the first.
        if run.len() == 3 && run.ends_with('U') && !run.starts_with(['U', 'D']) {
            stage.delete();
            if run.starts_with('W') {
                stage.write(40, 'n');
            }
        }
        stage
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(self.crashes.to_string())
    }

    fn write(&mut self, time: i64, letter: char) -> CommitReport {
        let mut batch = self.db.batch();
        batch.push(&series(), time, value_of(letter));
        batch.commit().expect("a commit")
    }

    fn crash(&mut self) {
        let before = self.path();
        self.crashes += 1;
        copy_folder(&before, &self.path());
        self.db = open(&self.path());
    }

    fn reopen(&mut self) {
        // The lock is free only after the last handle is gone.
        let elsewhere = Db::open(Options::in_memory()).expect("a database in memory");
        let db = std::mem::replace(&mut self.db, elsewhere);
        db.close().expect("a clean close");
        self.db = open(&self.path());
    }

    fn delete(&mut self) {
        let matcher = Matcher::eq("job", "order");
        self.deletions
            .push(self.db.delete(&[matcher], 15..=45).expect("a delete"));
    }

    /// Plays the operation with this letter.
    fn play(&mut self, operation: &str, is_first: bool) -> Option<CommitReport> {
        match operation {
            // The first write is the `a` every row begins with.
            "W" => (!is_first).then(|| self.write(40, 'n')),
            "R" => Some(self.write(30, 'a')),
            "X" => Some(self.write(30, 'b')),
            "L" => {
                self.late_writes += 1;
                let (time, letter) = if self.late_writes == 1 {
                    (20, 'l')
                } else {
                    (25, 'm')
                };
                Some(self.write(time, letter))
            }
            "C" => {
                self.corrections += 1;
                let letter = if self.corrections == 1 { 'c' } else { 'd' };
                let mut batch = self.db.batch();
                batch.correct(&series(), 30, value_of(letter));
                Some(batch.commit().expect("a commit"))
            }
            "D" => {
                self.delete();
                None
            }
            "U" => {
                if is_first {
                    self.delete();
                }
                let latest = self.deletions.pop();
                let withdrawn = latest.is_some_and(|id| self.db.undelete(id).expect("an undelete"));
                assert!(withdrawn || self.undeletes > 0, "there was a delete to withdraw");
                self.undeletes += 1;
                None
            }
            "M" => {
                self.db.flush().expect("a flush");
                self.db.compact().expect("a merge");
                None
            }
            "F" => {
                self.db.flush().expect("a flush");
                None
            }
            "K" => {
                self.crash();
                None
            }
            "O" => {
                self.reopen();
                None
            }
            other => panic!("the page has a row for `{other}`, which is not an operation yet"),
        }
    }

    /// What a reader sees, in the page's notation; `10=p` is always there and left out.
    fn seen(&self) -> String {
        let matcher = Matcher::eq("__name__", "watched");
        let mut cells = Vec::new();
        for found in self.db.select(&[matcher], ..).expect("a cursor") {
            let found = found.expect("a series");
            for sample in found.samples() {
                let value = sample.value.as_float().expect("a float");
                let letter = char::from_u32(value as u32).expect("a letter");
                cells.push(format!("{}={letter}", sample.timestamp));
            }
        }
        assert_eq!(cells.first().map(String::as_str), Some("10=p"));
        let cells = cells.split_off(1);
        if cells.is_empty() {
            "nothing".into()
        } else {
            cells.join(" ")
        }
    }
}

/// The page's word for a report of one sample.
fn word(report: &CommitReport) -> &'static str {
    match (report.accepted, report.duplicates, report.rejected.as_slice()) {
        (1, 0, []) => "new",
        (1, 1, []) => "same",
        (0, 0, [rejection]) if rejection.reason == Reject::Conflict => "Conflict",
        other => panic!("a report the page has no word for: {other:?}"),
    }
}

#[test]
fn the_page_and_the_engine_agree() {
    let rows = rows();
    let pairs = rows.iter().filter(|row| row.run.len() == 3).count();
    assert_eq!(pairs, 11 * 11, "pairs of operations");
    let longer = rows.len() - pairs;
    assert!(longer > 0, "no longer run was found");
    let mut faults = Vec::new();
    for row in rows {
        let mut stage = Stage::new(&row.run);
        let mut report = None;
        for (index, operation) in row.run.split('-').enumerate() {
            report = stage.play(operation, index == 0);
        }
        let report = report.as_ref().map_or("", word);
        let seen = stage.seen();
        eprintln!("ordering: {:<11} {report:<9} {seen}", row.run);
        if report != row.report || seen != row.seen {
            let run = &row.run;
            faults.push(format!(
                "{run}: `{report}` and `{seen}`, the page says `{}` and `{}`",
                row.report, row.seen
            ));
        }
    }
    eprintln!("ordering: {pairs} pairs and {longer} longer runs were played");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_table_is_complete() {
    let pairs: Vec<String> = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split_whitespace().next())
        .map(str::to_owned)
        .collect();
    for first in "WRLXCDUFMKO".chars() {
        for second in "WRLXCDUFMKO".chars() {
            let pair = format!("{first}-{second}");
            assert_eq!(
                pairs.iter().filter(|known| **known == pair).count(),
                1,
                "rows for {pair}"
            );
        }
    }
}
