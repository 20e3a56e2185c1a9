//! Freezing: the live generation becomes what a flush writes, and a new one begins.

use super::Head;
use super::metadata::MetadataHistory;
use super::series::SeriesData;
use super::slab::{FrozenSlab, Generation, SLAB_SERIES};
use super::writer::Writer;
use crate::index::PairId;
use crate::wal::WalError;
use std::sync::{Arc, PoisonError};

/// A frozen generation, ready to be written.
#[derive(Debug)]
pub(crate) struct Frozen {
    pub(crate) generation: Arc<Generation>,
    /// Last LSN in it.
    pub(crate) last_lsn: u64,
    pub(crate) metadata: MetadataHistory,
}

/// A series of a frozen generation.
#[derive(Debug)]
pub(crate) struct FrozenSeries {
    pub(crate) pairs: Box<[PairId]>,
    /// Where its data stands.
    pub(crate) slab: u32,
    pub(crate) place: u32,
}

impl Head {
    /// Starts a new generation and log file; what was live until now is frozen.
    pub(crate) fn freeze(&self, writer: &mut Writer) -> Result<Frozen, WalError> {
        writer.rotate()?;
        let file = writer.log.as_ref().map_or(0, |log| log.file_sequence());
        let next = Arc::new(Generation::new(writer.live.number + 1, writer.last_lsn + 1, file));
        let frozen = std::mem::replace(&mut writer.live, next);
        writer.frozen = Some(frozen.clone());
        let mut metadata = self.metadata.lock().unwrap_or_else(PoisonError::into_inner);
        let metadata = std::mem::take(&mut metadata.live);
        Ok(Frozen { generation: frozen, last_lsn: writer.last_lsn, metadata })
    }

    /// Moves every slab's data of `frozen` out, and lists the series that have any.
    pub(crate) fn collect_frozen(&self, frozen: &Generation) -> Vec<FrozenSeries> {
        let slabs = self.slabs.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut all = Vec::new();
        for (index, slab) in slabs.iter().enumerate() {
            let mut locked = slab.lock();
            if locked.generation <= frozen.number {
                frozen.freeze(index, &mut locked, frozen.number + 1);
            }
            let Some(data) = frozen.frozen_slab(index) else { continue };
            for (place, _) in data.series.iter().enumerate().filter(|series| series.1.is_some()) {
                if let Some(series) = locked.series.get(place) {
                    let pairs = series.pairs.clone();
                    all.push(FrozenSeries { pairs, slab: index as u32, place: place as u32 });
                }
            }
        }
        all
    }

    /// The frozen generation is in a segment.
    pub(crate) fn forget_frozen(&self) {
        self.lock_writer().frozen = None;
    }
}

/// The data of a series of a frozen generation.
pub(crate) fn frozen_data(slab: &FrozenSlab, place: u32) -> Option<&SeriesData> {
    debug_assert!(place < SLAB_SERIES);
    slab.series.get(place as usize)?.as_deref()
}
