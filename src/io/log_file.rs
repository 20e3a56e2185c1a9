//! A log that never grows beyond so many files of so many bytes: `narthex.log`, and the older ones as `narthex.log.1` and so on.
//!
//! Who writes a line is never kept for what the disk says: a line that cannot be written is left out and counted, and the next one
//! that can be is preceded by a line that says how many are missing. Nothing here is synced, since a log is no promise.

use super::{File, Fs, FsError};
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A log in files that are turned over. Clones write to the same one.
#[derive(Clone)]
pub struct LogFile {
    state: Arc<Mutex<State>>,
}

/// Where a log goes, and how much of it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogFileOptions {
    pub(crate) path: PathBuf,
    /// Size beyond which a new file is begun; 0 = never.
    pub(crate) bytes_max: u64,
    /// Older files that stay.
    pub(crate) kept: u32,
    /// Lines are JSON objects.
    pub(crate) is_json: bool,
}

#[derive(Debug)]
struct State {
    fs: Arc<dyn Fs>,
    options: LogFileOptions,
    /// None while it cannot be had.
    file: Option<Arc<dyn File>>,
    /// Lines that are missing behind the last one.
    missing: u64,
    /// All lines that were left out.
    dropped: u64,
}

impl fmt::Debug for LogFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogFile")
            .field("path", &self.lock().options.path)
            .finish_non_exhaustive()
    }
}

