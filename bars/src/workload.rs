//! A workload is a fixed sequence of batches; the same one is played into narthex, into a peer and into the
//! list of what must be read back.

use crate::adapter::{Point, Store, everything};
use crate::report::Report;
use anyhow::Result;
use narthex::{Labels, Value};
use std::collections::HashMap;

/// A sequence of batches, each to be committed as one.
pub trait Workload {
    /// Moves to the next batch; `false` behind the last one.
    fn advance(&mut self) -> bool;

    /// Shows the samples of the batch moved to.
    fn each(&self, visit: &mut dyn FnMut(&Labels, i64, Point<'_>));
}

/// Plays all of `workload` into `store`; how many samples that were.
pub fn play(workload: &mut dyn Workload, store: &Store) -> Result<u64> {
    let mut total = 0;
    while workload.advance() {
        total += play_batch(workload, store)?.0;
    }
    Ok(total)
}

/// Plays so much of `workload` into `store` that its time goes on by `span_ms`; whether there may be more.
pub fn play_until(workload: &mut dyn Workload, store: &Store, span_ms: i64) -> Result<bool> {
    let mut end_ms = None;
    while workload.advance() {
        let newest_ms = play_batch(workload, store)?.1;
        if newest_ms >= *end_ms.get_or_insert(newest_ms.saturating_add(span_ms)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Commits the batch that `workload` has moved to; how many samples it has, and the newest timestamp.
fn play_batch(workload: &dyn Workload, store: &Store) -> Result<(u64, i64)> {
    let (mut pushed, mut newest_ms) = (0, i64::MIN);
    let accepted = store.commit(|writer| {
        workload.each(&mut |labels, timestamp, point| {
            writer.push_point(labels, timestamp, point);
            newest_ms = newest_ms.max(timestamp);
            pushed += 1;
        });
    })?;
    anyhow::ensure!(accepted == pushed, "{accepted} of {pushed} samples accepted");
    Ok((pushed as u64, newest_ms))
}

/// Is shown a series with its samples.
pub type VisitSeries<'v> = dyn FnMut(&Labels, &[(i64, Value)]) -> Result<()> + 'v;

/// Everything a workload contains, by series.
#[derive(Default, PartialEq)]
pub struct Expected {
    series: Vec<(Labels, Vec<(i64, Value)>)>,
    by_labels: HashMap<Labels, usize>,
}

impl Expected {
    /// Plays `workload` into memory.
    pub fn of(workload: &mut dyn Workload) -> Self {
        let mut expected = Self::default();
        while workload.advance() {
            workload.each(&mut |labels, timestamp, point| {
                let index = expected.index(labels);
                expected.series[index].1.push((timestamp, point.to_value()));
            });
        }
        expected
    }

    fn index(&mut self, labels: &Labels) -> usize {
        if let Some(index) = self.by_labels.get(labels) {
            return *index;
        }
        let index = self.series.len();
        self.by_labels.insert(labels.clone(), index);
        self.series.push((labels.clone(), Vec::new()));
        index
    }

    /// Adds a series that is not there yet.
    pub fn add(&mut self, labels: &Labels, samples: &[(i64, Value)]) {
        let index = self.index(labels);
        self.series[index].1.extend_from_slice(samples);
    }

    /// Shows every series with its samples, until that fails.
    pub fn each_series(&self, visit: &mut VisitSeries<'_>) -> Result<()> {
        self.series
            .iter()
            .try_for_each(|(labels, samples)| visit(labels, samples))
    }

    pub fn samples(&self) -> u64 {
        self.series.iter().map(|(_, samples)| samples.len() as u64).sum()
    }

    pub fn series(&self) -> usize {
        self.series.len()
    }

    /// First and last timestamp.
    pub fn bounds(&self) -> Option<(i64, i64)> {
        let timestamps = self.series.iter().flat_map(|one| &one.1).map(|sample| sample.0);
        Some((timestamps.clone().min()?, timestamps.max()?))
    }

    /// Compares with everything `store` has, bit for bit and in order.
    pub fn compare(&self, store: &Store, report: &mut Report) -> Result<()> {
        let mut read = vec![0usize; self.series.len()];
        let mut current: Option<usize> = None;
        let mut wrong = Vec::new();
        store.read(
            &[everything()],
            i64::MIN..=i64::MAX,
            &mut |labels, timestamp, value| {
                if current.is_none_or(|index| self.series[index].0 != *labels) {
                    current = self.by_labels.get(labels).copied();
                }
                let Some(index) = current else {
                    return wrong.push(format!("{labels} was never written"));
                };
                let expected = self.series[index].1.get(read[index]);
                read[index] += 1;
                if expected.is_none_or(|(at, written)| *at != timestamp || !is_same(written, value)) {
                    wrong.push(format!(
                        "{labels} at {timestamp}: {value:?} instead of {expected:?}"
                    ));
                }
            },
        )?;
        for (count, (labels, samples)) in read.iter().zip(&self.series) {
            if *count != samples.len() {
                wrong.push(format!("{labels}: {count} samples instead of {}", samples.len()));
            }
        }
        report.check(wrong.is_empty(), format!("{} faults", wrong.len()));
        wrong.iter().take(5).for_each(|fault| report.note(fault));
        Ok(())
    }
}

/// Floats bit for bit; histograms as `Histogram::is_same` has it: a chunk may add empty buckets.
fn is_same(written: &Value, read: &Value) -> bool {
    match (written, read) {
        (Value::Histogram(written), Value::Histogram(read)) => written.is_same(read),
        _ => written == read,
    }
}
