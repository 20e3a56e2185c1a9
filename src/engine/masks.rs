//! Deletions as they lie over segments, the frozen generation and hidden parts, and what they leave to be seen.

use super::deletions::Tombstone;
use super::view::View;
use crate::model::parts::{Mark, Part};
use crate::model::samples::Samples;
use crate::segment::read::ReadCache;
use crate::segment::reader::{Segment, SegmentError};
use roaring::RoaringBitmap;
use std::sync::Arc;

/// The deletions that lie over one source, with the rows or ids that each is about.
#[derive(Debug, Default)]
pub(super) struct Masks {
    masks: Vec<(Arc<Tombstone>, Arc<RoaringBitmap>)>,
}

impl Masks {
    /// Those over a segment, within a time range.
    pub(super) fn over_segment(
        view: &View,
        segment: &Segment,
        from: i64,
        to: i64,
    ) -> Result<Self, SegmentError> {
        Self::find(view, segment, (from, to), |_| true)
    }

    /// Those over a segment that are wanted.
    pub(super) fn to_apply(
        view: &View,
        segment: &Segment,
        is_wanted: impl Fn(&Tombstone) -> bool,
    ) -> Result<Self, SegmentError> {
        Self::find(view, segment, (i64::MIN, i64::MAX), is_wanted)
    }

    fn find(
        view: &View,
        segment: &Segment,
        (from, to): (i64, i64),
        is_wanted: impl Fn(&Tombstone) -> bool,
    ) -> Result<Self, SegmentError> {
        let (from, to) = (from.max(segment.meta.time_min), to.min(segment.meta.time_max));
        let mut masks = Vec::new();
        for tombstone in view.deletions.iter() {
            if tombstone.lsn > segment.meta.lsn_last && is_wanted(tombstone) && tombstone.overlaps(from, to) {
                let rows = tombstone.rows(segment)?;
                if !rows.is_empty() {
                    masks.push((tombstone.clone(), rows));
                }
            }
        }
        Ok(Self { masks })
    }

    /// Rows that a deletion in force is about.
    pub(super) fn rows(&self) -> RoaringBitmap {
        let in_force = self.masks.iter().filter(|mask| mask.0.is_in_force());
        in_force.fold(RoaringBitmap::new(), |all, mask| all | &*mask.1)
    }

    /// What is deleted, and the marks.
    pub(super) fn into_ranges(self) -> (Vec<DeletedRange>, Vec<(Arc<RoaringBitmap>, Mark)>) {
        let (mut deleted, mut marks) = (Vec::new(), Vec::new());
        for (tombstone, rows) in self.masks {
            match tombstone.mark() {
                None => deleted.push((rows, tombstone.deletion.from, tombstone.deletion.to)),
                Some(mark) => marks.push((rows, mark)),
            }
        }
        (deleted, marks)
    }

    /// Time ranges of a row that are hidden.
    pub(super) fn hidden(&self, row: u32) -> impl Iterator<Item = (i64, i64)> {
        let about = self.masks.iter().filter(move |mask| mask.1.contains(row));
        let in_force = about.filter(|mask| mask.0.is_in_force());
        in_force.map(|mask| (mask.0.deletion.from, mask.0.deletion.to))
    }

    /// Whether deletions leave nothing of a row to show within `from..=to`.
    pub(super) fn hide_all(
        &self,
        segment: &Segment,
        row: u32,
        (from, to): (i64, i64),
        cache: &mut ReadCache,
    ) -> Result<bool, SegmentError> {
        let mut hidden: Vec<(i64, i64)> = self.hidden(row).collect();
        if hidden.is_empty() {
            return Ok(false);
        }
        let (first, last) = segment.time_bounds(row)?;
        is_all_hidden(segment, row, (first.max(from), last.min(to)), &mut hidden, cache)
    }

    /// Hides what is hidden of a row and notes the marks above it.
    pub(super) fn apply(&self, row: u32, part: &mut Part) {
        for (tombstone, _) in self.masks.iter().filter(|mask| mask.1.contains(row)) {
            apply(tombstone, part);
        }
    }
}

