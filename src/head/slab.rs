//! Slabs of series and the generations their data belongs to.
//!
//! A *generation* is what one flush writes. Freezing is lazy: the number of the live generation goes up under the
//! writer's lock, and a slab moves its data to the frozen generation when a writer or the flusher next locks it. A
//! view holds the generations it was made with; for each slab it finds their data either still in the slab or already
//! moved, never both and never neither, because the move happens under the slab's lock.

use super::series::Series;
use super::series_data::SeriesData;
use super::taken::TakenData;
use roaring::RoaringBitmap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

/// Series in a slab.
pub(crate) const SLAB_SERIES: u32 = 1024;

/// The slab of a series id and the place in it.
#[inline]
pub(crate) fn place_of(id: u32) -> (usize, usize) {
    ((id / SLAB_SERIES) as usize, (id % SLAB_SERIES) as usize)
}

/// What a slab's lock guards.
#[derive(Debug, Default)]
pub(crate) struct SlabSeries {
    /// The generation whose data the series hold.
    pub(crate) generation: u64,
    pub(crate) series: Vec<Series>,
    /// Deletions of this generation that are in force, by LSN.
    hides: Vec<Arc<Hide>>,
    /// What whoever locks the slab next does to the series first, in order: a delete of a million series holds up no
    /// commit for longer than the slabs take that the commit needs.
    pending: Vec<Change>,
}

/// A deletion and the series of one slab that it is about.
#[derive(Debug)]
pub(crate) struct Hide {
    pub(crate) lsn: u64,
    pub(crate) from: i64,
    pub(crate) to: i64,
    /// Places of the series in the slab.
    pub(crate) places: RoaringBitmap,
}

#[derive(Debug)]
pub(crate) enum Change {
    /// A deletion, and where only some of its series do not show it yet, their places.
    Hide(Arc<Hide>, Option<RoaringBitmap>),
    /// The deletion with that LSN is withdrawn.
    Show(u64),
    /// What is there becomes a part that ends before that LSN, and is seen as before.
    Part(Hide),
}

impl SlabSeries {
    /// Remembers deletions in force that the series show already.
    pub(crate) fn know(&mut self, hides: impl Iterator<Item = Arc<Hide>>) {
        self.hides.extend(hides);
        self.update_shown();
    }

    /// Has `change` made before anyone sees the series again.
    pub(crate) fn change(&mut self, change: Change) {
        self.pending.push(change);
    }

    #[cold]
    fn make_changes(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            match change {
                Change::Hide(hide, only) => {
                    for place in only.as_ref().unwrap_or(&hide.places) {
                        if let Some(series) = self.series.get_mut(place as usize) {
                            series.hide(place as usize, (hide.from, hide.to), hide.lsn);
                        }
                    }
                    self.hides.push(hide);
                    // Series of a checkpoint that was written after the deletion have it in them.
                    if only.is_some() {
                        self.update_shown();
                    }
                }
                Change::Show(lsn) => {
                    self.hides.retain(|hide| hide.lsn != lsn);
                    self.update_shown();
                }
                Change::Part(part) => {
                    for place in &part.places {
                        if let Some(series) = self.series.get_mut(place as usize) {
                            series.part(place as usize, (part.from, part.to), part.lsn, false);
                        }
                    }
                    self.update_shown();
                }
            }
        }
    }

    /// Has every series know which of its hidden samples show.
    fn update_shown(&mut self) {
        for (place, series) in (0..).zip(&mut self.series) {
            series.update_shown(place, &self.hides);
        }
    }
}

/// Up to [`SLAB_SERIES`] series behind one lock.
#[derive(Debug, Default)]
pub(crate) struct Slab {
    inner: Mutex<SlabSeries>,
}

impl Slab {
    pub(crate) fn new(generation: u64) -> Self {
        Self {
            inner: Mutex::new(SlabSeries {
                generation,
                ..SlabSeries::default()
            }),
        }
    }

    /// Brings the lock and what it guards to the cache; the answer means nothing.
    #[inline]
    pub(crate) fn touch(&self) -> bool {
        self.inner.is_poisoned()
    }

    /// A panic of another thread between two series leaves every series whole, so a poisoned lock is taken over.
    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, SlabSeries> {
        let mut locked = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if !locked.pending.is_empty() {
            locked.make_changes();
        }
        locked
    }
}

/// The data of a slab in a frozen generation. It is taken out of the slab in a moment, because a commit may wait for
/// that, and sealed by the first who reads it.
#[derive(Debug, Default)]
pub(crate) struct FrozenSlab {
    taken: Mutex<Vec<Option<TakenData>>>,
    sealed: OnceLock<Vec<Option<Box<SeriesData>>>>,
}

impl FrozenSlab {
    /// By place; empty where a series had none.
    pub(crate) fn series(&self) -> &[Option<Box<SeriesData>>] {
        self.sealed.get_or_init(|| {
            let taken = std::mem::take(&mut *self.taken.lock().unwrap_or_else(PoisonError::into_inner));
            let sealed = taken.into_iter().map(|taken| {
                let data = taken.map(TakenData::seal).filter(|data| !data.is_empty());
                data.map(Box::new)
            });
            sealed.collect()
        })
    }

