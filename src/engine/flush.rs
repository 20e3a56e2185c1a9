//! Flush: a frozen generation becomes a segment.

use super::error::Error;
use super::frozen_source::{self, FrozenSource, Stretch};
use super::jobs::{JobKind, JobSums};
use super::late::{LateSpans, Watched};
use super::manifest::SegmentEntry;
use super::tiles::Late;
use super::view::View;
use super::{Engine, Maintenance, deletions};
use crate::head::freeze::{Frozen, FrozenSeries};
use crate::head::writer::Writer;
use crate::segment::meta::SegmentMeta;
use crate::segment::names;
use crate::segment::reader::Segment;
use crate::segment::writer::{WriteOptions, write_segment};
use crate::wal;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Engine {
    /// Freezes the live generation if there is anything in it, and swaps the view.
    pub(super) fn freeze(&self, maintenance: &mut Maintenance) -> Result<bool, Error> {
        debug_assert!(
            maintenance.frozen.is_none(),
            "BUG: a second freeze before the flush of the first"
        );
        // Most of the log is durable before the lock is taken, so that the wait under it is short.
        self.sync()?;
        self.freeze_locked(maintenance, &mut self.head.lock_writer())
    }

    /// The same under the writer's lock.
    pub(super) fn freeze_locked(
        &self,
        maintenance: &mut Maintenance,
        writer: &mut Writer,
    ) -> Result<bool, Error> {
        self.check_writable()?;
        if writer.live_is_empty() && self.head.has_no_new_metadata() {
            return Ok(false);
        }
        let frozen = self
            .head
            .freeze(writer)
            .map_err(|error| self.poisoning(error.into()))?;
        let generations = vec![frozen.generation.clone(), writer.live_generation()];
        self.change_view(|view| View {
            generations: generations.clone(),
            ..view.clone()
        });
        self.log_bytes.store(0, Ordering::Relaxed);
        maintenance.frozen = Some(frozen);
        Ok(true)
    }

    /// Writes the frozen generation. When the disk is full it stays frozen and readable, and the next call tries again.
    pub(super) fn flush_frozen(&self, maintenance: &mut Maintenance) -> Result<(), Error> {
        let Some(frozen) = maintenance.frozen.take() else {
            return Ok(());
        };
        let write = || self.write_frozen(&frozen);
        match self.as_job(JobKind::Flush, write, |sums| *sums) {
            Ok(_) => {
                self.head.forget_frozen(frozen);
                self.head.drop_caches();
                maintenance.evict_from = Some(0);
                maintenance.checkpoint_bytes = 0;
                maintenance.compaction.look_again();
                Ok(())
            }
            Err(error) => {
                maintenance.frozen = Some(frozen);
                Err(self.poisoning(error))
            }
        }
    }

    fn write_frozen(&self, frozen: &Frozen) -> Result<JobSums, Error> {
        let dir = self.dir();
        let series = self.head.collect_frozen(&frozen.generation);
        let mut segments = Vec::new();
        let late = LateSpans::behind(&self.view.load(), self.tile_under_way());
        let written = self.write_sources(dir, frozen, (&series, &late), &mut segments);
        let late = late.into_late(frozen.last_lsn);
        let committed = written.and_then(|()| self.commit_flush(dir, frozen, &segments, late));
        if let Err(Error::OutOfSpace(_)) = &committed {
            for segment in &segments {
                self.discard(segment.path());
                self.discard(&names::summary(dir, segment.sequence));
            }
        }
        committed.map(|()| JobSums::of_segments(&segments))
    }

    /// What each deletion hid, as segments that end before the deletion; then everything else. Each lies within one
    /// partition of time, so that a merge in one never has to do with another.
    fn write_sources(
        &self,
        dir: &Path,
        frozen: &Frozen,
        (series, late): (&FrozenSeries, &LateSpans),
        segments: &mut Vec<Arc<Segment>>,
    ) -> Result<(), Error> {
        let mut sequence = self.lock_manifest().next_sequence;
        let (none, span) = (BTreeMap::new(), self.partition_span());
        for lsn in series.hidden() {
            for stretch in frozen_source::stretches(series, Some(lsn), span)? {
                let source = FrozenSource::new(&self.head, series, Some(lsn), stretch, &none);
                segments.push(self.write_source(dir, sequence, frozen, lsn - 1, late.watch(source))?);
                sequence += 1;
            }
        }
        let mut stretches = frozen_source::stretches(series, None, span)?;
        if stretches.is_empty() && !frozen.metadata.is_empty() {
            stretches.push(Stretch::default());
        }
        let newest = stretches.len().saturating_sub(1);
        for (number, stretch) in stretches.into_iter().enumerate() {
            let metadata = if number == newest { &frozen.metadata } else { &none };
            let source = FrozenSource::new(&self.head, series, None, stretch, metadata);
            let source = late.watch(source);
            segments.push(self.write_source(dir, sequence, frozen, frozen.last_lsn, source)?);
            sequence += 1;
        }
        Ok(())
    }

    fn write_source(
        &self,
        dir: &Path,
        sequence: u64,
        frozen: &Frozen,
        lsn_last: u64,
        source: Watched<'_, FrozenSource<'_>>,
    ) -> Result<Arc<Segment>, Error> {
        let meta = SegmentMeta {
            lsn_first: frozen.generation.first_lsn,
            lsn_last,
            ..self.new_meta(sequence)
        };
        let options = WriteOptions {
            metadata_compressor: self.options.metadata_compressor,
            data_compressor: self.options.data_compressor,
        };
        let path = names::segment(dir, sequence);
        let bounds = source.inner().bounds().unwrap_or((0, 0));
        let written = write_segment(&self.options.fs, &path, source, meta, bounds, &options)?;
        self.open_new(sequence, written)
    }

    /// The manifest, then the view, then what is not needed any more.
    fn commit_flush(
        &self,
        dir: &Path,
        frozen: &Frozen,
        segments: &[Arc<Segment>],
        late: impl IntoIterator<Item = Late>,
    ) -> Result<(), Error> {
        let Some(live) = self.view.load().generations.last().cloned() else {
            return Ok(());
        };
        let old_checkpoint = {
            let mut manifest = self.lock_manifest();
            let mut next = manifest.clone();
            for segment in segments {
                next.segments.push(SegmentEntry::of(segment));
                next.next_sequence = segment.sequence + 1;
            }
            next.flushed_lsn = frozen.last_lsn;
            next.late.extend(late);
            self.forget_late(&mut next);
            next.log_floor = live.first_wal_file;
            next.deletions = deletions::entries(&self.view.load(), frozen.last_lsn);
            self.forget_spent(&mut next);
            let old_checkpoint = std::mem::take(&mut next.checkpoint);
            next.write(&self.options.fs, dir)?;
            *manifest = next;
            old_checkpoint
        };
        self.change_view(|view| {
            let mut all = view.segments.clone();
            all.extend_from_slice(segments);
            View {
                segments: all,
                generations: vec![live.clone()],
                deletions: self.unspent(view),
                late: self.known_late(),
                ..view.clone()
            }
        });
        self.remove_log(dir, live.first_wal_file, old_checkpoint);
        self.counters.flushes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Gives back the space of a file for whose manifest there was none; it will be written again.
    pub(super) fn discard(&self, path: &Path) {
        if let Err(error) = self.options.fs.remove(path) {
            tracing::warn!(%error, "a file that nothing names stays until the next opening");
        }
    }

    /// Files that the manifest does not need. What cannot be removed now is removed at the next opening.
    pub(super) fn remove_log(&self, dir: &Path, floor: u64, checkpoint: u64) {
        let fs = &self.options.fs;
        if let Err(error) = wal::remove_below(&**fs, dir, floor) {
            tracing::warn!(%error, "an old log file stays");
        }
        if checkpoint != 0
            && let Err(error) = fs.remove(&names::checkpoint(dir, checkpoint))
        {
            tracing::warn!(%error, "an old checkpoint stays");
        }
    }
}
