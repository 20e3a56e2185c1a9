//! Making tiles: chosen, begun, carried on and committed in short steps, like merges.
//!
//! A tile is made when all of its time has been written to segments and some time has passed since; again when what came later
//! made windows of it invalid, unless samples of its time may be gone: then it stays as it is, and what is deleted lies over it.

use super::error::Error;
use super::jobs::{JobKind, JobSums, Running};
use super::manifest::{Manifest, SegmentEntry};
use super::masks::{self, Masks};
use super::rollups::RollupRule;
use super::tiles::{self, Tile};
use super::view::View;
use super::{Engine, Maintenance};
use crate::base::spans::Spans;
use crate::io;
use crate::rollup::source::TileSource;
use crate::segment::compress::Compressor;
use crate::segment::merge::{MergeInput, MergeSource};
use crate::segment::meta::{self, SegmentMeta};
use crate::segment::reader::Segment;
use crate::segment::writer::{SegmentWriter, SeriesSource, WriteOptions};
use crate::segment::{names, summary};
use std::path::PathBuf;
use std::sync::{Arc, Weak};

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
    /// Stretches of each width without any series, or with samples that cannot be read.
    barren: Vec<(i64, Spans)>,
}

/// A tile that is to be made.
#[derive(Debug)]
struct Plan {
    rule: usize,
    from: i64,
    to: i64,
    /// Tiles that it stands in for.
    old: Vec<Arc<Tile>>,
}

/// A tile under way.
#[derive(Debug)]
struct Making {
    plan: Plan,
    writer: SegmentWriter<TileSource>,
    entry: SegmentEntry,
    path: PathBuf,
}

impl Rolling {
    /// The width of the windows of the tile that is being made.
    pub(super) fn width_under_way(&self) -> Option<i64> {
        self.making.as_ref().map(|making| making.entry.resolution)
    }

    fn barren(&self, width: i64) -> Spans {
        let known = self.barren.iter().find(|known| known.0 == width);
        known.map_or_else(Spans::default, |known| known.1.clone())
    }

    fn note_barren(&mut self, width: i64, (from, to): (i64, i64)) {
        match self.barren.iter_mut().find(|known| known.0 == width) {
            Some(known) => known.1.insert(from, to),
            None => self.barren.push((width, Spans::of(from, to))),
        }
    }
}

