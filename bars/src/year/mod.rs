//! A virtual year of a small fleet: what is written when (`world.rs`), what must be read (`model.rs`), and a process that
//! lives through some of it (`life.rs`).
//!
//! Hosts come and go, an hour of scrapes in fifty comes late, every day some data is deleted, some of that brought back, and
//! some corrected. All of it is a function of the seed, the series and the time, so that two thousand million samples need
//! no storage to be compared with, and a process that was killed is followed by one that knows as much.

pub mod life;
mod model;
pub mod world;
