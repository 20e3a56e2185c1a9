//! A Kubernetes-like set: pods that come and go, 20 labels on every series, classic and native histograms, counters
//! and gauges of full precision.
//!
//! A pod lives for a while, then its series end with stale markers and a pod of another name takes its place. About
//! a third of the pods stand idle. A batch is one scrape of 32 pods.

mod native;
mod pod;

use crate::adapter::Point;
use crate::realdata::late_ms;
use crate::rng::Rng;
use crate::workload::Workload;
use narthex::Labels;
use pod::Pod;

const STEP_MS: i64 = 15_000;
const BASE_MS: i64 = 1_760_000_000_000;
const BATCH_PODS: usize = 32;

/// How large the set is.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Pods running at a time.
    pub pods: usize,
    pub ticks: i64,
    /// How many ticks a pod lives on average.
    pub life_ticks: u64,
    pub seed: u64,
}

/// The pods of a cluster at one moment; deterministic by its shape.
pub struct Cluster {
    shape: Shape,
    pods: Vec<Pod>,
    /// Pods named so far.
    named: u64,
    tick: i64,
    next_pod: usize,
    /// First and last pod of the batch.
    batch: std::ops::Range<usize>,
    rng: Rng,
}

impl Cluster {
    pub fn new(shape: Shape) -> Self {
        let mut cluster = Self {
            shape,
            pods: Vec::with_capacity(shape.pods),
            named: 0,
            tick: 0,
            next_pod: 0,
            batch: 0..0,
            rng: Rng::new(shape.seed),
        };
        for slot in 0..shape.pods {
            // The set is caught in the middle of its life: the first pods do not all end together.
            let life = cluster.rng.below(2 * shape.life_ticks) as i64;
            let pod = cluster.new_pod(slot, life);
            cluster.pods.push(pod);
        }
        cluster
    }

    fn new_pod(&mut self, slot: usize, life: i64) -> Pod {
        self.named += 1;
        Pod::new(slot, self.named, self.tick + life + 2, &mut self.rng)
    }

    /// Scrapes one pod: a pod that ended in the scrape before gives way to a new one.
    fn scrape(&mut self, slot: usize) {
        if self.pods[slot].ended {
            let life = self.shape.life_ticks / 2 + self.rng.below(self.shape.life_ticks);
            self.pods[slot] = self.new_pod(slot, life as i64);
        }
        let offset = slot as i64 * 1_237 % STEP_MS;
        let timestamp = BASE_MS + self.tick * STEP_MS + offset + late_ms(&mut self.rng);
        self.pods[slot].scrape(self.tick, timestamp, &mut self.rng);
    }
}

impl Workload for Cluster {
    fn advance(&mut self) -> bool {
        if self.next_pod == self.pods.len() {
            self.next_pod = 0;
            self.tick += 1;
        }
        if self.tick >= self.shape.ticks {
            return false;
        }
        let end = (self.next_pod + BATCH_PODS).min(self.pods.len());
        self.batch = self.next_pod..end;
        self.next_pod = end;
        self.batch.clone().for_each(|slot| self.scrape(slot));
        true
    }

    fn each(&self, visit: &mut dyn FnMut(&Labels, i64, Point<'_>)) {
        for pod in &self.pods[self.batch.clone()] {
            pod.each(visit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Expected;
    use narthex::Value;
    use std::collections::{HashMap, HashSet};

    const SHAPE: Shape = Shape {
        pods: 40,
        ticks: 60,
        life_ticks: 30,
        seed: 3,
    };

    #[test]
    fn every_series_has_twenty_labels_and_rising_timestamps() {
        let mut cluster = Cluster::new(SHAPE);
        let mut last: HashMap<Labels, i64> = HashMap::new();
        while cluster.advance() {
            let mut in_batch = HashSet::new();
            cluster.each(&mut |labels, timestamp, _| {
                assert_eq!(labels.len(), 20, "{labels}");
                assert!(in_batch.insert(labels.clone()), "{labels} twice in a batch");
                assert!(
                    last.insert(labels.clone(), timestamp)
                        .is_none_or(|before| before < timestamp)
                );
            });
        }
        assert!(
            last.len() > 40 * pod::SERIES_PER_POD,
            "{} series: no pod was renamed",
            last.len()
        );
    }

    #[test]
    fn series_end_with_one_stale_marker() {
        let mut cluster = Cluster::new(SHAPE);
        let (mut ended, mut histograms) = (HashSet::new(), 0);
        while cluster.advance() {
            cluster.each(&mut |labels, _, point| {
                assert!(!ended.contains(labels), "{labels} goes on behind its end");
                histograms += usize::from(matches!(point, Point::Histogram(_)));
                if point.to_value().is_stale() {
                    ended.insert(labels.clone());
                }
            });
        }
        assert!(
            ended.len() >= 20 * pod::SERIES_PER_POD,
            "{} series ended",
            ended.len()
        );
        assert_eq!(histograms, 40 * 60 * pod::NATIVE_PER_POD);
    }

    #[test]
    fn equal_seeds_give_equal_sets() {
        let (a, b) = (
            Expected::of(&mut Cluster::new(SHAPE)),
            Expected::of(&mut Cluster::new(SHAPE)),
        );
        assert_eq!(a.samples(), 40 * 60 * pod::SERIES_PER_POD as u64);
        assert!(a == b);
    }

    #[test]
    fn gauges_have_full_precision() {
        let mut cluster = Cluster::new(SHAPE);
        let mut mantissas = 0;
        cluster.advance();
        cluster.each(&mut |_, _, point| {
            if let Value::Float(value) = point.to_value() {
                mantissas += usize::from(value.to_bits().trailing_zeros() < 8);
            }
        });
        assert!(mantissas > 32, "{mantissas} values with a full mantissa");
    }
}
