//! The integration tests, in one binary: a module per theme.

mod basics;
mod concurrency;
mod corruption;
mod golden;
mod limits;
mod reading;
mod tidy;
mod world;