/// The same for a part of the series `id` of the head.
pub(super) fn apply_to_head(view: &View, id: u32, part: &mut Part) {
    for tombstone in view.deletions.iter() {
        if tombstone.lsn > part.lsn && tombstone.ids.contains(id) {
            apply(tombstone, part);
        }
    }
}

/// Whether the exemplars of series `id` in the head at `timestamp` are hidden, when they stand below `lsn`.
pub(super) fn is_hidden_in_head(view: &View, id: u32, lsn: u64, timestamp: i64) -> bool {
    view.deletions.iter().any(|tombstone| {
        tombstone.is_in_force()
            && tombstone.lsn > lsn
            && tombstone.overlaps(timestamp, timestamp)
            && tombstone.ids.contains(id)
    })
}

fn apply(tombstone: &Tombstone, part: &mut Part) {
    let (from, to) = (tombstone.deletion.from, tombstone.deletion.to);
    match tombstone.mark() {
        None => part.samples.cut_out(from, to),
        Some(mark) => part.marks.push(mark),
    }
}

/// Rows of a segment, and the time range of them that is deleted.
pub(super) type DeletedRange = (Arc<RoaringBitmap>, i64, i64);

/// Rows of a segment of whose samples nothing is left.
pub(super) fn rows_without_samples(
    segment: &Segment,
    deleted: &[DeletedRange],
) -> Result<RoaringBitmap, SegmentError> {
    let touched = deleted
        .iter()
        .fold(RoaringBitmap::new(), |all, range| all | &*range.0);
    let (mut without, mut cache) = (RoaringBitmap::new(), ReadCache::default());
    for row in touched {
        let about = deleted.iter().filter(|range| range.0.contains(row));
        let mut ranges: Vec<(i64, i64)> = about.map(|range| (range.1, range.2)).collect();
        let (first, last) = segment.time_bounds(row)?;
        if is_all_hidden(segment, row, (first, last), &mut ranges, &mut cache)? {
            without.insert(row);
        }
    }
    Ok(without)
}

/// Whether the ranges hide every sample that a row has within `first..=last`.
fn is_all_hidden(
    segment: &Segment,
    row: u32,
    (first, last): (i64, i64),
    hidden: &mut [(i64, i64)],
    cache: &mut ReadCache,
) -> Result<bool, SegmentError> {
    if is_covered(hidden, first, last) {
        return Ok(true);
    }
    let touches = hidden.iter().any(|range| range.0 <= last && range.1 >= first);
    Ok(touches && is_hidden_sample_by_sample(segment, row, (first, last), hidden, cache)?)
}

/// Whether the ranges together cover `first..=last`.
fn is_covered(ranges: &mut [(i64, i64)], first: i64, last: i64) -> bool {
    ranges.sort_unstable();
    let mut next = first;
    for (from, to) in ranges {
        if *from > next {
            return false;
        }
        if *to >= last {
            return true;
        }
        next = next.max(to.saturating_add(1));
    }
    next > last
}

fn is_hidden_sample_by_sample(
    segment: &Segment,
    row: u32,
    (from, to): (i64, i64),
    hidden: &[(i64, i64)],
    cache: &mut ReadCache,
) -> Result<bool, SegmentError> {
    let mut samples = Samples::default();
    for slice in segment.slices_within(from, to)? {
        segment.read(row, slice, (from, to), cache, &mut samples)?;
        hidden.iter().for_each(|range| samples.cut_out(range.0, range.1));
        if !samples.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_together() {
        assert!(is_covered(&mut [(5, 9), (0, 4)], 0, 9));
        assert!(!is_covered(&mut [(5, 9), (0, 3)], 0, 9));
        assert!(is_covered(&mut [(i64::MIN, i64::MAX)], i64::MIN, i64::MAX));
        assert!(!is_covered(&mut [], 0, 0));
        assert!(!is_covered(&mut [(0, 4)], 0, 9));
    }
}
