//! Finding series by their labels: matchers, the head's live index, and the index sections of a segment.

pub(crate) mod arena;
mod blocks;
pub(crate) mod compiled;
mod glob;
pub(crate) mod live;
mod live_values;
mod live_walk;
mod pair_walk;
mod pairs;
mod pattern;
mod plain;
mod posting;
mod posting_lists;
mod re2;
pub(crate) mod regex;
pub(crate) mod rewrite;
mod roaring_window;
mod rows;
pub(crate) mod segment;
mod segment_labels;
mod segment_values;
pub(crate) mod segment_writer;
pub(crate) mod select;
mod series_table;
mod steps;
mod symbols;
#[cfg(test)]
mod tests;
mod text;
pub(crate) mod walk;

pub(crate) use live::{LiveIndex, LiveIndexBytes, PairId};
pub(crate) use live_walk::Within;
pub(crate) use regex::{LabelMatcher, RegexError};
pub(crate) use segment::{IndexLayout, LabelCursor, SegmentIndex};
pub(crate) use segment_writer::{Compression, SegmentIndexWriter};
