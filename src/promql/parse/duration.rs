//! Durations in brackets and behind `offset`: literals, or expressions that are computed later.

use super::stream::{Parser, Syntax};
use crate::promql::ast::{DurationExpr, DurationKind, NumberLiteral, Span};
use crate::promql::durations::seconds_to_ms;
use crate::promql::lex::{Kind, Reserved, Token};
use crate::promql::operators::{BinaryOp, DurationOp, UnaryOp};

/// A duration: known, or to be computed.
#[derive(Debug)]
pub(super) enum Duration {
    Known(NumberLiteral),
    Computed(DurationExpr),
}

impl Duration {
    /// Milliseconds, and what computes them if they are not known.
    pub(super) fn into_parts(self) -> (i64, Option<Box<DurationExpr>>) {
        match self {
            Self::Known(number) => (seconds_to_ms(number.value), None),
            Self::Computed(expr) => (0, Some(Box::new(expr))),
        }
    }

    fn span(&self) -> Span {
        match self {
            Self::Known(number) => number.span,
            Self::Computed(expr) => expr.span,
        }
    }

    fn is_zero(&self) -> bool {
        matches!(self, Self::Known(number) if number.value == 0.0)
    }

    fn into_expr(self) -> DurationExpr {
        match self {
            Self::Known(number) => DurationExpr {
                kind: DurationKind::Number(number),
                wrapped: false,
                span: number.span,
            },
            Self::Computed(expr) => expr,
        }
    }
}

