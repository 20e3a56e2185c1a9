//! A batch's way into the head, under the writer's lock: find or make the series, judge each sample, log it, keep it.
//!
//! Space for everything the batch can write to the log is reserved before the first sample is applied, so that a full
//! disk refuses the batch as a whole. After that only a failing disk can separate head and log, and that poisons the
//! engine.

use super::Head;
use super::create::CreateError;
use super::overwrite::Overwrite;
use super::report::{CommitReport, Reject};
use super::series::{Admission, Series};
use super::slab::{Generation, Slab, SlabSeries, place_of};
use super::stage::{Entry, Incoming, Name, Payload};
use super::writer::Writer;
use crate::base::hash;
use crate::index::{LiveIndex, PairId};
use crate::model::exemplar::Exemplar;
use crate::model::histogram::Histogram;
use crate::model::labels::{LabelHash, LabelsRef};
use crate::model::sample::{Class, Sample, Value};
use crate::wal::batch::{BatchEncoder, Chain, LoggedFloat};
use std::hint::black_box;
use std::sync::{Arc, MutexGuard, PoisonError, RwLockReadGuard, RwLockWriteGuard};

/// Series whose memory is asked for before the first of them is worked on.
const TOUCHED_AT_ONCE: usize = 32;

impl Head {
    /// Admits and applies entries, leaving their record in the writer's encoder.
    pub(super) fn append(
        &self,
        writer: &mut Writer,
        incoming: Incoming<'_>,
        entries: &[Entry],
        now: i64,
        report: &mut CommitReport,
    ) {
        self.resolve(writer, incoming, entries, now, report);
        let order = std::mem::take(&mut writer.order);
        let (mut time_min, mut time_max) = (i64::MAX, i64::MIN);
        for entry in order
            .iter()
            .filter_map(|target| entries.get(target.entry as usize))
        {
            time_min = time_min.min(entry.timestamp);
            time_max = time_max.max(entry.timestamp);
        }
        writer.live.note_times(time_min, time_max);
        let before = report.floats + report.histograms;
        let mut applier = Applier::new(self, writer);
        for run in order.chunk_by(|a, b| place_of(a.id).0 == place_of(b.id).0) {
            applier.apply(incoming, entries, run, report);
        }
        let late_bytes = applier.late_bytes;
        drop(applier);
        writer.live.note_late_bytes(late_bytes);
        writer.order = order;
        let added = report.floats + report.histograms - before;
        writer.live.note_samples(added as u64);
    }

    /// Finds the series of every entry, or makes it; what is not refused is left in `writer.order`, by series.
    fn resolve(
        &self,
        writer: &mut Writer,
        incoming: Incoming<'_>,
        entries: &[Entry],
        now: i64,
        report: &mut CommitReport,
    ) {
        let mut order = std::mem::take(&mut writer.order);
        order.clear();
        let latest = self
            .limits
            .future_max
            .map_or(i64::MAX, |most| now.saturating_add(most));
        let mut before = None;
        let mut index = None;
        for (entry, number) in entries.iter().zip(0..) {
            if entry.timestamp > latest {
                incoming.reject(entry, Reject::TooFarInFuture, report);
                continue;
            }
            if let Payload::Refused(refused) = &entry.payload {
                incoming.reject_because(entry, refused.0, &refused.1, report);
                continue;
            }
            let known = match entry.name {
                Name::Labels(hash) => writer.map.find_after(before, hash),
                Name::Key(key) => writer.map.find_key_after(before, key),
            };
            let id = match known {
                Some(id) => id,
                None => match self.find_or_create(writer, &mut index, incoming, entry, report) {
                    Ok(id) => id,
                    Err(CreateError(reason)) => {
                        incoming.reject(entry, reason, report);
                        continue;
                    }
                },
            };
            writer.map.learn(before, id);
            before = Some(id);
            order.push(Target { id, entry: number });
        }
        if !order.is_sorted_by_key(Target::key) {
            order.sort_unstable_by_key(Target::key);
        }
        writer.order = order;
    }
}

