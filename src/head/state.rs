//! The state of a series in a checkpoint: its chunks as they are, so that a restart encodes nothing anew.
//!
//! | field | form |
//! |---|---|
//! | flags | u8: bit 0 there is a newest sample, bit 1 an open float chunk, bit 2 an open histogram chunk, bit 3 the newest sample is a histogram, bit 4 there are corrections or hidden parts |
//! | newest sample | timestamp, u64 bits of the newest float (if bit 0) |
//! | open float chunk | first timestamp, difference of the last two, window, unused bits, bytes (if bit 1) |
//! | open histogram chunk | encoding, first and last timestamp, bytes (if bit 2) |
//! | newest histogram | histogram (if bit 3) |
//! | sealed chunks | count, then per chunk: encoding, first and last timestamp, samples, bytes |
//! | start timestamps | count, then per run: timestamp, start timestamp |
//! | late floats | count, then per chunk: bytes |
//! | other late samples | count, then per sample: timestamp, start timestamp, kind (0 float, 1 histogram), value |
//! | exemplars | count, then per exemplar: as in a batch record |
//! | corrections | count, then per correction: as in a batch record, without id (if bit 4) |
//! | hidden parts | count, then per part: LSN of the deletion, sealed chunks, start timestamps, late samples, exemplars, count of corrections, corrections (if bit 4) |

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::late::LateSamples;
use super::rare::{Corrections, Hidden, Rare};
use super::series::{Extra, OpenHistogram, SealedChunk, Series};
use super::series_data::SeriesData;
use crate::base::bytes::{Corrupt, Cursor};
use crate::base::varint;
use crate::base::xor_window::Window;
use crate::chunk::{Encoding, HistogramAppender, Seam, XorAppender};
use crate::model::exemplar::Exemplar;
use crate::model::sample::Value;
use crate::model::starts::StartRuns;
use crate::wal::{batch, batch_decode, deletion, histogram};
use std::sync::Arc;

const HAS_LAST: u8 = 1;
const OPEN_FLOATS: u8 = 2;
const OPEN_HISTOGRAMS: u8 = 4;
const LAST_IS_HISTOGRAM: u8 = 8;
const RARE: u8 = 16;

/// Number of samples, smallest and largest timestamp of what was restored.
pub(super) type Restored = (u64, i64, i64);

impl Series {
    /// Writes everything that the generation holds of this series.
    pub(crate) fn write_state(&self, out: &mut Vec<u8>) {
        let empty = Extra::default();
        let extra = self.extra.as_deref().unwrap_or(&empty);
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        out.push(
            flag(self.has_last, HAS_LAST)
                | flag(self.open.count() > 0, OPEN_FLOATS)
                | flag(extra.histogram.is_some(), OPEN_HISTOGRAMS)
                | flag(extra.last_histogram.is_some(), LAST_IS_HISTOGRAM)
                | flag(extra.rare.is_some(), RARE),
        );
        if self.has_last {
            varint::write_i64(out, self.last_timestamp);
            out.extend_from_slice(&self.last_bits.to_le_bytes());
        }
        if self.open.count() > 0 {
            varint::write_i64(out, self.open_first);
            let seam = self.open.seam();
            varint::write_u64(out, seam.delta);
            out.extend_from_slice(&seam.window.parts());
            out.push(seam.free);
            let (header, stream) = self.open.parts();
            varint::write_u64(out, (header.len() + stream.len()) as u64);
            out.extend_from_slice(&header);
            out.extend_from_slice(stream);
        }
        if let Some(open) = &extra.histogram {
            out.push(Encoding::of(open.appender.kind()) as u8);
            varint::write_i64(out, open.first_timestamp);
            varint::write_i64(out, open.appender.last_timestamp());
            varint::write_bytes(out, open.appender.bytes());
        }
        if let Some(last) = &extra.last_histogram {
            histogram::write(out, last);
        }
        write_parts(&extra.sealed, &extra.starts, &extra.late, &extra.exemplars, out);
        if let Some(rare) = &extra.rare {
            write_rare(rare, out);
        }
    }

