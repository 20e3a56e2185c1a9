//! Checkpoint: the head in one file, so that a restart replays little.

use super::error::Error;
use super::jobs::{JobKind, JobSums};
use super::{Engine, Maintenance, deletions, open};
use crate::head::checkpoint::Checkpointer;
use crate::segment::names;
use crate::wal::{CheckpointWriter, RECORD_CHECKPOINT};
use std::sync::atomic::Ordering;

impl Engine {
    /// Writes the head to a checkpoint file, commits it in the manifest and removes the log before it.
    pub(super) fn checkpoint(&self, maintenance: &mut Maintenance) -> Result<(), Error> {
        let bytes = self.as_job(
            JobKind::Checkpoint,
            || self.take_checkpoint(),
            |bytes| JobSums {
                bytes: Some(*bytes),
                ..JobSums::default()
            },
        )?;
        maintenance.checkpoint_bytes = bytes;
        Ok(())
    }

    fn take_checkpoint(&self) -> Result<u64, Error> {
        let dir = self.dir();
        self.sync()?;
        let before = self.lock_manifest().checkpoint;
        let (floor, start_lsn) = {
            let mut writer = self.head.lock_writer();
            self.check_writable()?;
            let begun = writer.begin_young_file(before);
            let begun = begun.map_err(|error| self.poisoning(error.into()))?;
            self.log_bytes.store(0, Ordering::Relaxed);
            begun
        };
        // Log files are numbered ever upward, and no two checkpoints begin with the same.
        let sequence = floor;
        let path = names::checkpoint(dir, sequence);
        let bytes = self
            .write_checkpoint(&path, sequence, start_lsn)
            .map_err(|error| self.poisoning(error))?;
        // The slabs were written up to now. The log must be as durable as they are, or its numbers would be given
        // twice after a power loss.
        self.sync()?;
        let old = {
            let mut manifest = self.lock_manifest();
            let mut next = manifest.clone();
            let old = std::mem::replace(&mut next.checkpoint, sequence);
            next.log_floor = floor;
            next.deletions = deletions::entries(&self.view.load(), start_lsn - 1);
            if let Err(error) = next.write(&self.options.fs, dir) {
                if let Error::OutOfSpace(_) = error {
                    self.discard(&path);
                }
                return Err(self.poisoning(error));
            }
            *manifest = next;
            old
        };
        self.remove_log(dir, floor, old);
        Ok(bytes)
    }

    fn write_checkpoint(&self, path: &std::path::Path, sequence: u64, start_lsn: u64) -> Result<u64, Error> {
        let options = open::wal_options(&self.options, &self.lock_manifest());
        let mut file = CheckpointWriter::create(&self.options.fs, path, &options, sequence, start_lsn)?;
        let mut checkpointer = Checkpointer::new();
        let mut records = Vec::new();
        checkpointer.metadata(&self.head, &mut records);
        let mut slab = 0;
        loop {
            for record in records.drain(..) {
                file.append(RECORD_CHECKPOINT, &record)?;
            }
            if !checkpointer.slab(&self.head, slab, &mut records) {
                return Ok(file.finish()?);
            }
            slab += 1;
        }
    }
}
