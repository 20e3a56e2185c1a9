//! What is logged, and the file that it goes to beside stderr.

use super::Config;
use super::resolve::Reader;
use crate::io::{DiskFs, Fs, FsError, LogFile, LogFileOptions};
use std::sync::Arc;

/// Older files of a log that may stay: each is renamed when a new one is begun.
const LOG_FILES_MAX: u32 = 1000;

impl Reader<'_> {
    pub(super) fn log_filter(&mut self) -> String {
        self.read("log", |text| {
            let parsed = text.parse::<tracing_subscriber::EnvFilter>();
            parsed.map(|_| text.to_owned()).map_err(|error| error.to_string())
        })
    }

    pub(super) fn log_file(&mut self) -> Option<LogFileOptions> {
        let bytes_max = self.size("log_file_max_bytes");
        let kept = self.read("log_files_kept", |text| {
            let kept = text.parse().ok().filter(|kept: &u32| *kept <= LOG_FILES_MAX);
            kept.ok_or_else(|| format!("`{text}` is not a number from 0 to {LOG_FILES_MAX}"))
        });
        let is_json = self.word("log_format") == "json";
        self.path("log_file").map(|path| LogFileOptions {
            path,
            bytes_max,
            kept,
            is_json,
        })
    }
}

impl Config {
    /// What `tracing` is to let through.
    pub fn log(&self) -> &str {
        &self.log
    }

    /// Whether log lines are JSON objects.
    pub fn is_log_json(&self) -> bool {
        self.is_log_json
    }

    /// Opens the file that the log goes to beside stderr, if there is to be one.
    pub fn open_log_file(&self) -> Result<Option<LogFile>, FsError> {
        let fs: Arc<dyn Fs> = Arc::new(DiskFs);
        let options = self.log_file.clone();
        options.map(|options| LogFile::open(&fs, options)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Sources;
    use super::*;

    #[test]
    fn a_log_file_has_a_size_and_a_number() {
        let resolve = |variables: &[(&str, &str)]| {
            let environment = variables.iter().map(|one| (one.0.to_owned(), one.1.to_owned()));
            let sources = Sources {
                environment: environment.collect(),
                ..Sources::default()
            };
            sources.resolve()
        };
        assert_eq!(resolve(&[]).expect("the defaults").log_file, None);
        let config = resolve(&[("NARTHEX_LOG_FILE", "n.log"), ("NARTHEX_LOG_FORMAT", "json")]);
        let expected = LogFileOptions {
            path: "n.log".into(),
            bytes_max: 64 << 20,
            kept: 5,
            is_json: true,
        };
        assert_eq!(config.expect("a file").log_file, Some(expected));
        for (variable, text) in [
            ("NARTHEX_LOG_FILES_KEPT", "1001"),
            ("NARTHEX_LOG_FILES_KEPT", "-1"),
            ("NARTHEX_LOG_FILE_MAX_BYTES", "much"),
        ] {
            let error = resolve(&[(variable, text)]).expect_err("a fault");
            assert!(error.faults[0].contains(variable), "{error}");
        }
    }
}
