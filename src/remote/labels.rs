//! Label sets as requests have them, decoded only for series that are not known by their key yet.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::proto::{Field, Message, bytes_at};
use crate::base::bytes::Corrupt;
use crate::model::labels::{self, METRIC_NAME};
use std::ops::Range;

/// The tags of a label's fields.
const NAME_TAG: u8 = 1 << 3 | 2;
const VALUE_TAG: u8 = 2 << 3 | 2;

/// Text of labels or references that does not stand together in the body is put together beside it.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    spans: Vec<Span>,
    aside: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    end: u32,
    is_aside: bool,
}

/// One series' text while its message is read.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    range: Range<usize>,
    /// Where this series' text begins in what is aside, once it is there.
    aside_from: Option<usize>,
}

impl Spans {
    /// Takes one more piece of a series' text.
    pub(crate) fn gather(&mut self, body: &[u8], gathered: &mut Gathered, piece: Range<usize>) {
        match gathered.aside_from {
            None if gathered.range.is_empty() => gathered.range = piece,
            None if gathered.range.end == piece.start => gathered.range.end = piece.end,
            None => {
                gathered.aside_from = Some(self.aside.len());
                let first = body.get(gathered.range.clone()).unwrap_or(&[]);
                self.aside.extend_from_slice(first);
                self.aside.extend_from_slice(body.get(piece).unwrap_or(&[]));
            }
            Some(_) => self.aside.extend_from_slice(body.get(piece).unwrap_or(&[])),
        }
    }

    /// Takes the text of a series that is complete, and returns it.
    pub(crate) fn push<'a>(&'a mut self, body: &'a [u8], gathered: &Gathered) -> &'a [u8] {
        let (range, is_aside) = match gathered.aside_from {
            None => (gathered.range.clone(), false),
            Some(from) => (from..self.aside.len(), true),
        };
        // A body is smaller than 4 GiB, and what is aside is not larger than the body.
        self.spans.push(Span {
            start: range.start as u32,
            end: range.end as u32,
            is_aside,
        });
        self.get(body, self.spans.len() - 1)
    }

    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// The text of a series.
    pub(crate) fn get<'a>(&'a self, body: &'a [u8], number: usize) -> &'a [u8] {
        let Some(span) = self.spans.get(number) else {
            return &[];
        };
        let text = if span.is_aside { &self.aside } else { body };
        text.get(span.start as usize..span.end as usize).unwrap_or(&[])
    }
}

/// Name and value as bytes.
pub(crate) type BytePair<'a> = (&'a [u8], &'a [u8]);

/// The name and value of one label message, as bytes.
pub(crate) fn byte_pair(body: &[u8], range: Range<usize>) -> Result<BytePair<'_>, Corrupt> {
    let mut message = Message::within(body, range);
    let (mut name, mut value): (&[u8], &[u8]) = (&[], &[]);
    if message.take_tag(NAME_TAG) {
        name = bytes_at(body, message.range("label name")?);
    }
    if message.take_tag(VALUE_TAG) {
        value = bytes_at(body, message.range("label value")?);
    }
    while let Some((number, field)) = message.next("label")? {
        match (number, field) {
            (1, Field::Range(range)) => name = bytes_at(body, range),
            (2, Field::Range(range)) => value = bytes_at(body, range),
            (1 | 2, _) => return Err(message.corrupt("label")),
            _ => {}
        }
    }
    Ok((name, value))
}

/// The name and value of one label message.
pub(crate) fn pair(body: &[u8], range: Range<usize>) -> Result<(&str, &str), Corrupt> {
    let at = range.start;
    let (name, value) = byte_pair(body, range)?;
    let text = |bytes, what| std::str::from_utf8(bytes).map_err(|_| Corrupt::new(what, at));
    Ok((
        text(name, "label name that is not UTF-8")?,
        text(value, "label value that is not UTF-8")?,
    ))
}

/// Appends the canonical labels to `out`, or says what is wrong with them. They are UTF-8.
pub(crate) fn canonical(pairs: &mut [BytePair<'_>], out: &mut Vec<u8>) -> Result<(), String> {
    let is_named = pairs
        .iter()
        .any(|pair| pair.0 == METRIC_NAME.as_bytes() && !pair.1.is_empty());
    let result = labels::canonicalize(pairs, out).map_err(|error| error.to_string());
    match result {
        Ok(()) if is_named => Ok(()),
        Ok(()) => Err(format!("no metric name in {}", in_words(pairs))),
        Err(fault) => Err(format!("{fault} in {}", in_words(pairs))),
    }
}

fn in_words(pairs: &[BytePair<'_>]) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes);
    let words: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{}={:?}", text(name), text(value)))
        .collect();
    format!("{{{}}}", words.join(", "))
}
