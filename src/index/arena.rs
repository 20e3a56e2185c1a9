//! The sorted values of one label name in one piece of memory, and the fast ways to find those that match.
//!
//! Equality, sets and prefixes are binary searches; text that a value must contain is found by a single search over all
//! values at once; only what is left is matched value by value.

use super::glob::Glob;
use super::pattern::{Engine, Kind, Pattern};
use memchr::memmem::Finder;
use regex_automata::Input;
use std::ops::Range;

/// Sorted, distinct values, one after the other.
#[derive(Debug, Clone, Default)]
pub(crate) struct ValueArena {
    text: String,
    /// Where each value ends.
    ends: Vec<u32>,
}

impl ValueArena {
    pub(crate) fn with_capacity(values: usize, bytes: usize) -> Self {
        Self {
            text: String::with_capacity(bytes),
            ends: Vec::with_capacity(values),
        }
    }

    /// Appends a value that sorts behind all others; `false` when the arena would pass 4 GiB.
    #[must_use]
    pub(crate) fn push(&mut self, value: &str) -> bool {
        let Ok(end) = u32::try_from(self.text.len() + value.len()) else {
            return false;
        };
        self.text.push_str(value);
        self.ends.push(end);
        true
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes allocated.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.text.capacity() + 4 * self.ends.capacity()
    }

    #[inline]
    fn start(&self, index: usize) -> usize {
        if index == 0 {
            0
        } else {
            self.ends[index - 1] as usize
        }
    }

    /// The value at `index`, which must be below [`ValueArena::len`].
    #[inline]
    pub(crate) fn get(&self, index: usize) -> &str {
        &self.text[self.start(index)..self.ends[index] as usize]
    }

    #[inline]
    fn bytes_of(&self, index: usize) -> &[u8] {
        &self.text.as_bytes()[self.start(index)..self.ends[index] as usize]
    }