impl LogFile {
    /// Opens the file, or begins it.
    pub(crate) fn open(fs: &Arc<dyn Fs>, options: LogFileOptions) -> Result<Self, FsError> {
        let file = open(&**fs, &options.path)?;
        let state = State {
            fs: fs.clone(),
            options,
            file: Some(file),
            missing: 0,
            dropped: 0,
        };
        Ok(Self {
            state: Arc::new(Mutex::new(state)),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lines that could not be written.
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }
}

/// One call is one line, or several: they stay together.
impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.lock();
        match state.put(line) {
            Ok(()) => state.missing = 0,
            Err(_) => {
                state.missing += 1;
                state.dropped += 1;
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl State {
    /// Writes a line behind what is there, whoever else has cut the file or written to it.
    fn put(&mut self, line: &[u8]) -> Result<(), FsError> {
        let file = self.file()?;
        let mut length = file.size()?;
        let line = self.with_notice(line);
        let is_full = length.saturating_add(line.len() as u64) > self.options.bytes_max;
        let file = match self.options.bytes_max > 0 && length > 0 && is_full {
            true => {
                length = 0;
                self.turn_over()?
            }
            false => file,
        };
        file.write_at(length, &line).inspect_err(|_| {
            // A part of a line is no line. Where the disk does not take that either, it stays.
            let _ = file.set_len(length);
        })
    }

    fn file(&mut self) -> Result<Arc<dyn File>, FsError> {
        let file = match self.file.take() {
            Some(file) => file,
            None => open(&*self.fs, &self.options.path)?,
        };
        self.file = Some(file.clone());
        Ok(file)
    }

    /// The line behind one that says what is missing before it.
    fn with_notice(&self, line: &[u8]) -> Vec<u8> {
        let missing = self.missing;
        let notice = match (missing, self.options.is_json) {
            (0, _) => String::new(),
            (_, true) => {
                format!("{{\"level\":\"WARN\",\"message\":\"lines are missing here\",\"lines\":{missing}}}\n")
            }
            (_, false) => format!("WARN {missing} lines are missing here: they could not be written\n"),
        };
        [notice.as_bytes(), line].concat()
    }

    /// Gives every file the next number, and begins a new one.
    fn turn_over(&mut self) -> Result<Arc<dyn File>, FsError> {
        let path = self.options.path.clone();
        match self.options.kept {
            0 => self.fs.remove(&path)?,
            kept => {
                for number in (1..kept).rev() {
                    let from = numbered(&path, number);
                    if self.fs.exists(&from)? {
                        self.fs.rename(&from, &numbered(&path, number + 1))?;
                    }
                }
                self.fs.rename(&path, &numbered(&path, 1))?;
            }
        }
        // What is there now has another name.
        self.file = None;
        self.file()
    }
}

fn open(fs: &dyn Fs, path: &Path) -> Result<Arc<dyn File>, FsError> {
    match fs.exists(path)? {
        true => fs.open_write(path),
        false => fs.create_new(path),
    }
}

/// `narthex.log.1`
fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::super::{Call, Fault, SimFs, read_file};
    use super::*;

    fn log(fs: &SimFs, bytes_max: u64, kept: u32, is_json: bool) -> LogFile {
        let options = LogFileOptions {
            path: "n.log".into(),
            bytes_max,
            kept,
            is_json,
        };
        let fs: Arc<dyn Fs> = Arc::new(fs.clone());
        LogFile::open(&fs, options).expect("it opens")
    }

    fn text(fs: &SimFs, name: &str) -> Option<String> {
        let bytes = read_file(fs, Path::new(name)).ok()?;
        Some(String::from_utf8(bytes).expect("text"))
    }

    fn say(log: &mut LogFile, line: &str) {
        log.write_all(format!("{line}\n").as_bytes())
            .expect("never an error");
    }

    #[test]
    fn files_are_turned_over_and_the_oldest_goes() {
        let fs = SimFs::new();
        let mut log = log(&fs, 10, 2, false);
        for line in ["one", "two", "three", "four", "a line of more", "five"] {
            say(&mut log, line);
        }
        let found = ["n.log", "n.log.1", "n.log.2", "n.log.3"].map(|name| text(&fs, name));
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            found,
            [some("five\n"), some("a line of more\n"), some("four\n"), None]
        );
        assert_eq!(log.dropped(), 0);
        drop(log);
        // An old file is written on.
        let mut again = super::tests::log(&fs, 10, 2, false);
        say(&mut again, "six");
        assert_eq!(text(&fs, "n.log"), some("five\nsix\n"));
    }

    #[test]
    fn no_older_file_or_no_limit() {
        let fs = SimFs::new();
        let mut log = log(&fs, 10, 0, false);
        ["one", "two", "three"]
            .iter()
            .for_each(|line| say(&mut log, line));
        assert_eq!(text(&fs, "n.log").as_deref(), Some("three\n"));
        assert_eq!(text(&fs, "n.log.1"), None);
        let fs = SimFs::new();
        let mut log = super::tests::log(&fs, 0, 0, false);
        (0..100).for_each(|_| say(&mut log, "line"));
        assert_eq!(text(&fs, "n.log").map(|text| text.len()), Some(500));
    }

    #[test]
    fn a_full_disk_takes_lines_and_nothing_else() {
        for (is_json, notice) in [
            (
                false,
                "WARN 3 lines are missing here: they could not be written\n",
            ),
            (
                true,
                "{\"level\":\"WARN\",\"message\":\"lines are missing here\",\"lines\":3}\n",
            ),
        ] {
            let fs = SimFs::new();
            let mut log = log(&fs, 0, 5, is_json);
            say(&mut log, "before");
            fs.fail_all(Call::WriteAt, Fault::Enospc);
            (0..3).for_each(|_| say(&mut log, "lost"));
            assert_eq!(log.dropped(), 3);
            fs.clear_faults();
            say(&mut log, "after");
            say(&mut log, "all");
            assert_eq!(text(&fs, "n.log"), Some(format!("before\n{notice}after\nall\n")));
        }
    }

    #[test]
    fn whatever_fails_while_files_are_turned_over_it_goes_on() {
        let clean = SimFs::new();
        let mut log = log(&clean, 10, 2, false);
        let first = clean.call_count();
        ["one", "two", "three"]
            .iter()
            .for_each(|line| say(&mut log, line));
        let calls = clean.call_count() - first;
        for index in 0..calls {
            for fault in [Fault::Eio, Fault::Enospc] {
                let fs = SimFs::new();
                let mut log = super::tests::log(&fs, 10, 2, false);
                fs.fail_nth(fs.call_count() + index, fault);
                for line in ["one", "two", "three", "four", "five", "six"] {
                    say(&mut log, line);
                }
                fs.clear_faults();
                let all = ["n.log.2", "n.log.1", "n.log"].map(|name| text(&fs, name).unwrap_or_default());
                let all = all.concat();
                assert!(all.ends_with("five\nsix\n"), "{index} {fault:?}: {all:?}");
                assert!(log.dropped() <= 1, "{index} {fault:?}");
            }
        }
    }

    #[test]
    fn a_file_that_somebody_cuts_has_no_hole() {
        let fs = SimFs::new();
        let mut log = log(&fs, 0, 5, false);
        say(&mut log, "one");
        let file = fs.open_write(Path::new("n.log")).expect("a file");
        file.set_len(0).expect("it is cut");
        say(&mut log, "two");
        assert_eq!(text(&fs, "n.log").as_deref(), Some("two\n"));
    }
}
