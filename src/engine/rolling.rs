//! Making tiles: chosen, begun, carried on and committed in short steps, like merges.
//!
//! A tile is made when all of its time has been written to segments and some time has passed since; again when what came later
//! made windows of it invalid, unless samples of its time may be gone: then it stays as it is, and what is deleted lies over it.

use super::error::Error;
use super::jobs::{JobKind, JobSums, Running};
use super::manifest::{Manifest, SegmentEntry};
use super::masks::{self, Masks};
use super::rollups::RollupRule;
use super::tile_choice::{Barren, Plan};
use super::tiles::{self, Tile};
use super::view::View;
use super::{Engine, Maintenance};
use crate::rollup::source::TileSource;
use crate::segment::compress::Compressor;
use crate::segment::merge::{MergeInput, MergeSource};
use crate::segment::meta::SegmentMeta;
use crate::segment::names;
use crate::segment::reader::Segment;
use crate::segment::writer::{SegmentWriter, SeriesSource, WriteOptions};
use std::sync::{Arc, PoisonError, Weak};

/// Values of windows that one step writes.
const VALUES_PER_STEP: u64 = 1 << 17;
/// After a failure, until the next tile is tried.
const RETRY_MS: i64 = 60_000;
/// How often it is looked for tiles that are too old, when nothing changes.
const LOOK_MS: i64 = 60_000;

/// What is under way and what is known about tiles.
#[derive(Debug, Default)]
pub(super) struct Rolling {
    making: Option<Box<Making>>,
    job: Option<Running>,
    /// The view in which nothing was to be done, and when that was.
    looked: Option<(Weak<View>, i64)>,
    not_before_ms: i64,
    pub(super) barren: Barren,
}

/// What others must know of a tile under way: what comes meanwhile in its time is later than the tile.
#[derive(Debug, Clone, Copy)]
pub(super) struct UnderWay {
    pub(super) width: i64,
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) samples_lsn: u64,
    pub(super) deletions_lsn: u64,
}

/// A tile under way.
#[derive(Debug)]
struct Making {
    under_way: UnderWay,
    writer: SegmentWriter<TileSource>,
    sequence: u64,
    /// Tiles that it stands in for.
    old: Vec<Arc<Tile>>,
}

