//! `verify`: every checksum of the database, read and compared.

use super::Engine;
use super::error::Error;
use super::manifest::Manifest;

/// What verifying a database found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Segments that were read.
    pub segments: usize,
    /// Tiles, the files of rollups, that were read.
    pub tiles: usize,
    /// Samples in segments that decode.
    pub samples: u64,
    /// Log records that were read when the database was opened.
    pub log_records: u64,
    /// Logs, events and values of columns that were read.
    pub records: u64,
    /// What is wrong, in words, with file and offset.
    pub faults: Vec<String>,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }
}

impl Engine {
    /// Reads everything that has a checksum. The log was read when the database was opened.
    pub(crate) fn verify(&self) -> Result<VerifyReport, Error> {
        let mut report = VerifyReport {
            log_records: self.recovery.records,
            ..VerifyReport::default()
        };
        report.faults.extend(self.recovery.gaps.iter().cloned());
        report
            .faults
            .extend(self.recovery.quarantined.iter().map(|lost| lost.reason.clone()));
        if !self.is_in_memory() {
            let dir = self.dir();
            match Manifest::read(&self.options.fs, dir) {
                Ok(Some(_)) => {}
                Ok(None) => report
                    .faults
                    .push(format!("{}: the manifest is gone", dir.display())),
                Err(error) => report.faults.push(error.to_string()),
            }
        }
        let view = self.view.load_full();
        for segment in &view.segments {
            let check = segment.verify();
            report.segments += 1;
            report.samples += check.samples;
            report.faults.extend(check.faults);
        }
        for tile in view.tiles.iter() {
            report.tiles += 1;
            report.faults.extend(tile.segment.verify().faults);
        }
        Ok(report)
    }
}
