//! How long the disk takes to sync the log: a histogram with fixed bounds, counted without a lock.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the buckets in microseconds: from a disk with a cache that power loss spares to one that hangs.
const BOUNDS_US: [u64; 14] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    10_000_000,
];

/// Durations of syncs, counted in buckets.
#[derive(Debug, Default)]
pub(super) struct SyncTimes {
    /// Those up to each bound and above the one before; the last has all above.
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    nanos: AtomicU64,
}

/// How often the log was synced for those that waited, and how long that took.
#[derive(Debug, Default, Clone)]
pub(crate) struct Syncs {
    pub(crate) count: u64,
    pub(crate) time: Duration,
    /// How many took at most so long, for each bound.
    pub(crate) up_to: Vec<(Duration, u64)>,
}

impl SyncTimes {
    pub(super) fn note(&self, took: Duration) {
        let place = BOUNDS_US
            .iter()
            .position(|bound| took <= Duration::from_micros(*bound));
        if let Some(bucket) = self.buckets.get(place.unwrap_or(BOUNDS_US.len())) {
            bucket.fetch_add(1, Relaxed);
        }
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Relaxed);
    }

    pub(super) fn syncs(&self) -> Syncs {
        let mut syncs = Syncs {
            time: Duration::from_nanos(self.nanos.load(Relaxed)),
            ..Syncs::default()
        };
        for (place, bucket) in self.buckets.iter().enumerate() {
            syncs.count += bucket.load(Relaxed);
            if let Some(bound) = BOUNDS_US.get(place) {
                syncs.up_to.push((Duration::from_micros(*bound), syncs.count));
            }
        }
        syncs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_counts_what_took_as_long_or_less() {
        let times = SyncTimes::default();
        let us = Duration::from_micros;
        for took in [us(0), us(100), us(101), us(9_000_000), us(11_000_000)] {
            times.note(took);
        }
        let syncs = times.syncs();
        assert_eq!((syncs.count, syncs.time), (5, us(20_000_201)));
        assert_eq!(syncs.up_to.first(), Some(&(us(100), 2)));
        assert_eq!(syncs.up_to.get(1), Some(&(us(250), 3)));
        assert_eq!(syncs.up_to.last(), Some(&(us(10_000_000), 4)), "one took longer");
    }
}
