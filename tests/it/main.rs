//! The integration tests, in one binary: a module per theme.

mod aggregates;
mod attach;
mod backfill;
mod backup;
mod basics;
mod benches;
mod blocks;
mod cardinality;
mod cli;
mod cli_query;
mod concurrency;
mod corruption;
mod crash;
mod damage;
mod deleting;
#[cfg(feature = "server")]
mod demo;
#[cfg(feature = "server")]
mod doors;
mod examples;
mod faults;
mod golden;
mod hot_tar;
mod http;
#[cfg(feature = "server")]
mod http_api;
#[cfg(feature = "server")]
mod http_status;
mod iot_records;
mod iot_store;
mod limits;
mod memory;
mod merging;
mod model;
mod moving_in;
#[cfg(feature = "server")]
mod native;
mod ordering;
#[cfg(feature = "server")]
mod peers;
mod play;
mod process;
mod promql;
#[cfg(feature = "server")]
mod promql_differential;
mod queries;
#[cfg(feature = "server")]
mod random;
mod reading;
mod records;
mod regressions;
mod remote_read;
#[cfg(feature = "server")]
mod remote_write;
mod rollups;
mod snapshot;
mod surface;
mod tidy;
mod upkeep;
mod world;
