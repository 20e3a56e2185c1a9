//! The syntax tree of a query as Prometheus' `parse_query` writes it, for user interfaces that draw it.
//!
//! A chain of binary operators may be as long as the text: its operations are opened by a loop, from the last to the first, and closed
//! by another one. Everything else nests as deep as the parser lets it.

use super::envelope::{list, string};
use super::error::ApiError;
use super::pieces::Out;
use crate::base::go_text;
use crate::model::matcher::{MatchOp, Matcher};
use crate::promql::ast::{
    AggregateExpr, At, BinaryExpr, Call, Cardinality, Expr, SubqueryExpr, VectorMatching, VectorSelector,
};
use std::io::Write as _;

/// Writes an expression, and sends what is written as it grows.
pub(super) fn tree(out: &mut Out, expr: &Expr) -> Result<(), ApiError> {
    match expr {
        Expr::Number(number) => {
            put(out, "{\"type\":\"numberLiteral\",\"val\":");
            string(out.buffer(), &go_text::float_f(number.value));
            put(out, "}");
        }
        Expr::String(text) => {
            put(out, "{\"type\":\"stringLiteral\",\"val\":");
            string(out.buffer(), &text.value);
            put(out, "}");
        }
        Expr::Paren(paren) => {
            put(out, "{\"expr\":");
            tree(out, &paren.expr)?;
            put(out, ",\"type\":\"parenExpr\"}");
        }
        Expr::Unary(unary) => {
            put(out, "{\"expr\":");
            tree(out, &unary.expr)?;
            put(out, ",\"op\":");
            string(out.buffer(), unary.op.as_str());
            put(out, ",\"type\":\"unaryExpr\"}");
        }
        Expr::Binary(operation) => chain(out, operation)?,
        Expr::Aggregate(aggregate) => aggregation(out, aggregate)?,
        Expr::Call(call) => self::call(out, call)?,
        Expr::Vector(vector) => {
            selector(out, vector, None);
            put(out, ",\"type\":\"vectorSelector\"}");
        }
        Expr::Matrix(matrix) => {
            selector(out, &matrix.vector, Some(matrix.range_ms));
            put(out, ",\"type\":\"matrixSelector\"}");
        }
        Expr::Subquery(subquery) => self::subquery(out, subquery)?,
        Expr::StepInvariant(inner) => tree(out, inner)?,
    }
    out.flow()
}

fn chain(out: &mut Out, last: &BinaryExpr) -> Result<(), ApiError> {
    let operations: Vec<&BinaryExpr> = last.spine().collect();
    for operation in &operations {
        put(out, "{\"bool\":");
        put(out, truth(operation.return_bool));
        put(out, ",\"lhs\":");
        out.flow()?;
    }
    if let Some(first) = operations.last() {
        tree(out, &first.lhs)?;
    }
    for operation in operations.iter().rev() {
        put(out, ",\"matching\":");
        match &operation.matching {
            Some(matching) => self::matching(out.buffer(), matching),
            None => put(out, "null"),
        }
        put(out, ",\"op\":");
        string(out.buffer(), operation.op.as_str());
        put(out, ",\"rhs\":");
        tree(out, &operation.rhs)?;
        put(out, ",\"type\":\"binaryExpr\"}");
    }
    Ok(())
}

fn matching(buffer: &mut Vec<u8>, matching: &VectorMatching) {
    let card = match matching.cardinality {
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    };
    let fill = |value: Option<f64>| match value {
        Some(value) if value.is_finite() => go_text::float_json(value),
        _ => "null".to_owned(),
    };
    // A vector takes whatever is written to it.
    let _ = write!(
        buffer,
        "{{\"card\":\"{card}\",\"fillValues\":{{\"lhs\":{},\"rhs\":{}}},\"include\":",
        fill(matching.fill_left),
        fill(matching.fill_right)
    );
    names(buffer, &matching.include);
    buffer.extend_from_slice(b",\"labels\":");
    names(buffer, &matching.labels);
    let _ = write!(buffer, ",\"on\":{}}}", matching.on);
}

