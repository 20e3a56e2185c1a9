//! How a database is opened. Every option has a stated default.

use crate::base::clock::{Clock, SystemClock};
use crate::head::limits::Limits;
use crate::head::report::Durability;
use crate::io::{DiskFs, Fs};
use crate::model::labels::Labels;
use crate::segment::compress::Compressor;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Unit of the timestamps of a database, fixed when it is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Precision {
    /// Seconds.
    Seconds = 0,
    /// Milliseconds, as in Prometheus.
    #[default]
    Milliseconds = 1,
    /// Microseconds.
    Microseconds = 2,
    /// Nanoseconds.
    Nanoseconds = 3,
}

impl Precision {
    pub(crate) fn from_u8(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Seconds),
            1 => Some(Self::Milliseconds),
            2 => Some(Self::Microseconds),
            3 => Some(Self::Nanoseconds),
            _ => None,
        }
    }

    /// The unit's usual sign.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Microseconds => "us",
            Self::Nanoseconds => "ns",
        }
    }

    /// How many of this unit a duration is.
    pub fn units(self, duration: Duration) -> i64 {
        let units = match self {
            Self::Seconds => u128::from(duration.as_secs()),
            Self::Milliseconds => duration.as_millis(),
            Self::Microseconds => duration.as_micros(),
            Self::Nanoseconds => duration.as_nanos(),
        };
        i64::try_from(units).unwrap_or(i64::MAX)
    }

    /// Milliseconds in this unit.
    pub fn from_millis(self, milliseconds: i64) -> i64 {
        match self {
            Self::Seconds => milliseconds.div_euclid(1000),
            Self::Milliseconds => milliseconds,
            Self::Microseconds => milliseconds.saturating_mul(1000),
            Self::Nanoseconds => milliseconds.saturating_mul(1_000_000),
        }
    }
}

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
    pub(crate) head_bytes_max: u64,
    pub(crate) precision: Option<Precision>,
    pub(crate) background: bool,
    pub(crate) limits: Limits,
    pub(crate) future_limit: Option<Duration>,
    pub(crate) series_idle: Duration,
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

    /// A database without files, gone when it is closed.
    pub fn in_memory() -> Self {
        Self {
            dir: None,
            durability: Durability::Always,
            segment_span: Duration::from_secs(2 * 3600),
            flush_samples_min: 8 << 20,
            head_bytes_max: 4 << 30,
            precision: None,
            background: true,
            limits: Limits::default(),
            future_limit: None,
            series_idle: Duration::from_secs(30 * 60),
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

    /// Whether the database starts a thread for flushes and syncs. Without it the caller calls `Db::step`. Default yes.
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
