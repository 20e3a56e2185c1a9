//! Queries as text: in one line, as upstream's `String()` has them, and over several lines, as `format_query` does.

use super::ast::{
    AggregateExpr, At, BinaryExpr, Cardinality, DurationExpr, DurationKind, Expr, MatrixSelector,
    NumberLiteral, StringLiteral, SubqueryExpr, VectorMatching, VectorSelector,
};
use super::durations::format_duration_ms;
use super::limits::MAX_DEPTH;
use super::operators::{DurationOp, UnaryOp};
use super::quote::{quote, quote_bytes};
use crate::model::labels::METRIC_NAME;
use crate::model::matcher::{MatchOp, Matcher};
use std::fmt::{self, Display, Formatter, Write};

impl Display for Expr {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write_expr(out, self)
    }
}

fn write_expr(out: &mut dyn Write, expr: &Expr) -> fmt::Result {
    match expr {
        Expr::Number(number) => write_number(out, number),
        Expr::String(string) => out.write_str(&quoted(string)),
        Expr::Paren(paren) => {
            out.write_char('(')?;
            write_expr(out, &paren.expr)?;
            out.write_char(')')
        }
        Expr::Unary(unary) => {
            out.write_str(unary.op.as_str())?;
            write_expr(out, &unary.expr)
        }
        Expr::Binary(operation) => write_chain(out, operation),
        Expr::Aggregate(aggregate) => {
            write_aggregation(out, aggregate)?;
            out.write_char('(')?;
            if let Some(param) = &aggregate.param {
                write_expr(out, param)?;
                out.write_str(", ")?;
            }
            write_expr(out, &aggregate.expr)?;
            out.write_char(')')
        }
        Expr::Call(call) => {
            write!(out, "{}(", call.function.name)?;
            for (index, arg) in call.args.iter().enumerate() {
                out.write_str(if index == 0 { "" } else { ", " })?;
                write_expr(out, arg)?;
            }
            out.write_char(')')
        }
        Expr::Vector(selector) => {
            write_series(out, selector)?;
            write_at(out, selector.at)?;
            out.write_str(extension(selector))?;
            write_offset(out, selector.offset_ms, selector.offset_expr.as_deref())
        }
        Expr::Matrix(matrix) => write_matrix(out, matrix),
        Expr::Subquery(subquery) => {
            write_expr(out, &subquery.expr)?;
            write_subquery_suffix(out, subquery)
        }
        Expr::StepInvariant(inner) => write_expr(out, inner),
    }
}

/// Operators that are nested to the left, by a loop.
fn write_chain(out: &mut dyn Write, operation: &BinaryExpr) -> fmt::Result {
    let mut chain: Vec<&BinaryExpr> = operation.spine().collect();
    if let Some(first) = chain.last() {
        write_expr(out, &first.lhs)?;
    }
    while let Some(operation) = chain.pop() {
        out.write_char(' ')?;
        write_operator(out, operation)?;
        out.write_char(' ')?;
        write_expr(out, &operation.rhs)?;
    }
    Ok(())
}

/// An operator with its modifiers.
fn write_operator(out: &mut dyn Write, operation: &BinaryExpr) -> fmt::Result {
    out.write_str(operation.op.as_str())?;
    if operation.return_bool {
        out.write_str(" bool")?;
    }
    match &operation.matching {
        Some(matching) => write_matching(out, matching),
        None => Ok(()),
    }
}

fn write_matching(out: &mut dyn Write, matching: &VectorMatching) -> fmt::Result {
    let group = match matching.cardinality {
        Cardinality::ManyToOne => Some("left"),
        Cardinality::OneToMany => Some("right"),
        Cardinality::OneToOne | Cardinality::ManyToMany => None,
    };
    if !matching.labels.is_empty() || matching.on || group.is_some() {
        let tag = if matching.on { "on" } else { "ignoring" };
        write!(out, " {tag} (")?;
        write_labels(out, &matching.labels)?;
        out.write_char(')')?;
    }
    if let Some(side) = group {
        write!(out, " group_{side} (")?;
        write_labels(out, &matching.include)?;
        out.write_char(')')?;
    }
    match (matching.fill_left, matching.fill_right) {
        (Some(left), Some(right)) if left == right => write!(out, " fill ({})", go_general(left)),
        (left, right) => {
            for (side, value) in [("left", left), ("right", right)] {
                if let Some(value) = value {
                    write!(out, " fill_{side} ({})", go_general(value))?;
                }
            }
            Ok(())
        }
    }
}

fn write_labels(out: &mut dyn Write, labels: &[String]) -> fmt::Result {
    for (index, label) in labels.iter().enumerate() {
        out.write_str(if index == 0 { "" } else { ", " })?;
        write_name(out, label, true)?;
    }
    Ok(())
}

/// A name, in quotes if it is more than letters, digits and underscores (and colons, where these are allowed).
fn write_name(out: &mut dyn Write, name: &str, colons: bool) -> fmt::Result {
    let is_plain = name
        .starts_with(|first: char| first.is_ascii_alphabetic() || first == '_' || (colons && first == ':'))
        && name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '_' || (colons && letter == ':'));
    if is_plain {
        out.write_str(name)
    } else {
        out.write_str(&quote(name))
    }
}

