//! Taking in the log of a Prometheus: what it has in memory and in no block.
//!
//! It is read twice: first for its series and deletions, by which damage is found before anything is written, then for its
//! samples. Of samples those count that Prometheus would have after its own replay: not older than its blocks, and of a series
//! in order; what came late stands in the log of late samples. The chunks that Prometheus keeps beside its log hold nothing that
//! is not in it.

use super::import::Import;
use crate::blocks::{Entry, Log, LogEnd, Place, is_within};
use crate::engine::error::Error;
use crate::model::exemplar::Exemplar;
use crate::model::labels::{LabelError, Labels};
use crate::model::metadata::Metadata;
use crate::model::sample::{Sample, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// A series of the log.
#[derive(Debug)]
struct LogSeries {
    labels: Labels,
    /// Time of the newest sample that came in order.
    newest: i64,
    /// Deleted, both ends included.
    deleted: Vec<(i64, i64)>,
}

/// All series of a log.
#[derive(Debug, Default)]
struct AllSeries {
    series: Vec<LogSeries>,
    by_number: HashMap<u64, usize>,
    by_labels: HashMap<Labels, usize>,
    invalid: HashMap<u64, LabelError>,
    floor: i64,
}

impl AllSeries {
    fn note(&mut self, entry: Entry) {
        match entry {
            Entry::Series(number, Ok(labels)) => {
                let next = self.series.len();
                let place = *self.by_labels.entry(labels.clone()).or_insert(next);
                if place == next {
                    self.series.push(LogSeries {
                        labels,
                        newest: i64::MIN,
                        deleted: Vec::new(),
                    });
                }
                self.by_number.insert(number, place);
            }
            Entry::Series(number, Err(error)) => {
                self.invalid.insert(number, error);
            }
            Entry::Deleted(number, first, last) => {
                if let Some(series) = self.get(number) {
                    series.deleted.push((first, last));
                }
            }
            Entry::Floor(floor) => self.floor = self.floor.max(floor),
            _ => {}
        }
    }

    fn get(&mut self, number: u64) -> Option<&mut LogSeries> {
        let place = *self.by_number.get(&number)?;
        self.series.get_mut(place)
    }
}

impl Import<'_> {
    /// Takes in a log and the one of late samples; what is older than `floor` is in blocks.
    pub(super) fn logs(&mut self, log: &Log, late: &Log, floor: i64) -> Result<(), Error> {
        let skip = self.options.skip_damaged;
        let fs = self.fs.clone();
        let mut all = AllSeries {
            floor,
            ..AllSeries::default()
        };
        let note = |all: &mut AllSeries, entries: Vec<Entry>| -> Result<(), Error> {
            entries.into_iter().for_each(|entry| all.note(entry));
            Ok(())
        };
        let end = log.read(&*fs, skip, |entries, _| note(&mut all, entries))?;
        self.note_end(end)?;
        let end = late.read(&*fs, skip, |_, _| Ok::<_, Error>(()))?;
        self.note_end(end)?;
        for (log, is_late) in [(log, false), (late, true)] {
            let mut done = 0;
            log.read(&*fs, skip, |entries, read| {
                self.log_done(read - done);
                done = read;
                entries
                    .into_iter()
                    .try_for_each(|entry| self.entry(entry, &mut all, is_late))
            })?;
        }
        self.tell();
        Ok(())
    }

    fn note_end(&mut self, end: LogEnd) -> Result<(), Error> {
        if let Some((path, offset)) = end.torn {
            let path = path.display();
            self.report.notes.push(format!(
                "{path} ends at offset {offset} within a record, as after a kill; Prometheus drops it as well"
            ));
        }
        end.faults.into_iter().try_for_each(|fault| self.pass_over(fault))
    }

    fn entry(&mut self, entry: Entry, all: &mut AllSeries, is_late: bool) -> Result<(), Error> {
        match entry {
            Entry::Float(place, bits) => self.sample(place, Value::Float(f64::from_bits(bits)), all, is_late),
            Entry::Histogram(place, histogram) => {
                self.sample(place, Value::Histogram(Arc::new(*histogram)), all, is_late)
            }
            Entry::Exemplar(place, value, Ok(labels)) => {
                self.exemplar(place, value, labels, all);
                self.commit_if_full()
            }
            Entry::Metadata(number, metadata) => {
                self.metadata(number, &metadata, all);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn sample(
        &mut self,
        place: Place,
        value: Value,
        all: &mut AllSeries,
        is_late: bool,
    ) -> Result<(), Error> {
        let time = place.timestamp;
        if let Some(error) = all.invalid.get(&place.series) {
            self.refuse("invalid_labels", 1, || format!("{error}, in the log"));
            return Ok(());
        }
        let is_old = !is_late && time < all.floor;
        let series = match all.get(place.series) {
            Some(series) if !is_old && (is_late || time > series.newest || series.newest == i64::MIN) => {
                series
            }
            _ => {
                self.report.dropped += 1;
                return Ok(());
            }
        };
        if !is_late {
            series.newest = time;
        }
        if is_within(&series.deleted, time) {
            self.report.deleted += 1;
            return Ok(());
        }
        self.report.samples += 1;
        self.report.log_samples += 1;
        let sample = Sample {
            timestamp: time,
            value,
            start_timestamp: place.start_timestamp,
        };
        self.batch.push_sample(&series.labels, &sample);
        self.commit_if_full()
    }

    fn exemplar(&mut self, place: Place, value: f64, labels: Labels, all: &mut AllSeries) {
        let exemplar = Exemplar {
            labels,
            timestamp: place.timestamp,
            value,
        };
        if let Some(series) = all.get(place.series) {
            self.batch.push_exemplar(&series.labels, &exemplar);
        }
    }

    fn metadata(&mut self, number: u64, metadata: &Metadata, all: &mut AllSeries) {
        if let Some(series) = all.get(number) {
            self.batch.push_metadata(series.labels.metric_name(), metadata);
        }
    }
}
