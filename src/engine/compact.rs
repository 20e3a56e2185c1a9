//! Merging segments: begun, carried on and committed in steps that are short, so that a flush never waits for a merge.
//!
//! A merge writes beside what it reads. Only the manifest makes its result count; whatever happens before leaves a
//! temporary file that the next opening removes. The files of the members go once no reader holds them.

use super::choice::Wanted;
use super::error::Error;
use super::jobs::{JobKind, JobSums, Running};
use super::manifest::{Manifest, SegmentEntry};
use super::masks::{self, Masks};
use super::retention::RuleRanges;
use super::select::bounds;
use super::tiles::Late;
use super::view::View;
use super::{Engine, Maintenance};
use crate::segment::compress::Compressor;
use crate::segment::merge::{MergeInput, MergeSource};
use crate::segment::meta::SegmentMeta;
use crate::segment::names;
use crate::segment::reader::Segment;
use crate::segment::writer::{SegmentWriter, SeriesSource, WriteOptions};
use std::collections::BTreeSet;
use std::ops::RangeBounds;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Samples that one step of a merge writes.
const SAMPLES_PER_STEP: u64 = 1 << 18;
/// After a failed merge, until the next one is tried.
const RETRY_MS: i64 = 60_000;
/// Free space that a merge leaves, beside the size of its members.
const FREE_BYTES_MIN: u64 = 16 << 20;

/// What is under way and what is left to do about merges.
#[derive(Debug, Default)]
pub(super) struct Compaction {
    merging: Option<Box<Merging>>,
    /// The merge under way, as who asks what runs sees it.
    job: Option<Running>,
    /// Segments that nothing names any more, until no reader holds them.
    retired: Vec<Arc<Segment>>,
    /// Segments that cannot be read whole; they stay as they are.
    pub(super) unreadable: BTreeSet<u64>,
    /// No merge begins before this time.
    pub(super) not_before_ms: i64,
    /// When the last look found nothing to merge; nothing was flushed since.
    pub(super) looked_ms: Option<i64>,
}

/// Why segments are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The new ones say what the old ones did.
    Merge,
    /// The new ones come from elsewhere.
    Attachment,
    /// The old ones are kept no longer.
    Retention,
}

/// A merge under way.
#[derive(Debug)]
struct Merging {
    members: Vec<Arc<Segment>>,
    writer: SegmentWriter<MergeSource>,
    sequence: u64,
    is_compressed: bool,
    rules: u64,
}

impl Engine {
    /// Does one piece of merging. What is under way is carried on, whoever wanted it.
    pub(super) fn compact(&self, maintenance: &mut Maintenance, wanted: Wanted) -> Result<bool, Error> {
        let dir = self.dir();
        self.remove_retired(dir, &mut maintenance.compaction);
        let compaction = &mut maintenance.compaction;
        if let Some(merging) = compaction.merging.take() {
            let members: Vec<u64> = merging.members.iter().map(|member| member.sequence).collect();
            return match self.carry_on(dir, compaction, merging) {
                Ok(merging) => {
                    compaction.merging = merging;
                    Ok(true)
                }
                Err(error) => self.give_up(compaction, &members, error),
            };
        }
        if wanted == Wanted::Due && self.options.clock.now_ms() < compaction.not_before_ms {
            return Ok(false);
        }
        let Some(members) = self.pick_members(compaction, wanted) else {
            return Ok(false);
        };
        let sequences: Vec<u64> = members.iter().map(|member| member.sequence).collect();
        compaction.job = Some(self.begin_job(JobKind::Merge, JobSums::of_segments(&members)));
        match self.begin(dir, members) {
            Ok(merging) => compaction.merging = Some(Box::new(merging)),
            Err(error) => return self.give_up(compaction, &sequences, error),
        }
        Ok(true)
    }

    /// Merges until nothing is left that can be merged. A flush that falls due meanwhile goes first.
    pub(crate) fn compact_all(&self) -> Result<(), Error> {
        self.compact_to_the_end(Wanted::All)
    }

    /// The same with the segments that reach into `range`; the others stay as they are.
    pub(crate) fn compact_range(&self, range: impl RangeBounds<i64>) -> Result<(), Error> {
        let Some((from, to)) = bounds(&range) else {
            let what = "a compaction of an empty time range";
            return Err(Error::InvalidOptions(what.into()));
        };
        self.compact_to_the_end(Wanted::Within(from, to))
    }

    fn compact_to_the_end(&self, wanted: Wanted) -> Result<(), Error> {
        loop {
            self.check_writable()?;
            let mut maintenance = self.lock_maintenance();
            let is_busy = self.step_flush(&mut maintenance)?
                || self.compact(&mut maintenance, wanted)?
                || self.roll(&mut maintenance)?;
            if !is_busy {
                return Ok(());
            }
        }
    }

