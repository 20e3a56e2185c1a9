//! One piece of background work at a time.

use super::error::Error;
use super::jobs::JobKind;
use super::{Engine, Maintenance};
use crate::head::report::Durability;
use std::sync::atomic::Ordering;

/// A head with few samples may span this many segment spans before it is flushed all the same.
const SMALL_HEAD_SPANS: i64 = 4;
/// How many times larger a checkpoint may be than the log that makes the next one due. To replay a byte of log takes some
/// ten times as long as to write or read one of a checkpoint.
const CHECKPOINT_PER_LOG: u64 = 8;
/// What a sample in order and a series take in the head, for the budget. Late samples are counted byte by byte.
const BYTES_PER_SAMPLE: u64 = 2;
const BYTES_PER_SERIES: u64 = 400;
/// Samples below which a wish for flushes by their number is not followed, in all and for each series: a segment repeats the
/// labels of its series, and a thousand small ones take longer to merge than to write.
const FLUSH_SAMPLES_FLOOR: u64 = 1 << 18;
const FLUSH_SAMPLES_PER_SERIES: u64 = 16;
/// Copies of label values that searches over segments may leave in memory.
const CACHED_BYTES_MAX: usize = 64 << 20;
/// Slabs whose stopped series are dropped in one step.
const SLABS_PER_STEP: usize = 64;

/// What there is no room for waits.
fn no_space_is_no_work(done: Result<bool, Error>) -> Result<bool, Error> {
    match done {
        Err(Error::OutOfSpace(error)) => {
            tracing::warn!(error, "no space to write segments anew");
            Ok(false)
        }
        other => other,
    }
}

impl Engine {
    /// Does at most one thing that is due: the flush of a frozen generation, a freeze, an eviction, a checkpoint,
    /// retention, a piece of a merge, a piece of a rollup, a piece of what is beside the samples. Returns whether there was anything to do.
    pub(crate) fn step(&self) -> Result<bool, Error> {
        self.check_writable()?;
        if self.step_samples()? {
            return Ok(true);
        }
        let Some(beside) = self.beside.get() else {
            return Ok(false);
        };
        let begun_ms = self.options.clock.now_ms();
        let is_any = beside.step()?;
        if is_any {
            self.note_job(JobKind::RecordRetention, begun_ms);
        }
        Ok(is_any)
    }

    fn step_samples(&self) -> Result<bool, Error> {
        let mut maintenance = self.lock_maintenance();
        self.trim_caches();
        if self.step_flush(&mut maintenance)? {
            return Ok(true);
        }
        // A cursor may hold up the eviction for long; the log must not grow for that.
        if self.evict(&mut maintenance) {
            return Ok(true);
        }
        if self.is_checkpoint_due(&maintenance) {
            return self.checkpoint(&mut maintenance).map(|()| true);
        }
        if self.retain(&mut maintenance)? {
            return Ok(true);
        }
        // Space comes back also where nothing is ever merged.
        self.remove_retired(self.dir(), &mut maintenance.compaction);
        let is_any = match self.options.compaction {
            true => no_space_is_no_work(self.compact_if_due(&mut maintenance))?,
            false => false,
        };
        Ok(is_any || no_space_is_no_work(self.roll(&mut maintenance))?)
    }

    /// Carries a flush on, or begins one that is due. Returns whether there was anything to do.
    pub(super) fn step_flush(&self, maintenance: &mut Maintenance) -> Result<bool, Error> {
        if maintenance.frozen.is_some() {
            return self.flush_frozen(maintenance).map(|()| true);
        }
        Ok(self.is_flush_due(maintenance) && self.freeze(maintenance)?)
    }

    /// Writes everything in the head to a segment, whatever its size.
    pub(crate) fn flush(&self) -> Result<(), Error> {
        self.check_writable()?;
        let mut maintenance = self.lock_maintenance();
        self.flush_frozen(&mut maintenance)?;
        if self.freeze(&mut maintenance)? {
            self.flush_frozen(&mut maintenance)?;
        }
        Ok(())
    }

    /// What the background thread does at every tick beside `step`: bounded loss under the policy `interval`, and a
    /// mark behind the last record of a log that fell quiet.
    pub(crate) fn tick(&self) -> Result<(), Error> {
        if let Some(beside) = self.beside.get() {
            beside.tick()?;
        }
        let Some(commit) = &self.commit else { return Ok(()) };
        self.check_writable()?;
        let always = matches!(self.options.durability, Durability::Interval(_));
        if self.sync_wanted.swap(false, Ordering::AcqRel) || always {
            self.sync()?;
        }
        let mut writer = self.head.lock_writer();
        writer
            .mark_if_quiet(commit)
            .map_err(|error| self.poisoning(error.into()))
    }

