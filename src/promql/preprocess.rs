//! What is known of a query once its times are: computed durations, `start()` and the like as numbers, and which parts
//! have the same result at every step.

use super::ast::{At, BinaryExpr, Call, DurationExpr, Expr, NumberLiteral, SubqueryExpr, VectorSelector};
use super::durations::{QueryTimes, compute_ms};
use super::error::QueryFault;
use super::signature::Function;

/// Functions whose answer depends on the step though their arguments do not.
const STEP_FUNCTIONS: [&str; 11] = [
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "hour",
    "minute",
    "month",
    "predict_linear",
    "time",
    "timestamp",
    "year",
];

/// Resolves a parsed query for its times. Parts with one result for all steps become [`Expr::StepInvariant`], the
/// largest possible ones.
pub(crate) fn preprocess(expr: &mut Expr, times: &QueryTimes) -> Result<(), QueryFault> {
    let resolved = resolve(expr, times)?;
    resolved.wrap(expr);
    Ok(())
}

/// Whether a part has one result for all steps, and is worth the wrapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resolved {
    PerStep,
    /// A literal, or windows, which their function reads itself.
    OnceUnwrapped,
    Once,
}

impl Resolved {
    fn of(is_once: bool) -> Self {
        if is_once { Self::Once } else { Self::PerStep }
    }

    fn is_once(self) -> bool {
        self != Self::PerStep
    }

    fn wrap(self, expr: &mut Expr) {
        if self == Self::Once {
            *expr = Expr::StepInvariant(Box::new(expr.take()));
        }
    }
}

fn resolve(expr: &mut Expr, times: &QueryTimes) -> Result<Resolved, QueryFault> {
    if let Some(number) = time_of_query(expr, times) {
        *expr = Expr::Number(number);
    }
    match expr {
        Expr::Number(_) | Expr::String(_) => Ok(Resolved::OnceUnwrapped),
        Expr::Paren(paren) => resolve(&mut paren.expr, times),
        Expr::Unary(unary) => resolve(&mut unary.expr, times),
        Expr::StepInvariant(_) => Ok(Resolved::OnceUnwrapped),
        Expr::Binary(_) => resolve_chain(expr, times),
        Expr::Aggregate(aggregate) => {
            if let Some(param) = &mut aggregate.param {
                strip_parens(param);
                resolve(param, times)?;
            }
            strip_parens(&mut aggregate.expr);
            // As upstream: the parameter is that of the first step then.
            resolve(&mut aggregate.expr, times)
        }
        Expr::Call(call) => resolve_call(call, times),
        Expr::Vector(selector) => resolve_selector(selector, times).map(Resolved::of),
        Expr::Matrix(matrix) => {
            let is_once = resolve_selector(&mut matrix.vector, times)?;
            resolve_duration(&mut matrix.range_ms, matrix.range_expr.as_deref(), times, false)?;
            Ok(if is_once {
                Resolved::OnceUnwrapped
            } else {
                Resolved::PerStep
            })
        }
        Expr::Subquery(subquery) => resolve_subquery(subquery, times),
    }
}

/// `start()`, `end()`, `range()` and `step()` in seconds.
fn time_of_query(expr: &Expr, times: &QueryTimes) -> Option<NumberLiteral> {
    let Expr::Call(call) = expr else {
        return None;
    };
    let value = match call.function.name {
        "start" => times.start_ms as f64 / 1e3,
        "end" => times.end_ms as f64 / 1e3,
        "range" => times.range_seconds(),
        "step" if times.start_ms == times.end_ms => 0.0,
        "step" => times.step_ms as f64 / 1e3,
        _ => return None,
    };
    Some(NumberLiteral {
        value,
        is_duration: false,
        span: call.span,
    })
}

/// Whether a function's answer depends on the step or the times of the query, though its arguments do not.
pub(super) fn depends_on_step(function: &Function) -> bool {
    let times = ["start", "end", "range", "step"];
    STEP_FUNCTIONS.contains(&function.name) || times.contains(&function.name)
}

