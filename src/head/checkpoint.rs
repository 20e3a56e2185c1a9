//! Writing a checkpoint: the head as records, slab by slab, while batches go on in between.

use super::Head;
use super::append::define_pairs;
use super::slab::SLAB_SERIES;
use crate::wal::batch::BatchEncoder;
use std::sync::PoisonError;

/// A record is ended once it has so many bytes: well below what a record may have, and with room for a large series.
const RECORD_BYTES: usize = 8 << 20;

/// Makes the records of a checkpoint file. The log was rotated before, so that what comes after a slab was written is
/// in the files that stay.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    encoder: BatchEncoder,
    /// Pairs that this file defines already: 1 by pair id.
    pair_files: Vec<u32>,
    state: Vec<u8>,
}

impl Checkpointer {
    pub(crate) fn new() -> Self {
        Self {
            encoder: BatchEncoder::default(),
            pair_files: Vec::new(),
            state: Vec::new(),
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

    /// The records of one slab; `false` when there is no such slab. The writer waits meanwhile, so the slab is complete
    /// up to the last LSN.
    pub(crate) fn slab(&mut self, head: &Head, slab_index: usize, out: &mut Vec<Vec<u8>>) -> bool {
        let writer = head.lock_in_background();
        let Some(slab) = writer.slabs.get(slab_index) else {
            return false;
        };
        let index = head.read_index();
        let locked = slab.lock();
        self.encoder.slab(slab_index as u32, writer.last_lsn);
        for (place, series) in locked.series.iter().enumerate() {
            if !series.alive || locked.generation != writer.live.number || !series.has_data() {
                continue;
            }
            let id = slab_index as u32 * SLAB_SERIES + place as u32;
            define_pairs(&mut self.encoder, &mut self.pair_files, 1, &index, &series.pairs);
            let pairs = series.pairs.iter().map(|pair| pair.0);
            self.encoder.define_series(id, writer.map.hash_of(id).0, pairs);
            self.state.clear();
            series.write_state(&mut self.state);
            self.encoder.state(id, &self.state);
            self.cut_record(RECORD_BYTES, out);
        }
        drop(locked);
        drop(index);
        drop(writer);
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
