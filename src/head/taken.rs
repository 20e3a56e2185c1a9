//! Data on its way from a series to a frozen generation: taken in a moment, sealed when somebody reads it.

use super::series::{Extra, SealedChunk};
use super::series_data::SeriesData;
use crate::chunk::{Encoding, XorAppender};

/// The data of a series as it was taken out of the head. A commit may wait for that, so nothing is copied or allocated
/// before [`TakenData::seal`].
#[derive(Debug, Default)]
pub(crate) struct TakenData {
    pub(super) open_first: i64,
    pub(super) open: XorAppender,
    pub(super) extra: Option<Box<Extra>>,
}

impl TakenData {
    /// The data in its final form.
    pub(crate) fn seal(self) -> SeriesData {
        let mut extra = self.extra.unwrap_or_default();
        if self.open.count() > 0 {
            extra.sealed.push(sealed_floats(self.open_first, &self.open));
        }
        extra.seal_histogram();
        SeriesData {
            chunks: extra.sealed,
            late: extra.late,
            starts: extra.starts,
            exemplars: extra.exemplars,
            rare: extra.rare,
        }
    }
}

/// A copy of an open float chunk that begins at `first_timestamp`.
pub(super) fn sealed_floats(first_timestamp: i64, open: &XorAppender) -> SealedChunk {
    SealedChunk {
        first_timestamp,
        last_timestamp: open.last().0,
        encoding: Encoding::Xor,
        count: open.count(),
        bytes: open.to_shared(),
    }
}