impl Head {
    /// The series of an entry that was not found by its name: there is none yet, or it was not known by that key.
    fn find_or_create<'a>(
        &'a self,
        writer: &mut Writer,
        index: &mut Option<RwLockWriteGuard<'a, LiveIndex>>,
        incoming: Incoming<'_>,
        entry: &Entry,
        report: &mut CommitReport,
    ) -> Result<u32, CreateError> {
        let mut labels = std::mem::take(&mut writer.labels);
        let named = incoming.labels_of(entry, &mut labels);
        let found = match (named, entry.name) {
            (Err(_), _) => Err(CreateError(Reject::InvalidLabels)),
            (Ok(()), Name::Labels(hash)) => self.create(writer, index, LabelsRef::new(&labels), hash, report),
            (Ok(()), Name::Key(key)) => {
                let hash = LabelHash(hash::hash_128(&labels));
                let found = match writer.map.find(hash) {
                    Some(id) => Ok(id),
                    None => self.create(writer, index, LabelsRef::new(&labels), hash, report),
                };
                found.inspect(|id| writer.map.set_key(*id, key))
            }
        };
        writer.labels = labels;
        found
    }
}

/// An entry of a batch and its series.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    id: u32,
    entry: u32,
}

impl Target {
    /// By series, so that a slab is locked once; entries of one series stay in the order of the batch.
    fn key(&self) -> u64 {
        u64::from(self.id) << 32 | u64::from(self.entry)
    }
}

/// Applies entries whose series are known.
struct Applier<'a> {
    head: &'a Head,
    slabs: &'a [Arc<Slab>],
    encoder: &'a mut BatchEncoder,
    pair_files: &'a mut Vec<u32>,
    map: &'a super::series_map::SeriesMap,
    live: &'a Generation,
    frozen: Option<&'a Generation>,
    chain: u32,
    flushed_max: i64,
    /// Sequence of the current log file; 0 without a log.
    file: u32,
    index: Option<RwLockReadGuard<'a, LiveIndex>>,
    /// By how much late samples grew.
    late_bytes: i64,
}

impl<'a> Applier<'a> {
    fn new(head: &'a Head, writer: &'a mut Writer) -> Self {
        Self {
            head,
            slabs: &writer.slabs,
            encoder: &mut writer.encoder,
            pair_files: &mut writer.pair_files,
            map: &writer.map,
            live: &writer.live,
            frozen: writer.frozen.as_deref(),
            chain: writer.chain,
            flushed_max: writer.flushed_max,
            file: writer.file,
            index: None,
            late_bytes: 0,
        }
    }

    /// Applies entries of one slab.
    fn apply(
        &mut self,
        incoming: Incoming<'_>,
        entries: &[Entry],
        run: &[Target],
        report: &mut CommitReport,
    ) {
        let Some(first) = run.first() else { return };
        let mut guard = self.lock(place_of(first.id).0);
        for block in run.chunks(TOUCHED_AT_ONCE) {
            // Reads that do not wait for each other bring everything to the cache that the entries then need in turn.
            black_box(block.iter().fold(0, |sum, target| {
                let series = guard.series.get(place_of(target.id).1);
                let entry = entries.get(target.entry as usize);
                sum ^ series
                    .zip(entry)
                    .map_or(0, |(series, entry)| series.touch_at(entry.timestamp))
            }));
            for target in block {
                let series = guard.series.get_mut(place_of(target.id).1);
                let entry = entries.get(target.entry as usize);
                if let (Some(series), Some(entry)) = (series, entry) {
                    self.apply_one(series, incoming, entry, target.id, report);
                }
            }
        }
    }

