//! The integration tests, in one binary: a module per theme.

mod basics;
mod model;
mod play;
mod tidy;
