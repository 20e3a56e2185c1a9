//! Reading the samples of rows.
//!
//! Neighbours in label order are mostly neighbours in a group too. The first row of a group is decoded alone, with what
//! it refers to; when a second one is asked for, the whole group is decoded and kept for the rest (see `cache`).

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::cache::{CacheLimits, ColumnCache, GroupCache};
use super::layout;
use super::reader::{HistogramPlace, Quarantined, Segment, SegmentError, Slice};
use crate::base::bytes::Corrupt;
use crate::column::{ColumnSetReader, DecodeScratch, TimeColumn, histogram_column};
use crate::io::Region;
use crate::model::samples::Samples;
use crate::segment::compress::Compressor;
use std::ops::Range;
use std::sync::Arc;

/// What a reader of one segment keeps between rows.
#[derive(Debug, Default)]
pub(crate) struct ReadCache {
    groups: GroupCache,
    columns: ColumnCache,
    column_set: Option<(u32, Region)>,
    scratch: DecodeScratch,
}

impl ReadCache {
    /// What each of the members of a merge keeps: together less than as many readers.
    pub(super) fn of_member(members: usize) -> Self {
        let limits = CacheLimits::of_member(members);
        Self {
            groups: GroupCache::new(limits),
            columns: ColumnCache::new(limits),
            ..Self::default()
        }
    }
}

impl Segment {
    /// Slices that overlap `from..=to`.
    pub(crate) fn slices_within(&self, from: i64, to: i64) -> Result<Range<u32>, SegmentError> {
        let slices = self.slices()?;
        let first = slices.partition_point(|slice| slice.to < from);
        let end = slices.partition_point(|slice| slice.from <= to);
        Ok(first as u32..end.max(first) as u32)
    }

    /// The samples of `row` in one slice, in place of what `out` holds. What is corrupt is quarantined and is an error
    /// each time it is asked for.
    pub(crate) fn read(
        &self,
        row: u32,
        slice_number: u32,
        (from, to): (i64, i64),
        cache: &mut ReadCache,
        out: &mut Samples,
    ) -> Result<(), SegmentError> {
        self.read_of_column(row, 0, slice_number, (from, to), cache, out)
    }

    /// The same of one of the columns of the row.
    pub(crate) fn read_of_column(
        &self,
        row: u32,
        column: u32,
        slice_number: u32,
        (from, to): (i64, i64),
        cache: &mut ReadCache,
        out: &mut Samples,
    ) -> Result<(), SegmentError> {
        out.clear();
        let Some(slice) = self.slices()?.get(slice_number as usize) else {
            return Ok(());
        };
        let (group, slot) = self.place(row)?;
        let group = group.saturating_add(column);
        self.read_floats(slice, slice_number, group, slot, cache, out)
            .map_err(|error| self.quarantine_group(slice, (slice_number, group), error))?;
        let numbered = slice_number
            .saturating_mul(self.columns() as u32)
            .saturating_add(column);
        if let Some(place) = self.histogram_place(row, numbered)? {
            self.read_histograms(place, out)
                .map_err(|error| self.quarantine_group(slice, (slice_number, u32::MAX), error))?;
        }
        if let Some(starts) = self.starts()?.get(&row) {
            out.starts = starts.clone();
        }
        if let Some(classes) = self.classes()?.get(&row) {
            let within = slice.from..=slice.to;
            let classes = classes.iter().filter(|class| within.contains(&class.0));
            out.classes.extend(classes);
        }
        if slice.from < from || slice.to > to {
            out.trim(from, to);
        }
        Ok(())
    }

    /// How many samples `row` has in one slice.
    pub(crate) fn count(
        &self,
        row: u32,
        slice_number: u32,
        cache: &mut ReadCache,
    ) -> Result<u64, SegmentError> {
        let Some(slice) = self.slices()?.get(slice_number as usize) else {
            return Ok(0);
        };
        let (group, slot) = self.place(row)?;
        let range = self.group_range(slice, group)?;
        let at = |corrupt: Corrupt| self.corrupt(range.start, corrupt);
        self.find_group(range.clone(), (slice_number, group), cache)?;
        let floats = cache.groups.count(slot).map_err(at)?;
        let Some(place) = self.histogram_place(row, slice_number)? else {
            return Ok(floats);
        };
        let histograms = histogram_column::count(&self.histograms_blob(place)?);
        Ok(floats + histograms.map_err(|corrupt| self.corrupt(place.offset, corrupt))?)
    }