    /// A failed merge changes nothing. One that met unreadable bytes is not tried again before the next opening.
    fn give_up(&self, compaction: &mut Compaction, members: &[u64], error: Error) -> Result<bool, Error> {
        compaction.not_before_ms = self.options.clock.now_ms() + RETRY_MS;
        if let Some(job) = compaction.job.take() {
            job.fail(&error);
        }
        if let Error::Corrupt(_) = error {
            tracing::error!(%error, ?members, "segments are left unmerged: one of them cannot be read");
            compaction.unreadable.extend(members);
            return Ok(true);
        }
        Err(error)
    }

    /// Begins a merge, if the disk has room for it.
    fn begin(&self, dir: &Path, members: Vec<Arc<Segment>>) -> Result<Merging, Error> {
        let bytes: u64 = members.iter().map(|member| member.file_bytes()).sum();
        let (needed, free) = (
            bytes.saturating_add(FREE_BYTES_MIN),
            self.options.fs.available_bytes(dir)?,
        );
        if free < needed {
            return Err(Error::OutOfSpace(format!(
                "{}: a merge needs {needed} bytes, {free} are free",
                dir.display()
            )));
        }
        let view = self.view.load_full();
        let lsn_last = members
            .iter()
            .map(|member| member.meta.lsn_last)
            .max()
            .unwrap_or(0);
        let rules = self.rule_ranges();
        let mut inputs = Vec::with_capacity(members.len());
        for member in &members {
            inputs.push(self.input(&view, member, lsn_last, &rules)?);
        }
        let sequence = self.next_sequence();
        let source = MergeSource::new(inputs)?;
        let bounds = source.bounds();
        let is_compressed = self.is_old(bounds.1);
        let options = WriteOptions {
            metadata_compressor: self.options.metadata_compressor,
            data_compressor: if is_compressed {
                Compressor::Zstd
            } else {
                self.options.data_compressor
            },
        };
        let path = names::segment(dir, sequence);
        let meta = self.merged_meta(&members, sequence);
        tracing::debug!(sequence, members = members.len(), bytes, "merging segments");
        Ok(Merging {
            writer: SegmentWriter::create(&self.options.fs, &path, source, meta, bounds, options)?,
            members,
            sequence,
            is_compressed,
            rules: rules.checksum(bounds, lsn_last),
        })
    }

    /// A member with the deletions and rules that are applied to it.
    fn input(
        &self,
        view: &View,
        segment: &Arc<Segment>,
        lsn_last: u64,
        rules: &RuleRanges,
    ) -> Result<MergeInput, Error> {
        let masks = Masks::to_apply(view, segment, |one| one.lsn <= lsn_last || self.is_final(one))?;
        let (mut deleted, marks) = masks.into_ranges();
        rules.add_to(segment, &mut deleted)?;
        let dropped = masks::rows_without_samples(segment, &deleted)?;
        Ok(MergeInput {
            segment: segment.clone(),
            dropped,
            deleted,
            marks,
        })
    }

    fn merged_meta(&self, members: &[Arc<Segment>], sequence: u64) -> SegmentMeta {
        let metas = members.iter().map(|member| &member.meta);
        SegmentMeta {
            level: metas
                .clone()
                .map(|meta| meta.level)
                .max()
                .unwrap_or(0)
                .saturating_add(1),
            sources: metas
                .clone()
                .flat_map(|meta| meta.sources.iter().copied())
                .collect(),
            lsn_first: metas.clone().map(|meta| meta.lsn_first).min().unwrap_or(0),
            lsn_last: metas.map(|meta| meta.lsn_last).max().unwrap_or(0),
            ..self.new_meta(sequence)
        }
    }

    /// Writes on, and gives the merge back unless it has ended.
    fn carry_on(
        &self,
        dir: &Path,
        compaction: &mut Compaction,
        mut merging: Box<Merging>,
    ) -> Result<Option<Box<Merging>>, Error> {
        if !merging.writer.advance(SAMPLES_PER_STEP)? {
            return Ok(Some(merging));
        }
        let source = merging.writer.source();
        let conflicts = source.late_conflicts();
        let is_empty = source.len() == 0 && source.metadata().is_empty();
        let (members, is_compressed, rules) = (merging.members.clone(), merging.is_compressed, merging.rules);
        let merged = if is_empty {
            None
        } else {
            Some(self.open_new(merging.sequence, merging.writer.finish()?)?)
        };
        let new = merged.map(|segment| {
            let entry = SegmentEntry {
                is_compressed,
                rules,
                ..SegmentEntry::of(&segment)
            };
            (segment, entry)
        });
        self.replace_segments(dir, compaction, Why::Merge, &members, new.as_slice())?;
        self.late_conflicts.fetch_add(conflicts, Ordering::Relaxed);
        self.counters.merges.fetch_add(1, Ordering::Relaxed);
        if let Some(job) = compaction.job.take() {
            let written: Vec<Arc<Segment>> = new.into_iter().map(|new| new.0).collect();
            job.end(JobSums {
                segments: members.len() as u64,
                ..JobSums::of_segments(&written)
            });
        }
        Ok(None)
    }

