//! The types of operands and arguments, and what the syntax alone does not forbid.
//!
//! The check also completes the tree: how set operators match, that numbers have no matching, that the second argument
//! of `info` may select everything.

use super::ast::{AggregateExpr, BinaryExpr, Call, Cardinality, Expr, Span, VectorMatching, VectorSelector};
use super::error::Fault;
use super::operators::AggregateOp;
use super::quote::quote;
use super::signature::ValueType;
use crate::index::LabelMatcher;
use crate::model::labels::METRIC_NAME;

type Checked<T> = Result<T, Fault>;

fn fail<T>(span: Span, message: impl Into<String>) -> Checked<T> {
    Err(Fault {
        span,
        message: message.into(),
    })
}

/// Checks an expression and says what it evaluates to.
pub(super) fn check(expr: &mut Expr) -> Checked<ValueType> {
    match expr {
        Expr::Number(_) | Expr::String(_) => {}
        Expr::Paren(paren) => return check(&mut paren.expr),
        Expr::StepInvariant(inner) => return check(inner),
        Expr::Unary(unary) => {
            let found = check(&mut unary.expr)?;
            if !found.is_operand() {
                let found = quote(found.documented());
                return fail(
                    unary.span,
                    format!(
                        "unary expression only allowed on expressions of type scalar or instant vector, got {found}"
                    ),
                );
            }
            return Ok(found);
        }
        Expr::Binary(operation) => return check_chain(operation),
        Expr::Aggregate(aggregate) => check_aggregate(aggregate)?,
        Expr::Call(call) => check_call(call)?,
        Expr::Vector(selector) => check_selector(selector)?,
        Expr::Matrix(matrix) => check_selector(&matrix.vector)?,
        Expr::Subquery(subquery) => {
            let found = check(&mut subquery.expr)?;
            if found != ValueType::Vector {
                let found = found.as_str();
                return fail(
                    subquery.span,
                    format!("subquery is only allowed on instant vector, got {found} instead"),
                );
            }
        }
    }
    Ok(expr.value_type())
}

/// Operators that are nested to the left, by two loops inwards: for the types of the right operands, and again when those
/// of the left ones are known. Of all faults the innermost counts.
fn check_chain(outermost: &mut BinaryExpr) -> Checked<ValueType> {
    let mut rights = Vec::new();
    let mut fault: Option<(usize, Fault)> = None;
    let mut operation = &mut *outermost;
    let innermost = loop {
        let right = check(&mut operation.rhs).unwrap_or_else(|found| {
            fault = Some((rights.len(), found));
            ValueType::Vector
        });
        rights.push(right);
        match &mut *operation.lhs {
            Expr::Binary(inner) => operation = inner,
            innermost => break check(innermost)?,
        }
    };
    let mut found = innermost;
    let mut lefts = Vec::with_capacity(rights.len());
    for right in rights.iter().rev() {
        lefts.push(found);
        found = combined(found, *right);
    }
    let mut operation = outermost;
    for (depth, (left, right)) in lefts.into_iter().rev().zip(rights).enumerate() {
        let is_inside = |fault: &(usize, Fault)| fault.0 >= depth;
        if let Err(found) = check_operation(operation, left, right)
            && !fault.as_ref().is_some_and(is_inside)
        {
            fault = Some((depth, found));
        }
        match &mut *operation.lhs {
            Expr::Binary(inner) => operation = inner,
            _ => break,
        }
    }
    fault.map_or(Ok(found), |(_, fault)| Err(fault))
}

/// What an operation on these evaluates to.
fn combined(lhs: ValueType, rhs: ValueType) -> ValueType {
    if lhs == ValueType::Scalar && rhs == ValueType::Scalar {
        ValueType::Scalar
    } else {
        ValueType::Vector
    }
}

fn check_operation(operation: &mut BinaryExpr, lhs: ValueType, rhs: ValueType) -> Checked<()> {
    let op = operation.op;
    let op_span = operator_span(operation);
    let both_scalars = combined(lhs, rhs) == ValueType::Scalar;
    if operation.return_bool && !op.is_comparison() {
        return fail(op_span, "bool modifier can only be used on comparison operators");
    }
    if op.is_comparison() && !operation.return_bool && both_scalars {
        return fail(op_span, "comparisons between scalars must use BOOL modifier");
    }
    if let Some(matching) = &mut operation.matching {
        if op.is_set() && matching.cardinality == Cardinality::OneToOne {
            matching.cardinality = Cardinality::ManyToMany;
        }
        check_labels(matching, op_span)?;
    }
    for (side, found) in [(&operation.lhs, lhs), (&operation.rhs, rhs)] {
        if !found.is_operand() {
            return fail(
                side.span(),
                "binary expression must contain only scalar and instant vector types",
            );
        }
    }
    let both_vectors = lhs == ValueType::Vector && rhs == ValueType::Vector;
    check_matching(operation, both_vectors)?;
    if op.is_set() && !both_vectors {
        let op = quote(op.as_str());
        return fail(
            operation.span,
            format!("set operator {op} not allowed in binary scalar expression"),
        );
    }
    Ok(())
}

/// Where the operator stands; only the start is ever shown.
fn operator_span(operation: &BinaryExpr) -> Span {
    Span {
        start: operation.op_start,
        end: operation.op_start + operation.op.as_str().len(),
    }
}

