//! A query from its text to its answer, on any source of samples.

use super::ParseOptions;
use super::annotations::MAX_SHOWN;
use super::durations::QueryTimes;
use super::error::{ParseError, QueryFault};
use super::eval::budget::{CancelFlag, QueryMemory};
use super::eval::error::EvalError;
use super::eval::{EvalOptions, evaluate};
use super::parse::parse;
use super::preprocess::preprocess;
use super::signature::ValueType;
use super::source::Source;
use super::value::{QueryValue, Steps};
use std::time::Duration;

/// Whether a query may be answered from rollups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Resolution {
    /// Where the answer is that of samples, and where samples are gone. The default.
    #[default]
    Exact,
    /// Never.
    Samples,
    /// Wherever there are windows that are not wider than the step, or the range that a function sees if that is longer.
    Auto,
    /// Wherever there are windows up to this width.
    UpTo(Duration),
}

/// How queries are evaluated. The defaults are those of Prometheus.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct QueryOptions {
    /// How far back an instant selector looks for a sample. Default: 5 minutes.
    pub lookback: Duration,
    /// The step of subqueries that name none. Default: 1 minute.
    pub subquery_step: Duration,
    /// The most samples that a query may have in memory at once. Default: 50,000,000.
    pub samples_max: usize,
    /// How long a query may take. Default: 2 minutes; `None` is without limit.
    pub timeout: Option<Duration>,
    /// Ends the query from another thread.
    pub cancel: CancelFlag,
    /// Memory that it shares with other queries. Default: its own, without limit.
    pub memory: QueryMemory,
    /// Whether what Prometheus calls experimental may be used: functions, `anchored` and `smoothed`, computed durations,
    /// `fill`. Default: no.
    pub experimental: bool,
    /// Whether the name of a metric goes at the end of a query instead of at each operation. Default: no.
    pub delayed_name_removal: bool,
    /// Whether resets of counters are also read from start timestamps. Default: no.
    pub start_timestamps: bool,
    /// Whether a metric is a counter is read from the label `__type__`. Default: no.
    pub type_and_unit_labels: bool,
    /// Whether the answer says of each step how many samples it was computed from. Default: no.
    pub samples_by_step: bool,
    /// Whether it may be answered from rollups.
    pub resolution: Resolution,
}

impl Default for QueryOptions {
    fn default() -> Self {
        Self {
            lookback: Duration::from_secs(300),
            subquery_step: Duration::from_secs(60),
            samples_max: 50_000_000,
            timeout: Some(Duration::from_secs(120)),
            cancel: CancelFlag::default(),
            memory: QueryMemory::default(),
            experimental: false,
            delayed_name_removal: false,
            start_timestamps: false,
            type_and_unit_labels: false,
            samples_by_step: false,
            resolution: Resolution::Exact,
        }
    }
}

impl QueryOptions {
    fn eval(&self) -> EvalOptions {
        EvalOptions {
            lookback_ms: in_ms(self.lookback),
            subquery_step_ms: in_ms(self.subquery_step).max(1),
            delayed_name_removal: self.delayed_name_removal,
            start_timestamps: self.start_timestamps,
            type_and_unit_labels: self.type_and_unit_labels,
            samples_by_step: self.samples_by_step,
            resolution: self.resolution,
            samples_max: self.samples_max,
            timeout: self.timeout,
            cancel: self.cancel.clone(),
            memory: self.memory.clone(),
        }
    }

    fn parse(&self) -> ParseOptions {
        ParseOptions {
            experimental_functions: self.experimental,
            duration_expressions: self.experimental,
            extended_range_selectors: self.experimental,
            binop_fill: self.experimental,
        }
    }
}

fn in_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The answer to a query.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct QueryAnswer {
    /// What the expression is.
    pub value: QueryValue,
    /// What may be wrong with it, each with its place in the query.
    pub warnings: Vec<String>,
    /// What may be wrong with the query, each with its place in it.
    pub infos: Vec<String>,
    /// How many samples were read.
    pub samples_read: u64,
    /// How many samples the steps were computed from: one that is in the windows of two steps counts twice, and a histogram as
    /// many as floats take its space.
    pub samples_counted: u64,
    /// The same of each step, at these times, if it was asked for.
    pub samples_by_step: Vec<(i64, u64)>,
    /// The most samples that were in memory at once.
    pub samples_peak: usize,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The text is no query.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// A duration of the query is none, at these times.
    #[error(transparent)]
    Times(#[from] QueryFault),
    /// The query cannot be asked over a range, or the range is none.
    #[error("{0}")]
    Range(String),
    /// The evaluation failed.
    #[error(transparent)]
    Eval(#[from] EvalError),
}

/// Parses a query, checks the types of its parts and does no more. What Prometheus calls experimental is allowed.
pub fn check_query(text: &str) -> Result<(), ParseError> {
    parse(text, ParseOptions::default()).map(drop)
}

/// Answers a query at one moment.
pub fn query(
    source: &dyn Source,
    text: &str,
    time_ms: i64,
    options: &QueryOptions,
) -> Result<QueryAnswer, QueryError> {
    let steps = Steps {
        start_ms: time_ms,
        step_ms: 1,
        count: 1,
    };
    let times = QueryTimes {
        start_ms: time_ms,
        end_ms: time_ms,
        step_ms: 0,
    };
    answer(source, text, (steps, times), false, options)
}

/// Answers a query at each step from `start_ms` to `end_ms`, both included.
pub fn query_range(
    source: &dyn Source,
    text: &str,
    (start_ms, end_ms): (i64, i64),
    step_ms: i64,
    options: &QueryOptions,
) -> Result<QueryAnswer, QueryError> {
    if step_ms <= 0 {
        return Err(QueryError::Range(
            "the step of a range query must be longer than zero".to_owned(),
        ));
    }
    let length_ms = end_ms.checked_sub(start_ms).filter(|length_ms| *length_ms >= 0);
    let Some(length_ms) = length_ms else {
        return Err(QueryError::Range(
            "the end of a range query is before its start".to_owned(),
        ));
    };
    let count = usize::try_from(length_ms / step_ms)
        .unwrap_or(usize::MAX)
        .saturating_add(1);
    if count > options.samples_max {
        return Err(EvalError::TooManySamples.into());
    }
    let steps = Steps {
        start_ms,
        step_ms,
        count,
    };
    let times = QueryTimes {
        start_ms,
        end_ms,
        step_ms,
    };
    answer(source, text, (steps, times), true, options)
}

fn answer(
    source: &dyn Source,
    text: &str,
    (steps, times): (Steps, QueryTimes),
    is_range: bool,
    options: &QueryOptions,
) -> Result<QueryAnswer, QueryError> {
    let mut expr = parse(text, options.parse())?;
    let value_type = expr.value_type();
    if is_range && !matches!(value_type, ValueType::Scalar | ValueType::Vector) {
        return Err(QueryError::Range(format!(
            "invalid expression type \"{}\" for range query, must be Scalar or instant Vector",
            value_type.documented()
        )));
    }
    preprocess(&mut expr, &times)?;
    let outcome = evaluate(source, &options.eval(), &expr, steps, is_range);
    let shown = outcome.annotations.texts(text, MAX_SHOWN);
    Ok(QueryAnswer {
        value: outcome.value?,
        warnings: shown.warnings,
        infos: shown.infos,
        samples_read: outcome.samples_read,
        samples_counted: outcome.samples_counted,
        samples_by_step: steps.timestamps().zip(outcome.samples_by_step).collect(),
        samples_peak: outcome.samples_peak,
    })
}
