//! A block, open for reading: its series in order of their labels, each with its samples.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::BlockError;
use super::chunk_file::ChunkReader;
use super::index_read::Index;
use super::index_write::SERIES_ALIGN;
use super::meta::BlockMeta;
use super::tombstones::{Tombstones, is_within};
use crate::base::bytes::Corrupt;
use crate::chunk::{Encoding, histogram_samples, xor};
use crate::io::Fs;
use crate::model::histogram::{Histogram, ResetHint};
use crate::model::labels::{LabelError, Labels};
use std::path::{Path, PathBuf};

/// An open block. Every checksum of what is read is verified.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) meta: BlockMeta,
    pub(crate) dir: PathBuf,
    index: Index,
    chunks: ChunkReader,
    tombstones: Tombstones,
    next: usize,
}

/// A series of a block with what was not deleted of its samples. Its memory is used again for the next one.
#[derive(Debug)]
pub(crate) struct BlockSeries {
    /// A label set, or why it is none.
    pub(crate) labels: Result<Labels, LabelError>,
    pub(crate) timestamps: Vec<i64>,
    /// Of the floats at `timestamps`.
    pub(crate) bits: Vec<u64>,
    pub(crate) histograms: Vec<(i64, Histogram)>,
    /// Samples that tombstones took away.
    pub(crate) deleted: u64,
}

impl Default for BlockSeries {
    fn default() -> Self {
        Self {
            labels: Ok(Labels::default()),
            timestamps: Vec::new(),
            bits: Vec::new(),
            histograms: Vec::new(),
            deleted: 0,
        }
    }
}

impl BlockSeries {
    pub(crate) fn len(&self) -> usize {
        self.timestamps.len() + self.histograms.len()
    }

    fn clear(&mut self) {
        self.timestamps.clear();
        self.bits.clear();
        self.histograms.clear();
        self.deleted = 0;
    }

    /// Drops what lies in one of these ranges.
    fn delete(&mut self, ranges: &[(i64, i64)]) {
        let before = self.len();
        let mut kept = self.timestamps.iter().map(|time| !is_within(ranges, *time));
        self.bits.retain(|_| kept.next().unwrap_or(true));
        self.timestamps.retain(|time| !is_within(ranges, *time));
        self.histograms
            .retain(|histogram| !is_within(ranges, histogram.0));
        self.deleted += (before - self.len()) as u64;
    }
}

impl Block {
    pub(crate) fn open(fs: &dyn Fs, dir: &Path) -> Result<Self, BlockError> {
        Ok(Self {
            meta: BlockMeta::read(fs, dir)?,
            dir: dir.to_owned(),
            index: Index::open(fs, dir)?,
            chunks: ChunkReader::open(fs, dir)?,
            tombstones: Tombstones::read(fs, dir)?,
            next: 0,
        })
    }

    /// Verifies the checksums of all series and of all chunks that they have, and that series are in order.
    pub(crate) fn check(&mut self) -> Result<(), BlockError> {
        let mut last: Option<Labels> = None;
        for rank in 0..self.index.series_count() {
            let Some(series) = self.index.series(rank)? else {
                break;
            };
            if let Ok(labels) = series.labels {
                if last.as_ref().is_some_and(|last| *last >= labels) {
                    let fault = Corrupt::new("series are not in the order of their labels", 0);
                    return Err(
                        super::corrupt(self.index.path(), series.number * SERIES_ALIGN, &fault).into(),
                    );
                }
                last = Some(labels);
            }
            for chunk in &series.chunks {
                self.chunks.chunk(chunk.reference)?;
            }
        }
        Ok(())
    }

    /// Begins again with the first series.
    pub(crate) fn rewind(&mut self) {
        self.next = 0;
    }

    /// Reads the next series; `false` when there is none.
    pub(crate) fn next_into(&mut self, series: &mut BlockSeries) -> Result<bool, BlockError> {
        let Some(indexed) = self.index.series(self.next)? else {
            return Ok(false);
        };
        self.next += 1;
        series.clear();
        for chunk in &indexed.chunks {
            let (encoding, bytes) = self.chunks.chunk(chunk.reference)?;
            if let Err(corrupt) = decode(encoding, bytes, series) {
                let path = self.chunks.path(chunk.reference);
                let offset = chunk.reference & u64::from(u32::MAX);
                return Err(super::corrupt(&path, offset, &corrupt).into());
            }
        }
        let deleted = self.tombstones.of(indexed.number);
        if !deleted.is_empty() {
            series.delete(deleted);
        }
        series.labels = indexed.labels;
        Ok(true)
    }
}

fn decode(encoding: Encoding, bytes: &[u8], series: &mut BlockSeries) -> Result<(), Corrupt> {
    if encoding == Encoding::Xor {
        return xor::decode_into(bytes, &mut series.timestamps, &mut series.bits);
    }
    let samples = histogram_samples(bytes, encoding)?;
    // What the writer knew of a reset before the chunk stands in its header only.
    let is_reset = samples.header() == ResetHint::Reset;
    for (place, sample) in samples.enumerate() {
        let (timestamp, mut histogram) = sample?;
        if place == 0 && is_reset {
            histogram.reset_hint = ResetHint::Reset;
        }
        series.histograms.push((timestamp, histogram));
    }
    Ok(())
}
