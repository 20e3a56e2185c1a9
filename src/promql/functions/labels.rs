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
    let [target, replacement, source, pattern] = [1, 2, 3, 4].map(|argument| call.string(argument));
    let rewriter = call.rewriter.get_or_init(|| {
        Rewriter::compile(pattern)
            .map_err(|_| format!("invalid regular expression in label_replace(): {pattern}"))
    });
    let rewriter = rewriter.as_ref().map_err(EvalError::execution)?;
    if target.is_empty() {
        return Err(EvalError::execution(
            "invalid destination label name in label_replace(): ",
        ));
    }
    if let Some(captured) = rewriter.captures(row.labels.get(source).unwrap_or("")) {
        let value = captured.expand(replacement);
        set(row, target, &value);
    }
    Ok(())
}

fn label_join(call: &Call<'_>, row: &mut Row) -> Result<(), EvalError> {
    let (target, separator) = (call.string(1), call.string(2));
    let mut value = String::new();
    for argument in 3..call.arguments.len() {
        let source = call.string(argument);
        if source.is_empty() {
            return Err(EvalError::execution(
                "invalid source label name in label_join(): ",
            ));
        }
        if argument > 3 {
            value.push_str(separator);
        }
        value.push_str(row.labels.get(source).unwrap_or(""));
    }
    if target.is_empty() {
        return Err(EvalError::execution(
            "invalid destination label name in label_join(): ",
        ));
    }
    set(row, target, &value);
    Ok(())
}
