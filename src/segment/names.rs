//! The names of everything in a database folder.
//!
//! Names are made of a sequence number of fixed width, so that listing a folder gives the order of creation; times
//! stand inside the files, where they may be negative.

use std::path::{Path, PathBuf};

/// The one commit point.
pub(crate) const MANIFEST: &str = "MANIFEST";

/// Folder for files that are put aside.
pub(crate) const QUARANTINE: &str = "quarantine";

/// Folder for snapshots that were asked for over HTTP.
pub(crate) const SNAPSHOTS: &str = "snapshots";

/// Folder for backups that were asked for over HTTP.
pub(crate) const BACKUPS: &str = "backups";

/// Folder for logs, events and columns, and the same while it is made.
pub(crate) const RECORDS: &str = "records";
pub(crate) const RECORDS_UNFINISHED: &str = "records.new";

/// The blocks of Prometheus that were taken in.
pub(crate) const IMPORTED_BLOCKS: &str = "imported-blocks";

/// Logs, events and columns in a backup.
pub(crate) const RECORDS_DUMP: &str = "RECORDS";

const CHECKPOINT_PREFIX: &str = "checkpoint-";
const CHECKPOINT_SUFFIX: &str = ".ckpt";
const SEGMENT_PREFIX: &str = "segment-";
const SEGMENT_SUFFIX: &str = ".seg";
const SUMMARY_SUFFIX: &str = ".json";

/// `segment-<16 digits>.seg`
pub(crate) fn segment(dir: &Path, sequence: u64) -> PathBuf {
    dir.join(format!("{SEGMENT_PREFIX}{sequence:016}{SEGMENT_SUFFIX}"))
}

/// The page for people beside a segment: `segment-<16 digits>.json`
pub(crate) fn summary(dir: &Path, sequence: u64) -> PathBuf {
    dir.join(format!("{SEGMENT_PREFIX}{sequence:016}{SUMMARY_SUFFIX}"))
}

/// `checkpoint-<16 digits>.ckpt`
pub(crate) fn checkpoint(dir: &Path, sequence: u64) -> PathBuf {
    dir.join(format!("{CHECKPOINT_PREFIX}{sequence:016}{CHECKPOINT_SUFFIX}"))
}

/// The sequence number of a segment's file name.
pub(crate) fn segment_sequence(name: &str) -> Option<u64> {
    sequence_between(name, SEGMENT_PREFIX, SEGMENT_SUFFIX)
}

/// The sequence number in the name of the page beside a segment.
pub(crate) fn summary_sequence(name: &str) -> Option<u64> {
    sequence_between(name, SEGMENT_PREFIX, SUMMARY_SUFFIX)
}

/// The sequence number of a checkpoint's file name.
pub(crate) fn checkpoint_sequence(name: &str) -> Option<u64> {
    sequence_between(name, CHECKPOINT_PREFIX, CHECKPOINT_SUFFIX)
}

fn sequence_between(name: &str, prefix: &str, suffix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
    (digits.len() == 16).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_sort() {
        let path = segment(Path::new("d"), 42);
        assert_eq!(path, Path::new("d/segment-0000000000000042.seg"));
        assert_eq!(segment_sequence("segment-0000000000000042.seg"), Some(42));
        assert_eq!(segment_sequence("segment-42.seg"), None);
        assert_eq!(segment_sequence("segment-0000000000000042.seg.tmp"), None);
    }
}
