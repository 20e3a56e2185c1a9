//! An open segment: its sections, verified once, and the index over them.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::bounds;
use super::compress::Compressor;
use super::events;
use super::layout::{self, FOOTER_BYTES, HEADER_BYTES, Section, SectionKind};
use super::meta::{BinaryMetaSerializer, MetaSerializer, SegmentMeta, Windows};
use super::packed;
use crate::base::bytes::{Corrupt, Cursor};
use crate::base::hash;
use crate::column::GROUP_SERIES_MAX;
use crate::index::{IndexLayout, SegmentIndex};
use crate::io::{FileView, Fs, FsError, Region};
use crate::model::labels::LabelHash;
use crate::model::starts::StartRuns;
use roaring::RoaringBitmap;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Bytes of a file that do not decode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: corrupt at offset {offset}: {what}", file = file.display())]
pub struct CorruptFile {
    /// The file.
    pub file: PathBuf,
    /// Where in the file.
    pub offset: u64,
    /// What was being read.
    pub what: &'static str,
}

/// Why a segment cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SegmentError {
    #[error(transparent)]
    Fs(#[from] FsError),
    #[error(transparent)]
    Corrupt(#[from] CorruptFile),
}

/// A part of a segment that is not answered from any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// The segment's file.
    pub file: PathBuf,
    /// The time range that is affected.
    pub time_min: i64,
    /// End of the time range.
    pub time_max: i64,
    /// Number of the slice, and of the group or histogram in it.
    pub place: (u32, u32),
    /// What is wrong.
    pub reason: String,
}

/// A slice: its time range and where its groups and columns are.
#[derive(Debug, Clone)]
pub(super) struct Slice {
    pub(super) from: i64,
    pub(super) to: i64,
    /// Where the timestamp columns are.
    pub(super) columns: Range<u64>,
    /// Offsets of the groups, in the section.
    offsets: Range<usize>,
}

/// Where the histograms of a row in a slice are.
#[derive(Debug, Clone, Copy)]
pub(super) struct HistogramPlace {
    pub(super) row: u32,
    pub(super) slice: u32,
    pub(super) offset: u64,
    pub(super) length: u32,
}

/// A section's bytes and where they start in the file.
#[derive(Debug, Clone)]
pub(super) struct Bytes {
    pub(super) region: Region,
    pub(super) offset: u64,
}

/// The sections of the index, and what opening it found.
#[derive(Debug)]
struct IndexParts {
    layout: Arc<IndexLayout>,
    symbols: Bytes,
    series: Bytes,
    postings: Bytes,
}

impl IndexParts {
    fn index(&self) -> SegmentIndex<'_> {
        let (symbols, series, postings) = (&self.symbols.region, &self.series.region, &self.postings.region);
        SegmentIndex::with_layout(self.layout.clone(), symbols, series, postings)
    }
}

/// An open segment. Sections other than the table and the metadata are read when they are first needed.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) sequence: u64,
    pub(super) view: Arc<FileView>,
    pub(crate) meta: SegmentMeta,
    /// If its rows have windows instead of samples.
    windows: Option<Windows>,
    pub(super) sections: Vec<Section>,
    index: OnceLock<IndexParts>,
    hashes: OnceLock<Bytes>,
    bounds: OnceLock<Bytes>,
    places: OnceLock<Bytes>,
    slices: OnceLock<(Bytes, Vec<Slice>)>,
    histograms: OnceLock<Vec<HistogramPlace>>,
    pub(super) starts: OnceLock<BTreeMap<u32, StartRuns>>,
    pub(super) classes: OnceLock<events::ClassesByRow>,
    /// One bit per blob that was verified.
    verified: OnceLock<Vec<AtomicU64>>,
    quarantine: Mutex<Vec<Quarantined>>,
    /// By LSN of a deletion: the rows it is about.
    deleted: Mutex<BTreeMap<u64, Arc<RoaringBitmap>>>,
}

impl Segment {
    /// Reads the header, the table and the metadata.
    pub(crate) fn open(
        fs: &Arc<dyn Fs>,
        path: &Path,
        sequence: u64,
        mmap: bool,
    ) -> Result<Self, SegmentError> {
        let (segment, header) = Self::open_apart(fs, path, sequence, mmap)?;
        header.map_err(|corrupt| corrupt_file(path, 0, corrupt))?;
        Ok(segment)
    }

