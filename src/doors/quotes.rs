//! Lines of formats in which a text in quotes may have line feeds.

use std::cell::Cell;

/// Text in quotes is no longer; what is, has a quote that does not end.
const QUOTED_BYTES_MAX: usize = 64 << 10;

/// Bytes of text whose lines end at any line feed, because quotes before them did not end. Text would be looked through again for
/// each of its lines otherwise.
pub(super) type Plain = Cell<usize>;

/// What is known of a line so far.
pub(super) trait Quotes: Default {
    fn feed(&mut self, byte: u8);

    /// Whether what comes next stands in quotes.
    fn is_open(&self) -> bool;
}

/// Where a line ends: at the first line feed that does not stand in quotes, or at the first of all if the quotes never end.
pub(super) fn line_end<Q: Quotes>(text: &[u8], is_end: bool, plain: &Plain) -> Option<usize> {
    let first = memchr::memchr(b'\n', text)?;
    let has_quote = memchr::memchr(b'"', text.get(..first).unwrap_or_default()).is_some();
    let is_plain = plain.get() > 0;
    plain.set(plain.get().saturating_sub(first + 1));
    if is_plain || !has_quote {
        return Some(first);
    }
    let mut quotes = Q::default();
    let near = text.get(..QUOTED_BYTES_MAX).unwrap_or(text);
    for (at, byte) in near.iter().enumerate() {
        if *byte == b'\n' && !quotes.is_open() {
            return Some(at);
        }
        quotes.feed(*byte);
    }
    let is_unclosed = near.len() < text.len() || is_end && quotes.is_open();
    if is_unclosed {
        plain.set(near.len().saturating_sub(first + 1));
    }
    is_unclosed.then_some(first)
}