    /// Restores what [`Series::write_state`] wrote, into a new series.
    pub(crate) fn restore(&mut self, state: &[u8]) -> Result<Restored, Corrupt> {
        let mut cursor = Cursor::new(state);
        let flags = cursor.u8("series flags")?;
        let (mut samples, mut time_min, mut time_max) = (0, i64::MAX, i64::MIN);
        let mut note = |count: u64, first: i64, last: i64| {
            samples += count;
            time_min = time_min.min(first);
            time_max = time_max.max(last);
        };
        if flags & HAS_LAST != 0 {
            self.has_last = true;
            self.last_timestamp = cursor.ivarint("newest timestamp")?;
            self.last_bits = cursor.u64("newest value")?;
        }
        if flags & OPEN_FLOATS != 0 {
            self.open_first = cursor.ivarint("first timestamp")?;
            self.open = self.read_open(&mut cursor)?;
            note(u64::from(self.open.count()), self.open_first, self.open.last().0);
        }
        let mut extra = Extra::default();
        if flags & OPEN_HISTOGRAMS != 0 {
            let encoding = read_encoding(&mut cursor)?;
            let first_timestamp = cursor.ivarint("first timestamp")?;
            let last_timestamp = cursor.ivarint("last timestamp")?;
            let appender = HistogramAppender::resume(cursor.length_prefixed("open chunk")?, encoding.kind())?;
            note(u64::from(appender.count()), first_timestamp, last_timestamp);
            extra.histogram = Some(Box::new(OpenHistogram {
                appender,
                first_timestamp,
            }));
        }
        if flags & LAST_IS_HISTOGRAM != 0 {
            extra.last_histogram = Some(Arc::new(histogram::read(&mut cursor)?));
        }
        let mut parts = read_parts(&mut cursor)?;
        extra.rare = if flags & RARE != 0 {
            Some(Box::new(read_rare(&mut cursor)?))
        } else {
            None
        };
        let corrections = extra.rare.iter().flat_map(|rare| rare.corrections.keys());
        corrections.for_each(|timestamp| note(1, *timestamp, *timestamp));
        for hidden in extra.rare.iter().flat_map(|rare| &rare.hidden) {
            if let Some((first, last)) = hidden.data.bounds() {
                note(0, first, last);
            }
        }
        extra.sealed = std::mem::take(&mut parts.chunks);
        extra.late = std::mem::take(&mut parts.late);
        extra.starts = std::mem::take(&mut parts.starts);
        extra.exemplars = std::mem::take(&mut parts.exemplars);
        extra.sealed.iter().for_each(|chunk| {
            note(
                u64::from(chunk.count),
                chunk.first_timestamp,
                chunk.last_timestamp,
            );
        });
        if let Some((first, last)) = extra.late.bounds() {
            note(extra.late.count() as u64, first, last);
        }
        extra
            .exemplars
            .iter()
            .for_each(|exemplar| note(0, exemplar.timestamp, exemplar.timestamp));
        self.adopt(extra);
        Ok((samples, time_min, time_max))
    }

    /// The open float chunk, whose last sample is the newest of the series.
    fn read_open(&self, cursor: &mut Cursor<'_>) -> Result<XorAppender, Corrupt> {
        if !self.has_last {
            return Err(cursor.corrupt("open chunk without a newest sample"));
        }
        let delta = cursor.uvarint("timestamp difference")?;
        let parts = [cursor.u8("window")?, cursor.u8("window")?];
        let window = Window::from_parts(parts).ok_or_else(|| cursor.corrupt("window"))?;
        let free = cursor.u8("unused bits")?;
        let bytes = cursor.length_prefixed("open chunk")?;
        let last = (self.last_timestamp, self.last_bits);
        XorAppender::resume(bytes, last, Seam { delta, window, free })
    }
}

fn write_rare(rare: &Rare, out: &mut Vec<u8>) {
    write_corrections(&rare.corrections, out);
    varint::write_u64(out, rare.hidden.len() as u64);
    for Hidden { lsn, data } in &rare.hidden {
        varint::write_u64(out, *lsn);
        write_parts(&data.chunks, &data.starts, &data.late, &data.exemplars, out);
        let none = Corrections::new();
        write_corrections(data.rare.as_ref().map_or(&none, |rare| &rare.corrections), out);
    }
}

fn read_rare(cursor: &mut Cursor<'_>) -> Result<Rare, Corrupt> {
    let mut rare = Rare::default();
    rare.corrections = read_corrections(cursor)?;
    for _ in 0..cursor.length(cursor.remaining(), "number of hidden parts")? {
        let lsn = cursor.uvarint("LSN of a deletion")?;
        let mut data = read_parts(cursor)?;
        let corrections = read_corrections(cursor)?;
        if !corrections.is_empty() {
            data.rare.get_or_insert_default().corrections = corrections;
        }
        rare.hidden.push(Hidden { lsn, data });
    }
    Ok(rare)
}

