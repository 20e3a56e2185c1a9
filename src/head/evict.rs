//! Series that stopped leave memory once their samples are in segments.

use super::Head;
use super::slab::{SLAB_SERIES, Slab};
use std::sync::{Arc, PoisonError};

impl Head {
    /// Drops series of one slab that have no data in memory and either ended with a stale marker or got no sample since
    /// `idle_before`. Cursors hold ids of series and pairs, which are given to others after this: while there is a
    /// cursor, nothing is dropped. Returns how many there were,
    /// or `None` when nothing could be dropped now.
    pub(crate) fn evict_slab(&self, slab_index: usize, idle_before: i64) -> Option<usize> {
        let mut writer = self.lock_in_background();
        let Some(slab) = writer.slabs.get(slab_index).cloned() else {
            return Some(0);
        };
        if writer.frozen.is_some() {
            return None;
        }
        let stopped = stopped_series(&slab, idle_before);
        if stopped.is_empty() {
            return Some(0);
        }
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        // Cursors pin the index under its read lock, so none can begin between this look and the removal.
        if Arc::strong_count(&self.pin) > 1 {
            return None;
        }
        let mut locked = slab.lock();
        let mut ids = Vec::with_capacity(stopped.len());
        for place in stopped {
            let Some(series) = locked.series.get_mut(place) else {
                continue;
            };
            let id = slab_index as u32 * SLAB_SERIES + place as u32;
            index.remove(id, &series.pairs);
            writer.map.remove(id);
            *series = super::series::Series::default();
            ids.push(id);
        }
        let count = ids.len();
        writer.free_ids(ids.into_iter());
        Some(count)
    }

    /// Slots for series, used or not.
    pub(crate) fn slots(&self) -> usize {
        self.slab_count() * SLAB_SERIES as usize
    }

    pub(crate) fn slab_count(&self) -> usize {
        self.slabs.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Places of series to drop. The writer's lock is held, so none of them gets a sample meanwhile.
fn stopped_series(slab: &Slab, idle_before: i64) -> Vec<usize> {
    let locked = slab.lock();
    let stopped = locked.series.iter().enumerate().filter(|(_, series)| {
        series.alive && !series.has_data() && (series.is_stale() || series.last_timestamp < idle_before)
    });
    stopped.map(|(place, _)| place).collect()
}
