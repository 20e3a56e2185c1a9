//! placeholder
pub(crate) mod histogram_column;
