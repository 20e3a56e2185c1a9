//! The tokens as the parser takes them, and how it says that one is wrong.

use crate::promql::ParseOptions;
use crate::promql::ast::Span;
use crate::promql::error::Fault;
use crate::promql::lex::{Kind, Lexed, Token};
use crate::promql::limits::MAX_DEPTH;

/// What a rule of the grammar returns.
pub(super) type Syntax<T> = Result<T, Fault>;

/// A construct's words for a syntax error: where, and what would have been right.
type Words = (&'static str, &'static str);

/// The parser: a place among the tokens.
#[derive(Debug)]
pub(super) struct Parser<'a> {
    text: &'a str,
    tokens: &'a [Token],
    lexer_fault: Option<&'a str>,
    at: usize,
    pub(super) options: ParseOptions,
    depth: usize,
    /// The constructs around the current token that have words for errors, the innermost last.
    words: Vec<Words>,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str, lexed: &'a Lexed, options: ParseOptions) -> Self {
        Self {
            text,
            tokens: &lexed.tokens,
            lexer_fault: lexed.fault.as_deref(),
            at: 0,
            options,
            depth: 0,
            words: Vec::new(),
        }
    }

    /// The current token. The last one stays current.
    pub(super) fn token(&self) -> Token {
        self.token_at(self.at)
    }

    fn token_at(&self, at: usize) -> Token {
        let end = Token {
            kind: Kind::End,
            span: Span {
                start: self.text.len(),
                end: self.text.len(),
            },
        };
        let token = self.tokens.get(at).or(self.tokens.last());
        token.copied().unwrap_or(end)
    }

    pub(super) fn kind(&self) -> Kind {
        self.token().kind
    }

    /// The kind of the token behind the current one.
    pub(super) fn next_kind(&self) -> Kind {
        self.token_at(self.at + 1).kind
    }

    pub(super) fn text_of(&self, token: Token) -> &'a str {
        self.text
            .get(token.span.start..token.span.end)
            .unwrap_or_default()
    }

    /// The place of the token that was taken last.
    pub(super) fn last_span(&self) -> Span {
        match self.at.checked_sub(1) {
            Some(last) => self.token_at(last).span,
            None => Span::default(),
        }
    }

    pub(super) fn take(&mut self) -> Token {
        let token = self.token();
        self.at += 1;
        token
    }

    /// Takes the current token if it is of that kind.
    pub(super) fn accept(&mut self, kind: Kind) -> Option<Token> {
        (self.kind() == kind).then(|| self.take())
    }

    pub(super) fn expect(&mut self, kind: Kind) -> Syntax<Token> {
        match self.accept(kind) {
            Some(token) => Ok(token),
            None => self.unexpected(),
        }
    }

    pub(super) fn expect_end(&mut self) -> Syntax<()> {
        self.expect(Kind::End).map(drop)
    }

    pub(super) fn fail<T>(&self, span: Span, message: impl Into<String>) -> Syntax<T> {
        Err(Fault {
            span,
            message: message.into(),
        })
    }

    /// The current token is wrong, in the words of the innermost construct.
    pub(super) fn unexpected<T>(&self) -> Syntax<T> {
        let (place, expected) = self.words.last().copied().unwrap_or_default();
        self.unexpected_in(place, expected)
    }

    /// The current token is wrong, in those words.
    pub(super) fn unexpected_in<T>(&self, place: &str, expected: &str) -> Syntax<T> {
        let token = self.token();
        if let (Kind::Fault, Some(message)) = (token.kind, self.lexer_fault) {
            return self.fail(token.span, message);
        }
        let mut message = format!("unexpected {}", token.kind.describe(self.text_of(token)));
        for (word, part) in [(" in ", place), (", expected ", expected)] {
            if !part.is_empty() {
                message.push_str(word);
                message.push_str(part);
            }
        }
        self.fail(token.span, message)
    }

    /// Runs a rule inside a construct that has words for its errors.
    pub(super) fn within<T>(
        &mut self,
        place: &'static str,
        expected: &'static str,
        rule: impl FnOnce(&mut Self) -> Syntax<T>,
    ) -> Syntax<T> {
        self.words.push((place, expected));
        let parsed = rule(self);
        self.words.pop();
        parsed
    }

    /// Runs a rule one level deeper, down to the limit.
    pub(super) fn nested<T>(&mut self, rule: impl FnOnce(&mut Self) -> Syntax<T>) -> Syntax<T> {
        if self.depth == MAX_DEPTH {
            let message = format!("the expression nests more than {MAX_DEPTH} levels deep");
            return self.fail(self.token().span, message);
        }
        self.depth += 1;
        let parsed = rule(self);
        self.depth -= 1;
        parsed
    }
}
