//! What very few series have: corrections, and samples that a deletion took out of sight.
//!
//! A deletion is applied to the live generation physically: what it hides leaves the chunks and becomes a *hidden part*,
//! which stands where the deletion stands in the order of writing. From then on it is treated as a segment that ends
//! before the deletion: deletions of the reader's view hide it, withdrawn ones do not.

use super::decode::{decode_chunk, decode_data};
use super::series::{Admission, Extra, SealedChunk, Series, is_same};
use super::series_data::SeriesData;
use super::slab::Hide;
use crate::model::sample::{Class, Sample, Value};
use crate::model::samples::Samples;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A place in a slab whose first chunk is a whole one.
const WHOLE_CHUNKS_PLACE: usize = 0;

pub(crate) type Corrections = BTreeMap<i64, (Class, Sample)>;

#[derive(Debug, Clone, Default)]
pub(crate) struct Rare {
    /// Samples that are not ordinary; settled against the ordinary ones when they are read.
    pub(crate) corrections: Corrections,
    /// By LSN of the deletion, ascending.
    pub(crate) hidden: Vec<Hidden>,
    /// Samples of hidden parts that no deletion hides any more, for admission.
    shown: Corrections,
}

/// What one deletion hid of one series.
#[derive(Debug, Clone)]
pub(crate) struct Hidden {
    /// The deletion's. Everything here was written before it.
    pub(crate) lsn: u64,
    pub(crate) data: SeriesData,
}

impl Rare {
    pub(crate) fn is_empty(&self) -> bool {
        self.corrections.is_empty() && self.hidden.is_empty()
    }
}

/// Samples of `corrections` within `from..=to`.
pub(crate) fn corrected(corrections: &Corrections, from: i64, to: i64) -> Samples {
    let mut samples = Samples::default();
    for (class, sample) in corrections.range(from..=to).map(|one| one.1) {
        samples.push_classed(
            sample.timestamp,
            sample.value.clone(),
            sample.start_timestamp,
            *class,
        );
    }
    samples
}

impl SeriesData {
    /// What lies in `from..=to`, and everything else. What is hidden already stays with the latter.
    fn split(mut self, from: i64, to: i64) -> (Self, Self) {
        let is_inside = |timestamp: i64| (from..=to).contains(&timestamp);
        let mut inside = Self {
            starts: self.starts.clone(),
            ..Self::default()
        };
        let mut outside = Vec::with_capacity(self.chunks.len() + 1);
        for chunk in self.chunks {
            if chunk.last_timestamp < from || chunk.first_timestamp > to {
                outside.push(chunk);
            } else if is_inside(chunk.first_timestamp) && is_inside(chunk.last_timestamp) {
                inside.chunks.push(chunk);
            } else {
                let (chunks_inside, rest) = split_chunk(&chunk, from, to);
                inside.chunks.extend(chunks_inside);
                outside.extend(rest);
            }
        }
        self.chunks = outside;
        inside.late = self.late.take_within(from, to);
        inside.exemplars = self
            .exemplars
            .extract_if(.., |one| is_inside(one.timestamp))
            .collect();
        if let Some(rare) = &mut self.rare {
            let corrections: Corrections = rare.corrections.extract_if(from..=to, |_, _| true).collect();
            if !corrections.is_empty() {
                inside.rare.get_or_insert_default().corrections = corrections;
            }
        }
        (inside, self)
    }
}

/// A chunk as those of its samples that lie in `from..=to`, and those that do not.
fn split_chunk(chunk: &SealedChunk, from: i64, to: i64) -> (Vec<SealedChunk>, Vec<SealedChunk>) {
    let mut rest = Samples::default();
    if decode_chunk(chunk.encoding, &chunk.bytes, &mut rest).is_err() {
        // A checkpoint may hold anything; what does not decode shows nothing.
        return (Vec::new(), vec![chunk.clone()]);
    }
    let mut inside = rest.clone();
    inside.trim(from, to);
    rest.cut_out(from, to);
    (seal(&inside), seal(&rest))
}

fn seal(samples: &Samples) -> Vec<SealedChunk> {
    let mut series = Series::new(Box::default(), WHOLE_CHUNKS_PLACE);
    for sample in samples.iter() {
        series.append(sample);
    }
    series.take_data(WHOLE_CHUNKS_PLACE).seal().chunks
}

impl Series {
    pub(super) fn rare(&self) -> Option<&Rare> {
        self.extra.as_ref()?.rare.as_deref()
    }

