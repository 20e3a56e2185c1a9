//! Writes a segment, front to back: groups and columns slice by slice, then the sections.
//!
//! Memory is bounded by one group of samples, the timestamp columns of one slice, and some words per series.

use super::bounds;
use super::compress::Compressor;
use super::events;
use super::layout::{self, Section, SectionKind};
use super::meta::{BinaryMetaSerializer, MetaSerializer, SegmentMeta, Windows};
use super::packed;
use super::plan;
use super::reader::SegmentError;
use super::sketch;
use crate::base::bytes::Corrupt;
use crate::base::hash;
use crate::column::{
    ColumnSetBuilder, EncodeScratch, GROUP_SERIES_MAX, GroupSeries, TimeRef, encode_group, histogram_column,
};
use crate::index::{Compression, SegmentIndexWriter};
use crate::io::{AtomicFile, Fs, FsError};
use crate::model::exemplar::Exemplar;
use crate::model::labels::LabelsRef;
use crate::model::metadata::Metadata;
use crate::model::samples::Samples;
use crate::model::starts::StartRuns;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Some samples of a series that stand close in time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) first: i64,
    pub(crate) samples: u64,
}

/// The series that a segment is made of, in label order.
pub(crate) trait SeriesSource {
    /// Number of series.
    fn len(&self) -> u32;
    /// Shows the canonical labels of every row, in order.
    fn each_labels(&self, each: &mut dyn FnMut(u32, LabelsRef<'_>)) -> Result<(), WriteError>;
    /// Tells of each run of samples of a row, to plan by.
    fn runs(&self, row: u32, each: &mut dyn FnMut(Run)) -> Result<(), WriteError>;
    /// The samples of a row within `from..=to`, in place of what `out` holds.
    fn samples(&self, row: u32, from: i64, to: i64, out: &mut Samples) -> Result<(), WriteError>;
    /// Whether the rows have windows instead of samples. Then their columns are asked for by
    /// [`SeriesSource::column_samples`], and the segment is not cut in time.
    fn windows(&self) -> Option<&Windows> {
        None
    }
    /// The same of every column of the row.
    fn column_samples(&self, row: u32, from: i64, to: i64, out: &mut [Samples]) -> Result<(), WriteError> {
        out.iter_mut()
            .try_for_each(|out| self.samples(row, from, to, out))
    }
    /// The exemplars of a row.
    fn exemplars(&self, row: u32) -> Vec<Exemplar>;
    /// Metadata by metric, with the time of arrival.
    fn metadata(&self) -> &BTreeMap<String, Vec<(i64, Metadata)>>;
}

/// Why a segment could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error(transparent)]
    Fs(#[from] FsError),
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// A segment that is merged cannot be read.
    #[error(transparent)]
    Segment(#[from] SegmentError),
}

/// How to write.
#[derive(Debug, Clone)]
pub(crate) struct WriteOptions {
    pub(crate) metadata_compressor: Compressor,
    pub(crate) data_compressor: Compressor,
}

/// Writes all of `source` to `path`; `meta` brings identity and LSN range, and comes back with ranges and counts.
pub(crate) fn write_segment(
    fs: &Arc<dyn Fs>,
    path: &Path,
    source: impl SeriesSource,
    meta: SegmentMeta,
    bounds: (i64, i64),
    options: &WriteOptions,
) -> Result<(SegmentMeta, u64), WriteError> {
    let mut writer = SegmentWriter::create(fs, path, source, meta, bounds, options.clone())?;
    while !writer.advance(u64::MAX)? {}
    writer.finish()
}

/// A segment that is being written. It can be left alone between two calls for as long as one likes; dropped before
/// the end it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct SegmentWriter<S> {
    file: AtomicFile,
    source: S,
    /// How many each row has.
    columns: usize,
    options: WriteOptions,
    meta: SegmentMeta,
    sections: Vec<Section>,
    /// First timestamp of each slice.
    slice_starts: Vec<i64>,
    /// Rows in the order in which their values are stored.
    order: Vec<u32>,
    /// Slices that are written, and the slice at hand.
    slices_done: usize,
    slice: OpenSlice,
    members: Vec<Samples>,
    /// First and last timestamp by row.
    bounds: Vec<(i64, i64)>,
    /// First and last timestamp of the exemplars.
    exemplar_bounds: (i64, i64),
    starts: BTreeMap<u32, StartRuns>,
    classes: events::ClassesByRow,
    /// Place of histogram blobs: row, slice and column, offset, length.
    histograms: Vec<(u32, u32, u64, u32)>,
    slices: Vec<u8>,
    encode: EncodeScratch,
    raw: Vec<u8>,
    blob: Vec<u8>,
}

/// What is known of a slice while its groups are written.
#[derive(Debug, Default)]
struct OpenSlice {
    /// Rows of `order` that are written.
    rows_done: usize,
    columns: ColumnSetBuilder,
    /// Rows and columns.
    with_histograms: Vec<(u32, usize)>,
    offsets: Vec<u8>,
}

impl<S: SeriesSource> SegmentWriter<S> {
    pub(crate) fn create(
        fs: &Arc<dyn Fs>,
        path: &Path,
        source: S,
        meta: SegmentMeta,
        (time_min, time_max): (i64, i64),
        options: WriteOptions,
    ) -> Result<Self, WriteError> {
        let mut file = AtomicFile::create(fs, path)?;
        file.write(&layout::header())?;
        let windows = source.windows();
        let columns = windows.map_or(1, |windows| windows.columns as usize);
        let slice_starts = match windows {
            None => plan::slice_starts(&source, time_min, time_max)?,
            Some(_) => vec![time_min],
        };
        let order = plan::group_order(&source)?;
        Ok(Self {
            file,
            bounds: vec![(i64::MAX, i64::MIN); source.len() as usize],
            members: vec![Samples::default(); GROUP_SERIES_MAX * columns],
            source,
            columns,
            options,
            meta,
            sections: Vec::new(),
            slice_starts,
            order,
            slices_done: 0,
            slice: OpenSlice::default(),
            exemplar_bounds: (i64::MAX, i64::MIN),
            starts: BTreeMap::new(),
            classes: BTreeMap::new(),
            histograms: Vec::new(),
            slices: Vec::new(),
            encode: EncodeScratch::default(),
            raw: Vec::new(),
            blob: Vec::new(),
        })
    }

    pub(crate) fn source(&self) -> &S {
        &self.source
    }

    /// Writes groups until they have `samples_max` samples or more. `true` when none are left.
    pub(crate) fn advance(&mut self, samples_max: u64) -> Result<bool, WriteError> {
        let end = self.samples_written().saturating_add(samples_max);
        while self.slices_done < self.slice_starts.len() {
            if self.samples_written() >= end {
                return Ok(false);
            }
            let (from, to) = self.slice_range();
            if self.slice.rows_done < self.order.len() {
                self.write_groups(from, to)?;
            } else {
                self.end_slice(from, to)?;
                self.slices_done += 1;
            }
        }
        Ok(true)
    }

    fn samples_written(&self) -> u64 {
        self.meta.floats + self.meta.histograms
    }

    /// The times of the slice at hand; the first and the last one have no end.
    fn slice_range(&self) -> (i64, i64) {
        let slice = self.slices_done;
        let from = if slice == 0 {
            i64::MIN
        } else {
            self.slice_starts[slice]
        };
        let to = self.slice_starts.get(slice + 1).map_or(i64::MAX, |next| next - 1);
        (from, to)
    }

    /// The next rows: a group for each column.
    fn write_groups(&mut self, from: i64, to: i64) -> Result<(), WriteError> {
        let columns = self.columns;
        let first = self.slice.rows_done;
        let end = self.order.len().min(first + GROUP_SERIES_MAX);
        let mut members = std::mem::take(&mut self.members);
        for (position, of_row) in (first..end).zip(members.chunks_mut(columns)) {
            let row = self.order[position];
            self.source.column_samples(row, from, to, of_row)?;
            for (column, samples) in of_row.iter().enumerate() {
                self.note(row, samples);
                if !samples.histograms.is_empty() {
                    self.slice.with_histograms.push((row, column));
                }
            }
        }
        for column in 0..columns {
            let of_column = members.iter().skip(column).step_by(columns).take(end - first);
            self.write_group(of_column)?;
        }
        self.members = members;
        self.slice.rows_done = end;
        Ok(())
    }

    fn write_group<'m>(
        &mut self,
        members: impl Iterator<Item = &'m Samples> + Clone,
    ) -> Result<(), WriteError> {
        let offset = self.file.offset();
        self.slice.offsets.extend_from_slice(&offset.to_le_bytes());
        let columns = &mut self.slice.columns;
        let written = members.clone();
        let times: Vec<TimeRef> = written
            .map(|samples| columns.place(&samples.timestamps))
            .collect();
        let group: Vec<GroupSeries<'_>> = times
            .iter()
            .zip(members)
            .map(|(time, samples)| GroupSeries {
                time,
                values: &samples.bits,
            })
            .collect();
        self.raw.clear();
        encode_group(&group, &mut self.encode, &mut self.raw);
        self.write_blob()?;
        Ok(())
    }

    /// The timestamp columns that the groups of the slice refer to, then its histograms.
    fn end_slice(&mut self, from: i64, to: i64) -> Result<(), WriteError> {
        let mut slice = std::mem::take(&mut self.slice);
        slice.offsets.extend_from_slice(&self.file.offset().to_le_bytes());
        self.raw.clear();
        slice.columns.encode(&mut self.raw);
        self.write_blob()?;
        self.slices.extend_from_slice(&from.to_le_bytes());
        self.slices.extend_from_slice(&to.to_le_bytes());
        self.slices.extend_from_slice(&self.file.offset().to_le_bytes());
        self.slices.extend_from_slice(&slice.offsets);
        let columns = self.columns;
        let mut of_row = vec![Samples::default(); columns];
        for (row, column) in slice.with_histograms {
            self.source.column_samples(row, from, to, &mut of_row)?;
            self.write_histograms(row, (self.slices_done * columns + column) as u32, &of_row[column])?;
        }
        Ok(())
    }

    /// Histograms stand after the groups and columns of their slice, whose blobs follow each other without a gap.
    fn write_histograms(&mut self, row: u32, slice: u32, samples: &Samples) -> Result<(), FsError> {
        let offset = self.file.offset();
        self.raw.clear();
        histogram_column::encode(&samples.histograms, &mut self.raw);
        let length = self.write_blob()?;
        self.histograms.push((row, slice, offset, length));
        Ok(())
    }

    /// Counts the samples of a row.
    fn note(&mut self, row: u32, samples: &Samples) {
        let Some((first, last)) = samples.bounds() else {
            return;
        };
        let bounds = &mut self.bounds[row as usize];
        *bounds = (bounds.0.min(first), bounds.1.max(last));
        self.meta.floats += samples.timestamps.len() as u64;
        self.meta.histograms += samples.histograms.len() as u64;
        if !samples.classes.is_empty() {
            self.classes
                .entry(row)
                .or_default()
                .extend_from_slice(&samples.classes);
        }
        // A slice without start timestamps ends what the slices before it said.
        if !samples.starts.is_unknown() || self.starts.contains_key(&row) {
            self.starts.entry(row).or_default().append(&samples.starts, first);
        }
    }

    /// Writes `raw` as a blob and returns its length on disk.
    fn write_blob(&mut self) -> Result<u32, FsError> {
        self.blob.clear();
        layout::write_blob(
            &self.raw,
            self.options.data_compressor,
            self.file.offset(),
            &mut self.blob,
        );
        self.file.write(&self.blob)?;
        Ok(self.blob.len() as u32)
    }

    fn section(&mut self, kind: SectionKind, raw: &[u8], compressor: Compressor) -> Result<(), FsError> {
        let (compressor, stored) = compressor.compress(raw);
        self.sections.push(Section {
            kind: kind as u16,
            required: kind.is_required(),
            compressor,
            offset: self.file.offset(),
            stored_length: stored.len() as u64,
            raw_length: raw.len() as u64,
            checksum: hash::checksum(&stored),
        });
        self.file.write(&stored)
    }

    /// Writes everything that stands behind the groups, and gives the file its name.
    pub(crate) fn finish(mut self) -> Result<(SegmentMeta, u64), WriteError> {
        self.write_index()?;
        self.write_places()?;
        self.write_histogram_places()?;
        self.write_events()?;
        let times = self.bounds.iter().filter(|bounds| bounds.0 <= bounds.1);
        let (time_min, time_max) = times.fold(self.exemplar_bounds, |all, bounds| {
            (all.0.min(bounds.0), all.1.max(bounds.1))
        });
        (self.meta.time_min, self.meta.time_max) = (time_min, time_max);
        self.meta.series = u64::from(self.source.len());
        let meta = BinaryMetaSerializer.serialize(&self.meta);
        self.section(SectionKind::Meta, &meta, Compressor::None)?;
        let table = layout::write_table(&self.sections, self.file.offset());
        self.file.write(&table)?;
        let length = self.file.finish()?;
        Ok((self.meta, length))
    }

    /// Symbols, series table, postings, hashes and the sketch.
    fn write_index(&mut self) -> Result<(), WriteError> {
        let mut index = SegmentIndexWriter::new();
        let mut hashes = Vec::with_capacity(self.source.len() as usize * 16);
        self.source.each_labels(&mut |_, labels| {
            hashes.extend_from_slice(&hash::hash_128(labels.as_bytes()).to_le_bytes());
            index.push(labels);
        })?;
        let sketch = sketch::sealed(&index, &hashes);
        let compression = match self.options.metadata_compressor {
            Compressor::Zstd => Compression::Zstd,
            Compressor::None | Compressor::Snappy => Compression::None,
        };
        let parts = index.finish(compression);
        self.section(SectionKind::Symbols, &parts.symbols, Compressor::None)?;
        self.section(SectionKind::Series, &parts.series, Compressor::None)?;
        self.section(SectionKind::Postings, &parts.postings, Compressor::None)?;
        self.section(SectionKind::Hashes, &hashes, Compressor::None)?;
        if let Some(sketch) = sketch {
            self.section(SectionKind::Sketch, &sketch, self.options.metadata_compressor)?;
        }
        Ok(())
    }

    /// Bounds, places and slices.
    fn write_places(&mut self) -> Result<(), WriteError> {
        let order = std::mem::take(&mut self.order);
        let mut raw = Vec::new();
        bounds::write(&self.bounds, &mut raw);
        self.section(SectionKind::Bounds, &raw, Compressor::None)?;
        let mut places = vec![0; order.len()];
        for (place, row) in order.iter().enumerate() {
            places[*row as usize] = place as u32;
        }
        raw.clear();
        packed::write(&places, &mut raw);
        self.section(SectionKind::Places, &raw, Compressor::None)?;
        let slices = std::mem::take(&mut self.slices);
        self.section(SectionKind::Slices, &slices, Compressor::None)?;
        if let Some(windows) = self.source.windows() {
            self.section(SectionKind::Windows, &windows.to_bytes(), Compressor::None)?;
        }
        Ok(())
    }

    fn write_histogram_places(&mut self) -> Result<(), FsError> {
        if self.histograms.is_empty() {
            return Ok(());
        }
        self.histograms.sort_unstable();
        let mut raw = Vec::with_capacity(self.histograms.len() * 20);
        for (row, slice, offset, length) in &self.histograms {
            raw.extend_from_slice(&row.to_le_bytes());
            raw.extend_from_slice(&slice.to_le_bytes());
            raw.extend_from_slice(&offset.to_le_bytes());
            raw.extend_from_slice(&length.to_le_bytes());
        }
        self.section(SectionKind::Histograms, &raw, Compressor::None)
    }

    /// Start timestamps, exemplars and metadata, each only if there are any.
    fn write_events(&mut self) -> Result<(), FsError> {
        let compressor = self.options.metadata_compressor;
        let starts = std::mem::take(&mut self.starts);
        if !starts.is_empty() {
            self.section(SectionKind::Starts, &events::write_starts(&starts), compressor)?;
        }
        let classes = std::mem::take(&mut self.classes);
        if !classes.is_empty() {
            self.section(SectionKind::Classes, &events::write_classes(&classes), compressor)?;
        }
        let bounds = &mut self.exemplar_bounds;
        let exemplars = (0..self.source.len()).map(|row| (row, self.source.exemplars(row)));
        let exemplars = exemplars.inspect(|(_, of_row)| {
            for one in of_row {
                *bounds = (bounds.0.min(one.timestamp), bounds.1.max(one.timestamp));
            }
        });
        let (count, raw) = events::write_exemplars(exemplars);
        self.meta.exemplars = count;
        if count > 0 {
            self.section(SectionKind::Exemplars, &raw, compressor)?;
        }
        if !self.source.metadata().is_empty() {
            let raw = events::write_metadata(self.source.metadata());
            self.section(SectionKind::Metadata, &raw, compressor)?;
        }
        Ok(())
    }
}