    /// First index of `range` whose value does not sort below, as `is_below` sees it.
    fn partition(&self, range: Range<usize>, is_below: impl Fn(&[u8]) -> bool) -> usize {
        let Range {
            start: mut low,
            end: mut high,
        } = range;
        while low < high {
            let middle = low + (high - low) / 2;
            if is_below(self.bytes_of(middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Where `value` stands.
    pub(crate) fn find(&self, value: &str) -> Option<usize> {
        let at = self.lower_bound(value);
        (at < self.len() && self.get(at) == value).then_some(at)
    }

    /// Index of the first value that is not below `value`.
    pub(crate) fn lower_bound(&self, value: &str) -> usize {
        self.partition(0..self.len(), |item| item < value.as_bytes())
    }

    /// The values that begin with `prefix`.
    pub(crate) fn prefix_range(&self, prefix: &str) -> Range<usize> {
        if prefix.is_empty() {
            return 0..self.len();
        }
        let start = self.lower_bound(prefix);
        let end = self.partition(start..self.len(), |item| item.starts_with(prefix.as_bytes()));
        start..end
    }

    /// Calls `each` with the index of every value that matches, in ascending order.
    pub(crate) fn matching(&self, pattern: &Pattern, each: &mut impl FnMut(usize)) {
        match &pattern.kind {
            Kind::All => (0..self.len()).for_each(each),
            Kind::NotEmpty => (usize::from(self.find("").is_some())..self.len()).for_each(each),
            Kind::One(only) => self.each_of_set(std::slice::from_ref(only), each),
            Kind::Set(set) => self.each_of_set(set, each),
            Kind::Globs { exact, globs } => match &**globs {
                [only] if exact.is_empty() => self.each_of_glob(only, each),
                _ => {
                    let mut indexes = Vec::new();
                    globs
                        .iter()
                        .for_each(|glob| self.each_of_glob(glob, &mut |index| indexes.push(index)));
                    self.each_of_set(exact, &mut |index| indexes.push(index));
                    indexes.sort_unstable();
                    indexes.dedup();
                    indexes.into_iter().for_each(each);
                }
            },
            Kind::Engine(engine) => self.each_of_engine(engine, each),
        }
    }

    fn each_of_set(&self, set: &[Box<str>], each: &mut impl FnMut(usize)) {
        let mut from = 0;
        for item in set {
            from = self.partition(from..self.len(), |value| value < item.as_bytes());
            if from < self.len() && self.bytes_of(from) == item.as_bytes() {
                each(from);
            }
        }
    }

    fn each_of_glob(&self, glob: &Glob, each: &mut impl FnMut(usize)) {
        let prefix = glob.head.text().unwrap_or("");
        let range = self.prefix_range(prefix);
        if let Some(gap) = glob.prefix_only()
            && glob.head.text().is_some()
            && gap <= 1
        {
            // Only the first value can be the bare prefix.
            let bare = gap == 1 && range.start < range.end && self.get(range.start) == prefix;
            return (range.start + usize::from(bare)..range.end).for_each(each);
        }
        if let [only] = &*glob.parts
            && let Some(tail) = only.piece.text().filter(|tail| !tail.is_empty())
        {
            let tail = tail.as_bytes();
            let ends_so =
                |&index: &usize| self.bytes_of(index).ends_with(tail) && glob.matches(self.get(index));
            return range.filter(ends_so).for_each(each);
        }
        match glob.required() {
            Some(finder) => {
                let is_contains = glob.is_contains();
                self.each_containing(range, finder, &mut |index| {
                    if is_contains || glob.matches(self.get(index)) {
                        each(index);
                    }
                });
            }
            None => range
                .filter(|&index| glob.matches(self.get(index)))
                .for_each(each),
        }
    }

    fn each_of_engine(&self, engine: &Engine, each: &mut impl FnMut(usize)) {
        let mut cache = engine.regex.create_cache();
        let mut matches = |index: usize| {
            let input = Input::new(self.get(index)).earliest(true);
            engine.regex.search_half_with(&mut cache, &input).is_some()
        };
        let range = self.prefix_range(&engine.prefix);
        match &engine.required {
            Some(finder) => self.each_containing(range, finder, &mut |index| {
                if matches(index) {
                    each(index);
                }
            }),
            None => range.filter(|&index| matches(index)).for_each(each),
        }
    }

    /// One search over the bytes of all values of `range`.
    fn each_containing(&self, range: Range<usize>, finder: &Finder<'_>, each: &mut impl FnMut(usize)) {
        if range.is_empty() {
            return;
        }
        let end = self.ends[range.end - 1] as usize;
        let bytes = &self.text.as_bytes()[..end];
        let needle_len = finder.needle().len();
        let mut index = range.start;
        let mut from = self.start(index);
        while let Some(found) = finder.find(&bytes[from..]) {
            let at = from + found;
            index = self.index_at(index, at);
            let value_end = self.ends[index] as usize;
            if at + needle_len <= value_end {
                each(index);
                from = value_end;
            } else {
                // The text straddles two values.
                from = at + 1;
            }
        }
    }

    /// The value that byte `at` belongs to; `from` is not behind it. Gallops, since hits are dense or rare.
    fn index_at(&self, from: usize, at: usize) -> usize {
        let is_before = |end: &u32| *end as usize <= at;
        let mut step = 1;
        let mut low = from;
        while low + step < self.ends.len() && is_before(&self.ends[low + step - 1]) {
            low += step;
            step *= 2;
        }
        let high = (low + step).min(self.ends.len());
        low + self.ends[low..high].partition_point(is_before)
    }
}

#[cfg(test)]
mod tests {
    use super::super::regex::LabelMatcher;
    use super::*;
    use crate::model::matcher::Matcher;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn arena(values: &BTreeSet<String>) -> ValueArena {
        let mut arena = ValueArena::default();
        assert!(values.iter().all(|value| arena.push(value)));
        arena
    }

    const PATTERNS: [&str; 24] = [
        "",
        "a",
        "a|b|ab",
        "a.*",
        "a.+",
        ".*a",
        ".+a",
        ".*ab.*",
        ".+ab.*",
        "a.*b",
        "a.*b.*a",
        ".*a.*b.*",
        "a.*|b.*",
        "a.*|.*b|ab|",
        ".*",
        ".+",
        "(?i)ab.*",
        "(?i).*ABAB.*",
        "[ab]+",
        "a[ab]*ba",
        ".*é.*",
        "ab.",
        "(?i)abab|b.*a",
        "a(a|b.*)",
    ];

    proptest! {
        #[test]
        fn matching_is_a_filter(values in proptest::collection::btree_set("[abBé]{0,6}", 0..60)) {
            let arena = arena(&values);
            for pattern in PATTERNS {
                let matcher = LabelMatcher::compile(&Matcher::re("l", pattern)).unwrap();
                let mut found = Vec::new();
                arena.matching(matcher.pattern(), &mut |index| found.push(arena.get(index)));
                let expected: Vec<_> = values.iter().filter(|value| matcher.matches(value)).collect();
                prop_assert_eq!(&found, &expected, "{}", pattern);
            }
        }

        #[test]
        fn matching_any_expression(
            values in proptest::collection::btree_set("[abkKé]{0,6}", 0..60),
            pattern in super::super::tests::expression(),
        ) {
            let arena = arena(&values);
            let matcher = LabelMatcher::compile(&Matcher::re("l", &pattern)).unwrap();
            let mut found = Vec::new();
            arena.matching(matcher.pattern(), &mut |index| found.push(arena.get(index)));
            let expected: Vec<_> = values.iter().filter(|value| matcher.matches(value)).collect();
            prop_assert_eq!(&found, &expected, "{}", pattern);
        }

        #[test]
        fn searches(values in proptest::collection::btree_set("[ab]{0,4}", 0..20), probe in "[ab]{0,4}") {
            let arena = arena(&values);
            prop_assert_eq!(arena.find(&probe).is_some(), values.contains(&probe));
            prop_assert_eq!(arena.lower_bound(&probe), values.range(..probe.clone()).count());
            let with_prefix = values.iter().filter(|value| value.starts_with(&probe)).count();
            prop_assert_eq!(arena.prefix_range(&probe).len(), with_prefix);
        }
    }
}
