//! The segment codec of one series' histograms: runs of samples, in each a column per count.
//!
//! One stream of bits, highest first; "number" and "sized" are the codes of `coder`, "columns" those of `columns`:
//!
//! | bits | meaning |
//! |---|---|
//! | number | samples; nothing follows when there are none |
//! | sized, sized, columns code | zig-zag first timestamp, zig-zag first difference, then zig-zag delta-of-deltas |
//! | runs | until there are as many samples |
//!
//! A run:
//!
//! | bits | meaning |
//! |---|---|
//! | 1; number | 1: the run goes to the end; 0: its length less one follows |
//! | 1; form | not in the first run; 1: form as in the run before; else, and in the first run, see `shape` |
//! | number, numbers | how many samples had an explicit reset; of each the distance to the one before |
//! | 4, columns | power of ten of the sums and their mantissas; 15 and their bits |
//!
//! and in a run of other than stale markers:
//!
//! | bits | meaning |
//! |---|---|
//! | 1; layout | as for the form: the last layout of the run before, or a layout, see `shape` |
//! | number, changes | changes of layout: distance to the change before, 0 and a new layout or its place in the run, from 1 |
//! | 4 | floats only: power of ten of the counts, whose mantissas then stand for them; 15: their bits stand for them |
//! | columns | zero count and buckets; a bucket that a sample has not is 0 in its column |
//! | 1; columns | not for bits: 1: the count is the sum of the columns before; 0: what it has more |
//! | columns | for bits: the count |
//!
//! Gauge and explicit reset are kept of the reset hints, the others come back as unknown: whoever reads compares the
//! counts. Everything else comes back bit for bit.

mod coder;
mod columns;
mod decode;
mod flat;
mod run;
mod shape;
#[cfg(test)]
mod tests;

use crate::base::bits::BitWriter;
use crate::base::bytes::Corrupt;
use crate::base::varint::zigzag;
use crate::model::histogram::Histogram;
use coder::{Encoder, write_number, write_sized};
use columns::Columns;
use flat::{Flat, common_exponent, mantissa};
use run::Run;
use shape::{Form, Layout, Layouts};
use std::borrow::Borrow;

/// Most buckets of one histogram that can be stored.
pub(crate) const BUCKETS_MAX: usize = 1 << 12;
/// Most samples that can be encoded at once.
pub(crate) const SAMPLES_MAX: usize = 1 << 16;
/// Most words of all columns of a series: a run's columns are at most twice what a sample has, and 65 more.
const CELLS_MAX: usize = 1 << 25;
/// In place of a power of ten: the bits of the floats themselves.
const RAW: u64 = 15;
/// Mean that the code of delta-of-deltas begins with.
const TIMES_MEAN: u64 = 1;

/// Encodes the samples of one series, in time order: at most [`SAMPLES_MAX`], each with at most [`BUCKETS_MAX`]
/// buckets, together at most 2^23 buckets.
pub(crate) fn encode<H: Borrow<Histogram>>(samples: &[(i64, H)], out: &mut Vec<u8>) {
    let mut bits = BitWriter::default();
    write_number(&mut bits, samples.len() as u64);
    write_timestamps(&mut bits, samples);
    let mut rest = samples;
    let mut before = Before::default();
    while !rest.is_empty() {
        let run = Run::first_of(rest);
        rest = &rest[run.len()..];
        write_run(&mut bits, &run, &before, rest.is_empty());
        if !run.form.stale {
            before.layout = Some(run.last_layout().clone());
        }
        before.form = Some(run.form);
    }
    out.extend_from_slice(&bits.bytes);
}

/// What a run may share with the ones before it. Stale markers have no layout.
#[derive(Debug, Default)]
struct Before {
    form: Option<Form>,
    layout: Option<Layout>,
}

/// The samples of a series; of the reset hints only gauge and reset. Refuses bytes that [`encode`] cannot have made.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<(i64, Histogram)>, Corrupt> {
    decode::series(bytes)
}

/// How many samples [`decode`] would give back.
pub(crate) fn count(bytes: &[u8]) -> Result<u64, Corrupt> {
    decode::count(bytes)
}

fn write_timestamps<H>(out: &mut BitWriter, samples: &[(i64, H)]) {
    let mut timestamps = samples.iter().map(|(timestamp, _)| *timestamp);
    let Some(mut before) = timestamps.next() else {
        return;
    };
    write_sized(out, zigzag(before));
    let mut encoder = Encoder::new(TIMES_MEAN);
    let mut step = None;
    for timestamp in timestamps {
        let next = timestamp.wrapping_sub(before);
        match step {
            None => write_sized(out, zigzag(next)),
            Some(step) => encoder.put(out, zigzag(next.wrapping_sub(step))),
        }
        step = Some(next);
        before = timestamp;
    }
    encoder.finish(out);
}

