//! How a database is opened. Every option has a stated default.

use super::error::Error;
pub use super::precision::Precision;
use super::progress::OpenProgress;
use super::rollups::{Aggregate, Rollup};
use crate::base::clock::{Clock, SystemClock};
use crate::base::hash;
use crate::head::limits::Limits;
use crate::head::overwrite::{Overwrite, OverwriteRules};
use crate::head::report::Durability;
use crate::index::{LabelMatcher, RegexError};
use crate::io::{DiskFs, Fs};
use crate::model::labels::Labels;
use crate::model::matcher::Matcher;
use crate::segment::compress::Compressor;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// How a database is opened.
///
/// ```
/// use narthex::{Durability, Options};
/// use std::time::Duration;
///
/// let options = Options::in_memory().segment_span(Duration::from_secs(3600));
/// # let _ = options;
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    pub(crate) dir: Option<PathBuf>,
    pub(crate) durability: Durability,
    pub(crate) segment_span: Duration,
    pub(crate) flush_samples_min: u64,
    pub(crate) flush_samples_max: Option<u64>,
    pub(crate) head_bytes_max: u64,
    pub(crate) precision: Option<Precision>,
    pub(crate) background: bool,
    pub(crate) limits: Limits,
    pub(crate) future_limit: Option<Duration>,
    pub(crate) series_idle: Duration,
    pub(crate) overwrite: Overwrite,
    pub(crate) undelete_window: Duration,
    pub(crate) compaction: bool,
    pub(crate) compaction_interval: Duration,
    pub(crate) segment_samples_max: u64,
    pub(crate) retention: Option<Duration>,
    pub(crate) retention_bytes: Option<u64>,
    pub(crate) retention_rules: Vec<(Vec<Matcher>, Duration)>,
    pub(crate) rollups: Vec<Rollup>,
    pub(crate) aggregates: Vec<Aggregate>,
    pub(crate) log_retention: Option<Duration>,
    pub(crate) event_retention: Option<Duration>,
    pub(crate) column_flush_entries: Option<u64>,
    pub(crate) clock_leap_max: Duration,
    pub(crate) compress_after: Option<Duration>,
    pub(crate) overwrite_rules: Vec<(Vec<Matcher>, Overwrite)>,
    pub(crate) metadata_compressor: Compressor,
    pub(crate) data_compressor: Compressor,
    pub(crate) mmap: bool,
    pub(crate) read_only: bool,
    pub(crate) external_labels: Labels,
    pub(crate) wal_file_bytes: u64,
    pub(crate) wal_step_bytes: u64,
    pub(crate) checkpoint_bytes_min: u64,
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) progress: Option<Arc<OpenProgress>>,
    /// In place of what tells one process and database from another; see `testing::with_identity`.
    pub(crate) identity: Option<u64>,
}

impl Options {
    /// A database in the folder `dir`, which is created if need be.
    pub fn new(dir: impl AsRef<Path>) -> Self {
        Self {
            dir: Some(dir.as_ref().to_owned()),
            ..Self::in_memory()
        }
    }

    /// A database in the folder `dir` with retentions that suit devices: samples 90 days, logs 30 days, events 180 days.
    pub fn iot(dir: impl AsRef<Path>) -> Self {
        Self::new(dir)
            .retention(DAY * 90)
            .log_retention(DAY * 30)
            .event_retention(DAY * 180)
    }

    /// A database without files, gone when it is closed. Its segments are in memory: they are compressed, merged and
    /// dropped by retention as those on a disk are.
    pub fn in_memory() -> Self {
        Self {
            dir: None,
            durability: Durability::Always,
            segment_span: Duration::from_secs(2 * 3600),
            flush_samples_min: 8 << 20,
            flush_samples_max: None,
            head_bytes_max: 4 << 30,
            precision: None,
            background: true,
            limits: Limits::default(),
            future_limit: None,
            series_idle: Duration::from_secs(30 * 60),
            overwrite: Overwrite::Reject,
            undelete_window: DAY,
            compaction: true,
            compaction_interval: Duration::ZERO,
            segment_samples_max: 1 << 32,
            retention: None,
            retention_bytes: None,
            retention_rules: Vec::new(),
            rollups: Vec::new(),
            aggregates: Vec::new(),
            log_retention: None,
            event_retention: None,
            column_flush_entries: None,
            clock_leap_max: DAY,
            compress_after: Some(DAY * 7),
            overwrite_rules: Vec::new(),
            metadata_compressor: Compressor::Zstd,
            data_compressor: Compressor::None,
            mmap: true,
            read_only: false,
            external_labels: Labels::default(),
            wal_file_bytes: 64 << 20,
            wal_step_bytes: 8 << 20,
            checkpoint_bytes_min: 64 << 20,
            fs: Arc::new(DiskFs),
            clock: Arc::new(SystemClock),
            progress: None,
            identity: None,
        }
    }