    /// The data at its end, for whoever frees it piece by piece.
    pub(super) fn into_series(self) -> Vec<Option<Box<SeriesData>>> {
        self.sealed.into_inner().unwrap_or_default()
    }
}

/// What one flush writes.
#[derive(Debug)]
pub(crate) struct Generation {
    pub(crate) number: u64,
    /// First LSN that may be in it.
    pub(crate) first_lsn: u64,
    /// First WAL file that may hold samples of it.
    pub(crate) first_wal_file: u64,
    /// Newest timestamp of the first batch, from which the span is counted: a late sample does not make it longer.
    started: AtomicI64,
    time_min: AtomicI64,
    time_max: AtomicI64,
    samples: AtomicU64,
    /// What late samples take.
    late_bytes: AtomicI64,
    /// Last LSN in it, `u64::MAX` while it is live.
    last_lsn: AtomicU64,
    frozen: RwLock<Vec<Option<Arc<FrozenSlab>>>>,
}

impl Generation {
    pub(crate) fn new(number: u64, first_lsn: u64, first_wal_file: u64) -> Self {
        Self {
            number,
            first_lsn,
            first_wal_file,
            started: AtomicI64::new(i64::MAX),
            time_min: AtomicI64::new(i64::MAX),
            time_max: AtomicI64::new(i64::MIN),
            samples: AtomicU64::new(0),
            late_bytes: AtomicI64::new(0),
            last_lsn: AtomicU64::new(u64::MAX),
            frozen: RwLock::default(),
        }
    }

    /// Widens the time range. Called before what lies in it can be read.
    pub(crate) fn note_times(&self, time_min: i64, time_max: i64) {
        if time_min > time_max {
            return;
        }
        if self.bounds().is_none() {
            self.started.store(time_max, Ordering::Relaxed);
        }
        self.time_min.fetch_min(time_min, Ordering::AcqRel);
        self.time_max.fetch_max(time_max, Ordering::AcqRel);
    }

    /// Counts samples that were added.
    pub(crate) fn note_samples(&self, samples: u64) {
        self.samples.fetch_add(samples, Ordering::Relaxed);
    }

    pub(crate) fn samples(&self) -> u64 {
        self.samples.load(Ordering::Relaxed)
    }

    /// Counts by how many bytes late samples grew.
    pub(super) fn note_late_bytes(&self, bytes: i64) {
        self.late_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes of the late samples.
    pub(crate) fn late_bytes(&self) -> u64 {
        self.late_bytes.load(Ordering::Relaxed).max(0) as u64
    }

    /// Nothing is added after `last_lsn`.
    pub(super) fn end(&self, last_lsn: u64) {
        self.last_lsn.store(last_lsn, Ordering::Release);
    }

    /// Last LSN in it, `u64::MAX` while it is live.
    pub(crate) fn last_lsn(&self) -> u64 {
        self.last_lsn.load(Ordering::Acquire)
    }

    /// Newest timestamp of the first batch.
    pub(crate) fn started(&self) -> Option<i64> {
        self.bounds().map(|_| self.started.load(Ordering::Relaxed))
    }

    /// Smallest and largest timestamp, `None` before the first sample.
    pub(crate) fn bounds(&self) -> Option<(i64, i64)> {
        let (min, max) = (
            self.time_min.load(Ordering::Acquire),
            self.time_max.load(Ordering::Acquire),
        );
        (min <= max).then_some((min, max))
    }

    /// Whether it may have something in `from..=to`.
    pub(crate) fn is_within(&self, from: i64, to: i64) -> bool {
        self.bounds()
            .is_some_and(|bounds| bounds.0 <= to && bounds.1 >= from)
    }

    /// The data that was moved out of slab `index`, if it was.
    pub(crate) fn frozen_slab(&self, index: usize) -> Option<Arc<FrozenSlab>> {
        let frozen = self.frozen.read().unwrap_or_else(PoisonError::into_inner);
        frozen.get(index).cloned().flatten()
    }

    /// The data at its end, slab by slab.
    pub(super) fn into_frozen(self) -> Vec<Option<Arc<FrozenSlab>>> {
        self.frozen.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the data of `slab` here if it belongs to this generation, and gives the slab to `live`.
    pub(crate) fn freeze(&self, index: usize, slab: &mut SlabSeries, live: u64) {
        slab.hides.clear();
        if slab.generation != self.number {
            slab.generation = live;
            return;
        }
        let series = slab.series.iter_mut().enumerate();
        let taken = series.map(|(place, series)| series.has_data().then(|| series.take_data(place)));
        let frozen = Arc::new(FrozenSlab {
            taken: Mutex::new(taken.collect()),
            sealed: OnceLock::new(),
        });
        let mut slots = self.frozen.write().unwrap_or_else(PoisonError::into_inner);
        if slots.len() <= index {
            slots.resize(index + 1, None);
        }
        if let Some(slot) = slots.get_mut(index) {
            *slot = Some(frozen);
        }
        slab.generation = live;
    }
}