impl Engine {
    /// The tile that is being made.
    pub(super) fn tile_under_way(&self) -> Option<UnderWay> {
        *self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_under_way(&self, tile: Option<UnderWay>) {
        *self.under_way.lock().unwrap_or_else(PoisonError::into_inner) = tile;
    }

    /// Does one piece of work on tiles. Returns whether there was anything to do.
    pub(super) fn roll(&self, maintenance: &mut Maintenance) -> Result<bool, Error> {
        let now_ms = self.options.clock.now_ms();
        let view = self.view.load_full();
        if self.rollups.is_empty() && view.tiles.is_empty() {
            return Ok(false);
        }
        let rolling = &mut maintenance.rolling;
        if let Some(making) = rolling.making.take() {
            let tile = making.under_way;
            let carried_on = self.carry_on_tile(maintenance, making);
            if maintenance.rolling.making.is_none() {
                self.set_under_way(None);
            }
            return match carried_on {
                Ok(()) => Ok(true),
                Err(error) => {
                    self.give_up_tile(&mut maintenance.rolling, tile.width, (tile.from, tile.to), error)
                }
            };
        }
        let is_known = |looked: &(Weak<View>, i64)| {
            std::ptr::eq(looked.0.as_ptr(), Arc::as_ptr(&view))
                && (looked.1..looked.1.saturating_add(LOOK_MS)).contains(&now_ms)
        };
        if now_ms < rolling.not_before_ms || rolling.looked.as_ref().is_some_and(is_known) {
            return Ok(false);
        }
        let over = self.tiles_that_are_over(&view);
        if !over.is_empty() {
            self.replace_tiles(maintenance, &over, None)?;
            // What went for its size is not made again at once.
            let barren = &mut maintenance.rolling.barren;
            over.iter()
                .for_each(|tile| barren.note_unwanted(tile.width, (tile.from, tile.to)));
            return Ok(true);
        }
        let Some(plan) = self.pick_tile(&maintenance.rolling.barren, &view) else {
            maintenance.rolling.looked = Some((Arc::downgrade(&view), now_ms));
            return Ok(false);
        };
        let Some(rule) = self.rollups.get(plan.rule) else {
            return Ok(false);
        };
        let (width, span) = (rule.grid.width(), (plan.from, plan.to));
        maintenance.rolling.job = Some(self.begin_job(JobKind::Rollup, JobSums::default()));
        match self.begin_tile(&view, rule, plan) {
            Ok(making) => {
                self.set_under_way(Some(making.under_way));
                maintenance.rolling.making = Some(Box::new(making));
            }
            Err(error) => return self.give_up_tile(&mut maintenance.rolling, width, span, error),
        }
        Ok(true)
    }

    /// A tile that failed changes nothing. One that met unreadable samples is not tried again before the next opening.
    fn give_up_tile(
        &self,
        rolling: &mut Rolling,
        width: i64,
        span: (i64, i64),
        error: Error,
    ) -> Result<bool, Error> {
        rolling.not_before_ms = self.options.clock.now_ms() + RETRY_MS;
        if let Some(job) = rolling.job.take() {
            job.fail(&error);
        }
        if let Error::Corrupt(_) = error {
            tracing::error!(%error, ?span, "no rollup is made where samples cannot be read");
            rolling.barren.note_unwanted(width, span);
            return Ok(true);
        }
        Err(error)
    }

    fn begin_tile(&self, view: &View, rule: &RollupRule, plan: Plan) -> Result<Making, Error> {
        let (from, to) = (plan.from.saturating_add(1), plan.to);
        let mut inputs = Vec::new();
        for segment in view.segments_within(from, to) {
            let (deleted, marks) = Masks::over_segment(view, segment, from, to)?.into_ranges();
            inputs.push(MergeInput {
                dropped: masks::rows_without_samples(segment, &deleted)?,
                segment: segment.clone(),
                deleted,
                marks,
            });
        }
        let source = MergeSource::new(inputs)?;
        let source = TileSource::new(source, rule.grid, (plan.from, plan.to), &rule.about)?;
        let sequence = self.next_sequence();
        let (lsn_first, lsn_last) = self.minded_lsns(view);
        let meta = SegmentMeta {
            resolution: rule.grid.width(),
            lsn_first,
            lsn_last,
            ..self.new_meta(sequence)
        };
        let options = WriteOptions {
            metadata_compressor: self.options.metadata_compressor,
            data_compressor: Compressor::Zstd,
        };
        let path = names::segment(self.dir(), sequence);
        let fs = &self.options.fs;
        Ok(Making {
            under_way: UnderWay {
                width: meta.resolution,
                from: plan.from,
                to: plan.to,
                samples_lsn: lsn_first,
                deletions_lsn: lsn_last,
            },
            writer: SegmentWriter::create(fs, &path, source, meta, (from, to), options)?,
            old: plan.old,
            sequence,
        })
    }

    /// Writes on, and commits the tile at its end.
    fn carry_on_tile(&self, maintenance: &mut Maintenance, mut making: Box<Making>) -> Result<(), Error> {
        let is_barren = making.writer.source().len() == 0;
        if !is_barren && !making.writer.advance(VALUES_PER_STEP)? {
            maintenance.rolling.making = Some(making);
            return Ok(());
        }
        let Making {
            under_way: tile,
            writer,
            sequence,
            old,
        } = *making;
        let mut sums = JobSums::default();
        if is_barren {
            let barren = &mut maintenance.rolling.barren;
            barren.note_empty(tile.width, (tile.from, tile.to), tile.samples_lsn);
            drop(writer);
            let view = self.view.load_full();
            let is_deleted = |tile: &Arc<Tile>| tile.deleted(&view).is_ok_and(|deleted| !deleted.is_empty());
            if !old.is_empty() && old.iter().all(is_deleted) {
                self.replace_tiles(maintenance, &old, None)?;
            }
        } else {
            let segment = self.open_new(sequence, writer.finish()?)?;
            sums = JobSums::of_segments(std::slice::from_ref(&segment));
            let entry = SegmentEntry::of(&segment);
            self.replace_tiles(maintenance, &old, Some((segment, entry)))?;
        }
        if let Some(job) = maintenance.rolling.job.take() {
            job.end(sums);
        }
        Ok(())
    }

    /// Commits that a tile stands in for others: the manifest, then the view. The files go later.
    pub(super) fn replace_tiles(
        &self,
        maintenance: &mut Maintenance,
        old: &[Arc<Tile>],
        new: Option<(Arc<Segment>, SegmentEntry)>,
    ) -> Result<(), Error> {
        let new_tile = match &new {
            Some((segment, entry)) => Some(Arc::new(Tile::new(segment.clone(), entry)?)),
            None => None,
        };
        let new_entry = new.as_ref().map(|new| &new.1);
        // One that did not open stands in the manifest only.
        let is_old = |entry: &SegmentEntry| {
            let is_same = |new: &SegmentEntry| {
                new.resolution == entry.resolution
                    && new.time_min <= entry.time_max
                    && entry.time_min <= new.time_max
            };
            entry.is_tile()
                && (old.iter().any(|tile| tile.sequence() == entry.sequence)
                    || new_entry.is_some_and(is_same))
        };
        {
            let mut manifest = self.lock_manifest();
            let mut next: Manifest = manifest.clone();
            let gone = next.segments.iter().filter(|entry| is_old(entry));
            next.retired.extend(gone.map(|entry| entry.sequence));
            next.segments.retain(|entry| !is_old(entry));
            next.segments.extend(new_entry.cloned());
            next.segments
                .sort_by_key(|entry| (entry.lsn_last, entry.time_min));
            self.forget_late(&mut next);
            if let Err(error) = next.write(&self.options.fs, self.dir()) {
                if let (Error::OutOfSpace(_), Some(new)) = (&error, new) {
                    self.discard_all(&[new]);
                    return Err(error);
                }
                return Err(self.poisoning(error));
            }
            *manifest = next;
        }
        self.change_view(|view| {
            let is_kept = |tile: &&Arc<Tile>| !old.iter().any(|one| Arc::ptr_eq(one, tile));
            let mut kept: Vec<Arc<Tile>> = view.tiles.iter().filter(is_kept).cloned().collect();
            kept.extend(new_tile.clone());
            tiles::sort(&mut kept);
            View {
                tiles: kept.into(),
                late: self.known_late(),
                ..view.clone()
            }
        });
        let retired = old.iter().map(|tile| tile.segment.clone());
        maintenance.compaction.retire(retired);
        Ok(())
    }
}
