//! What a reader of one segment keeps between rows: groups and time columns, bounded in number and bytes.
//!
//! Rows are read in label order, so a group serves its neighbours and is soon done with, while the columns of all
//! targets come round again with every metric: groups go by age, columns by chance, because a cycle just longer than
//! the cache would push out by age exactly what comes next.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use crate::base::bytes::Corrupt;
use crate::column::{DecodeScratch, GroupReader, TimeColumn, TimeRef};
use crate::io::Region;
use foldhash::HashMap;

/// Groups that a reader keeps, of some 256 KiB each once they are decoded.
const GROUPS_MAX: usize = 64;
/// Groups that a member of a merge keeps: it reads them in their order, and most of them once.
const MERGED_GROUPS_MAX: usize = 8;
/// Timestamps of all columns that a reader keeps: 16 MiB.
const COLUMN_ROWS_MAX: usize = 2 << 20;
/// Members of a merge that keep as many; more share the memory of so many.
const MERGED_FULL: usize = 4;

/// A group as it was read, and once a second of its series was asked for, all of them decoded.
#[derive(Debug)]
pub(super) struct CachedGroup {
    key: (u32, u32),
    used: u64,
    bytes: Region,
    series: Vec<DecodedSeries>,
    is_decoded: bool,
}

#[derive(Debug, Default)]
struct DecodedSeries {
    time: TimeRef,
    values: Vec<u64>,
    /// The values were handed over.
    is_taken: bool,
}

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct CacheLimits {
    groups: usize,
    column_rows: usize,
    /// The reader goes forward in time: of what lies before the last two slices nothing is asked again.
    is_forward: bool,
}

impl Default for CacheLimits {
    fn default() -> Self {
        Self {
            groups: GROUPS_MAX,
            column_rows: COLUMN_ROWS_MAX,
            is_forward: false,
        }
    }
}

impl CacheLimits {
    /// For each of the members of a merge.
    pub(super) fn of_member(members: usize) -> Self {
        Self {
            groups: MERGED_GROUPS_MAX,
            column_rows: COLUMN_ROWS_MAX * MERGED_FULL / members.max(MERGED_FULL),
            is_forward: true,
        }
    }
}

/// The groups used last.
#[derive(Debug, Default)]
pub(super) struct GroupCache {
    limits: CacheLimits,
    groups: Vec<CachedGroup>,
    latest: usize,
    /// Counts uses, to tell which entry was not used for longest.
    now: u64,
}

impl GroupCache {
    pub(super) fn new(limits: CacheLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Whether the group is there; if so it is the one that [`Self::latest`] gives.
    pub(super) fn find(&mut self, key: (u32, u32)) -> bool {
        let is_latest = self.groups.get(self.latest).is_some_and(|group| group.key == key);
        if !is_latest {
            let Some(found) = self.groups.iter().position(|group| group.key == key) else {
                return false;
            };
            self.latest = found;
        }
        true
    }

    /// Adds a group, which takes over the memory of the oldest one when there are enough.
    pub(super) fn insert(&mut self, key: (u32, u32), bytes: Region) {
        let group = CachedGroup {
            key,
            used: 0,
            bytes,
            series: Vec::new(),
            is_decoded: false,
        };
        if self.groups.len() < self.limits.groups {
            self.latest = self.groups.len();
            self.groups.push(group);
            return;
        }
        let oldest = self.groups.iter().enumerate().min_by_key(|entry| entry.1.used);
        self.latest = oldest.map_or(0, |(index, _)| index);
        if let Some(slot) = self.groups.get_mut(self.latest) {
            let series = std::mem::take(&mut slot.series);
            *slot = CachedGroup { series, ..group };
        }
    }

    /// Number of samples of the series in `slot` of the group found or inserted last.
    pub(super) fn count(&self, slot: usize) -> Result<u64, Corrupt> {
        let Some(group) = self.groups.get(self.latest) else {
            return Ok(0);
        };
        let reader = GroupReader::open(&group.bytes)?;
        Ok(reader.time_ref(slot)?.rows() as u64)
    }

    /// The group found or inserted last, and whether this is its first use.
    pub(super) fn latest(&mut self) -> Option<(&mut CachedGroup, bool)> {
        self.now += 1;
        let group = self.groups.get_mut(self.latest)?;
        let is_first = group.used == 0;
        group.used = self.now;
        Some((group, is_first))
    }
}

impl CachedGroup {
    /// The values of the series in `slot`, in place of what `out` held, and its time reference. The first series of a
    /// group is decoded alone, with what it refers to.
    pub(super) fn read(
        &mut self,
        slot: usize,
        is_first: bool,
        scratch: &mut DecodeScratch,
        out: &mut Vec<u64>,
    ) -> Result<TimeRef, Corrupt> {
        if !is_first && !self.is_decoded {
            self.decode_all(scratch)?;
        }
        if self.is_decoded
            && let Some(series) = self.series.get_mut(slot)
            && !series.is_taken
        {
            series.is_taken = true;
            std::mem::swap(&mut series.values, out);
            return Ok(std::mem::take(&mut series.time));
        }
        let reader = GroupReader::open(&self.bytes)?;
        reader.decode_values(slot, scratch, out)?;
        reader.time_ref(slot).cloned()
    }

