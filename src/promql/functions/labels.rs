//! `label_replace` and `label_join`: new labels from old ones.

use super::{Call, Implementation};
use crate::index::rewrite::Rewriter;
use crate::model::labels::METRIC_NAME;
use crate::promql::eval::error::EvalError;
use crate::promql::eval::labels::with;
use crate::promql::value::Row;

pub(super) fn implementation(name: &str) -> Option<Implementation> {
    Some(match name {
        "label_join" => Implementation::Row(label_join),
        "label_replace" => Implementation::Row(label_replace),
        _ => return None,
    })
}

fn set(row: &mut Row, label: &str, value: &str) {
    row.labels = with(&row.labels, &[(label, value)]);
    if label == METRIC_NAME {
        row.drop_name = false;
    }
}

fn label_replace(call: &Call<'_>, row: &mut Row) -> Result<(), EvalError> {
    let [replacement, source, pattern] = [2, 3, 4].map(|argument| call.string(argument));
    let rewriter = call.rewriter.get_or_init(|| {
        Rewriter::compile(pattern)
            .map_err(|_| format!("invalid regular expression in label_replace(): {pattern}"))
    });
    let rewriter = rewriter.as_ref().map_err(EvalError::execution)?;
    let target = name(call, 1, "invalid destination label name in label_replace()")?;
    if let Some(captured) = rewriter.captures(row.labels.get(source).unwrap_or("")) {
        let value = captured.expand(replacement);
        set(row, target, &value);
    }
    Ok(())
}

fn label_join(call: &Call<'_>, row: &mut Row) -> Result<(), EvalError> {
    let separator = call.string(2);
    let mut value = String::new();
    for argument in 3..call.arguments.len() {
        let source = name(call, argument, "invalid source label name in label_join()")?;
        if argument > 3 {
            value.push_str(separator);
        }
        value.push_str(row.labels.get(source).unwrap_or(""));
    }
    let target = name(call, 1, "invalid destination label name in label_join()")?;
    set(row, target, &value);
    Ok(())
}

fn name<'c>(call: &'c Call<'_>, argument: usize, fault: &str) -> Result<&'c str, EvalError> {
    let refused = || EvalError::execution(format!("{fault}: {}", call.string(argument)));
    call.label_name(argument).ok_or_else(refused)
}
