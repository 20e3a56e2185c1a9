//! The public surface as text: `surface.txt` lists every name that the library exports, with fields, variants and
//! methods, as the sources say it. A change shows up in review as a change of that file.
//!
//! `UPDATE_SURFACE=1 cargo test --test it surface` writes the file anew. The sources are read line by line, which is
//! enough for code that rustfmt has formatted.

#![expect(
    clippy::disallowed_methods,
    reason = "writes a file of the package when asked to"
)]

use crate::tidy::text::{TextFile, code_lines, files, root};
use std::collections::BTreeSet;

/// The names of all `pub use` items of `lib.rs`, the module `testing` included.
fn exported_names() -> BTreeSet<String> {
    let lib = files("src", &["lib.rs"]).remove(0);
    let code = code_lines(&lib.text).join(" ");
    let uses = code.split("pub use ").skip(1);
    let items = uses.filter_map(|rest| rest.split(';').next());
    items
        .flat_map(|item| {
            let group = item.rsplit("::").next().unwrap_or(item);
            let list = item.split_once('{').map_or(group, |parts| parts.1);
            list.trim_end_matches('}')
                .split(',')
                .map(str::trim)
                .map(str::to_owned)
        })
        .filter(|name| !name.is_empty())
        .collect()
}

/// The first word of `text`, up to what cannot be part of a name.
fn name_at(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

/// Behind `impl`, its generics, and the trait, the name of the type.
fn implementing_type(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("impl")?;
    if rest.contains(" for ") {
        return None; // Methods of a trait belong to the trait.
    }
    let rest = match rest.strip_prefix('<') {
        Some(generics) => generics.split_once("> ")?.1,
        None => rest.trim_start(),
    };
    Some(name_at(rest))
}

/// The kind of item a line at the margin declares, and its name.
fn declared(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix("pub ")?;
    let (kind, rest) = rest.split_once(' ')?;
    let kind = if kind == "const" && rest.starts_with("fn ") {
        "fn"
    } else {
        kind
    };
    let known = ["struct", "enum", "trait", "const", "fn", "type"].contains(&kind);
    known.then(|| (kind, name_at(rest.trim_start_matches("fn "))))
}

/// What the block at hand belongs to.
#[derive(Clone, Copy, PartialEq)]
enum Block<'a> {
    Fields(&'a str),
    Variants(&'a str),
    TraitMethods(&'a str),
    Methods(&'a str),
}

/// From `lines`, the first of which begins a declaration: all of it up to its body, on one line.
fn declaration(lines: &[String]) -> String {
    let mut text = String::new();
    for line in lines {
        text += line.trim();
        text.push(' ');
        if line.trim_end().ends_with(['{', ';', '}']) {
            break;
        }
    }
    let text = text.trim_end_matches([' ', '{', ';']);
    text.replace("( ", "(").replace(", )", ")").trim().to_owned()
}

/// One line per public thing of `file` that belongs to an exported name.
fn surface_of(file: &TextFile, exported: &BTreeSet<String>, out: &mut BTreeSet<String>) {
    let lines = code_lines(&file.text);
    let mut block = None;
    for (index, line) in lines.iter().enumerate() {
        if line.starts_with('}') {
            block = None;
        } else if let Some(owner) = implementing_type(line) {
            block = exported.contains(owner).then_some(Block::Methods(owner));
        } else if let Some((kind, name)) = declared(line).filter(|item| exported.contains(item.1)) {
            let head = declaration(&lines[index..]);
            out.insert(head.strip_prefix("pub ").unwrap_or(&head).to_owned());
            block = match kind {
                "struct" if line.ends_with('{') => Some(Block::Fields(name)),
                "enum" => Some(Block::Variants(name)),
                "trait" => Some(Block::TraitMethods(name)),
                _ => None,
            };
        } else if let Some(block) = block {
            let member = line.strip_prefix("    ").filter(|rest| !rest.starts_with(' '));
            let found = member.and_then(|member| member_of(block, member, &lines[index..]));
            out.extend(found);
        }
    }
}

/// A member that begins on this line, if it is public.
fn member_of(block: Block<'_>, member: &str, lines: &[String]) -> Option<String> {
    let is_name = member.starts_with(|c: char| c.is_ascii_uppercase());
    match block {
        Block::Fields(owner) => {
            let field = member.strip_prefix("pub ")?;
            Some(format!("{owner}.{}", field.trim_end_matches(',')))
        }
        Block::Variants(owner) if is_name => {
            // Attributes of fields belong to derived code.
            let variant = member.replace("#[from] ", "");
            Some(format!("{owner}::{}", variant.trim_end_matches([',', ' ', '{'])))
        }
        Block::TraitMethods(owner) if member.starts_with("fn ") => {
            Some(format!("{owner}::{}", declaration(lines)))
        }
        Block::Methods(owner) if member.starts_with("pub fn ") || member.starts_with("pub const ") => {
            let text = declaration(lines);
            Some(format!("{owner}::{}", text.strip_prefix("pub ").unwrap_or(&text)))
        }
        _ => None,
    }
}

#[test]
fn the_public_surface_is_the_one_written_down() {
    let exported = exported_names();
    let mut surface = BTreeSet::new();
    // Messages of the wire have names of what is exported, and are not.
    let is_ours = |file: &&TextFile| !file.is_tests() && !file.path.starts_with("src/remote/wire/");
    for file in files("src", &[".rs"]).iter().filter(is_ours) {
        surface_of(file, &exported, &mut surface);
    }
    let declared_names: BTreeSet<&str> = surface
        .iter()
        .filter_map(|line| line.split_once(' '))
        .map(|(_, rest)| name_at(rest.trim_start_matches("fn ")))
        .collect();
    let missing: Vec<&String> = exported
        .iter()
        .filter(|name| !declared_names.contains(name.as_str()))
        .collect();
    assert!(missing.is_empty(), "exported and not found: {missing:?}");

    let actual: String = surface.iter().map(|line| format!("{line}\n")).collect();
    let path = root().join("tests/it/surface.txt");
    if std::env::var_os("UPDATE_SURFACE").is_some() {
        std::fs::write(&path, &actual).expect("the list is written");
    }
    let written = std::fs::read_to_string(&path).expect("the list is there");
    let written: BTreeSet<&str> = written.lines().collect();
    let actual: BTreeSet<&str> = actual.lines().collect();
    let gone: Vec<_> = written.difference(&actual).collect();
    let new: Vec<_> = actual.difference(&written).collect();
    assert!(
        gone.is_empty() && new.is_empty(),
        "the public surface is not that of surface.txt; see the top of surface.rs\n  gone: {gone:#?}\n  new: {new:#?}"
    );
}
