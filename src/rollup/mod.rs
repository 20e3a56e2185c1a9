//! Rollups: what is kept of the samples of each window of time, so that long queries need not read all of them.
//!
//! A *tile* has the windows of one width within a stretch of time, for every series that has samples there: a segment whose
//! rows have [`COLUMNS`] columns each. [`columns`] makes them of samples, [`source`] a whole tile of segments. [`tell`] goes
//! the other way: windows and samples come in, in order of time, and what a query asks of each stretch of time goes out.

pub(crate) mod columns;
pub(crate) mod grid;
pub(crate) mod source;
pub(crate) mod tell;
#[cfg(test)]
mod tests;

pub(crate) use columns::{COLUMNS, Column};
pub(crate) use grid::Grid;
