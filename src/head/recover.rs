//! Replay: the records of a checkpoint and of the log, applied to an empty head.
//!
//! Ids in a file are the ids of the process that wrote it; they are mapped to ids of this head as the file defines
//! them. Nothing is judged anew: what stands in the log was admitted. A record whose samples a slab of the checkpoint
//! already holds is skipped for that slab.

use super::Head;
use super::delete::by_slab;
use super::series::Series;
use super::slab::{Change, Hide, SLAB_SERIES, place_of};
use super::writer::Writer;
use crate::base::bytes::Corrupt;
use crate::index::{LabelMatcher, LiveIndex, PairId, RegexError};
use crate::model::deletion::{Deletion, Selector};
use crate::model::exemplar::Exemplar;
use crate::model::labels::LabelHash;
use crate::model::metadata::Metadata;
use crate::model::sample::Value;
use crate::wal::batch::LoggedFloat;
use crate::wal::batch_decode::{self, BatchVisitor, Chains, LoggedHistogram};
use crate::wal::deletion::LoggedCorrection;
use roaring::RoaringBitmap;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::{Arc, MutexGuard, PoisonError, RwLockWriteGuard};

const UNKNOWN: u32 = u32::MAX;
/// Floats that are applied together, so that a large record takes little memory.
const FLOATS_APPLIED_MAX: usize = 32 * 1024;
/// Floats whose series are brought to the cache together.
const FLOATS_AT_ONCE: usize = 64;

/// A deletion that was replayed, with the series in memory that it is about.
#[derive(Debug)]
pub(crate) struct ReplayedDeletion {
    pub(crate) lsn: u64,
    pub(crate) deletion: Deletion,
    pub(crate) ids: RoaringBitmap,
    /// LSN of its undelete.
    pub(crate) withdrawn: Option<u64>,
}

/// What a replay did, for the log and for `verify`.
#[derive(Debug, Default, Clone)]
pub(crate) struct ReplayCounts {
    pub(crate) samples: u64,
    /// Samples that could not be read because a record before them is lost.
    pub(crate) lost_samples: u64,
    /// Parts that use a series or pair whose definition is lost.
    pub(crate) undefined: u64,
}

/// Applies records to a head.
#[derive(Debug)]
pub(crate) struct Replayer<'a> {
    head: &'a Head,
    writer: MutexGuard<'a, Writer>,
    index: RwLockWriteGuard<'a, LiveIndex>,
    chains: Chains,
    /// By id of the file.
    series: Vec<u32>,
    pairs: Vec<Option<PairId>>,
    /// By slab number of the file: LSN up to which the checkpoint has it.
    complete: Vec<u64>,
    /// By id of this head: the same, of a series whose state stood in the checkpoint.
    restored: Vec<u64>,
    lsn: u64,
    /// Floats of the record, with the ids of this head; applied together.
    floats: Vec<LoggedFloat>,
    scratch: Vec<PairId>,
    /// The series defined before in the file. Each file defines them in about the same order.
    before: Option<u32>,
    pub(crate) counts: ReplayCounts,
    pub(crate) deletions: Vec<ReplayedDeletion>,
}

impl<'a> Replayer<'a> {
    pub(crate) fn new(head: &'a Head) -> Self {
        Self {
            head,
            writer: head.lock_writer(),
            index: head.index.write().unwrap_or_else(PoisonError::into_inner),
            chains: Chains::default(),
            series: Vec::new(),
            pairs: Vec::new(),
            complete: Vec::new(),
            restored: Vec::new(),
            lsn: 0,
            floats: Vec::new(),
            scratch: Vec::new(),
            before: None,
            counts: ReplayCounts::default(),
            deletions: Vec::new(),
        }
    }

