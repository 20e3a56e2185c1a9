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
pub(crate) const SAMPLE_BYTES: usize = 16;
/// Shared memory is taken in steps of so many bytes.
const STEP_BYTES: u64 = 64 << 10;

/// The account of one query.
#[derive(Debug)]
pub(crate) struct Budget {
    memory: QueryMemory,
    /// Bytes that are held, and that were taken from the shared memory.
    bytes: Cell<u64>,
    bytes_taken: Cell<u64>,
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
            bytes: Cell::new(0),
            bytes_taken: Cell::new(0),
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
            bytes: 0,
        }
    }

    /// Holds more bytes.
    fn hold_bytes(&self, bytes: u64) -> Result<(), EvalError> {
        let now = self.bytes.get() + bytes;
        self.bytes.set(now);
        let taken = self.bytes_taken.get();
        if now <= taken {
            return Ok(());
        }
        let more = (now - taken).next_multiple_of(STEP_BYTES);
        self.bytes_taken.set(taken + more);
        if self.memory.take(more) {
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
        self.memory.give_back(self.bytes_taken.get());
    }
}

/// Samples in memory, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Held<'b> {
    budget: &'b Budget,
    samples: usize,
    bytes: u64,
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
        self.add_bytes(samples * SAMPLE_BYTES)
    }

    /// The same for what is no sample.
    pub(crate) fn add_bytes(&mut self, bytes: usize) -> Result<(), EvalError> {
        self.bytes += bytes as u64;
        self.budget.hold_bytes(bytes as u64)
    }
}

impl Held<'_> {
    /// The samples stay in memory to the end of the query.
    pub(crate) fn keep(mut self) {
        self.samples = 0;
        self.bytes = 0;
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let samples = &self.budget.samples;
        samples.set(samples.get() - self.samples);
        let bytes = &self.budget.bytes;
        bytes.set(bytes.get() - self.bytes);
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
        let memory = QueryMemory::new(2 * STEP_BYTES);
        let budget = || Budget::new(1 << 20, None, CancelFlag::default(), memory.clone());
        let (one, two) = (budget(), budget());
        let step = STEP_BYTES as usize / SAMPLE_BYTES;
        one.hold().add(step).unwrap();
        assert_eq!(memory.used_bytes(), STEP_BYTES);
        two.hold().add_bytes(1).unwrap();
        assert_eq!(two.hold().add(step + 1), Err(EvalError::OutOfMemory));
        drop(two);
        one.hold().add(2 * step).unwrap();
        drop(one);
        assert_eq!(memory.used_bytes(), 0);
    }
}
