//! The integration tests, in one binary: a module per theme.

mod basics;
mod concurrency;
mod crash;
mod examples;
mod faults;
mod limits;
mod model;
mod ordering;
mod play;
mod tidy;