fn write_corrections(corrections: &Corrections, out: &mut Vec<u8>) {
    varint::write_u64(out, corrections.len() as u64);
    for (class, sample) in corrections.values() {
        deletion::write_classed(out, *class, sample);
    }
}

fn read_corrections(cursor: &mut Cursor<'_>) -> Result<Corrections, Corrupt> {
    let mut corrections = Corrections::new();
    for _ in 0..cursor.length(cursor.remaining(), "number of corrections")? {
        let (class, sample) = deletion::read_classed(cursor)?;
        corrections.insert(sample.timestamp, (class, sample));
    }
    Ok(corrections)
}

fn write_parts(
    chunks: &[SealedChunk],
    starts: &StartRuns,
    late_samples: &LateSamples,
    exemplars: &[Exemplar],
    out: &mut Vec<u8>,
) {
    varint::write_u64(out, chunks.len() as u64);
    for chunk in chunks {
        out.push(chunk.encoding as u8);
        varint::write_i64(out, chunk.first_timestamp);
        varint::write_i64(out, chunk.last_timestamp);
        varint::write_u64(out, u64::from(chunk.count));
        varint::write_bytes(out, &chunk.bytes);
    }
    varint::write_u64(out, starts.as_slice().len() as u64);
    for (timestamp, start_timestamp) in starts.as_slice() {
        varint::write_i64(out, *timestamp);
        varint::write_i64(out, *start_timestamp);
    }
    let (late_chunks, other_late) = (late_samples.chunks(), late_samples.others());
    varint::write_u64(out, late_chunks.len() as u64);
    late_chunks.for_each(|chunk| varint::write_bytes(out, &chunk));
    varint::write_u64(out, other_late.len() as u64);
    for (timestamp, late) in other_late {
        varint::write_i64(out, *timestamp);
        varint::write_i64(out, late.start_timestamp);
        match &late.value {
            Value::Float(value) => {
                out.push(0);
                out.extend_from_slice(&value.to_bits().to_le_bytes());
            }
            Value::Histogram(value) => {
                out.push(1);
                histogram::write(out, value);
            }
        }
    }
    varint::write_u64(out, exemplars.len() as u64);
    for exemplar in exemplars {
        batch::write_exemplar(out, exemplar);
    }
}

fn read_parts(cursor: &mut Cursor<'_>) -> Result<SeriesData, Corrupt> {
    let mut parts = SeriesData::default();
    for _ in 0..cursor.length(cursor.remaining(), "number of chunks")? {
        let encoding = read_encoding(cursor)?;
        let first_timestamp = cursor.ivarint("first timestamp")?;
        let last_timestamp = cursor.ivarint("last timestamp")?;
        let count = u16::try_from(cursor.uvarint("samples of a chunk")?)
            .map_err(|_| cursor.corrupt("samples of a chunk"))?;
        let bytes = cursor.length_prefixed("chunk")?.into();
        parts.chunks.push(SealedChunk {
            first_timestamp,
            last_timestamp,
            encoding,
            count,
            bytes,
        });
    }
    let mut runs = Vec::new();
    for _ in 0..cursor.length(cursor.remaining(), "number of starts")? {
        runs.push((cursor.ivarint("timestamp")?, cursor.ivarint("start timestamp")?));
    }
    parts.starts = StartRuns::from_runs(runs);
    for _ in 0..cursor.length(cursor.remaining(), "number of chunks of late samples")? {
        parts
            .late
            .push_chunk(cursor.length_prefixed("chunk of late samples")?)?;
    }
    for _ in 0..cursor.length(cursor.remaining(), "number of late samples")? {
        let timestamp = cursor.ivarint("timestamp")?;
        let start_timestamp = cursor.ivarint("start timestamp")?;
        let value = match cursor.u8("kind of value")? {
            0 => Value::Float(f64::from_bits(cursor.u64("value")?)),
            1 => Value::Histogram(Arc::new(histogram::read(cursor)?)),
            _ => return Err(cursor.corrupt("kind of value")),
        };
        parts.late.insert(timestamp, value, start_timestamp);
    }
    for _ in 0..cursor.length(cursor.remaining(), "number of exemplars")? {
        parts.exemplars.push(batch_decode::read_exemplar(cursor)?);
    }
    Ok(parts)
}

fn read_encoding(cursor: &mut Cursor<'_>) -> Result<Encoding, Corrupt> {
    let number = cursor.u8("chunk encoding")?;
    Encoding::from_u8(number).ok_or_else(|| cursor.corrupt("chunk encoding"))
}
