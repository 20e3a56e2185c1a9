//! From tokens to a syntax tree: a hand-written parser that climbs by precedence.
//!
//! A syntax error is told in the words of the innermost construct that has words for it, as upstream's generated parser
//! does by popping its stack. Only the first error counts. Types are checked afterwards, when the syntax is right.

mod aggregate;
mod binary;
mod duration;
mod expr;
mod modifier;
mod selector;
mod stream;

use super::ParseOptions;
use super::ast::{Expr, Span};
use super::check::check;
use super::error::ParseError;
use super::lex::{Kind, lex};
use super::limits::MAX_QUERY_BYTES;
use crate::model::matcher::Matcher;
use stream::{Parser, Syntax};

/// Parses a query and checks the types of its parts.
pub(crate) fn parse(text: &str, options: ParseOptions) -> Result<Expr, ParseError> {
    let mut expr = run(text, options, |parser| {
        if parser.kind() == Kind::End {
            return parser.fail(Span::default(), "no expression found in input");
        }
        parser.expression(0)
    })?;
    check(&mut expr).map_err(|fault| ParseError::new(text, fault.span, fault.message))?;
    Ok(expr)
}

/// Parses a selector of series, as in `match[]`: `metric{label="value"}`.
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, ParseError> {
    run(text, ParseOptions::default(), |parser| {
        parser.vector_selector().map(|selector| selector.matchers)
    })
}

/// Parses a metric with its labels, as in `metric{label="value"}`. The name is the label `__name__`, in its place.
pub(crate) fn parse_metric(text: &str) -> Result<Vec<(String, String)>, ParseError> {
    run(text, ParseOptions::default(), |parser| parser.metric())
}

fn run<T>(
    text: &str,
    options: ParseOptions,
    parse: impl FnOnce(&mut Parser<'_>) -> Syntax<T>,
) -> Result<T, ParseError> {
    if text.len() > MAX_QUERY_BYTES {
        let message = format!("the query is longer than {MAX_QUERY_BYTES} bytes");
        return Err(ParseError::new(text, Span::default(), message));
    }
    let lexed = lex(text);
    let mut parser = Parser::new(text, &lexed, options);
    let parsed = parse(&mut parser).and_then(|parsed| {
        parser.expect_end()?;
        Ok(parsed)
    });
    parsed.map_err(|fault| ParseError::new(text, fault.span, fault.message))
}

#[cfg(test)]
mod faults;
#[cfg(test)]
mod tests;
