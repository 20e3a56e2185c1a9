//! The values of a label in a segment, as a sorted walk over those that wanted rows have.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::posting_lists::ListCursor;
use super::rows::RowUnion;
use super::symbols::ValueCursor;
use crate::base::bytes::Corrupt;
use roaring::RoaringBitmap;

/// Which values of a walk count.
#[derive(Debug)]
pub(super) enum Wanted<'a> {
    All,
    /// Values with these ranks.
    Ranks(RoaringBitmap),
    /// Values that one of these rows has.
    Rows(&'a RoaringBitmap),
}

/// Walks over the sorted values of a label.
#[derive(Debug)]
pub(crate) struct SegmentValues<'a> {
    cursor: ValueCursor<'a>,
    lists: ListCursor<'a>,
    count: u64,
    wanted: Wanted<'a>,
}

impl<'a> SegmentValues<'a> {
    pub(super) fn new(
        cursor: ValueCursor<'a>,
        lists: ListCursor<'a>,
        wanted: Wanted<'a>,
    ) -> Result<Self, Corrupt> {
        let mut walk = Self {
            cursor,
            lists,
            count: 0,
            wanted,
        };
        walk.settle()?;
        Ok(walk)
    }

    /// Steps to the first value from here on that is wanted.
    fn settle(&mut self) -> Result<(), Corrupt> {
        while !self.cursor.is_done() {
            let rank = self.cursor.rank();
            let list = self.lists.seek(rank)?;
            self.count = list.count;
            let is_wanted = match &self.wanted {
                Wanted::All => true,
                Wanted::Ranks(ranks) => ranks.contains(rank),
                Wanted::Rows(rows) => {
                    let mut union = RowUnion::default();
                    self.lists.add(&list, &mut union)?;
                    !union.finish().is_disjoint(rows)
                }
            };
            if is_wanted {
                return Ok(());
            }
            self.cursor.advance()?;
        }
        Ok(())
    }

    /// The value at which the walk stands and how many rows have it, `None` behind the last.
    pub(crate) fn current(&self) -> Result<Option<(&str, u64)>, Corrupt> {
        if self.cursor.is_done() {
            return Ok(None);
        }
        Ok(Some((self.cursor.text()?, self.count)))
    }

    /// Goes to the next value.
    pub(crate) fn advance(&mut self) -> Result<(), Corrupt> {
        self.cursor.advance()?;
        self.settle()
    }
}
