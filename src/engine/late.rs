//! Watches what a flush writes for samples in the time of tiles.

use super::rolling::UnderWay;
use super::tiles::Late;
use super::view::View;
use crate::base::spans::Spans;
use crate::model::exemplar::Exemplar;
use crate::model::labels::LabelsRef;
use crate::model::metadata::Metadata;
use crate::model::samples::Samples;
use crate::segment::writer::{Run, SeriesSource, WriteError};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Spans of one flush that are remembered; beyond that the nearest become one.
const SPANS_MAX: usize = 1024;

/// The times of what is written up to the newest end of a tile.
#[derive(Debug)]
pub(super) struct LateSpans {
    end: i64,
    /// Times closer than this are one span.
    width: i64,
    spans: RefCell<Spans>,
}

impl LateSpans {
    /// In the time of the tiles of a view, or of the one that is being made.
    pub(super) fn behind(view: &View, under_way: Option<UnderWay>) -> Self {
        let tiles = || view.tiles.iter().map(|tile| (tile.to, tile.width));
        let under_way = under_way.map(|tile| (tile.to, tile.width));
        let ends = tiles().chain(under_way).map(|tile| tile.0);
        let widths = tiles().chain(under_way).map(|tile| tile.1);
        Self {
            end: ends.max().unwrap_or(i64::MIN),
            width: widths.min().unwrap_or(1),
            spans: RefCell::default(),
        }
    }

    pub(super) fn watch<S>(&self, source: S) -> Watched<'_, S> {
        Watched { source, late: self }
    }

    fn note(&self, samples: &Samples) {
        if samples.bounds().is_none_or(|(first, _)| first > self.end) {
            return;
        }
        let mut spans = self.spans.borrow_mut();
        let times = samples.timestamps.iter().copied();
        let histograms = samples.histograms.iter().map(|sample| sample.0);
        let mut noted: Option<(i64, i64)> = None;
        for time in times.chain(histograms).filter(|time| *time <= self.end) {
            match &mut noted {
                Some((from, to)) if *from < time && time.saturating_sub(*to) <= self.width => {
                    *to = time.max(*to)
                }
                other => {
                    if let Some((from, to)) = other.replace((time.saturating_sub(1), time)) {
                        spans.insert(from, to);
                    }
                }
            }
        }
        if let Some((from, to)) = noted {
            spans.insert(from, to);
        }
        spans.coarsen(SPANS_MAX);
    }

    /// What was seen, as written up to an LSN.
    pub(super) fn into_late(self, lsn: u64) -> Vec<Late> {
        let spans = self.spans.into_inner();
        spans.iter().map(|(from, to)| Late { lsn, from, to }).collect()
    }
}

/// A source whose samples are noted as they go by.
#[derive(Debug)]
pub(super) struct Watched<'a, S> {
    source: S,
    late: &'a LateSpans,
}

impl<S> Watched<'_, S> {
    pub(super) fn inner(&self) -> &S {
        &self.source
    }
}

impl<S: SeriesSource> SeriesSource for Watched<'_, S> {
    fn len(&self) -> u32 {
        self.source.len()
    }

    fn each_labels(&self, each: &mut dyn FnMut(u32, LabelsRef<'_>)) -> Result<(), WriteError> {
        self.source.each_labels(each)
    }

    fn runs(&self, row: u32, each: &mut dyn FnMut(Run)) -> Result<(), WriteError> {
        self.source.runs(row, each)
    }

    fn samples(&self, row: u32, from: i64, to: i64, out: &mut Samples) -> Result<(), WriteError> {
        self.source.samples(row, from, to, out)?;
        self.late.note(out);
        Ok(())
    }

    fn exemplars(&self, row: u32) -> Vec<Exemplar> {
        self.source.exemplars(row)
    }

    fn metadata(&self) -> &BTreeMap<String, Vec<(i64, Metadata)>> {
        self.source.metadata()
    }
}
