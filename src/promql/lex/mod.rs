//! From text to tokens, in one pass. Rules and messages are Prometheus'.
//!
//! What a character means depends on where it stands: inside braces words are labels; between a bracket and the first
//! number behind it only durations are allowed; elsewhere words may be keywords.

mod number;
mod string;
mod token;

pub(super) use number::parse_number;
pub(super) use string::{Unquoted, unquote};
pub(super) use token::{Keyword, Kind, Reserved, Token};

use crate::promql::ast::Span;
use crate::promql::operators::BinaryOp;
use crate::promql::quote::quote_char;

/// The tokens of a text. The last one is [`Kind::End`], or [`Kind::Fault`] when the text has a fault there.
#[derive(Debug)]
pub(super) struct Lexed {
    pub(super) tokens: Vec<Token>,
    /// What is wrong where the last token is.
    pub(super) fault: Option<String>,
}

/// Cuts `text` into tokens.
pub(super) fn lex(text: &str) -> Lexed {
    let mut lexer = Lexer::new(text);
    let fault = lexer.run().err();
    if let Some(fault) = &fault {
        let span = Span {
            start: fault.start,
            end: text.len(),
        };
        lexer.tokens.push(Token {
            kind: Kind::Fault,
            span,
        });
    }
    Lexed {
        tokens: lexer.tokens,
        fault: fault.map(|fault| fault.message),
    }
}

/// Where the text is no PromQL, and why.
#[derive(Debug)]
struct Fault {
    start: usize,
    message: String,
}

/// What a bracket allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bracket {
    Closed,
    /// No number has been seen yet.
    Duration,
    /// As outside, but for words and colons.
    Open,
}

#[derive(Debug)]
struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// Where the current token starts.
    start: usize,
    tokens: Vec<Token>,
    open_parens: usize,
    in_braces: bool,
    bracket: Bracket,
    seen_colon: bool,
    seen_duration: bool,
}

