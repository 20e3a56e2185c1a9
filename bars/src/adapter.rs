//! The only file that names the database's API, its file system apart (`counted.rs`): the harness around it knows a
//! [`Store`], a [`Writer`] and a reader.
//!
//! Calls are thin and inlined, so that what is measured is the library.

use anyhow::{Result, ensure};
use narthex as library;
use narthex::{Exemplar, Histogram, Labels, Matcher, Series, Value};
use std::ops::{ControlFlow, Range, RangeInclusive};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// When a commit is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    Always,
    IntervalMs(u64),
    Never,
}

/// What a bar sets; everything else stays at the library's defaults.
#[derive(Debug, Clone)]
pub struct Setup {
    options: library::Options,
}

/// A clock that the caller moves, so that what waits for time to pass can be measured.
pub type Clock = Arc<library::ManualClock>;

/// What a clock shows, in milliseconds.
pub fn now_ms(clock: &Clock) -> i64 {
    library::Clock::now_ms(clock.as_ref())
}

impl Setup {
    /// The library's defaults in `folder`.
    pub fn new(folder: impl AsRef<Path>) -> Self {
        Self {
            options: library::Options::new(folder),
        }
    }

    fn with(self, set: impl FnOnce(library::Options) -> library::Options) -> Self {
        Self {
            options: set(self.options),
        }
    }

    pub fn policy(self, policy: Policy) -> Self {
        self.with(|options| options.durability(durability(policy)))
    }

    pub fn clock(self, clock: Clock) -> Self {
        self.with(|options| options.clock(clock))
    }

    /// Memory of the head.
    pub fn head_bytes(self, bytes: u64) -> Self {
        self.with(|options| options.head_bytes_max(bytes))
    }

    /// Nothing happens behind the caller's back; [`Store::settle`] does it.
    pub fn no_background(self) -> Self {
        self.with(|options| options.background(false))
    }

    /// Segments stay as flushes wrote them, until [`Store::compact`].
    pub fn no_merges(self) -> Self {
        self.with(|options| options.compaction(false))
    }

    pub fn retention(self, retention: Duration) -> Self {
        self.with(|options| options.retention(retention))
    }

    /// How long a delete can be withdrawn, and keeps what it parts from being merged.
    pub fn undelete_window(self, window: Duration) -> Self {
        self.with(|options| options.undelete_window(window))
    }

    /// A shorter retention for what matches.
    pub fn retention_rule(self, matchers: Vec<Matcher>, retention: Duration) -> Self {
        self.with(|options| options.retention_rule(matchers, retention))
    }

    /// Believes the clock, however far ahead of the samples it is.
    pub fn trust_clock(self) -> Self {
        self.with(|options| options.clock_leap_max(Duration::MAX))
    }

    /// Where files are; see [`crate::counted`].
    pub fn files(self, fs: Arc<dyn library::Fs>) -> Self {
        self.with(|options| options.fs(fs))
    }
}

/// Sizes on disk, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiskBytes {
    /// Segments, manifest and whatever else a closed database needs.
    pub kept: u64,
    pub wal: u64,
}

/// What is in segments, and the checkpoint.
#[derive(Debug, Clone, Copy, Default)]
pub struct Kept {
    pub segments: usize,
    pub bytes: u64,
    pub samples: u64,
    pub oldest_ms: Option<i64>,
    pub checkpoint_bytes: u64,
}

/// One sample as it is written or was read.
#[derive(Debug, Clone, Copy)]
pub enum Point<'a> {
    Float(f64),
    Histogram(&'a Histogram),
}

impl Point<'_> {
    /// The same, owned.
    pub fn to_value(self) -> Value {
        match self {
            Point::Float(value) => Value::Float(value),
            Point::Histogram(histogram) => Value::Histogram(histogram.clone().into()),
        }
    }
}

/// An open database. Clones share it.
#[derive(Clone)]
pub struct Store {
    db: library::Db,
}

/// A batch being filled.
pub struct Writer {
    batch: library::Batch,
}

impl Writer {
    #[inline]
    pub fn push(&mut self, labels: &Labels, timestamp_ms: i64, value: f64) {
        self.batch.push(labels, timestamp_ms, value);
    }

    /// Takes the place of whatever is there.
    pub fn correct(&mut self, labels: &Labels, timestamp_ms: i64, value: f64) {
        self.batch.correct(labels, timestamp_ms, value);
    }

    #[inline]
    pub fn push_point(&mut self, labels: &Labels, timestamp_ms: i64, point: Point<'_>) {
        match point {
            Point::Float(value) => self.batch.push(labels, timestamp_ms, value),
            Point::Histogram(histogram) => self.batch.push_histogram(labels, timestamp_ms, histogram),
        }
    }
}

