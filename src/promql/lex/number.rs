//! Numbers and durations: where they end, and what they mean.

use super::token::Kind;
use super::{Fault, Lexer};
use crate::promql::quote::quote;

const DECIMAL: &[u8] = b"0123456789";
const HEXADECIMAL: &[u8] = b"0123456789abcdefABCDEF";

impl Lexer<'_> {
    /// A number or a duration, of which the first character has been taken.
    pub(super) fn number_token(&mut self) -> Result<(), Fault> {
        self.at = self.start;
        if self.scan_number() {
            self.emit(Kind::Number);
        } else if self.scan_units() {
            self.emit(Kind::Duration);
        } else {
            let text = quote(self.word());
            return self.fault(format!("bad number or duration syntax: {text}"));
        }
        Ok(())
    }

    /// Takes what looks like a number. `false` leaves the place behind what is wrong, or before a unit.
    fn scan_number(&mut self) -> bool {
        let is_hexadecimal = self.accept(b"0") && self.accept(b"xX");
        if is_hexadecimal {
            self.accept(b"_");
        }
        let digits = if is_hexadecimal { HEXADECIMAL } else { DECIMAL };
        self.accept(b".");
        self.accept(digits);
        let (mut seen_dot, mut seen_exponent) = (false, false);
        loop {
            let dot = self.accept(b".");
            let exponent = !dot && self.accept(b"eE");
            let underscore = !dot && !exponent && self.accept(b"_");
            let refused = if dot {
                let repeated = std::mem::replace(&mut seen_dot, true);
                repeated || self.accept(b"_.") || is_hexadecimal
            } else if exponent {
                let repeated = std::mem::replace(&mut seen_exponent, true);
                repeated || {
                    self.accept(b"+-");
                    self.ends_or_accepts(b"._eE")
                }
            } else if underscore {
                self.ends_or_accepts(b"._eE")
            } else if self.accept(digits) {
                false
            } else {
                break;
            };
            if refused {
                return false;
            }
        }
        !self.continues_word()
    }

    fn ends_or_accepts(&mut self, set: &[u8]) -> bool {
        self.accept(set) || self.peek_byte().is_none()
    }

    fn continues_word(&self) -> bool {
        self.peek_byte()
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    }

    /// Takes the unit of a duration, and further numbers with units.
    fn scan_units(&mut self) -> bool {
        if !self.accept(b"smhdwy") {
            return false;
        }
        self.accept(b"s");
        while self.accept(DECIMAL) {
            while self.accept(DECIMAL) {}
            if !self.accept(b"smhdw") {
                return false;
            }
            self.accept(b"s");
        }
        if self.continues_word() {
            self.at += 1;
            return false;
        }
        true
    }
}

/// The value of a number's text, or Go's words for what is wrong with it.
pub(in crate::promql) fn parse_number(text: &str) -> Result<f64, String> {
    if let Some(integer) = parse_integer(text) {
        return Ok(integer as f64);
    }
    let refused = |reason: &str| format!("strconv.ParseFloat: parsing {}: {reason}", quote(text));
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_word = unsigned.starts_with(|first: char| first.is_ascii_alphabetic());
    let has_prefix = unsigned.len() > 1 && unsigned.as_bytes()[..2].eq_ignore_ascii_case(b"0x");
    if has_prefix || (text.contains('_') && (is_word || !underscores_separate_digits(unsigned))) {
        return Err(refused("invalid syntax"));
    }
    let value: f64 = text
        .replace('_', "")
        .parse()
        .map_err(|_| refused("invalid syntax"))?;
    if value.is_infinite() && !is_word {
        return Err(refused("value out of range"));
    }
    Ok(value)
}

/// As Go's `ParseInt` with base 0: prefixes choose the base, a leading zero means octal, underscores separate digits.
fn parse_integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.contains('_') && !underscores_separate_digits(digits) {
        return None;
    }
    let lower = digits.to_ascii_lowercase();
    let (base, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, &*lower),
    };
    let digits = digits.replace('_', "");
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = i128::from_str_radix(&digits, base).ok()?;
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

/// Each underscore stands between digits, or between the base's prefix and a digit.
fn underscores_separate_digits(text: &str) -> bool {
    let bytes = text.as_bytes();
    let has_prefix = bytes.len() > 1
        && bytes.first() == Some(&b'0')
        && bytes.get(1).is_some_and(|second| b"xXbBoO".contains(second));
    let digits = if has_prefix { &bytes[2..] } else { bytes };
    let is_digit = |byte: u8| {
        byte.is_ascii_digit()
            || (has_prefix && bytes[1].eq_ignore_ascii_case(&b'x') && byte.is_ascii_hexdigit())
    };
    digits.iter().enumerate().all(|(index, byte)| {
        let before = match index.checked_sub(1) {
            Some(before) => is_digit(digits[before]),
            None => has_prefix,
        };
        let after = digits.get(index + 1).is_some_and(|after| is_digit(*after));
        *byte != b'_' || (before && after)
    })
}
