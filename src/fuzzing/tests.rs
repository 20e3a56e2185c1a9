//! Every fuzz target on its valid inputs and on mutations of them: some hundred, or as many as `NARTHEX_MUTATIONS` says, for a
//! long look where there is no fuzzer.

use super::TARGETS;
use crate::base::hash;

const MUTATIONS: u64 = 400;

/// A random number below `end`, the same in every run.
fn below(seed: u64, what: u64, end: usize) -> usize {
    let word = hash::checksum_seeded(&seed.to_le_bytes(), what);
    (word % end.max(1) as u64) as usize
}

/// One to four changes: bits flipped, bytes set, the input cut, a piece moved or doubled.
fn mutate(bytes: &[u8], seed: u64) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for round in 0..1 + below(seed, 0, 4) as u64 {
        let at = below(seed, round * 8 + 1, out.len());
        let other = below(seed, round * 8 + 2, out.len());
        let length = below(seed, round * 8 + 3, 9).min(out.len() - at.max(other));
        match below(seed, round * 8 + 4, 7) {
            0..=2 if !out.is_empty() => out[at] ^= 1 << below(seed, round * 8 + 5, 8),
            3 if !out.is_empty() => out[at] = [0, 1, 0x7f, 0x80, 0xff][below(seed, round * 8 + 5, 5)],
            4 => out.truncate(at),
            5 => out.copy_within(at..at + length, other),
            _ => {
                let piece = out[at..at + length].to_vec();
                out.splice(other..other, piece);
            }
        }
    }
    out
}

fn run(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name);
    let target = target.expect("BUG: a target of the table");
    let seeds = (target.seeds)();
    assert!(!seeds.is_empty(), "{name} has valid inputs");
    let wanted = std::env::var("NARTHEX_MUTATIONS").ok();
    let mutations = wanted.and_then(|text| text.parse().ok()).unwrap_or(MUTATIONS);
    for (number, seed) in seeds.iter().enumerate() {
        (target.run)(seed);
        for mutation in 0..mutations / seeds.len() as u64 {
            (target.run)(&mutate(seed, mutation * 1_000 + number as u64));
        }
    }
    (target.run)(&[]);
}

/// One test for each target, so that a failure names it.
macro_rules! each_target {
    ($($name:ident)*) => {
        $(#[test] fn $name() { run(stringify!($name)); })*

        #[test]
        fn no_target_is_left_out() {
            let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

each_target! {
    backup_list
    batch_payload
    block_index
    block_meta
    block_series
    block_tombstones
    checkpoint
    column_group
    histogram_chunk
    histogram_column
    index_sections
    lines
    log_pages
    log_record
    manifest
    matcher
    otlp
    query
    read_request
    replay
    segment
    series_description
    series_state
    sketch
    time_columns
    wal
    write_v1
    write_v2
    xor_chunk
}
