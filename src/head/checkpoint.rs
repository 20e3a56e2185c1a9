//! Writing a checkpoint: the head as records, slab by slab, while batches go on in between.

use super::Head;
use super::append::define_pairs;
use super::slab::SLAB_SERIES;
use crate::model::labels::LabelHash;
use crate::wal::batch::BatchEncoder;
use std::sync::PoisonError;

/// A record is ended once it has so many bytes: well below what a record may have, and with room for a large series.
const RECORD_BYTES: usize = 8 << 20;

/// Makes the records of a checkpoint file. What comes after a slab was written is in the log file that was current at
/// the beginning or later ones, which stay.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    encoder: BatchEncoder,
    /// Pairs that this file defines already: 1 by pair id.
    pair_files: Vec<u32>,
    state: Vec<u8>,
    /// Label hashes of the slab at hand.
    hashes: Vec<LabelHash>,
}

impl Checkpointer {
    pub(crate) fn new() -> Self {
        Self {
            encoder: BatchEncoder::default(),
            pair_files: Vec::new(),
            state: Vec::new(),
            hashes: Vec::new(),
        }
    }

    /// The first records: the metadata that the next segment must hold.
    pub(crate) fn metadata(&mut self, head: &Head, out: &mut Vec<Vec<u8>>) {
        let state = head.metadata.lock().unwrap_or_else(PoisonError::into_inner);
        for (metric, entries) in &state.live {
            for (time, entry) in entries {
                self.encoder.metadata(metric, *time, entry);
                self.cut_record(RECORD_BYTES, out);
            }
        }
        drop(state);
        self.cut_record(1, out);
    }

    /// The records of one slab; `false` when there is no such slab. The slab is locked while no commit is under way and
    /// until it is written, so it is complete up to the last LSN of that moment; commits that do not meet it go on. The
    /// index is locked before the slab, as by every reader.
    pub(crate) fn slab(&mut self, head: &Head, slab_index: usize, out: &mut Vec<Vec<u8>>) -> bool {
        let writer = head.lock_in_background();
        let Some(slab) = writer.slabs.get(slab_index).cloned() else {
            return false;
        };
        let index = head.read_index();
        let locked = slab.lock();
        let first_id = slab_index as u32 * SLAB_SERIES;
        let ids = (first_id..).take(locked.series.len());
        let mut hashes = std::mem::take(&mut self.hashes);
        hashes.clear();
        hashes.extend(ids.map(|id| writer.map.hash_of(id)));
        self.encoder.slab(slab_index as u32, writer.last_lsn);
        let live = writer.live.number;
        drop(writer);
        for ((id, series), hash) in (first_id..).zip(&locked.series).zip(&hashes) {
            if !series.alive || locked.generation != live || !series.has_data() {
                continue;
            }
            define_pairs(&mut self.encoder, &mut self.pair_files, 1, &index, &series.pairs);
            let pairs = series.pairs.iter().map(|pair| pair.0);
            self.encoder.define_series(id, hash.0, pairs);
            self.state.clear();
            series.write_state(&mut self.state);
            self.encoder.state(id, &self.state);
            self.cut_record(RECORD_BYTES, out);
        }
        drop(locked);
        drop(index);
        self.hashes = hashes;
        self.cut_record(1, out);
        true
    }

    /// Ends the record at hand if it has that many bytes.
    fn cut_record(&mut self, bytes_min: usize, out: &mut Vec<Vec<u8>>) {
        if self.encoder.bytes() >= bytes_min {
            let mut record = Vec::with_capacity(self.encoder.bytes() + 64);
            self.encoder.finish(&mut record);
            out.push(record);
        }
    }
}
