//! Reading the samples of rows.
//!
//! Neighbours in label order are mostly neighbours in a group too. The first row of a group is decoded alone, with what
//! it refers to; when a second one is asked for, the whole group is decoded and kept for the rest.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::layout;
use super::reader::{HistogramPlace, Quarantined, Segment, SegmentError, Slice};
use crate::base::bytes::Corrupt;
use crate::column::{ColumnSetReader, DecodeScratch, GroupReader, TimeColumn, TimeRef, histogram_column};
use crate::io::Region;
use crate::model::samples::Samples;
use crate::segment::compress::Compressor;
use std::ops::Range;
use std::sync::Arc;

/// Groups and columns that a reader keeps.
const CACHED_GROUPS: usize = 64;
const CACHED_COLUMNS: usize = 256;

/// What a reader of one segment keeps between rows.
#[derive(Debug, Default)]
pub(crate) struct ReadCache {
    groups: Vec<CachedGroup>,
    columns: Vec<CachedColumn>,
    column_set: Option<(u32, Region)>,
    scratch: DecodeScratch,
    /// Counts uses, to tell which entry was not used for longest.
    now: u64,
}

#[derive(Debug)]
struct CachedGroup {
    key: (u32, u32),
    used: u64,
    bytes: Region,
    /// Time reference and values by slot, once the whole group is decoded.
    decoded: Vec<(TimeRef, Vec<u64>)>,
}

#[derive(Debug)]
struct CachedColumn {
    key: (u32, u32),
    used: u64,
    column: TimeColumn,
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
        out.clear();
        let Some(slice) = self.slices()?.get(slice_number as usize) else {
            return Ok(());
        };
        let (group, slot) = self.place(row)?;
        self.read_floats(slice, slice_number, group, slot, cache, out)
            .map_err(|error| self.quarantine_group(slice, (slice_number, group), error))?;
        if let Some(place) = self.histogram_place(row, slice_number)? {
            self.read_histograms(place, out)
                .map_err(|error| self.quarantine_group(slice, (slice_number, u32::MAX), error))?;
        }
        if let Some(starts) = self.starts()?.get(&row) {
            out.starts = starts.clone();
        }
        if slice.from < from || slice.to > to {
            out.trim(from, to);
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
        cache.now += 1;
        let range = self.group_range(slice, group)?;
        let at = |corrupt: Corrupt| self.corrupt(range.start, corrupt);
        let index = self.cache_group(slice, (slice_number, group), range.clone(), cache)?;
        let ReadCache {
            groups,
            columns,
            column_set,
            scratch,
            now,
        } = cache;
        let Some(cached) = groups.get_mut(index) else {
            return Ok(());
        };
        let first_use = cached.used == 0;
        cached.used = *now;
        let time = if first_use {
            let reader = GroupReader::open(&cached.bytes).map_err(at)?;
            let time = reader.time_ref(slot).map_err(at)?.clone();
            reader.decode_values(slot, scratch, &mut out.bits).map_err(at)?;
            time
        } else {
            cached.decode_all(scratch).map_err(at)?;
            let Some((time, values)) = cached.decoded.get(slot) else {
                return Ok(());
            };
            out.bits.extend_from_slice(values);
            time.clone()
        };
        if time.rows() == 0 {
            return Ok(());
        }
        let key = (slice_number, time.column);
        let index = match columns.iter().position(|column| column.key == key) {
            Some(index) => index,
            None => self.cache_column(slice, key, columns, column_set)?,
        };
        let Some(column) = columns.get_mut(index) else {
            return Ok(());
        };
        column.used = *now;
        time.materialize(&column.column, &mut out.timestamps)
            .map_err(at)?;
        if out.timestamps.len() != out.bits.len() {
            return Err(at(Corrupt::new(
                "times and values of a series differ in number",
                0,
            )));
        }
        Ok(())
    }

    /// Index of the group in the cache, which reads it if need be.
    fn cache_group(
        &self,
        slice: &Slice,
        key: (u32, u32),
        range: Range<u64>,
        cache: &mut ReadCache,
    ) -> Result<usize, SegmentError> {
        if let Some(index) = cache.groups.iter().position(|group| group.key == key) {
            return Ok(index);
        }
        let _ = slice;
        let number = key.0 as usize * (self.groups() + 1) + key.1 as usize;
        let bytes = self.blob(range, Some(number))?;
        let group = CachedGroup {
            key,
            used: 0,
            bytes,
            decoded: Vec::new(),
        };
        Ok(insert_oldest(&mut cache.groups, CACHED_GROUPS, group, |group| {
            group.used
        }))
    }

    fn cache_column(
        &self,
        slice: &Slice,
        key: (u32, u32),
        columns: &mut Vec<CachedColumn>,
        column_set: &mut Option<(u32, Region)>,
    ) -> Result<usize, SegmentError> {
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
        let cached = CachedColumn { key, used: 0, column };
        Ok(insert_oldest(columns, CACHED_COLUMNS, cached, |column| {
            column.used
        }))
    }

    fn histogram_place(&self, row: u32, slice: u32) -> Result<Option<HistogramPlace>, SegmentError> {
        let places = self.histogram_places()?;
        let found = places.binary_search_by_key(&(row, slice), |place| (place.row, place.slice));
        Ok(found.ok().and_then(|index| places.get(index)).copied())
    }

    fn read_histograms(&self, place: HistogramPlace, out: &mut Samples) -> Result<(), SegmentError> {
        let end = place.offset.saturating_add(u64::from(place.length));
        let bytes = self.blob(place.offset..end, None)?;
        let samples = histogram_column::decode(&bytes);
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

impl CachedGroup {
    fn decode_all(&mut self, scratch: &mut DecodeScratch) -> Result<(), Corrupt> {
        if !self.decoded.is_empty() {
            return Ok(());
        }
        let reader = GroupReader::open(&self.bytes)?;
        let mut values = reader.values(scratch);
        for slot in 0..reader.series_count() {
            let mut out = Vec::new();
            values.decode(slot, &mut out)?;
            self.decoded.push((reader.time_ref(slot)?.clone(), out));
        }
        Ok(())
    }
}

/// Adds an entry in place of the one not used for longest once there are `most`; returns its index.
fn insert_oldest<T>(entries: &mut Vec<T>, most: usize, entry: T, used: impl Fn(&T) -> u64) -> usize {
    if entries.len() < most {
        entries.push(entry);
        return entries.len() - 1;
    }
    let oldest = entries
        .iter()
        .enumerate()
        .min_by_key(|(_, entry)| used(entry))
        .map_or(0, |(index, _)| index);
    if let Some(slot) = entries.get_mut(oldest) {
        *slot = entry;
    }
    oldest
}
