//! What stands behind an expression: ranges, subqueries, `offset`, `@`, `anchored` and `smoothed`.

use super::duration::Duration;
use super::stream::{Parser, Syntax};
use crate::promql::ast::{At, DurationExpr, Expr, MatrixSelector, Span, SubqueryExpr};
use crate::promql::lex::{Keyword, Kind, Reserved};
use crate::promql::limits::MAX_DEPTH;

const DURATION_WORDS: &str = "number, duration, step(), or range()";

/// The parts of a selector or subquery that modifiers set.
struct Slots<'a> {
    offset_ms: &'a mut i64,
    offset_expr: &'a mut Option<Box<DurationExpr>>,
    at: &'a mut Option<At>,
    span: &'a mut Span,
}

/// What the modifiers of `expr` set, if it can have any.
fn slots(expr: &mut Expr) -> Option<Slots<'_>> {
    match expr {
        Expr::Vector(e) => Some(Slots {
            offset_ms: &mut e.offset_ms,
            offset_expr: &mut e.offset_expr,
            at: &mut e.at,
            span: &mut e.span,
        }),
        Expr::Matrix(e) => Some(Slots {
            offset_ms: &mut e.vector.offset_ms,
            offset_expr: &mut e.vector.offset_expr,
            at: &mut e.vector.at,
            span: &mut e.span,
        }),
        Expr::Subquery(e) => Some(Slots {
            offset_ms: &mut e.offset_ms,
            offset_expr: &mut e.offset_expr,
            at: &mut e.at,
            span: &mut e.span,
        }),
        _ => None,
    }
}

