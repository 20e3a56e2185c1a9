//! What holds for every source file by itself: module docs, length, no `unsafe`, no loose ends, no machine's paths.

use super::report;
use super::text::{TextFile, code_lines, files, root_files};

const LINES_MAX: usize = 500;
const TEST_LINES_MAX: usize = 800;
/// The one file that may say `unsafe`.
const UNSAFE_HOME: &str = "src/io/mapped.rs";

/// Every Rust file of the package.
fn rust_files() -> Vec<TextFile> {
    ["src", "tests", "examples", "bars", "benches"]
        .into_iter()
        .flat_map(|folder| files(folder, &[".rs"]))
        .collect()
}

fn contains_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        !line[..at].ends_with(is_word) && !line[at + word.len()..].starts_with(is_word)
    })
}

#[test]
fn every_file_says_what_it_is_for() {
    let complaints: Vec<String> = rust_files()
        .iter()
        .filter(|file| !file.text.starts_with("//! "))
        .map(|file| file.complaint(0, "the file does not begin with `//!`"))
        .collect();
    report(&complaints);
}

#[test]
fn files_are_short() {
    let mut complaints = Vec::new();
    for file in rust_files() {
        let limit = if file.is_tests() {
            TEST_LINES_MAX
        } else {
            LINES_MAX
        };
        let lines = file.text.lines().count();
        if lines > limit {
            complaints.push(file.complaint(limit, &format!("{lines} lines, the limit is {limit}")));
        }
    }
    report(&complaints);
}

#[test]
fn unsafe_code_has_one_home() {
    let mut complaints = Vec::new();
    for file in rust_files().iter().filter(|file| file.path != UNSAFE_HOME) {
        for (index, line) in code_lines(&file.text).iter().enumerate() {
            if contains_word(line, "unsafe") {
                complaints.push(file.complaint(index, "`unsafe` outside of the file that may hold it"));
            }
        }
    }
    report(&complaints);
}

#[test]
fn nothing_is_left_for_later() {
    let banned = [
        ("todo!", "finish it or leave it out"),
        ("unimplemented!", "finish it or leave it out"),
        ("dbg!", "remove the debug print"),
        ("should_panic", "assert on a returned error instead"),
        ("#[ignore", "a test runs or does not exist"),
    ];
    let mut complaints = Vec::new();
    for file in rust_files() {
        for (index, line) in code_lines(&file.text).iter().enumerate() {
            for (word, advice) in banned {
                if line.contains(word) {
                    complaints.push(file.complaint(index, &format!("`{word}`: {advice}")));
                }
            }
        }
    }
    report(&complaints);
}

#[test]
fn texts_name_no_machine() {
    // Put together here so that this file does not name one itself.
    let folders = ["work", "tmp", "home", "root", "Users", "mnt"].map(|folder| format!("/{folder}/"));
    let texts = ["docs", ".ci", "scripts"].map(|folder| files(folder, &[""]));
    let texts = texts
        .into_iter()
        .flatten()
        .chain(root_files(&[".md", ".toml"]))
        .chain(rust_files());
    let mut complaints = Vec::new();
    for file in texts {
        for (index, line) in file.text.lines().enumerate() {
            // Links of the shape `src/io/root/` are relative and fine.
            let named = folders.iter().find(|folder| {
                line.match_indices(folder.as_str()).any(|(at, _)| {
                    !line[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-'))
                })
            });
            if let Some(folder) = named {
                complaints
                    .push(file.complaint(index, &format!("names a folder of some machine: `{folder}`")));
            }
        }
    }
    report(&complaints);
}

#[test]
fn dependencies_come_from_the_public_registry() {
    let public = "registry+https://github.com/rust-lang/crates.io-index";
    let mut complaints = Vec::new();
    for file in root_files(&["Cargo.lock"]) {
        for (index, line) in file.text.lines().enumerate() {
            if line.starts_with("source = ") && !line.contains(public) {
                complaints.push(file.complaint(index, "a dependency from elsewhere"));
            }
        }
    }
    report(&complaints);
}
