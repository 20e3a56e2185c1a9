//! Tags: names with values, from pairs or from JSON of any depth.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use crate::base::bytes::{Corrupt, Cursor};
use crate::base::varint;
use serde_json::Value;
use std::collections::BTreeMap;

/// Names with values, sorted by name. Of several values for one name the last one counts.
///
/// Nested JSON is flattened: keys of objects within objects are joined by a dot. Numbers and booleans become text, lists
/// become JSON as text, and what is null is left out.
///
/// ```
/// use narthex::Tags;
///
/// let tags = Tags::from(serde_json::json!({ "room": "attic", "rack": { "row": 3 } }));
/// assert_eq!(tags.get("rack.row"), Some("3"));
/// assert_eq!(tags, Tags::from([("rack.row", "3"), ("room", "attic")]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Tags(BTreeMap<String, String>);

impl Tags {
    /// The value of a tag.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Sets a tag.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    /// Names and values, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        for (name, value) in &self.0 {
            varint::write_bytes(out, name.as_bytes());
            varint::write_bytes(out, value.as_bytes());
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Corrupt> {
        pairs(bytes)
            .map(|pair| pair.map(|(name, value)| (name.to_owned(), value.to_owned())))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether encoded tags have all of these.
    pub(crate) fn are_in(&self, bytes: &[u8]) -> Result<bool, Corrupt> {
        let mut found = 0;
        for pair in pairs(bytes).take_while(|_| !self.is_empty()) {
            let (name, value) = pair?;
            found += usize::from(self.get(name) == Some(value));
        }
        Ok(found == self.len())
    }

    fn add(&mut self, name: String, value: Value) {
        match value {
            Value::Null => {}
            Value::String(text) => self.insert(name, text),
            Value::Object(inner) => {
                for (key, value) in inner {
                    let name = if name.is_empty() {
                        key
                    } else {
                        format!("{name}.{key}")
                    };
                    self.add(name, value);
                }
            }
            other => self.insert(name, other.to_string()),
        }
    }
}

/// Names and values of encoded tags, up to the first that does not decode.
fn pairs(bytes: &[u8]) -> impl Iterator<Item = Result<(&str, &str), Corrupt>> {
    let mut cursor = Cursor::new(bytes);
    let mut is_broken = false;
    std::iter::from_fn(move || {
        if cursor.is_empty() || is_broken {
            return None;
        }
        let mut pair = || Ok((cursor.text("name of a tag")?, cursor.text("value of a tag")?));
        let pair = pair();
        is_broken = pair.is_err();
        Some(pair)
    })
}

impl From<Value> for Tags {
    /// What is not an object gives no tags, but for one without a name.
    fn from(value: Value) -> Self {
        let mut tags = Self::default();
        tags.add(String::new(), value);
        tags
    }
}

impl<N: Into<String>, V: Into<String>, const COUNT: usize> From<[(N, V); COUNT]> for Tags {
    fn from(pairs: [(N, V); COUNT]) -> Self {
        pairs.into_iter().collect()
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Tags {
    fn from_iter<T: IntoIterator<Item = (N, V)>>(pairs: T) -> Self {
        let pairs = pairs.into_iter();
        Self(pairs.map(|(name, value)| (name.into(), value.into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn nested_json_is_flattened() {
        let tags = Tags::from(json!({
            "a": 1, "b": { "c": true, "d": { "e": "f" }, "n": null }, "l": [1, "x"], "": { "g": 2.5 }
        }));
        let pairs: Vec<(&str, &str)> = tags.iter().collect();
        assert_eq!(
            pairs,
            [
                ("a", "1"),
                ("b.c", "true"),
                ("b.d.e", "f"),
                ("g", "2.5"),
                ("l", "[1,\"x\"]")
            ]
        );
        assert!(Tags::from(Value::Null).is_empty());
    }

    proptest! {
        #[test]
        fn round_trip(pairs: Vec<(String, String)>) {
            let tags: Tags = pairs.into_iter().collect();
            let mut bytes = Vec::new();
            tags.encode(&mut bytes);
            prop_assert_eq!(Tags::decode(&bytes), Ok(tags.clone()));
            prop_assert_eq!(tags.are_in(&bytes), Ok(true));
            let mut more = tags.clone();
            more.insert("one more", "x");
            prop_assert_eq!(more.are_in(&bytes), Ok(tags.get("one more") == Some("x")));
        }

        #[test]
        fn any_bytes_return(bytes: Vec<u8>) {
            let _ = Tags::decode(&bytes);
            let _ = Tags::from([("a", "b")]).are_in(&bytes);
        }
    }
}
