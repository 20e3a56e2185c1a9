//! Segments: immutable files, each with the samples of one run of log records.
//!
//! A segment numbers its series by *row*, their rank in label order. Its time range is cut in *slices*, so that no
//! series has many more than two thousand samples in one; in each slice the floats of up to sixteen related series
//! stand together in a *group*, and the series share timestamp columns. Groups, columns and histogram blobs carry
//! their own checksums and are verified when they are first read; everything else stands in sections of a table at the
//! end of the file. `docs/format/segment.md` describes every byte.

pub(crate) mod bounds;
mod cache;
pub(crate) mod compress;
mod events;
pub(crate) mod layout;
pub(crate) mod merge;
pub(crate) mod meta;
pub(crate) mod names;
mod packed;
mod parts;
mod plan;
pub(crate) mod read;
pub(crate) mod reader;
pub(crate) mod rebuild;
#[cfg(feature = "server")]
mod shares;
mod side;
mod sketch;
pub(crate) mod summary;
pub(crate) mod verify;
pub(crate) mod writer;