    /// The checkpoint was read, if there is one; these are the deletions that the manifest names.
    pub(crate) fn know_deletions(&mut self, known: impl Iterator<Item = (u64, Deletion, Option<u64>)>) {
        let mut hides: BTreeMap<usize, Vec<Arc<Hide>>> = BTreeMap::new();
        for (lsn, deletion, withdrawn) in known {
            let ids = self.wanted(&deletion).unwrap_or_default();
            for (slab, places) in by_slab(&ids).filter(|_| withdrawn.is_none()) {
                let (from, to) = (deletion.from, deletion.to);
                hides.entry(slab).or_default().push(Arc::new(Hide {
                    lsn,
                    from,
                    to,
                    places,
                }));
            }
            self.deletions.push(ReplayedDeletion {
                lsn,
                deletion,
                ids,
                withdrawn,
            });
        }
        for (number, slab) in self.writer.slabs.iter().enumerate() {
            let hides = hides.remove(&number).unwrap_or_default();
            slab.lock().know(hides.into_iter());
        }
    }

    /// Those places of a slab whose series did not come from the checkpoint as of `lsn` or later.
    fn not_restored(&self, slab: usize, places: &RoaringBitmap, lsn: u64) -> RoaringBitmap {
        let first = slab as u32 * SLAB_SERIES;
        let restored = |place: &u32| self.restored.get((first + place) as usize).copied().unwrap_or(0);
        places.iter().filter(|place| restored(place) < lsn).collect()
    }

    /// The series in memory that a deletion is about.
    fn wanted(&self, deletion: &Deletion) -> Result<RoaringBitmap, RegexError> {
        Ok(match &deletion.selector {
            Selector::Series(labels) => self.writer.map.find(labels.hash()).into_iter().collect(),
            Selector::Matchers(matchers) => self.index.select(&LabelMatcher::compile_all(matchers)?),
        })
    }

    /// A new file begins: its definitions are its own.
    pub(crate) fn begin_file(&mut self) {
        self.chains.restart();
        self.series.clear();
        self.pairs.clear();
        self.before = None;
    }

    /// Records are missing: what follows cannot lean on what came before.
    pub(crate) fn gap(&mut self) {
        self.chains.restart();
    }

    /// Applies the record with `lsn`. After an error the rest of the record is lost.
    pub(crate) fn record(&mut self, lsn: u64, payload: &[u8]) -> Result<(), Corrupt> {
        self.lsn = lsn;
        let mut chains = std::mem::take(&mut self.chains);
        let result = batch_decode::decode(payload, &mut chains, self);
        self.chains = chains;
        self.apply_floats();
        result
    }

    /// Whether the checkpoint holds what this record says of series `file_id`.
    #[inline]
    fn is_complete(&self, file_id: u32) -> bool {
        self.complete
            .get((file_id / SLAB_SERIES) as usize)
            .is_some_and(|complete| self.lsn <= *complete)
    }

    /// The id here of a series of the file.
    #[inline]
    fn id_of(&mut self, file_id: u32) -> Option<u32> {
        let id = self
            .series
            .get(file_id as usize)
            .copied()
            .filter(|id| *id != UNKNOWN);
        if id.is_none() {
            self.counts.undefined += 1;
        }
        id
    }

    fn apply_floats(&mut self) {
        if self.floats.is_empty() {
            return;
        }
        let slab_of = |sample: &LoggedFloat| place_of(sample.id).0;
        for run in self.floats.chunk_by(|a, b| slab_of(a) == slab_of(b)) {
            let slab = run
                .first()
                .and_then(|first| self.writer.slabs.get(slab_of(first)));
            if let Some(slab) = slab {
                let late_bytes = apply_run(&mut slab.lock().series, run);
                self.writer.live.note_late_bytes(late_bytes);
            }
        }
        let times = || self.floats.iter().map(|sample| sample.timestamp);
        if let (Some(min), Some(max)) = (times().min(), times().max()) {
            self.writer.live.note_times(min, max);
        }
        self.writer.live.note_samples(self.floats.len() as u64);
        self.counts.samples += self.floats.len() as u64;
        self.floats.clear();
    }

    /// Changes the series with the id `id` of this head.
    fn with_series(&mut self, id: u32, change: impl FnOnce(&mut Series)) {
        self.apply_floats();
        let (slab_index, place) = place_of(id);
        let Some(slab) = self.writer.slabs.get(slab_index) else {
            return;
        };
        if let Some(series) = slab.lock().series.get_mut(place) {
            change(series);
        }
    }
}

