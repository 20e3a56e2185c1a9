//! Background work done by hand, and what each kind of it costs.

use crate::adapter::{Policy, Setup, Store};
use crate::measure::thread_cpu;
use anyhow::{Result, anyhow};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

/// As the database's own threads have it.
const IDLE: Duration = Duration::from_millis(100);
const SYNC_EVERY: Duration = Duration::from_millis(100);

/// CPU time of background work by kind. Small things, as the freeze before a flush, count as merging.
#[derive(Debug, Clone, Copy, Default)]
pub struct Steps {
    pub flushes: Duration,
    pub checkpoints: Duration,
    pub merges: Duration,
}

impl Steps {
    /// Does one piece of work; whether there was any.
    fn step(&mut self, store: &Store) -> Result<bool> {
        let before = (store.flushed_lsn(), store.kept()?.checkpoint_bytes);
        let start = thread_cpu();
        let is_busy = store.step()?;
        let cpu = thread_cpu() - start;
        if !is_busy {
            return Ok(false);
        }
        if store.flushed_lsn() != before.0 {
            self.flushes += cpu;
        } else if store.kept()?.checkpoint_bytes != before.1 {
            self.checkpoints += cpu;
        } else {
            self.merges += cpu;
        }
        Ok(true)
    }
}

/// A setup for [`Stepper`]: acknowledged like `interval(100)`, nothing behind the caller's back.
pub fn setup(folder: &std::path::Path) -> Setup {
    Setup::new(folder).policy(Policy::IntervalMs(100)).no_background()
}

/// The two threads that a database has in service, one for steps and one for syncs.
pub struct Stepper<'scope> {
    steps: ScopedJoinHandle<'scope, Result<Steps>>,
    syncs: ScopedJoinHandle<'scope, Result<()>>,
}

impl<'scope> Stepper<'scope> {
    /// Works until `is_over`.
    pub fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        store: &'env Store,
        is_over: &'env AtomicBool,
    ) -> Self {
        let steps = scope.spawn(|| {
            let mut steps = Steps::default();
            while !is_over.load(Ordering::Acquire) {
                if !steps.step(store)? {
                    std::thread::sleep(IDLE);
                }
            }
            Ok(steps)
        });
        let syncs = scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                store.sync()?;
                std::thread::sleep(SYNC_EVERY);
            }
            Ok(())
        });
        Self { steps, syncs }
    }

    /// Waits for the end; what was done.
    pub fn join(self) -> Result<Steps> {
        self.syncs.join().map_err(|_| anyhow!("a sync panicked"))??;
        self.steps.join().map_err(|_| anyhow!("a step panicked"))?
    }
}
