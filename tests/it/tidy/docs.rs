//! The pages: links that lead somewhere, a code map without gaps, decisions in order.

use super::report;
use super::text::{TextFile, files, root, root_files};
use std::collections::BTreeSet;
use std::path::Path;

fn pages() -> Vec<TextFile> {
    let mut pages = root_files(&[".md"]);
    pages.extend(files("docs", &[".md"]));
    pages
}

/// The targets of `[text](target)` in one line.
fn link_targets(line: &str) -> Vec<&str> {
    line.match_indices("](")
        .filter_map(|(at, open)| line[at + open.len()..].split(')').next())
        .collect()
}

#[test]
fn links_lead_to_files() {
    let mut complaints = Vec::new();
    for page in pages() {
        let folder = Path::new(&page.path).parent().unwrap_or(Path::new("")).to_owned();
        for (index, line) in page.text.lines().enumerate() {
            for target in link_targets(line) {
                let file = target.split('#').next().unwrap_or("");
                if file.is_empty() || file.contains("://") {
                    continue;
                }
                if !root().join(&folder).join(file).exists() {
                    complaints.push(page.complaint(index, &format!("`{target}` leads nowhere")));
                }
            }
        }
    }
    report(&complaints);
}

#[test]
fn the_code_map_names_every_folder() {
    let map = root_files(&["ARCHITECTURE.md"]).remove(0);
    let folders: BTreeSet<String> = files("src", &[".rs"])
        .iter()
        .filter_map(|file| Some(file.path.rsplit_once('/')?.0.to_owned()))
        .filter(|folder| folder.matches('/').count() == 1)
        .collect();
    let complaints: Vec<String> = folders
        .iter()
        .filter(|folder| !map.text.contains(&format!("({folder})")))
        .map(|folder| map.complaint(0, &format!("the code map does not link to `{folder}`")))
        .collect();
    report(&complaints);
}

#[test]
fn decisions_are_numbered_without_gaps() {
    let complaints: Vec<String> = files("docs/decisions", &[".md"])
        .iter()
        .enumerate()
        .filter(|(index, page)| {
            !page
                .path
                .starts_with(&format!("docs/decisions/{:03}-", index + 1))
        })
        .map(|(index, page)| page.complaint(0, &format!("should be number {:03}", index + 1)))
        .collect();
    report(&complaints);
}

#[test]
fn commands_of_the_readme_exist() {
    let readme = root_files(&["README.md"]).remove(0);
    let mut complaints = Vec::new();
    for (index, line) in readme.text.lines().enumerate() {
        let mut words = line
            .split_whitespace()
            .map(|word| word.trim_end_matches(['`', ',', ')']));
        while let Some(word) = words.next() {
            let path = match word {
                "--example" => words.next().map(|name| format!("examples/{name}.rs")),
                "bash" => words.next().map(str::to_owned),
                _ => None,
            };
            if let Some(path) = path.filter(|path| !root().join(path).exists()) {
                complaints.push(readme.complaint(index, &format!("`{path}` does not exist")));
            }
        }
    }
    report(&complaints);
}

/// The first fenced block of `text` that begins with `fence`.
fn first_block<'a>(text: &'a str, fence: &str) -> &'a str {
    let behind = text.split_once(fence).map_or("", |parts| parts.1);
    behind.split_once("```").map_or("", |parts| parts.0)
}

#[test]
fn the_readme_shows_the_example_of_the_crate() {
    let readme = root_files(&["README.md"]).remove(0);
    let source = files("src", &["lib.rs"]).remove(0);
    let header = source.text.lines().map_while(|line| line.strip_prefix("//!"));
    let header: String = header
        .map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line)))
        .collect();
    let shown = first_block(&readme.text, "```rust\n");
    assert!(!shown.is_empty(), "the README has an example");
    assert_eq!(shown, first_block(&header, "```\n"));
}