impl Parser<'_> {
    /// A duration in brackets.
    pub(super) fn positive_duration(&mut self) -> Syntax<Duration> {
        let duration = self.duration(0)?;
        match duration {
            Duration::Known(number) if number.value <= 0.0 => {
                self.fail(number.span, "duration must be greater than 0")
            }
            duration => Ok(duration),
        }
    }

    /// The duration behind `offset`. It ends with a literal: `offset 1m + 1` adds to the series.
    pub(super) fn offset_duration(&mut self) -> Syntax<Duration> {
        match self.sign() {
            Some((op, sign)) if self.kind().begins_duration() && self.sign_is_single() => {
                let is_wrapped = self.kind() == Kind::LeftParen;
                let operand = self.duration_primary(false)?;
                self.signed_duration(op, sign, operand, is_wrapped)
            }
            None if self.kind().begins_duration() => self.duration_primary(true),
            _ => self.unexpected(),
        }
    }

    fn sign_is_single(&self) -> bool {
        !matches!(self.kind(), Kind::Operator(_))
    }

    /// A duration whose operators bind at least as tight as `precedence`.
    fn duration(&mut self, precedence: u8) -> Syntax<Duration> {
        self.nested(|parser| parser.climb_duration(precedence))
    }

    fn climb_duration(&mut self, precedence: u8) -> Syntax<Duration> {
        let mut lhs = match self.sign() {
            Some((op, sign)) => {
                let operand = self.duration(BinaryOp::Mul.precedence() + 1)?;
                self.signed_duration(op, sign, operand, false)?
            }
            None => self.duration_primary(true)?,
        };
        let mut operators = 0;
        while let Some((op, binary)) = duration_operator(self.kind()) {
            if binary.precedence() < precedence {
                break;
            }
            // What is left of an operator nests too, and is walked by recursion.
            operators += 1;
            if operators > crate::promql::limits::MAX_DEPTH {
                return self.fail(self.token().span, "the duration has too many operators");
            }
            let token = self.take();
            let tighter = u8::from(op != DurationOp::Pow);
            let rhs = self.duration(binary.precedence() + tighter)?;
            self.allow_computed(lhs.span())?;
            match op {
                DurationOp::Div if rhs.is_zero() => return self.fail(token.span, "division by zero"),
                DurationOp::Mod if rhs.is_zero() => return self.fail(token.span, "modulo by zero"),
                _ => {}
            }
            let span = lhs.span().to(rhs.span());
            lhs = computed(op, lhs, rhs, span);
        }
        Ok(lhs)
    }

    fn allow_computed(&self, span: Span) -> Syntax<()> {
        if self.options.duration_expressions {
            return Ok(());
        }
        self.fail(span, "experimental duration expression is not enabled")
    }

    fn signed_duration(
        &self,
        op: UnaryOp,
        sign: Token,
        operand: Duration,
        wrapped: bool,
    ) -> Syntax<Duration> {
        let span = sign.span.to(operand.span());
        match operand {
            Duration::Known(number) => {
                let value = op.apply(number.value);
                self.in_range(value, sign.span)?;
                Ok(Duration::Known(NumberLiteral {
                    value,
                    span,
                    ..number
                }))
            }
            Duration::Computed(mut expr) => {
                expr.wrapped |= wrapped;
                Ok(Duration::Computed(match op {
                    UnaryOp::Plus => expr,
                    UnaryOp::Minus => DurationExpr {
                        kind: DurationKind::Unary(op, Box::new(expr)),
                        wrapped: false,
                        span,
                    },
                }))
            }
        }
    }

    fn in_range(&self, seconds: f64, span: Span) -> Syntax<()> {
        const SECONDS_MAX: f64 = 9_223_372_036.854_776;
        if (-SECONDS_MAX..=SECONDS_MAX).contains(&seconds) || seconds.is_nan() {
            return Ok(());
        }
        self.fail(span, "duration out of range")
    }

    /// A duration without operators outside of parentheses.
    fn duration_primary(&mut self, gates_parens: bool) -> Syntax<Duration> {
        match self.kind() {
            Kind::Number | Kind::Duration => {
                let number = self.number()?;
                self.in_range(number.value, number.span)?;
                Ok(Duration::Known(number))
            }
            Kind::Reserved(Reserved::Step) => self.duration_of_query(DurationKind::Step),
            Kind::Reserved(Reserved::Range) => self.duration_of_query(DurationKind::Range),
            Kind::Reserved(Reserved::MinOf) => self.choice(DurationOp::MinOf),
            Kind::Reserved(Reserved::MaxOf) => self.choice(DurationOp::MaxOf),
            Kind::LeftParen => self.duration_in_parens(gates_parens),
            _ => self.unexpected(),
        }
    }

    fn duration_in_parens(&mut self, gated: bool) -> Syntax<Duration> {
        self.take();
        let inner = self.duration(0)?;
        self.expect(Kind::RightParen)?;
        if gated {
            self.allow_computed(inner.span())?;
        }
        Ok(match inner {
            Duration::Computed(expr) => Duration::Computed(DurationExpr {
                wrapped: true,
                ..expr
            }),
            known => known,
        })
    }

    fn duration_of_query(&mut self, kind: DurationKind) -> Syntax<Duration> {
        let name = self.take();
        self.expect(Kind::LeftParen)?;
        let right = self.expect(Kind::RightParen)?;
        let span = name.span.to(right.span);
        self.allow_computed(span)?;
        Ok(Duration::Computed(DurationExpr {
            kind,
            wrapped: false,
            span,
        }))
    }

    /// `min_of(a, b)`, `max_of(a, b)`
    fn choice(&mut self, op: DurationOp) -> Syntax<Duration> {
        let name = self.take();
        self.expect(Kind::LeftParen)?;
        let lhs = self.duration(0)?;
        self.expect(Kind::Comma)?;
        let rhs = self.duration(0)?;
        let right = self.expect(Kind::RightParen)?;
        let span = name.span.to(right.span);
        self.allow_computed(span)?;
        Ok(computed(op, lhs, rhs, span))
    }
}

fn computed(op: DurationOp, lhs: Duration, rhs: Duration, span: Span) -> Duration {
    Duration::Computed(DurationExpr {
        kind: DurationKind::Binary(op, Box::new(lhs.into_expr()), Box::new(rhs.into_expr())),
        wrapped: false,
        span,
    })
}

fn duration_operator(kind: Kind) -> Option<(DurationOp, BinaryOp)> {
    let Kind::Operator(binary) = kind else {
        return None;
    };
    let op = match binary {
        BinaryOp::Add => DurationOp::Add,
        BinaryOp::Sub => DurationOp::Sub,
        BinaryOp::Mul => DurationOp::Mul,
        BinaryOp::Div => DurationOp::Div,
        BinaryOp::Mod => DurationOp::Mod,
        BinaryOp::Pow => DurationOp::Pow,
        _ => return None,
    };
    Some((op, binary))
}
