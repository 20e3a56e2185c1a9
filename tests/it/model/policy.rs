//! What becomes of a sample whose place is taken: the classes of docs/format/ordering.md, and the series of each policy.

use narthex::{Matcher, Options, Overwrite, Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    Ordinary,
    Correction,
    Maximum,
}

/// Whether the first is the larger number; a number counts as larger than a NaN or a histogram.
pub(crate) fn larger(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Float(one), Value::Float(other)) => one > other || other.is_nan() && !one.is_nan(),
        (Value::Float(one), Value::Histogram(_)) => !one.is_nan(),
        (Value::Histogram(_), _) => false,
    }
}

/// The policy of series `number`, as [`with_rules`] says it to the database.
pub(super) fn policy_of(number: usize) -> Overwrite {
    match number % 10 {
        2 | 5 => Overwrite::Last,
        3 | 6 => Overwrite::Max,
        8 => Overwrite::First,
        _ => Overwrite::Reject,
    }
}

pub(super) fn with_rules(options: Options) -> Options {
    let ending = |digits: &str| vec![Matcher::re("number", format!("[0-9]*[{digits}]"))];
    options
        .overwrite_rule(ending("25"), Overwrite::Last)
        .overwrite_rule(ending("36"), Overwrite::Max)
        .overwrite_rule(ending("8"), Overwrite::First)
}
