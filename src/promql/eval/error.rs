//! Why an evaluation ended without a result. The texts are those of Prometheus.

use crate::promql::source::SourceError;

/// Why an evaluation ended without a result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// The query would need more samples in memory at once than it may.
    #[error("query processing would load too many samples into memory in query execution")]
    TooManySamples,
    /// All queries together would need more memory than they may.
    #[error("the queries that run now would need more memory than they may; ask for less or later")]
    OutOfMemory,
    /// The query took longer than it may.
    #[error("query timed out in expression evaluation")]
    Timeout,
    /// The query was canceled.
    #[error("query was canceled in expression evaluation")]
    Canceled,
    /// The source of the samples failed.
    #[error("expanding series: {0}")]
    Source(#[from] SourceError),
    /// The expression cannot be evaluated over these series.
    #[error("{0}")]
    Execution(String),
}

impl EvalError {
    pub(crate) fn execution(text: impl Into<String>) -> Self {
        Self::Execution(text.into())
    }
}
