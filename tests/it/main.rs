//! The integration tests, in one binary: a module per theme.

mod backfill;
mod basics;
mod cli;
mod concurrency;
mod corruption;
mod crash;
mod deleting;
mod examples;
mod faults;
mod golden;
mod limits;
mod model;
mod ordering;
mod play;
mod reading;
mod records;
mod regressions;
mod surface;
mod tidy;
mod world;
