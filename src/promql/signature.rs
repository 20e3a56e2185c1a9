//! The functions of PromQL as the parser knows them: names, arguments and results.

/// What an expression evaluates to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ValueType {
    /// A number at each step.
    Scalar,
    /// Series with a value at each step.
    Vector,
    /// Series with a window at each step.
    Matrix,
    /// A text.
    String,
}

impl ValueType {
    /// The short name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Vector => "vector",
            Self::Matrix => "matrix",
            Self::String => "string",
        }
    }

    /// The name that the documentation uses.
    pub(crate) fn documented(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
            Self::String => "string",
        }
    }

    /// Operators take it.
    pub(crate) fn is_operand(self) -> bool {
        matches!(self, Self::Scalar | Self::Vector)
    }
}

/// What a function does to the names of the series it answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameEffect {
    /// They stay.
    Keeps,
    /// They go.
    Drops,
    /// The answer has labels of its own, or none.
    Makes,
}

/// A function.
#[derive(Debug)]
pub(crate) struct Function {
    /// As it is written.
    pub(crate) name: &'static str,
    /// The types of the arguments. The last one is that of all further arguments.
    pub(crate) arg_types: &'static [ValueType],
    /// How many of the last arguments may be left out or, of the last type, be added; any number if negative.
    pub(crate) variadic: i32,
    /// What it answers with.
    pub(crate) return_type: ValueType,
    /// Only with [`crate::promql::ParseOptions::experimental_functions`].
    pub(crate) experimental: bool,
    /// What it does to names.
    pub(crate) names: NameEffect,
}

/// Functions are compared by name.
impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// The function of that name.
pub(crate) fn function(name: &str) -> Option<&'static Function> {
    let found = FUNCTIONS.binary_search_by(|function| function.name.cmp(name));
    found.ok().and_then(|at| FUNCTIONS.get(at))
}

const S: ValueType = ValueType::Scalar;
const V: ValueType = ValueType::Vector;
const M: ValueType = ValueType::Matrix;
const T: ValueType = ValueType::String;

use NameEffect::{Drops, Keeps, Makes};

const fn stable(
    name: &'static str,
    arg_types: &'static [ValueType],
    variadic: i32,
    return_type: ValueType,
    names: NameEffect,
) -> Function {
    Function {
        name,
        arg_types,
        variadic,
        return_type,
        experimental: false,
        names,
    }
}

const fn experimental(
    name: &'static str,
    arg_types: &'static [ValueType],
    variadic: i32,
    return_type: ValueType,
    names: NameEffect,
) -> Function {
    Function {
        experimental: true,
        ..stable(name, arg_types, variadic, return_type, names)
    }
}

