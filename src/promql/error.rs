//! What is wrong with a query's text, with its place, in Prometheus' words.

use crate::promql::ast::Span;

/// A query that is none. Displayed as `1:3: parse error: unexpected ...`, line and column counted from one. An
/// empty text has no places; line and column are 0 then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: parse error: {message}", shown_place(*line, *column))]
pub struct ParseError {
    /// The line of the fault.
    pub line: usize,
    /// The column of the fault, in bytes.
    pub column: usize,
    /// The fault's place.
    pub span: Span,
    /// What is wrong.
    pub message: String,
}

impl ParseError {
    /// A fault at `span` of `text`.
    pub(crate) fn new(text: &str, span: Span, message: impl Into<String>) -> Self {
        let (line, column) = if text.is_empty() {
            (0, 0)
        } else {
            line_and_column(text, span.start)
        };
        Self {
            line,
            column,
            span,
            message: message.into(),
        }
    }
}

fn shown_place(line: usize, column: usize) -> String {
    if line == 0 {
        return "unknown position".to_owned();
    }
    format!("{line}:{column}")
}

/// The line and the column of byte `at`, counted from one.
pub(crate) fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..at.min(text.len())];
    let line = 1 + memchr::memchr_iter(b'\n', before).count();
    let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
    (line, 1 + before.len() - line_start)
}

/// A fault of a text that is not at hand.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) span: Span,
    pub(super) message: String,
}

/// A query whose parts are right but cannot be evaluated: a computed duration that is none. Displayed with the first and
/// last byte of its place, `3:9: division by zero`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{}: {message}", span.start, span.end)]
pub struct QueryFault {
    /// The fault's place.
    pub span: Span,
    /// What is wrong.
    pub message: &'static str,
}

impl QueryFault {
    pub(crate) fn new(span: Span, message: &'static str) -> Self {
        Self { span, message }
    }
}
