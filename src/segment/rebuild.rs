//! Making anew what a segment can lose without losing data: its header, the postings, the label hashes, the
//! time bounds and the sketch. All of it follows from the labels of the rows and from their samples.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::bounds;
use super::compress::Compressor;
use super::layout::{self, HEADER_BYTES, Section, SectionKind};
use super::parts::NAMES;
use super::read::ReadCache;
use super::reader::{Segment, SegmentError};
use super::writer::WriteError;
use crate::base::bytes::Corrupt;
use crate::base::hash;
use crate::index::{Compression, SegmentIndex, SegmentIndexWriter};
use crate::io::{AtomicFile, Fs};
use crate::model::labels::{self, LabelsRef};
use crate::model::samples::Samples;
use crate::sketch::Sketch;
use std::path::Path;
use std::sync::Arc;

/// Bytes of the data that are copied at a time.
const PIECE_BYTES: u64 = 1 << 20;

const DERIVED: [SectionKind; 4] = [
    SectionKind::Postings,
    SectionKind::Hashes,
    SectionKind::Bounds,
    SectionKind::Sketch,
];

/// A segment that opens apart from its header, and what of it is damaged.
#[derive(Debug)]
pub(crate) struct Patient {
    pub(crate) segment: Segment,
    is_header_damaged: bool,
    /// Kinds of the sections that do not pass their checksum.
    damaged: Vec<u16>,
}

impl Patient {
    /// Opens a segment of this version, whatever its header looks like, and reads its sections.
    pub(crate) fn open(
        fs: &Arc<dyn Fs>,
        path: &Path,
        sequence: u64,
        mmap: bool,
    ) -> Result<Self, SegmentError> {
        let (segment, header) = Segment::open_apart(fs, path, sequence, mmap)?;
        let is_header_damaged = match header {
            Err(corrupt) if corrupt.what == layout::NEWER => return Err(segment.corrupt(0, corrupt)),
            header => header.is_err(),
        };
        let mut damaged = Vec::new();
        for section in &segment.sections {
            match segment.load(section) {
                Err(SegmentError::Corrupt(_)) => damaged.push(section.kind),
                other => other.map(drop)?,
            }
        }
        Ok(Self {
            segment,
            is_header_damaged,
            damaged,
        })
    }

    fn is_damaged(&self, kind: SectionKind) -> bool {
        self.damaged.contains(&(kind as u16))
    }