    /// Whether the head has grown to a segment: by the time that its samples have gone on beyond those in segments, by
    /// its bytes, or, if it is small and grows into the past, by the clock.
    fn is_flush_due(&self, maintenance: &mut Maintenance) -> bool {
        let view = self.view.load();
        let Some(live) = view.generations.last() else {
            return false;
        };
        let (Some((_, newest)), Some(started)) = (live.bounds(), live.started()) else {
            return false;
        };
        let flushed = view.segments.iter().map(|segment| segment.meta.time_max).max();
        let span = newest.saturating_sub(started.max(flushed.unwrap_or(i64::MIN)));
        let segment_span = self.precision.units(self.options.segment_span);
        let samples = live.samples();
        let bytes =
            samples * BYTES_PER_SAMPLE + live.late_bytes() + self.head.slots() as u64 * BYTES_PER_SERIES;
        (span >= segment_span && samples >= self.options.flush_samples_min)
            || self.is_full_of_samples(samples, maintenance)
            || span >= segment_span.saturating_mul(SMALL_HEAD_SPANS)
            || (bytes >= self.options.head_bytes_max && samples > self.head.slots() as u64)
            || self.is_old_by_clock(live.number, maintenance)
    }

    /// Whether the head has as many samples as the options let it have. Below the floor it goes on; that is said once.
    fn is_full_of_samples(&self, samples: u64, maintenance: &mut Maintenance) -> bool {
        let Some(wanted) = self.options.flush_samples_max.filter(|wanted| samples >= *wanted) else {
            return false;
        };
        let series = self.head.slots() as u64;
        let floor = FLUSH_SAMPLES_FLOOR.max(series * FLUSH_SAMPLES_PER_SERIES);
        if samples < floor && !std::mem::replace(&mut maintenance.is_floor_told, true) {
            tracing::info!(
                wanted,
                floor,
                series,
                "flushes wait for more samples than was asked for"
            );
        }
        samples >= floor
    }

    fn is_old_by_clock(&self, generation: u64, maintenance: &mut Maintenance) -> bool {
        let now_ms = self.options.clock.now_ms();
        let (known, since_ms) = &mut maintenance.live_since;
        if *known != generation || now_ms < *since_ms {
            (*known, *since_ms) = (generation, now_ms);
        }
        now_ms.saturating_sub(*since_ms) >= self.small_head_ms()
    }

    fn evict(&self, maintenance: &mut Maintenance) -> bool {
        let Some(from) = maintenance.evict_from else {
            return false;
        };
        let newest = self
            .view
            .load()
            .generations
            .last()
            .and_then(|live| live.bounds())
            .map(|bounds| bounds.1);
        let Some(newest) = newest else { return false };
        let idle_before = newest.saturating_sub(self.precision.units(self.options.series_idle));
        let slabs = self.head.slab_count();
        for slab in from..slabs.min(from + SLABS_PER_STEP) {
            if self.head.evict_slab(slab, idle_before).is_none() {
                // A cursor holds ids; the rest waits.
                maintenance.evict_from = Some(slab);
                return false;
            }
        }
        maintenance.evict_from = (from + SLABS_PER_STEP < slabs).then_some(from + SLABS_PER_STEP);
        true
    }

    /// Gives up the copies of label values that searches left, when they are large.
    fn trim_caches(&self) {
        let view = self.view.load();
        let kept: usize = view.segments.iter().map(|segment| segment.cached_bytes()).sum();
        if kept > CACHED_BYTES_MAX {
            view.segments.iter().for_each(|segment| segment.drop_caches());
        }
    }

    fn is_checkpoint_due(&self, maintenance: &Maintenance) -> bool {
        !self.is_in_memory() && self.log_bytes.load(Ordering::Relaxed) >= self.checkpoint_from(maintenance)
    }

    /// Bytes of log that make a checkpoint due.
    pub(super) fn checkpoint_from(&self, maintenance: &Maintenance) -> u64 {
        let least = self.options.checkpoint_bytes_min;
        least.max(maintenance.checkpoint_bytes / CHECKPOINT_PER_LOG)
    }

    /// When the head is written at the latest, in milliseconds since 1970, unless it is empty.
    pub(super) fn flush_at_latest_ms(&self, maintenance: &Maintenance) -> Option<i64> {
        let live = self.view.load().generations.last().cloned()?;
        let (known, since_ms) = maintenance.live_since;
        live.bounds().filter(|_| known == live.number)?;
        Some(since_ms.saturating_add(self.small_head_ms()))
    }

    /// How long a head may be there by the clock.
    fn small_head_ms(&self) -> i64 {
        let span_ms = i64::try_from(self.options.segment_span.as_millis()).unwrap_or(i64::MAX);
        span_ms.saturating_mul(SMALL_HEAD_SPANS)
    }
}
