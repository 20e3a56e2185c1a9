//! The twin's side of segments: which sample is in which, what a merge and a retention pass may take away, and that
//! nothing else changes. It follows the list of segments, and expects of every change that it has a reason.

use super::twin::{Deletion, Home, Place, Twin};
use narthex::SegmentMeta;
use std::collections::{BTreeMap, BTreeSet};

/// Says of a series whether it is meant.
pub(super) type Wanted = fn(usize) -> bool;

/// When deletions are final and what is too old, at one moment.
pub(super) struct Ages {
    pub(super) now_ms: i64,
    /// Deletions that are younger are not applied to segments.
    pub(super) undelete_window_ms: i64,
    /// Segments that end before this go.
    pub(super) oldest: Option<i64>,
    /// Of these series, what lies before this goes with the next merge.
    pub(super) rule: Option<(Wanted, i64)>,
}

impl Ages {
    pub(super) fn is_young(&self, deletion: &Deletion) -> bool {
        self.now_ms < deletion.created_ms.saturating_add(self.undelete_window_ms)
    }

    fn is_expired(&self, place: Place) -> bool {
        self.rule
            .is_some_and(|(wanted, before)| wanted(place.0) && place.1 < before)
    }
}

/// What became of segments.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) merges: usize,
    /// Places of which several members had something to say, or to which a deletion was applied.
    pub(super) settled: usize,
    /// Segments that were dropped for their age.
    pub(super) dropped: usize,
    /// Samples that went by age or by rule, from places that were written more than once.
    pub(super) expired: usize,
    pub(super) expired_colliding: usize,
}

impl Twin {
    /// What was frozen is in one of the `new` segments: what a deletion or undelete cut off in the one that ends with it.
    pub(super) fn flush_frozen(&mut self, new: &[SegmentMeta]) -> Result<(), String> {
        let mut places: BTreeMap<(Place, u64, bool), Home> = BTreeMap::new();
        let samples = self.places.iter().flat_map(|(place, writes)| {
            let frozen = writes.iter().filter(|write| write.home == Home::Frozen);
            frozen.map(|write| (*place, write.lsn, true))
        });
        let exemplars = self.exemplars.iter().flat_map(|(series, all)| {
            let frozen = all.iter().filter(|one| one.home == Home::Frozen);
            frozen.map(|one| ((*series, one.exemplar.timestamp), one.lsn, false))
        });
        for (place, lsn, is_sample) in samples.chain(exemplars) {
            let found = self.segment_of(place, lsn, is_sample, new);
            let found =
                found.ok_or_else(|| format!("{place:?} of {lsn} is in none of the segments {new:?}"))?;
            places.insert((place, lsn, is_sample), Home::Segment(found));
        }
        for (place, writes) in &mut self.places {
            for write in writes.iter_mut().filter(|write| write.home == Home::Frozen) {
                write.home = places[&(*place, write.lsn, true)];
            }
        }
        for (series, all) in &mut self.exemplars {
            for one in all.iter_mut().filter(|one| one.home == Home::Frozen) {
                one.home = places[&((*series, one.exemplar.timestamp), one.lsn, false)];
            }
        }
        let last = new.iter().max_by_key(|meta| meta.lsn_last);
        for said in self.metadata.values_mut().flatten() {
            if let (Home::Frozen, Some(meta)) = (said.home, last) {
                said.home = Home::Segment(meta.ulid);
            }
        }
        self.segments
            .extend(new.iter().map(|meta| (meta.ulid, meta.clone())));
        self.frozen_lsn = None;
        Ok(())
    }

    /// An undelete cuts samples off, and no exemplars.
    fn segment_of(&self, place: Place, lsn: u64, is_sample: bool, new: &[SegmentMeta]) -> Option<u128> {
        let covering = self.deletions.iter().filter(|one| one.covers(place));
        let cuts = covering.flat_map(|one| [Some(one.lsn), one.withdrawn.filter(|_| is_sample)]);
        let cuts = cuts.flatten();
        let cuts: BTreeSet<u64> = cuts.filter(|cut| *cut > lsn).collect();
        let ends = cuts.into_iter().map(|cut| cut - 1);
        let mut ends = ends.chain(new.iter().map(|meta| meta.lsn_last).max());
        let find = |end: u64| {
            let mut fitting = new.iter().filter(|meta| meta.lsn_last == end);
            fitting.find(|meta| (meta.time_min..=meta.time_max).contains(&place.1))
        };
        ends.find_map(find).map(|meta| meta.ulid)
    }

