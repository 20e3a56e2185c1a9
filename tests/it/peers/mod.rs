//! Beside real peers: Prometheus scrapes and writes to narthex through its bad days, and what both hold is compared; a second
//! Prometheus without storage reads from narthex and answers as the first.

#![expect(
    clippy::disallowed_methods,
    reason = "what real programs read, write and wait for is outside of the database"
)]

pub(crate) mod compare;
pub(crate) mod http;
pub(crate) mod processes;
mod reading;
mod target;
mod writing;

#[rustfmt::skip]
#[path = "../../../src/remote/wire/prometheus.rs"]
#[allow(
    clippy::all,
    dead_code,
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    reason = "made by a program, whole"
)]
pub(crate) mod wire;

#[rustfmt::skip]
#[path = "../../../src/remote/wire/write_v2.rs"]
#[allow(
    clippy::all,
    dead_code,
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    reason = "made by a program, whole"
)]
pub(crate) mod wire_v2;