impl Engine {
    /// Up to which time a tile is being made.
    pub(super) fn rolling_end(&self, maintenance: &Maintenance) -> i64 {
        let making = maintenance.rolling.making.as_ref();
        making.map_or(i64::MIN, |making| making.plan.to)
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
            let (width, span) = (making.entry.resolution, (making.plan.from, making.plan.to));
            return match self.carry_on_tile(maintenance, making) {
                Ok(()) => Ok(true),
                Err(error) => self.give_up_tile(&mut maintenance.rolling, (width, span), error),
            };
        }
        let is_known = |looked: &(Weak<View>, i64)| {
            std::ptr::eq(looked.0.as_ptr(), Arc::as_ptr(&view))
                && (looked.1..looked.1.saturating_add(LOOK_MS)).contains(&now_ms)
        };
        if now_ms < rolling.not_before_ms || rolling.looked.as_ref().is_some_and(is_known) {
            return Ok(false);
        }
        if self.drop_old_tiles(maintenance, &view)? {
            return Ok(true);
        }
        let Some(plan) = self.pick_tile(&maintenance.rolling, &view)? else {
            maintenance.rolling.looked = Some((Arc::downgrade(&view), now_ms));
            return Ok(false);
        };
        let Some(rule) = self.rollups.get(plan.rule) else {
            return Ok(false);
        };
        let (width, span) = (rule.grid.width(), (plan.from, plan.to));
        maintenance.rolling.job = Some(self.begin_job(JobKind::Rollup, JobSums::default()));
        match self.begin_tile(&view, rule, plan) {
            Ok(making) => maintenance.rolling.making = Some(Box::new(making)),
            Err(error) => return self.give_up_tile(&mut maintenance.rolling, (width, span), error),
        }
        Ok(true)
    }

    /// A tile that failed changes nothing. One that met unreadable samples is not tried again before the next opening.
    fn give_up_tile(
        &self,
        rolling: &mut Rolling,
        (width, span): (i64, (i64, i64)),
        error: Error,
    ) -> Result<bool, Error> {
        rolling.not_before_ms = self.options.clock.now_ms() + RETRY_MS;
        if let Some(job) = rolling.job.take() {
            job.fail(&error);
        }
        if let Error::Corrupt(_) = error {
            tracing::error!(%error, ?span, "no rollup is made where samples cannot be read");
            rolling.note_barren(width, span);
            return Ok(true);
        }
        Err(error)
    }

    /// Drops tiles whose time is over.
    fn drop_old_tiles(&self, maintenance: &mut Maintenance, view: &View) -> Result<bool, Error> {
        let Some(now) = self.retention_now() else {
            return Ok(false);
        };
        let is_old = |tile: &&Arc<Tile>| {
            let rule = self.rollups.iter().find(|rule| rule.grid.width() == tile.width);
            let retention = rule.and_then(|rule| rule.retention);
            retention.is_some_and(|retention| tile.to < now.saturating_sub(retention))
        };
        let old: Vec<Arc<Tile>> = view.tiles.iter().filter(is_old).cloned().collect();
        if old.is_empty() {
            return Ok(false);
        }
        self.replace_tiles(maintenance, &old, None)?;
        Ok(true)
    }

    /// The next tile to be made, the oldest first.
    fn pick_tile(&self, rolling: &Rolling, view: &View) -> Result<Option<Plan>, Error> {
        let (samples_lsn, deletions_lsn) = self.minded_lsns(view);
        for (number, rule) in self.rollups.iter().enumerate() {
            let width = rule.grid.width();
            let tiles = || view.tiles.iter().filter(|tile| tile.width == width);
            let is_behind = |tile: &&Arc<Tile>| {
                tile.checksum != rule.checksum || !tile.is_up_to(samples_lsn, deletions_lsn)
            };
            for tile in tiles().filter(is_behind) {
                let is_outdated = tile.checksum != rule.checksum
                    || !tile.invalid(view).is_empty()
                    || !tile.deleted(view)?.is_empty();
                if is_outdated && !self.is_sealed(tile)? {
                    return Ok(Some(Plan {
                        rule: number,
                        from: tile.from,
                        to: tile.to,
                        old: vec![tile.clone()],
                    }));
                }
            }
            let mut done = rolling.barren(width);
            tiles().for_each(|tile| done.insert(tile.from, tile.to));
            if let Some((from, to)) = self.new_stretch(view, rule, &done) {
                return Ok(Some(Plan {
                    rule: number,
                    from,
                    to,
                    old: Vec::new(),
                }));
            }
        }
        Ok(None)
    }

    /// The oldest stretch with samples that is over and has no tile.
    fn new_stretch(&self, view: &View, rule: &RollupRule, done: &Spans) -> Option<(i64, i64)> {
        let of_samples = || {
            view.segments
                .iter()
                .filter(|one| one.meta.time_min <= one.meta.time_max)
        };
        let newest = of_samples().map(|segment| segment.meta.time_max).max()?;
        let margin = self.precision.units(self.options.segment_span).min(rule.stretch);
        let limit = newest.saturating_sub(margin);
        let kept_from = rule.retention.zip(self.retention_now());
        let kept_from = kept_from.map_or(i64::MIN, |(retention, now)| now.saturating_sub(retention));
        let cells = self.precision.grid(rule.stretch);
        let mut wanted = Spans::default();
        for segment in of_samples() {
            let (from, to) = cells.outer(segment.meta.time_min.saturating_sub(1), segment.meta.time_max);
            wanted.insert(from.max(cells.last_end(kept_from)), to.min(cells.last_end(limit)));
        }
        let (from, to) = wanted.subtract(done).iter().next()?;
        Some((from, to.min(cells.end_of(from.saturating_add(1)))))
    }

    /// Whether samples in the time of a tile may be gone.
    pub(super) fn is_sealed(&self, tile: &Tile) -> Result<bool, Error> {
        Ok(self.raw_floor() > tile.from || self.rule_ranges().reach_behind(&tile.segment, tile.from)?)
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
        let sequence = {
            let mut manifest = self.lock_manifest();
            manifest.next_sequence += 1;
            manifest.next_sequence - 1
        };
        let entry = self.tile_entry(view, rule, (from, to), sequence);
        let meta = SegmentMeta {
            ulid: entry.ulid,
            sources: vec![entry.ulid],
            writer_id: self.database_id(),
            external_labels: self.options.external_labels.clone(),
            resolution: entry.resolution,
            lsn_first: entry.lsn_first,
            lsn_last: entry.lsn_last,
            created_ms: entry.created_ms,
            ..SegmentMeta::default()
        };
        let options = WriteOptions {
            metadata_compressor: self.options.metadata_compressor,
            data_compressor: Compressor::Zstd,
        };
        let path = names::segment(self.dir(), sequence);
        let fs = &self.options.fs;
        Ok(Making {
            plan,
            writer: SegmentWriter::create(fs, &path, source, meta, (from, to), options)?,
            entry,
            path,
        })
    }

    /// Up to which LSN a tile that is made of a view minds samples, and deletions.
    fn minded_lsns(&self, view: &View) -> (u64, u64) {
        let flushed_lsn = self.lock_manifest().flushed_lsn;
        let samples_lsn = view.segments.iter().map(|segment| segment.meta.lsn_last);
        let samples_lsn = samples_lsn.fold(flushed_lsn, u64::max);
        let deletions = view.deletions.iter().map(|one| one.withdrawn.unwrap_or(one.lsn));
        (samples_lsn, deletions.fold(samples_lsn, u64::max))
    }

    /// What the manifest will say, but for what the file comes to.
    fn tile_entry(
        &self,
        view: &View,
        rule: &RollupRule,
        (from, to): (i64, i64),
        sequence: u64,
    ) -> SegmentEntry {
        let database_id = self.database_id();
        let (samples_lsn, deletions_lsn) = self.minded_lsns(view);
        let created_ms = self.options.clock.now_ms();
        let unique = format!("{database_id} {sequence} {created_ms}");
        SegmentEntry {
            sequence,
            ulid: meta::make_ulid(created_ms, unique.as_bytes()),
            time_min: from,
            time_max: to,
            lsn_first: samples_lsn,
            lsn_last: deletions_lsn,
            created_ms,
            is_compressed: true,
            rules: rule.checksum,
            resolution: rule.grid.width(),
            ..SegmentEntry::default()
        }
    }

    /// Writes on, and commits the tile at its end.
    fn carry_on_tile(&self, maintenance: &mut Maintenance, mut making: Box<Making>) -> Result<(), Error> {
        let is_barren = making.writer.source().len() == 0;
        if !is_barren && !making.writer.advance(VALUES_PER_STEP)? {
            maintenance.rolling.making = Some(making);
            return Ok(());
        }
        let Making {
            plan,
            writer,
            mut entry,
            path,
        } = *making;
        let mut sums = JobSums::default();
        if is_barren {
            let rolling = &mut maintenance.rolling;
            rolling.note_barren(entry.resolution, (plan.from, plan.to));
            drop(writer);
            if !plan.old.is_empty() {
                self.replace_tiles(maintenance, &plan.old, None)?;
            }
        } else {
            let fs = &self.options.fs;
            let (meta, bytes) = writer.finish()?;
            (entry.bytes, entry.samples) = (bytes, meta.floats + meta.histograms);
            let text = summary::text(&meta, self.precision.as_str(), bytes);
            if let Err(error) =
                io::write_file(fs, &names::summary(self.dir(), entry.sequence), text.as_bytes())
            {
                tracing::warn!(%error, "no summary beside the segment");
            }
            let segment = Arc::new(Segment::open(fs, &path, entry.sequence, self.options.mmap)?);
            sums = JobSums::of_segments(std::slice::from_ref(&segment));
            self.replace_tiles(maintenance, &plan.old, Some((segment, entry)))?;
        }
        if let Some(job) = maintenance.rolling.job.take() {
            job.end(sums);
        }
        Ok(())
    }

    /// Commits that a tile stands in for others: the manifest, then the view. The files go later.
    fn replace_tiles(
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