    #[inline]
    fn apply_one(
        &mut self,
        series: &mut Series,
        incoming: Incoming<'_>,
        entry: &Entry,
        id: u32,
        report: &mut CommitReport,
    ) {
        match &entry.payload {
            Payload::Float(bits) => self.float(series, incoming, entry, *bits, id, report),
            Payload::Histogram(histogram) => self.histogram(series, incoming, entry, histogram, id, report),
            Payload::Exemplar(exemplar) => self.exemplar(series, incoming, entry, exemplar, id, report),
            Payload::Refused(_) => {}
            Payload::Correction(value) => {
                self.correct(
                    series,
                    Class::Correction,
                    sample_of(entry, Value::clone(value)),
                    id,
                    report,
                );
            }
        }
    }

    /// Locks a slab and moves what belongs to a frozen generation out of the way.
    fn lock(&self, slab: usize) -> MutexGuard<'a, SlabSeries> {
        let mut guard = self.slabs[slab].lock();
        if guard.generation != self.live.number {
            match self.frozen {
                Some(frozen) => frozen.freeze(slab, &mut guard, self.live.number),
                None => guard.generation = self.live.number,
            }
        }
        guard
    }

    #[inline]
    fn float(
        &mut self,
        series: &mut Series,
        incoming: Incoming<'_>,
        entry: &Entry,
        bits: u64,
        id: u32,
        report: &mut CommitReport,
    ) {
        let (timestamp, start_timestamp) = (entry.timestamp, entry.start_timestamp);
        let logged = LoggedFloat {
            id,
            timestamp,
            bits,
            start_timestamp,
        };
        let admission = series.admit_float(timestamp, bits);
        if series.overwrite != Overwrite::Reject {
            let sample = sample_of(entry, Value::Float(f64::from_bits(bits)));
            if self.overwrite(series, admission, sample, id, report) {
                return;
            }
        }
        match admission {
            Admission::Ordered => {
                if self.file != 0 {
                    let chained = series.chain == self.chain;
                    self.define(series, id);
                    self.encoder.sample(
                        logged,
                        if chained {
                            Chain::Follows(series.last_bits)
                        } else {
                            Chain::Starts
                        },
                    );
                    series.chain = self.chain;
                }
                series.append_float(timestamp, bits, start_timestamp);
                report.floats += 1;
            }
            Admission::Late => {
                if self.file != 0 {
                    self.define(series, id);
                    self.encoder.sample(logged, Chain::Outside);
                }
                let value = Value::Float(f64::from_bits(bits));
                self.late_bytes += series.insert_late(timestamp, value, start_timestamp);
                report.floats += 1;
            }
            Admission::Same => report.note_duplicate(false),
            Admission::Conflict => incoming.reject(entry, Reject::Conflict, report),
        }
    }

    fn histogram(
        &mut self,
        series: &mut Series,
        incoming: Incoming<'_>,
        entry: &Entry,
        histogram: &Arc<Histogram>,
        id: u32,
        report: &mut CommitReport,
    ) {
        let (timestamp, start_timestamp) = (entry.timestamp, entry.start_timestamp);
        let admission = series.admit_histogram(timestamp, histogram);
        if series.overwrite != Overwrite::Reject {
            let sample = sample_of(entry, Value::Histogram(histogram.clone()));
            if self.overwrite(series, admission, sample, id, report) {
                return;
            }
        }
        match admission {
            Admission::Same => report.note_duplicate(true),
            Admission::Conflict => incoming.reject(entry, Reject::Conflict, report),
            Admission::Ordered | Admission::Late => {
                if self.file != 0 {
                    self.define(series, id);
                    self.encoder.histogram(id, timestamp, start_timestamp, histogram);
                }
                if admission == Admission::Ordered {
                    series.append_histogram(timestamp, histogram.clone(), start_timestamp);
                } else {
                    let value = Value::Histogram(histogram.clone());
                    self.late_bytes += series.insert_late(timestamp, value, start_timestamp);
                }
                report.histograms += 1;
            }
        }
    }

    /// Treats a sample by the policy of its series; `false` leaves it to the usual way.
    #[cold]
    fn overwrite(
        &mut self,
        series: &mut Series,
        admission: Admission,
        sample: Sample,
        id: u32,
        report: &mut CommitReport,
    ) -> bool {
        let class = series.overwrite.class();
        let timestamp = sample.timestamp;
        let is_taken = admission == Admission::Conflict
            || admission == Admission::Same && series.is_corrected(timestamp);
        // A sample that is only remembered beyond its flush may have been written over in a segment since.
        let is_repeat = admission == Admission::Same && (class == Class::Maximum || series.holds(timestamp));
        match class {
            Class::Ordinary if admission == Admission::Conflict => {
                report.note_duplicate(sample.value.is_histogram());
            }
            Class::Ordinary => return false,
            _ if !is_taken && (is_repeat || timestamp > self.flushed_max) => return false,
            Class::Maximum if admission == Admission::Conflict && !series.is_below(&sample) => {
                report.note_duplicate(sample.value.is_histogram());
            }
            class => self.correct(series, class, sample, id, report),
        }
        true
    }

    /// Stores a sample that is not ordinary.
    fn correct(
        &mut self,
        series: &mut Series,
        class: Class,
        sample: Sample,
        id: u32,
        report: &mut CommitReport,
    ) {
        if series.admit_correction(class, sample.timestamp, &sample.value) == Admission::Same {
            report.note_duplicate(sample.value.is_histogram());
            return;
        }
        if self.file != 0 {
            self.define(series, id);
            self.encoder.correction(id, class, &sample);
        }
        match sample.value {
            Value::Float(_) => report.floats += 1,
            Value::Histogram(_) => report.histograms += 1,
        }
        report.corrections += 1;
        series.insert_correction(class, sample);
    }

    fn exemplar(
        &mut self,
        series: &mut Series,
        incoming: Incoming<'_>,
        entry: &Entry,
        exemplar: &Arc<Exemplar>,
        id: u32,
        report: &mut CommitReport,
    ) {
        let labels = &exemplar.labels;
        let chars: usize = labels
            .iter()
            .map(|(name, value)| name.chars().count() + value.chars().count())
            .sum();
        if chars > self.head.limits.exemplar_chars_max {
            let most = self.head.limits.exemplar_chars_max;
            let fault = format!("{chars} characters of labels, allowed are {most}");
            return incoming.reject_because(entry, Reject::InvalidExemplar, &fault, report);
        }
        if series.add_exemplar(exemplar) {
            if self.file != 0 {
                self.define(series, id);
                self.encoder.exemplar(id, exemplar);
            }
            report.exemplars += 1;
        } else {
            report.duplicate_exemplars += 1;
        }
    }

    /// Every log file defines the series and pairs it uses, once.
    #[inline]
    fn define(&mut self, series: &mut Series, id: u32) {
        if series.wal_file != self.file {
            series.wal_file = self.file;
            self.define_now(&series.pairs, id);
        }
    }

    fn define_now(&mut self, pairs: &[PairId], id: u32) {
        let index = self
            .index
            .get_or_insert_with(|| self.head.index.read().unwrap_or_else(PoisonError::into_inner));
        define_pairs(self.encoder, self.pair_files, self.file, index, pairs);
        self.encoder
            .define_series(id, self.map.hash_of(id).0, pairs.iter().map(|pair| pair.0));
    }
}

fn sample_of(entry: &Entry, value: Value) -> Sample {
    Sample {
        timestamp: entry.timestamp,
        value,
        start_timestamp: entry.start_timestamp,
    }
}

/// Defines the pairs that `file` does not know yet.
pub(super) fn define_pairs(
    encoder: &mut BatchEncoder,
    pair_files: &mut Vec<u32>,
    file: u32,
    index: &LiveIndex,
    pairs: &[PairId],
) {
    for pair in pairs {
        let slot = pair.0 as usize;
        if pair_files.len() <= slot {
            pair_files.resize(slot + 1, 0);
        }
        if pair_files[slot] != file {
            pair_files[slot] = file;
            let (name, value) = index.pair(*pair);
            encoder.define_pair(pair.0, name, value);
        }
    }
}
