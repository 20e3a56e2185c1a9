//! The messages of `proto`, owned: for what is small or written, and as the oracle of the walks in tests.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    dead_code,
    reason = "made by a program, whole"
)]

#[rustfmt::skip]
pub(crate) mod prometheus;
#[rustfmt::skip]
pub(crate) mod write_v2;