    /// What is damaged and can be made anew, by its names; nothing if something else is damaged as well that it would
    /// have to be made from.
    pub(crate) fn derivable(&self) -> Vec<&'static str> {
        let is_derived = |kind: &u16| DERIVED.iter().any(|derived| *derived as u16 == *kind);
        if !self.damaged.iter().all(is_derived) {
            return Vec::new();
        }
        let header = self.is_header_damaged.then_some("header");
        let sections = NAMES.iter().filter(|(kind, _)| self.is_damaged(*kind));
        header
            .into_iter()
            .chain(sections.map(|(_, name)| *name))
            .collect()
    }

    /// Writes the segment to `path` with what was damaged made anew.
    pub(crate) fn rebuild(
        &self,
        fs: &Arc<dyn Fs>,
        path: &Path,
        compressor: Compressor,
    ) -> Result<(), WriteError> {
        let anew = self.make_anew(compressor)?;
        let (segment, mut sections) = (&self.segment, Vec::new());
        let mut file = AtomicFile::create(fs, path)?;
        file.write(&layout::header())?;
        let starts = segment.sections.iter().map(|section| section.offset);
        let end = starts.min().unwrap_or(HEADER_BYTES as u64);
        while file.offset() < end {
            let to = end.min(file.offset() + PIECE_BYTES);
            file.write(&segment.view.region(file.offset()..to)?)?;
        }
        for section in &segment.sections {
            let offset = file.offset();
            if let Some((_, raw)) = anew.iter().find(|(kind, _)| *kind as u16 == section.kind) {
                sections.push(Section {
                    compressor: Compressor::None,
                    offset,
                    stored_length: raw.len() as u64,
                    raw_length: raw.len() as u64,
                    checksum: hash::checksum(raw),
                    ..*section
                });
                file.write(raw)?;
            } else {
                let range = section.offset..section.offset + section.stored_length;
                sections.push(Section { offset, ..*section });
                file.write(&segment.view.region(range)?)?;
            }
        }
        file.write(&layout::write_table(&sections, file.offset()))?;
        file.finish()?;
        Ok(())
    }

    fn make_anew(&self, compressor: Compressor) -> Result<Vec<(SectionKind, Vec<u8>)>, SegmentError> {
        let mut anew = Vec::new();
        let mut index = SegmentIndexWriter::new();
        let mut hashes = Vec::new();
        self.segment.each_labels(|labels| {
            index.push(LabelsRef::new(labels));
            hashes.extend_from_slice(&hash::hash_128(labels).to_le_bytes());
        })?;
        if self.is_damaged(SectionKind::Sketch) {
            anew.push((SectionKind::Sketch, Sketch::of(&index, &hashes).encode()));
        }
        if self.is_damaged(SectionKind::Postings) {
            // All three of one writer: postings count names and values in the order of the symbols.
            let parts = index.finish(match compressor {
                Compressor::Zstd => Compression::Zstd,
                Compressor::None | Compressor::Snappy => Compression::None,
            });
            anew.push((SectionKind::Symbols, parts.symbols));
            anew.push((SectionKind::Series, parts.series));
            anew.push((SectionKind::Postings, parts.postings));
        }
        if self.is_damaged(SectionKind::Hashes) {
            anew.push((SectionKind::Hashes, hashes));
        }
        if self.is_damaged(SectionKind::Bounds) {
            let mut raw = Vec::new();
            bounds::write(&self.segment.decoded_bounds()?, &mut raw);
            anew.push((SectionKind::Bounds, raw));
        }
        Ok(anew)
    }
}

impl Segment {
    /// Shows the labels of every row in order, without need of the postings.
    fn each_labels(&self, mut each: impl FnMut(&[u8])) -> Result<(), SegmentError> {
        let symbols = self.section(SectionKind::Symbols)?;
        let series = self.section(SectionKind::Series)?;
        let at = |corrupt| self.index_error(corrupt);
        let index = SegmentIndex::without_postings(&symbols.region, &series.region).map_err(at)?;
        if index.row_count() != self.rows() {
            return Err(at(Corrupt::new("number of rows of the index", 0)));
        }
        let mut cursor = index.label_cursor();
        let (mut before, mut found) = (Vec::new(), Vec::new());
        for row in 0..self.rows() {
            cursor.labels(row, &mut found).map_err(at)?;
            LabelsRef::check(&found).map_err(at)?;
            if row > 0 && labels::compare(&before, &found).is_ge() {
                return Err(at(Corrupt::new("order of rows", 0)));
            }
            each(&found);
            std::mem::swap(&mut before, &mut found);
        }
        Ok(())
    }

    /// First and last timestamp of every row, from its samples.
    fn decoded_bounds(&self) -> Result<Vec<(i64, i64)>, SegmentError> {
        let (mut cache, mut samples) = (ReadCache::default(), Samples::default());
        let mut all = Vec::with_capacity(self.rows() as usize);
        let always = (i64::MIN, i64::MAX);
        for row in 0..self.rows() {
            let mut bounds = (i64::MAX, i64::MIN);
            let columns = self.columns() as u32;
            let slices = self.slices_within(always.0, always.1)?;
            for (slice, column) in slices.flat_map(|slice| (0..columns).map(move |column| (slice, column))) {
                self.read_of_column(row, column, slice, always, &mut cache, &mut samples)?;
                if let Some((first, last)) = samples.bounds() {
                    bounds = (bounds.0.min(first), bounds.1.max(last));
                }
            }
            all.push(bounds);
        }
        Ok(all)
    }
}
