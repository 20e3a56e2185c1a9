//! What a database accepts.

use super::report::Reject;
use crate::model::labels::LabelsRef;

/// Limits on what is written. Samples beyond a limit are refused and reported, never cut short.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Longest label name in bytes. Default 1,024.
    pub label_name_bytes_max: usize,
    /// Longest label value in bytes. Default 16,384.
    pub label_value_bytes_max: usize,
    /// Most labels of a series. Default 128.
    pub labels_per_series_max: usize,
    /// Most series in memory at once. Default 200 million.
    pub series_max: usize,
    /// Longest label set of an exemplar in characters, names and values together. Default 4,096.
    pub exemplar_chars_max: usize,
    /// How far a timestamp may lie in the future, in the database's unit of time; `None` = no limit, the default.
    pub future_max: Option<i64>,
}

impl Limits {
    /// Why a series with these labels is refused, if it is.
    pub(crate) fn refusal(&self, labels: LabelsRef<'_>) -> Option<Reject> {
        let mut count = 0;
        for (name, value) in labels.byte_pairs() {
            count += 1;
            if name.len() > self.label_name_bytes_max {
                return Some(Reject::LabelNameTooLong);
            }
            if value.len() > self.label_value_bytes_max {
                return Some(Reject::LabelValueTooLong);
            }
        }
        match count {
            0 => Some(Reject::InvalidLabels),
            count if count > self.labels_per_series_max => Some(Reject::TooManyLabels),
            _ => None,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            label_name_bytes_max: 1024,
            label_value_bytes_max: 16 * 1024,
            labels_per_series_max: 128,
            series_max: 200_000_000,
            exemplar_chars_max: 4096,
            future_max: None,
        }
    }
}
