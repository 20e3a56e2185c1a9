//! What a server says of itself: that it lives, what it is, how it is set up, what its databases consist of, which
//! aggregates they make and which queries run.

mod aggregates;
mod health;
mod queries;
pub(super) mod rollups;
mod routes;
mod self_metrics;
mod server;
mod tsdb;

pub(super) use self::routes::routes;