fn durability(policy: Policy) -> library::Durability {
    match policy {
        Policy::Always => library::Durability::Always,
        Policy::IntervalMs(ms) => library::Durability::Interval(Duration::from_millis(ms)),
        Policy::Never => library::Durability::Never,
    }
}

impl Store {
    pub fn open(setup: &Setup) -> Result<Self> {
        let db = library::Db::open(setup.options.clone())?;
        Ok(Self { db })
    }

    /// Fills and commits one batch; how many samples were accepted.
    #[inline]
    pub fn commit(&self, fill: impl FnOnce(&mut Writer)) -> Result<usize> {
        let mut writer = Writer {
            batch: self.db.batch(),
        };
        fill(&mut writer);
        Ok(writer.batch.commit()?.accepted)
    }

    /// Like [`Store::commit`], and an error unless exactly `expected` samples were accepted.
    #[inline]
    pub fn commit_all(&self, expected: usize, fill: impl FnOnce(&mut Writer)) -> Result<()> {
        let accepted = self.commit(fill)?;
        ensure!(accepted == expected, "{accepted} of {expected} samples accepted");
        Ok(())
    }

    /// Moves everything in memory to segments, then does background work until none is left.
    pub fn flush(&self) -> Result<()> {
        self.db.flush()?;
        self.settle()
    }

    /// Moves everything in memory to segments, and merges none of them.
    pub fn flush_only(&self) -> Result<()> {
        Ok(self.db.flush()?)
    }

    /// Does background work until none is left.
    pub fn settle(&self) -> Result<()> {
        while self.step()? {}
        Ok(())
    }

    /// Does at most one piece of background work; whether there was any.
    pub fn step(&self) -> Result<bool> {
        Ok(self.db.step()?)
    }

    pub fn sync(&self) -> Result<()> {
        Ok(self.db.sync()?)
    }

    /// Up to which log record everything is in segments.
    pub fn flushed_lsn(&self) -> u64 {
        let segments = self.db.segments().into_iter();
        segments.map(|segment| segment.meta.lsn_last).max().unwrap_or(0)
    }

    /// Merges all that can be merged.
    pub fn compact(&self) -> Result<()> {
        self.db.compact()?;
        self.settle()
    }

    /// Hides what matching series have in `range`; the deletion's id.
    pub fn delete(&self, matchers: &[Matcher], range: RangeInclusive<i64>) -> Result<u64> {
        Ok(self.db.delete(matchers, range)?)
    }

    /// Withdraws a deletion; whether there was anything to withdraw.
    pub fn undelete(&self, id: u64) -> Result<bool> {
        Ok(self.db.undelete(id)?)
    }

    /// The id of the deletion of `range` that was asked for at `created_ms`, while it is kept.
    pub fn find_deletion(&self, created_ms: i64, range: &RangeInclusive<i64>) -> Option<u64> {
        let mut kept = self.db.deletions().into_iter();
        let found = kept.find(|one| one.created_ms == created_ms && (one.from..=one.to) == *range);
        found.map(|one| one.id)
    }

    /// A copy of this moment in `folder`; bytes that had to be copied for it.
    pub fn snapshot(&self, folder: &Path) -> Result<u64> {
        let report = self.db.snapshot(folder)?;
        ensure!(report.missing.is_empty(), "{:?} are missing", report.missing);
        Ok(report.bytes_copied)
    }

    pub fn close(self) -> Result<()> {
        Ok(self.db.close()?)
    }

    /// How many segments the database has now.
    pub fn segments(&self) -> Result<usize> {
        Ok(self.db.stats()?.segments)
    }

    /// Bytes and samples of the segments, and the oldest timestamp in them.
    pub fn kept(&self) -> Result<Kept> {
        let stats = self.db.stats()?;
        Ok(Kept {
            segments: stats.segments,
            bytes: stats.segment_bytes,
            samples: stats.segment_samples,
            oldest_ms: stats.segment_bounds.map(|bounds| bounds.0),
            checkpoint_bytes: stats.checkpoint_bytes,
        })
    }

    /// Segments that flushes wrote, those that were merged since among them.
    pub fn flushes(&self) -> usize {
        let segments = self.db.segments();
        segments.iter().map(|segment| segment.meta.sources.len()).sum()
    }

    /// Segments that merges wrote.
    pub fn merged_segments(&self) -> usize {
        let segments = self.db.segments();
        segments.iter().filter(|segment| segment.meta.level > 0).count()
    }

