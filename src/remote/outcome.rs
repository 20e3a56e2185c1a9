//! What became of a request.

use crate::base::bytes::Corrupt;
use crate::head::report::{CommitReport, Rejection};
use crate::head::stage::Payload;
use std::fmt::Write as _;

/// Why nothing of a request was taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("the body is no snappy block: {0}")]
    Snappy(String),
    #[error("the body grows to {bytes} bytes, allowed are {bytes_max}")]
    TooLarge { bytes: usize, bytes_max: usize },
    #[error("the body is no such protobuf message: {what} at byte {offset}", what = .0.what, offset = .0.offset)]
    Protobuf(#[from] Corrupt),
}

/// What a write request stored, or found stored with the same bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) samples: usize,
    pub(crate) histograms: usize,
    pub(crate) exemplars: usize,
}

impl Written {
    pub(crate) fn of(report: &CommitReport) -> Self {
        Self {
            samples: report.floats + report.duplicates - report.duplicate_histograms,
            histograms: report.histograms + report.duplicate_histograms,
            exemplars: report.exemplars + report.duplicate_exemplars,
        }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            samples: self.samples + other.samples,
            histograms: self.histograms + other.histograms,
            exemplars: self.exemplars + other.exemplars,
        }
    }

    /// Counts an entry of a batch.
    pub(crate) fn count(&mut self, payload: &Payload) {
        match payload {
            Payload::Float(_) | Payload::Correction(_) => self.samples += 1,
            Payload::Histogram(_) => self.histograms += 1,
            Payload::Exemplar(_) => self.exemplars += 1,
            Payload::Refused(_) => {}
        }
    }

    pub(crate) fn total(&self) -> usize {
        self.samples + self.histograms + self.exemplars
    }
}

/// What a refusal says at most: Prometheus logs so much of an answer.
const MESSAGE_BYTES_MAX: usize = 1024;

/// What a sender is told whose request was stored in part or not at all: counts, then the first of each kind.
pub(crate) fn message(written: Written, rejected: &[Rejection]) -> String {
    let refused: usize = rejected.iter().map(|rejection| rejection.count).sum();
    let total = written.total();
    let mut text = format!("stored {total}, refused {refused} of {}", total + refused);
    let counts: Vec<String> = rejected
        .iter()
        .map(|rejection| format!("{} {}", rejection.count, rejection.reason))
        .collect();
    // Writing to a string does not fail.
    let _ = write!(text, " ({})", counts.join(", "));
    for rejection in rejected {
        let _ = write!(text, "; {}: {}", rejection.reason, rejection.example);
    }
    cut(&mut text, MESSAGE_BYTES_MAX);
    text
}

/// Cuts a text that is too long, at the end of a character.
fn cut(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        let end = (0..=bytes_max - 3).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or(0));
        text.push_str("...");
    }
}
