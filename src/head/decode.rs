//! From chunks and late samples to samples in order of time.

use super::late::LateSamples;
use super::rare::{self, Rare};
use super::series_data::SeriesData;
use crate::base::bytes::Corrupt;
use crate::chunk::{self, Encoding};
use crate::model::sample::Value;
use crate::model::samples::Samples;
use std::sync::Arc;

/// Appends the samples of a chunk.
pub(crate) fn decode_chunk(encoding: Encoding, bytes: &[u8], out: &mut Samples) -> Result<(), Corrupt> {
    if encoding == Encoding::Xor {
        return chunk::xor::decode_into(bytes, &mut out.timestamps, &mut out.bits);
    }
    for sample in chunk::histogram_samples(bytes, encoding)? {
        let (timestamp, histogram) = sample?;
        out.histograms.push((timestamp, Arc::new(histogram)));
    }
    Ok(())
}

/// The value at `timestamp` in a chunk of the head; none is found in one that does not decode.
pub(super) fn find_in_chunk(encoding: Encoding, bytes: &[u8], timestamp: i64) -> Option<Value> {
    let mut samples = Samples::default();
    decode_chunk(encoding, bytes, &mut samples).ok()?;
    if let Ok(index) = samples.timestamps.binary_search(&timestamp) {
        return samples
            .bits
            .get(index)
            .map(|bits| Value::Float(f64::from_bits(*bits)));
    }
    let found = samples
        .histograms
        .into_iter()
        .find(|sample| sample.0 == timestamp)?;
    Some(Value::Histogram(found.1))
}

/// The samples of `data` within `from..=to`, in place of what `out` holds.
pub(crate) fn decode_data(data: &SeriesData, from: i64, to: i64, out: &mut Samples) -> Result<(), Corrupt> {
    out.clear();
    let chunks = data.chunks_within(from, to);
    let count: usize = chunks.iter().map(|chunk| usize::from(chunk.count)).sum();
    out.timestamps.reserve(count);
    out.bits.reserve(count);
    for chunk in chunks {
        decode_chunk(chunk.encoding, &chunk.bytes, out)?;
    }
    out.starts = data.starts.clone();
    out.trim(from, to);
    join_late(&data.late, from, to, out);
    join_corrections(data.rare.as_deref(), from, to, out);
    Ok(())
}

/// Merges late samples within `from..=to` into the ordered ones.
pub(super) fn join_late(late: &LateSamples, from: i64, to: i64, out: &mut Samples) {
    if !late.is_empty() {
        *out = Samples::join(vec![std::mem::take(out), late.samples(from, to)]);
    }
}

/// Settles corrections within `from..=to` against the ordinary samples.
pub(super) fn join_corrections(rare: Option<&Rare>, from: i64, to: i64, out: &mut Samples) {
    let corrections = rare.map(|rare| &rare.corrections).filter(|all| !all.is_empty());
    if let Some(corrections) = corrections {
        let corrected = rare::corrected(corrections, from, to);
        *out = Samples::join(vec![std::mem::take(out), corrected]);
    }
}
