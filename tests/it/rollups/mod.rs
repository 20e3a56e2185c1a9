//! Rollups against samples: two databases with the same history, of which one has rollups, give the same answers.

mod exact;
mod retention;
mod single;
mod upkeep;
mod world;
