//! Expressions: precedence, signs, literals, parentheses, calls.

use super::stream::{Parser, Syntax};
use crate::promql::ast::{BinaryExpr, Call, Expr, NumberLiteral, ParenExpr, StringLiteral, UnaryExpr};
use crate::promql::durations::parse_duration_ms;
use crate::promql::lex::{Keyword, Kind, Token, Unquoted, parse_number, unquote};
use crate::promql::operators::{BinaryOp, UnaryOp};
use crate::promql::quote::quote;
use crate::promql::signature;

impl Parser<'_> {
    /// An expression whose operators bind at least as tight as `precedence`.
    pub(super) fn expression(&mut self, precedence: u8) -> Syntax<Expr> {
        self.nested(|parser| parser.climb(precedence))
    }

    fn climb(&mut self, precedence: u8) -> Syntax<Expr> {
        let mut lhs = self.operand()?;
        while let Kind::Operator(op) = self.kind() {
            if op.precedence() < precedence {
                break;
            }
            let op_start = self.take().span.start;
            let modifiers = self.binary_modifiers()?;
            // Powers group to the right, all others to the left.
            let tighter = u8::from(op != BinaryOp::Pow);
            let rhs = self.expression(op.precedence() + tighter)?;
            let span = lhs.span().to(rhs.span());
            if modifiers.has_fill() && !self.options.binop_fill {
                return self.fail(span, "binop fill modifiers are experimental and not enabled");
            }
            lhs = Expr::Binary(BinaryExpr {
                op,
                lhs: Box::new(lhs),
                rhs: Box::new(rhs),
                return_bool: modifiers.return_bool,
                matching: Some(modifiers.matching),
                op_start,
                span,
            });
        }
        Ok(lhs)
    }

    fn operand(&mut self) -> Syntax<Expr> {
        match self.sign() {
            Some((op, token)) => self.signed(op, token),
            None => {
                let expr = self.primary()?;
                self.postfix(expr)
            }
        }
    }

    /// Takes a sign.
    pub(super) fn sign(&mut self) -> Option<(UnaryOp, Token)> {
        let op = match self.kind() {
            Kind::Operator(BinaryOp::Add) => UnaryOp::Plus,
            Kind::Operator(BinaryOp::Sub) => UnaryOp::Minus,
            _ => return None,
        };
        Some((op, self.take()))
    }

    /// A sign binds as tight as a product: `-1 ^ 2` is `-(1 ^ 2)`. That of a number becomes part of it.
    fn signed(&mut self, op: UnaryOp, sign: Token) -> Syntax<Expr> {
        let expr = self.expression(BinaryOp::Mul.precedence() + 1)?;
        let span = sign.span.to(expr.span());
        Ok(match expr {
            Expr::Number(number) => Expr::Number(NumberLiteral {
                value: op.apply(number.value),
                span,
                ..number
            }),
            expr => Expr::Unary(UnaryExpr {
                op,
                expr: Box::new(expr),
                span,
            }),
        })
    }

    fn primary(&mut self) -> Syntax<Expr> {
        let token = self.token();
        let is_called = self.next_kind() == Kind::LeftParen;
        match token.kind {
            Kind::LeftParen => self.parenthesized(),
            Kind::String => {
                self.take();
                Ok(Expr::String(self.string_literal(token)))
            }
            Kind::Number | Kind::Duration => self.number().map(Expr::Number),
            Kind::Identifier | Kind::Reserved(_) if is_called => self.call().map(Expr::Call),
            Kind::Aggregate(op) if is_called || self.next_is_grouping() => {
                self.aggregate(op).map(Expr::Aggregate)
            }
            _ => self.vector_selector().map(Expr::Vector),
        }
    }

    fn next_is_grouping(&self) -> bool {
        matches!(self.next_kind(), Kind::Keyword(Keyword::By | Keyword::Without))
    }

    fn parenthesized(&mut self) -> Syntax<Expr> {
        let left = self.expect(Kind::LeftParen)?;
        let expr = Box::new(self.expression(0)?);
        let right = self.expect(Kind::RightParen)?;
        Ok(Expr::Paren(ParenExpr {
            expr,
            span: left.span.to(right.span),
        }))
    }

    fn string_literal(&self, token: Token) -> StringLiteral {
        let (value, bytes) = match unquote(self.text_of(token)) {
            Unquoted::Text(text) => (text, None),
            Unquoted::Bytes(bytes) => (String::from_utf8_lossy(&bytes).into_owned(), Some(bytes)),
        };
        StringLiteral {
            value,
            bytes,
            span: token.span,
        }
    }

    /// A number, or a duration as a number of seconds.
    pub(super) fn number(&mut self) -> Syntax<NumberLiteral> {
        let token = self.take();
        let text = self.text_of(token);
        let is_duration = token.kind == Kind::Duration;
        let value = if is_duration {
            parse_duration_ms(text).map(|duration_ms| duration_ms as f64 / 1e3)
        } else {
            parse_number(text).map_err(|error| format!("error parsing number: {error}"))
        };
        match value {
            Ok(value) => Ok(NumberLiteral {
                value,
                is_duration,
                span: token.span,
            }),
            Err(message) => self.fail(token.span, message),
        }
    }

    fn call(&mut self) -> Syntax<Call> {
        let token = self.take();
        let name = self.text_of(token);
        let Some(function) = signature::function(name) else {
            // A syntax error among the arguments comes first, as upstream finds it.
            self.arguments()?;
            let message = format!("unknown function with name {}", quote(name));
            return self.fail(token.span, message);
        };
        let args = self.arguments()?;
        if function.experimental && !self.options.experimental_functions {
            let message = format!("function {} is not enabled", quote(name));
            return self.fail(token.span, message);
        }
        Ok(Call {
            function,
            args,
            span: token.span.to(self.last_span()),
        })
    }

    /// Arguments in their parentheses.
    pub(super) fn arguments(&mut self) -> Syntax<Vec<Expr>> {
        self.expect(Kind::LeftParen)?;
        let mut args = Vec::new();
        if self.accept(Kind::RightParen).is_some() {
            return Ok(args);
        }
        loop {
            args.push(self.expression(0)?);
            if self.accept(Kind::RightParen).is_some() {
                return Ok(args);
            }
            let comma = self.expect(Kind::Comma)?;
            if self.kind() == Kind::RightParen {
                return self.fail(comma.span, "trailing commas not allowed in function call args");
            }
        }
    }
}
