//! Reads the files of `tests/golden/chunks`: samples and the chunks that a real Prometheus made of them.
//!
//! `scripts/golden-chunks.py` makes the files and describes their form.

use super::histogram::{Counts, Histogram, ResetHint, Span};
use std::path::Path;

/// One golden file.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) inputs: Vec<Input>,
    pub(crate) chunks: Vec<Chunk>,
}

/// All golden files.
#[expect(clippy::disallowed_methods, reason = "test data")]
pub(crate) fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/chunks");
    let case = |entry: std::fs::DirEntry| {
        let (inputs, chunks) = parse(&std::fs::read_to_string(entry.path()).unwrap());
        Case {
            name: entry.file_name().into_string().unwrap(),
            inputs,
            chunks,
        }
    };
    let cases: Vec<Case> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| case(entry.unwrap()))
        .collect();
    assert!(cases.len() > 30);
    cases
}

/// A sample that was sent.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    Float(i64, u64),
    Histogram(i64, Histogram),
}

/// A chunk that came back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) encoding: u8,
    pub(crate) bytes: Vec<u8>,
}

fn word(text: &str) -> u64 {
    u64::from_str_radix(&format!("{text:0<16}"), 16).unwrap()
}

fn number(text: &str) -> f64 {
    f64::from_bits(word(text))
}

fn list<T>(text: &str, item: impl Fn(&str) -> T) -> Vec<T> {
    if text == "-" {
        return Vec::new();
    }
    text.split(',').map(item).collect()
}

fn spans(text: &str) -> Vec<Span> {
    list(text, |span| {
        let (offset, length) = span.split_once(':').unwrap();
        Span {
            offset: offset.parse().unwrap(),
            length: length.parse().unwrap(),
        }
    })
}

fn histogram(kind: &str, parts: &[&str]) -> Histogram {
    let [
        hint,
        schema,
        threshold,
        sum,
        count,
        zero,
        pos_spans,
        pos,
        neg_spans,
        neg,
        bounds,
    ] = parts
    else {
        panic!("{parts:?}");
    };
    let counts = if kind == "int" {
        Counts::Int {
            count: count.parse().unwrap(),
            zero_count: zero.parse().unwrap(),
            positive: list(pos, |delta| delta.parse().unwrap()),
            negative: list(neg, |delta| delta.parse().unwrap()),
        }
    } else {
        Counts::Float {
            count: number(count),
            zero_count: number(zero),
            positive: list(pos, number),
            negative: list(neg, number),
        }
    };
    Histogram {
        reset_hint: ResetHint::from_u8(hint.parse().unwrap()).unwrap(),
        schema: schema.parse().unwrap(),
        zero_threshold: number(threshold),
        sum: number(sum),
        positive_spans: spans(pos_spans),
        negative_spans: spans(neg_spans),
        custom_values: list(bounds, number),
        counts,
    }
}

fn parse(text: &str) -> (Vec<Input>, Vec<Chunk>) {
    let (mut inputs, mut chunks) = (Vec::new(), Vec::new());
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let parts: Vec<&str> = line.split(' ').collect();
        match parts[0] {
            "sample" => inputs.push(Input::Float(parts[1].parse().unwrap(), word(parts[2]))),
            "chunk" => chunks.push(Chunk {
                encoding: parts[1].parse().unwrap(),
                bytes: (0..parts[2].len() / 2)
                    .map(|at| u8::from_str_radix(&parts[2][2 * at..2 * at + 2], 16).unwrap())
                    .collect(),
            }),
            kind => inputs.push(Input::Histogram(
                parts[1].parse().unwrap(),
                histogram(kind, &parts[2..]),
            )),
        }
    }
    (inputs, chunks)
}
