//! Strings: where they end, and what they say.

use super::token::Kind;
use super::{Fault, Lexer};

impl Lexer<'_> {
    /// A string, of which the opening quote has been taken.
    pub(super) fn string_token(&mut self, quote: char) -> Result<(), Fault> {
        loop {
            match self.next() {
                Some(character) if character == quote => break,
                Some('\\') if quote != '`' => self.escape(quote)?,
                // As upstream, which cannot tell it from a broken one.
                Some(char::REPLACEMENT_CHARACTER) => return self.fault("invalid UTF-8 rune"),
                None if quote == '`' => return self.fault("unterminated raw string"),
                None => return self.fault("unterminated quoted string"),
                Some('\n') if quote != '`' => return self.fault("unterminated quoted string"),
                Some(_) => {}
            }
        }
        self.emit(Kind::String);
        Ok(())
    }

    fn escape(&mut self, quote: char) -> Result<(), Fault> {
        let Some(character) = self.next() else {
            return self.fault("escape sequence not terminated");
        };
        let (digits, base, max, mut code) = match character {
            'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\' => return Ok(()),
            other if other == quote => return Ok(()),
            '0'..='7' => (2, 8, 255, character.to_digit(8).unwrap_or_default()),
            'x' => (2, 16, 255, 0),
            'u' => (4, 16, char::MAX as u32, 0),
            'U' => (8, 16, char::MAX as u32, 0),
            other => {
                let other = describe_char(other);
                return self.fault(format!("unknown escape sequence {other}"));
            }
        };
        for _ in 0..digits {
            let Some(character) = self.next() else {
                return self.fault("escape sequence not terminated");
            };
            let Some(digit) = character.to_digit(base) else {
                let character = describe_char(character);
                return self.fault(format!("illegal character {character} in escape sequence"));
            };
            code = code.wrapping_mul(base).wrapping_add(digit);
        }
        if code > max || (0xD800..0xE000).contains(&code) {
            return self.fault("escape sequence is an invalid Unicode code point");
        }
        Ok(())
    }
}

/// A character as Go's `%#U` has it.
fn describe_char(character: char) -> String {
    format!("U+{:04X} '{character}'", character as u32)
}

/// What a string says. Escapes can make bytes that are no UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::promql) enum Unquoted {
    /// A text.
    Text(String),
    /// Bytes that are no text.
    Bytes(Vec<u8>),
}

impl Unquoted {
    /// The text, with replacement characters where it is none.
    pub(in crate::promql) fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        }
    }
}

/// What the text of a string token says.
pub(in crate::promql) fn unquote(token: &str) -> Unquoted {
    let inner = token.get(1..token.len().saturating_sub(1)).unwrap_or_default();
    if token.starts_with('`') || !inner.contains('\\') {
        return Unquoted::Text(inner.to_owned());
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner.chars();
    while let Some(character) = rest.next() {
        if character == '\\' {
            push_escape(&mut rest, &mut bytes);
        } else {
            push_char(&mut bytes, character);
        }
    }
    String::from_utf8(bytes).map_or_else(|error| Unquoted::Bytes(error.into_bytes()), Unquoted::Text)
}

fn push_char(bytes: &mut Vec<u8>, character: char) {
    bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

/// The lexer has checked the escape.
fn push_escape(rest: &mut std::str::Chars<'_>, bytes: &mut Vec<u8>) {
    let Some(character) = rest.next() else { return };
    let mut code = |first: u32, digits: usize, base: u32| {
        let next = rest.by_ref().take(digits);
        next.fold(first, |code, digit| {
            code.wrapping_mul(base)
                .wrapping_add(digit.to_digit(base).unwrap_or_default())
        })
    };
    match character {
        'a' => bytes.push(7),
        'b' => bytes.push(8),
        'f' => bytes.push(12),
        'n' => bytes.push(b'\n'),
        'r' => bytes.push(b'\r'),
        't' => bytes.push(b'\t'),
        'v' => bytes.push(11),
        'x' => bytes.push(code(0, 2, 16) as u8),
        '0'..='7' => bytes.push(code(character.to_digit(8).unwrap_or_default(), 2, 8) as u8),
        'u' | 'U' => {
            let digits = if character == 'u' { 4 } else { 8 };
            push_char(bytes, char::from_u32(code(0, digits, 16)).unwrap_or_default());
        }
        other => push_char(bytes, other),
    }
}
