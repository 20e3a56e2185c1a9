//! The twin: what docs/format/ordering.md says a database holds, as plain maps.

use crate::play::{Contents, Kept, Seen, seen};
use narthex::{Exemplar, Metadata, Sample, Value};
use std::collections::BTreeMap;

/// A series and a timestamp.
pub(crate) type Place = (usize, i64);

/// What one commit brought, so that a power loss can take it away again. A batch only ever adds.
#[derive(Debug)]
pub(crate) enum Added {
    Sample(Place),
    Exemplar(usize),
    Metadata(String),
}

/// What a commit should say of one sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    New,
    Same,
    Conflict,
}

/// One generation of samples: within it the first wins, and other bits are a conflict.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layer {
    pub(crate) samples: BTreeMap<Place, (Value, i64)>,
    pub(crate) exemplars: BTreeMap<usize, Vec<Exemplar>>,
    has_metadata: bool,
}

impl Layer {
    fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.exemplars.is_empty() && !self.has_metadata
    }

    /// Takes over a later layer; what is here already stays.
    fn absorb(&mut self, later: Self) {
        for (place, sample) in later.samples {
            self.samples.entry(place).or_insert(sample);
        }
        for (series, exemplars) in later.exemplars {
            self.exemplars.entry(series).or_default().extend(exemplars);
        }
        self.has_metadata |= later.has_metadata;
    }

    fn newest(&self, series: usize) -> Option<i64> {
        let range = (series, i64::MIN)..=(series, i64::MAX);
        self.samples.range(range).next_back().map(|(place, _)| place.1)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Twin {
    /// In segments, the winners.
    flushed: Layer,
    /// Frozen by a flush that could not be finished.
    frozen: Option<Layer>,
    live: Layer,
    pub(crate) metadata: BTreeMap<String, Vec<(i64, Metadata)>>,
    /// The newest samples of series when they were frozen: the engine remembers the last such while the series is in
    /// memory.
    remembered: BTreeMap<Place, Seen>,
    /// Batches that a power loss may take, with their LSNs.
    pending: Vec<(u64, Vec<Added>)>,
}

impl Twin {
    /// What a sample meets in the live generation, which is all a commit may judge by.
    pub(crate) fn verdict(&self, place: Place, value: &Value) -> Verdict {
        match self.live.samples.get(&place) {
            None => Verdict::New,
            Some((there, _)) if seen(there) == seen(value) => Verdict::Same,
            Some(_) => Verdict::Conflict,
        }
    }

    /// The engine may remember the newest sample of a series beyond a flush, and then judges by it.
    pub(crate) fn other_verdict(&self, place: Place, value: &Value) -> Option<Verdict> {
        if self.live.samples.contains_key(&place) {
            return None;
        }
        let there = self.remembered.get(&place)?;
        Some(if *there == seen(value) {
            Verdict::Same
        } else {
            Verdict::Conflict
        })
    }

    pub(crate) fn add_sample(&mut self, place: Place, sample: &Sample) -> Added {
        self.live
            .samples
            .insert(place, (sample.value.clone(), sample.start_timestamp));
        Added::Sample(place)
    }

    /// `None` when the live generation has it.
    pub(crate) fn add_exemplar(&mut self, series: usize, exemplar: &Exemplar) -> Option<Added> {
        let exemplars = self.live.exemplars.entry(series).or_default();
        if exemplars.contains(exemplar) {
            return None;
        }
        exemplars.push(exemplar.clone());
        Some(Added::Exemplar(series))
    }

    /// `None` when it was said last.
    pub(crate) fn add_metadata(&mut self, metric: &str, time: i64, entry: &Metadata) -> Option<Added> {
        let history = self.metadata.entry(metric.to_owned()).or_default();
        if history.last().is_some_and(|last| last.1 == *entry) {
            return None;
        }
        history.push((time, entry.clone()));
        self.live.has_metadata = true;
        Some(Added::Metadata(metric.to_owned()))
    }

    pub(crate) fn committed(&mut self, lsn: u64, added: Vec<Added>) {
        self.pending.push((lsn, added));
    }

    /// Everything so far survives a power loss.
    pub(crate) fn all_durable(&mut self) {
        self.pending.clear();
    }

    pub(crate) fn durable_unless(&self, lsn: u64) -> bool {
        self.pending.iter().all(|batch| batch.0 <= lsn)
    }

    pub(crate) fn has_frozen(&self) -> bool {
        self.frozen.is_some()
    }

    /// Whether flushing what is frozen writes a segment.
    pub(crate) fn frozen_has_data(&self) -> bool {
        self.frozen.as_ref().is_some_and(|frozen| !frozen.is_empty())
    }

    /// The live generation is frozen: it is no longer judged by, the newest samples aside.
    pub(crate) fn freeze(&mut self) {
        let live = std::mem::take(&mut self.live);
        let series: Vec<usize> = live.samples.keys().map(|place| place.0).collect();
        for series in series {
            if let Some(newest) = live.newest(series) {
                let value = &live.samples[&(series, newest)].0;
                self.remembered.insert((series, newest), seen(value));
            }
        }
        self.frozen = Some(live);
        self.all_durable();
    }

    pub(crate) fn flush_frozen(&mut self) {
        if let Some(frozen) = self.frozen.take() {
            self.flushed.absorb(frozen);
        }
    }

    /// A finished flush of everything.
    pub(crate) fn flush(&mut self) {
        self.flush_frozen();
        self.freeze();
        self.flush_frozen();
    }

    /// Opened again; what is in the log is one generation, and the newest samples of flushed series are forgotten.
    pub(crate) fn reopened(&mut self) {
        if let Some(mut frozen) = self.frozen.take() {
            frozen.absorb(std::mem::take(&mut self.live));
            self.live = frozen;
        }
        self.all_durable();
    }

    /// A power loss left the batches up to `lsn`.
    pub(crate) fn lose_after(&mut self, lsn: u64) {
        while self.pending.last().is_some_and(|batch| batch.0 > lsn) {
            let (_, added) = self.pending.pop().expect("one was there");
            added.into_iter().rev().for_each(|one| self.take_back(one));
        }
    }

    fn take_back(&mut self, added: Added) {
        match added {
            Added::Sample(place) => drop(self.live.samples.remove(&place)),
            Added::Exemplar(series) => {
                let exemplars = self.live.exemplars.get_mut(&series).expect("it was added");
                exemplars.pop();
            }
            Added::Metadata(metric) => {
                let history = self.metadata.get_mut(&metric).expect("it was added");
                history.pop();
                if history.is_empty() {
                    self.metadata.remove(&metric);
                }
            }
        }
    }

    fn layers(&self) -> impl Iterator<Item = &Layer> {
        std::iter::once(&self.flushed)
            .chain(&self.frozen)
            .chain(std::iter::once(&self.live))
    }

    /// What a reader sees at a place: the first that was written.
    pub(crate) fn winner(&self, place: Place) -> Option<&(Value, i64)> {
        self.layers().find_map(|layer| layer.samples.get(&place))
    }

    /// What a reader sees of the series that `wanted` likes within `from..=to`.
    pub(crate) fn contents(&self, wanted: impl Fn(usize) -> bool, from: i64, to: i64) -> Contents {
        let mut contents = Contents::new();
        for layer in self.layers() {
            for (place, (value, start)) in &layer.samples {
                if wanted(place.0) && (from..=to).contains(&place.1) {
                    let kept: Kept = (seen(value), *start);
                    contents.entry(*place).or_insert(kept);
                }
            }
        }
        contents
    }

    /// Exemplars by series within `from..=to`, in order of time and each once.
    pub(crate) fn exemplars(&self, from: i64, to: i64) -> BTreeMap<usize, Vec<Exemplar>> {
        let mut all: BTreeMap<usize, Vec<Exemplar>> = BTreeMap::new();
        for (series, exemplars) in self.layers().flat_map(|layer| &layer.exemplars) {
            for exemplar in exemplars
                .iter()
                .filter(|one| (from..=to).contains(&one.timestamp))
            {
                let kept = all.entry(*series).or_default();
                if !kept.contains(exemplar) {
                    kept.push(exemplar.clone());
                }
            }
        }
        all.retain(|_, exemplars| !exemplars.is_empty());
        all
    }

    /// A random place that has a sample, or that had one.
    pub(crate) fn place_after(&self, from: Place) -> Option<Place> {
        let next = |layer: &Layer| layer.samples.range(from..).next().map(|(place, _)| *place);
        self.layers().filter_map(next).min()
    }
}
