//! A line that is taken apart from its front.

/// What is left of a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words<'t> {
    pub(super) rest: &'t str,
}

impl<'t> Words<'t> {
    pub(super) fn new(rest: &'t str) -> Self {
        Self { rest }
    }

    pub(super) fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    /// Takes a character if it comes next.
    pub(super) fn take(&mut self, wanted: char) -> bool {
        let rest = self.rest.strip_prefix(wanted);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Takes what comes before the first character of which `ends` is true, or all.
    pub(super) fn until(&mut self, ends: impl Fn(char) -> bool) -> &'t str {
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        word
    }

    /// The next word between blanks; empty at the end.
    pub(super) fn word(&mut self) -> &'t str {
        self.skip_blanks();
        self.until(|c| matches!(c, ' ' | '\t'))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}
