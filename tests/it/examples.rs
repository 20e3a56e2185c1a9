//! Runs every example and compares what it prints with the `Output:` block of its own header.
//!
//! The examples are compiled into this binary as modules: nothing is built twice, no process is started, and each
//! gets a fresh folder.

use std::error::Error;

#[path = "../../examples/columns.rs"]
#[expect(dead_code, reason = "`main` is for `cargo run --example`")]
mod columns;
#[path = "../../examples/embed.rs"]
#[expect(dead_code, reason = "`main` is for `cargo run --example`")]
mod embed;
#[path = "../../examples/iot.rs"]
#[expect(dead_code, reason = "`main` is for `cargo run --example`")]
mod iot;
#[path = "../../examples/query.rs"]
#[expect(dead_code, reason = "`main` is for `cargo run --example`")]
mod query;
#[path = "../../examples/tour_mandodb.rs"]
#[expect(dead_code, reason = "`main` is for `cargo run --example`")]
mod tour_mandodb;
#[path = "../../examples/tour_simple_store.rs"]
#[expect(dead_code, reason = "`main` is for `cargo run --example`")]
mod tour_simple_store;
#[path = "../../examples/tour_tstorage.rs"]
#[expect(dead_code, reason = "`main` is for `cargo run --example`")]
mod tour_tstorage;

/// The text between the fences behind `Output:`.
fn promised(source: &str) -> String {
    let header = source.lines().map_while(|line| line.strip_prefix("//!"));
    let behind = header.skip_while(|line| line.trim() != "Output:");
    let fenced = behind.skip_while(|line| line.trim() != "```text").skip(1);
    let lines = fenced.take_while(|line| line.trim() != "```");
    lines
        .map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line)))
        .collect()
}

/// Runs an example and compares. `runs` says how often, since an example may be run on the folder it left.
fn check(source: &str, runs: usize, mut example: impl FnMut(&mut Vec<u8>) -> Result<(), Box<dyn Error>>) {
    for _ in 0..runs {
        let mut out = Vec::new();
        if let Err(error) = example(&mut out) {
            panic!("{error}, after printing:\n{}", String::from_utf8_lossy(&out));
        }
        assert_eq!(String::from_utf8_lossy(&out), promised(source));
    }
}

#[test]
fn embed_prints_what_its_header_says() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = |out: &mut Vec<u8>| embed::run(folder.path(), out);
    check(include_str!("../../examples/embed.rs"), 2, run);
}

#[test]
fn iot_prints_what_its_header_says() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = |out: &mut Vec<u8>| iot::run(folder.path(), out);
    check(include_str!("../../examples/iot.rs"), 1, run);
}

#[test]
fn columns_prints_what_its_header_says() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = |out: &mut Vec<u8>| columns::run(folder.path(), out);
    check(include_str!("../../examples/columns.rs"), 1, run);
}

#[test]
fn query_prints_what_its_header_says() {
    check(include_str!("../../examples/query.rs"), 1, query::run);
}

#[test]
fn tour_mandodb_prints_what_its_header_says() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = |out: &mut Vec<u8>| tour_mandodb::run(folder.path(), out);
    check(include_str!("../../examples/tour_mandodb.rs"), 2, run);
}

#[test]
fn tour_tstorage_prints_what_its_header_says() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = |out: &mut Vec<u8>| tour_tstorage::run(folder.path(), out);
    check(include_str!("../../examples/tour_tstorage.rs"), 2, run);
}

#[test]
fn tour_simple_store_prints_what_its_header_says() {
    let run = |out: &mut Vec<u8>| tour_simple_store::run(out);
    check(include_str!("../../examples/tour_simple_store.rs"), 1, run);
}
