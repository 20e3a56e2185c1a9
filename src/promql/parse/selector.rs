//! Selectors of series: a name, conditions in braces, or both; and metrics with their labels.

use super::stream::{Parser, Syntax};
use crate::index::LabelMatcher;
use crate::model::labels::METRIC_NAME;
use crate::model::matcher::{MatchOp, Matcher};
use crate::promql::ast::{Span, VectorSelector};
use crate::promql::lex::{Kind, Token, unquote};
use crate::promql::operators::BinaryOp;

const MATCHING: &str = "label matching";
const LABEL_SET: &str = "label set";
const NAME_WORDS: &str = "identifier or \"}\"";
const END_WORDS: &str = "\",\" or \"}\"";

impl Parser<'_> {
    pub(super) fn vector_selector(&mut self) -> Syntax<VectorSelector> {
        let mut selector = VectorSelector {
            span: self.token().span,
            ..VectorSelector::default()
        };
        if self.kind().is_metric_name() {
            let name = self.take();
            self.text_of(name).clone_into(&mut selector.name);
        } else if self.kind() != Kind::LeftBrace {
            return self.unexpected();
        }
        if self.kind() == Kind::LeftBrace {
            selector.matchers = self.matchers()?;
        }
        selector.span = selector.span.to(self.last_span());
        if !selector.name.is_empty() {
            let name = Matcher::eq(METRIC_NAME, &*selector.name);
            selector.matchers.push(name);
        }
        Ok(selector)
    }

    /// Conditions in braces.
    fn matchers(&mut self) -> Syntax<Vec<Matcher>> {
        self.expect(Kind::LeftBrace)?;
        let mut matchers = Vec::new();
        while self.accept(Kind::RightBrace).is_none() {
            matchers.push(self.matcher()?);
            if self.accept(Kind::Comma).is_none() && self.kind() != Kind::RightBrace {
                return self.unexpected_in(MATCHING, END_WORDS);
            }
        }
        Ok(matchers)
    }

    fn matcher(&mut self) -> Syntax<Matcher> {
        let token = self.token();
        let name = match token.kind {
            Kind::Identifier => self.text_of(token).to_owned(),
            Kind::String => unquote(self.text_of(token)).into_text(),
            _ => return self.unexpected_in(MATCHING, NAME_WORDS),
        };
        self.take();
        let op = match self.kind() {
            Kind::Assign => MatchOp::Equal,
            Kind::Operator(BinaryOp::Ne) => MatchOp::NotEqual,
            Kind::EqualRegex => MatchOp::Regex,
            Kind::NotEqualRegex => MatchOp::NotRegex,
            _ if token.kind == Kind::String => return Ok(Matcher::eq(METRIC_NAME, name)),
            _ => return self.unexpected_in(MATCHING, "label matching operator"),
        };
        self.take();
        let Some(value) = self.accept(Kind::String) else {
            return self.unexpected_in(MATCHING, "string");
        };
        let matcher = Matcher::new(name, op, unquote(self.text_of(value)).into_text());
        self.check_regex(&matcher, token.span.to(value.span))?;
        Ok(matcher)
    }

    fn check_regex(&self, matcher: &Matcher, span: Span) -> Syntax<()> {
        match LabelMatcher::check(matcher) {
            Ok(()) => Ok(()),
            Err(error) => self.fail(span, format!("error parsing regexp: {}", error.reason)),
        }
    }

    /// A metric with its labels.
    pub(super) fn metric(&mut self) -> Syntax<Vec<(String, String)>> {
        let mut labels = Vec::new();
        let mut name = None;
        if self.kind().is_metric_name() {
            let token = self.take();
            name = Some((METRIC_NAME.to_owned(), self.text_of(token).to_owned()));
        }
        if self.accept(Kind::LeftBrace).is_some() {
            while self.accept(Kind::RightBrace).is_none() {
                labels.push(self.label_pair()?);
                if self.accept(Kind::Comma).is_none() && self.kind() != Kind::RightBrace {
                    return self.unexpected_in(LABEL_SET, END_WORDS);
                }
            }
        }
        if name.is_some() {
            labels.retain(|(label, _)| label != METRIC_NAME);
        }
        labels.extend(name);
        Ok(labels)
    }

    fn label_pair(&mut self) -> Syntax<(String, String)> {
        let token = self.token();
        let name = match token.kind {
            Kind::Identifier => self.text_of(token).to_owned(),
            Kind::String => self.unquoted(token),
            _ => return self.unexpected_in(LABEL_SET, NAME_WORDS),
        };
        self.take();
        if self.accept(Kind::Assign).is_none() {
            if token.kind == Kind::String {
                return Ok((METRIC_NAME.to_owned(), name));
            }
            return self.unexpected_in(LABEL_SET, "\"=\"");
        }
        match self.accept(Kind::String) {
            Some(value) => Ok((name, self.unquoted(value))),
            None => self.unexpected_in(LABEL_SET, "string"),
        }
    }

    fn unquoted(&self, token: Token) -> String {
        unquote(self.text_of(token)).into_text()
    }
}