    /// Makes a group the latest of the cache, reading it if it is not there.
    fn find_group(
        &self,
        range: Range<u64>,
        key: (u32, u32),
        cache: &mut ReadCache,
    ) -> Result<(), SegmentError> {
        if !cache.groups.find(key) {
            let number = key.0 as usize * (self.groups() + 1) + key.1 as usize;
            cache.groups.insert(key, self.blob(range, Some(number))?);
        }
        Ok(())
    }

    fn quarantine_group(&self, slice: &Slice, place: (u32, u32), error: SegmentError) -> SegmentError {
        self.quarantine(Quarantined {
            file: self.path().to_owned(),
            time_min: slice.from.max(self.meta.time_min),
            time_max: slice.to.min(self.meta.time_max),
            place,
            reason: error.to_string(),
        });
        error
    }

    fn read_floats(
        &self,
        slice: &Slice,
        slice_number: u32,
        group: u32,
        slot: usize,
        cache: &mut ReadCache,
        out: &mut Samples,
    ) -> Result<(), SegmentError> {
        let range = self.group_range(slice, group)?;
        let at = |corrupt: Corrupt| self.corrupt(range.start, corrupt);
        self.find_group(range.clone(), (slice_number, group), cache)?;
        let Some((cached, is_first)) = cache.groups.latest() else {
            return Ok(());
        };
        let time = cached
            .read(slot, is_first, &mut cache.scratch, &mut out.bits)
            .map_err(at)?;
        if time.rows() == 0 {
            return Ok(());
        }
        let key = (slice_number, time.column);
        if cache.columns.get(key).is_none() {
            let column = self.read_column(slice, key, &mut cache.column_set)?;
            cache.columns.insert(key, column);
        }
        let Some(column) = cache.columns.get(key) else {
            return Ok(());
        };
        time.materialize(column, &mut out.timestamps).map_err(at)?;
        if out.timestamps.len() != out.bits.len() {
            return Err(at(Corrupt::new(
                "times and values of a series differ in number",
                0,
            )));
        }
        Ok(())
    }

    fn read_column(
        &self,
        slice: &Slice,
        key: (u32, u32),
        column_set: &mut Option<(u32, Region)>,
    ) -> Result<TimeColumn, SegmentError> {
        let bytes = match column_set {
            Some((number, bytes)) if *number == key.0 => bytes,
            _ => {
                let number = key.0 as usize * (self.groups() + 1) + self.groups();
                &mut column_set
                    .insert((key.0, self.blob(slice.columns.clone(), Some(number))?))
                    .1
            }
        };
        let mut column = TimeColumn::default();
        ColumnSetReader::open(bytes)
            .and_then(|set| set.decode(key.1, &mut column))
            .map_err(|corrupt| self.corrupt(slice.columns.start, corrupt))?;
        Ok(column)
    }

    fn histogram_place(&self, row: u32, slice: u32) -> Result<Option<HistogramPlace>, SegmentError> {
        let places = self.histogram_places()?;
        let found = places.binary_search_by_key(&(row, slice), |place| (place.row, place.slice));
        Ok(found.ok().and_then(|index| places.get(index)).copied())
    }

    fn histograms_blob(&self, place: HistogramPlace) -> Result<Region, SegmentError> {
        self.blob(
            place.offset..place.offset.saturating_add(u64::from(place.length)),
            None,
        )
    }

    fn read_histograms(&self, place: HistogramPlace, out: &mut Samples) -> Result<(), SegmentError> {
        let samples = histogram_column::decode(&self.histograms_blob(place)?);
        let samples = samples.map_err(|corrupt| self.corrupt(place.offset, corrupt))?;
        out.histograms.extend(
            samples
                .into_iter()
                .map(|(timestamp, value)| (timestamp, Arc::new(value))),
        );
        Ok(())
    }

    /// The raw bytes of a blob, verified the first time if it has a number, else each time.
    pub(super) fn blob(&self, range: Range<u64>, number: Option<usize>) -> Result<Region, SegmentError> {
        let head = layout::BLOB_HEAD_BYTES as u64;
        if range
            .end
            .checked_sub(range.start)
            .is_none_or(|length| length < head)
        {
            return Err(self.corrupt(range.start, Corrupt::new("place of a data blob", 0)));
        }
        let bytes = self.view.region(range.clone())?;
        let verify = number.is_none_or(|number| !self.is_verified(number));
        let at = |corrupt: Corrupt| self.corrupt(range.start, corrupt);
        let (compressor, raw_length, stored) = layout::read_blob(&bytes, range.start, verify).map_err(at)?;
        if let Some(number) = number.filter(|_| verify) {
            self.set_verified(number);
        }
        if compressor == Compressor::None {
            return Ok(self.view.region(range.start + head..range.end)?);
        }
        Ok(Region::from(
            compressor.decompress(stored, raw_length).map_err(at)?,
        ))
    }
}
