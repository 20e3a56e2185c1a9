//! What a query may use: samples in memory, time, and whether anybody still waits for it. Asked once for a series.

use super::error::EvalError;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Ends a query from another thread.
#[derive(Debug, Clone, Default)]
pub struct CancelFlag(Arc<AtomicBool>);

impl CancelFlag {
    /// The query ends with an error at the next series.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The account of one query.
#[derive(Debug)]
pub(crate) struct Budget {
    samples: Cell<usize>,
    samples_peak: Cell<usize>,
    samples_read: Cell<u64>,
    samples_max: usize,
    ends: Option<Instant>,
    cancel: CancelFlag,
}

impl Budget {
    pub(crate) fn new(samples_max: usize, timeout: Option<Duration>, cancel: CancelFlag) -> Self {
        Self {
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

    /// The most samples that were in memory at once.
    pub(crate) fn samples_peak(&self) -> usize {
        self.samples_peak.get()
    }

    /// How many samples were read from the source.
    pub(crate) fn samples_read(&self) -> u64 {
        self.samples_read.get()
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
        Ok(())
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
        let budget = Budget::new(10, None, CancelFlag::default());
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
        let budget = Budget::new(10, None, cancel.clone());
        budget.check().unwrap();
        cancel.cancel();
        assert_eq!(budget.check(), Err(EvalError::Canceled));
        let late = Budget::new(10, Some(Duration::ZERO), CancelFlag::default());
        assert_eq!(late.check(), Err(EvalError::Timeout));
    }
}