    /// Reads the table and the metadata, and says apart from that whether the header is good: nothing stands in it
    /// that is not known anyway.
    pub(super) fn open_apart(
        fs: &Arc<dyn Fs>,
        path: &Path,
        sequence: u64,
        mmap: bool,
    ) -> Result<(Self, Result<(), Corrupt>), SegmentError> {
        let view = fs.open_view(path, mmap)?;
        let length = view.size();
        let at = |offset: u64| move |corrupt: Corrupt| corrupt_file(path, offset, corrupt);
        if length < (HEADER_BYTES + FOOTER_BYTES) as u64 {
            return Err(at(0)(Corrupt::new("segment shorter than its header and footer", 0)).into());
        }
        let header = layout::check_header(&view.bytes(0..HEADER_BYTES as u64)?);
        let footer_offset = length - FOOTER_BYTES as u64;
        let footer = view.bytes(footer_offset..length)?;
        let (table_offset, _) = layout::table_place(&footer, length).map_err(at(footer_offset))?;
        let table = view.bytes(table_offset..length)?;
        let sections = layout::read_table(&table, table_offset).map_err(at(table_offset))?;
        let mut segment = Self {
            sequence,
            view: view.clone(),
            meta: SegmentMeta::default(),
            windows: None,
            sections,
            index: OnceLock::new(),
            hashes: OnceLock::new(),
            bounds: OnceLock::new(),
            places: OnceLock::new(),
            slices: OnceLock::new(),
            histograms: OnceLock::new(),
            starts: OnceLock::new(),
            classes: OnceLock::new(),
            verified: OnceLock::new(),
            quarantine: Mutex::default(),
            deleted: Mutex::default(),
        };
        let meta = segment.section(SectionKind::Meta)?;
        segment.meta = BinaryMetaSerializer
            .deserialize(&meta.region)
            .map_err(at(meta.offset))?;
        if let Some(section) = segment.find(SectionKind::Windows) {
            let bytes = segment.load(section)?;
            let windows = Windows::from_bytes(&bytes.region).map_err(at(bytes.offset))?;
            segment.windows = Some(windows);
        }
        Ok((segment, header))
    }

    pub(crate) fn path(&self) -> &Path {
        self.view.path()
    }

    pub(crate) fn file_bytes(&self) -> u64 {
        self.view.size()
    }

    /// How many columns each row has.
    pub(crate) fn columns(&self) -> usize {
        self.windows
            .as_ref()
            .map_or(1, |windows| windows.columns as usize)
    }

