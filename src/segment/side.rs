//! Sections that most segments lack: start timestamps, classes, exemplars, metadata.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::events;
use super::layout::SectionKind;
use super::reader::{Segment, SegmentError};
use crate::base::bytes::Corrupt;
use crate::model::exemplar::Exemplar;
use crate::model::starts::StartRuns;
use std::collections::BTreeMap;

impl Segment {
    /// Start timestamps by row.
    pub(super) fn starts(&self) -> Result<&BTreeMap<u32, StartRuns>, SegmentError> {
        if let Some(starts) = self.starts.get() {
            return Ok(starts);
        }
        let starts = self.optional(SectionKind::Starts, events::read_starts)?;
        Ok(self.starts.get_or_init(|| starts))
    }

    /// Classes of samples that are not ordinary, by row.
    pub(super) fn classes(&self) -> Result<&events::ClassesByRow, SegmentError> {
        if let Some(classes) = self.classes.get() {
            return Ok(classes);
        }
        let classes = self.optional(SectionKind::Classes, events::read_classes)?;
        Ok(self.classes.get_or_init(|| classes))
    }

    /// Exemplars by row.
    pub(crate) fn exemplars(&self) -> Result<BTreeMap<u32, Vec<Exemplar>>, SegmentError> {
        self.optional(SectionKind::Exemplars, events::read_exemplars)
    }

    /// Metadata that came with this segment's samples.
    pub(crate) fn metadata(&self) -> Result<events::MetadataByMetric, SegmentError> {
        self.optional(SectionKind::Metadata, events::read_metadata)
    }

    fn optional<T: Default>(
        &self,
        kind: SectionKind,
        read: impl Fn(&[u8]) -> Result<T, Corrupt>,
    ) -> Result<T, SegmentError> {
        let Some(section) = self.find(kind) else {
            return Ok(T::default());
        };
        let bytes = self.load(section)?;
        read(&bytes.region).map_err(|corrupt| self.corrupt(bytes.offset, corrupt))
    }
}