fn aggregation(out: &mut Out, aggregate: &AggregateExpr) -> Result<(), ApiError> {
    put(out, "{\"expr\":");
    tree(out, &aggregate.expr)?;
    put(out, ",\"grouping\":");
    names(out.buffer(), &aggregate.grouping);
    put(out, ",\"op\":");
    string(out.buffer(), aggregate.op.as_str());
    put(out, ",\"param\":");
    match &aggregate.param {
        Some(param) => tree(out, param)?,
        None => put(out, "null"),
    }
    put(out, ",\"type\":\"aggregation\",\"without\":");
    put(out, truth(aggregate.without));
    put(out, "}");
    Ok(())
}

fn call(out: &mut Out, call: &Call) -> Result<(), ApiError> {
    put(out, "{\"args\":[");
    for (place, arg) in call.args.iter().enumerate() {
        put(out, if place == 0 { "" } else { "," });
        tree(out, arg)?;
    }
    put(out, "],\"func\":{\"argTypes\":");
    let function = call.function;
    list(out.buffer(), function.arg_types, |buffer, kind| {
        string(buffer, kind.as_str());
    });
    let _ = write!(
        out.buffer(),
        ",\"name\":\"{}\",\"returnType\":\"{}\",\"variadic\":{}}},\"type\":\"call\"}}",
        function.name,
        function.return_type.as_str(),
        function.variadic
    );
    Ok(())
}

/// All fields but the type, which is the last one.
fn selector(out: &mut Out, selector: &VectorSelector, range_ms: Option<i64>) {
    let buffer = out.buffer();
    let _ = write!(buffer, "{{\"anchored\":{},\"matchers\":", selector.anchored);
    list(buffer, &selector.matchers, matcher);
    buffer.extend_from_slice(b",\"name\":");
    string(buffer, &selector.name);
    let _ = write!(buffer, ",\"offset\":{}", selector.offset_ms);
    if let Some(range_ms) = range_ms {
        let _ = write!(buffer, ",\"range\":{range_ms}");
    }
    let _ = write!(buffer, ",\"smoothed\":{}", selector.smoothed);
    start_or_end(buffer, selector.at);
    timestamp(buffer, selector.at);
}

fn subquery(out: &mut Out, subquery: &SubqueryExpr) -> Result<(), ApiError> {
    put(out, "{\"expr\":");
    tree(out, &subquery.expr)?;
    let buffer = out.buffer();
    let _ = write!(
        buffer,
        ",\"offset\":{},\"range\":{}",
        subquery.offset_ms, subquery.range_ms
    );
    start_or_end(buffer, subquery.at);
    let _ = write!(buffer, ",\"step\":{}", subquery.step_ms);
    timestamp(buffer, subquery.at);
    put(out, ",\"type\":\"subquery\"}");
    Ok(())
}

fn start_or_end(buffer: &mut Vec<u8>, at: Option<At>) {
    let shown = match at {
        Some(At::Start) => "\"start\"",
        Some(At::End) => "\"end\"",
        Some(At::TimestampMs(_)) | None => "null",
    };
    let _ = write!(buffer, ",\"startOrEnd\":{shown}");
}

fn timestamp(buffer: &mut Vec<u8>, at: Option<At>) {
    let _ = match at {
        Some(At::TimestampMs(timestamp_ms)) => write!(buffer, ",\"timestamp\":{timestamp_ms}"),
        Some(At::Start | At::End) | None => write!(buffer, ",\"timestamp\":null"),
    };
}

fn matcher(buffer: &mut Vec<u8>, matcher: &Matcher) {
    let op = match matcher.op {
        MatchOp::Equal => "=",
        MatchOp::NotEqual => "!=",
        MatchOp::Regex => "=~",
        MatchOp::NotRegex => "!~",
    };
    buffer.extend_from_slice(b"{\"name\":");
    string(buffer, &matcher.name);
    let _ = write!(buffer, ",\"type\":\"{op}\",\"value\":");
    string(buffer, &matcher.value);
    buffer.push(b'}');
}

fn names(buffer: &mut Vec<u8>, names: &[String]) {
    list(buffer, names, |buffer, name| string(buffer, name));
}

fn put(out: &mut Out, text: &str) {
    out.buffer().extend_from_slice(text.as_bytes());
}

fn truth(is_so: bool) -> &'static str {
    if is_so { "true" } else { "false" }
}
