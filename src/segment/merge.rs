//! Several segments as the source of one: their series joined in label order, each place settled, deletions applied.
//!
//! Memory is bounded by the labels' places (some words per series), the exemplars, and what a reader of each input keeps.

use super::events::MetadataByMetric;
use super::read::ReadCache;
use super::reader::{Segment, SegmentError};
use super::writer::{Run, SeriesSource, WriteError};
use crate::index::LabelCursor;
use crate::model::exemplar::Exemplar;
use crate::model::labels::{self, LabelsRef};
use crate::model::metadata::Metadata;
use crate::model::parts::{self, Mark, Part};
use crate::model::samples::Samples;
use roaring::RoaringBitmap;
use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A row's samples in a slice of an input are told in pieces of so many, to plan by.
const RUN_SAMPLES: u64 = 500;

/// A segment that is merged, and what lies over it.
#[derive(Debug)]
pub(crate) struct MergeInput {
    pub(crate) segment: Arc<Segment>,
    /// Rows of whose samples nothing is left.
    pub(crate) dropped: RoaringBitmap,
    /// Time ranges of rows that are deleted.
    pub(crate) deleted: Vec<(Arc<RoaringBitmap>, i64, i64)>,
    pub(crate) marks: Vec<(Arc<RoaringBitmap>, Mark)>,
}

impl MergeInput {
    fn is_deleted(&self, row: u32, timestamp: i64) -> bool {
        let mut ranges = self.deleted.iter();
        ranges.any(|(rows, from, to)| (*from..=*to).contains(&timestamp) && rows.contains(row))
    }

    /// The exemplars by row, and keeps the rows that have some left.
    fn keep_exemplars(&mut self) -> Result<BTreeMap<u32, Vec<Exemplar>>, SegmentError> {
        let exemplars = self.segment.exemplars()?;
        for (row, all) in &exemplars {
            if self.dropped.contains(*row) && !all.iter().all(|one| self.is_deleted(*row, one.timestamp)) {
                self.dropped.remove(*row);
            }
        }
        Ok(exemplars)
    }
}

/// The merge of `inputs`, whose order is that of their last LSNs.
#[derive(Debug)]
pub(crate) struct MergeSource {
    inputs: Vec<MergeInput>,
    /// Input and row of everything that a row of the merge is made of, row after row.
    members: Vec<(u16, u32)>,
    /// Where each row ends in `members`.
    ends: Vec<u32>,
    exemplars: Vec<BTreeMap<u32, Vec<Exemplar>>>,
    metadata: MetadataByMetric,
    caches: RefCell<Vec<ReadCache>>,
    part: RefCell<Samples>,
    late_conflicts: Cell<u64>,
}

impl MergeSource {
    pub(crate) fn new(mut inputs: Vec<MergeInput>) -> Result<Self, SegmentError> {
        let mut exemplars = Vec::with_capacity(inputs.len());
        let mut metadata = MetadataByMetric::new();
        for input in &mut inputs {
            exemplars.push(input.keep_exemplars()?);
            for (metric, entries) in input.segment.metadata()? {
                metadata.entry(metric).or_default().extend(entries);
            }
        }
        for entries in metadata.values_mut() {
            entries.sort_by_key(|entry| entry.0);
        }
        let (members, ends) = join_rows(&inputs)?;
        let caches = inputs
            .iter()
            .map(|_| ReadCache::of_member(inputs.len()))
            .collect();
        Ok(Self {
            inputs,
            members,
            ends,
            exemplars,
            metadata,
            caches: RefCell::new(caches),
            part: RefCell::default(),
            late_conflicts: Cell::new(0),
        })
    }

    /// First and last timestamp of the inputs.
    pub(crate) fn bounds(&self) -> (i64, i64) {
        let metas = self.inputs.iter().map(|input| &input.segment.meta);
        metas.fold((i64::MAX, i64::MIN), |all, meta| {
            (all.0.min(meta.time_min), all.1.max(meta.time_max))
        })
    }

