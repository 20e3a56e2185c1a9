//! The layer table: a module names only modules of lower rank, and itself.
//!
//! The test reads `crate::x` paths, grouped imports and `super` chains that reach the root of the crate. Paths through
//! the crate's public face (`crate::Labels`) are refused as well, since they would hide which layer is meant.

use super::report;
use super::text::{TextFile, code_lines, files};

/// Modules by rank, lowest first. Modules of one rank do not know each other.
const RANKS: &[&[&str]] = &[
    &["base"],
    &["model", "io"],
    &["chunk", "column", "index", "wal"],
    &["sketch"],
    &["segment", "head"],
    &["rollup"],
    &["blocks", "engine", "records", "promql"],
    &["db"],
    &["remote", "config", "doors"],
    &["api"],
    &["cli"],
    &["fuzzing"],
];

/// Macros that live at the root of the crate by the rules of the language.
const ROOT_MACROS: &[&str] = &["labels"];

fn rank(module: &str) -> Option<usize> {
    RANKS.iter().position(|modules| modules.contains(&module))
}

/// `src/head/read.rs` is `["head", "read"]`, `src/head/mod.rs` is `["head"]`.
fn module_path(path: &str) -> Vec<&str> {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    path.trim_end_matches("/mod").split('/').collect()
}

/// The modules at the root of the crate that this text names, each with its line.
fn named_modules(path: &str, text: &str) -> Vec<(usize, String)> {
    let depth = module_path(path).len();
    let code = code_lines(text).join("\n");
    let mut named = Vec::new();
    let mut line_index = 0;
    let mut counted_to = 0;
    for (at, start) in roots(&code, depth) {
        line_index += code[counted_to..at].matches('\n').count();
        counted_to = at;
        for name in first_names(&code[start..]) {
            named.push((line_index, name.to_owned()));
        }
    }
    named
}

/// Where a path starts at the root of the crate: the offset of its first word, and of what follows the root.
fn roots(code: &str, depth: usize) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for word in ["crate::", "super::"] {
        for (at, _) in code.match_indices(word) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '$' | ':')) {
                continue;
            }
            let supers = code[at..].split("::").take_while(|part| *part == "super").count();
            if word == "crate::" {
                found.push((at, at + word.len()));
            } else if supers >= depth {
                found.push((at, at + supers * word.len()));
            }
        }
    }
    found.sort_unstable();
    found
}

/// `a::b` gives `a`; `{a::b, c::{d, e}}` gives `a` and `c`.
fn first_names(rest: &str) -> Vec<&str> {
    let Some(group) = rest.strip_prefix('{') else {
        return vec![leading_name(rest)];
    };
    let mut depth = 0;
    let mut names = Vec::new();
    let mut start = 0;
    for (at, byte) in group.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth > 0 => depth -= 1,
            b',' | b'}' if depth == 0 => {
                names.push(leading_name(group[start..at].trim_start()));
                start = at + 1;
                if byte == b'}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn leading_name(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

/// What is wrong with `file` naming `name`, if anything.
fn judge(own: &str, own_rank: usize, name: &str) -> Option<String> {
    if name == own || ROOT_MACROS.contains(&name) {
        return None;
    }
    match rank(name) {
        Some(other) if other < own_rank => None,
        Some(_) => Some(format!("`{own}` must not know `{name}`, which is not below it")),
        None => Some(format!("`{name}` is not a layer: name the module it comes from")),
    }
}

fn check(file: &TextFile) -> Vec<String> {
    let own = module_path(&file.path)[0];
    if matches!(own, "lib" | "main") {
        return Vec::new();
    }
    let Some(own_rank) = rank(own) else {
        return vec![file.complaint(0, "this module has no rank in the layer table")];
    };
    let depth = module_path(&file.path).len();
    let mut complaints = Vec::new();
    for (line_index, name) in named_modules(&file.path, &file.text) {
        // Inside an inline module a long `super` chain may end in the file's own folder; only layer names count there.
        let from_super = !code_line_has_crate_path(file, line_index, &name);
        if from_super && depth > 1 && rank(&name).is_none() {
            continue;
        }
        complaints.extend(judge(own, own_rank, &name).map(|what| file.complaint(line_index, &what)));
    }
    complaints
}

fn code_line_has_crate_path(file: &TextFile, line_index: usize, name: &str) -> bool {
    let line = file.text.lines().nth(line_index).unwrap_or("");
    line.contains(&format!("crate::{name}")) || line.contains("crate::{")
}

#[test]
fn modules_name_only_lower_layers() {
    let complaints: Vec<String> = files("src", &[".rs"]).iter().flat_map(check).collect();
    report(&complaints);
}

#[test]
fn the_check_finds_what_it_should() {
    let names = |path: &str, text: &str| -> Vec<String> {
        let mut names: Vec<String> = named_modules(path, text)
            .into_iter()
            .map(|named| named.1)
            .collect();
        names.sort_unstable();
        names
    };
    assert_eq!(
        names(
            "src/wal/record.rs",
            "use crate::{base::bytes::{A, B}, model::labels};\n"
        ),
        ["base", "model"]
    );
    assert_eq!(
        names(
            "src/wal/record.rs",
            "use super::super::head::x;\nuse super::writer;\n"
        ),
        ["head"]
    );
    assert_eq!(
        names("src/wal/mod.rs", "// crate::engine\nuse super::head;\n"),
        ["head"]
    );
    assert_eq!(
        names("src/model/labels.rs", "match $crate::Labels::new() {}\n"),
        Vec::<String>::new()
    );
    assert!(judge("wal", 2, "head").is_some() && judge("wal", 2, "index").is_some());
    assert!(judge("wal", 2, "Labels").is_some());
    assert!(judge("wal", 2, "base").is_none() && judge("wal", 2, "wal").is_none());
}
