//! Reads every byte of a segment that has a checksum, and decodes what it covers.

use super::read::ReadCache;
use super::reader::{Segment, SegmentError};
use crate::base::hash;
use crate::model::labels::LabelsRef;
use crate::model::samples::Samples;

/// What verifying a segment found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct SegmentCheck {
    /// Samples that decode.
    pub(crate) samples: u64,
    /// What is wrong, in words, with file and offset.
    pub(crate) faults: Vec<String>,
}

impl Segment {
    /// Verifies every section, every label set and every sample.
    pub(crate) fn verify(&self) -> SegmentCheck {
        let mut check = SegmentCheck::default();
        for section in &self.sections {
            if let Err(error) = self.load(section) {
                check.faults.push(error.to_string());
            }
        }
        if let Err(error) = self.verify_rows(&mut check) {
            check.faults.push(error.to_string());
        }
        if let Err(error) = self
            .exemplars()
            .map(drop)
            .and_then(|()| self.metadata().map(drop))
        {
            check.faults.push(error.to_string());
        }
        if let Err(error) = self.verify_sketch(&mut check) {
            check.faults.push(error.to_string());
        }
        let expected = self.meta.floats + self.meta.histograms;
        if check.faults.is_empty() && check.samples != expected {
            let file = self.path().display();
            check.faults.push(format!(
                "{file}: {} samples decode, the metadata says {expected}",
                check.samples
            ));
        }
        check.faults.dedup();
        check
    }

    /// Whether the sealed sketch, if there is one, is of the rows. Which names and metrics are in it is left to who
    /// wrote it.
    fn verify_sketch(&self, check: &mut SegmentCheck) -> Result<(), SegmentError> {
        if let Some(sketch) = self.sketch()?
            && sketch.series != self.sketch_of_rows(i64::MIN, i64::MAX)?.series
        {
            let file = self.path().display();
            check
                .faults
                .push(format!("{file}: the sketch is of other series"));
        }
        Ok(())
    }

    fn verify_rows(&self, check: &mut SegmentCheck) -> Result<(), SegmentError> {
        let index = self.index()?;
        let mut cursor = index.label_cursor();
        let (mut before, mut labels) = (Vec::new(), Vec::new());
        let mut cache = ReadCache::default();
        let mut samples = Samples::default();
        let slices = self.slices_within(i64::MIN, i64::MAX)?;
        for row in 0..self.rows() {
            cursor
                .labels(row, &mut labels)
                .map_err(|corrupt| self.index_error(corrupt))?;
            LabelsRef::check(&labels).map_err(|corrupt| self.index_error(corrupt))?;
            if self.hash(row)?.0 != hash::hash_128(&labels) {
                check.faults.push(format!(
                    "{}: label hash of row {row} is wrong",
                    self.path().display()
                ));
            }
            if row > 0 && crate::model::labels::compare(&before, &labels).is_ge() {
                check
                    .faults
                    .push(format!("{}: row {row} is out of order", self.path().display()));
            }
            std::mem::swap(&mut before, &mut labels);
            let columns = self.columns() as u32;
            let parts = slices
                .clone()
                .flat_map(|slice| (0..columns).map(move |column| (slice, column)));
            for (slice, column) in parts {
                let all = (i64::MIN, i64::MAX);
                match self.read_of_column(row, column, slice, all, &mut cache, &mut samples) {
                    Ok(()) => check.samples += samples.len() as u64,
                    Err(error) => {
                        let fault = error.to_string();
                        if check.faults.last() != Some(&fault) {
                            check.faults.push(fault);
                        }
                    }
                }
            }
        }
        Ok(())
    }
}
