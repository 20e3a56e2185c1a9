//! Retention: whole segments go by age and by total size, matching series by rules when a segment is written again. So
//! does in memory, where hidden samples take what others need, what a deletion hid that is withdrawn no more.
//!
//! Age is counted from the clock, but never from further ahead than the newest sample plus a bound: a clock that leaps
//! forward drops nothing until samples confirm it.

use super::compact::{self, Why};
use super::deletions::Tombstone;
use super::error::Error;
use super::events;
use super::jobs::{JobKind, JobSums};
use super::manifest::SegmentEntry;
use super::{Engine, Maintenance};
use crate::base::hash;
use crate::index::LabelMatcher;
use crate::segment::names;
use crate::segment::reader::{Segment, SegmentError};
use crate::wal;
use roaring::RoaringBitmap;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What a sample in memory will take on disk, at most in the usual case.
const BYTES_PER_SAMPLE: u64 = 2;

/// The retention rules, with the time before which each drops what matches.
#[derive(Debug)]
pub(super) struct RuleRanges {
    rules: Vec<(Vec<LabelMatcher>, u64, i64)>,
    /// Deletions for whose sake a segment is written again.
    purges: Vec<Arc<Tombstone>>,
}

impl RuleRanges {
    /// Which rules drop something of what lies wholly within `time_min..=time_max`, and which deletions of what was
    /// written up to `lsn_last`, as a number; 0 = none.
    pub(super) fn checksum(&self, (time_min, time_max): (i64, i64), lsn_last: u64) -> u64 {
        let rules = self.rules.iter().filter(|rule| time_max < rule.2);
        let is_above = |one: &&Arc<Tombstone>| one.lsn > lsn_last && one.overlaps(time_min, time_max);
        let purges = self.purges.iter().filter(is_above);
        let due = rules.map(|rule| rule.1).chain(purges.map(|one| one.lsn));
        due.fold(0, |all, number| hash::checksum_seeded(&number.to_le_bytes(), all))
    }

    /// Whether a rule may have dropped something of the series of a segment behind a time.
    pub(super) fn reach_behind(&self, segment: &Segment, time: i64) -> Result<bool, SegmentError> {
        for (matchers, ..) in self.rules.iter().filter(|rule| rule.2 > time) {
            let rows = segment.index()?.select(matchers);
            let rows = rows.map_err(|corrupt| segment.index_error(corrupt))?;
            if !rows.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Adds what the rules drop of a segment to what is deleted of it.
    pub(super) fn add_to(
        &self,
        segment: &Segment,
        deleted: &mut Vec<(Arc<RoaringBitmap>, i64, i64)>,
    ) -> Result<(), SegmentError> {
        for (matchers, _, before) in self.rules.iter().filter(|rule| segment.meta.time_min < rule.2) {
            let rows = segment.index()?.select(matchers);
            let rows = rows.map_err(|corrupt| segment.index_error(corrupt))?;
            if !rows.is_empty() {
                deleted.push((Arc::new(rows), i64::MIN, before - 1));
            }
        }
        Ok(())
    }
}

/// What retention keeps of the samples, and what it drops next. Times are in the unit of timestamps.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetentionReport {
    /// How long samples are kept.
    pub retention: Option<Duration>,
    /// Bytes beyond which the oldest segments go.
    pub retention_bytes: Option<u64>,
    /// Rules for some series, which have a shorter time.
    pub rules: usize,
    /// Bytes as they count for `retention_bytes`: log, checkpoint, segments and rollups, what memory will take, scratch space of a merge.
    pub bytes_in_use: u64,
    /// Those of them that rollups take. They stay when samples go, for as long as their own retention says.
    pub rollup_bytes: u64,
    /// Smallest and largest timestamp of samples.
    pub bounds: Option<(i64, i64)>,
    /// When the age of a segment makes it go next.
    pub next_drop: Option<i64>,
    /// Segments that are due to go at this moment.
    pub due_segments: usize,
    /// Their bytes.
    pub due_bytes: u64,
    /// How long logs are kept.
    pub log_retention: Option<Duration>,
    /// How long events are kept.
    pub event_retention: Option<Duration>,
}

impl Engine {
    /// What is kept for how long. Waits for no work: the scratch space of a merge does not count while a step has it.
    pub(crate) fn retention_report(&self) -> Result<RetentionReport, Error> {
        let scratch_bytes = self
            .maintenance
            .try_lock()
            .map_or(0, |held| held.compaction.scratch_bytes());
        let bytes_in_use = self.bytes_in_use(self.dir(), scratch_bytes)?;
        let due = self.due_of(bytes_in_use);
        let manifest = self.lock_manifest();
        let due = manifest
            .segments
            .iter()
            .filter(|entry| due.contains(&entry.sequence));
        let due: Vec<u64> = due.map(|entry| entry.bytes).collect();
        drop(manifest);
        let stats = self.stats()?;
        let bounds = [stats.head_bounds, stats.segment_bounds];
        let first = bounds.iter().flatten().map(|bounds| bounds.0).min();
        let last = bounds.iter().flatten().map(|bounds| bounds.1).max();
        Ok(RetentionReport {
            retention: self.options.retention,
            retention_bytes: self.options.retention_bytes,
            rules: self.retention_rules.len(),
            bytes_in_use,
            rollup_bytes: stats.rollup_bytes,
            bounds: first.zip(last),
            next_drop: self.next_drop(),
            due_segments: due.len(),
            due_bytes: due.iter().sum(),
            log_retention: self.options.log_retention,
            event_retention: self.options.event_retention,
        })
    }