fn write_aggregation(out: &mut dyn Write, aggregate: &AggregateExpr) -> fmt::Result {
    out.write_str(aggregate.op.as_str())?;
    if aggregate.without || !aggregate.grouping.is_empty() {
        out.write_str(if aggregate.without { " without (" } else { " by (" })?;
        write_labels(out, &aggregate.grouping)?;
        out.write_str(") ")?;
    }
    Ok(())
}

fn write_matrix(out: &mut dyn Write, matrix: &MatrixSelector) -> fmt::Result {
    write_series(out, &matrix.vector)?;
    out.write_char('[')?;
    write_duration(out, matrix.range_ms, matrix.range_expr.as_deref())?;
    out.write_char(']')?;
    out.write_str(extension(&matrix.vector))?;
    write_at(out, matrix.vector.at)?;
    write_offset(out, matrix.vector.offset_ms, matrix.vector.offset_expr.as_deref())
}

fn write_subquery_suffix(out: &mut dyn Write, subquery: &SubqueryExpr) -> fmt::Result {
    out.write_char('[')?;
    write_duration(out, subquery.range_ms, subquery.range_expr.as_deref())?;
    out.write_char(':')?;
    if subquery.step_ms != 0 || subquery.step_expr.is_some() {
        write_duration(out, subquery.step_ms, subquery.step_expr.as_deref())?;
    }
    out.write_char(']')?;
    write_at(out, subquery.at)?;
    write_offset(out, subquery.offset_ms, subquery.offset_expr.as_deref())
}

/// Name and conditions.
fn write_series(out: &mut dyn Write, selector: &VectorSelector) -> fmt::Result {
    out.write_str(&selector.name)?;
    let is_name = |matcher: &&Matcher| {
        matcher.name == METRIC_NAME
            && matcher.op == MatchOp::Equal
            && matcher.value == selector.name
            && !matcher.value.is_empty()
    };
    let shown = selector.matchers.iter().filter(|matcher| !is_name(matcher));
    let mut conditions: Vec<String> = shown.map(condition).collect();
    if conditions.is_empty() {
        return Ok(());
    }
    conditions.sort_unstable();
    write!(out, "{{{}}}", conditions.join(","))
}

fn condition(matcher: &Matcher) -> String {
    let op = match matcher.op {
        MatchOp::Equal => "=",
        MatchOp::NotEqual => "!=",
        MatchOp::Regex => "=~",
        MatchOp::NotRegex => "!~",
    };
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_name(&mut text, &matcher.name, false);
    text.push_str(op);
    text.push_str(&quote(&matcher.value));
    text
}

fn extension(selector: &VectorSelector) -> &'static str {
    match (selector.anchored, selector.smoothed) {
        (true, _) => " anchored",
        (false, true) => " smoothed",
        (false, false) => "",
    }
}

fn write_at(out: &mut dyn Write, at: Option<At>) -> fmt::Result {
    match at {
        None => Ok(()),
        Some(At::TimestampMs(timestamp_ms)) => write!(out, " @ {:.3}", timestamp_ms as f64 / 1e3),
        Some(At::Start) => out.write_str(" @ start()"),
        Some(At::End) => out.write_str(" @ end()"),
    }
}

fn write_offset(out: &mut dyn Write, offset_ms: i64, expr: Option<&DurationExpr>) -> fmt::Result {
    if offset_ms == 0 && expr.is_none() {
        return Ok(());
    }
    out.write_str(" offset ")?;
    write_duration(out, offset_ms, expr)
}

fn write_duration(out: &mut dyn Write, duration_ms: i64, expr: Option<&DurationExpr>) -> fmt::Result {
    match expr {
        Some(expr) => write_duration_expr(out, expr),
        None if duration_ms < 0 => write!(out, "-{}", format_duration_ms(duration_ms.saturating_neg())),
        None => out.write_str(&format_duration_ms(duration_ms)),
    }
}

fn write_duration_expr(out: &mut dyn Write, expr: &DurationExpr) -> fmt::Result {
    if expr.wrapped {
        out.write_char('(')?;
    }
    match &expr.kind {
        DurationKind::Number(number) => write_number(out, number)?,
        DurationKind::Step => out.write_str("step()")?,
        DurationKind::Range => out.write_str("range()")?,
        DurationKind::Unary(op, operand) => {
            out.write_str(if *op == UnaryOp::Minus { "-" } else { "" })?;
            write_duration_expr(out, operand)?;
        }
        DurationKind::Binary(op @ (DurationOp::MinOf | DurationOp::MaxOf), lhs, rhs) => {
            write!(out, "{}(", op.as_str())?;
            write_duration_expr(out, lhs)?;
            out.write_str(", ")?;
            write_duration_expr(out, rhs)?;
            out.write_char(')')?;
        }
        DurationKind::Binary(op, lhs, rhs) => {
            write_duration_expr(out, lhs)?;
            write!(out, " {} ", op.as_str())?;
            write_duration_expr(out, rhs)?;
        }
    }
    if expr.wrapped {
        out.write_char(')')?;
    }
    Ok(())
}