fn write_run(out: &mut BitWriter, run: &Run, before: &Before, is_last: bool) {
    out.bit(is_last);
    if !is_last {
        write_number(out, run.len() as u64 - 1);
    }
    let same_form = before.form.as_ref() == Some(&run.form);
    if before.form.is_some() {
        out.bit(same_form);
    }
    if !same_form {
        run.form.write(out);
    }
    write_number(out, run.resets.len() as u64);
    let mut start = 0;
    for &reset in &run.resets {
        write_number(out, (reset - start) as u64);
        start = reset;
    }
    write_sums(out, &run.sums);
    if !run.form.stale {
        write_layouts(out, run, before.layout.as_ref());
        write_counts(out, run);
    }
}

fn write_sums(out: &mut BitWriter, sums: &[u64]) {
    let exponent = common_exponent(sums.iter().copied());
    let (code, words) = scaled(exponent, sums.iter().copied());
    out.short(code, 4);
    let columns = Columns {
        samples: sums.len(),
        words,
    };
    columns.write(out, code == RAW);
}

/// The words in decimal when there is an exponent, as they are when there is none.
fn scaled(exponent: Option<u32>, words: impl Iterator<Item = u64> + Clone) -> (u64, Vec<u64>) {
    let decimal = exponent.and_then(|exponent| {
        let mantissas: Option<Vec<u64>> = words.clone().map(|word| mantissa(word, exponent)).collect();
        Some((u64::from(exponent), mantissas?))
    });
    decimal.unwrap_or_else(|| (RAW, words.collect()))
}

fn write_layouts(out: &mut BitWriter, run: &Run, before: Option<&Layout>) {
    let first = &run.layouts[0];
    let same = before == Some(first);
    if before.is_some() {
        out.bit(same);
    }
    if !same {
        first.write(out);
    }
    write_number(out, run.changes.len() as u64);
    let (mut start, mut known) = (0, 1);
    for &(sample, layout) in &run.changes {
        write_number(out, (sample - start) as u64);
        start = sample;
        if layout == known {
            write_number(out, 0);
            run.layouts[layout].write(out);
            known += 1;
        } else {
            write_number(out, layout as u64 + 1);
        }
    }
}

fn write_counts(out: &mut BitWriter, run: &Run) {
    let mut raw = false;
    let mut decimal = None;
    if run.form.float {
        let words = || run.flats.iter().flat_map(Flat::words);
        let exponent = common_exponent(words()).filter(|&e| words().all(|word| mantissa(word, e).is_some()));
        out.short(exponent.map_or(RAW, u64::from), 4);
        raw = exponent.is_none();
        decimal = exponent.map(|exponent| {
            let integer = |word| mantissa(word, exponent).unwrap_or(0);
            run.flats.iter().map(|flat| flat.map(integer)).collect::<Vec<_>>()
        });
    }
    let flats = decimal.as_deref().unwrap_or(&run.flats);
    buckets_matrix(run, flats).write(out, raw);
    let counts = |less_buckets: bool| {
        let words = flats.iter().map(|flat| {
            let in_buckets = flat.words().skip(1).fold(0u64, u64::wrapping_add);
            if less_buckets {
                flat.count.wrapping_sub(in_buckets)
            } else {
                flat.count
            }
        });
        Columns {
            samples: flats.len(),
            words: words.collect(),
        }
    };
    if raw {
        return counts(false).write(out, true);
    }
    let extra = counts(true);
    let derived = extra.words.iter().all(|&word| word == 0);
    out.bit(derived);
    if !derived {
        extra.write(out, false);
    }
}

/// Zero count and buckets over time, column after column.
fn buckets_matrix(run: &Run, flats: &[Flat]) -> Columns {
    let samples = flats.len();
    let layouts = Layouts::new(run.layouts.clone());
    let mut words = vec![0u64; samples * (layouts.width + 1)];
    let mut changes = run.changes.iter().peekable();
    let mut columns = &layouts.columns[0];
    for (sample, flat) in flats.iter().enumerate() {
        if let Some((_, layout)) = changes.next_if(|change| change.0 == sample) {
            columns = &layouts.columns[*layout];
        }
        words[sample] = flat.zero_count;
        for (&column, &bucket) in columns.iter().zip(&flat.buckets) {
            words[(column + 1) * samples + sample] = bucket;
        }
    }
    Columns { samples, words }
}