fn strip_parens(expr: &mut Expr) {
    while let Expr::Paren(paren) = expr {
        let inner = paren.expr.take();
        *expr = inner;
    }
}

/// Operators that are nested to the left, by a loop: the chain is taken apart and put together again.
fn resolve_chain(expr: &mut Expr, times: &QueryTimes) -> Result<Resolved, QueryFault> {
    let mut operations = Vec::new();
    let mut rest = expr.take();
    while let Expr::Binary(mut operation) = rest {
        rest = operation.lhs.take();
        operations.push(operation);
    }
    let mut resolved = resolve(&mut rest, times)?;
    while let Some(mut operation) = operations.pop() {
        *operation.lhs = rest;
        resolved = resolve_operation(&mut operation, resolved, times)?;
        rest = Expr::Binary(operation);
    }
    *expr = rest;
    Ok(resolved)
}

fn resolve_operation(
    operation: &mut BinaryExpr,
    lhs: Resolved,
    times: &QueryTimes,
) -> Result<Resolved, QueryFault> {
    let rhs = resolve(&mut operation.rhs, times)?;
    if lhs.is_once() && rhs.is_once() {
        return Ok(Resolved::Once);
    }
    lhs.wrap(&mut operation.lhs);
    rhs.wrap(&mut operation.rhs);
    Ok(Resolved::PerStep)
}

fn resolve_call(call: &mut Call, times: &QueryTimes) -> Result<Resolved, QueryFault> {
    let mut args = Vec::with_capacity(call.args.len());
    for arg in &mut call.args {
        strip_parens(arg);
        args.push(resolve(arg, times)?);
    }
    let all_once = args.iter().all(|arg| arg.is_once());
    let reads_steps = STEP_FUNCTIONS.contains(&call.function.name);
    // The timestamps of samples that are read at one moment are the same at every step.
    let are_selectors = call.args.iter().all(|arg| matches!(arg, Expr::Vector(_)));
    if all_once && (!reads_steps || (call.function.name == "timestamp" && are_selectors)) {
        return Ok(Resolved::Once);
    }
    for (arg, resolved) in call.args.iter_mut().zip(args) {
        resolved.wrap(arg);
    }
    Ok(Resolved::PerStep)
}

fn resolve_subquery(subquery: &mut SubqueryExpr, times: &QueryTimes) -> Result<Resolved, QueryFault> {
    resolve_duration(
        &mut subquery.offset_ms,
        subquery.offset_expr.as_deref(),
        times,
        true,
    )?;
    resolve_duration(&mut subquery.step_ms, subquery.step_expr.as_deref(), times, false)?;
    resolve_duration(
        &mut subquery.range_ms,
        subquery.range_expr.as_deref(),
        times,
        false,
    )?;
    if resolve(&mut subquery.expr, times)?.is_once() {
        Resolved::Once.wrap(&mut subquery.expr);
    }
    subquery.at = resolve_at(subquery.at, times);
    Ok(Resolved::of(subquery.at.is_some()))
}

/// Whether the selector reads at one moment.
fn resolve_selector(selector: &mut VectorSelector, times: &QueryTimes) -> Result<bool, QueryFault> {
    resolve_duration(
        &mut selector.offset_ms,
        selector.offset_expr.as_deref(),
        times,
        true,
    )?;
    selector.at = resolve_at(selector.at, times);
    Ok(selector.at.is_some())
}

fn resolve_at(at: Option<At>, times: &QueryTimes) -> Option<At> {
    at.map(|at| match at {
        At::Start => At::TimestampMs(times.start_ms),
        At::End => At::TimestampMs(times.end_ms),
        moment => moment,
    })
}

