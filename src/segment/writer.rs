//! Writes a segment, front to back: groups and columns slice by slice, then the sections.
//!
//! Memory is bounded by one group of samples, the timestamp columns of one slice, and some words per series.

use super::bounds;
use super::compress::Compressor;
use super::events;
use super::layout::{self, Section, SectionKind};
use super::meta::{BinaryMetaSerializer, MetaSerializer, SegmentMeta};
use super::packed;
use super::plan;
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
    /// Appends the canonical labels of a row.
    fn labels(&self, row: u32, out: &mut Vec<u8>);
    /// Tells of each run of samples of a row, to plan by.
    fn runs(&self, row: u32, each: &mut dyn FnMut(Run));
    /// The samples of a row within `from..=to`, in place of what `out` holds.
    fn samples(&self, row: u32, from: i64, to: i64, out: &mut Samples) -> Result<(), Corrupt>;
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
    source: &dyn SeriesSource,
    meta: SegmentMeta,
    (time_min, time_max): (i64, i64),
    options: &WriteOptions,
) -> Result<(SegmentMeta, u64), WriteError> {
    let mut writer = SegmentWriter::create(fs, path, source, meta, options)?;
    let starts = plan::slice_starts(source, time_min, time_max);
    let order = plan::group_order(source);
    for (slice, start) in starts.iter().enumerate() {
        let from = if slice == 0 { i64::MIN } else { *start };
        let to = starts.get(slice + 1).map_or(i64::MAX, |next| next - 1);
        writer.write_slice(slice as u32, &order, from, to)?;
    }
    writer.finish(&order)
}

struct SegmentWriter<'a> {
    file: AtomicFile,
    source: &'a dyn SeriesSource,
    options: &'a WriteOptions,
    meta: SegmentMeta,
    sections: Vec<Section>,
    /// First and last timestamp by row.
    bounds: Vec<(i64, i64)>,
    /// First and last timestamp of the exemplars.
    exemplar_bounds: (i64, i64),
    starts: BTreeMap<u32, StartRuns>,
    classes: events::ClassesByRow,
    /// Place of histogram blobs: row, slice, offset, length.
    histograms: Vec<(u32, u32, u64, u32)>,
    slices: Vec<u8>,
    encode: EncodeScratch,
    raw: Vec<u8>,
    blob: Vec<u8>,
}

impl<'a> SegmentWriter<'a> {
    fn create(
        fs: &Arc<dyn Fs>,
        path: &Path,
        source: &'a dyn SeriesSource,
        meta: SegmentMeta,
        options: &'a WriteOptions,
    ) -> Result<Self, WriteError> {
        let mut file = AtomicFile::create(fs, path)?;
        file.write(&layout::header())?;
        Ok(Self {
            file,
            source,
            options,
            meta,
            sections: Vec::new(),
            bounds: vec![(i64::MAX, i64::MIN); source.len() as usize],
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

    /// Groups, then the timestamp columns they refer to.
    fn write_slice(&mut self, slice: u32, order: &[u32], from: i64, to: i64) -> Result<(), WriteError> {
        let mut columns = ColumnSetBuilder::default();
        let mut members: Vec<Samples> = (0..GROUP_SERIES_MAX).map(|_| Samples::default()).collect();
        let mut with_histograms = Vec::new();
        let mut offsets = Vec::with_capacity(order.len().div_ceil(GROUP_SERIES_MAX) * 8 + 8);
        for rows in order.chunks(GROUP_SERIES_MAX) {
            for (row, samples) in rows.iter().zip(&mut members) {
                self.source.samples(*row, from, to, samples)?;
                self.note(*row, samples);
                if !samples.histograms.is_empty() {
                    with_histograms.push(*row);
                }
            }
            offsets.extend_from_slice(&self.file.offset().to_le_bytes());
            let times: Vec<TimeRef> = members
                .iter()
                .take(rows.len())
                .map(|samples| columns.place(&samples.timestamps))
                .collect();
            let group: Vec<GroupSeries<'_>> = times
                .iter()
                .zip(&members)
                .map(|(time, samples)| GroupSeries {
                    time,
                    values: &samples.bits,
                })
                .collect();
            self.raw.clear();
            encode_group(&group, &mut self.encode, &mut self.raw);
            self.write_blob()?;
        }
        offsets.extend_from_slice(&self.file.offset().to_le_bytes());
        self.raw.clear();
        columns.encode(&mut self.raw);
        self.write_blob()?;
        self.slices.extend_from_slice(&from.to_le_bytes());
        self.slices.extend_from_slice(&to.to_le_bytes());
        self.slices.extend_from_slice(&self.file.offset().to_le_bytes());
        self.slices.extend_from_slice(&offsets);
        let Some(samples) = members.first_mut() else {
            return Ok(());
        };
        for row in with_histograms {
            self.source.samples(row, from, to, samples)?;
            self.write_histograms(row, slice, samples)?;
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
            required: true,
            compressor,
            offset: self.file.offset(),
            stored_length: stored.len() as u64,
            raw_length: raw.len() as u64,
            checksum: hash::checksum(&stored),
        });
        self.file.write(&stored)
    }

    fn finish(mut self, order: &[u32]) -> Result<(SegmentMeta, u64), WriteError> {
        self.write_index()?;
        self.write_places(order)?;
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

    /// Symbols, series table, postings and hashes.
    fn write_index(&mut self) -> Result<(), WriteError> {
        let mut index = SegmentIndexWriter::new();
        let mut hashes = Vec::with_capacity(self.source.len() as usize * 16);
        let mut labels = Vec::new();
        for row in 0..self.source.len() {
            labels.clear();
            self.source.labels(row, &mut labels);
            hashes.extend_from_slice(&hash::hash_128(&labels).to_le_bytes());
            index.push(LabelsRef::new(&labels));
        }
        let compression = match self.options.metadata_compressor {
            Compressor::Zstd => Compression::Zstd,
            Compressor::None | Compressor::Snappy => Compression::None,
        };
        let parts = index.finish(compression);
        self.section(SectionKind::Symbols, &parts.symbols, Compressor::None)?;
        self.section(SectionKind::Series, &parts.series, Compressor::None)?;
        self.section(SectionKind::Postings, &parts.postings, Compressor::None)?;
        self.section(SectionKind::Hashes, &hashes, Compressor::None)?;
        Ok(())
    }

    /// Bounds, places and slices.
    fn write_places(&mut self, order: &[u32]) -> Result<(), WriteError> {
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