    /// When a commit counts as stored. Default [`Durability::Always`].
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// The time after which the head is written to a segment, if it holds enough samples. Default 2 hours.
    #[must_use]
    pub fn segment_span(mut self, span: Duration) -> Self {
        self.segment_span = span;
        self
    }

    /// Samples below which the head waits up to four segment spans before it is written, because short segments waste
    /// space. Default 8 Mi.
    #[must_use]
    pub fn flush_samples_min(mut self, samples: u64) -> Self {
        self.flush_samples_min = samples;
        self
    }

    /// Samples at which the head is written whatever its span. Counts as 262,144 at least and as 16 a series of the head,
    /// since smaller segments cost more than they hold. Default: span and memory decide.
    #[must_use]
    pub fn flush_samples_max(mut self, samples: u64) -> Self {
        self.flush_samples_max = Some(samples);
        self
    }

    /// Memory of the head beyond which it is written whatever its span. Default 4 GiB.
    #[must_use]
    pub fn head_bytes_max(mut self, bytes: u64) -> Self {
        self.head_bytes_max = bytes;
        self
    }

    /// Unit of timestamps; fixed at creation, and compared when an existing database is opened. Default milliseconds.
    #[must_use]
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = Some(precision);
        self
    }

    /// Whether the database starts threads: for flushes and syncs, and to read wide queries ahead. Without them the caller
    /// calls `Db::step`. Default yes.
    #[must_use]
    pub fn background(mut self, background: bool) -> Self {
        self.background = background;
        self
    }

    /// What is accepted. See [`Limits`] for the defaults.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How far in the future a timestamp may lie; `None` = any, the default.
    #[must_use]
    pub fn future_limit(mut self, limit: Option<Duration>) -> Self {
        self.future_limit = limit;
        self
    }

    /// A series without samples for this long, in the time of its samples, leaves memory after a flush. Default 30 min.
    #[must_use]
    pub fn series_idle(mut self, idle: Duration) -> Self {
        self.series_idle = idle;
        self
    }

    /// What becomes of a sample whose place holds another value. Default [`Overwrite::Reject`].
    #[must_use]
    pub fn overwrite(mut self, overwrite: Overwrite) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// The same for the series that match, as they come to be in memory. Of several rules the first one counts.
    #[must_use]
    pub fn overwrite_rule(mut self, matchers: Vec<Matcher>, overwrite: Overwrite) -> Self {
        self.overwrite_rules.push((matchers, overwrite));
        self
    }

    /// How long a delete can be withdrawn. Merges leave out what it hid from then on. Default 24 hours.
    #[must_use]
    pub fn undelete_window(mut self, window: Duration) -> Self {
        self.undelete_window = window;
        self
    }

    /// Whether segments are merged in the background; `Db::compact` merges in any case. Default yes.
    #[must_use]
    pub fn compaction(mut self, compaction: bool) -> Self {
        self.compaction = compaction;
        self
    }

    /// How often it is looked for segments that are due to be merged; the first look after each flush comes at once. Default
    /// zero: whenever there is nothing else to do. What is found is merged without a pause.
    #[must_use]
    pub fn compaction_interval(mut self, interval: Duration) -> Self {
        self.compaction_interval = interval;
        self
    }

    /// Samples beyond which segments are not merged into one. Default 4 Gi.
    #[must_use]
    pub fn segment_samples_max(mut self, samples: u64) -> Self {
        self.segment_samples_max = samples;
        self
    }

    /// Drops segments whose newest sample is older than this. A tenth of it, between three segment spans and 31 days, is
    /// the length of the longest segments. Default: nothing is dropped, and the longest segments have 10 days.
    #[must_use]
    pub fn retention(mut self, retention: Duration) -> Self {
        self.retention = Some(retention);
        self
    }

    /// Drops the oldest segments while log, segments, head and the scratch space of merges take more than this. What is
    /// not in a segment yet is never dropped, and logs, events and columns are not counted. Default: no limit.
    #[must_use]
    pub fn retention_bytes(mut self, bytes: u64) -> Self {
        self.retention_bytes = Some(bytes);
        self
    }

    /// A shorter retention for series that match: they leave a segment once all of it is older than this, when it is
    /// written again.
    #[must_use]
    pub fn retention_rule(mut self, matchers: Vec<Matcher>, retention: Duration) -> Self {
        self.retention_rules.push((matchers, retention));
        self
    }

    /// Keeps windows of one width beside the samples, which answer long queries faster and may be kept for longer than
    /// samples. Widths of several calls must differ. Default: none.
    #[must_use]
    pub fn rollup(mut self, rollup: Rollup) -> Self {
        self.rollups.push(rollup);
        self
    }

    /// Makes named metrics of windows of other series. Default: none.
    #[must_use]
    pub fn aggregate(mut self, aggregate: Aggregate) -> Self {
        self.aggregates.push(aggregate);
        self
    }

    /// Drops logs that are older than this. Default: none are dropped.
    #[must_use]
    pub fn log_retention(mut self, retention: Duration) -> Self {
        self.log_retention = Some(retention);
        self
    }

    /// Drops events that are older than this. Default: none are dropped.
    #[must_use]
    pub fn event_retention(mut self, retention: Duration) -> Self {
        self.event_retention = Some(retention);
        self
    }

    /// Changes of columns after which what they have in memory becomes a file. Default: when it takes 16 MiB.
    #[must_use]
    pub fn column_flush_entries(mut self, entries: u64) -> Self {
        self.column_flush_entries = Some(entries);
        self
    }

    /// How far the clock may be ahead of the newest sample for retention to believe it. Default 1 day: a clock that leaps
    /// forward drops nothing that the newest sample plus a day would not drop.
    #[must_use]
    pub fn clock_leap_max(mut self, leap: Duration) -> Self {
        self.clock_leap_max = leap;
        self
    }

    /// The age at which the data of a segment is compressed by Zstandard, where that makes it smaller; `None` = never.
    /// Default 7 days.
    #[must_use]
    pub fn compress_after(mut self, age: Option<Duration>) -> Self {
        self.compress_after = age;
        self
    }

    /// Length of the longest segments.
    pub(super) fn partition_span(&self) -> Duration {
        let longest = self.retention.map_or(DAY * 10, |retention| retention / 10);
        let least = self.segment_span.saturating_mul(3);
        longest.clamp(least, least.max(DAY * 31))
    }

    pub(super) fn compiled_overwrite_rules(&self) -> Result<OverwriteRules, RegexError> {
        let mut rules = OverwriteRules {
            default: self.overwrite,
            ..OverwriteRules::default()
        };
        for (matchers, overwrite) in &self.overwrite_rules {
            rules
                .rules
                .push((LabelMatcher::compile_all(matchers)?, *overwrite));
        }
        Ok(rules)
    }

    /// Compressor of a segment's metadata. Default zstd.
    #[must_use]
    pub fn metadata_compressor(mut self, compressor: Compressor) -> Self {
        self.metadata_compressor = compressor;
        self
    }

    /// Compressor over the encoded data groups. Default none: it rarely pays before segments are merged.
    #[must_use]
    pub fn data_compressor(mut self, compressor: Compressor) -> Self {
        self.data_compressor = compressor;
        self
    }

    /// Whether segments are mapped into memory; otherwise they are read by position. Default yes.
    #[must_use]
    pub fn mmap(mut self, mmap: bool) -> Self {
        self.mmap = mmap;
        self
    }

    /// Opens beside a writing process: nothing is written, and the head is what the log held at opening.
    #[must_use]
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Labels that hold for every series, written into each segment. Default none.
    #[must_use]
    pub fn external_labels(mut self, labels: Labels) -> Self {
        self.external_labels = labels;
        self
    }

    /// Size at which a log file is closed (larger when there are many series) and step in which its space is reserved.
    /// Default 64 MiB and 8 MiB.
    #[must_use]
    pub fn wal_sizes(mut self, file_bytes: u64, step_bytes: u64) -> Self {
        self.wal_file_bytes = file_bytes;
        self.wal_step_bytes = step_bytes;
        self
    }

    /// Log beyond the last checkpoint that makes a new one due; also at least an eighth of the size of that checkpoint.
    /// Default 64 MiB.
    #[must_use]
    pub fn checkpoint_bytes_min(mut self, bytes: u64) -> Self {
        self.checkpoint_bytes_min = bytes;
        self
    }

    /// Where the opening says how far it is. Default nowhere.
    #[must_use]
    pub fn progress(mut self, progress: Arc<OpenProgress>) -> Self {
        self.progress = Some(progress);
        self
    }

    /// The retention rules, each with a number that tells it from others.
    pub(super) fn compiled_retention_rules(
        &self,
    ) -> Result<Vec<(Vec<LabelMatcher>, u64, Duration)>, RegexError> {
        let compile = |(matchers, retention): &(Vec<Matcher>, Duration)| {
            let id = hash::checksum(format!("{matchers:?} {retention:?}").as_bytes());
            Ok((LabelMatcher::compile_all(matchers)?, id, *retention))
        };
        self.retention_rules.iter().map(compile).collect()
    }

    /// What is wrong with the options, if anything is.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let floor = 4 * (self.wal_file_bytes + self.checkpoint_bytes_min);
        match self.retention_bytes {
            Some(bytes) if bytes < floor && self.dir.is_some() => Err(Error::InvalidOptions(format!(
                "retention_bytes {bytes} leaves no room for segments beside the log: at least {floor}, or smaller \
                 wal_sizes and checkpoint_bytes_min"
            ))),
            _ => Ok(()),
        }
    }

    /// The file system. Default the operating system's.
    #[must_use]
    pub fn fs(mut self, fs: Arc<dyn Fs>) -> Self {
        self.fs = fs;
        self
    }

    /// The clock. Default the operating system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}
