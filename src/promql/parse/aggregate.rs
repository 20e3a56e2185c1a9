//! Aggregations and lists of labels.

use super::stream::{Parser, Syntax};
use crate::promql::ast::{AggregateExpr, Expr, Span};
use crate::promql::lex::{Keyword, Kind, unquote};
use crate::promql::operators::AggregateOp;
use crate::promql::quote::quote;

/// `by (...)` or `without (...)`.
#[derive(Debug, Default)]
struct Grouping {
    labels: Vec<String>,
    without: bool,
}

impl Parser<'_> {
    /// An aggregation; its grouping stands before or behind the arguments.
    pub(super) fn aggregate(&mut self, op: AggregateOp) -> Syntax<AggregateExpr> {
        let start = self.take().span;
        let (grouping, args) = self.within("aggregation", "", |parser| {
            let before = parser.grouping()?;
            let args = parser.arguments()?;
            let grouping = match before {
                Some(grouping) => grouping,
                None => parser.grouping()?.unwrap_or_default(),
            };
            Ok((grouping, args))
        })?;
        let span = start.to(self.last_span());
        let (param, expr) = self.split_arguments(op, args, span)?;
        Ok(AggregateExpr {
            op,
            expr: Box::new(expr),
            param: param.map(Box::new),
            grouping: grouping.labels,
            without: grouping.without,
            span,
        })
    }

    fn grouping(&mut self) -> Syntax<Option<Grouping>> {
        let without = match self.kind() {
            Kind::Keyword(Keyword::By) => false,
            Kind::Keyword(Keyword::Without) => true,
            _ => return Ok(None),
        };
        self.take();
        let labels = self.labels()?;
        Ok(Some(Grouping { labels, without }))
    }

    fn split_arguments(&self, op: AggregateOp, args: Vec<Expr>, span: Span) -> Syntax<(Option<Expr>, Expr)> {
        if args.is_empty() {
            return self.fail(span, "no arguments for aggregate expression provided");
        }
        if op.is_experimental() && !self.options.experimental_functions {
            let name = op.as_str();
            return self.fail(
                span,
                format!("{name}() is experimental and must be enabled with --enable-feature=promql-experimental-functions"),
            );
        }
        let (found, wanted) = (args.len(), 1 + usize::from(op.has_param()));
        let mut args = args.into_iter();
        let param = if op.has_param() { args.next() } else { None };
        match (args.next(), args.next()) {
            (Some(expr), None) => Ok((param, expr)),
            _ => self.fail(
                span,
                format!("wrong number of arguments for aggregate expression provided, expected {wanted}, got {found}"),
            ),
        }
    }

    /// A list of labels in parentheses.
    pub(super) fn labels(&mut self) -> Syntax<Vec<String>> {
        if self.accept(Kind::LeftParen).is_none() {
            return self.unexpected_in("grouping opts", "\"(\"");
        }
        let mut labels = Vec::new();
        while self.accept(Kind::RightParen).is_none() {
            labels.push(self.label()?);
            if self.accept(Kind::Comma).is_none() && self.kind() != Kind::RightParen {
                return self.unexpected_in("grouping opts", "\",\" or \")\"");
            }
        }
        Ok(labels)
    }

    fn label(&mut self) -> Syntax<String> {
        let token = self.token();
        let text = self.text_of(token);
        let label = match token.kind {
            Kind::String => unquote(text).into_text(),
            kind if kind.is_label() => text.to_owned(),
            _ => return self.unexpected_in("grouping opts", "label"),
        };
        self.take();
        if label.is_empty() {
            let message = format!("invalid label name for grouping: {}", quote(&label));
            return self.fail(token.span, message);
        }
        Ok(label)
    }
}