    /// Whether a row may have samples within `from..=to`.
    pub(crate) fn is_within(&self, row: u32, from: i64, to: i64) -> Result<bool, SegmentError> {
        for (input, row) in self.members(row) {
            if let Some(input) = self.inputs.get(input) {
                let (first, last) = input.segment.time_bounds(row)?;
                if first <= to && last >= from {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Ordinary samples that lost against other bits that were written before them.
    pub(crate) fn late_conflicts(&self) -> u64 {
        self.late_conflicts.get()
    }

    /// Input and row of what a row is made of.
    fn members(&self, row: u32) -> impl Iterator<Item = (usize, u32)> {
        let end = self.ends.get(row as usize).map_or(0, |end| *end as usize);
        let start = (row as usize)
            .checked_sub(1)
            .and_then(|before| self.ends.get(before))
            .map_or(0, |end| *end as usize);
        let members = self.members.get(start..end).unwrap_or(&[]);
        members.iter().map(|(input, row)| (usize::from(*input), *row))
    }

    /// The samples of one member within `from..=to`, less what is deleted, in place of what `out` holds.
    fn read(
        &self,
        (input, row): (usize, u32),
        (from, to): (i64, i64),
        out: &mut Samples,
    ) -> Result<(), SegmentError> {
        out.clear();
        let mut caches = self.caches.borrow_mut();
        let (Some(input), Some(cache)) = (self.inputs.get(input), caches.get_mut(input)) else {
            return Ok(());
        };
        let (first, last) = input.segment.time_bounds(row)?;
        let (from, to) = (from.max(first), to.min(last));
        if from > to {
            return Ok(());
        }
        let mut part = self.part.borrow_mut();
        for slice in input.segment.slices_within(from, to)? {
            input.segment.read(row, slice, (from, to), cache, &mut part)?;
            if let Some((first, _)) = part.bounds() {
                if out.is_empty() {
                    std::mem::swap(&mut *part, out);
                } else {
                    out.extend(&part, first);
                }
            }
        }
        for (rows, from, to) in &input.deleted {
            if rows.contains(row) {
                out.cut_out(*from, *to);
            }
        }
        Ok(())
    }
}

/// What each row of a merge is made of: input and row, row after row, and where each ends.
type JoinedRows = (Vec<(u16, u32)>, Vec<u32>);

/// Joins the rows of the inputs by their labels.
fn join_rows(inputs: &[MergeInput]) -> Result<JoinedRows, SegmentError> {
    let mut walks = Vec::with_capacity(inputs.len());
    for input in inputs {
        walks.push(Walk::new(input)?);
    }
    let (mut members, mut ends) = (Vec::new(), Vec::new());
    loop {
        let mut least: Option<usize> = None;
        let start = members.len();
        for (number, walk) in walks.iter().enumerate() {
            let Some(row) = walk.row else { continue };
            let order = least.map_or(Ordering::Less, |least| {
                labels::compare(&walk.labels, &walks[least].labels)
            });
            if order == Ordering::Less {
                least = Some(number);
                members.truncate(start);
            }
            if order != Ordering::Greater {
                members.push((number as u16, row));
            }
        }
        if least.is_none() {
            return Ok((members, ends));
        }
        for (number, _) in &members[start..] {
            walks[usize::from(*number)].advance()?;
        }
        ends.push(members.len() as u32);
    }
}

/// Where the join stands in one input.
struct Walk<'a> {
    input: &'a MergeInput,
    cursor: LabelCursor<'a>,
    next: u32,
    row: Option<u32>,
    labels: Vec<u8>,
}

impl<'a> Walk<'a> {
    fn new(input: &'a MergeInput) -> Result<Self, SegmentError> {
        let mut walk = Self {
            cursor: input.segment.index()?.label_cursor(),
            input,
            next: 0,
            row: None,
            labels: Vec::new(),
        };
        walk.advance()?;
        Ok(walk)
    }

    fn advance(&mut self) -> Result<(), SegmentError> {
        while self.next < self.input.segment.rows() && self.input.dropped.contains(self.next) {
            self.next += 1;
        }
        self.row = (self.next < self.input.segment.rows()).then_some(self.next);
        if let Some(row) = self.row {
            let read = self.cursor.labels(row, &mut self.labels);
            read.map_err(|corrupt| self.input.segment.index_error(corrupt))?;
            self.next += 1;
        }
        Ok(())
    }
}

impl SeriesSource for MergeSource {
    fn len(&self) -> u32 {
        self.ends.len() as u32
    }

    fn each_labels(&self, each: &mut dyn FnMut(u32, LabelsRef<'_>)) -> Result<(), WriteError> {
        let mut cursors = Vec::with_capacity(self.inputs.len());
        for input in &self.inputs {
            cursors.push((input, input.segment.index()?.label_cursor()));
        }
        let mut labels = Vec::new();
        for row in 0..self.len() {
            let Some((number, member)) = self.members(row).next() else {
                continue;
            };
            if let Some((input, cursor)) = cursors.get_mut(number) {
                let read = cursor.labels(member, &mut labels);
                read.map_err(|corrupt| input.segment.index_error(corrupt))?;
                each(row, LabelsRef::new(&labels));
            }
        }
        Ok(())
    }

    fn runs(&self, row: u32, each: &mut dyn FnMut(Run)) -> Result<(), WriteError> {
        let mut caches = self.caches.borrow_mut();
        for (input, row) in self.members(row) {
            let (Some(input), Some(cache)) = (self.inputs.get(input), caches.get_mut(input)) else {
                continue;
            };
            let (first, last) = input.segment.time_bounds(row)?;
            for slice in input.segment.slices_within(first, last)? {
                let samples = input.segment.count(row, slice, cache)?;
                let times = input.segment.slice_times(slice)?;
                let (from, to) = (first.max(times.0), last.min(times.1));
                let pieces = samples.div_ceil(RUN_SAMPLES);
                let span = i128::from(to) - i128::from(from);
                for piece in 0..pieces {
                    let first = i128::from(from) + span * i128::from(piece) / i128::from(pieces);
                    each(Run {
                        first: first as i64,
                        samples: samples.min(RUN_SAMPLES),
                    });
                }
            }
        }
        Ok(())
    }

    fn samples(&self, row: u32, from: i64, to: i64, out: &mut Samples) -> Result<(), WriteError> {
        let mut members = self.members(row);
        let (Some(first), None) = (members.next(), members.next()) else {
            return self.settle(row, (from, to), out);
        };
        Ok(self.read(first, (from, to), out)?)
    }

    fn exemplars(&self, row: u32) -> Vec<Exemplar> {
        let mut all: Vec<Exemplar> = Vec::new();
        for (number, row) in self.members(row) {
            let found = self.exemplars.get(number).and_then(|rows| rows.get(&row));
            let input = self.inputs.get(number);
            let is_kept = |one: &&Exemplar| input.is_none_or(|input| !input.is_deleted(row, one.timestamp));
            for exemplar in found.into_iter().flatten().filter(is_kept) {
                let same = |other: &Exemplar| {
                    other.timestamp == exemplar.timestamp
                        && other.value.to_bits() == exemplar.value.to_bits()
                        && other.labels == exemplar.labels
                };
                if !all.iter().any(same) {
                    all.push(exemplar.clone());
                }
            }
        }
        all
    }

    fn metadata(&self) -> &BTreeMap<String, Vec<(i64, Metadata)>> {
        &self.metadata
    }
}

impl MergeSource {
    /// The samples of a row that several inputs have.
    fn settle(&self, row: u32, range: (i64, i64), out: &mut Samples) -> Result<(), WriteError> {
        let mut all = Vec::new();
        for (number, row) in self.members(row) {
            let Some(input) = self.inputs.get(number) else {
                continue;
            };
            let mut samples = Samples::default();
            self.read((number, row), range, &mut samples)?;
            let marks = input.marks.iter().filter(|mark| mark.0.contains(row));
            all.push(Part {
                lsn: input.segment.meta.lsn_last,
                samples,
                marks: marks.map(|mark| mark.1).collect(),
            });
        }
        let (samples, conflicts) = parts::join_counting(all);
        self.late_conflicts.set(self.late_conflicts.get() + conflicts);
        *out = samples;
        Ok(())
    }
}
