//! How many bytes of a segment belong to each row, as far as that can be said: a group has the samples of up to 16 rows in one
//! piece, so each of them counts for an even part of it.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::reader::{Segment, SegmentError};
use std::collections::BTreeMap;

/// The bytes of each row; all of them together are the file.
#[derive(Debug)]
pub(crate) struct RowShares<'a> {
    segment: &'a Segment,
    /// Of what belongs to all rows alike: labels, index, timestamp columns.
    per_row: f64,
    /// For a row of each group.
    per_member: Vec<f64>,
    /// By row.
    histograms: BTreeMap<u32, u64>,
}

impl Segment {
    /// Reads where things lie, and none of the samples.
    pub(crate) fn row_shares(&self) -> Result<RowShares<'_>, SegmentError> {
        // Without slices there are no groups; with one, the file has room for the offsets of all of them.
        let groups = if self.slices()?.is_empty() {
            0
        } else {
            self.groups()
        };
        let (mut bytes, mut members) = (vec![0_u64; groups], vec![0_u32; groups]);
        for slice in self.slices()? {
            for (number, bytes) in bytes.iter_mut().enumerate() {
                let range = self.group_range(slice, number as u32)?;
                *bytes += range.end.saturating_sub(range.start);
            }
        }
        for row in (0..self.rows()).filter(|_| groups > 0) {
            if let Some(members) = members.get_mut(self.place(row)?.0 as usize) {
                *members += 1;
            }
        }
        let mut histograms = BTreeMap::new();
        for place in self.histogram_places()? {
            *histograms.entry(place.row).or_default() += u64::from(place.length);
        }
        let placed = bytes.iter().sum::<u64>() + histograms.values().sum::<u64>();
        let rest = self.file_bytes().saturating_sub(placed);
        let per_member = bytes.iter().zip(&members);
        Ok(RowShares {
            segment: self,
            per_row: rest as f64 / f64::from(self.rows().max(1)),
            per_member: per_member
                .map(|(bytes, members)| *bytes as f64 / f64::from((*members).max(1)))
                .collect(),
            histograms,
        })
    }
}

impl RowShares<'_> {
    /// The bytes of a row.
    pub(crate) fn of(&self, row: u32) -> Result<f64, SegmentError> {
        let group = match self.per_member.is_empty() {
            true => 0,
            false => self.segment.place(row)?.0 as usize,
        };
        let floats = self.per_member.get(group).copied().unwrap_or(0.0);
        let histograms = self.histograms.get(&row).copied().unwrap_or(0);
        Ok(self.per_row + floats + histograms as f64)
    }
}
