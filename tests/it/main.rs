//! The integration tests, in one binary: a module per theme.

mod basics;
mod cli;
mod concurrency;
mod corruption;
mod golden;
mod examples;
mod limits;
mod ordering;
mod reading;
mod model;
mod ordering;
mod play;
mod tidy;
mod world;
