//! Flush: a frozen generation becomes a segment.

use super::error::Error;
use super::manifest::SegmentEntry;
use super::view::View;
use super::{Engine, Maintenance};
use crate::base::bytes::Corrupt;
use crate::head::freeze::{Frozen, FrozenSeries};
use crate::head::{self, Head};
use crate::io;
use crate::model::exemplar::Exemplar;
use crate::model::metadata::Metadata;
use crate::model::samples::Samples;
use crate::segment::meta::{self, SegmentMeta};
use crate::segment::names;
use crate::segment::reader::Segment;
use crate::segment::summary;
use crate::segment::writer::{Run, SeriesSource, WriteOptions, write_segment};
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
        let mut writer = self.head.lock_writer();
        self.check_writable()?;
        if writer.live_is_empty() && self.head.has_no_new_metadata() {
            return Ok(false);
        }
        let frozen = self
            .head
            .freeze(&mut writer)
            .map_err(|error| self.poisoning(error.into()))?;
        let view = self.view.load();
        let generations = vec![frozen.generation.clone(), writer.live_generation()];
        self.view.store(Arc::new(View {
            segments: view.segments.clone(),
            generations,
        }));
        self.log_bytes.store(0, Ordering::Relaxed);
        maintenance.frozen = Some(frozen);
        Ok(true)
    }

    /// Writes the frozen generation. When the disk is full it stays frozen and readable, and the next call tries again.
    pub(super) fn flush_frozen(&self, maintenance: &mut Maintenance) -> Result<(), Error> {
        let Some(frozen) = maintenance.frozen.take() else {
            return Ok(());
        };
        match self.write_frozen(&frozen) {
            Ok(()) => {
                self.head.forget_frozen(frozen);
                self.head.drop_caches();
                maintenance.evict_from = Some(0);
                maintenance.checkpoint_bytes = 0;
                Ok(())
            }
            Err(error) => {
                maintenance.frozen = Some(frozen);
                Err(self.poisoning(error))
            }
        }
    }

    fn write_frozen(&self, frozen: &Frozen) -> Result<(), Error> {
        let Some(dir) = self.dir() else { return Ok(()) };
        let series = self.head.collect_frozen(&frozen.generation);
        let source = FrozenSource {
            head: &self.head,
            series,
            metadata: &frozen.metadata,
        };
        let segment = if source.len() == 0 && frozen.metadata.is_empty() {
            None
        } else {
            Some(self.write_source(dir, frozen, &source)?)
        };
        self.commit_flush(dir, frozen, segment)
    }

    fn write_source(
        &self,
        dir: &Path,
        frozen: &Frozen,
        source: &FrozenSource<'_>,
    ) -> Result<Arc<Segment>, Error> {
        let (sequence, database_id) = {
            let manifest = self.lock_manifest();
            (manifest.next_sequence, manifest.database_id)
        };
        let created_ms = self.options.clock.now_ms();
        let ulid = meta::make_ulid(
            created_ms,
            format!("{database_id} {sequence} {created_ms}").as_bytes(),
        );
        let meta = SegmentMeta {
            ulid,
            writer_id: database_id,
            external_labels: self.options.external_labels.clone(),
            sources: vec![ulid],
            lsn_first: frozen.generation.first_lsn,
            lsn_last: frozen.last_lsn,
            created_ms,
            ..SegmentMeta::default()
        };
        let options = WriteOptions {
            metadata_compressor: self.options.metadata_compressor,
            data_compressor: self.options.data_compressor,
        };
        let path = names::segment(dir, sequence);
        let bounds = frozen.generation.bounds().unwrap_or((0, 0));
        let (meta, bytes) = write_segment(&self.options.fs, &path, source, meta, bounds, &options)?;
        let text = summary::text(&meta, self.precision.as_str(), bytes);
        // The page for people is a convenience: without it nothing is lost.
        if let Err(error) = io::write_file(&self.options.fs, &names::summary(dir, sequence), text.as_bytes())
        {
            tracing::warn!(%error, "no summary beside the segment");
        }
        Ok(Arc::new(Segment::open(
            &self.options.fs,
            &path,
            sequence,
            self.options.mmap,
        )?))
    }

    /// The manifest, then the view, then what is not needed any more.
    fn commit_flush(&self, dir: &Path, frozen: &Frozen, segment: Option<Arc<Segment>>) -> Result<(), Error> {
        let writer_generation = self.view.load().generations.last().cloned();
        let Some(live) = writer_generation else {
            return Ok(());
        };
        let old_checkpoint = {
            let mut manifest = self.lock_manifest();
            let mut next = manifest.clone();
            if let Some(segment) = &segment {
                next.segments.push(SegmentEntry {
                    sequence: segment.sequence,
                    ulid: segment.meta.ulid,
                    bytes: segment.file_bytes(),
                    time_min: segment.meta.time_min,
                    time_max: segment.meta.time_max,
                    lsn_first: segment.meta.lsn_first,
                    lsn_last: segment.meta.lsn_last,
                    level: segment.meta.level,
                });
                next.next_sequence = segment.sequence + 1;
            }
            next.flushed_lsn = frozen.last_lsn;
            next.log_floor = live.first_wal_file;
            let old_checkpoint = std::mem::take(&mut next.checkpoint);
            if let Err(error) = next.write(&self.options.fs, dir) {
                if let (Error::OutOfSpace(_), Some(segment)) = (&error, &segment) {
                    self.discard(segment.path());
                    self.discard(&names::summary(dir, segment.sequence));
                }
                return Err(error);
            }
            *manifest = next;
            old_checkpoint
        };
        let mut segments = self.view.load().segments.clone();
        segments.extend(segment);
        self.view.store(Arc::new(View {
            segments,
            generations: vec![live.clone()],
        }));
        self.remove_log(dir, live.first_wal_file, old_checkpoint);
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

/// A frozen generation as the source of a segment.
struct FrozenSource<'a> {
    head: &'a Head,
    series: FrozenSeries,
    metadata: &'a BTreeMap<String, Vec<(i64, Metadata)>>,
}

impl SeriesSource for FrozenSource<'_> {
    fn len(&self) -> u32 {
        self.series.len() as u32
    }

    fn labels(&self, row: u32, out: &mut Vec<u8>) {
        self.series.labels(self.head, row as usize, out);
    }

    fn runs(&self, row: u32, each: &mut dyn FnMut(Run)) {
        let Some(data) = self.series.data(row as usize) else {
            return;
        };
        for chunk in &data.chunks {
            each(Run {
                first: chunk.first_timestamp,
                samples: u64::from(chunk.count),
            });
        }
        for first in data.late.keys() {
            each(Run {
                first: *first,
                samples: 1,
            });
        }
    }

    fn samples(&self, row: u32, from: i64, to: i64, out: &mut Samples) -> Result<(), Corrupt> {
        match self.series.data(row as usize) {
            Some(data) => head::decode_data(data, from, to, out),
            None => {
                out.clear();
                Ok(())
            }
        }
    }

    fn exemplars(&self, row: u32) -> Vec<Exemplar> {
        self.series
            .data(row as usize)
            .map_or_else(Vec::new, |data| data.exemplars.clone())
    }

    fn metadata(&self) -> &BTreeMap<String, Vec<(i64, Metadata)>> {
        self.metadata
    }
}