    fn rare_mut(&mut self) -> &mut Rare {
        self.special = true;
        self.extra_mut().rare.get_or_insert_default()
    }

    /// What is judged by before the ordinary samples of this generation: a correction, or what an undelete brought back
    /// to a place where nothing was written since.
    fn correction(&self, timestamp: i64) -> Option<&(Class, Sample)> {
        let rare = self.rare()?;
        let is_alone = |_: &&(Class, Sample)| self.find(timestamp).is_none();
        rare.corrections
            .get(&timestamp)
            .or_else(|| rare.shown.get(&timestamp).filter(is_alone))
    }

    /// Whether this generation has something at `timestamp`, and not only the memory of a flushed sample.
    pub(super) fn holds(&self, timestamp: i64) -> bool {
        self.correction(timestamp).is_some() || self.find(timestamp).is_some()
    }

    /// What an ordinary sample is against a correction, or against what an undelete brought back.
    pub(super) fn admit_beside_rare(&self, timestamp: i64, value: &Value) -> Option<Admission> {
        let (class, known) = self.correction(timestamp)?;
        if *class != Class::Ordinary || is_same(&known.value, value) {
            return Some(Admission::Same);
        }
        Some(Admission::Conflict)
    }

    /// Whether there is a correction at `timestamp` in this generation.
    pub(super) fn is_corrected(&self, timestamp: i64) -> bool {
        self.correction(timestamp)
            .is_some_and(|known| known.0 != Class::Ordinary)
    }

    /// Whether what stands at the sample's place in this generation is a smaller number.
    pub(super) fn is_below(&self, sample: &Sample) -> bool {
        let known = match self.correction(sample.timestamp) {
            Some((_, known)) => Some(known.value.clone()),
            None => self.find(sample.timestamp),
        };
        known.is_none_or(|known| sample.value.is_larger_than(&known))
    }

    /// The class of what stands at a place: a maximum over a correction that an undelete brought back is one as well.
    fn settled(&self, class: Class, timestamp: i64) -> Class {
        let shown = self.rare().and_then(|rare| rare.shown.get(&timestamp));
        match shown {
            Some((Class::Correction, _)) if class == Class::Maximum => Class::Correction,
            _ => class,
        }
    }

    /// What a sample that is not ordinary would be: new, or the same as the correction that is there.
    pub(crate) fn admit_correction(&self, class: Class, timestamp: i64, value: &Value) -> Admission {
        match self.correction(timestamp) {
            Some((known, sample))
                if self.settled(*known, timestamp) == class && is_same(&sample.value, value) =>
            {
                Admission::Same
            }
            Some((known, sample)) if class == Class::Maximum => {
                let (is_above, _) = Class::settle((&sample.value, *known), (value, class));
                if is_above {
                    Admission::Late
                } else {
                    Admission::Same
                }
            }
            _ => Admission::Late,
        }
    }

    pub(crate) fn insert_correction(&mut self, class: Class, sample: Sample) {
        let corrections = &mut self.rare_mut().corrections;
        let timestamp = sample.timestamp;
        let Some((known, before)) = corrections.get_mut(&timestamp) else {
            corrections.insert(timestamp, (class, sample));
            return;
        };
        let (is_above, settled) = Class::settle((&before.value, *known), (&sample.value, class));
        *known = settled;
        if is_above {
            *before = sample;
        }
    }

    /// Appends a sample that is newer than everything.
    pub(super) fn append(&mut self, sample: Sample) {
        let (timestamp, start_timestamp) = (sample.timestamp, sample.start_timestamp);
        match sample.value {
            Value::Float(value) => self.append_float(timestamp, value.to_bits(), start_timestamp),
            Value::Histogram(histogram) => self.append_histogram(timestamp, histogram, start_timestamp),
        }
    }

    /// Takes what lies in `from..=to` out of sight, for the deletion with that LSN.
    pub(super) fn hide(&mut self, place: usize, (from, to): (i64, i64), lsn: u64) {
        self.part(place, (from, to), lsn, true);
        if let Some(rare) = self.extra.as_mut().and_then(|extra| extra.rare.as_mut()) {
            rare.shown.retain(|timestamp, _| !(from..=to).contains(timestamp));
        }
        if self.has_last && (from..=to).contains(&self.last_timestamp) {
            self.forget_last();
        }
    }