    /// The last LSN of a merged segment; 0 of a flushed one.
    pub(super) fn merged_lsn(&self, ulid: u128) -> u64 {
        let merged = self.segments.get(&ulid).filter(|meta| meta.level > 0);
        merged.map_or(0, |meta| meta.lsn_last)
    }

    /// The flushed segments of a list that are new.
    pub(super) fn new_flushed(&self, now: &[SegmentMeta]) -> Vec<SegmentMeta> {
        let is_new = |meta: &&SegmentMeta| meta.level == 0 && !self.segments.contains_key(&meta.ulid);
        now.iter().filter(is_new).cloned().collect()
    }

    /// A finished flush of everything.
    pub(super) fn flush(&mut self, now: &[SegmentMeta]) -> Result<(), String> {
        let new = self.new_flushed(now);
        let frozen = self.frozen_lsn.unwrap_or(0);
        let (first, rest): (Vec<_>, Vec<_>) = new.into_iter().partition(|meta| meta.lsn_first <= frozen);
        self.flush_frozen(&first)?;
        self.freeze();
        self.flush_frozen(&rest)
    }

    /// Merges and drops, of flushed segments that are known.
    pub(super) fn follow_segments(&mut self, now: &[SegmentMeta], ages: &Ages) -> Result<Changes, String> {
        let mut changes = Changes::default();
        let there: BTreeSet<u128> = now.iter().map(|meta| meta.ulid).collect();
        let gone = self.segments.values().filter(|meta| !there.contains(&meta.ulid));
        let mut gone: Vec<SegmentMeta> = gone.cloned().collect();
        let before = self.contents(|_| true, i64::MIN, i64::MAX);
        let is_new = |meta: &&SegmentMeta| !self.segments.contains_key(&meta.ulid);
        let new: Vec<&SegmentMeta> = now.iter().filter(is_new).collect();
        for merged in new {
            let is_member = |meta: &SegmentMeta| meta.sources.iter().all(|one| merged.sources.contains(one));
            let members: Vec<SegmentMeta> = gone.extract_if(.., |meta| is_member(meta)).collect();
            self.check_merged(&members, merged)?;
            self.merge(&members, Some(merged.ulid), ages, &mut changes)?;
        }
        let is_due = |meta: &SegmentMeta| ages.oldest.is_some_and(|oldest| meta.time_max < oldest);
        let due: Vec<SegmentMeta> = gone.extract_if(.., |meta| is_due(meta)).collect();
        if !gone.is_empty() {
            self.merge(&gone, None, ages, &mut changes)?;
        }
        if !due.is_empty() {
            self.drop_segments(&due, &mut changes);
        }
        self.segments = now.iter().map(|meta| (meta.ulid, meta.clone())).collect();
        let after = self.contents(|_| true, i64::MIN, i64::MAX);
        let is_lost = |place: &Place| !after.contains_key(place);
        if changes.expired == 0 && before != after {
            let lost: Vec<&Place> = before.keys().filter(|place| is_lost(place)).take(5).collect();
            return Err(format!("a merge took {lost:?}"));
        }
        Ok(changes)
    }

    /// A merged segment says of itself what its members come to.
    fn check_merged(&self, members: &[SegmentMeta], merged: &SegmentMeta) -> Result<(), String> {
        let sources: BTreeSet<u128> = members
            .iter()
            .flat_map(|meta| meta.sources.iter().copied())
            .collect();
        let lsn_first = members.iter().map(|meta| meta.lsn_first).min();
        let lsn_last = members.iter().map(|meta| meta.lsn_last).max();
        let level = members.iter().map(|meta| meta.level).max();
        let is_right = merged
            .sources
            .iter()
            .copied()
            .collect::<BTreeSet<u128>>()
            .is_superset(&sources)
            && lsn_first >= Some(merged.lsn_first)
            && lsn_last == Some(merged.lsn_last)
            && level < Some(merged.level);
        if is_right {
            Ok(())
        } else {
            Err(format!("{merged:?} was made of {members:?}"))
        }
    }

