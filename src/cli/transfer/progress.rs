//! How far a transfer is, on stderr: one line that changes where stderr is a terminal, else a line now and then.

use super::count::Counter;
use crate::cli::text::count;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

const TERMINAL_EVERY: Duration = Duration::from_millis(200);
const LINES_EVERY: Duration = Duration::from_secs(10);

/// A transfer that runs.
pub(super) struct Progress {
    name: String,
    bytes_total: Option<u64>,
    begun: Instant,
    shown: Instant,
    is_terminal: bool,
}

impl Progress {
    pub(super) fn begin(name: &str, bytes_total: Option<u64>) -> Self {
        let now = Instant::now();
        Self {
            name: name.to_owned(),
            bytes_total,
            begun: now,
            shown: now,
            is_terminal: io::stderr().is_terminal(),
        }
    }

    /// Shows how far it is, if it was not shown lately. Nobody is left to tell when stderr is gone.
    pub(super) fn show(&mut self, bytes: u64, passed: &Counter) {
        let every = if self.is_terminal {
            TERMINAL_EVERY
        } else {
            LINES_EVERY
        };
        if self.shown.elapsed() < every {
            return;
        }
        self.shown = Instant::now();
        let line = self.line(bytes, passed, self.begun.elapsed());
        let _ = match self.is_terminal {
            true => write!(io::stderr(), "\r\x1b[K{line}"),
            false => writeln!(io::stderr(), "{line}"),
        };
    }

    /// Says the last word.
    pub(super) fn end(&self, bytes: u64, passed: &Counter, what: &str) {
        let line = self.line(bytes, passed, self.begun.elapsed());
        let clear = if self.is_terminal { "\r\x1b[K" } else { "" };
        let _ = writeln!(io::stderr(), "{clear}{line}{what}");
    }

    fn line(&self, bytes: u64, passed: &Counter, took: Duration) -> String {
        let seconds = took.as_secs_f64();
        let mut line = format!("{}: {}", self.name, size(bytes));
        if let Some(total) = self.bytes_total.filter(|total| *total > 0) {
            line += &format!(" of {} ({} %)", size(total), 100 * bytes.min(total) / total);
        }
        line += &format!(", {} {}", count(passed.count), passed.unit());
        if seconds > 0.0 {
            line += &format!(", {}/s", count((passed.count as f64 / seconds) as u64));
        }
        let left = self.bytes_total.and_then(|total| total.checked_sub(bytes));
        if let Some(left) = left.filter(|left| *left > 0 && bytes > 0) {
            let left_s = (seconds * left as f64 / bytes as f64).ceil() as u64;
            line += &format!(", {}:{:02} left", left_s / 60, left_s % 60);
        }
        line
    }
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let (mut size, mut unit) = (bytes as f64, "B");
    for larger in UNITS {
        if size >= 1024.0 {
            (size, unit) = (size / 1024.0, larger);
        }
    }
    match unit {
        "B" => format!("{bytes} B"),
        _ => format!("{size:.1} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_how_far_it_is() {
        let mut progress = Progress::begin("a.jsonl", Some(8 << 20));
        let at = |progress: &Progress, bytes, lines, seconds| {
            let mut passed = Counter::new(false);
            passed.count = lines;
            progress.line(bytes, &passed, Duration::from_secs(seconds))
        };
        assert_eq!(
            at(&progress, 2 << 20, 30_000, 10),
            "a.jsonl: 2.0 MiB of 8.0 MiB (25 %), 30,000 lines, 3,000/s, 0:30 left"
        );
        assert_eq!(
            at(&progress, 8 << 20, 120_000, 100),
            "a.jsonl: 8.0 MiB of 8.0 MiB (100 %), 120,000 lines, 1,200/s"
        );
        assert_eq!(at(&progress, 0, 0, 0), "a.jsonl: 0 B of 8.0 MiB (0 %), 0 lines");
        progress.bytes_total = None;
        assert_eq!(at(&progress, 1023, 7, 1), "a.jsonl: 1023 B, 7 lines, 7/s");
        assert_eq!(size(5 << 40), "5.0 TiB");
    }
}