    /// Commits that all of `new` stands in for `old`: the manifest, then the view. The files go later.
    pub(super) fn replace_segments(
        &self,
        dir: &Path,
        compaction: &mut Compaction,
        why: Why,
        old: &[Arc<Segment>],
        new: &[(Arc<Segment>, SegmentEntry)],
    ) -> Result<(), Error> {
        let is_old = |sequence: u64| old.iter().any(|segment| segment.sequence == sequence);
        {
            let mut manifest = self.lock_manifest();
            let mut next: Manifest = manifest.clone();
            next.segments.retain(|entry| !is_old(entry.sequence));
            next.segments.extend(new.iter().map(|new| new.1.clone()));
            next.segments
                .sort_by_key(|entry| (entry.lsn_last, entry.time_min));
            next.retired.extend(old.iter().map(|segment| segment.sequence));
            match why {
                Why::Merge => {}
                // What comes from elsewhere is later than every tile.
                Why::Attachment => next.late.extend(new.iter().map(|new| Late::of(&new.1))),
                Why::Retention => {
                    let newest = old.iter().map(|segment| segment.meta.time_max).max();
                    let now = self.retention_now();
                    next.gone = newest.min(now).map_or(next.gone, |newest| next.gone.max(newest));
                }
            }
            self.forget_late(&mut next);
            self.forget_spent(&mut next);
            if let Err(error) = next.write(&self.options.fs, dir) {
                if let (Error::OutOfSpace(_), false) = (&error, new.is_empty()) {
                    self.discard_all(new);
                    return Err(error);
                }
                return Err(self.poisoning(error));
            }
            *manifest = next;
        }
        self.change_view(|view| {
            let mut segments = view.segments.clone();
            segments.retain(|segment| !is_old(segment.sequence));
            segments.extend(new.iter().map(|new| new.0.clone()));
            segments.sort_by_key(|segment| (segment.meta.lsn_last, segment.meta.time_min));
            View {
                segments,
                deletions: self.unspent(view),
                late: self.known_late(),
                gone: self.lock_manifest().gone,
                ..view.clone()
            }
        });
        compaction.retired.extend_from_slice(old);
        Ok(())
    }

    /// Removes the files of segments that were written for nothing.
    pub(super) fn discard_all(&self, new: &[(Arc<Segment>, SegmentEntry)]) {
        for (segment, _) in new {
            self.discard(segment.path());
            self.discard(&names::summary(self.dir(), segment.sequence));
        }
    }

    /// Removes the files of segments that no reader holds any more. What cannot be removed now is removed at the next
    /// opening.
    pub(super) fn remove_retired(&self, dir: &Path, compaction: &mut Compaction) {
        compaction.retired.retain(|segment| {
            if Arc::strong_count(segment) > 1 {
                return true;
            }
            self.discard(segment.path());
            let summary = names::summary(dir, segment.sequence);
            if self.options.fs.exists(&summary).unwrap_or(false) {
                self.discard(&summary);
            }
            let mut manifest = self.lock_manifest();
            manifest.retired.retain(|sequence| *sequence != segment.sequence);
            false
        });
    }
}

impl Compaction {
    /// There may be something to merge that was not there at the last look.
    pub(super) fn look_again(&mut self) {
        self.looked_ms = None;
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.merging.is_some()
    }

    /// Files that nothing names any more.
    pub(super) fn retire(&mut self, segments: impl Iterator<Item = Arc<Segment>>) {
        self.retired.extend(segments);
    }

    /// Segments whose files wait for their readers.
    pub(super) fn retired(&self) -> usize {
        self.retired.len()
    }

    /// What the merge under way takes beside its members, at most in the usual case.
    pub(super) fn scratch_bytes(&self) -> u64 {
        let members = self.merging.iter().flat_map(|merging| &merging.members);
        members.map(|segment| segment.file_bytes()).sum()
    }

    /// Ends the merge under way if one of these is a member: they go.
    pub(super) fn abandon(&mut self, segments: &[Arc<Segment>]) {
        let goes = |member: &Arc<Segment>| segments.iter().any(|one| Arc::ptr_eq(one, member));
        if self
            .merging
            .take_if(|merging| merging.members.iter().any(goes))
            .is_some()
        {
            self.job = None;
        }
    }
}

/// Newest timestamp in segments and head.
pub(super) fn newest(view: &View) -> Option<i64> {
    let segments = view.segments.iter().map(|segment| segment.meta.time_max);
    let head = view.generations.iter().filter_map(|one| Some(one.bounds()?.1));
    segments.chain(head).max()
}
