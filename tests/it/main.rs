//! The integration tests, in one binary: a module per theme.

mod basics;
mod concurrency;
mod limits;
mod examples;
mod ordering;
mod tidy;
