//! Names beyond letters, digits and underscores, for those who know only these: Prometheus' schemes of escaping.

pub(super) use crate::doors::prometheus::is_plain_name as is_plain;
use std::borrow::Cow;

/// The mark of a name in which values stand for characters.
const VALUES_MARK: &str = "U__";

/// How names that are not plain are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escaping {
    /// As they are, in quotes.
    Utf8,
    /// What is not plain becomes an underscore.
    Underscores,
    /// Dots become `_dot_`, underscores are doubled, what else is not plain becomes two underscores.
    Dots,
    /// `U__` in front; underscores are doubled, what else is not plain is its code in hexadecimal between underscores.
    Values,
}

impl Escaping {
    /// The scheme with this name in a header.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "allow-utf-8" => Self::Utf8,
            "underscores" => Self::Underscores,
            "dots" => Self::Dots,
            "values" => Self::Values,
            _ => return None,
        })
    }

    /// The name in this scheme.
    pub(super) fn escape(self, name: &str) -> Cow<'_, str> {
        if self == Self::Utf8 || is_plain(name) {
            return Cow::Borrowed(name);
        }
        let mut escaped = String::with_capacity(name.len() + 16);
        if self == Self::Values {
            escaped.push_str(VALUES_MARK);
        }
        for (place, character) in name.chars().enumerate() {
            match (self, character) {
                (Self::Dots | Self::Values, '_') => escaped.push_str("__"),
                (Self::Dots, '.') => escaped.push_str("_dot_"),
                _ if is_plain_at(place, character) => escaped.push(character),
                (Self::Dots, _) => escaped.push_str("__"),
                (Self::Values, _) => escaped.push_str(&format!("_{:x}_", u32::from(character))),
                (Self::Utf8 | Self::Underscores, _) => escaped.push('_'),
            }
        }
        Cow::Owned(escaped)
    }
}

fn is_plain_at(place: usize, character: char) -> bool {
    character.is_ascii_alphabetic()
        || matches!(character, '_' | ':')
        || place > 0 && character.is_ascii_digit()
}

/// The name that [`Escaping::Values`] made this one of; `None` when it made none of it.
pub(super) fn unescape_values(name: &str) -> Option<String> {
    /// Digits that the code of a character may have.
    const DIGITS_MAX: usize = 6;
    let mut rest = name.strip_prefix(VALUES_MARK)?;
    let mut unescaped = String::with_capacity(rest.len());
    while let Some(at) = rest.find('_') {
        unescaped.push_str(&rest[..at]);
        let (code, behind) = rest[at + 1..].split_once('_')?;
        rest = behind;
        if code.is_empty() {
            unescaped.push('_');
            continue;
        }
        let is_code = code.len() <= DIGITS_MAX && code.bytes().all(|digit| digit.is_ascii_hexdigit());
        let code = u32::from_str_radix(code, 16).ok().filter(|_| is_code)?;
        unescaped.push(char::from_u32(code)?);
    }
    unescaped.push_str(rest);
    Some(unescaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_in_every_scheme() {
        for (name, underscores, dots, values) in [
            ("plain_1", "plain_1", "plain_1", "plain_1"),
            ("a:b", "a:b", "a:b", "a:b"),
            ("a.b_c d", "a_b_c_d", "a_dot_b__c__d", "U__a_2e_b__c_20_d"),
            ("1é", "__", "____", "U___31__e9_"),
        ] {
            let all = [
                Escaping::Utf8,
                Escaping::Underscores,
                Escaping::Dots,
                Escaping::Values,
            ];
            let written = all.map(|escaping| escaping.escape(name));
            assert_eq!(written, [name, underscores, dots, values]);
            if !is_plain(name) {
                assert_eq!(unescape_values(values).as_deref(), Some(name));
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn values_bring_every_name_back(name in "\\PC*|[._a1:\\x00]*") {
            let written = Escaping::Values.escape(&name);
            proptest::prop_assert!(written.is_empty() || is_plain(&written));
            if !is_plain(&name) {
                proptest::prop_assert_eq!(unescape_values(&written), Some(name.clone()));
            }
            for escaping in [Escaping::Underscores, Escaping::Dots] {
                proptest::prop_assert!(name.is_empty() || is_plain(&escaping.escape(&name)));
            }
        }

        #[test]
        fn any_text_is_unescaped_or_left(text in "U__[0-9a-g_é]*") {
            if let Some(name) = unescape_values(&text) {
                proptest::prop_assert!(name.len() <= text.len());
            }
        }
    }

    #[test]
    fn what_no_scheme_made_stays() {
        for name in [
            "a",
            "U_",
            "U__a_",
            "U__a_2e",
            "U__a_xy_",
            "U__a_1234567_",
            "U___d800_",
        ] {
            assert_eq!(unescape_values(name), None, "{name}");
        }
        for (name, wanted) in [("U__", ""), ("U__a", "a"), ("U__a_2E_", "a."), ("U__é", "é")] {
            assert_eq!(unescape_values(name).as_deref(), Some(wanted), "{name}");
        }
    }
}
