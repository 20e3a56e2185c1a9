//! The files of the package as text, and Rust lines without comments and literals.

#![expect(
    clippy::disallowed_methods,
    reason = "reads the sources themselves, not a database"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// One text file of the package.
pub(crate) struct TextFile {
    /// Path from the root of the package, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl TextFile {
    /// `path:line: what`, the line counted from 0 here and from 1 in print.
    pub(crate) fn complaint(&self, line_index: usize, what: &str) -> String {
        format!("{}:{}: {what}", self.path, line_index + 1)
    }

    /// Whether the file holds tests and nothing else.
    pub(crate) fn is_tests(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/") || self.path.starts_with("tests/")
    }
}

/// The root of the package.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below `folder` whose name ends with one of `endings`, sorted by path.
pub(crate) fn files(folder: &str, endings: &[&str]) -> Vec<TextFile> {
    let mut paths = Vec::new();
    collect(&root().join(folder), &mut paths);
    paths.retain(|path| {
        endings
            .iter()
            .any(|ending| path.to_string_lossy().ends_with(ending))
    });
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

/// The files directly in the root of the package whose name ends with one of `endings`.
pub(crate) fn root_files(endings: &[&str]) -> Vec<TextFile> {
    let mut paths: Vec<PathBuf> = entries(root())
        .into_iter()
        .filter(|path| path.is_file())
        .collect();
    paths.retain(|path| {
        endings
            .iter()
            .any(|ending| path.to_string_lossy().ends_with(ending))
    });
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> TextFile {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let path = path.strip_prefix(root()).unwrap_or(path);
    TextFile {
        path: path.to_string_lossy().replace('\\', "/"),
        text,
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries.filter_map(Result::ok).map(|entry| entry.path()).collect()
}

fn collect(folder: &Path, out: &mut Vec<PathBuf>) {
    for path in entries(folder) {
        if path.is_dir() {
            collect(&path, out);
        } else {
            out.push(path);
        }
    }
}

/// The lines of a Rust file with comments and the insides of string and character literals blanked out.
///
/// A small lexer: enough for code that rustfmt accepts, raw strings and nested block comments included.
pub(crate) fn code_lines(text: &str) -> Vec<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let (length, keep) = token(bytes, at);
        for &byte in &bytes[at..at + length] {
            out.push(if keep || byte == b'\n' { byte } else { b' ' });
        }
        at += length;
    }
    String::from_utf8_lossy(&out).lines().map(str::to_owned).collect()
}

/// Length of what starts at `at`, and whether it is code.
fn token(bytes: &[u8], at: usize) -> (usize, bool) {
    let rest = &bytes[at..];
    let after_word = at > 0 && is_word(bytes[at - 1]);
    match rest {
        [b'/', b'/', ..] => (line_length(rest), false),
        [b'/', b'*', ..] => (block_comment_length(rest), false),
        [b'"', ..] => (string_length(rest), false),
        [b'r', b'"' | b'#', ..] if !after_word => raw_string_length(rest, 1),
        [b'b', b'r', b'"' | b'#', ..] if !after_word => raw_string_length(rest, 2),
        [b'\'', b'\\', ..] => (char_length(rest, 2), false),
        [b'\'', _, b'\'', ..] => (3, false),
        _ => (1, true),
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn line_length(rest: &[u8]) -> usize {
    rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len())
}

fn block_comment_length(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] if depth == 1 => return at + 2,
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    rest.len()
}

fn string_length(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != b'"' {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

fn raw_string_length(rest: &[u8], prefix: usize) -> (usize, bool) {
    let hashes = rest[prefix..].iter().take_while(|&&byte| byte == b'#').count();
    let open = prefix + hashes;
    if rest.get(open) != Some(&b'"') {
        return (prefix, true); // A raw identifier.
    }
    let mut end = vec![b'"'];
    end.resize(1 + hashes, b'#');
    let body = &rest[open + 1..];
    let length = body.windows(end.len()).position(|window| window == end);
    (length.map_or(rest.len(), |at| open + 1 + at + end.len()), false)
}

fn char_length(rest: &[u8], from: usize) -> usize {
    let close = rest.iter().skip(from + 1).position(|&byte| byte == b'\'');
    close.map_or(rest.len(), |at| from + 1 + at + 1)
}

#[test]
fn comments_and_literals_are_blanked() {
    let text = "a // b\nc \"d // e\" f /* g /* h */ i */ j\nk r#\"l\" m\"# n 'o' '\\'' p<'q>\n";
    let lines = code_lines(text);
    let words: Vec<Vec<&str>> = lines
        .iter()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(words, [vec!["a"], vec!["c", "f", "j"], vec!["k", "n", "p<'q>"]]);
}