impl<'a> Lexer<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            start: 0,
            tokens: Vec::with_capacity(text.len() / 4 + 2),
            open_parens: 0,
            in_braces: false,
            bracket: Bracket::Closed,
            seen_colon: false,
            seen_duration: false,
        }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn peek_byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.at += character.len_utf8();
        Some(character)
    }

    /// Takes the next byte if it is one of `set`.
    fn accept(&mut self, set: &[u8]) -> bool {
        let found = self.peek_byte().is_some_and(|byte| set.contains(&byte));
        self.at += usize::from(found);
        found
    }

    fn word(&self) -> &'a str {
        self.text.get(self.start..self.at).unwrap_or_default()
    }

    fn emit(&mut self, kind: Kind) {
        let span = Span {
            start: self.start,
            end: self.at,
        };
        self.tokens.push(Token { kind, span });
        self.start = self.at;
    }

    fn fault<T>(&self, message: impl Into<String>) -> Result<T, Fault> {
        Err(Fault {
            start: self.start,
            message: message.into(),
        })
    }

    fn skip_spaces(&mut self) {
        while self.accept(b" \t\n\r") {}
        self.start = self.at;
    }

    fn skip_comment(&mut self) -> bool {
        if self.peek_byte() != Some(b'#') {
            return false;
        }
        self.at += self
            .rest()
            .find(['\n', '\r'])
            .unwrap_or_else(|| self.rest().len());
        self.start = self.at;
        true
    }

    fn run(&mut self) -> Result<(), Fault> {
        loop {
            self.skip_spaces();
            if self.bracket == Bracket::Duration && !self.in_braces {
                self.duration_token()?;
                continue;
            }
            if self.skip_comment() {
                continue;
            }
            if self.in_braces {
                self.brace_token()?;
            } else if !self.statement_token()? {
                return Ok(());
            }
        }
    }

    /// A token outside of braces. `false` at the end.
    fn statement_token(&mut self) -> Result<bool, Fault> {
        let Some(character) = self.next() else {
            if self.open_parens > 0 {
                return self.fault("unclosed left parenthesis");
            }
            if self.bracket != Bracket::Closed {
                return self.fault("unclosed left bracket");
            }
            self.emit(Kind::End);
            return Ok(false);
        };
        match character {
            '"' | '\'' | '`' => self.string_token(character)?,
            '0'..='9' => self.number_token()?,
            '.' if self.peek().is_some_and(|next| next.is_ascii_digit()) => self.number_token()?,
            'a'..='z' | 'A'..='Z' | '_' | ':' => self.word_token(character)?,
            '{' => {
                self.emit(Kind::LeftBrace);
                self.in_braces = true;
            }
            '[' | ']' | '(' | ')' => self.bracket_token(character)?,
            _ => self.operator_token(character)?,
        }
        Ok(true)
    }

    fn bracket_token(&mut self, character: char) -> Result<(), Fault> {
        match character {
            '(' => {
                self.open_parens += 1;
                self.emit(Kind::LeftParen);
            }
            ')' => self.right_paren()?,
            '[' => {
                if self.bracket != Bracket::Closed {
                    return self.fault(format!("unexpected left bracket {}", quote_char(Some(character))));
                }
                self.seen_colon = false;
                self.seen_duration = false;
                self.bracket = Bracket::Duration;
                self.emit(Kind::LeftBracket);
            }
            _ => {
                if self.bracket == Bracket::Closed {
                    return self.fault(format!(
                        "unexpected right bracket {}",
                        quote_char(Some(character))
                    ));
                }
                self.bracket = Bracket::Closed;
                self.emit(Kind::RightBracket);
            }
        }
        Ok(())
    }

    fn right_paren(&mut self) -> Result<(), Fault> {
        let Some(left) = self.open_parens.checked_sub(1) else {
            self.start = self.at;
            return self.fault("unexpected right parenthesis ')'");
        };
        self.open_parens = left;
        self.emit(Kind::RightParen);
        Ok(())
    }

    fn operator_token(&mut self, character: char) -> Result<(), Fault> {
        let kind = match character {
            ',' => Kind::Comma,
            '@' => Kind::At,
            '+' => Kind::Operator(BinaryOp::Add),
            '-' => Kind::Operator(BinaryOp::Sub),
            '*' => Kind::Operator(BinaryOp::Mul),
            '/' => Kind::Operator(BinaryOp::Div),
            '%' => Kind::Operator(BinaryOp::Mod),
            '^' => Kind::Operator(BinaryOp::Pow),
            '=' if self.accept(b"=") => Kind::Operator(BinaryOp::Eq),
            '=' if self.peek() == Some('~') => {
                return self.fault("unexpected character after '=': '~'");
            }
            '=' => Kind::Assign,
            '!' if self.accept(b"=") => Kind::Operator(BinaryOp::Ne),
            '!' => {
                let next = quote_char(self.peek());
                return self.fault(format!("unexpected character after '!': {next}"));
            }
            '<' if self.accept(b"=") => Kind::Operator(BinaryOp::Le),
            '<' if self.accept(b"/") => Kind::Operator(BinaryOp::TrimUpper),
            '<' => Kind::Operator(BinaryOp::Lt),
            '>' if self.accept(b"=") => Kind::Operator(BinaryOp::Ge),
            '>' if self.accept(b"/") => Kind::Operator(BinaryOp::TrimLower),
            '>' => Kind::Operator(BinaryOp::Gt),
            other => {
                let other = quote_char(Some(other));
                return self.fault(format!("unexpected character: {other}"));
            }
        };
        self.emit(kind);
        Ok(())
    }

    /// A word, of which the first character has been taken.
    fn word_token(&mut self, first: char) -> Result<(), Fault> {
        if self.bracket != Bracket::Closed {
            return self.word_in_bracket(first);
        }
        self.take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':'));
        let word = self.word();
        let kind = match token::keyword(word) {
            Some(Kind::Keyword(Keyword::Fill | Keyword::FillLeft | Keyword::FillRight))
                if !self.is_called() =>
            {
                Kind::Identifier
            }
            Some(kind) => kind,
            None if word.contains(':') => Kind::MetricIdentifier,
            None => Kind::Identifier,
        };
        self.emit(kind);
        Ok(())
    }

    fn take_while(&mut self, belongs: impl Fn(u8) -> bool) {
        while self.peek_byte().is_some_and(&belongs) {
            self.at += 1;
        }
    }

    /// Whether a left parenthesis follows.
    fn is_called(&self) -> bool {
        let rest = self.rest().trim_start_matches([' ', '\t', '\n', '\r']);
        rest.starts_with('(')
    }

    fn word_in_bracket(&mut self, first: char) -> Result<(), Fault> {
        if first == ':' {
            if self.seen_colon {
                return self.fault("unexpected colon ':'");
            }
            self.seen_colon = true;
            self.emit(Kind::Colon);
            return Ok(());
        }
        match self.duration_word() {
            Some(kind) => {
                self.emit(kind);
                Ok(())
            }
            None => {
                let first = quote_char(Some(first));
                self.fault(format!("unexpected character: {first}, expected ':'"))
            }
        }
    }

    /// The rest of a word that computes durations.
    fn duration_word(&mut self) -> Option<Kind> {
        self.take_while(|byte| byte.is_ascii_alphabetic() || byte == b'_');
        let kind = token::keyword(self.word())?;
        let computes = matches!(
            kind,
            Kind::Reserved(Reserved::Step | Reserved::Range | Reserved::MinOf | Reserved::MaxOf)
        );
        self.seen_duration |= computes;
        computes.then_some(kind)
    }

    /// A token between a left bracket and the first number.
    fn duration_token(&mut self) -> Result<(), Fault> {
        let Some(character) = self.next() else {
            return self.fault("unexpected end of input in duration expression");
        };
        match character {
            ':' => {
                self.start = self.at;
                if !self.seen_duration {
                    return self.fault("unexpected colon before duration in duration expression");
                }
                if self.seen_colon {
                    return self.fault("unexpected repeated colon in duration expression");
                }
                self.start = self.at - 1;
                self.seen_colon = true;
                self.emit(Kind::Colon);
            }
            '(' | ')' | ']' => self.bracket_token(character)?,
            '+' | '-' | '*' | '/' | '%' | '^' | ',' => self.operator_token(character)?,
            '0'..='9' => self.first_number()?,
            '.' if self.peek().is_some_and(|next| next.is_ascii_digit()) => self.first_number()?,
            other => {
                let word = other.is_ascii_alphabetic().then(|| self.duration_word());
                let Some(kind) = word.flatten() else {
                    let other = quote_char(Some(other));
                    return self.fault(format!("unexpected character in duration expression: {other}"));
                };
                self.emit(kind);
            }
        }
        Ok(())
    }

    fn first_number(&mut self) -> Result<(), Fault> {
        self.seen_duration = true;
        self.bracket = Bracket::Open;
        self.number_token()
    }

    /// A token inside of braces.
    fn brace_token(&mut self) -> Result<(), Fault> {
        let Some(character) = self.next() else {
            return self.fault("unexpected end of input inside braces");
        };
        let kind = match character {
            '"' | '\'' | '`' => return self.string_token(character),
            'a'..='z' | 'A'..='Z' | '_' => {
                self.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
                Kind::Identifier
            }
            ',' => Kind::Comma,
            '=' if self.accept(b"~") => Kind::EqualRegex,
            '=' => Kind::Assign,
            '!' if self.accept(b"~") => Kind::NotEqualRegex,
            '!' if self.accept(b"=") => Kind::Operator(BinaryOp::Ne),
            '!' => {
                let next = quote_char(self.peek());
                return self.fault(format!("unexpected character after '!' inside braces: {next}"));
            }
            '{' => return self.fault("unexpected left brace '{'"),
            '}' => {
                self.in_braces = false;
                Kind::RightBrace
            }
            other => {
                let other = quote_char(Some(other));
                return self.fault(format!("unexpected character inside braces: {other}"));
            }
        };
        self.emit(kind);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
