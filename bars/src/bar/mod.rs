//! The bars, a file each, and what they share: the scale and the ways to write a fleet.

pub mod disk;
pub mod ingest;
pub mod k8s;
pub mod latency;
pub mod memory;
pub mod oracle;
pub mod read;
pub mod restart;

use crate::adapter::Store;
use crate::fleet::{BATCH_SAMPLES, Fleet};
use anyhow::{Context, Result};
use std::path::PathBuf;

/// How much data, and where.
#[derive(Debug, Clone)]
pub struct Scale {
    pub small: bool,
    work: PathBuf,
}

impl Scale {
    pub fn new(small: bool, work: Option<PathBuf>) -> Self {
        Self {
            small,
            work: work.unwrap_or_else(std::env::temp_dir),
        }
    }

    /// One number for the real bar, another for `--small`.
    pub fn of<T>(&self, full: T, small: T) -> T {
        if self.small { small } else { full }
    }

    /// A new folder, removed with the value.
    pub fn folder(&self) -> Result<tempfile::TempDir> {
        let made = tempfile::Builder::new()
            .prefix("narthex-bar-")
            .tempdir_in(&self.work);
        made.with_context(|| format!("making a folder in {}", self.work.display()))
    }

    /// This program again, with the same scale.
    pub fn child(&self) -> Result<std::process::Command> {
        let mut command = std::process::Command::new(std::env::current_exe()?);
        command.arg("--work").arg(&self.work);
        if self.small {
            command.arg("--small");
        }
        Ok(command)
    }
}

/// The next scrape of the whole fleet in batches, series in the order in which they were made.
pub fn write_tick(store: &Store, fleet: &mut Fleet) -> Result<()> {
    fleet.advance();
    let mut first = 0;
    while first < fleet.series() {
        first = write_batch(store, fleet, first)?;
    }
    Ok(())
}

/// One batch from series `first` on; where the next one begins.
#[inline]
pub fn write_batch(store: &Store, fleet: &mut Fleet, first: usize) -> Result<usize> {
    let end = (first + BATCH_SAMPLES).min(fleet.series());
    store.commit_all(end - first, |writer| {
        for series in first..end {
            let (timestamp, value) = fleet.sample(series);
            writer.push(fleet.labels(series), timestamp, value);
        }
    })?;
    Ok(end)
}

/// The next scrape in the given order of series.
pub fn write_tick_in_order(store: &Store, fleet: &mut Fleet, order: &[u32]) -> Result<()> {
    fleet.advance();
    for batch in order.chunks(BATCH_SAMPLES) {
        store.commit_all(batch.len(), |writer| {
            for &series in batch {
                let (timestamp, value) = fleet.sample(series as usize);
                writer.push(fleet.labels(series as usize), timestamp, value);
            }
        })?;
    }
    Ok(())
}