    /// Puts the samples that lie in `from..=to` in a part of their own, which ends before that LSN.
    pub(super) fn part(&mut self, place: usize, (from, to): (i64, i64), lsn: u64, with_exemplars: bool) {
        if self.touches(from, to) {
            let (mut inside, mut rest) = self.take_data(place).seal().split(from, to);
            if !with_exemplars {
                rest.exemplars.append(&mut inside.exemplars);
            }
            if !inside.is_empty() {
                let rare = rest.rare.get_or_insert_default();
                rare.hidden.push(Hidden { lsn, data: inside });
            }
            self.put_back(rest);
        }
    }

    /// Whether the generation may have something within `from..=to`, by bounds.
    fn touches(&self, from: i64, to: i64) -> bool {
        let overlaps = |first: i64, last: i64| first <= to && last >= from;
        if self.open.count() > 0 && overlaps(self.open_first, self.open.last().0) {
            return true;
        }
        let Some(extra) = self.extra.as_deref() else {
            return false;
        };
        let open = extra.histogram.as_ref();
        open.is_some_and(|open| overlaps(open.first_timestamp, open.appender.last_timestamp()))
            || extra
                .sealed
                .iter()
                .any(|chunk| overlaps(chunk.first_timestamp, chunk.last_timestamp))
            || extra.late.has_within(from, to)
            || extra
                .exemplars
                .iter()
                .any(|one| overlaps(one.timestamp, one.timestamp))
            || self
                .rare()
                .is_some_and(|rare| rare.corrections.range(from..=to).next().is_some())
    }

    /// The reverse of [`Series::take_data`]; what was the open chunk stays sealed.
    fn put_back(&mut self, data: SeriesData) {
        let last_histogram = self.extra.as_mut().and_then(|extra| extra.last_histogram.take());
        self.adopt(Extra {
            sealed: data.chunks,
            late: data.late,
            starts: data.starts,
            exemplars: data.exemplars,
            rare: data.rare.filter(|rare| !rare.is_empty()),
            last_histogram,
            histogram: None,
        });
    }

    /// The newest sample is gone: the one before it is the newest, if this generation has one. What the log says next of
    /// this series stands for itself.
    fn forget_last(&mut self) {
        self.chain = 0;
        let (mut newest, mut samples) = (None, Samples::default());
        if let Some(extra) = self.extra.as_deref_mut() {
            extra.last_histogram = None;
            if let Some(chunk) = extra.sealed.last() {
                let decoded = decode_chunk(chunk.encoding, &chunk.bytes, &mut samples);
                newest = decoded
                    .ok()
                    .and_then(|()| samples.iter().next_back())
                    .map(|sample| (sample.timestamp, sample.value));
            }
            if let Some(late) = extra.late.last()
                && newest.as_ref().is_none_or(|newest| newest.0 < late.0)
            {
                newest = Some(late);
            }
        }
        self.has_last = newest.is_some();
        match newest {
            None => (self.last_timestamp, self.last_bits) = (0, 0),
            Some((timestamp, Value::Float(value))) => {
                (self.last_timestamp, self.last_bits) = (timestamp, value.to_bits());
            }
            Some((timestamp, Value::Histogram(histogram))) => {
                self.last_timestamp = timestamp;
                self.special = true;
                self.extra_mut().last_histogram = Some(histogram);
            }
        }
    }

    /// Works out anew which hidden samples no deletion hides any more; `hides` are the deletions in force.
    pub(super) fn update_shown(&mut self, place: u32, hides: &[Arc<Hide>]) {
        let Some(rare) = self.extra.as_mut().and_then(|extra| extra.rare.as_mut()) else {
            return;
        };
        let Rare { hidden, shown, .. } = &mut **rare;
        shown.clear();
        // Two parts that have the same place were parted by the deletion of the first, so the later one counts.
        for hidden in hidden {
            let mut samples = Samples::default();
            if decode_data(&hidden.data, i64::MIN, i64::MAX, &mut samples).is_err() {
                continue;
            }
            let above = hides
                .iter()
                .filter(|hide| hide.lsn >= hidden.lsn && hide.places.contains(place));
            above.for_each(|hide| samples.cut_out(hide.from, hide.to));
            let classed = |sample: Sample| (sample.timestamp, (samples.class_at(sample.timestamp), sample));
            shown.extend(samples.iter().map(classed));
        }
        self.special |= !shown.is_empty();
    }
}
