//! The cardinality sketch of a segment: the sealed one, or one of the rows that a time range wants.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::layout::SectionKind;
use super::reader::{Segment, SegmentError};
use crate::base::hash;
use crate::index::SegmentIndexWriter;
use crate::model::labels::LabelsRef;
use crate::sketch::Sketch;

/// A smaller segment has no sketch: reading its labels takes some ten milliseconds.
const ROWS_MIN: u32 = 16_384;

/// The section of a segment with these rows, if it gets one.
pub(super) fn sealed(rows: &SegmentIndexWriter, hashes: &[u8]) -> Option<Vec<u8>> {
    (rows.row_count() >= ROWS_MIN).then(|| Sketch::of(rows, hashes).encode())
}

impl Segment {
    /// The sealed sketch, if there is one.
    pub(crate) fn sketch(&self) -> Result<Option<Sketch>, SegmentError> {
        let Some(section) = self.find(SectionKind::Sketch) else {
            return Ok(None);
        };
        let bytes = self.load(section)?;
        let sketch =
            Sketch::decode(&bytes.region).map_err(|corrupt| self.corrupt(section.offset, corrupt))?;
        Ok(Some(sketch))
    }

    /// A sketch of the rows whose time bounds overlap `from..=to`, from their labels.
    pub(crate) fn sketch_of_rows(&self, from: i64, to: i64) -> Result<Sketch, SegmentError> {
        let mut cursor = self.index()?.label_cursor();
        let (mut rows, mut hashes, mut labels) = (SegmentIndexWriter::new(), Vec::new(), Vec::new());
        let is_whole = from <= self.meta.time_min && self.meta.time_max <= to;
        for row in 0..self.rows() {
            if !is_whole {
                let (first, last) = self.time_bounds(row)?;
                if first > to || last < from {
                    continue;
                }
            }
            let read = cursor.labels(row, &mut labels);
            read.and_then(|()| LabelsRef::check(&labels).map(drop))
                .map_err(|corrupt| self.index_error(corrupt))?;
            hashes.extend_from_slice(&hash::hash_128(&labels).to_le_bytes());
            rows.push(LabelsRef::new(&labels));
        }
        Ok(Sketch::of(&rows, &hashes))
    }
}
