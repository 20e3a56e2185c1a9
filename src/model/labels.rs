//! A label set in its canonical form: sorted by name, names unique, no empty values, all UTF-8.
//!
//! The canonical bytes (length, name, length, value, for each pair in order of name) are what is hashed, copied and
//! compared for equality; the order of two label sets is the order of their pairs, not of these bytes.

use crate::base::bytes::{Corrupt, Cursor};
use crate::base::{hash, varint};
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;

/// The label that holds the metric's name.
pub(crate) const METRIC_NAME: &str = "__name__";

/// 128-bit hash of a canonical label set; the identity of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LabelHash(pub u128);

/// Why a list of pairs is not a label set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LabelError {
    /// A label name is empty.
    #[error("a label name is empty")]
    EmptyName,
    /// The same name stands twice.
    #[error("label name {0:?} stands twice")]
    DuplicateName(String),
    /// A name or value is not UTF-8.
    #[error("label {0:?} is not valid UTF-8")]
    InvalidUtf8(String),
}

/// An owned, canonical label set.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Labels {
    bytes: Box<[u8]>,
}

impl Labels {
    /// Sorts the pairs, drops pairs with an empty value and refuses empty and duplicate names.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, LabelError> {
        let pairs: Vec<(N, V)> = pairs.into_iter().collect();
        let mut sorted: Vec<(&str, &str)> = pairs.iter().map(|(n, v)| (n.as_ref(), v.as_ref())).collect();
        let mut bytes = Vec::new();
        canonicalize(&mut sorted, &mut bytes)?;
        Ok(Self { bytes: bytes.into() })
    }

    /// As [`Labels::from_pairs`], for bytes that may not be UTF-8.
    pub fn from_byte_pairs<'a>(
        pairs: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Result<Self, LabelError> {
        let text = |bytes: &'a [u8]| {
            std::str::from_utf8(bytes)
                .map_err(|_| LabelError::InvalidUtf8(String::from_utf8_lossy(bytes).into_owned()))
        };
        let pairs = pairs
            .into_iter()
            .map(|(name, value)| Ok((text(name)?, text(value)?)));
        Self::from_pairs(pairs.collect::<Result<Vec<_>, LabelError>>()?)
    }

    /// Takes canonical bytes as they are.
    pub(crate) fn from_canonical(bytes: impl Into<Box<[u8]>>) -> Self {
        Self { bytes: bytes.into() }
    }

    /// The canonical bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same labels, borrowed.
    pub(crate) fn as_ref(&self) -> LabelsRef<'_> {
        LabelsRef { bytes: &self.bytes }
    }

    /// The pairs in order of name.
    pub fn iter(&self) -> LabelsIter<'_> {
        self.as_ref().iter()
    }

    /// The value of `name`, or `None` when the label is absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|pair| pair.0 == name).map(|pair| pair.1)
    }

    /// The value of `__name__`, or the empty string.
    pub fn metric_name(&self) -> &str {
        self.get(METRIC_NAME).unwrap_or("")
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The identity of the series with these labels.
    pub fn hash(&self) -> LabelHash {
        LabelHash(hash::hash_128(&self.bytes))
    }
}

/// Writes the canonical bytes of `pairs`, which are UTF-8, to `out`; `pairs` is left sorted.
pub(crate) fn canonicalize<N, V>(pairs: &mut [(N, V)], out: &mut Vec<u8>) -> Result<(), LabelError>
where
    N: AsRef<[u8]> + Ord + Copy,
    V: AsRef<[u8]> + Copy,
{
    if !pairs.is_sorted_by(|a, b| a.0 < b.0) {
        pairs.sort_unstable_by_key(|pair| pair.0);
        if let Some(twice) = pairs.windows(2).find(|two| two[0].0 == two[1].0) {
            let name = String::from_utf8_lossy(twice[0].0.as_ref());
            return Err(LabelError::DuplicateName(name.into_owned()));
        }
    }
    for (name, value) in pairs.iter().map(|pair| (pair.0.as_ref(), pair.1.as_ref())) {
        if name.is_empty() {
            return Err(LabelError::EmptyName);
        }
        if !value.is_empty() {
            varint::write_bytes(out, name);
            varint::write_bytes(out, value);
        }
    }
    Ok(())
}

/// The order of two canonical label sets.
pub(crate) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let (mut a, mut b) = (Cursor::new(a), Cursor::new(b));
    loop {
        let one = a.length_prefixed("label text").ok();
        let two = b.length_prefixed("label text").ok();
        match (one, two) {
            (Some(one), Some(two)) => match one.cmp(two) {
                Ordering::Equal => {}
                other => return other,
            },
            (one, two) => return one.is_some().cmp(&two.is_some()),
        }
    }
}

/// A borrowed, canonical label set.
#[derive(Clone, Copy)]
pub(crate) struct LabelsRef<'a> {
    bytes: &'a [u8],
}