    fn decode_all(&mut self, scratch: &mut DecodeScratch) -> Result<(), Corrupt> {
        let reader = GroupReader::open(&self.bytes)?;
        self.series
            .resize_with(reader.series_count(), DecodedSeries::default);
        let mut values = reader.values(scratch);
        for (slot, series) in self.series.iter_mut().enumerate() {
            values.decode(slot, &mut series.values)?;
            series.time = reader.time_ref(slot)?.clone();
            series.is_taken = false;
        }
        self.is_decoded = true;
        Ok(())
    }
}

/// Decoded time columns.
#[derive(Debug, Default)]
pub(super) struct ColumnCache {
    limits: CacheLimits,
    columns: Vec<((u32, u32), TimeColumn)>,
    places: HashMap<(u32, u32), usize>,
    rows: usize,
    draws: u64,
    newest_slice: u32,
}

impl ColumnCache {
    pub(super) fn new(limits: CacheLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    pub(super) fn get(&self, key: (u32, u32)) -> Option<&TimeColumn> {
        let place = *self.places.get(&key)?;
        self.columns.get(place).map(|entry| &entry.1)
    }

    pub(super) fn insert(&mut self, key: (u32, u32), column: TimeColumn) {
        if self.limits.is_forward && key.0 > self.newest_slice {
            self.newest_slice = key.0;
            self.drop_before(key.0 - 1);
        }
        self.rows += column.times.len();
        while self.rows > self.limits.column_rows && !self.columns.is_empty() {
            self.remove_one();
        }
        self.places.insert(key, self.columns.len());
        self.columns.push((key, column));
    }

    fn drop_before(&mut self, slice: u32) {
        let mut place = 0;
        while let Some((key, _)) = self.columns.get(place) {
            if key.0 < slice {
                self.remove(place);
            } else {
                place += 1;
            }
        }
    }

    fn remove_one(&mut self) {
        self.draws = self.draws.wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.remove(((u128::from(self.draws) * self.columns.len() as u128) >> 64) as usize);
    }

    fn remove(&mut self, place: usize) {
        let (key, column) = self.columns.swap_remove(place);
        self.places.remove(&key);
        self.rows -= column.times.len();
        if let Some((moved, _)) = self.columns.get(place) {
            self.places.insert(*moved, place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(rows: usize) -> TimeColumn {
        let mut column = TimeColumn::default();
        column.times.resize(rows, 0);
        column
    }

    #[test]
    fn the_members_of_a_merge_share_what_they_keep() {
        let kept = |members: usize| members * CacheLimits::of_member(members).column_rows;
        assert_eq!(kept(1), COLUMN_ROWS_MAX);
        for members in [4, 32] {
            assert_eq!(kept(members), MERGED_FULL * COLUMN_ROWS_MAX);
        }
        let mut cache = GroupCache::new(CacheLimits::of_member(3));
        for id in 0..100 {
            cache.insert((0, id), Region::from(vec![]));
        }
        assert_eq!(cache.groups.len(), MERGED_GROUPS_MAX);
    }

    #[test]
    fn a_reader_that_goes_forward_keeps_two_slices() {
        let mut cache = ColumnCache::new(CacheLimits::of_member(1));
        for slice in 0..5 {
            for id in 0..3 {
                cache.insert((slice, id), column(10));
            }
        }
        assert_eq!((cache.rows, cache.places.len()), (60, 6));
        assert!((3..5).all(|slice| (0..3).all(|id| cache.get((slice, id)).is_some())));
    }

    #[test]
    fn columns_are_bounded_and_found_where_they_are() {
        let mut cache = ColumnCache::default();
        for id in 0..100 {
            cache.insert((0, id), column(COLUMN_ROWS_MAX / 16 + id as usize));
        }
        let found: Vec<u32> = (0..100).filter(|id| cache.get((0, *id)).is_some()).collect();
        assert!((10..=16).contains(&found.len()) && found.contains(&99));
        for id in &found {
            let rows = cache.get((0, *id)).map(|column| column.times.len());
            assert_eq!(rows, Some(COLUMN_ROWS_MAX / 16 + *id as usize));
        }
        assert_eq!(cache.places.len(), found.len());
    }

    #[test]
    fn groups_go_by_age() {
        let mut cache = GroupCache::default();
        for id in 0..GROUPS_MAX as u32 {
            cache.insert((0, id), Region::from(vec![]));
            assert!(cache.latest().is_some_and(|(_, is_first)| is_first));
        }
        assert!(cache.find((0, 0)) && cache.latest().is_some_and(|(_, is_first)| !is_first));
        cache.insert((1, 0), Region::from(vec![]));
        assert!(cache.latest().is_some_and(|(_, is_first)| is_first));
        assert!(cache.find((0, 0)) && !cache.find((0, 1)));
    }
}
