//! Opening the segments that a manifest names: those with samples, and tiles.

use super::RecoveryReport;
use super::manifest::{Manifest, SegmentEntry};
use super::options::Options;
use super::tiles::{self, Tile};
use crate::rollup;
use crate::segment::names;
use crate::segment::reader::{Quarantined, Segment};
use std::path::Path;
use std::sync::Arc;

/// Opens what opens; the rest is reported.
pub(super) fn open_segments(
    options: &Options,
    dir: &Path,
    manifest: &Manifest,
    report: &mut RecoveryReport,
) -> (Vec<Arc<Segment>>, Vec<Arc<Tile>>) {
    let mut segments = Vec::with_capacity(manifest.segments.len());
    let mut tiles = Vec::new();
    for entry in &manifest.segments {
        let path = names::segment(dir, entry.sequence);
        match Segment::open(&options.fs, &path, entry.sequence, options.mmap) {
            Ok(segment) if is_named(&segment, entry) => {
                let segment = Arc::new(segment);
                if !entry.is_tile() {
                    segments.push(segment);
                    continue;
                }
                match Tile::new(segment, entry) {
                    Ok(tile) => tiles.push(Arc::new(tile)),
                    Err(error) => quarantine(report, &path, entry, error.to_string()),
                }
            }
            Ok(_) => quarantine(
                report,
                &path,
                entry,
                "another segment than the manifest names".into(),
            ),
            Err(error) => quarantine(report, &path, entry, error.to_string()),
        }
    }
    tiles::sort(&mut tiles);
    (segments, tiles)
}

fn is_named(segment: &Segment, entry: &SegmentEntry) -> bool {
    let columns = if entry.is_tile() { rollup::COLUMNS } else { 1 };
    segment.meta.ulid == entry.ulid && segment.columns() == columns
}

fn quarantine(report: &mut RecoveryReport, path: &Path, entry: &SegmentEntry, reason: String) {
    tracing::error!(file = %path.display(), reason, "a segment does not open");
    // Without a rollup no sample is missing.
    let (time_min, time_max) = if entry.is_tile() {
        (i64::MAX, i64::MIN)
    } else {
        (entry.time_min, entry.time_max)
    };
    report.quarantined.push(Quarantined {
        file: path.to_owned(),
        time_min,
        time_max,
        place: (u32::MAX, u32::MAX),
        reason,
    });
}
