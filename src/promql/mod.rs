//! PromQL as Prometheus 3.14 has it: from the text of a query to its answer. Pure and synchronous.

pub(crate) mod annotations;
pub(crate) mod ast;
mod check;
pub(crate) mod durations;
pub(crate) mod error;
pub(crate) mod eval;
pub(crate) mod functions;
mod lex;
pub(crate) mod limits;
pub(crate) mod operators;
pub(crate) mod parse;
pub(crate) mod pinned;
pub(crate) mod preprocess;
pub(crate) mod print;
pub(crate) mod query;
pub(crate) mod quote;
#[cfg(feature = "server")]
pub(crate) mod selectors;
pub(crate) mod series_desc;
pub(crate) mod signature;
pub(crate) mod source;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
pub(crate) mod testing_thinned;
pub(crate) mod value;
pub(crate) mod window;

/// Which experimental parts of the language are allowed. All of them by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ParseOptions {
    /// Functions and aggregations that Prometheus calls experimental.
    pub(crate) experimental_functions: bool,
    /// Durations that are computed: `[step() + 1m]`.
    pub(crate) duration_expressions: bool,
    /// `anchored` and `smoothed`.
    pub(crate) extended_range_selectors: bool,
    /// `fill`, `fill_left` and `fill_right`.
    pub(crate) binop_fill: bool,
}

impl Default for ParseOptions {
    fn default() -> Self {
        Self {
            experimental_functions: true,
            duration_expressions: true,
            extended_range_selectors: true,
            binop_fill: true,
        }
    }
}
