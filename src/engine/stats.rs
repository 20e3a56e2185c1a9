//! Counts and sizes: of the database, by label name and metric, and of the head's memory by part.

use super::Engine;
use super::counters::Totals;
use super::error::Error;
use crate::head::HeadMemory;
use crate::io::Fs;
use crate::model::labels::METRIC_NAME;
use crate::segment::names;
use crate::wal;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering;

/// What a database holds.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Series in memory.
    pub head_series: u64,
    /// Samples in memory that no segment holds yet.
    pub head_samples: u64,
    /// Smallest and largest timestamp of these samples.
    pub head_bounds: Option<(i64, i64)>,
    /// Number of segments.
    pub segments: usize,
    /// Series of all segments, those in several counted several times.
    pub segment_series: u64,
    /// Samples in segments.
    pub segment_samples: u64,
    /// Smallest and largest timestamp in segments.
    pub segment_bounds: Option<(i64, i64)>,
    /// Bytes of segments.
    pub segment_bytes: u64,
    /// Tiles, which are the files of rollups; they are not among the segments.
    pub tiles: usize,
    /// Bytes of tiles.
    pub rollup_bytes: u64,
    /// Bytes of the log, reserved space included.
    pub wal_bytes: u64,
    /// Bytes of the checkpoint.
    pub checkpoint_bytes: u64,
    /// Bytes of the manifest.
    pub manifest_bytes: u64,
    /// Ordinary samples that merges of this process found to lose against earlier ones with other bits.
    pub late_conflicts: u64,
    /// Parts that are quarantined.
    pub quarantined: usize,
    /// What was done since the opening.
    pub totals: Totals,
    /// Why writing stopped, if it did.
    pub poisoned: Option<String>,
}

#[cfg(feature = "server")]
impl Stats {
    /// Adds those of another database; bounds of time are joined.
    pub(crate) fn add(&mut self, other: &Self) {
        self.head_series += other.head_series;
        self.head_samples += other.head_samples;
        self.head_bounds = join(self.head_bounds, other.head_bounds);
        self.segments += other.segments;
        self.segment_series += other.segment_series;
        self.segment_samples += other.segment_samples;
        self.segment_bounds = join(self.segment_bounds, other.segment_bounds);
        self.segment_bytes += other.segment_bytes;
        self.tiles += other.tiles;
        self.rollup_bytes += other.rollup_bytes;
        self.wal_bytes += other.wal_bytes;
        self.checkpoint_bytes += other.checkpoint_bytes;
        self.manifest_bytes += other.manifest_bytes;
        self.late_conflicts += other.late_conflicts;
        self.quarantined += other.quarantined;
        self.totals.add(&other.totals);
        self.poisoned = self.poisoned.take().or_else(|| other.poisoned.clone());
    }

    /// What is on the disk.
    pub(crate) fn disk_bytes(&self) -> u64 {
        let segments = self.segment_bytes + self.rollup_bytes;
        segments + self.wal_bytes + self.checkpoint_bytes + self.manifest_bytes
    }
}

/// How many series and values a label name or a metric has.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cardinality {
    /// Distinct series that have samples or are in memory, at most: those in several segments count once per segment.
    pub series: u64,
    /// Distinct values, for a label name; at most, as above.
    pub values: u64,
}

/// Cardinality by label name and by metric.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CardinalityReport {
    /// By label name.
    pub label_names: BTreeMap<String, Cardinality>,
    /// By metric.
    pub metrics: BTreeMap<String, u64>,
}

impl Engine {
    pub(crate) fn stats(&self) -> Result<Stats, Error> {
        let view = self.view.load_full();
        let mut stats = Stats {
            head_series: self.head.series_count(),
            segments: view.segments.len(),
            tiles: view.tiles.len(),
            rollup_bytes: view.tiles.iter().map(|tile| tile.segment.file_bytes()).sum(),
            poisoned: self.poison.get().cloned(),
            late_conflicts: self.late_conflicts.load(Ordering::Relaxed),
            quarantined: self.recovery.quarantined.len(),
            totals: self.counters.totals(
                self.commit
                    .as_ref()
                    .map_or_else(Default::default, |commit| commit.syncs()),
            ),
            ..Stats::default()
        };
        for generation in &view.generations {
            stats.head_samples += generation.samples();
            stats.head_bounds = join(stats.head_bounds, generation.bounds());
        }
        for segment in &view.segments {
            let meta = &segment.meta;
            stats.segment_series += meta.series;
            stats.segment_samples += meta.floats + meta.histograms;
            stats.segment_bytes += segment.file_bytes();
            let bounds = (meta.time_min <= meta.time_max).then_some((meta.time_min, meta.time_max));
            stats.segment_bounds = join(stats.segment_bounds, bounds);
            stats.quarantined += segment.quarantined().len();
        }
        let of_tiles = view.tiles.iter().map(|tile| tile.segment.quarantined().len());
        stats.quarantined += of_tiles.sum::<usize>();
        self.add_files(self.dir(), &mut stats)?;
        Ok(stats)
    }

    fn add_files(&self, dir: &Path, stats: &mut Stats) -> Result<(), Error> {
        let fs: &dyn Fs = &*self.options.fs;
        for name in fs.list(dir)? {
            let counter = if wal::parse_file_name(&name).is_some() {
                &mut stats.wal_bytes
            } else if names::checkpoint_sequence(&name).is_some() {
                &mut stats.checkpoint_bytes
            } else if name == names::MANIFEST {
                &mut stats.manifest_bytes
            } else {
                continue;
            };
            // The log's files come and go while this walks.
            *counter += fs.file_len(&dir.join(&name)).unwrap_or(0);
        }
        Ok(())
    }

    /// Series per metric and per label name.
    pub(crate) fn cardinality(&self) -> Result<CardinalityReport, Error> {
        let mut report = CardinalityReport::default();
        {
            let index = self.head.read_index();
            for name in index.name_stats() {
                let entry = report.label_names.entry(name.name).or_default();
                entry.series += name.series;
                entry.values += u64::from(name.values);
            }
            let mut metrics = index.label_values(METRIC_NAME, "", None);
            while let Some((metric, series)) = metrics.current() {
                *report.metrics.entry(metric.to_owned()).or_default() += series;
                metrics.advance();
            }
        }
        for segment in &self.view.load_full().segments {
            let index = segment.index()?;
            let at = |corrupt| segment.index_error(corrupt);
            for (name, values, series) in index.name_stats().map_err(at)? {
                let entry = report.label_names.entry(name.to_owned()).or_default();
                entry.series += series;
                entry.values += u64::from(values);
            }
            let Some(mut metrics) = index.label_values(METRIC_NAME, "", None).map_err(at)? else {
                continue;
            };
            while let Some((metric, series)) = metrics.current().map_err(at)? {
                *report.metrics.entry(metric.to_owned()).or_default() += series;
                metrics.advance().map_err(at)?;
            }
        }
        Ok(report)
    }

    /// Bytes of the head by part.
    pub(crate) fn memory(&self) -> HeadMemory {
        self.head.memory()
    }
}

fn join(a: Option<(i64, i64)>, b: Option<(i64, i64)>) -> Option<(i64, i64)> {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (one, other) => one.or(other),
    }
}
