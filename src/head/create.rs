//! New series: the limits, the index entry, the slot.

use super::Head;
use super::report::{CommitReport, Reject};
use super::series::Series;
use super::slab::{SLAB_SERIES, Slab, place_of};
use super::writer::Writer;
use crate::index::{LiveIndex, PairId};
use crate::model::labels::{LabelHash, LabelsRef};
use std::sync::{Arc, PoisonError, RwLockWriteGuard};

/// Why a series cannot be made.
#[derive(Debug)]
pub(super) struct CreateError(pub(super) Reject);

impl Head {
    /// Makes a series. `index` keeps the index locked from one new series of a batch to the next.
    pub(super) fn create<'a>(
        &'a self,
        writer: &mut Writer,
        index: &mut Option<RwLockWriteGuard<'a, LiveIndex>>,
        labels: LabelsRef<'_>,
        hash: LabelHash,
        report: &mut CommitReport,
    ) -> Result<u32, CreateError> {
        self.check_limits(writer, labels)?;
        let index = index.get_or_insert_with(|| self.index.write().unwrap_or_else(PoisonError::into_inner));
        let mut pairs = std::mem::take(&mut writer.pairs);
        pairs.clear();
        index.intern_labels(labels, &mut pairs, |pair| writer.note_new_pair(pair));
        let id = self.place(writer, index, pairs.as_slice().into(), hash);
        writer.pairs = pairs;
        report.new_series += 1;
        Ok(id)
    }

    /// Gives a series with known pairs an id and a slot.
    pub(super) fn place(
        &self,
        writer: &mut Writer,
        index: &mut LiveIndex,
        pairs: Box<[PairId]>,
        hash: LabelHash,
    ) -> u32 {
        let id = writer.take_id();
        index.insert(id, &pairs);
        writer.map.insert(id, hash);
        let (slab_index, place) = place_of(id);
        if slab_index == writer.slabs.len() {
            let slab = Arc::new(Slab::new(writer.live.number));
            writer.slabs.push(slab.clone());
            self.slabs
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .push(slab);
        }
        let mut slab = writer.slabs[slab_index].lock();
        if slab.series.len() <= place {
            let grown = (place + 1).next_power_of_two().clamp(16, SLAB_SERIES as usize);
            let more = grown.saturating_sub(slab.series.len());
            slab.series.reserve_exact(more);
            slab.series.resize_with(place + 1, Series::default);
        }
        let overwrite = self.overwrite.of(|name| {
            let mut texts = pairs.iter().map(|pair| index.pair(*pair));
            texts.find(|text| text.0 == name).map_or("", |text| text.1)
        });
        slab.series[place] = Series::new(pairs, place);
        slab.series[place].overwrite = overwrite;
        id
    }

    fn check_limits(&self, writer: &Writer, labels: LabelsRef<'_>) -> Result<(), CreateError> {
        if writer.map.len() >= self.limits.series_max {
            return Err(CreateError(Reject::SeriesLimit));
        }
        self.limits
            .refusal(labels)
            .map_or(Ok(()), |reason| Err(CreateError(reason)))
    }
}
