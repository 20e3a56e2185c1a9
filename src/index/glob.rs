//! Patterns of fixed pieces with gaps between them, such as `.*a.+b`: matched without a regular-expression engine.
//!
//! A [`Glob`] is a head anchored at the start, then pieces each behind a gap of at least so many characters; the last
//! piece is anchored at the end. Taking the leftmost place for every middle piece leaves the most room for the rest,
//! so no backtracking is needed.

use memchr::memmem::Finder;

/// One of a few characters, such as `[Aa]`.
pub(super) type CharSet = Box<[char]>;

/// A run of text without gaps.
#[derive(Debug, Clone)]
pub(super) enum Piece {
    /// These characters exactly; may be empty.
    Text(Box<str>),
    /// For each character one of a few, as case-insensitive text is.
    Chars(Box<[CharSet]>),
}

impl Piece {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Chars(chars) => chars.is_empty(),
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Chars(_) => None,
        }
    }

    /// What follows the piece at the start of `value`.
    #[inline]
    fn strip_start<'v>(&self, value: &'v str) -> Option<&'v str> {
        match self {
            Self::Text(text) => value.strip_prefix(&**text),
            Self::Chars(sets) => {
                let mut chars = value.chars();
                for set in sets {
                    let next = chars.next()?;
                    if !set.contains(&next) {
                        return None;
                    }
                }
                Some(chars.as_str())
            }
        }
    }

    /// What precedes the piece at the end of `value`.
    #[inline]
    fn strip_end<'v>(&self, value: &'v str) -> Option<&'v str> {
        match self {
            Self::Text(text) => value.strip_suffix(&**text),
            Self::Chars(sets) => {
                let mut chars = value.chars();
                for set in sets.iter().rev() {
                    let next = chars.next_back()?;
                    if !set.contains(&next) {
                        return None;
                    }
                }
                Some(chars.as_str())
            }
        }
    }
}

/// A piece and the gap before it.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// Fewest characters between the piece before and this one.
    pub(super) gap: u32,
    pub(super) piece: Piece,
    finder: Option<Finder<'static>>,
}

impl Part {
    pub(super) fn new(gap: u32, piece: Piece) -> Self {
        let finder = piece
            .text()
            .filter(|text| !text.is_empty())
            .map(|text| Finder::new(text).into_owned());
        Self { gap, piece, finder }
    }

    /// The searcher for the piece's text, if it is text.
    pub(super) fn finder(&self) -> Option<&Finder<'static>> {
        self.finder.as_ref()
    }

    /// What follows the leftmost place of the piece in `value`.
    fn strip_through<'v>(&self, value: &'v str) -> Option<&'v str> {
        match (&self.finder, &self.piece) {
            (Some(finder), Piece::Text(text)) => {
                let at = finder.find(value.as_bytes())?;
                value.get(at + text.len()..)
            }
            _ => Some(value),
        }
    }
}

/// Pieces with gaps between them. Without parts the head is the whole value. Pieces in the middle are text.
#[derive(Debug, Clone)]
pub(super) struct Glob {
    pub(super) head: Piece,
    pub(super) parts: Box<[Part]>,
}

impl Glob {
    /// Whether the whole of `value` is the head, the gaps and the pieces.
    pub(super) fn matches(&self, value: &str) -> bool {
        self.try_match(value).is_some()
    }

    fn try_match(&self, value: &str) -> Option<()> {
        let mut rest = self.head.strip_start(value)?;
        let Some((last, middle)) = self.parts.split_last() else {
            return rest.is_empty().then_some(());
        };
        for part in middle {
            rest = part.strip_through(skip_chars(rest, part.gap)?)?;
        }
        skip_chars(last.piece.strip_end(rest)?, last.gap).map(|_| ())
    }

    /// The fewest characters any value may follow its head with, when nothing else is asked of it.
    pub(super) fn prefix_only(&self) -> Option<u32> {
        match &*self.parts {
            [only] if only.piece.is_empty() => Some(only.gap),
            _ => None,
        }
    }

    /// The part with the longest text, which every matching value contains.
    pub(super) fn required(&self) -> Option<&Finder<'static>> {
        let finders = self.parts.iter().filter_map(Part::finder);
        finders.max_by_key(|finder| finder.needle().len())
    }

    /// Whether the glob is `.*text.*` and nothing else.
    pub(super) fn is_contains(&self) -> bool {
        let [middle, last] = &*self.parts else {
            return false;
        };
        self.head.is_empty()
            && middle.gap == 0
            && middle.finder.is_some()
            && last.gap == 0
            && last.piece.is_empty()
    }
}

/// `text` without its first `count` characters, `None` when it has fewer.
fn skip_chars(text: &str, count: u32) -> Option<&str> {
    let mut chars = text.chars();
    for _ in 0..count {
        chars.next()?;
    }
    Some(chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Piece {
        Piece::Text(text.into())
    }

    #[test]
    fn pieces_and_gaps() {
        // a.*bc.+d
        let glob = Glob {
            head: text("a"),
            parts: [Part::new(0, text("bc")), Part::new(1, text("d"))].into(),
        };
        for value in ["abc-d", "abcdd", "axxbcbc.d"] {
            assert!(glob.matches(value), "{value}");
        }
        for value in ["abcd", "abc", "bc-d", "abc-dx", "a", ""] {
            assert!(!glob.matches(value), "{value}");
        }
    }

    #[test]
    fn a_tail_never_overlaps_what_came_before() {
        // aa.*aa
        let glob = Glob {
            head: text("aa"),
            parts: [Part::new(0, text("aa"))].into(),
        };
        assert!(!glob.matches("aaa"));
        assert!(glob.matches("aaaa"));
    }

    #[test]
    fn sets_of_characters() {
        let sets: Box<[CharSet]> = Box::new([['a', 'A'].into(), ['k', 'K', '\u{212a}'].into()]);
        let chars = || Piece::Chars(sets.clone());
        let glob = Glob {
            head: chars(),
            parts: [Part::new(0, text("-")), Part::new(1, chars())].into(),
        };
        for value in ["aK-xAk", "A\u{212a}--ak"] {
            assert!(glob.matches(value), "{value}");
        }
        assert!(!glob.matches("ak-ak") && !glob.matches("ab-xak"));
    }
}
