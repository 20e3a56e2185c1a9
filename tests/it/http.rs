//! The HTTP server in this process, asked over real sockets: health, admin routes, limits, credentials, reload, TLS.

mod admin;
mod auth;
pub(crate) mod client;
mod limits;
mod reload;
mod rollups;
mod routes;
pub(crate) mod served;
mod tenants;
mod tls;
