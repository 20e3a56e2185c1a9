//! What the writers of segments have in common: the number of a new file, what it says of itself, and the page beside it.

use super::Engine;
use super::error::Error;
use crate::io;
use crate::segment::meta::{self, SegmentMeta};
use crate::segment::reader::Segment;
use crate::segment::{names, summary};
use std::sync::Arc;

impl Engine {
    /// Takes the number of the next segment.
    pub(super) fn next_sequence(&self) -> u64 {
        let mut manifest = self.lock_manifest();
        manifest.next_sequence += 1;
        manifest.next_sequence - 1
    }

    /// A segment that is written now, made of nothing but itself.
    pub(super) fn new_meta(&self, sequence: u64) -> SegmentMeta {
        let created_ms = self.options.clock.now_ms();
        let database_id = self.database_id();
        let unique = format!("{database_id} {sequence} {created_ms}");
        let ulid = meta::make_ulid(created_ms, unique.as_bytes());
        SegmentMeta {
            ulid,
            writer_id: database_id,
            external_labels: self.options.external_labels.clone(),
            sources: vec![ulid],
            created_ms,
            ..SegmentMeta::default()
        }
    }

    /// Opens a segment that was written, with a page for people beside it.
    pub(super) fn open_new(
        &self,
        sequence: u64,
        (meta, bytes): (SegmentMeta, u64),
    ) -> Result<Arc<Segment>, Error> {
        let (fs, dir) = (&self.options.fs, self.dir());
        let text = summary::text(&meta, self.precision.as_str(), bytes);
        // The page is a convenience: without it nothing is lost.
        if let Err(error) = io::write_file(fs, &names::summary(dir, sequence), text.as_bytes()) {
            tracing::warn!(%error, "no summary beside the segment");
        }
        let path = names::segment(dir, sequence);
        Ok(Arc::new(Segment::open(fs, &path, sequence, self.options.mmap)?))
    }
}
