//! A frozen generation as the source of segments, one for each partition of time that has something.

use crate::head::freeze::FrozenSeries;
use crate::head::series_data::SeriesData;
use crate::head::{self, Head};
use crate::model::exemplar::Exemplar;
use crate::model::labels::LabelsRef;
use crate::model::metadata::Metadata;
use crate::model::samples::Samples;
use crate::segment::writer::{Run, SeriesSource, WriteError};
use std::collections::BTreeMap;

/// Segments that a flush writes at most for its samples, and for those that a deletion hid: timestamps can lie anywhere,
/// and segments that share partitions are better than one for every sample.
const STRETCHES_MAX: usize = 512;

/// Label sets that are written before they are looked at: neighbours share text and locks.
const LABELS_AT_ONCE: usize = 256;

/// A stretch of time, both ends included, and the series that have something in it, by position.
#[derive(Debug, Default)]
pub(super) struct Stretch {
    from: i64,
    to: i64,
    rows: Vec<u32>,
}

/// The stretches that segments are written of, oldest first. A stretch is one partition, unless there are far too many.
pub(super) fn stretches(
    series: &FrozenSeries,
    hidden: Option<u64>,
    span: i64,
) -> Result<Vec<Stretch>, WriteError> {
    let mut rows_by_partition: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
    let mut partitions = Vec::new();
    for position in 0..series.len() as u32 {
        let Some(data) = part(series, hidden, position) else {
            continue;
        };
        data.partitions(span, &mut partitions)?;
        for partition in &partitions {
            rows_by_partition.entry(*partition).or_default().push(position);
        }
    }
    let together = rows_by_partition.len().div_ceil(STRETCHES_MAX).max(1);
    let mut stretches: Vec<Stretch> = Vec::new();
    for (number, (partition, rows)) in rows_by_partition.into_iter().enumerate() {
        let from = partition.saturating_mul(span.max(1));
        let to = from.saturating_add(span.max(1) - 1);
        match stretches.last_mut().filter(|_| number % together != 0) {
            None => stretches.push(Stretch { from, to, rows }),
            Some(last) => {
                last.to = to;
                last.rows.extend(rows);
                last.rows.sort_unstable();
                last.rows.dedup();
            }
        }
    }
    Ok(stretches)
}

/// What a deletion hid of a series, or what is left.
fn part(series: &FrozenSeries, hidden: Option<u64>, position: u32) -> Option<&SeriesData> {
    let data = series.data(position as usize)?;
    let Some(lsn) = hidden else { return Some(data) };
    let mut hidden = data.rare.as_ref()?.hidden.iter();
    hidden.find(|hidden| hidden.lsn == lsn).map(|hidden| &hidden.data)
}

/// The part of a frozen generation that becomes a segment: a stretch of what a deletion hid, or of what is left.
pub(super) struct FrozenSource<'a> {
    head: &'a Head,
    series: &'a FrozenSeries,
    hidden: Option<u64>,
    stretch: Stretch,
    metadata: &'a BTreeMap<String, Vec<(i64, Metadata)>>,
}

impl<'a> FrozenSource<'a> {
    pub(super) fn new(
        head: &'a Head,
        series: &'a FrozenSeries,
        hidden: Option<u64>,
        stretch: Stretch,
        metadata: &'a BTreeMap<String, Vec<(i64, Metadata)>>,
    ) -> Self {
        Self {
            head,
            series,
            hidden,
            stretch,
            metadata,
        }
    }

    fn data(&self, row: u32) -> Option<&SeriesData> {
        part(self.series, self.hidden, *self.stretch.rows.get(row as usize)?)
    }

    /// The part of `from..=to` that lies in the stretch.
    fn clamp(&self, (from, to): (i64, i64)) -> (i64, i64) {
        (from.max(self.stretch.from), to.min(self.stretch.to))
    }

    /// A range in which all samples lie.
    pub(super) fn bounds(&self) -> Option<(i64, i64)> {
        let bounds = (0..self.len()).filter_map(|row| self.data(row)?.bounds());
        let all = bounds.reduce(|all, one| (all.0.min(one.0), all.1.max(one.1)))?;
        Some(self.clamp(all))
    }
}

impl SeriesSource for FrozenSource<'_> {
    fn len(&self) -> u32 {
        self.stretch.rows.len() as u32
    }

    fn each_labels(&self, each: &mut dyn FnMut(u32, LabelsRef<'_>)) -> Result<(), WriteError> {
        let (mut labels, mut ends) = (Vec::new(), Vec::new());
        let mut rows = 0..;
        for positions in self.stretch.rows.chunks(LABELS_AT_ONCE) {
            labels.clear();
            ends.clear();
            self.series.labels(self.head, positions, &mut labels, &mut ends);
            let starts = std::iter::once(0).chain(ends.iter().copied());
            for ((start, end), row) in starts.zip(&ends).zip(&mut rows) {
                each(row, LabelsRef::new(labels.get(start..*end).unwrap_or(&[])));
            }
        }
        Ok(())
    }

    fn runs(&self, row: u32, each: &mut dyn FnMut(Run)) -> Result<(), WriteError> {
        let Some(data) = self.data(row) else { return Ok(()) };
        let (from, to) = (self.stretch.from, self.stretch.to);
        for chunk in data.chunks_within(from, to) {
            each(Run {
                first: chunk.first_timestamp.max(from),
                samples: u64::from(chunk.count),
            });
        }
        for (first, _, samples) in data.late.runs(from, to) {
            each(Run {
                first: first.max(from),
                samples: samples as u64,
            });
        }
        let corrections = data
            .rare
            .iter()
            .flat_map(|rare| rare.corrections.range(from..=to));
        for (first, _) in corrections {
            each(Run {
                first: *first,
                samples: 1,
            });
        }
        Ok(())
    }

    fn samples(&self, row: u32, from: i64, to: i64, out: &mut Samples) -> Result<(), WriteError> {
        let (from, to) = self.clamp((from, to));
        match self.data(row).filter(|_| from <= to) {
            Some(data) => head::decode_data(data, from, to, out)?,
            None => out.clear(),
        }
        Ok(())
    }

    fn exemplars(&self, row: u32) -> Vec<Exemplar> {
        let all = self.data(row).into_iter().flat_map(|data| &data.exemplars);
        let is_within = |one: &&Exemplar| (self.stretch.from..=self.stretch.to).contains(&one.timestamp);
        all.filter(is_within).cloned().collect()
    }

    fn metadata(&self) -> &BTreeMap<String, Vec<(i64, Metadata)>> {
        self.metadata
    }
}
