//! A JSON value and its text. Enough to print; nothing here reads JSON.

use std::fmt;

/// A JSON value. Objects keep the order in which they were built.
#[derive(Debug)]
pub(super) enum Json {
    Null,
    Int(i128),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(&'static str, Json)>),
}

impl From<u64> for Json {
    fn from(number: u64) -> Self {
        Self::Int(number.into())
    }
}

impl From<i64> for Json {
    fn from(number: i64) -> Self {
        Self::Int(number.into())
    }
}

impl From<usize> for Json {
    fn from(number: usize) -> Self {
        Self::Int(number as i128)
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl<T: Into<Json>> From<Option<T>> for Json {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl FromIterator<Json> for Json {
    fn from_iter<I: IntoIterator<Item = Json>>(items: I) -> Self {
        Self::List(items.into_iter().collect())
    }
}

impl Json {
    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        let inner = "  ".repeat(depth + 1);
        let outer = "  ".repeat(depth);
        match self {
            Self::Null => f.write_str("null"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Text(text) => write_text(text, f),
            Self::List(items) if items.is_empty() => f.write_str("[]"),
            Self::Object(fields) if fields.is_empty() => f.write_str("{}"),
            Self::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    f.write_str(if index == 0 { "[\n" } else { ",\n" })?;
                    f.write_str(&inner)?;
                    item.write(f, depth + 1)?;
                }
                write!(f, "\n{outer}]")
            }
            Self::Object(fields) => {
                for (index, (name, value)) in fields.iter().enumerate() {
                    f.write_str(if index == 0 { "{\n" } else { ",\n" })?;
                    write!(f, "{inner}\"{name}\": ")?;
                    value.write(f, depth + 1)?;
                }
                write!(f, "\n{outer}}}")
            }
        }
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

fn write_text(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("\"")?;
    for char in text.chars() {
        match char {
            '"' | '\\' => write!(f, "\\{char}")?,
            '\n' => f.write_str("\\n")?,
            char if u32::from(char) < 0x20 => write!(f, "\\u{:04x}", u32::from(char))?,
            char => write!(f, "{char}")?,
        }
    }
    f.write_str("\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_nested_and_escaped() {
        let value = Json::Object(vec![
            ("a", Json::List(vec![])),
            ("b", [Json::from(1u64), Json::Null].into_iter().collect()),
            ("c", Json::from("x\"\\\n\u{1}é")),
        ]);
        assert_eq!(
            value.to_string(),
            "{\n  \"a\": [],\n  \"b\": [\n    1,\n    null\n  ],\n  \"c\": \"x\\\"\\\\\\n\\u0001é\"\n}"
        );
    }
}
