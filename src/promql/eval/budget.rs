//! What a query may use: samples in memory, time, and whether anybody still waits for it. Asked once for a series.

use super::error::EvalError;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Ends a query from another thread.
#[derive(Debug, Clone, Default)]
pub struct CancelFlag(Arc<AtomicBool>);

impl CancelFlag {
    /// The query ends with an error at the next series.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Memory that several queries share. Clones are of the same memory; the default is without limit.
#[derive(Debug, Clone)]
pub struct QueryMemory(Arc<SharedBytes>);

#[derive(Debug)]
struct SharedBytes {
    used: AtomicU64,
    bytes_max: u64,
}

impl QueryMemory {
    /// At most so many bytes.
    pub fn new(bytes_max: u64) -> Self {
        Self(Arc::new(SharedBytes {
            used: AtomicU64::new(0),
            bytes_max,
        }))
    }

    /// Bytes that queries hold now.
    pub fn used_bytes(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Takes bytes; `false` when that is more than there is.
    fn take(&self, bytes: u64) -> bool {
        self.0
            .used
            .fetch_add(bytes, Ordering::Relaxed)
            .saturating_add(bytes)
            <= self.0.bytes_max
    }

    fn give_back(&self, bytes: u64) {
        self.0.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Default for QueryMemory {
    fn default() -> Self {
        Self::new(u64::MAX)
    }
}

/// What a sample takes: a timestamp and a value, or a cell of a row.
const SAMPLE_BYTES: u64 = 16;
/// Samples are taken from the shared memory in steps of so many.
const STEP_SAMPLES: usize = 4096;

/// The account of one query.
#[derive(Debug)]
pub(crate) struct Budget {
    memory: QueryMemory,
    /// Samples that the shared memory was asked for.
    taken: Cell<usize>,
    samples: Cell<usize>,
    samples_peak: Cell<usize>,
    samples_read: Cell<u64>,
    samples_max: usize,
    ends: Option<Instant>,
    cancel: CancelFlag,
}

impl Budget {
    pub(crate) fn new(
        samples_max: usize,
        timeout: Option<Duration>,
        cancel: CancelFlag,
        memory: QueryMemory,
    ) -> Self {
        Self {
            memory,
            taken: Cell::new(0),
            samples: Cell::new(0),
            samples_peak: Cell::new(0),
            samples_read: Cell::new(0),
            samples_max,
            ends: timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
            cancel,
        }
    }

    /// Whether the query may go on.
    pub(crate) fn check(&self) -> Result<(), EvalError> {
        if self.cancel.is_set() {
            return Err(EvalError::Canceled);
        }
        match self.ends {
            Some(ends) if Instant::now() >= ends => Err(EvalError::Timeout),
            _ => Ok(()),
        }
    }

    /// Notes that samples were read from the source.
    pub(crate) fn read(&self, samples: usize) {
        self.samples_read.set(self.samples_read.get() + samples as u64);
    }

    /// An empty account of samples that somebody keeps in memory.
    pub(crate) fn hold(&self) -> Held<'_> {
        Held {
            budget: self,
            samples: 0,
        }
    }

    /// Takes shared memory for so many samples in all.
    fn reserve(&self, samples: usize) -> Result<(), EvalError> {
        let taken = self.taken.get();
        if samples <= taken {
            return Ok(());
        }
        let more = (samples - taken).next_multiple_of(STEP_SAMPLES);
        self.taken.set(taken + more);
        if self.memory.take(SAMPLE_BYTES * more as u64) {
            Ok(())
        } else {
            Err(EvalError::OutOfMemory)
        }
    }

    /// The most samples that were in memory at once.
    pub(crate) fn samples_peak(&self) -> usize {
        self.samples_peak.get()
    }

    /// How many samples were read from the source.
    pub(crate) fn samples_read(&self) -> u64 {
        self.samples_read.get()
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        self.memory.give_back(SAMPLE_BYTES * self.taken.get() as u64);
    }
}

/// Samples in memory, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Held<'b> {
    budget: &'b Budget,
    samples: usize,
}

impl Held<'_> {
    pub(crate) fn add(&mut self, samples: usize) -> Result<(), EvalError> {
        let budget = self.budget;
        let now = budget.samples.get() + samples;
        self.samples += samples;
        budget.samples.set(now);
        budget.samples_peak.set(budget.samples_peak.get().max(now));
        if now > budget.samples_max {
            return Err(EvalError::TooManySamples);
        }
        budget.reserve(now)
    }
}

impl Held<'_> {
    /// The samples stay in memory to the end of the query.
    pub(crate) fn keep(mut self) {
        self.samples = 0;
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let samples = &self.budget.samples;
        samples.set(samples.get() - self.samples);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_given_back() {
        let budget = Budget::new(10, None, CancelFlag::default(), QueryMemory::default());
        let mut one = budget.hold();
        one.add(6).unwrap();
        {
            let mut two = budget.hold();
            assert_eq!(two.add(5), Err(EvalError::TooManySamples));
        }
        one.add(4).unwrap();
        assert_eq!(budget.samples_peak(), 11);
    }

    #[test]
    fn a_query_ends_when_canceled_or_late() {
        let cancel = CancelFlag::default();
        let budget = Budget::new(10, None, cancel.clone(), QueryMemory::default());
        budget.check().unwrap();
        cancel.cancel();
        assert_eq!(budget.check(), Err(EvalError::Canceled));
        let (cancel, memory) = (CancelFlag::default(), QueryMemory::default());
        let late = Budget::new(10, Some(Duration::ZERO), cancel, memory);
        assert_eq!(late.check(), Err(EvalError::Timeout));
    }

    #[test]
    fn queries_share_memory() {
        let memory = QueryMemory::new(SAMPLE_BYTES * 2 * STEP_SAMPLES as u64);
        let budget = || Budget::new(1 << 20, None, CancelFlag::default(), memory.clone());
        let (one, two) = (budget(), budget());
        one.hold().add(STEP_SAMPLES).unwrap();
        assert_eq!(memory.used_bytes(), SAMPLE_BYTES * STEP_SAMPLES as u64);
        two.hold().add(1).unwrap();
        assert_eq!(two.hold().add(STEP_SAMPLES + 1), Err(EvalError::OutOfMemory));
        drop(two);
        one.hold().add(2 * STEP_SAMPLES).unwrap();
        drop(one);
        assert_eq!(memory.used_bytes(), 0);
    }
}
