//! The segments of a database, for people and tools.

use super::Engine;
use crate::segment::meta::SegmentMeta;
use std::path::PathBuf;

/// A segment of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentInfo {
    /// Its file.
    pub file: PathBuf,
    /// Length of the file.
    pub bytes: u64,
    /// What it says of itself.
    pub meta: SegmentMeta,
    /// Bytes by part; they add up to the file.
    pub parts: Vec<(&'static str, u64)>,
}

impl Engine {
    /// The segments with samples, in order of their LSNs.
    pub(crate) fn segments(&self) -> Vec<SegmentInfo> {
        let view = self.view.load_full();
        let infos = view.segments.iter().map(|segment| SegmentInfo {
            file: segment.path().to_owned(),
            bytes: segment.file_bytes(),
            meta: segment.meta.clone(),
            parts: segment.parts(),
        });
        infos.collect()
    }
}
