//! A query whose selectors all read at one moment, so that it has the same answer whenever it is asked. Tests of an
//! evaluator ask it at many times.

use super::ParseOptions;
use super::ast::{At, BinaryExpr, Expr};
use super::error::ParseError;
use super::parse::parse;
use super::preprocess::depends_on_step;

/// The query with `@ timestamp` behind each selector and subquery that has none. `None` if a function in it answers by
/// the time it is asked at.
pub fn pinned(text: &str, timestamp_ms: i64) -> Result<Option<String>, ParseError> {
    let mut expr = parse(text, ParseOptions::default())?;
    Ok(pin(&mut expr, timestamp_ms).then(|| expr.to_string()))
}

/// Pins an expression; `false` if it cannot be pinned.
fn pin(expr: &mut Expr, timestamp_ms: i64) -> bool {
    let at = match expr {
        Expr::Number(_) | Expr::String(_) => return true,
        Expr::Paren(paren) => return pin(&mut paren.expr, timestamp_ms),
        Expr::Unary(unary) => return pin(&mut unary.expr, timestamp_ms),
        Expr::StepInvariant(inner) => return pin(inner, timestamp_ms),
        Expr::Binary(operation) => return pin_chain(operation, timestamp_ms),
        Expr::Aggregate(aggregate) => {
            let operands = aggregate.param.iter_mut().chain([&mut aggregate.expr]);
            let mut all = true;
            for operand in operands {
                all &= pin(operand, timestamp_ms);
            }
            return all;
        }
        Expr::Call(call) => {
            return !depends_on_step(call.function) && call.args.iter_mut().all(|arg| pin(arg, timestamp_ms));
        }
        Expr::Vector(selector) => &mut selector.at,
        Expr::Matrix(matrix) => &mut matrix.vector.at,
        // What is inside is asked at times that follow from the moment.
        Expr::Subquery(subquery) => &mut subquery.at,
    };
    if !matches!(at, Some(At::TimestampMs(_))) {
        *at = Some(At::TimestampMs(timestamp_ms));
    }
    true
}

/// Operators that are nested to the left, by a loop.
fn pin_chain(mut operation: &mut BinaryExpr, timestamp_ms: i64) -> bool {
    loop {
        if !pin(&mut operation.rhs, timestamp_ms) {
            return false;
        }
        match &mut *operation.lhs {
            Expr::Binary(left) => operation = left,
            other => return pin(other, timestamp_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_selector_is_pinned_once() {
        let cases = [
            ("a + b offset 1m", Some("a @ 5.000 + b @ 5.000 offset 1m")),
            ("rate(a[5m] @ 3)", Some("rate(a[5m] @ 3.000)")),
            (
                "topk(scalar(a), b @ end())",
                Some("topk(scalar(a @ 5.000), b @ 5.000)"),
            ),
            ("sum_over_time((a)[5m:])", Some("sum_over_time((a)[5m:] @ 5.000)")),
            ("1", Some("1")),
            ("a + time()", None),
            ("sum(hour(a))", None),
            ("start()", None),
        ];
        for (text, expected) in cases {
            assert_eq!(pinned(text, 5_000).unwrap().as_deref(), expected, "{text}");
        }
    }
}