    /// Drops the segments that retention is due for. Returns whether there were any.
    pub(super) fn retain(&self, maintenance: &mut Maintenance) -> Result<bool, Error> {
        let dir = self.dir();
        let bytes = match self.options.retention_bytes {
            Some(_) => self.bytes_in_use(dir, maintenance.compaction.scratch_bytes())?,
            None => 0,
        };
        let due = self.due_of(bytes);
        if due.is_empty() {
            return Ok(false);
        }
        let view = self.view.load_full();
        let is_due = |segment: &&Arc<Segment>| due.contains(&segment.sequence);
        let old: Vec<Arc<Segment>> = view.segments.iter().filter(is_due).cloned().collect();
        if old.is_empty() {
            return Ok(false);
        }
        // What is to stay as windows is rolled up first, if there is room.
        if self.options.retention_bytes.is_none()
            && self.lacks_tiles(&maintenance.rolling.barren, &view, &old)
        {
            match self.roll(maintenance) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "samples go that were not rolled up"),
            }
        }
        tracing::info!(segments = old.len(), "retention drops segments");
        maintenance.compaction.abandon(&old);
        let compaction = &mut maintenance.compaction;
        let replace = || self.replace_segments(dir, compaction, Why::Retention, &old, &[]);
        self.as_job(JobKind::Retention, replace, |()| JobSums::of_segments(&old))?;
        // What they alone said of metrics is known no more, and is written when it is said again.
        let left = events::metadata_in(&self.view.load().segments);
        self.head.relearn_metadata(left);
        Ok(true)
    }

    /// When the age of a segment makes it go next, in the unit of timestamps.
    pub(super) fn next_drop(&self) -> Option<i64> {
        let retention = self.precision.units(self.options.retention?);
        let oldest = self
            .lock_manifest()
            .of_samples()
            .map(|entry| entry.time_max)
            .min()?;
        Some(oldest.saturating_add(retention).saturating_add(1))
    }

    /// Sequence numbers of the segments to drop, when so many bytes are in use.
    fn due_of(&self, mut bytes: u64) -> Vec<u64> {
        let mut segments: Vec<SegmentEntry> = self.lock_manifest().of_samples().cloned().collect();
        segments.sort_by_key(|entry| entry.time_max);
        let mut due = Vec::new();
        if let (Some(retention), Some(now)) = (self.options.retention, self.retention_now()) {
            let oldest = now.saturating_sub(self.precision.units(retention));
            due.extend(
                segments
                    .iter()
                    .filter(|entry| entry.time_max < oldest)
                    .map(|entry| entry.sequence),
            );
        }
        if let Some(bytes_max) = self.options.retention_bytes {
            for entry in &segments {
                if bytes <= bytes_max {
                    break;
                }
                bytes = bytes.saturating_sub(entry.bytes);
                due.push(entry.sequence);
            }
        }
        due
    }

    /// Log, checkpoint, segments, what the head will take, and scratch space. Files that only a reader still holds are
    /// not counted: to drop more would not bring them back.
    fn bytes_in_use(&self, dir: &Path, scratch_bytes: u64) -> Result<u64, Error> {
        let fs = &self.options.fs;
        // Who only asks does not keep a file from going meanwhile.
        let length = |path: &Path| match fs.file_len(path) {
            Err(error) if error.is_not_found() => Ok(0),
            other => other,
        };
        let mut bytes = scratch_bytes;
        for (_, path) in wal::list_files(&**fs, dir)? {
            bytes += length(&path)?;
        }
        let (checkpoint, segments) = {
            let manifest = self.lock_manifest();
            let segments: u64 = manifest.segments.iter().map(|entry| entry.bytes).sum();
            (manifest.checkpoint, segments)
        };
        if checkpoint != 0 {
            bytes += length(&names::checkpoint(dir, checkpoint))?;
        }
        let head = self
            .view
            .load()
            .generations
            .iter()
            .map(|one| one.samples())
            .sum::<u64>();
        Ok(bytes + segments + head * BYTES_PER_SAMPLE)
    }

    /// Samples up to this time may be gone.
    pub(crate) fn gone(&self) -> i64 {
        self.view.load().gone
    }

    /// The time from which age is counted; `None` while there is no sample.
    pub(super) fn retention_now(&self) -> Option<i64> {
        let newest = compact::newest(&self.view.load())?;
        let ahead = self.precision.units(self.options.clock_leap_max);
        Some(self.now().min(newest.saturating_add(ahead)))
    }

    pub(super) fn rule_ranges(&self) -> RuleRanges {
        let now = self.retention_now().unwrap_or(i64::MIN);
        let rules = self.retention_rules.iter().map(|(matchers, id, retention)| {
            let before = now.saturating_sub(self.precision.units(*retention));
            (matchers.clone(), *id, before)
        });
        let view = self.view.load();
        let purges = view.deletions.iter().filter(|_| self.is_in_memory());
        RuleRanges {
            rules: rules.collect(),
            purges: purges.filter(|one| self.is_final(one)).cloned().collect(),
        }
    }

    /// Whether data up to `newest` is old enough to be compressed.
    pub(super) fn is_old(&self, newest: i64) -> bool {
        let after = self.options.compress_after;
        after.is_some_and(|after| {
            let now = self.retention_now().unwrap_or(i64::MIN);
            newest < now.saturating_sub(self.precision.units(after))
        })
    }

    /// A single segment that is due to be written again: a rule drops some of it, or it has become old.
    pub(super) fn pick_rewrite(&self, segments: &[SegmentEntry], unreadable: &BTreeSet<u64>) -> Option<u64> {
        let rules = self.rule_ranges();
        let is_due = |entry: &&SegmentEntry| {
            let checksum = rules.checksum((entry.time_min, entry.time_max), entry.lsn_last);
            !unreadable.contains(&entry.sequence)
                && ((checksum != 0 && checksum != entry.rules)
                    || (!entry.is_compressed && self.is_old(entry.time_max)))
        };
        segments.iter().find(is_due).map(|entry| entry.sequence)
    }
}