fn write_number(out: &mut dyn Write, number: &NumberLiteral) -> fmt::Result {
    if !number.is_duration {
        return out.write_str(&go_plain(number.value));
    }
    let duration_ms = (number.value.abs() * 1e9) as i64 / 1_000_000;
    let sign = if number.value < 0.0 { "-" } else { "" };
    write!(out, "{sign}{}", format_duration_ms(duration_ms))
}

fn quoted(string: &StringLiteral) -> String {
    match &string.bytes {
        Some(bytes) => quote_bytes(bytes),
        None => quote(&string.value),
    }
}

/// A number without an exponent, as Go's `strconv.FormatFloat(value, 'f', -1, 64)`.
fn go_plain(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    }
}

/// A number as Go's `%v`: with an exponent when it is small or has more than 21 digits.
fn go_general(value: f64) -> String {
    let magnitude = value.abs();
    if !value.is_finite() || value == 0.0 || (1e-4..1e21).contains(&magnitude) {
        return go_plain(value);
    }
    let text = format!("{value:e}");
    let Some((mantissa, exponent)) = text.split_once('e') else {
        return text;
    };
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// What is longer than a line is split.
const LINE_CHARS_MAX: usize = 100;

/// The query over several lines. `None` when it nests too deep for indented lines.
pub(crate) fn pretty(expr: &Expr) -> Option<String> {
    let mut printer = Pretty { text: String::new() };
    printer.expr(expr, 0).ok()?;
    Some(printer.text)
}

#[derive(Debug)]
struct Pretty {
    text: String,
}

impl Pretty {
    fn indent(&mut self, level: usize) -> fmt::Result {
        if level > MAX_DEPTH {
            return Err(fmt::Error);
        }
        for _ in 0..level {
            self.text.push_str("  ");
        }
        Ok(())
    }

    fn line(&mut self, expr: &Expr, level: usize) -> fmt::Result {
        self.indent(level)?;
        write_expr(&mut self.text, expr)
    }

    fn expr(&mut self, expr: &Expr, level: usize) -> fmt::Result {
        match expr {
            // Upstream writes a short subquery without indentation.
            Expr::Subquery(_) if fits(expr) => self.line(expr, 0),
            Expr::Subquery(subquery) => {
                self.expr(&subquery.expr, level)?;
                write_subquery_suffix(&mut self.text, subquery)
            }
            Expr::Unary(unary) => {
                self.indent(level)?;
                self.text.push_str(unary.op.as_str());
                let start = self.text.len();
                self.expr(&unary.expr, level)?;
                let operand = self.text.split_off(start);
                self.text.push_str(operand.trim());
                Ok(())
            }
            Expr::StepInvariant(inner) => self.expr(inner, level),
            Expr::Number(_) | Expr::String(_) | Expr::Vector(_) | Expr::Matrix(_) => self.line(expr, level),
            _ if fits(expr) => self.line(expr, level),
            _ => self.split(expr, level),
        }
    }

    fn split(&mut self, expr: &Expr, level: usize) -> fmt::Result {
        match expr {
            Expr::Binary(operation) => self.split_operation(operation, level),
            Expr::Aggregate(aggregate) => {
                self.indent(level)?;
                write_aggregation(&mut self.text, aggregate)?;
                let operands = aggregate.param.iter().chain([&aggregate.expr]);
                self.list(operands.map(|operand| &**operand), level)
            }
            Expr::Call(call) => {
                self.indent(level)?;
                self.text.push_str(call.function.name);
                self.list(call.args.iter(), level)
            }
            Expr::Paren(paren) => {
                self.indent(level)?;
                self.list([&*paren.expr].into_iter(), level)
            }
            other => self.line(other, level),
        }
    }

    /// Expressions in parentheses, a line for each.
    fn list<'a>(&mut self, exprs: impl Iterator<Item = &'a Expr>, level: usize) -> fmt::Result {
        self.text.push('(');
        for (index, expr) in exprs.enumerate() {
            self.text.push_str(if index == 0 { "\n" } else { ",\n" });
            self.expr(expr, level + 1)?;
        }
        self.text.push('\n');
        self.indent(level)?;
        self.text.push(')');
        Ok(())
    }

    fn split_operation(&mut self, operation: &BinaryExpr, level: usize) -> fmt::Result {
        if level > MAX_DEPTH {
            return Err(fmt::Error);
        }
        self.expr(&operation.lhs, level + 1)?;
        self.text.push('\n');
        self.indent(level)?;
        write_operator(&mut self.text, operation)?;
        self.text.push('\n');
        self.expr(&operation.rhs, level + 1)
    }
}

/// Whether an expression fits into a line. Stops writing when it does not.
fn fits(expr: &Expr) -> bool {
    struct Room(usize);
    impl Write for Room {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 = self.0.checked_sub(text.len()).ok_or(fmt::Error)?;
            Ok(())
        }
    }
    write_expr(&mut Room(LINE_CHARS_MAX), expr).is_ok()
}

#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod tests;