fn resolve_duration(
    duration_ms: &mut i64,
    expr: Option<&DurationExpr>,
    times: &QueryTimes,
    may_be_negative: bool,
) -> Result<(), QueryFault> {
    if let Some(expr) = expr {
        *duration_ms = compute_ms(expr, times, may_be_negative)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::ParseOptions;
    use crate::promql::parse::parse;

    const TIMES: QueryTimes = QueryTimes {
        start_ms: 50_000,
        end_ms: 60_000,
        step_ms: 5_000,
    };

    fn resolved(text: &str) -> Result<Expr, QueryFault> {
        let mut expr = parse(text, ParseOptions::default()).unwrap_or_else(|error| panic!("{text}: {error}"));
        preprocess(&mut expr, &TIMES)?;
        Ok(expr)
    }

    /// The tree, with `<...>` round what has one result for all steps.
    fn marked(expr: &Expr) -> String {
        match expr {
            Expr::StepInvariant(inner) => format!("<{}>", marked(inner)),
            Expr::Binary(operation) => {
                let op = operation.op.as_str();
                format!("{} {op} {}", marked(&operation.lhs), marked(&operation.rhs))
            }
            Expr::Call(call) => {
                let args: Vec<String> = call.args.iter().map(marked).collect();
                format!("{}({})", call.function.name, args.join(", "))
            }
            Expr::Aggregate(aggregate) => {
                format!("{}({})", aggregate.op.as_str(), marked(&aggregate.expr))
            }
            Expr::Paren(paren) => format!("({})", marked(&paren.expr)),
            Expr::Subquery(subquery) => format!("{}[:]", marked(&subquery.expr)),
            other => other.to_string(),
        }
    }

    #[test]
    fn parts_with_one_result_are_wrapped_as_high_as_possible() {
        let cases = [
            ("a", "a"),
            ("1", "1"),
            ("1 + 2", "<1 + 2>"),
            ("a @ 5", "<a @ 5.000>"),
            ("sum(a @ 5) + b", "<sum(a @ 5.000)> + b"),
            ("sum(a @ 5) + 2", "<sum(a @ 5.000) + 2>"),
            ("rate(a[5m] @ end())", "<rate(a[5m] @ 60.000)>"),
            ("time() + 1", "time() + 1"),
            ("hour(a @ 5)", "hour(<a @ 5.000>)"),
            ("timestamp(a @ 5)", "<timestamp(a @ 5.000)>"),
            ("timestamp(abs(a @ 5))", "timestamp(<abs(a @ 5.000)>)"),
            ("abs(((a)))", "abs(a)"),
            ("sum_over_time(vector(1)[5m:])", "sum_over_time(<vector(1)>[:])"),
            ("sum_over_time(a[5m:] @ start())", "<sum_over_time(a[:])>"),
            ("start() + step() + range() + end()", "<50 + 5 + 10 + 60>"),
            ("a + b @ 1 + c", "a + <b @ 1.000> + c"),
        ];
        for (text, expected) in cases {
            assert_eq!(marked(&resolved(text).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn durations_are_computed() {
        let cases = [
            ("a[step()]", 5_000),
            ("a[range() * 2 - 1]", 19_000),
            ("a[min_of(1h, max_of(3, step()))]", 5_000),
            ("a[2 ^ 3 ^ 1 % 5]", 3_000),
            ("a[-5m + 35m]", 1_800_000),
            ("a[1h / 7]", 514_285),
        ];
        for (text, range_ms) in cases {
            let expr = resolved(text).unwrap();
            assert!(
                matches!(&expr, Expr::Matrix(matrix) if matrix.range_ms == range_ms),
                "{text}: {expr:?}"
            );
        }
        let offset = resolved("a offset -(step() * 2)").unwrap();
        assert!(matches!(&offset, Expr::Vector(selector) if selector.offset_ms == -10_000));
    }

    #[test]
    fn durations_that_are_none_are_faults() {
        let cases = [
            ("a[step() - 5]", "2:12: duration must be greater than 0"),
            ("a[1m / (step() - 5)]", "2:18: division by zero"),
            ("a[1m % (step() - 5)]", "2:18: modulo by zero"),
            ("a[10 ^ 30]", "2:9: duration is out of range"),
        ];
        for (text, message) in cases {
            assert_eq!(resolved(text).unwrap_err().to_string(), message, "{text}");
        }
    }
}
