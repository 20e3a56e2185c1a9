//! The bars, a file each, and what they share: the scale and the ways to write a fleet.

pub mod backfill;
pub mod blocks;
pub mod busy;
pub mod cardinality;
pub mod compacted;
pub mod disk;
pub mod formats;
pub mod http;
pub mod ingest;
pub mod k8s;
pub mod large;
pub mod latency;
pub mod logs;
pub mod memory;
pub mod native;
pub mod oracle;
pub mod parser;
pub mod queries;
pub mod query_limits;
pub mod read;
pub mod remote_read;
pub mod remote_read_http;
pub mod restart;
pub mod rollups;
pub mod simulation;
pub mod soak;

use crate::adapter::Store;
use crate::fleet::{BATCH_SAMPLES, Fleet};
use crate::rng::{Rng, mix};
use anyhow::{Context, Result};
use narthex::Labels;
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

/// A sample as a function of series and time: most values stand still, the others climb.
pub fn value(series: u64, tick: i64) -> f64 {
    let seed = mix(series);
    if !seed.is_multiple_of(3) {
        return (seed >> 40) as f64;
    }
    let jitter = mix(seed ^ tick as u64) % 7;
    ((seed >> 48) as i64 + tick * (seed as i64 & 15) + jitter as i64) as f64 / 8.0
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

/// An order of a fleet's series, with their labels in memory as they are sent: a client's own cache misses are not the
/// database's.
pub struct Order {
    /// By series: where it stands.
    places: Vec<u32>,
    labels: Vec<Labels>,
    samples: Vec<(i64, f64)>,
}

impl Order {
    /// A random one.
    pub fn shuffled(fleet: &Fleet, rng: &mut Rng) -> Self {
        let mut order: Vec<u32> = (0..fleet.series() as u32).collect();
        rng.shuffle(&mut order);
        let mut places = vec![0; order.len()];
        for (place, series) in order.iter().enumerate() {
            places[*series as usize] = place as u32;
        }
        let labels = order.iter().map(|series| fleet.labels(*series as usize).clone());
        Self {
            labels: labels.collect(),
            samples: vec![(0, 0.0); order.len()],
            places,
        }
    }

    /// Makes the fleet's next samples.
    pub fn generate(&mut self, fleet: &mut Fleet) {
        for (series, place) in self.places.iter().enumerate() {
            self.samples[*place as usize] = fleet.sample(series);
        }
    }

    /// Writes the fleet's next scrape.
    pub fn write_tick(&mut self, store: &Store, fleet: &mut Fleet) -> Result<()> {
        fleet.advance();
        self.generate(fleet);
        let batches = self
            .labels
            .chunks(BATCH_SAMPLES)
            .zip(self.samples.chunks(BATCH_SAMPLES));
        for (labels, samples) in batches {
            store.commit_all(labels.len(), |writer| {
                for (labels, (timestamp, value)) in labels.iter().zip(samples) {
                    writer.push(labels, *timestamp, *value);
                }
            })?;
        }
        Ok(())
    }
}
