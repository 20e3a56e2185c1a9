//! How far a long piece of work is, on stderr: a line that is written over in a terminal, plain lines elsewhere.

use super::text;
use narthex::BlockProgress;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Time between two lines, in a terminal and elsewhere.
const TERMINAL_PAUSE: Duration = Duration::from_millis(100);
const PLAIN_PAUSE: Duration = Duration::from_secs(10);

/// The line, and when it was last written.
#[derive(Debug)]
pub(super) struct Progress {
    is_terminal: bool,
    started: Instant,
    told: Option<Instant>,
}

impl Progress {
    pub(super) fn start() -> Self {
        Self {
            is_terminal: io::stderr().is_terminal(),
            started: Instant::now(),
            told: None,
        }
    }

    /// Writes the line if it is time to.
    pub(super) fn tell(&mut self, done: &BlockProgress) {
        let pause = if self.is_terminal {
            TERMINAL_PAUSE
        } else {
            PLAIN_PAUSE
        };
        let last = self.told.unwrap_or(self.started);
        if last.elapsed() < pause {
            return;
        }
        self.told = Some(Instant::now());
        let line = line(done, self.started.elapsed());
        // Nobody is left to tell when stderr is gone.
        let _ = if self.is_terminal {
            write!(io::stderr(), "\r\x1b[K{line}")
        } else {
            writeln!(io::stderr(), "{line}")
        };
    }

    /// Ends the line.
    pub(super) fn end(&self) {
        if self.is_terminal && self.told.is_some() {
            let _ = writeln!(io::stderr());
        }
    }
}

fn line(done: &BlockProgress, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    let mut line = text::count(done.blocks as u64);
    if let Some(total) = done.blocks_total {
        line += &format!(" of {}", text::count(total as u64));
    }
    let rate = (done.samples as f64 / seconds.max(0.001)) as u64;
    line += &format!(
        " blocks, {:.0} %, {} samples, {}/s",
        done.part_done * 100.0,
        text::count(done.samples),
        text::count(rate)
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
}