impl Parser<'_> {
    /// Takes all modifiers behind `expr`.
    pub(super) fn postfix(&mut self, mut expr: Expr) -> Syntax<Expr> {
        let mut subqueries = 0;
        loop {
            match self.kind() {
                Kind::LeftBracket => {
                    subqueries += 1;
                    if subqueries > MAX_DEPTH {
                        let message = format!("the expression nests more than {MAX_DEPTH} levels deep");
                        return self.fail(self.token().span, message);
                    }
                    expr = self.bracket(expr)?;
                }
                Kind::Keyword(Keyword::Offset) => self.offset(&mut expr)?,
                Kind::At => self.at_modifier(&mut expr)?,
                Kind::Keyword(keyword @ (Keyword::Anchored | Keyword::Smoothed)) => {
                    self.take();
                    self.set_extended(&mut expr, keyword == Keyword::Anchored)?;
                }
                _ => return Ok(expr),
            }
        }
    }

    /// `[range]` or `[range:step]`.
    fn bracket(&mut self, expr: Expr) -> Syntax<Expr> {
        let left = self.take().span;
        let range = self.within("subquery or range selector", DURATION_WORDS, |parser| {
            parser.positive_duration()
        })?;
        if self.accept(Kind::Colon).is_some() {
            return self.subquery(expr, range);
        }
        let Some(right) = self.accept(Kind::RightBracket) else {
            return self.unexpected_in("subquery or range", "\":\" or \"]\"");
        };
        let Expr::Vector(vector) = expr else {
            return self.fail(left.to(right.span), "ranges only allowed for vector selectors");
        };
        let refused = if vector.offset_ms != 0 {
            Some("no offset modifiers allowed before range")
        } else if matches!(vector.at, Some(At::TimestampMs(_))) {
            Some("no @ modifiers allowed before range")
        } else {
            None
        };
        if let Some(message) = refused {
            return self.fail(left.to(right.span), message);
        }
        let span = vector.span.to(right.span);
        let (range_ms, range_expr) = range.into_parts();
        Ok(Expr::Matrix(MatrixSelector {
            vector,
            range_ms,
            range_expr,
            span,
        }))
    }

    fn subquery(&mut self, expr: Expr, range: Duration) -> Syntax<Expr> {
        let (range_ms, range_expr) = range.into_parts();
        let mut step = (0, None);
        if self.kind() != Kind::RightBracket {
            let words = "number, duration, step(), range(), or \"]\"";
            let found = self.within("subquery selector", words, |parser| parser.positive_duration())?;
            step = found.into_parts();
            if self.kind() != Kind::RightBracket {
                return self.unexpected_in("subquery selector", "\"]\"");
            }
        }
        let right = self.take();
        let (step_ms, step_expr) = step;
        Ok(Expr::Subquery(SubqueryExpr {
            span: expr.span().to(right.span),
            expr: Box::new(expr),
            range_ms,
            range_expr,
            step_ms,
            step_expr,
            offset_ms: 0,
            offset_expr: None,
            at: None,
        }))
    }

    fn offset(&mut self, expr: &mut Expr) -> Syntax<()> {
        self.take();
        let offset = self.within("offset", DURATION_WORDS, |parser| parser.offset_duration())?;
        let end = self.last_span();
        let whole = expr.span();
        let Some(slots) = slots(expr) else {
            return self.fail(
                whole,
                "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
            );
        };
        if *slots.offset_ms != 0 || slots.offset_expr.is_some() {
            return self.fail(whole, "offset may not be set multiple times");
        }
        (*slots.offset_ms, *slots.offset_expr) = offset.into_parts();
        slots.span.end = end.end;
        Ok(())
    }

    fn at_modifier(&mut self, expr: &mut Expr) -> Syntax<()> {
        self.take();
        let moment = self.within("@", "timestamp", |parser| parser.at_moment())?;
        let end = self.last_span();
        let whole = expr.span();
        let at = match moment {
            Moment::Seconds(seconds) => match timestamp_ms(seconds) {
                Some(timestamp_ms) => At::TimestampMs(timestamp_ms),
                None => {
                    let seconds = go_fixed(seconds);
                    return self.fail(
                        whole,
                        format!("timestamp out of bounds for @ modifier: {seconds}"),
                    );
                }
            },
            Moment::Named(at) => at,
        };
        let Some(slots) = slots(expr) else {
            return self.fail(
                whole,
                "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery",
            );
        };
        if slots.at.is_some() {
            return self.fail(whole, "@ <timestamp> may not be set multiple times");
        }
        *slots.at = Some(at);
        slots.span.end = end.end;
        Ok(())
    }

    fn at_moment(&mut self) -> Syntax<Moment> {
        let named = match self.kind() {
            Kind::Reserved(Reserved::Start) => At::Start,
            Kind::Reserved(Reserved::End) => At::End,
            _ => return self.signed_number().map(Moment::Seconds),
        };
        self.take();
        self.expect(Kind::LeftParen)?;
        self.expect(Kind::RightParen)?;
        Ok(Moment::Named(named))
    }

    fn set_extended(&self, expr: &mut Expr, anchored: bool) -> Syntax<()> {
        let name = if anchored { "anchored" } else { "smoothed" };
        let whole = expr.span();
        if !self.options.extended_range_selectors {
            return self.fail(whole, format!("{name} modifier is experimental and not enabled"));
        }
        let selector = match expr {
            Expr::Vector(selector) => selector,
            Expr::Matrix(selector) => &mut selector.vector,
            Expr::Subquery(_) => {
                return self.fail(whole, format!("{name} modifier is not supported for subqueries"));
            }
            _ => return self.fail(whole, format!("{name} modifier not implemented")),
        };
        selector.anchored |= anchored;
        selector.smoothed |= !anchored;
        if selector.anchored && selector.smoothed {
            return self.fail(whole, "anchored and smoothed modifiers cannot be used together");
        }
        Ok(())
    }
}

/// What stands behind `@`.
enum Moment {
    Seconds(f64),
    Named(At),
}

/// Seconds as milliseconds, rounded half away from zero.
fn timestamp_ms(seconds: f64) -> Option<i64> {
    let limit = i64::MAX as f64;
    let in_bounds = seconds.is_finite() && seconds < limit && seconds > -limit;
    in_bounds.then(|| (seconds * 1000.0).round() as i64)
}

/// A number as Go's `%f` has it.
fn go_fixed(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => format!("{value:.6}"),
    }
}
