//! The head's memory, by part. Every part counts what is allocated, spare capacity included.

use super::Head;
use super::series::{Extra, SealedChunk, Series};
#[cfg(feature = "server")]
use super::slab::Slab;
use crate::index::LiveIndexBytes;
use std::mem::size_of;
#[cfg(feature = "server")]
use std::sync::Arc;
use std::sync::PoisonError;

/// Bytes of the head by part.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeadMemory {
    /// Series in memory.
    pub series: u64,
    /// State of the series: 2 cache lines and their label pairs.
    pub series_bytes: u64,
    /// Open chunks.
    pub open_chunk_bytes: u64,
    /// Sealed chunks, late samples, histograms, exemplars.
    pub sealed_bytes: u64,
    /// From label hash to series: table, hashes, successors.
    pub map_bytes: u64,
    /// Text of label names and values.
    pub index_text_bytes: u64,
    /// Label pairs and their tables.
    pub index_pair_bytes: u64,
    /// Lists of series by pair.
    pub index_posting_bytes: u64,
    /// Sorted copies of values, built for queries.
    pub index_cache_bytes: u64,
}

impl HeadMemory {
    /// The parts by name.
    pub fn parts(&self) -> Vec<(String, u64)> {
        let parts = [
            ("series", self.series_bytes),
            ("open chunks", self.open_chunk_bytes),
            ("sealed chunks", self.sealed_bytes),
            ("series map", self.map_bytes),
            ("index text", self.index_text_bytes),
            ("index pairs", self.index_pair_bytes),
            ("index postings", self.index_posting_bytes),
            ("index caches", self.index_cache_bytes),
        ];
        parts.map(|(name, bytes)| (name.to_owned(), bytes)).to_vec()
    }

    /// Adds that of another head.
    #[cfg(feature = "server")]
    pub(crate) fn add(&mut self, other: &Self) {
        self.series += other.series;
        self.series_bytes += other.series_bytes;
        self.open_chunk_bytes += other.open_chunk_bytes;
        self.sealed_bytes += other.sealed_bytes;
        self.map_bytes += other.map_bytes;
        self.index_text_bytes += other.index_text_bytes;
        self.index_pair_bytes += other.index_pair_bytes;
        self.index_posting_bytes += other.index_posting_bytes;
        self.index_cache_bytes += other.index_cache_bytes;
    }

    /// All parts together.
    pub fn total(&self) -> u64 {
        self.parts().iter().map(|part| part.1).sum()
    }
}

impl Head {
    /// Series in memory.
    pub(crate) fn series_count(&self) -> u64 {
        self.read_index().series_count()
    }

    /// Chunks in memory, open ones included. Walks over all series; locks one slab at a time.
    #[cfg(feature = "server")]
    pub(crate) fn chunk_count(&self) -> u64 {
        let slabs = self.slabs.read().unwrap_or_else(PoisonError::into_inner).clone();
        let chunks = |series: &Series| {
            let extra = series.extra.as_deref();
            let rare = extra.map_or(0, |extra| {
                extra.sealed.len() + usize::from(extra.histogram.is_some())
            });
            rare + usize::from(series.open.count() > 0)
        };
        let of_slab = |slab: &Arc<Slab>| -> usize {
            let locked = slab.lock();
            locked.series.iter().filter(|one| one.alive).map(chunks).sum()
        };
        slabs.iter().map(of_slab).sum::<usize>() as u64
    }

    /// Walks over everything; locks one part at a time.
    pub(crate) fn memory(&self) -> HeadMemory {
        let mut memory = HeadMemory {
            map_bytes: self.lock_writer().heap_bytes() as u64,
            ..HeadMemory::default()
        };
        let index: LiveIndexBytes = self.read_index().approximate_bytes();
        memory.index_text_bytes = index.text as u64;
        memory.index_pair_bytes = (index.pairs + index.tables + index.names) as u64;
        memory.index_posting_bytes = index.postings as u64;
        memory.index_cache_bytes = index.sorted_values as u64;
        let slabs = self.slabs.read().unwrap_or_else(PoisonError::into_inner).clone();
        for slab in slabs {
            let locked = slab.lock();
            memory.series_bytes += (locked.series.capacity() * size_of::<Series>()) as u64;
            for series in locked.series.iter().filter(|series| series.alive) {
                memory.series += 1;
                memory.series_bytes += (series.pairs.len() * 4) as u64;
                memory.open_chunk_bytes += series.open.heap_bytes() as u64;
                memory.sealed_bytes += series.extra.as_deref().map_or(0, extra_bytes);
            }
        }
        memory
    }
}

fn extra_bytes(extra: &Extra) -> u64 {
    let chunks: usize = extra.sealed.iter().map(|chunk| chunk.bytes.len() + 16).sum();
    let lists = extra.sealed.capacity() * size_of::<SealedChunk>() + extra.late.heap_bytes();
    (size_of::<Extra>() + chunks + lists) as u64
}