    /// What it says if its rows have windows instead of samples.
    pub(crate) fn windows(&self) -> Option<&Windows> {
        self.windows.as_ref()
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> u32 {
        u32::try_from(self.meta.series).unwrap_or(u32::MAX)
    }

    pub(super) fn corrupt(&self, offset: u64, corrupt: Corrupt) -> SegmentError {
        corrupt_file(self.path(), offset, corrupt).into()
    }

    /// The entry of a section.
    pub(super) fn find(&self, kind: SectionKind) -> Option<&Section> {
        self.sections.iter().find(|section| section.kind == kind as u16)
    }

    /// Reads, verifies and decompresses a section.
    pub(super) fn load(&self, section: &Section) -> Result<Bytes, SegmentError> {
        let range = section.offset..section.offset + section.stored_length;
        let region = self.view.region(range)?;
        if hash::checksum(&region) != section.checksum {
            return Err(self.corrupt(section.offset, Corrupt::new("checksum of a section", 0)));
        }
        if section.compressor == Compressor::None {
            return Ok(Bytes {
                region,
                offset: section.offset,
            });
        }
        let raw = section
            .compressor
            .decompress(&region, section.raw_length as usize);
        let raw = raw.map_err(|corrupt| self.corrupt(section.offset, corrupt))?;
        Ok(Bytes {
            region: Region::from(raw),
            offset: section.offset,
        })
    }

    pub(super) fn section(&self, kind: SectionKind) -> Result<Bytes, SegmentError> {
        let missing = || self.corrupt(0, Corrupt::new("a section is missing", kind as usize));
        self.load(self.find(kind).ok_or_else(missing)?)
    }

    /// A section that is loaded once and checked against its expected length.
    fn cached<'a>(
        &'a self,
        cell: &'a OnceLock<Bytes>,
        kind: SectionKind,
        length_min: usize,
    ) -> Result<&'a Bytes, SegmentError> {
        if let Some(bytes) = cell.get() {
            return Ok(bytes);
        }
        let bytes = self.section(kind)?;
        if bytes.region.len() < length_min {
            return Err(self.corrupt(bytes.offset, Corrupt::new("section shorter than its rows", 0)));
        }
        Ok(cell.get_or_init(|| bytes))
    }

    /// The index.
    pub(crate) fn index(&self) -> Result<SegmentIndex<'_>, SegmentError> {
        if let Some(parts) = self.index.get() {
            return Ok(parts.index());
        }
        let symbols = self.section(SectionKind::Symbols)?;
        let series = self.section(SectionKind::Series)?;
        let postings = self.section(SectionKind::Postings)?;
        let opened = SegmentIndex::open(&symbols.region, &series.region, &postings.region);
        let index = opened.map_err(|corrupt| self.corrupt(symbols.offset, corrupt))?;
        if index.row_count() != self.rows() {
            return Err(self.corrupt(symbols.offset, Corrupt::new("number of rows of the index", 0)));
        }
        let layout = index.layout();
        Ok(self
            .index
            .get_or_init(|| IndexParts {
                layout,
                symbols,
                series,
                postings,
            })
            .index())
    }

    /// Bytes that searches left in memory.
    pub(crate) fn cached_bytes(&self) -> usize {
        self.index.get().map_or(0, |parts| parts.layout.cached_bytes())
    }

    /// Gives these bytes up, and has mapped pages probed again before their next use.
    pub(crate) fn drop_caches(&self) {
        if let Some(parts) = self.index.get() {
            parts.layout.drop_caches();
        }
        self.view.forget_probes();
    }

    /// A corruption that the index met, as an error of this file.
    pub(crate) fn index_error(&self, corrupt: Corrupt) -> SegmentError {
        let offset = self
            .find(SectionKind::Symbols)
            .map_or(0, |section| section.offset);
        self.corrupt(offset, corrupt)
    }

    /// The rows that the deletion with that LSN is about, found once.
    pub(crate) fn deleted_rows(
        &self,
        lsn: u64,
        find: impl FnOnce() -> Result<RoaringBitmap, SegmentError>,
    ) -> Result<Arc<RoaringBitmap>, SegmentError> {
        let lock = || self.deleted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(&lsn) {
            return Ok(known.clone());
        }
        let rows = Arc::new(find()?);
        lock().insert(lsn, rows.clone());
        Ok(rows)
    }

    /// The label hash of a row.
    #[inline]
    pub(crate) fn hash(&self, row: u32) -> Result<LabelHash, SegmentError> {
        let bytes = self.cached(&self.hashes, SectionKind::Hashes, self.rows() as usize * 16)?;
        let mut cursor = Cursor::new(bytes.region.get(row as usize * 16..).unwrap_or(&[]));
        cursor
            .u128("label hash")
            .map(LabelHash)
            .map_err(|corrupt| self.corrupt(bytes.offset, corrupt))
    }

    /// First and last timestamp of a row.
    #[inline]
    pub(crate) fn time_bounds(&self, row: u32) -> Result<(i64, i64), SegmentError> {
        let bytes = self.cached(&self.bounds, SectionKind::Bounds, 0)?;
        bounds::get(&bytes.region, row).map_err(|corrupt| self.corrupt(bytes.offset, corrupt))
    }

    /// The group and the slot in it where the floats of a row are, those of the first column.
    #[inline]
    pub(super) fn place(&self, row: u32) -> Result<(u32, usize), SegmentError> {
        let bytes = self.cached(&self.places, SectionKind::Places, 0)?;
        let place = packed::get(&bytes.region, row as usize)
            .map_err(|corrupt| self.corrupt(bytes.offset, corrupt))?;
        let group = place / GROUP_SERIES_MAX as u32;
        let group = group.saturating_mul(self.columns() as u32);
        Ok((group, place as usize % GROUP_SERIES_MAX))
    }

    pub(super) fn groups(&self) -> usize {
        (self.rows() as usize).div_ceil(GROUP_SERIES_MAX) * self.columns()
    }

    pub(super) fn slices(&self) -> Result<&[Slice], SegmentError> {
        if let Some((_, slices)) = self.slices.get() {
            return Ok(slices);
        }
        let bytes = self.section(SectionKind::Slices)?;
        let slices = self
            .read_slices(&bytes)
            .map_err(|corrupt| self.corrupt(bytes.offset, corrupt))?;
        Ok(&self.slices.get_or_init(|| (bytes, slices)).1)
    }

    fn read_slices(&self, bytes: &Bytes) -> Result<Vec<Slice>, Corrupt> {
        let mut cursor = Cursor::new(&bytes.region);
        let mut slices = Vec::new();
        while !cursor.is_empty() {
            let (from, to) = (cursor.i64("start of a slice")?, cursor.i64("end of a slice")?);
            let end = cursor.u64("end of a slice")?;
            let start = cursor.position();
            cursor.take((self.groups() + 1) * 8, "offsets of groups")?;
            let offsets = start..cursor.position();
            let last = bytes.region.get(offsets.end - 8..offsets.end).unwrap_or(&[]);
            let columns = Cursor::new(last).u64("offset of the columns")?..end;
            slices.push(Slice {
                from,
                to,
                columns,
                offsets,
            });
        }
        Ok(slices)
    }

    /// First and last time of a slice.
    pub(crate) fn slice_times(&self, slice: u32) -> Result<(i64, i64), SegmentError> {
        let slice = self.slices()?.get(slice as usize);
        Ok(slice.map_or((0, 0), |slice| (slice.from, slice.to)))
    }

    /// Where a group of a slice is in the file.
    pub(super) fn group_range(&self, slice: &Slice, group: u32) -> Result<Range<u64>, SegmentError> {
        let Some((bytes, _)) = self.slices.get() else {
            return Ok(0..0);
        };
        let at = slice.offsets.start + group as usize * 8;
        let read = || {
            let mut cursor = Cursor::new(bytes.region.get(at..slice.offsets.end).unwrap_or(&[]));
            Ok(cursor.u64("offset of a group")?..cursor.u64("offset of a group")?)
        };
        read().map_err(|corrupt| self.corrupt(bytes.offset, corrupt))
    }

    /// Where histograms are, by row and slice.
    pub(super) fn histogram_places(&self) -> Result<&[HistogramPlace], SegmentError> {
        if let Some(places) = self.histograms.get() {
            return Ok(places);
        }
        let Some(section) = self.find(SectionKind::Histograms) else {
            return Ok(&[]);
        };
        let bytes = self.load(section)?;
        let mut cursor = Cursor::new(&bytes.region);
        let mut read = || {
            let mut places = Vec::with_capacity(bytes.region.len() / 20);
            while !cursor.is_empty() {
                places.push(HistogramPlace {
                    row: cursor.u32("row of a histogram")?,
                    slice: cursor.u32("slice of a histogram")?,
                    offset: cursor.u64("offset of a histogram")?,
                    length: cursor.u32("length of a histogram")?,
                });
            }
            Ok(places)
        };
        let places = read().map_err(|corrupt| self.corrupt(bytes.offset, corrupt))?;
        Ok(self.histograms.get_or_init(|| places))
    }

    /// Whether blob `number` was verified before; marks it as verified.
    pub(super) fn is_verified(&self, number: usize) -> bool {
        let blobs = self.slices.get().map_or(0, |slices| slices.1.len()) * (self.groups() + 1);
        let bits = self
            .verified
            .get_or_init(|| (0..blobs.div_ceil(64)).map(|_| AtomicU64::new(0)).collect());
        let bit = 1 << (number % 64);
        bits.get(number / 64)
            .is_some_and(|word| word.load(Ordering::Acquire) & bit != 0)
    }

    pub(super) fn set_verified(&self, number: usize) {
        if let Some(word) = self.verified.get().and_then(|bits| bits.get(number / 64)) {
            word.fetch_or(1 << (number % 64), Ordering::AcqRel);
        }
    }

    /// Notes that a part does not answer any more.
    pub(crate) fn quarantine(&self, part: Quarantined) {
        let mut quarantine = self.quarantine.lock().unwrap_or_else(PoisonError::into_inner);
        if !quarantine.contains(&part) {
            tracing::error!(file = %part.file.display(), place = ?part.place, reason = part.reason, "quarantined");
            quarantine.push(part);
        }
    }

    pub(crate) fn quarantined(&self) -> Vec<Quarantined> {
        self.quarantine
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

pub(super) fn corrupt_file(path: &Path, offset: u64, corrupt: Corrupt) -> CorruptFile {
    CorruptFile {
        file: path.to_owned(),
        offset: offset + corrupt.offset,
        what: corrupt.what,
    }
}
