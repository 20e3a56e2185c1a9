//! Finding series by their labels: matchers, the head's live index, and the index sections of a segment.

pub(crate) mod arena;
mod glob;
pub(crate) mod live;
mod live_values;
mod pairs;
mod pattern;
mod posting;
mod re2;
pub(crate) mod regex;
mod rows;
pub(crate) mod select;
#[cfg(test)]
mod tests;
mod text;
