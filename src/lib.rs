//! narthex keeps the samples of Prometheus: a time-series database for metrics, as a library.
//!
//! The engine is plain synchronous Rust: a write-ahead log, a head in memory and immutable segments on disk.
//! Nothing in this crate's library part knows about HTTP.

pub(crate) mod base;
pub(crate) mod chunk;
pub(crate) mod column;
pub(crate) mod index;
pub(crate) mod io;
pub(crate) mod model;
pub(crate) mod wal;

pub use base::bytes::Corrupt;
pub use base::clock::{Clock, ManualClock, SystemClock};
pub use model::exemplar::Exemplar;
pub use model::histogram::{Counts, Histogram, HistogramError, ResetHint, Span};
pub use model::labels::{LabelError, LabelHash, Labels};
pub use model::matcher::{MatchOp, Matcher};
pub use model::metadata::{Metadata, MetricType};
pub use model::sample::{STALE_NAN_BITS, Sample, Value, stale_nan};