fn check_labels(matching: &VectorMatching, op_span: Span) -> Checked<()> {
    let twice = matching
        .labels
        .iter()
        .find(|label| matching.on && matching.include.contains(label));
    match twice {
        None => Ok(()),
        Some(label) => {
            let label = quote(label);
            fail(
                op_span,
                format!("label {label} must not occur in ON and GROUP clause at once"),
            )
        }
    }
}

fn check_matching(operation: &mut BinaryExpr, both_vectors: bool) -> Checked<()> {
    let Some(matching) = &operation.matching else {
        return Ok(());
    };
    let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
    let refused = if !both_vectors && !matching.labels.is_empty() {
        "vector matching only allowed between instant vectors".to_owned()
    } else if !both_vectors && fills {
        "filling in missing series only allowed between instant vectors".to_owned()
    } else if both_vectors && operation.op.is_set() {
        if matching.cardinality != Cardinality::ManyToMany {
            format!(
                "no grouping allowed for {} operation",
                quote(operation.op.as_str())
            )
        } else if fills {
            "filling in missing series not allowed for set operators".to_owned()
        } else {
            return Ok(());
        }
    } else {
        if !both_vectors {
            operation.matching = None;
        }
        return Ok(());
    };
    fail(operation.span, refused)
}

fn expect_type(expr: &mut Expr, wanted: ValueType, place: &str) -> Checked<()> {
    let found = check(expr)?;
    if found == wanted {
        return Ok(());
    }
    let (wanted, found) = (wanted.documented(), found.documented());
    fail(
        expr.span(),
        format!("expected type {wanted} in {place}, got {found}"),
    )
}

fn check_aggregate(aggregate: &mut AggregateExpr) -> Checked<()> {
    expect_type(&mut aggregate.expr, ValueType::Vector, "aggregation expression")?;
    let wanted = match aggregate.op {
        AggregateOp::CountValues => ValueType::String,
        _ => ValueType::Scalar,
    };
    match &mut aggregate.param {
        Some(param) => expect_type(param, wanted, "aggregation parameter"),
        None => Ok(()),
    }
}

fn check_call(call: &mut Call) -> Checked<()> {
    check_argument_count(call)?;
    let function = call.function;
    if function.name == "info" {
        check_info(call)?;
    }
    let place = format!("call to function {}", quote(function.name));
    let last = function.arg_types.last();
    for (index, arg) in call.args.iter_mut().enumerate() {
        if let Some(wanted) = function.arg_types.get(index).or(last) {
            expect_type(arg, *wanted, &place)?;
        }
    }
    Ok(())
}

fn check_argument_count(call: &Call) -> Checked<()> {
    let (found, typed) = (call.args.len(), call.function.arg_types.len());
    let name = quote(call.function.name);
    let (least, most) = match call.function.variadic {
        0 if found != typed => {
            return fail(
                call.span,
                format!("expected {typed} argument(s) in call to {name}, got {found}"),
            );
        }
        0 => (typed, Some(typed)),
        more => (
            typed.saturating_sub(1),
            usize::try_from(more)
                .ok()
                .map(|more| typed.saturating_sub(1) + more),
        ),
    };
    if found < least {
        return fail(
            call.span,
            format!("expected at least {least} argument(s) in call to {name}, got {found}"),
        );
    }
    match most {
        Some(most) if found > most => fail(
            call.span,
            format!("expected at most {most} argument(s) in call to {name}, got {found}"),
        ),
        _ => Ok(()),
    }
}

/// The second argument of `info` is a selector of labels, without a name.
fn check_info(call: &mut Call) -> Checked<()> {
    let span = call.span;
    let Some(selector) = call.args.get_mut(1) else {
        return Ok(());
    };
    let found = selector.value_type();
    if found != ValueType::Vector {
        let found = found.documented();
        return fail(
            span,
            format!("expected type instant vector in call to function \"info\", got {found}"),
        );
    }
    match selector {
        Expr::Vector(selector) if selector.name.is_empty() => {
            selector.may_match_all = true;
            Ok(())
        }
        Expr::Vector(selector) => fail(
            selector.span,
            "expected label selectors only, got vector selector instead",
        ),
        other => fail(other.span(), "expected label selectors only"),
    }
}

fn check_selector(selector: &VectorSelector) -> Checked<()> {
    if selector.name.is_empty() {
        return check_selects_something(selector);
    }
    // The last condition is that of the name before the braces.
    let in_braces = selector.matchers.split_last().map(|(_, others)| others);
    let again = in_braces
        .unwrap_or_default()
        .iter()
        .find(|matcher| matcher.name == METRIC_NAME);
    match again {
        None => Ok(()),
        Some(again) => {
            let (first, second) = (quote(&selector.name), quote(&again.value));
            fail(
                selector.span,
                format!("metric name must not be set twice: {first} or {second}"),
            )
        }
    }
}

fn check_selects_something(selector: &VectorSelector) -> Checked<()> {
    let is_selective = selector
        .matchers
        .iter()
        .any(|matcher| LabelMatcher::compile(matcher).is_ok_and(|matcher| !matcher.matches_empty()));
    if is_selective || selector.may_match_all {
        return Ok(());
    }
    fail(
        selector.span,
        "vector selector must contain at least one non-empty matcher",
    )
}
