//! The threads of an open database: one for steps, one for the ticks of the log.

use super::Engine;
use crate::head::report::Durability;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// Longest wait between two looks for work.
pub(super) const STEP_INTERVAL: Duration = Duration::from_millis(100);
/// Before the first look: after an opening the first answers are waited for, and a checkpoint is not.
const OPENING_PAUSE: Duration = Duration::from_secs(3);
/// Between two ticks when the database's policy asks for none; a batch may have asked for one.
const TICK_INTERVAL: Duration = Duration::from_millis(100);
const TICK_INTERVAL_MIN: Duration = Duration::from_millis(1);
/// After a failed step; the disk may be full.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Stops threads that wait.
#[derive(Debug, Default)]
pub(crate) struct Kick {
    stopped: Mutex<bool>,
    wake: Condvar,
}

impl Kick {
    /// Waits, and says whether to go on.
    fn wait(&self, most: Duration) -> bool {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        if *stopped {
            return false;
        }
        let waited = self
            .wake
            .wait_timeout(stopped, most)
            .unwrap_or_else(PoisonError::into_inner);
        !*waited.0
    }

    fn stop(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.wake.notify_all();
    }
}

/// The running threads of a database.
#[derive(Debug)]
pub(crate) struct Background {
    engine: Arc<Engine>,
    threads: Vec<JoinHandle<()>>,
}

impl Background {
    pub(crate) fn start(engine: Arc<Engine>) -> std::io::Result<Self> {
        let stepper = engine.clone();
        let ticker = engine.clone();
        let threads = vec![
            Builder::new()
                .name("narthex-step".into())
                .spawn(move || run_steps(&stepper))?,
            Builder::new()
                .name("narthex-tick".into())
                .spawn(move || run_ticks(&ticker))?,
        ];
        Ok(Self { engine, threads })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.engine.kick.stop();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a background thread panicked");
            }
        }
    }
}

fn run_steps(engine: &Engine) {
    let mut pause = OPENING_PAUSE;
    while engine.kick.wait(pause) {
        pause = match engine.step() {
            Ok(true) => Duration::ZERO,
            Ok(false) => STEP_INTERVAL,
            Err(error) => {
                tracing::warn!(%error, "background work failed");
                RETRY_INTERVAL
            }
        };
    }
}

fn run_ticks(engine: &Engine) {
    let pause = match engine.options.durability {
        Durability::Interval(interval) => interval.max(TICK_INTERVAL_MIN),
        Durability::Always | Durability::Never => TICK_INTERVAL,
    };
    while engine.kick.wait(pause) {
        if let Err(error) = engine.tick() {
            tracing::debug!(%error, "the log takes no ticks");
        }
    }
}
