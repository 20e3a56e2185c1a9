//! Which merge comes next and when: what `pick` is told of the database, and how often it is asked.

use super::compact::{Compaction, newest};
use super::deletions::Tombstone;
use super::error::Error;
use super::manifest::SegmentEntry;
use super::pick::{self, Barrier, PickOptions};
use super::view::View;
use super::{Engine, Maintenance};
use crate::segment::reader::Segment;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Which merges are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Those that are due.
    Due,
    /// Whatever can be merged, for its own sake.
    All,
    /// The same, of segments that reach into this time, both ends included.
    Within(i64, i64),
}

impl Engine {
    /// Does one piece of the merges that are due, if it is time to look for them.
    pub(super) fn compact_if_due(&self, maintenance: &mut Maintenance) -> Result<bool, Error> {
        let now_ms = self.options.clock.now_ms();
        let compaction = &maintenance.compaction;
        let next_ms = self.next_look_ms(compaction);
        // A clock that goes back keeps no look waiting.
        let is_early = |looked_ms: i64| (looked_ms..next_ms.unwrap_or(looked_ms)).contains(&now_ms);
        if !compaction.is_under_way() && compaction.looked_ms.is_some_and(is_early) {
            return Ok(false);
        }
        let is_any = self.compact(maintenance, Wanted::Due)?;
        if !is_any {
            maintenance.compaction.looked_ms = Some(now_ms);
        }
        Ok(is_any)
    }

    /// When it is looked for merges again; `None` at once.
    pub(super) fn next_look_ms(&self, compaction: &Compaction) -> Option<i64> {
        let interval = self.options.compaction_interval;
        let interval_ms = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
        let looked_ms = compaction.looked_ms.filter(|_| interval_ms > 0)?;
        Some(looked_ms.saturating_add(interval_ms))
    }

    /// Looks for merges with the next step, whatever the interval.
    #[cfg(feature = "server")]
    pub(crate) fn look_for_merges(&self) {
        self.lock_maintenance().compaction.look_again();
    }

    /// The segments that would be merged next, and from when on; a merge that is under way is none of them.
    pub(super) fn next_merge(&self, compaction: &Compaction) -> (Option<Vec<Arc<Segment>>>, i64) {
        let members = match self.options.compaction {
            true => self.pick_members(compaction, Wanted::Due),
            false => None,
        };
        (members, compaction.not_before_ms)
    }

    pub(super) fn pick_members(&self, compaction: &Compaction, wanted: Wanted) -> Option<Vec<Arc<Segment>>> {
        let view = self.view.load();
        let find = |sequence: u64| view.segments.iter().find(|one| one.sequence == sequence);
        let entries: Vec<SegmentEntry> = self.lock_manifest().of_samples().cloned().collect();
        // Those that did not open are not in the view.
        let lost = entries.iter().map(|entry| entry.sequence);
        let lost = lost.filter(|sequence| find(*sequence).is_none());
        let options = PickOptions {
            unreadable: lost.chain(compaction.unreadable.iter().copied()).collect(),
            ..self.pick_options(&view, wanted)
        };
        let picked = pick::pick(&entries, &self.barriers(&view), &options).or_else(|| {
            let wanted = entries.into_iter().filter(|entry| options.is_wanted(entry));
            let wanted: Vec<SegmentEntry> = wanted.collect();
            Some(vec![self.pick_rewrite(&wanted, &options.unreadable)?])
        })?;
        picked.iter().map(|sequence| find(*sequence).cloned()).collect()
    }

    fn pick_options(&self, view: &View, wanted: Wanted) -> PickOptions {
        let now_ms = self.options.clock.now_ms();
        let millis = |duration: std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        PickOptions {
            partition: self.partition_span(),
            samples_max: self.options.segment_samples_max,
            margin: self.precision.units(self.options.segment_span),
            newest: newest(view).unwrap_or(i64::MIN),
            now_ms,
            rest_ms: millis(self.options.segment_span).saturating_mul(3),
            settled_lsn: self.settled_lsn(view),
            is_full: wanted != Wanted::Due,
            within: match wanted {
                Wanted::Due | Wanted::All => None,
                Wanted::Within(from, to) => Some((from, to)),
            },
            unreadable: BTreeSet::new(),
        }
    }

    /// Everything that was written up to this LSN stands in segments.
    fn settled_lsn(&self, view: &View) -> u64 {
        if view.generations.iter().all(|one| one.bounds().is_none()) {
            return u64::MAX;
        }
        self.lock_manifest().flushed_lsn
    }

    /// Length of the longest segments, in the database's unit.
    pub(super) fn partition_span(&self) -> i64 {
        self.precision.units(self.options.partition_span())
    }

    fn barriers(&self, view: &View) -> Vec<Barrier> {
        let is_minded = |one: &&Arc<Tombstone>| !one.is_in_force() || self.is_young(one.deletion.created_ms);
        let barriers = view.deletions.iter().filter(is_minded).map(|tombstone| Barrier {
            lsn: tombstone.lsn,
            withdrawn: tombstone.withdrawn,
            from: tombstone.deletion.from,
            to: tombstone.deletion.to,
        });
        barriers.collect()
    }

    /// Whether a deletion hides what it hides for good. Once it does it always does, so that a merge may rely on it.
    pub(super) fn is_final(&self, tombstone: &Tombstone) -> bool {
        tombstone.is_in_force() && !self.is_young(tombstone.deletion.created_ms)
    }

    fn is_young(&self, created_ms: i64) -> bool {
        let window = self.options.undelete_window.as_millis();
        let window_ms = i64::try_from(window).unwrap_or(i64::MAX);
        let now_ms = self.options.clock.now_ms();
        // A clock that goes back makes no deletion young again.
        let latest_ms = self.latest_ms.fetch_max(now_ms, Ordering::AcqRel).max(now_ms);
        latest_ms < created_ms.saturating_add(window_ms)
    }
}
