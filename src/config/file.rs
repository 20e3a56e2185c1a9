//! The TOML file: from text to values by setting, every fault with its line.

use super::resolve::{Given, Raw};
use super::settings::{self, Kind, SETTINGS, Setting};
use crate::io::{DiskFs, Fs, FsError};
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Largest configuration, certificate or key file.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The bytes of a small file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, FsError> {
    let file = DiskFs.open_read(path)?;
    let size = file.size()?;
    if size > FILE_BYTES_MAX {
        let source = std::io::Error::new(
            std::io::ErrorKind::FileTooLarge,
            "too large for what it should be",
        );
        return Err(FsError::new("read", path, source));
    }
    let mut bytes = vec![0; size as usize];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// Reads the text of the file called `name`; what does not fit goes to `faults`.
pub(super) fn parse(name: &str, text: &str, given: &mut Vec<Given>, faults: &mut Vec<String>) {
    let mut reader = Reader {
        name,
        text,
        given,
        faults,
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        reader.table("", table.get_ref());
    }
    for error in errors {
        let at = error.span().map_or(0, |span| span.start);
        reader.fault(at, error.message());
    }
}

struct Reader<'a> {
    name: &'a str,
    text: &'a str,
    given: &'a mut Vec<Given>,
    faults: &'a mut Vec<String>,
}

impl Reader<'_> {
    fn place(&self, at: usize) -> String {
        let before = self.text.as_bytes().iter().take(at);
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        format!("{}:{line}", self.name)
    }

    fn fault(&mut self, at: usize, what: &str) {
        let place = self.place(at);
        self.faults.push(format!("{place}: {what}"));
    }

    /// Reads a table; `prefix` is its name and a dot.
    fn table(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (key, value) in table.iter() {
            let name = format!("{prefix}{}", key.get_ref());
            let at = key.span().start;
            let inner = format!("{name}.");
            let is_table = SETTINGS.iter().any(|setting| setting.key.starts_with(&inner));
            match (settings::find(&name), value.get_ref()) {
                (Some(setting), value) => self.setting(setting, at, value),
                (None, DeValue::Table(table)) if is_table => self.table(&inner, table),
                (None, _) if is_table => self.fault(at, &format!("`{name}` is a table")),
                (None, _) => {
                    let hint = hint(&name, SETTINGS.iter().map(|setting| setting.key));
                    self.fault(at, &format!("unknown key `{name}`{hint}"));
                }
            }
        }
    }

    fn setting(&mut self, setting: &'static Setting, at: usize, value: &DeValue<'_>) {
        let raw = match (setting.kind, value) {
            (Kind::Map, DeValue::Table(table)) => self.map(setting, table),
            (Kind::Tables, DeValue::Array(items)) => self.tables(setting, items),
            (Kind::List, DeValue::Array(items)) => list(items).map(Raw::Text),
            (Kind::Tables, _) => Err(format!("`{0}` is a list of tables: [[{0}]]", setting.key)),
            (_, value) => scalar(value).map(Raw::Text),
        };
        match raw {
            Ok(raw) => self.given.push(Given {
                setting,
                raw,
                origin: self.place(at),
            }),
            Err(what) => self.fault(at, &format!("`{}`: {what}", setting.key)),
        }
    }

    fn map(&self, setting: &Setting, table: &DeTable<'_>) -> Result<Raw, String> {
        let pair = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
            let name: &std::borrow::Cow<'_, str> = key.get_ref();
            let text = scalar(value.get_ref()).map_err(|what| format!("{}.{name}: {what}", setting.key))?;
            Ok((name.to_string(), text))
        };
        table.iter().map(pair).collect::<Result<_, _>>().map(Raw::Map)
    }

    fn tables(&self, setting: &Setting, items: &[Spanned<DeValue<'_>>]) -> Result<Raw, String> {
        let row = |item: &Spanned<DeValue<'_>>| {
            let table = item.get_ref().as_table();
            let table = table.ok_or_else(|| format!("is a list of tables: [[{}]]", setting.key))?;
            let field = |(key, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
                let words = match value.get_ref() {
                    DeValue::Array(words) => words.iter().map(|word| scalar(word.get_ref())).collect(),
                    one => scalar(one).map(|word| vec![word]),
                };
                Ok((key.get_ref().to_string(), words?))
            };
            table.iter().map(field).collect::<Result<Vec<_>, String>>()
        };
        items.iter().map(row).collect::<Result<_, _>>().map(Raw::Tables)
    }
}

/// A value as it would stand in the environment.
fn scalar(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().to_owned()),
        DeValue::Boolean(yes) => Ok(yes.to_string()),
        other => Err(format!(
            "expected a text or a number and found a {}",
            other.type_str()
        )),
    }
}

/// A list as it would stand in the environment.
fn list(items: &[Spanned<DeValue<'_>>]) -> Result<String, String> {
    let texts: Result<Vec<String>, String> = items.iter().map(|item| scalar(item.get_ref())).collect();
    Ok(texts?.join(", "))
}

/// `; did you mean ...`, when one of the known names is near.
pub(super) fn hint<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let distance = |key: &str| {
        let short = key.rsplit('.').next().unwrap_or(key);
        edits(name, key).min(edits(name, short) + usize::from(short != key))
    };
    let nearest = known.map(|key| (distance(key), key)).min();
    match nearest.filter(|(edits, _)| *edits <= 1 + name.len() / 4) {
        Some((_, key)) => format!("; did you mean `{key}`?"),
        None => String::new(),
    }
}

/// Letters to insert, remove or replace to make one text of the other.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b.chars()) {
            let best = (corner + usize::from(x != y)).min(left + 1).min(*cell + 1);
            corner = std::mem::replace(cell, best);
            left = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        for (a, b, expected) in [
            ("", "", 0),
            ("abc", "abc", 0),
            ("kitten", "sitting", 3),
            ("", "ab", 2),
            ("ab", "b", 1),
        ] {
            assert_eq!(edits(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn the_nearest_key_is_suggested() {
        let known = || ["retention", "retention_bytes", "http.body_bytes"].into_iter();
        assert_eq!(hint("retenton", known()), "; did you mean `retention`?");
        assert_eq!(hint("body_bytes", known()), "; did you mean `http.body_bytes`?");
        assert_eq!(hint("scrape_configs", known()), "");
    }
}