impl<'a> LabelsRef<'a> {
    /// Takes canonical bytes as they are; see [`LabelsRef::check`] for bytes from disk.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Accepts bytes only when they are a canonical label set.
    pub(crate) fn check(bytes: &'a [u8]) -> Result<Self, Corrupt> {
        let mut cursor = Cursor::new(bytes);
        let mut last = "";
        while !cursor.is_empty() {
            let name = cursor.text("label name")?;
            let value = cursor.text("label value")?;
            if name <= last || value.is_empty() {
                return Err(cursor.corrupt("label set is not canonical"));
            }
            last = name;
        }
        Ok(Self { bytes })
    }

    pub(crate) fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The value of `__name__`, empty when there is none.
    pub(crate) fn metric_name(self) -> &'a str {
        let mut pairs = self.iter();
        let metric = pairs.find(|(name, _)| *name == METRIC_NAME);
        metric.map_or("", |(_, value)| value)
    }

    /// The pairs in order of name, without a look at their text.
    pub(crate) fn byte_pairs(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let mut cursor = Cursor::new(self.bytes);
        std::iter::from_fn(move || {
            let name = cursor.length_prefixed("label name").ok()?;
            Some((name, cursor.length_prefixed("label value").ok()?))
        })
    }

    pub(crate) fn iter(self) -> LabelsIter<'a> {
        LabelsIter {
            cursor: Cursor::new(self.bytes),
        }
    }
}

/// Iterator over the pairs of a label set, in order of name.
#[derive(Debug, Clone)]
pub struct LabelsIter<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Iterator for LabelsIter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let name = self.cursor.text("label name").ok()?;
        let value = self.cursor.text("label value").ok()?;
        Some((name, value))
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a str, &'a str);
    type IntoIter = LabelsIter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.bytes, &other.bytes)
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Borrow<[u8]> for Labels {
    fn borrow(&self) -> &[u8] {
        &self.bytes
    }
}

/// `name{label="value", ...}` as Prometheus prints it.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.metric_name())?;
        let mut rest = self.iter().filter(|pair| pair.0 != METRIC_NAME).peekable();
        if rest.peek().is_none() && !self.metric_name().is_empty() {
            return Ok(());
        }
        f.write_str("{")?;
        for (index, (name, value)) in rest.enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            if is_legacy_name(name) {
                write!(f, "{comma}{name}={value:?}")?;
            } else {
                write!(f, "{comma}{name:?}={value:?}")?;
            }
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn is_legacy_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes
        .first()
        .is_some_and(|first| first.is_ascii_alphabetic() || *first == b'_')
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// Builds [`Labels`] from literal pairs: `labels! { "__name__" => "up", "job" => "node" }`.
///
/// Panics when a name is empty or stands twice, which for literals is a mistake in the program.
#[macro_export]
macro_rules! labels {
    ($($name:expr => $value:expr),* $(,)?) => {{
        let pairs: &[(&str, &str)] = &[$(($name, $value)),*];
        match $crate::Labels::from_pairs(pairs.iter().copied()) {
            Ok(labels) => labels,
            Err(error) => panic!("labels!: {error}"),
        }
    }};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_sorted_and_empty_values_dropped() {
        let labels = labels! { "b" => "2", "a" => "1", "c" => "" };
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
        assert_eq!(labels.get("c"), None);
        assert_eq!(labels, labels! { "a" => "1", "b" => "2" });
        assert!(LabelsRef::check(labels.as_bytes()).is_ok());
    }

    #[test]
    fn duplicate_empty_and_invalid_names_are_refused() {
        assert_eq!(
            Labels::from_pairs([("a", "1"), ("a", "2")]),
            Err(LabelError::DuplicateName("a".into()))
        );
        assert_eq!(Labels::from_pairs([("", "1")]), Err(LabelError::EmptyName));
        let bad: [(&[u8], &[u8]); 1] = [(b"a", &[0xff])];
        assert!(matches!(
            Labels::from_byte_pairs(bad),
            Err(LabelError::InvalidUtf8(_))
        ));
    }

    #[test]
    fn order_is_by_pairs_not_by_encoded_bytes() {
        let short = labels! { "a" => "z" };
        let long = labels! { "a" => "zz" };
        let early = labels! { "a" => "bbbbbb" };
        assert!(short < long && early < short && labels! {} < early);
    }

    #[test]
    fn display_is_prometheus_notation() {
        let labels = labels! { "__name__" => "up", "job" => "a\"b", "x.y" => "z" };
        assert_eq!(labels.to_string(), r#"up{job="a\"b", "x.y"="z"}"#);
        assert_eq!(labels! { "__name__" => "up" }.to_string(), "up");
        assert_eq!(labels! {}.to_string(), "{}");
    }
}
