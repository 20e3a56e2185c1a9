//! The segment codec: shared timestamp columns and groups of up to 16 related series.
//!
//! A segment cuts its time range in slices. In a slice the timestamps of all series are rows of a few shared columns
//! ([`ColumnSetBuilder`], [`ColumnSetReader`]); a series has only a [`TimeRef`] to one of them. The values of related
//! series are encoded together as a group ([`encode_group`], [`GroupReader`]). Neither carries a checksum: that is the
//! segment's business, and so is any general compression. `docs/format/columns.md` describes every byte.
//!
//! Files from the bottom up: `bitpack`, `blocks` and `block_plan`, `transform`, `integers` and `integers_encode` are the
//! column of integers; `decimal` and `specials` turn floats into integers; `time_ref`, `timestamps` and
//! `timestamps_build` are the time columns; `group`, `group_encode` and `group_decode` put it together.

mod bitpack;
mod block_plan;
mod blocks;
mod decimal;
mod group;
mod group_decode;
mod group_encode;
pub(crate) mod histogram_column;
mod integers;
mod integers_encode;
mod specials;
#[cfg(test)]
mod tests;
mod time_ref;
mod timestamps;
mod timestamps_build;
mod transform;

pub(crate) use group_decode::{DecodeScratch, GroupReader};
pub(crate) use group_encode::{EncodeScratch, GroupSeries, encode_group};
pub(crate) use time_ref::TimeRef;
pub(crate) use timestamps::{ColumnSetReader, TimeColumn};
pub(crate) use timestamps_build::ColumnSetBuilder;

/// The most samples of one series in a group, and the most rows of a time column.
pub(crate) const ROWS_MAX: usize = 65_536;

/// The most series of a group.
pub(crate) const GROUP_SERIES_MAX: usize = 16;
