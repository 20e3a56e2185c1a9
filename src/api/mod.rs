//! The HTTP server: the only place that knows axum, and the only one that is asynchronous.
//!
//! `lifecycle` listens, opens the database and ends both; `door`, `connection` and `tls` are what stands between a
//! socket and HTTP. A request passes the gate of its route (`router`: is the database there, may the caller do this, how long did it
//! take), reads its body and waits for its turn in `admission`, and works on a blocking thread. `error` is the one table
//! from what can go wrong to statuses. Handlers are thin: what they do stands below `db` and in `remote`.

mod absent;
mod admin;
mod admin_tsdb;
mod admission;
mod auth;
mod browser;
mod connection;
mod door;
mod doors;
mod envelope;
mod error;
mod exemplars;
mod exposition;
mod families;
mod federate;
mod federate_page;
mod json;
mod leftover;
mod lifecycle;
mod listing;
mod metadata;
mod names;
mod native;
mod notifications;
mod openapi;
mod otlp;
mod params;
mod pieces;
mod process;
mod queries;
mod query;
mod query_json;
mod query_text;
mod query_tree;
mod records;
mod remote_read;
mod remote_write;
mod router;
mod search;
mod search_params;
mod search_score;
mod selection;
mod self_metrics;
mod state;
mod status;
mod tenant;
mod tenants;
mod tls;
mod walk;
mod writing;

pub use self::lifecycle::{Handle, ServeError, Server};
pub use self::tls::TlsError;