/// All functions, sorted by name.
pub(crate) static FUNCTIONS: &[Function] = &[
    stable("abs", &[V], 0, V, Drops),
    stable("absent", &[V], 0, V, Makes),
    stable("absent_over_time", &[M], 0, V, Makes),
    stable("acos", &[V], 0, V, Drops),
    stable("acosh", &[V], 0, V, Drops),
    stable("asin", &[V], 0, V, Drops),
    stable("asinh", &[V], 0, V, Drops),
    stable("atan", &[V], 0, V, Drops),
    stable("atanh", &[V], 0, V, Drops),
    stable("avg_over_time", &[M], 0, V, Drops),
    stable("ceil", &[V], 0, V, Drops),
    stable("changes", &[M], 0, V, Drops),
    stable("clamp", &[V, S, S], 0, V, Drops),
    stable("clamp_max", &[V, S], 0, V, Drops),
    stable("clamp_min", &[V, S], 0, V, Drops),
    stable("cos", &[V], 0, V, Drops),
    stable("cosh", &[V], 0, V, Drops),
    stable("count_over_time", &[M], 0, V, Drops),
    stable("day_of_month", &[V], 1, V, Drops),
    stable("day_of_week", &[V], 1, V, Drops),
    stable("day_of_year", &[V], 1, V, Drops),
    stable("days_in_month", &[V], 1, V, Drops),
    stable("deg", &[V], 0, V, Drops),
    stable("delta", &[M], 0, V, Drops),
    stable("deriv", &[M], 0, V, Drops),
    experimental("double_exponential_smoothing", &[M, S, S], 0, V, Drops),
    experimental("end", &[], 0, S, Makes),
    stable("exp", &[V], 0, V, Drops),
    stable("first_over_time", &[M], 0, V, Keeps),
    stable("floor", &[V], 0, V, Drops),
    stable("histogram_avg", &[V], 0, V, Drops),
    stable("histogram_count", &[V], 0, V, Drops),
    stable("histogram_fraction", &[S, S, V], 0, V, Drops),
    stable("histogram_quantile", &[S, V], 0, V, Drops),
    experimental("histogram_quantiles", &[V, T, S, S], 9, V, Drops),
    stable("histogram_stddev", &[V], 0, V, Drops),
    stable("histogram_stdvar", &[V], 0, V, Drops),
    stable("histogram_sum", &[V], 0, V, Drops),
    stable("hour", &[V], 1, V, Drops),
    stable("idelta", &[M], 0, V, Drops),
    stable("increase", &[M], 0, V, Drops),
    experimental("info", &[V, V], 1, V, Keeps),
    stable("irate", &[M], 0, V, Drops),
    stable("label_join", &[V, T, T, T], -1, V, Keeps),
    stable("label_replace", &[V, T, T, T, T], 0, V, Keeps),
    stable("last_over_time", &[M], 0, V, Keeps),
    stable("ln", &[V], 0, V, Drops),
    stable("log10", &[V], 0, V, Drops),
    stable("log2", &[V], 0, V, Drops),
    experimental("mad_over_time", &[M], 0, V, Drops),
    experimental("max_of", &[S, S], 0, S, Makes),
    stable("max_over_time", &[M], 0, V, Drops),
    experimental("min_of", &[S, S], 0, S, Makes),
    stable("min_over_time", &[M], 0, V, Drops),
    stable("minute", &[V], 1, V, Drops),
    stable("month", &[V], 1, V, Drops),
    stable("pi", &[], 0, S, Makes),
    stable("predict_linear", &[M, S], 0, V, Drops),
    stable("present_over_time", &[M], 0, V, Drops),
    stable("quantile_over_time", &[S, M], 0, V, Drops),
    stable("rad", &[V], 0, V, Drops),
    experimental("range", &[], 0, S, Makes),
    stable("rate", &[M], 0, V, Drops),
    stable("resets", &[M], 0, V, Drops),
    stable("round", &[V, S], 1, V, Drops),
    stable("scalar", &[V], 0, S, Makes),
    stable("sgn", &[V], 0, V, Drops),
    stable("sin", &[V], 0, V, Drops),
    stable("sinh", &[V], 0, V, Drops),
    stable("sort", &[V], 0, V, Keeps),
    experimental("sort_by_label", &[V, T], -1, V, Keeps),
    experimental("sort_by_label_desc", &[V, T], -1, V, Keeps),
    stable("sort_desc", &[V], 0, V, Keeps),
    stable("sqrt", &[V], 0, V, Drops),
    experimental("start", &[], 0, S, Makes),
    experimental("start_timestamp", &[V], 0, V, Drops),
    stable("stddev_over_time", &[M], 0, V, Drops),
    stable("stdvar_over_time", &[M], 0, V, Drops),
    experimental("step", &[], 0, S, Makes),
    stable("sum_over_time", &[M], 0, V, Drops),
    stable("tan", &[V], 0, V, Drops),
    stable("tanh", &[V], 0, V, Drops),
    stable("time", &[], 0, S, Makes),
    stable("timestamp", &[V], 0, V, Drops),
    experimental("ts_of_first_over_time", &[M], 0, V, Drops),
    experimental("ts_of_last_over_time", &[M], 0, V, Drops),
    experimental("ts_of_max_over_time", &[M], 0, V, Drops),
    experimental("ts_of_min_over_time", &[M], 0, V, Drops),
    stable("vector", &[S], 0, V, Makes),
    stable("year", &[V], 1, V, Drops),
];