    /// The parts of the memory budget, in bytes.
    pub fn memory(&self) -> Vec<(String, u64)> {
        self.db.memory().parts()
    }

    /// Shows every sample of every matching series in turn; how many series there were.
    pub fn read(
        &self,
        matchers: &[Matcher],
        range: RangeInclusive<i64>,
        visit: &mut dyn FnMut(&Labels, i64, &Value),
    ) -> Result<usize> {
        let mut count = 0;
        let (mut cursor, mut series) = (self.db.select(matchers, range)?, Series::default());
        while cursor.next_into(&mut series)? {
            for sample in series.samples() {
                visit(series.labels(), sample.timestamp, &sample.value);
            }
            count += 1;
        }
        ensure!(cursor.warnings().is_empty(), "{:?}", cursor.warnings());
        Ok(count)
    }

    /// Decodes every sample of every matching series and looks at it no further: (series, samples).
    pub fn scan(&self, matchers: &[Matcher], range: RangeInclusive<i64>) -> Result<(usize, usize)> {
        let (mut count, mut samples, mut bits) = (0, 0, 0);
        let (mut cursor, mut series) = (self.db.select(matchers, range)?, Series::default());
        while cursor.next_into(&mut series)? {
            series.samples().for_each(|sample| {
                bits ^= sample.value.as_float().unwrap_or(0.0).to_bits() ^ sample.timestamp as u64;
                samples += 1;
            });
            count += 1;
        }
        std::hint::black_box(bits);
        ensure!(cursor.warnings().is_empty(), "{:?}", cursor.warnings());
        Ok((count, samples))
    }

    /// Answers a remote read request as a stream of frames: (series, samples).
    pub fn stream(&self, block: &[u8], visit: &mut dyn FnMut(&[u8])) -> Result<(usize, usize)> {
        let options = library::remote_read::ReadOptions::default();
        let request = library::remote_read::ReadRequest::decode(block, &options)?;
        let summary = request.stream(&self.db, &options, |frame| {
            visit(frame);
            ControlFlow::Continue(())
        })?;
        ensure!(summary.warnings.is_empty(), "{:?}", summary.warnings);
        Ok((summary.series, summary.samples))
    }

    /// The exemplars of every matching series that has any.
    pub fn exemplars(&self, matchers: &[Matcher]) -> Result<Vec<(Labels, Vec<Exemplar>)>> {
        Ok(self.db.exemplars(matchers, ..)?)
    }

    /// Finds matching series without reading a label or a sample: how many.
    pub fn count(&self, matchers: &[Matcher], range: RangeInclusive<i64>) -> Result<usize> {
        let counted = self.db.count_series(matchers, range)?;
        ensure!(counted.warnings.is_empty(), "{:?}", counted.warnings);
        Ok(counted.series as usize)
    }
}

/// Questions about cardinality.
impl Store {
    /// Distinct series in the range, estimated, and how many metrics are told of.
    pub fn cardinality(&self, range: Range<i64>) -> Result<(u64, usize)> {
        let report = self.db.cardinality_between(range)?;
        ensure!(report.warnings.is_empty(), "{:?}", report.warnings);
        Ok((report.series.estimate, report.metrics.len()))
    }

    /// The label that is to blame for most series that came between two ranges.
    pub fn growth(&self, before: Range<i64>, after: Range<i64>) -> Result<Option<String>> {
        let growth = self.db.growth(before, after)?;
        ensure!(growth.warnings.is_empty(), "{:?}", growth.warnings);
        Ok(growth.label_names.into_iter().next().map(|label| label.name))
    }

    /// Bytes of a part of all segments.
    pub fn part_bytes(&self, part: &str) -> u64 {
        let segments = self.db.segments();
        let parts = segments.iter().flat_map(|segment| &segment.parts);
        parts.filter(|one| one.0 == part).map(|one| one.1).sum()
    }
}

/// Sizes of the files of a database folder: logs and checkpoints count as WAL, which a
/// flushed database needs for nothing.
pub fn disk_bytes(folder: &Path) -> Result<DiskBytes> {
    let mut bytes = DiskBytes::default();
    crate::measure::folder_sizes(folder, &mut |path, size| {
        let first = path.iter().next().unwrap_or_default().to_string_lossy();
        if first.starts_with("wal-") || first.starts_with("checkpoint-") {
            bytes.wal += size;
        } else {
            bytes.kept += size;
        }
    })?;
    Ok(bytes)
}

/// Matches every series that has a name.
pub fn everything() -> Matcher {
    Matcher::ne("__name__", "")
}
