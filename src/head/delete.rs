//! Deletes and undeletes in the head: logged like a batch, then noted at every slab that has matching series.

use super::Head;
use super::slab::{Change, Hide, SLAB_SERIES, Slab, place_of};
use super::writer::{CommitError, Writer};
use crate::index::LabelMatcher;
use crate::model::deletion::Deletion;
use crate::model::labels::Labels;
use crate::wal::WalError;
use roaring::RoaringBitmap;
use std::sync::Arc;

/// Most that a record of a deletion takes beside its matchers and labels.
const RECORD_BYTES_MAX: u64 = 256;

/// What a deletion's selector finds series by.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) matchers: &'a [LabelMatcher],
    /// Only the series with exactly these labels.
    pub(crate) exact: Option<&'a Labels>,
}

impl Head {
    /// The series in memory that a deletion is about.
    pub(crate) fn wanted(&self, writer: &Writer, wanted: &Wanted<'_>) -> RoaringBitmap {
        match wanted.exact {
            Some(labels) => writer.map.find(labels.hash()).into_iter().collect(),
            None => self.read_index().select(wanted.matchers),
        }
    }

    /// Logs a deletion and hides what it is about in the live generation. Returns its LSN and the series.
    pub(crate) fn delete(
        &self,
        writer: &mut Writer,
        deletion: &Deletion,
        wanted: &Wanted<'_>,
    ) -> Result<(u64, RoaringBitmap), CommitError> {
        let mut bytes = Vec::new();
        crate::wal::deletion::write(&mut bytes, deletion);
        writer.log_alone(bytes.len() as u64 + RECORD_BYTES_MAX, |encoder| {
            encoder.deletion(deletion)
        })?;
        let lsn = writer.last_lsn;
        let ids = self.wanted(writer, wanted);
        for (index, places) in by_slab(&ids) {
            let hide = Hide {
                lsn,
                from: deletion.from,
                to: deletion.to,
                places,
            };
            writer.change(index, Change::Hide(Arc::new(hide), None));
        }
        Ok((lsn, ids))
    }

    /// Logs that the deletion with `lsn` is withdrawn; what it hid in the live generation counts again when samples are
    /// judged. Returns the LSN of the undelete.
    ///
    /// What was written since stands apart from what comes after the undelete: it becomes a hidden part that ends here.
    pub(crate) fn undelete(
        &self,
        writer: &mut Writer,
        lsn: u64,
        deletion: &Deletion,
        wanted: &Wanted<'_>,
    ) -> Result<u64, CommitError> {
        writer.log_alone(RECORD_BYTES_MAX, |encoder| encoder.undelete(lsn))?;
        for slab in &writer.slabs {
            slab.lock().change(Change::Show(lsn));
        }
        for (index, places) in by_slab(&self.wanted(writer, wanted)) {
            let part = Hide {
                lsn: writer.last_lsn,
                from: deletion.from,
                to: deletion.to,
                places,
            };
            writer.change(index, Change::Part(part));
        }
        Ok(writer.last_lsn)
    }
}

/// Ids as places, slab by slab.
pub(super) fn by_slab(ids: &RoaringBitmap) -> impl Iterator<Item = (usize, RoaringBitmap)> {
    let mut ids = ids.iter().peekable();
    std::iter::from_fn(move || {
        let slab = place_of(*ids.peek()?).0;
        let mut places = RoaringBitmap::new();
        while let Some(id) = ids.next_if(|id| place_of(*id).0 == slab) {
            places.insert(id % SLAB_SERIES);
        }
        Some((slab, places))
    })
}

impl Writer {
    /// Writes one record that is not a batch.
    fn log_alone(
        &mut self,
        bytes_max: u64,
        write: impl FnOnce(&mut crate::wal::batch::BatchEncoder),
    ) -> Result<(), CommitError> {
        let refused = |source| CommitError {
            source,
            is_applied: false,
        };
        self.reserve(bytes_max).map_err(refused)?;
        if self.log.is_some() {
            write(&mut self.encoder);
        }
        self.write_record().map_err(|source: WalError| CommitError {
            source,
            is_applied: true,
        })
    }

    /// Has the series of a slab changed before they are seen again. What they hold of a frozen generation is moved out
    /// first: it is not theirs any more.
    fn change(&self, index: usize, change: Change) {
        let Some(slab) = self.slabs.get(index) else { return };
        self.lock_live(index, slab).change(change);
    }

    /// Locks a slab and moves what belongs to a frozen generation out of the way.
    pub(super) fn lock_live<'a>(
        &self,
        index: usize,
        slab: &'a Slab,
    ) -> std::sync::MutexGuard<'a, super::slab::SlabSeries> {
        let mut guard = slab.lock();
        if guard.generation != self.live.number {
            match self.frozen.as_deref() {
                Some(frozen) => frozen.freeze(index, &mut guard, self.live.number),
                None => guard.generation = self.live.number,
            }
        }
        guard
    }
}
