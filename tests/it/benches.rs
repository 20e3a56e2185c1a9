//! The benchmarks in small: every figure is printed, and what is read is what was written. No time is judged here.

#[path = "../../benches/mandodb.rs"]
#[expect(dead_code, reason = "`main` is for `cargo bench`")]
mod mandodb;
#[path = "../../benches/tstorage.rs"]
#[expect(dead_code, reason = "`main` is for `cargo bench`")]
#[expect(
    clippy::duplicate_mod,
    reason = "each is a program of its own, with what they share"
)]
mod tstorage;

fn lines(out: Vec<u8>) -> usize {
    let text = String::from_utf8(out).expect("text");
    assert!(!text.contains("NO"), "nothing is judged: {text}");
    text.lines().filter(|line| line.contains("published: ")).count()
}

#[test]
fn those_of_tstorage_work() {
    let mut out = Vec::new();
    tstorage::run(tstorage::common::Size::Small, &mut out).expect("it works");
    assert_eq!(lines(out), 5);
}

#[test]
fn that_of_mandodb_works() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut out = Vec::new();
    mandodb::run(mandodb::common::Size::Small, folder.path(), &mut out).expect("it works");
    assert_eq!(lines(out), 6);
}
