//! How far a long piece of work is, on stderr: a line that is written over in a terminal, plain lines elsewhere. Nobody is left to
//! tell when stderr is gone.

use super::count::Counter;
use super::text::count;
use narthex::BlockProgress;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// Time between two lines, in a terminal and elsewhere.
const TERMINAL_PAUSE: Duration = Duration::from_millis(200);
const PLAIN_PAUSE: Duration = Duration::from_secs(10);

/// The line, and when it was last written.
#[derive(Debug)]
struct Line {
    is_terminal: bool,
    begun: Instant,
    told: Instant,
    is_open: bool,
}

impl Line {
    fn begin() -> Self {
        let now = Instant::now();
        Self {
            is_terminal: io::stderr().is_terminal(),
            begun: now,
            told: now,
            is_open: false,
        }
    }

    /// Writes the line if it is time to; it is given how long the work has taken.
    fn tell(&mut self, line: impl FnOnce(Duration) -> String) {
        let pause = if self.is_terminal {
            TERMINAL_PAUSE
        } else {
            PLAIN_PAUSE
        };
        if self.told.elapsed() < pause {
            return;
        }
        self.told = Instant::now();
        let line = line(self.begun.elapsed());
        let _ = if self.is_terminal {
            self.is_open = true;
            write!(io::stderr(), "\r\x1b[K{line}")
        } else {
            writeln!(io::stderr(), "{line}")
        };
    }

    /// Ends the line.
    fn end(&self) {
        if self.is_open {
            let _ = writeln!(io::stderr());
        }
    }

    /// Writes a last line.
    fn last(&self, line: impl FnOnce(Duration) -> String) {
        let clear = if self.is_open { "\r\x1b[K" } else { "" };
        let _ = writeln!(io::stderr(), "{clear}{}", line(self.begun.elapsed()));
    }
}

/// Blocks that are read or written.
#[derive(Debug)]
pub(super) struct Progress(Line);

impl Progress {
    pub(super) fn start() -> Self {
        Self(Line::begin())
    }

    /// Writes the line if it is time to.
    pub(super) fn tell(&mut self, done: &BlockProgress) {
        self.0.tell(|elapsed| line(done, elapsed));
    }

    /// Ends the line.
    pub(super) fn end(&self) {
        self.0.end();
    }
}

/// A transfer that runs.
pub(super) struct Transfer {
    name: String,
    bytes_total: Option<u64>,
    line: Line,
}

impl Transfer {
    pub(super) fn begin(name: &str, bytes_total: Option<u64>) -> Self {
        Self {
            name: name.to_owned(),
            bytes_total,
            line: Line::begin(),
        }
    }

    /// Shows how far it is, if it was not shown lately.
    pub(super) fn show(&mut self, bytes: u64, passed: &Counter) {
        let Self {
            name,
            bytes_total,
            line,
        } = self;
        line.tell(|took| transfer_line(name, *bytes_total, (bytes, passed), took));
    }

    /// Says the last word.
    pub(super) fn end(&self, bytes: u64, passed: &Counter, what: &str) {
        let whole = |took| transfer_line(&self.name, self.bytes_total, (bytes, passed), took) + what;
        self.line.last(whole);
    }
}

fn line(done: &BlockProgress, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    let mut line = count(done.blocks as u64);
    if let Some(total) = done.blocks_total {
        line += &format!(" of {}", count(total as u64));
    }
    let rate = (done.samples as f64 / seconds.max(0.001)) as u64;
    line += &format!(
        " blocks, {:.0} %, {} samples, {}/s",
        done.part_done * 100.0,
        count(done.samples),
        count(rate)
    );
    if done.part_done > 0.01 && done.part_done < 1.0 {
        let left = Duration::from_secs_f64(seconds * (1.0 / done.part_done - 1.0));
        line += &format!(", {} left", duration(left));
    }
    line
}

fn duration(left: Duration) -> String {
    let seconds = left.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (hours, minutes, _) => format!("{hours}h{minutes:02}m"),
    }
}

fn transfer_line(
    name: &str,
    bytes_total: Option<u64>,
    (bytes, passed): (u64, &Counter),
    took: Duration,
) -> String {
    let seconds = took.as_secs_f64();
    let mut line = format!("{}: {}", name, size(bytes));
    if let Some(total) = bytes_total.filter(|total| *total > 0) {
        line += &format!(" of {} ({} %)", size(total), 100 * bytes.min(total) / total);
    }
    line += &format!(", {} {}", count(passed.count), passed.unit());
    if seconds > 0.0 {
        line += &format!(", {}/s", count((passed.count as f64 / seconds) as u64));
    }
    let left = bytes_total.and_then(|total| total.checked_sub(bytes));
    if let Some(left) = left.filter(|left| *left > 0 && bytes > 0) {
        let left_s = (seconds * left as f64 / bytes as f64).ceil() as u64;
        line += &format!(", {} left", duration(Duration::from_secs(left_s)));
    }
    line
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
    fn a_line_says_how_far_and_how_long() {
        let mut done = BlockProgress::default();
        done.blocks = 3;
        done.blocks_total = Some(12);
        done.samples = 2_000_000;
        done.part_done = 0.25;
        let seen = line(&done, Duration::from_secs(40));
        assert_eq!(
            seen,
            "3 of 12 blocks, 25 %, 2,000,000 samples, 50,000/s, 2m00s left"
        );
        done.blocks_total = None;
        done.part_done = 1.0;
        assert_eq!(
            line(&done, Duration::from_secs(4)),
            "3 blocks, 100 %, 2,000,000 samples, 500,000/s"
        );
        assert_eq!(duration(Duration::from_secs(7_265)), "2h01m");
        assert_eq!(duration(Duration::from_secs(9)), "9s");
    }

    #[test]
    fn a_transfers_line_says_the_same() {
        let total = Some(8 << 20);
        let at = |total, bytes, lines, seconds| {
            let mut passed = Counter::new(false);
            passed.count = lines;
            transfer_line("a.jsonl", total, (bytes, &passed), Duration::from_secs(seconds))
        };
        assert_eq!(
            at(total, 2 << 20, 30_000, 10),
            "a.jsonl: 2.0 MiB of 8.0 MiB (25 %), 30,000 lines, 3,000/s, 30s left"
        );
        assert_eq!(
            at(total, 8 << 20, 120_000, 100),
            "a.jsonl: 8.0 MiB of 8.0 MiB (100 %), 120,000 lines, 1,200/s"
        );
        assert_eq!(at(total, 0, 0, 0), "a.jsonl: 0 B of 8.0 MiB (0 %), 0 lines");
        assert_eq!(at(None, 1023, 7, 1), "a.jsonl: 1023 B, 7 lines, 7/s");
        assert_eq!(size(5 << 40), "5.0 TiB");
    }
}
