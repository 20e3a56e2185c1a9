//! What a process has done to its database, in numbers that only grow.

use crate::head::report::{CommitReport, Reject};
use crate::wal::Syncs;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Totals since the database was opened.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Batches that were committed.
    pub batches: u64,
    /// Floats that were new.
    pub floats: u64,
    /// Histograms that were new.
    pub histograms: u64,
    /// Exemplars that were new.
    pub exemplars: u64,
    /// Metadata entries that were new.
    pub metadata: u64,
    /// Samples that were there already with the same bits.
    pub duplicates: u64,
    /// Those of the floats and histograms that were corrections.
    pub corrections: u64,
    /// Series that came to be in memory.
    pub new_series: u64,
    /// Refused entries, by reason; every reason is listed.
    pub rejected: Vec<(Reject, u64)>,
    /// Times the head was written to segments.
    pub flushes: u64,
    /// Merges of segments.
    pub merges: u64,
    /// Waits for the disk that made the log durable.
    pub log_syncs: u64,
    /// How long they took together.
    pub log_sync_time: Duration,
    /// How many of them took at most so long, for each of some durations.
    pub log_syncs_up_to: Vec<(Duration, u64)>,
}

#[cfg(feature = "server")]
impl Totals {
    /// Adds those of another database.
    pub(crate) fn add(&mut self, other: &Self) {
        self.batches += other.batches;
        self.floats += other.floats;
        self.histograms += other.histograms;
        self.exemplars += other.exemplars;
        self.metadata += other.metadata;
        self.duplicates += other.duplicates;
        self.corrections += other.corrections;
        self.new_series += other.new_series;
        self.flushes += other.flushes;
        self.merges += other.merges;
        self.log_syncs += other.log_syncs;
        self.log_sync_time += other.log_sync_time;
        add_by_key(&mut self.rejected, &other.rejected);
        add_by_key(&mut self.log_syncs_up_to, &other.log_syncs_up_to);
    }
}

#[cfg(feature = "server")]
fn add_by_key<K: Copy + PartialEq>(to: &mut Vec<(K, u64)>, from: &[(K, u64)]) {
    for (key, count) in from {
        match to.iter_mut().find(|known| known.0 == *key) {
            Some(known) => known.1 += count,
            None => to.push((*key, *count)),
        }
    }
}

/// The counters behind [`Totals`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    batches: AtomicU64,
    floats: AtomicU64,
    histograms: AtomicU64,
    exemplars: AtomicU64,
    metadata: AtomicU64,
    duplicates: AtomicU64,
    corrections: AtomicU64,
    new_series: AtomicU64,
    rejected: [AtomicU64; Reject::ALL.len()],
    pub(super) flushes: AtomicU64,
    pub(super) merges: AtomicU64,
}

impl Counters {
    /// Counts a batch that was committed.
    pub(super) fn count(&self, report: &CommitReport) {
        let add = |counter: &AtomicU64, count: usize| {
            if count > 0 {
                counter.fetch_add(count as u64, Relaxed);
            }
        };
        add(&self.batches, 1);
        add(&self.floats, report.floats);
        add(&self.histograms, report.histograms);
        add(&self.exemplars, report.exemplars);
        add(&self.metadata, report.metadata);
        add(&self.duplicates, report.duplicates);
        add(&self.corrections, report.corrections);
        add(&self.new_series, report.new_series);
        for rejection in &report.rejected {
            if let Some(counter) = self.rejected.get(rejection.reason as usize) {
                add(counter, rejection.count);
            }
        }
    }

    /// All of them at about one moment; `syncs` are those of the log.
    pub(super) fn totals(&self, syncs: Syncs) -> Totals {
        let of = |counter: &AtomicU64| counter.load(Relaxed);
        Totals {
            batches: of(&self.batches),
            floats: of(&self.floats),
            histograms: of(&self.histograms),
            exemplars: of(&self.exemplars),
            metadata: of(&self.metadata),
            duplicates: of(&self.duplicates),
            corrections: of(&self.corrections),
            new_series: of(&self.new_series),
            rejected: Reject::ALL
                .into_iter()
                .zip(self.rejected.iter().map(of))
                .collect(),
            flushes: of(&self.flushes),
            merges: of(&self.merges),
            log_syncs: syncs.count,
            log_sync_time: syncs.time,
            log_syncs_up_to: syncs.up_to,
        }
    }
}
