//! The black-box tests: one binary, a module per theme.

mod examples;
mod ordering;
mod tidy;
