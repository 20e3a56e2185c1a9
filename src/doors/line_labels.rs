//! The labels of a line while it is read, in memory that is used again for the next one.

use crate::model::labels::{self, Labels, LabelsRef, METRIC_NAME};
use std::ops::Range;

/// Why a line names no series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LabelFault(pub(crate) String);

/// Names and values in the order of the line, with labels that hold for every line.
#[derive(Debug, Default)]
pub(crate) struct LineLabels {
    text: String,
    pairs: Vec<(Range<usize>, Range<usize>)>,
    /// These take the place of those of a line.
    extra: Vec<(String, String)>,
    canonical: Vec<u8>,
    spare: Pairs<'static>,
}

type Pairs<'t> = Vec<(&'t [u8], &'t [u8])>;

impl LineLabels {
    pub(crate) fn new(extra: Vec<(String, String)>) -> Self {
        Self {
            extra,
            ..Self::default()
        }
    }

    /// Forgets the labels of the last line.
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.pairs.clear();
    }

    /// Text is put here, and taken by [`LineLabels::taken`].
    pub(crate) fn text(&mut self) -> &mut String {
        &mut self.text
    }

    /// What was put behind `from`.
    pub(crate) fn taken(&self, from: usize) -> Range<usize> {
        from..self.text.len()
    }

    pub(crate) fn shown(&self, range: &Range<usize>) -> &str {
        self.text.get(range.clone()).unwrap_or("")
    }

    pub(crate) fn put(&mut self, text: &str) -> Range<usize> {
        let from = self.text.len();
        self.text.push_str(text);
        self.taken(from)
    }

    /// Puts the same text once more.
    pub(crate) fn copy(&mut self, range: &Range<usize>) {
        if self.text.get(range.clone()).is_some() {
            self.text.extend_from_within(range.clone());
        }
    }

    pub(crate) fn push(&mut self, name: &str, value: &str) {
        let pair = (self.put(name), self.put(value));
        self.pairs.push(pair);
    }

    pub(crate) fn push_ranges(&mut self, name: Range<usize>, value: Range<usize>) {
        self.pairs.push((name, value));
    }

    /// Takes the last label away, and the text behind `end`.
    pub(crate) fn pop(&mut self, end: usize) {
        self.pairs.pop();
        self.text.truncate(end);
    }

    /// Bytes of all names and values.
    pub(crate) fn byte_len(&self) -> usize {
        let pairs = self.pairs.iter().map(|(name, value)| name.len() + value.len());
        let extra = self.extra.iter().map(|(name, value)| name.len() + value.len());
        pairs.sum::<usize>() + extra.sum::<usize>()
    }

    /// The value of a label, if the line has it.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.pairs.iter().find(|pair| self.shown(&pair.0) == name);
        found.map(|pair| self.shown(&pair.1))
    }

    /// The label set, which must name a metric.
    pub(crate) fn series(&mut self) -> Result<LabelsRef<'_>, LabelFault> {
        self.canonical.clear();
        let mut pairs: Pairs<'_> = std::mem::take(&mut self.spare);
        let own = self.pairs.iter().map(|(name, value)| {
            let bytes = |range: &Range<usize>| self.text.as_bytes().get(range.clone()).unwrap_or_default();
            (bytes(name), bytes(value))
        });
        let is_own = |name: &[u8]| !self.extra.iter().any(|extra| extra.0.as_bytes() == name);
        pairs.extend(own.filter(|pair| is_own(pair.0)));
        let extra = self.extra.iter();
        pairs.extend(extra.map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        let made = labels::canonicalize(&mut pairs, &mut self.canonical);
        let names = |pair: &(&[u8], &[u8])| pair.0 == METRIC_NAME.as_bytes() && !pair.1.is_empty();
        let is_named = pairs.iter().any(names);
        pairs.clear();
        // The same memory, of which nothing is borrowed any more.
        self.spare = pairs.into_iter().map(|_| (&[][..], &[][..])).collect();
        made.map_err(|error| LabelFault(error.to_string()))?;
        match is_named {
            true => Ok(LabelsRef::new(&self.canonical)),
            false => Err(LabelFault("the series has no name".to_owned())),
        }
    }

    /// The labels alone, which need no name.
    pub(crate) fn owned(&self) -> Result<Labels, LabelFault> {
        let pairs = self.pairs.iter();
        let pairs = pairs.map(|(name, value)| (self.shown(name), self.shown(value)));
        Labels::from_pairs(pairs).map_err(|error| LabelFault(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels;

    #[test]
    fn labels_of_the_request_take_the_place_of_those_of_the_line() {
        let extra = [("zone", "eu"), ("host", "")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut line = LineLabels::new(extra.to_vec());
        for _ in 0..2 {
            line.clear();
            line.push("zone", "us");
            line.push(METRIC_NAME, "up");
            line.push("host", "a");
            line.push("job", "");
            assert_eq!(line.get("zone"), Some("us"));
            let wanted = labels! { "__name__" => "up", "zone" => "eu" };
            assert_eq!(line.series().unwrap().as_bytes(), wanted.as_bytes());
        }
    }

    #[test]
    fn what_names_no_series_is_refused() {
        let mut line = LineLabels::default();
        for (pairs, wanted) in [
            (&[("a", "1")][..], "the series has no name"),
            (&[("__name__", "")], "the series has no name"),
            (&[("__name__", "x"), ("", "1")], "a label name is empty"),
            (
                &[("__name__", "x"), ("a", "1"), ("a", "2")],
                "label name \"a\" stands twice",
            ),
        ] {
            line.clear();
            pairs.iter().for_each(|(name, value)| line.push(name, value));
            assert_eq!(line.series().err(), Some(LabelFault(wanted.to_owned())));
        }
    }
}
