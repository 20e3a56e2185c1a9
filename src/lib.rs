//! narthex keeps the samples of Prometheus: a time-series database for metrics, as a library.
//!
//! The engine is plain synchronous Rust: a write-ahead log, a head in memory and immutable segments on disk. Nothing
//! in this crate's library part knows about HTTP.
//!
//! ```
//! use narthex::{Db, Matcher, Options, labels};
//!
//! fn main() -> Result<(), narthex::Error> {
//!     let db = Db::open(Options::in_memory())?; // In a folder: Options::new("./data").
//!     let mut batch = db.batch();
//!     batch.push(&labels! { "__name__" => "cpu_busy", "host" => "a" }, 1_700_000_000_000, 0.42);
//!     assert_eq!(batch.commit()?.accepted, 1); // In a folder: durable, then acknowledged.
//!     for series in db.select(&[Matcher::eq("__name__", "cpu_busy")], 0..)? {
//!         let series = series?;
//!         for sample in series.samples() {
//!             println!("{} {:?}", series.labels(), sample);
//!         }
//!     }
//!     db.close()
//! }
//! ```

#[cfg(feature = "server")]
pub(crate) mod api;
pub(crate) mod base;
pub(crate) mod blocks;
pub(crate) mod chunk;
pub(crate) mod column;
#[cfg(feature = "server")]
pub(crate) mod config;
pub(crate) mod db;
#[cfg(feature = "server")]
pub(crate) mod doors;
pub(crate) mod engine;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub(crate) mod head;
pub(crate) mod index;
pub(crate) mod io;
pub(crate) mod model;
#[cfg_attr(
    not(any(test, feature = "server")),
    expect(dead_code, reason = "printing is for the HTTP API")
)]
pub(crate) mod promql;
pub(crate) mod records;
#[cfg(feature = "server")]
pub(crate) mod remote;
pub(crate) mod rollup;
pub(crate) mod segment;
pub(crate) mod sketch;
pub(crate) mod wal;

pub use base::bytes::Corrupt;
pub use base::clock::{Clock, ManualClock, SystemClock};
pub use chunk::Encoding;
pub use db::{AggregateInfo, AggregatedPoint, Aggregation, MetricPoint, TimeSeriesQuery, TimeSeriesStore};
pub use db::{Batch, ColumnBatch, Columns, Db, Events, Logs};
pub use db::{
    BlockExport, BlockExportOptions, BlockImport, BlockImportOptions, BlockProgress, RefusedSamples,
};
pub use engine::RecoveryReport;
pub use engine::attach::AttachReport;
pub use engine::backup::BackupReport;
pub use engine::cardinality::{CardinalityEstimate, Growth, LabelCardinality};
pub use engine::chunks::{ChunkCursor, RawChunk, SeriesChunks};
pub use engine::counters::Totals;
pub use engine::deletions::DeletionInfo;
pub use engine::doctor::{Diagnosis, Finding, Remedy};
pub use engine::due::{Due, DueMerge, Upkeep};
pub use engine::error::Error;
pub use engine::inventory::SegmentInfo;
pub use engine::jobs::{Job, JobKind, JobSums};
pub use engine::listing::{ListOptions, Listing, SeriesCount};
pub use engine::options::{Options, Precision};
pub use engine::progress::OpenProgress;
pub use engine::restore::RestoreReport;
pub use engine::retention::RetentionReport;
pub use engine::rollup_info::RollupInfo;
pub use engine::rollups::{Aggregate, AggregateFunction, Rollup};
pub use engine::select::{SeriesCursor, Warning};
pub use engine::series::{Series, SeriesSamples};
pub use engine::snapshot::SnapshotReport;
pub use engine::stats::{Cardinality, CardinalityReport, Stats};
pub use engine::verify::VerifyReport;
pub use head::HeadMemory;
pub use head::limits::Limits;
pub use head::overwrite::Overwrite;
pub use head::report::{CommitReport, Durability, RefusedMetric, Reject, Rejection};
pub use io::{Bytes, DiskFs, File, FileView, Fs, FsError, LockGuard, Region};
pub use model::exemplar::Exemplar;
pub use model::float_histogram::{Buckets, FloatHistogram};
pub use model::histogram::{Counts, Histogram, HistogramError, ResetHint, Span};
pub use model::labels::{LabelError, LabelHash, Labels};
pub use model::matcher::{MatchOp, Matcher};
pub use model::metadata::{Metadata, MetricType};
pub use model::sample::{STALE_NAN_BITS, Sample, Value, stale_nan};
pub use promql::durations::parse_duration_ms;
pub use promql::error::{ParseError, QueryFault};
pub use promql::eval::budget::{CancelFlag, QueryMemory};
pub use promql::eval::error::EvalError;
pub use promql::parse::parse_selector;
pub use promql::query::{QueryAnswer, QueryError, QueryOptions, Resolution};
pub use promql::source::SourceError;
pub use promql::value::{QueryPoint, QuerySample, QuerySeries, QueryValue};
pub use records::columns::ColumnValue;
pub use records::events::{EventGroup, EventPage, EventPoint, EventQuery};
pub use records::logs::{LogGroup, LogPage, LogPoint, LogQuery};
pub use records::rank::{Level, Severity};
pub use records::tags::Tags;
pub use segment::compress::Compressor;
pub use segment::meta::{BinaryMetaSerializer, MetaSerializer, SegmentMeta};
pub use segment::reader::{CorruptFile, Quarantined};
pub use sketch::{Change, Distinct, LabelGrowth, MetricGrowth};

/// The HTTP server over a database.
#[cfg(feature = "server")]
pub mod server {
    pub use crate::api::{Handle, ServeError, Server, TlsError};
    pub use crate::config::{Config, ConfigError, ConfigFlags, Sources};
    pub use crate::io::LogFile;
}

/// Prometheus' remote read without HTTP: from the body of a request to the body of the answer.
#[cfg(feature = "server")]
pub mod remote_read {
    pub use crate::remote::read::{ReadError, ReadOptions, ReadSummary};
    pub use crate::remote::read_request::{ReadRequest, ResponseType};
}

/// Aids for testing what is built on this crate: a disk that loses power, fails calls and fills up.
pub mod testing {
    pub use crate::io::{Call, CrashMode, CrashPoint, Fault, Record, SimFs};

    /// PromQL on any source of samples, and the series of Prometheus' test scripts.
    pub mod promql {
        pub use crate::promql::ast::Span;
        pub use crate::promql::durations::parse_duration_ms;
        pub use crate::promql::pinned::pinned;
        pub use crate::promql::query::{check_query, query, query_range};
        pub use crate::promql::series_desc::{SequenceValue, SeriesDescription, parse_series_description};
        pub use crate::promql::source::{
            Aspect, FloatColumn, Hints, HistogramColumn, Select, SeriesSamples, SeriesSet, Source,
            ThinnedSeries, ThinnedSet,
        };
    }

    /// Makes the bytes of a database depend on nothing but what is written, the clock and `identity`: its id and the
    /// epochs of its log files are made of these instead of the process and the folder. For tests that compare files.
    /// In earnest it would be unsafe: two openings at the same moment of the clock would make log files of one epoch.
    #[must_use]
    pub fn with_identity(mut options: crate::Options, identity: u64) -> crate::Options {
        options.identity = Some(identity);
        options
    }
}