/// Adds floats to series of one slab. Returns by how many bytes late samples grew.
fn apply_run(series: &mut [Series], run: &[LoggedFloat]) -> i64 {
    let mut late_bytes = 0;
    for few in run.chunks(FLOATS_AT_ONCE) {
        // Waiting for memory is most of the work: all that these need is asked for at once.
        black_box(few.iter().fold(0, |sum, sample| {
            let series = series.get(place_of(sample.id).1);
            sum ^ series.map_or(0, |series| series.touch_at(sample.timestamp))
        }));
        for sample in few {
            let Some(series) = series.get_mut(place_of(sample.id).1) else {
                continue;
            };
            // What was late to a series whose newer samples are in a segment may be the newest here.
            if !series.has_last || sample.timestamp > series.last_timestamp {
                series.append_float(sample.timestamp, sample.bits, sample.start_timestamp);
            } else {
                let value = Value::Float(f64::from_bits(sample.bits));
                late_bytes += series.insert_late(sample.timestamp, value, sample.start_timestamp);
            }
        }
    }
    late_bytes
}

impl BatchVisitor for Replayer<'_> {
    fn pair(&mut self, id: u32, name: &str, value: &str) -> Result<(), Corrupt> {
        let (pair, _) = self.index.intern(name, value);
        if self.pairs.len() <= id as usize {
            self.pairs.resize(id as usize + 1, None);
        }
        if let Some(slot) = self.pairs.get_mut(id as usize) {
            *slot = Some(pair);
        }
        Ok(())
    }

    fn series(&mut self, id: u32, hash: u128, pairs: &[u32]) -> Result<(), Corrupt> {
        if self.series.len() <= id as usize {
            self.series.resize(id as usize + 1, UNKNOWN);
        }
        let hash = LabelHash(hash);
        let known = match self.writer.map.find_after(self.before, hash) {
            Some(known) => known,
            None => {
                self.scratch.clear();
                for pair in pairs {
                    let Some(pair) = self.pairs.get(*pair as usize).copied().flatten() else {
                        self.counts.undefined += 1;
                        return Ok(());
                    };
                    self.scratch.push(pair);
                }
                self.head.place(
                    &mut self.writer,
                    &mut self.index,
                    self.scratch.as_slice().into(),
                    hash,
                )
            }
        };
        self.writer.map.learn(self.before, known);
        self.before = Some(known);
        if let Some(slot) = self.series.get_mut(id as usize) {
            *slot = known;
        }
        Ok(())
    }

    #[inline]
    fn float(&mut self, sample: LoggedFloat, _late: bool) -> Result<(), Corrupt> {
        if !self.is_complete(sample.id)
            && let Some(id) = self.id_of(sample.id)
        {
            self.floats.push(LoggedFloat { id, ..sample });
            if self.floats.len() == FLOATS_APPLIED_MAX {
                self.apply_floats();
            }
        }
        Ok(())
    }

    fn histogram(&mut self, sample: LoggedHistogram) -> Result<(), Corrupt> {
        if self.is_complete(sample.id) {
            return Ok(());
        }
        let Some(id) = self.id_of(sample.id) else {
            return Ok(());
        };
        let (timestamp, start_timestamp) = (sample.timestamp, sample.start_timestamp);
        let histogram = Arc::new(sample.value);
        let mut late_bytes = 0;
        self.with_series(id, |series| {
            if series.has_last && timestamp <= series.last_timestamp {
                late_bytes = series.insert_late(timestamp, Value::Histogram(histogram), start_timestamp);
            } else {
                series.append_histogram(timestamp, histogram, start_timestamp);
            }
        });
        self.writer.live.note_late_bytes(late_bytes);
        self.writer.live.note_times(timestamp, timestamp);
        self.writer.live.note_samples(1);
        self.counts.samples += 1;
        Ok(())
    }

    fn exemplar(&mut self, id: u32, exemplar: Exemplar) -> Result<(), Corrupt> {
        if !self.is_complete(id)
            && let Some(id) = self.id_of(id)
        {
            self.writer
                .live
                .note_times(exemplar.timestamp, exemplar.timestamp);
            self.with_series(id, |series| {
                series.add_exemplar(&exemplar);
            });
        }
        Ok(())
    }

    fn correction(&mut self, correction: LoggedCorrection) -> Result<(), Corrupt> {
        if !self.is_complete(correction.id)
            && let Some(id) = self.id_of(correction.id)
        {
            let timestamp = correction.sample.timestamp;
            self.with_series(id, |series| {
                series.insert_correction(correction.class, correction.sample)
            });
            self.writer.live.note_times(timestamp, timestamp);
            self.writer.live.note_samples(1);
            self.counts.samples += 1;
        }
        Ok(())
    }

    fn deletion(&mut self, deletion: Deletion) -> Result<(), Corrupt> {
        self.apply_floats();
        let lsn = self.lsn;
        if self.deletions.iter().any(|known| known.lsn == lsn) {
            return Ok(());
        }
        let ids = self
            .wanted(&deletion)
            .map_err(|_| Corrupt::new("a matcher of a deletion", 0))?;
        for (index, places) in by_slab(&ids) {
            let only = self.not_restored(index, &places, lsn);
            let (from, to) = (deletion.from, deletion.to);
            let hide = Hide {
                lsn,
                from,
                to,
                places,
            };
            if let Some(slab) = self.writer.slabs.get(index) {
                slab.lock().change(Change::Hide(Arc::new(hide), Some(only)));
            }
        }
        self.deletions.push(ReplayedDeletion {
            lsn,
            deletion,
            ids,
            withdrawn: None,
        });
        Ok(())
    }

    fn undelete(&mut self, lsn: u64) -> Result<(), Corrupt> {
        self.apply_floats();
        let now = self.lsn;
        let Some(known) = self.deletions.iter_mut().find(|known| known.lsn == lsn) else {
            return Ok(());
        };
        known.withdrawn.get_or_insert(now);
        let deletion = known.deletion.clone();
        for slab in &self.writer.slabs {
            slab.lock().change(Change::Show(lsn));
        }
        for (index, places) in by_slab(&self.wanted(&deletion).unwrap_or_default()) {
            let part = Hide {
                lsn: now,
                from: deletion.from,
                to: deletion.to,
                places: self.not_restored(index, &places, now),
            };
            if let Some(slab) = self.writer.slabs.get(index) {
                slab.lock().change(Change::Part(part));
            }
        }
        Ok(())
    }

    fn metadata(&mut self, metric: &str, time: i64, metadata: Metadata) -> Result<(), Corrupt> {
        self.head.restore_metadata(metric, time, metadata);
        Ok(())
    }

    fn slab(&mut self, slab: u32, lsn: u64) -> Result<(), Corrupt> {
        if self.complete.len() <= slab as usize {
            self.complete.resize(slab as usize + 1, 0);
        }
        if let Some(slot) = self.complete.get_mut(slab as usize) {
            *slot = lsn;
        }
        Ok(())
    }

    fn state(&mut self, id: u32, state: &[u8]) -> Result<(), Corrupt> {
        let complete = self.complete.get((id / SLAB_SERIES) as usize).copied();
        let Some(id) = self.id_of(id) else { return Ok(()) };
        if self.restored.len() <= id as usize {
            self.restored.resize(id as usize + 1, 0);
        }
        if let Some(slot) = self.restored.get_mut(id as usize) {
            *slot = complete.unwrap_or(0);
        }
        let (mut result, mut late_bytes) = (Ok((0, i64::MAX, i64::MIN)), 0);
        self.with_series(id, |series| {
            result = series.restore(state);
            late_bytes = series.late_bytes();
        });
        self.writer.live.note_late_bytes(late_bytes);
        let (samples, time_min, time_max) = result?;
        self.writer.live.note_times(time_min, time_max);
        self.writer.live.note_samples(samples);
        self.counts.samples += samples;
        Ok(())
    }

    fn lost_float(&mut self, _id: u32, _timestamp: i64) {
        self.counts.lost_samples += 1;
    }
}