    /// Rule 5: what final deletions hide is gone, everything else is in the result.
    fn merge(
        &mut self,
        members: &[SegmentMeta],
        to: Option<u128>,
        ages: &Ages,
        changes: &mut Changes,
    ) -> Result<(), String> {
        let ulids: BTreeSet<u128> = members.iter().map(|meta| meta.ulid).collect();
        let last = members.iter().map(|meta| meta.lsn_last).max().unwrap_or(0);
        let is_member = |home: Home| matches!(home, Home::Segment(ulid) if ulids.contains(&ulid));
        // Several merges may have come to nothing: what lies between two of them need not have been crossed.
        let is_meant = |one: &&Deletion| {
            one.withdrawn.is_none() && (!ages.is_young(one) || to.is_some() && one.lsn <= last)
        };
        let deletions = self.deletions.iter().filter(is_meant);
        let applied: Vec<Deletion> = deletions.cloned().collect();
        let goes = |place: Place, lsn: u64| -> Result<bool, String> {
            let above = applied.iter().filter(|one| lsn < one.lsn && one.covers(place));
            let above: Vec<&Deletion> = above.collect();
            // What a final deletion hid went with an earlier merge, also when a young one lies over it as well.
            match above.first() {
                Some(young) if above.iter().all(|one| ages.is_young(one)) => {
                    Err(format!("deletion {} can be withdrawn and was crossed", young.lsn))
                }
                _ => Ok(!above.is_empty()),
            }
        };
        for (place, writes) in &mut self.places {
            let homes = writes
                .iter()
                .map(|write| write.home)
                .filter(|home| is_member(*home));
            let mut is_settled = homes.collect::<BTreeSet<Home>>().len() > 1;
            let count = writes.len();
            let mut kept = Vec::with_capacity(count);
            for mut write in writes.drain(..) {
                if is_member(write.home) {
                    if ages.is_expired(*place) {
                        changes.expired += 1;
                        changes.expired_colliding += usize::from(count > 1);
                        continue;
                    }
                    if goes(*place, write.lsn)? {
                        is_settled = true;
                        continue;
                    }
                    let to = to.ok_or_else(|| format!("{place:?} of {} was merged away", write.lsn))?;
                    write.home = Home::Segment(to);
                }
                kept.push(write);
            }
            *writes = kept;
            changes.settled += usize::from(is_settled);
        }
        for (series, all) in &mut self.exemplars {
            let mut kept = Vec::with_capacity(all.len());
            for mut one in all.drain(..) {
                let place = (*series, one.exemplar.timestamp);
                if is_member(one.home) {
                    if ages.is_expired(place) || goes(place, one.lsn)? {
                        continue;
                    }
                    let to = to.ok_or_else(|| format!("an exemplar at {place:?} was merged away"))?;
                    one.home = Home::Segment(to);
                }
                kept.push(one);
            }
            *all = kept;
        }
        for said in self.metadata.values_mut().flatten() {
            if is_member(said.home) {
                let to = to.ok_or_else(|| format!("{said:?} was merged away"))?;
                said.home = Home::Segment(to);
            }
        }
        self.places.retain(|_, writes| !writes.is_empty());
        changes.merges += 1;
        Ok(())
    }

    /// Only the segments that are wanted, as in a backup of a time range.
    pub(super) fn keep_segments(&mut self, is_wanted: impl Fn(&SegmentMeta) -> bool) {
        let dropped = self.segments.values().filter(|meta| !is_wanted(meta));
        let dropped: Vec<SegmentMeta> = dropped.cloned().collect();
        self.drop_segments(&dropped, &mut Changes::default());
        self.segments.retain(|_, meta| is_wanted(meta));
    }

    fn drop_segments(&mut self, dropped: &[SegmentMeta], changes: &mut Changes) {
        let ulids: BTreeSet<u128> = dropped.iter().map(|meta| meta.ulid).collect();
        let is_dropped = |home: Home| matches!(home, Home::Segment(ulid) if ulids.contains(&ulid));
        for writes in self.places.values_mut() {
            let count = writes.len();
            writes.retain(|write| !is_dropped(write.home));
            changes.expired += count - writes.len();
            changes.expired_colliding += if count > 1 { count - writes.len() } else { 0 };
        }
        for all in self.exemplars.values_mut() {
            all.retain(|one| !is_dropped(one.home));
        }
        self.places.retain(|_, writes| !writes.is_empty());
        for history in self.metadata.values_mut() {
            history.retain(|said| !is_dropped(said.home));
        }
        self.metadata.retain(|_, history| !history.is_empty());
        changes.dropped += dropped.len();
    }
}
