//! The integration tests, in one binary: a module per theme.

mod basics;
mod cli;
mod examples;
mod ordering;
mod tidy;
