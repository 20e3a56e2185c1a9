//! How many bytes of a segment each of its parts takes.

use super::layout::SectionKind;
use super::reader::Segment;

/// Sections by their name for people.
pub(super) const NAMES: [(SectionKind, &str); 15] = [
    (SectionKind::Symbols, "symbols"),
    (SectionKind::Series, "series table"),
    (SectionKind::Postings, "postings"),
    (SectionKind::Hashes, "label hashes"),
    (SectionKind::Sketch, "sketch"),
    (SectionKind::Bounds, "time bounds"),
    (SectionKind::Places, "places"),
    (SectionKind::Slices, "slices"),
    (SectionKind::Windows, "windows"),
    (SectionKind::Histograms, "histogram places"),
    (SectionKind::Starts, "start timestamps"),
    (SectionKind::Classes, "classes"),
    (SectionKind::Exemplars, "exemplars"),
    (SectionKind::Metadata, "metadata"),
    (SectionKind::Meta, "segment metadata"),
];

impl Segment {
    /// Parts with their bytes in the file, which add up to the file: the samples, each section, and the frame around
    /// them.
    pub(crate) fn parts(&self) -> Vec<(&'static str, u64)> {
        let stored = |kind| self.find(kind).map_or(0, |section| section.stored_length);
        let sections: Vec<_> = NAMES.iter().map(|(kind, name)| (*name, stored(*kind))).collect();
        // Data blobs stand between the header and the first section.
        let first = self.sections.iter().map(|section| section.offset).min();
        let data = first
            .unwrap_or(0)
            .saturating_sub(super::layout::HEADER_BYTES as u64);
        let named = data + sections.iter().map(|part| part.1).sum::<u64>();
        let mut parts = vec![("samples", data)];
        parts.extend(sections);
        parts.push(("frame", self.file_bytes().saturating_sub(named)));
        parts.retain(|part| part.1 > 0);
        parts
    }
}
