//! The integration tests, in one binary: a module per theme.

mod basics;
mod cli;
mod concurrency;
mod corruption;
mod examples;
mod golden;
mod crash;
mod examples;
mod faults;
mod limits;
mod model;
mod ordering;
mod surface;
mod play;
mod reading;
mod tidy;
mod world;
